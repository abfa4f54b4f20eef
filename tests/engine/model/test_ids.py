"""Ids rise for ever, whatever the clock does."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.ids import EPOCH_MS, MAX_ID, SEQUENCE_BITS, IdSource

FAR_US = (EPOCH_MS + (1 << 41) - 2) * 1000
"""Just before the 41 bits of milliseconds are used up, in the year 2094."""


@given(st.lists(st.integers(min_value=0, max_value=FAR_US), min_size=2, max_size=50))
def test_ids_rise_strictly_even_when_the_clock_jumps_back(times: list[int]) -> None:
    clock = iter(times)
    source = IdSource(clock=lambda: next(clock))
    ids = [source() for _ in times]
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_more_ids_than_fit_a_millisecond_borrow_from_the_next_one() -> None:
    source = IdSource(clock=lambda: (EPOCH_MS + 1000) * 1000)
    ids = [source() for _ in range(5000)]
    assert len(set(ids)) == 5000
    assert (ids[0] >> SEQUENCE_BITS) == 1000
    assert (ids[-1] >> SEQUENCE_BITS) == 1001


def test_after_a_restart_ids_go_on_above_the_highest_although_the_clock_was_set_back() -> None:
    before = IdSource(clock=lambda: (EPOCH_MS + 10_000) * 1000)
    highest = max(before() for _ in range(10))
    after = IdSource(above=highest, clock=lambda: EPOCH_MS * 1000)
    assert after() == highest + 1
    assert after.last == highest + 1


def test_a_clock_before_the_epoch_gives_small_positive_ids() -> None:
    source = IdSource(clock=lambda: 0)
    assert [source(), source()] == [1, 2]


def test_ids_fit_a_json_number_for_decades() -> None:
    last = IdSource(clock=lambda: FAR_US)()
    assert last <= MAX_ID
    assert int(float(json.dumps(last))) == last
