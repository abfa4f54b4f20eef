"""Prometheus' text out of plain numbers."""

from collections.abc import Iterable

import pytest

from chinwag.http.operations.metrics import Distribution, Metrics, Reading, RequestCounts


class Source:
    """Shows what it is given."""

    def __init__(self, *readings: Reading | Distribution) -> None:
        self._readings = readings

    def readings(self) -> Iterable[Reading | Distribution]:
        return self._readings


def lines(*readings: Reading | Distribution) -> list[str]:
    return [line for line in Metrics([Source(*readings)]).text().decode().splitlines() if "chinwag_" in line]


def test_counters_and_gauges() -> None:
    assert lines(
        Reading(name="messages", help="Messages stored", kind="counter", value=5),
        Reading(name="connections", help="Open sessions", kind="gauge", value=2),
    ) == [
        "# HELP chinwag_messages_total Messages stored",
        "# TYPE chinwag_messages_total counter",
        "chinwag_messages_total 5.0",
        "# HELP chinwag_connections Open sessions",
        "# TYPE chinwag_connections gauge",
        "chinwag_connections 2.0",
    ]


def test_readings_of_one_name_are_one_family_also_from_several_sources() -> None:
    sources = [
        Source(Reading(name="closed", help="Closed", kind="counter", value=value, labels={"reason": reason}))
        for reason, value in (("slow", 1), ("restart", 2))
    ]
    text = Metrics(sources).text().decode()
    assert text.count("# TYPE chinwag_closed_total counter") == 1
    assert 'chinwag_closed_total{reason="slow"} 1.0' in text
    assert 'chinwag_closed_total{reason="restart"} 2.0' in text


def test_a_distribution_is_a_histogram_with_rising_buckets() -> None:
    told = lines(Distribution(name="commit_seconds", help="Time", bounds=(0.1, 1), counts=(3, 0, 2), total=9.5))
    assert told[2:] == [
        'chinwag_commit_seconds_bucket{le="0.1"} 3.0',
        'chinwag_commit_seconds_bucket{le="1"} 3.0',
        'chinwag_commit_seconds_bucket{le="+Inf"} 5.0',
        "chinwag_commit_seconds_count 5.0",
        "chinwag_commit_seconds_sum 9.5",
    ]


def test_one_name_is_one_kind() -> None:
    with pytest.raises(TypeError, match="two kinds"):
        lines(
            Reading(name="x", help="", kind="gauge", value=1),
            Distribution(name="x", help="", bounds=(), counts=(0,), total=0),
        )


def test_strangers_cannot_add_series() -> None:
    counts = RequestCounts()
    for number in range(100):
        counts.count("front", f"METHOD{number}", 405)
    [reading] = counts.readings()
    assert (reading.value, reading.labels["method"]) == (100, "other")
