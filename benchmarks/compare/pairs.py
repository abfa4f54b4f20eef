"""What a message or request costs two servers that were measured in pairs, and how the two compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Server CPU seconds per message or request of both, pair by pair.

    The ratio of the medians is what counts. The median of the pairs' own ratios says the same of a machine whose speed
    changed from pair to pair: where the two differ by much, neither is certain.
    """

    own_s: Sequence[float]
    baseline_s: Sequence[float]

    @classmethod
    def of(cls, own: Sequence[Result], baseline: Sequence[Result]) -> Self | None:
        """From results in the order of their rounds. None when nothing, or not everything, has a known cost."""
        costs = [
            [1 / result.per_cpu_s for result in results if result.per_cpu_s is not None] for results in (own, baseline)
        ]
        if not len(own) == len(baseline) == len(costs[0]) == len(costs[1]) > 0:
            return None
        return cls(own_s=costs[0], baseline_s=costs[1])

    @property
    def own_median_s(self) -> float:
        return median(self.own_s)

    @property
    def baseline_median_s(self) -> float:
        return median(self.baseline_s)

    @property
    def ratio_of_medians(self) -> float:
        """Above 1 this version costs more than the baseline."""
        return self.own_median_s / self.baseline_median_s

    @property
    def ratios(self) -> list[float]:
        """Of each pair."""
        return [own / baseline for own, baseline in zip(self.own_s, self.baseline_s, strict=True)]

    @property
    def median_of_ratios(self) -> float:
        return median(self.ratios)
