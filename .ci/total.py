"""Adds up what pytest reported (`--junit-xml`) into one line, the last of a run: `N passed, N failed`.

    total.py FAILED_STEPS REPORT...

No fewer failures are told of than steps failed: a step can fail without a test. Exits with 1 when anything failed.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(failed_steps: int, reports: list[Path]) -> int:
    """Print what was skipped, then the one line; the exit code."""
    passed = failed = 0
    for report in reports:
        if not report.exists():
            print(f"{report.stem}: no report", file=sys.stderr)
            continue
        for case in ElementTree.parse(report).iter("testcase"):
            outcome = {each.tag: each.get("message", "") for each in case}
            if outcome.keys() & {"failure", "error"}:
                failed += 1
            elif "skipped" in outcome:
                print(f"skipped: {case.get('classname')}::{case.get('name')}: {outcome['skipped']}")
            else:
                passed += 1
    failed = max(failed, failed_steps)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]))
