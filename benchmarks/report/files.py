"""Results as JSON: everything that was measured, and the kind of machine. No host names, no paths."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.compare.compare import Comparison
from chinwag.benchmarks.compare.pairs import Pairs
from chinwag.benchmarks.report.results import Result


def of_results(results: Sequence[Result], ceiling: Result | None) -> dict[str, Any]:
    """One scenario's runs."""
    return _document(
        runs=[result.as_dict() for result in results], ceiling=None if ceiling is None else ceiling.as_dict()
    )


def of_comparisons(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Everybody's rounds, medians and goals."""
    return _document(
        works=[
            {
                "key": comparison.work.key,
                "title": comparison.work.title,
                "unit": comparison.work.unit,
                "servers": [
                    {
                        "name": row.name,
                        "skipped": row.skipped,
                        "figure": row.figure if row.results else None,
                        "rounds": [result.as_dict() for result in row.results],
                    }
                    for row in comparison.rows
                ],
                "goals": [asdict(verdict) for verdict in comparison.verdicts()],
                "server_cpu": None if comparison.pairs is None else _pairs(comparison.pairs, comparison.work.each),
            }
            for comparison in comparisons
        ]
    )


def _pairs(pairs: Pairs, each: str) -> dict[str, Any]:
    """What a message or request costs this version and the baseline."""
    rows = zip(pairs.own_s, pairs.baseline_s, pairs.ratios, strict=True)
    return {
        "per": each,
        "own_s": pairs.own_median_s,
        "baseline_s": pairs.baseline_median_s,
        "ratio_of_medians": pairs.ratio_of_medians,
        "median_of_ratios": pairs.median_of_ratios,
        "pairs": [{"own_s": own, "baseline_s": baseline, "ratio": ratio} for own, baseline, ratio in rows],
    }


def _document(**content: Any) -> dict[str, Any]:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"format": 1, "measured_at": when, "machine": machine.description(), **content}


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document."""
    path.write_text(json.dumps(document, indent=1) + "\n")
