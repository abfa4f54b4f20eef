"""Small statistics: percentiles, medians, histograms on a logarithmic scale, rates over time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution of times, in seconds."""

    count: int
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float
    histogram: tuple[tuple[float, int], ...] = ()
    """(upper bound in seconds, how many) per bin, in rising order; the bins' widths grow by the same factor."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0..1) of the sorted values do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def latency(times: Sequence[float]) -> Latency | None:
    """The distribution of `times`, None when there are none."""
    if not times:
        return None
    ordered = sorted(times)
    return Latency(
        count=len(ordered),
        p50_s=percentile(ordered, 0.50),
        p95_s=percentile(ordered, 0.95),
        p99_s=percentile(ordered, 0.99),
        max_s=ordered[-1],
        histogram=log_histogram(ordered),
    )


BINS_PER_DECADE = 20
SHORTEST_S = 1e-6
"""What is quicker falls into the first bin."""


def log_histogram(times: Sequence[float]) -> tuple[tuple[float, int], ...]:
    """Bins of equal width on a logarithmic scale, from the first that holds something to the last."""
    counts: dict[int, int] = {}
    for each in times:
        number = math.ceil(math.log10(max(each, SHORTEST_S) / SHORTEST_S) * BINS_PER_DECADE - 1e-9)
        counts[number] = counts.get(number, 0) + 1
    if not counts:
        return ()
    return tuple(
        (SHORTEST_S * 10 ** (number / BINS_PER_DECADE), counts.get(number, 0))
        for number in range(min(counts), max(counts) + 1)
    )


SLICES = 60
SHORTEST_SLICE_S = 0.05
"""In less time than this, rates say more about turns than about throughput."""


def rate_over_time(moments: Sequence[float], seconds: float) -> tuple[tuple[float, float], ...]:
    """How often per second something happened, as (moment, rate) for equal slices of `seconds`; `moments` from 0."""
    if seconds <= 0 or not moments:
        return ()
    slices = max(1, min(SLICES, len(moments), int(seconds / SHORTEST_SLICE_S)))
    width = seconds / slices
    counts = [0] * slices
    for each in moments:
        counts[min(slices - 1, max(0, int(each / width)))] += 1
    return tuple(((number + 0.5) * width, count / width) for number, count in enumerate(counts))
