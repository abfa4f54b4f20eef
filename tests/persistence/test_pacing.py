"""The pace of background work, by a clock that the test keeps: what waits stays young, and costs little until then."""

import pytest

from chinwag.persistence.pacing import (
    BOUND_S,
    LEAST_REST,
    LEAST_ROWS,
    MARK_S,
    MOST_MARKS,
    MOST_ROWS,
    OLD_SLICES,
    REST,
    SLICE_S,
    Backlog,
    Pace,
)

DELAY_S = 1.0
COMMIT_S = 0.01


class Played:
    """What came of some minutes of a steady load."""

    def __init__(self) -> None:
        self.most = 0
        self.oldest_s = 0.0
        self.worked_s = 0.0
        self.slices = 0
        self.longest_standstill_s = 0.0


def play(
    *, per_second: float, row_s: float, slice_s: float = 0.001, waits_s: float = 0.0, seconds: float = 120.0
) -> tuple[Played, Backlog, float]:
    """Commits of `per_second` rows keep coming; a slice computes `slice_s`, and `row_s` for each row, and is made to
    wait for so long by the rest of the process."""
    pace, backlog, played = Pace(), Backlog(0, 0.0), Played()
    now = last_end = 0.0
    owed = 0.0

    def pass_time(duration_s: float) -> None:
        nonlocal now, owed
        end = now + duration_s
        while now < end:
            step = min(COMMIT_S, end - now)
            now += step
            owed += per_second * step
            backlog.add(int(owed), now)
            owed -= int(owed)
            played.most = max(played.most, backlog.size)
            played.oldest_s = max(played.oldest_s, backlog.age_s(now))

    pass_time(DELAY_S)
    while now < seconds:
        age_s = backlog.age_s(now)
        pass_time(pace.patience_s(age_s) + COMMIT_S)  # commits are always queued
        asked = pace.rows(age_s)
        count = min(asked, backlog.size)
        computed_s = slice_s + row_s * count
        pass_time(computed_s + waits_s)
        backlog.take(count)
        pace.worked(asked, computed_s)
        played.longest_standstill_s = max(played.longest_standstill_s, now - last_end)
        last_end = now
        played.worked_s += computed_s + waits_s
        played.slices += 1
        pass_time(pace.rest_s(computed_s + waits_s, age_s))
    return played, backlog, now


@pytest.mark.parametrize("per_second", [10, 500, 5_000])
@pytest.mark.parametrize("waits_s", [0.0, 0.005, 0.04], ids=["quick", "slowed down", "busy process"])
def test_under_steady_load_the_backlog_is_some_seconds_of_messages(per_second: float, waits_s: float) -> None:
    played, _, _ = play(per_second=per_second, row_s=20e-6, waits_s=waits_s)
    assert played.oldest_s <= BOUND_S + 1.0
    assert played.most <= per_second * (BOUND_S + 1.0)
    assert played.longest_standstill_s <= BOUND_S


def test_a_light_load_is_indexed_in_a_small_part_of_the_time() -> None:
    played, _, now = play(per_second=100, row_s=20e-6)
    assert played.worked_s / now < 2 / REST


def test_commits_keep_half_of_the_time_however_far_behind_the_work_is() -> None:
    played, backlog, now = play(per_second=100_000, row_s=100e-6)
    assert backlog.age_s(now) > BOUND_S
    assert played.worked_s / now <= 1 / (1 + LEAST_REST)


def test_when_the_load_is_over_the_backlog_falls_to_nothing() -> None:
    _, backlog, now = play(per_second=2_000, row_s=20e-6)
    pace = Pace()
    while backlog.size:  # nothing is committed, so there is no rest
        count = min(pace.rows(backlog.age_s(now)), backlog.size)
        backlog.take(count)
        pace.worked(count, 0.001 + 20e-6 * count)
        now += 0.001 + 20e-6 * count
    assert backlog.age_s(now) == 0


def test_a_slice_is_as_large_as_fits_its_time_within_bounds() -> None:
    pace = Pace()
    for _ in range(10):
        pace.worked(pace.rows(0.0), pace.rows(0.0) * 10e-6)
    assert pace.rows(0.0) == pytest.approx(SLICE_S / 10e-6, rel=0.01)
    assert pace.rows(BOUND_S) == pytest.approx(OLD_SLICES * SLICE_S / 10e-6, rel=0.01)
    for _ in range(10):
        pace.worked(pace.rows(0.0), 60.0)
    assert pace.rows(0.0) == LEAST_ROWS
    for _ in range(10):
        pace.worked(pace.rows(0.0), 0.0)
    assert pace.rows(0.0) == pace.rows(BOUND_S) == MOST_ROWS


def test_the_older_the_work_the_shorter_rest_and_patience() -> None:
    ages = [0.0, 1.0, 2.5, 4.0, BOUND_S, 2 * BOUND_S]
    rests = [Pace.rest_s(0.01, age) for age in ages]
    assert rests == sorted(rests, reverse=True)
    assert rests[0] == pytest.approx(0.01 * REST)
    assert rests[-1] == pytest.approx(0.01 * LEAST_REST)
    assert Pace.patience_s(0.0) > 0
    assert Pace.patience_s(BOUND_S) == 0


def test_a_backlog_knows_how_old_its_oldest_is() -> None:
    backlog = Backlog(0, 100.0)
    assert (backlog.size, backlog.age_s(150.0)) == (0, 0.0)
    backlog.add(10, 200.0)
    backlog.add(10, 201.0)
    backlog.add(10, 202.0)
    assert (backlog.size, backlog.age_s(203.0)) == (30, 3.0)
    backlog.take(10)
    assert backlog.age_s(203.0) == 2.0
    backlog.take(15)
    assert backlog.age_s(203.0) == 1.0
    backlog.take(5)
    assert (backlog.size, backlog.age_s(203.0)) == (0, 0.0)
    backlog.add(1, 300.0)
    assert backlog.age_s(300.5) == 0.5


def test_what_was_there_at_the_start_counts_from_then() -> None:
    assert Backlog(1_000, 50.0).age_s(53.0) == 3.0


def test_however_long_it_waits_a_backlog_takes_no_more_memory() -> None:
    backlog = Backlog(1, 0.0)
    for second in range(10_000):
        backlog.add(1, float(second))
    assert len(backlog._marks) <= MOST_MARKS
    backlog.take(9_000)
    assert backlog.age_s(10_000.0) >= 1_001 - MARK_S  # never taken for younger than it is
