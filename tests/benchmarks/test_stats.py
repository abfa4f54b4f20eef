import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.benchmarks.report.statistics import latency, log_histogram, median, percentile, rate_over_time

TIMES = st.lists(st.floats(1e-6, 100), min_size=1)


def test_percentiles_are_nearest_rank() -> None:
    values = list(range(1, 101))
    assert [percentile(values, share) for share in (0, 0.5, 0.95, 0.99, 1)] == [1, 50, 95, 99, 100]
    assert percentile([7], 0.99) == 7


def test_median_of_even_and_odd_counts() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5


def test_nothing_has_no_statistics() -> None:
    assert latency([]) is None
    assert rate_over_time([], 1) == ()
    for function in (median, lambda values: percentile(values, 0.5)):
        with pytest.raises(ValueError, match="no values"):
            function([])


@given(TIMES)
def test_a_histogram_holds_every_time_in_a_bin_that_reaches_it(times: list[float]) -> None:
    histogram = log_histogram(times)
    assert sum(count for _, count in histogram) == len(times)
    bounds = [bound for bound, _ in histogram]
    assert bounds == sorted(bounds)
    assert max(times) <= bounds[-1] * 1.0001


@given(TIMES)
def test_percentiles_rise(times: list[float]) -> None:
    found = latency(times)
    assert found is not None
    assert found.p50_s <= found.p95_s <= found.p99_s <= found.max_s == max(times)


@given(st.lists(st.floats(0, 2), min_size=1))
def test_rates_over_time_add_up(moments: list[float]) -> None:
    points = rate_over_time(moments, 2)
    assert sum(rate * 2 / len(points) for _, rate in points) == pytest.approx(len(moments))
