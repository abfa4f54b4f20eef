"""The one line at the end of a run of all tests."""

import sys
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, run

TESTS = """
import pytest

def test_passes(): pass
def test_fails(): assert False
def test_is_skipped(): pytest.skip("needs a browser")
@pytest.fixture
def breaks():
    yield
    raise RuntimeError
def test_breaks_at_its_end(breaks): pass
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=report.xml", "test_some.py"]
    assert run(command, cwd=folder).returncode == 1
    return folder / "report.xml"


@pytest.mark.parametrize(
    ("failed_steps", "reports", "line"),
    [(1, 1, "1 passed, 2 failed"), (2, 2, "2 passed, 4 failed"), (3, 0, "0 passed, 3 failed")],
)
def test_the_last_line_sums_up_every_report_and_what_failed_without_one(
    report: Path, failed_steps: int, reports: int, line: str
) -> None:
    ended = run([sys.executable, str(ROOT / ".ci" / "total.py"), str(failed_steps), *[str(report)] * reports])
    assert ended.stdout.splitlines()[-1] == line
    assert ended.returncode == 1
    assert ended.stdout.count("needs a browser") == reports
