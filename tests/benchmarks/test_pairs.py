"""Two versions measured in pairs: what a message costs each, and the two ways to compare them."""

import pytest

from chinwag.benchmarks.compare.pairs import Pairs
from chinwag.benchmarks.report.results import Result


def results(*cpu_s: float | None, messages: int = 1000) -> list[Result]:
    return [
        Result(
            scenario="rooms",
            server="x",
            parameters={},
            unit="messages/s",
            rate=1.0,
            seconds=1.0,
            messages=messages,
            server_cpu_s=each,
        )
        for each in cpu_s
    ]


def test_the_ratio_of_the_medians_and_the_median_of_the_ratios_are_two_figures() -> None:
    pairs = Pairs.of(results(1.0, 4.0, 3.0), results(2.0, 2.0, 1.0))
    assert pairs is not None
    assert pairs.own_median_s == pytest.approx(0.003)
    assert pairs.baseline_median_s == pytest.approx(0.002)
    assert pairs.ratio_of_medians == pytest.approx(1.5)
    assert pairs.ratios == pytest.approx([0.5, 2.0, 3.0])
    assert pairs.median_of_ratios == pytest.approx(2.0)


def test_a_cost_is_that_of_one_message_however_many_there_were() -> None:
    pairs = Pairs.of(results(1.0, messages=500), results(1.0, messages=1000))
    assert pairs is not None
    assert pairs.ratio_of_medians == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("own", "baseline"),
    [
        ([], []),
        (results(1.0), []),
        (results(1.0, 2.0), results(1.0)),
        (results(1.0, None), results(1.0, 1.0)),
        (results(1.0), results(1.0, messages=0)),
    ],
    ids=["nothing", "one side", "unequal", "cost unknown", "no messages"],
)
def test_what_is_no_whole_set_of_pairs_gives_no_figure(own: list[Result], baseline: list[Result]) -> None:
    assert Pairs.of(own, baseline) is None
