"""The group-commit loop, with a driver that keeps what it is given. Time is virtual."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.model.errors import EngineError, InternalError, StoreUnavailable
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.store import SetDeclaredPresence, Write, WriteRejected
from chinwag.engine.model.values import Presence
from chinwag.persistence.group_commit import DriverWrite, GroupCommit

COMMIT_S = 1.0


class RecordingDriver:
    """Takes a virtual second for each transaction. A write for user 0 is bad; `down` makes it refuse all."""

    def __init__(self) -> None:
        self.transactions: list[list[int]] = []
        self.attempts = 0
        self.down = False
        self.bad: Exception = WriteRejected("bad")

    async def apply(self, units: Sequence[Sequence[DriverWrite]]) -> None:
        self.attempts += 1
        await trio.sleep(COMMIT_S)
        numbers = [write.user_id for writes in units for write in writes if isinstance(write, SetDeclaredPresence)]
        if self.down:
            raise StoreUnavailable("disk full")
        if 0 in numbers:
            raise self.bad
        self.transactions.append([int(number) for number in numbers])


class Desk:
    """An actor with its driver, and what became of each commit."""

    def __init__(self, actor: GroupCommit, driver: RecordingDriver, nursery: trio.Nursery) -> None:
        self.actor = actor
        self.driver = driver
        self.nursery = nursery
        self.outcomes: list[str] = []
        self.thens: list[int] = []

    async def commit(self, *numbers: int) -> None:
        try:
            await self.actor.commit(writes(*numbers), lambda: self.thens.append(numbers[0]))
        except EngineError as error:
            self.outcomes.append(f"{numbers[0]} {error.code}")
        else:
            self.outcomes.append(f"{numbers[0]} ok")

    async def start(self, *numbers: int) -> None:
        """Call commit and return as soon as it waits."""
        self.nursery.start_soon(self.commit, *numbers)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()


def writes(*numbers: int) -> list[Write]:
    return [SetDeclaredPresence(user_id=UserId(number), declared=Presence.ONLINE) for number in numbers]


@asynccontextmanager
async def open_desk(*, writes_per_commit: int = 100) -> AsyncIterator[Desk]:
    driver = RecordingDriver()
    actor = GroupCommit(driver, writes_per_commit=writes_per_commit)
    async with trio.open_nursery() as loop:
        loop.start_soon(actor.run)
        async with trio.open_nursery() as nursery:
            yield Desk(actor, driver, nursery)
        actor.close()


async def test_a_lone_commit_starts_at_once(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        await desk.commit(1)
        assert trio.current_time() == pytest.approx(COMMIT_S)
        assert desk.outcomes == ["1 ok"]


async def test_what_comes_while_a_commit_runs_goes_into_one(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        for n in range(1, 6):
            await desk.start(n)
    assert desk.driver.transactions == [[1], [2, 3, 4, 5]]
    assert desk.thens == [1, 2, 3, 4, 5]


async def test_a_commit_is_bounded_in_writes_but_takes_one_unit_at_least(autojump_clock: MockClock) -> None:
    async with open_desk(writes_per_commit=3) as desk:
        for numbers in ((1,), (2, 2), (3,), (4,), (5, 5, 5, 5), (6,)):
            await desk.start(*numbers)
    assert desk.driver.transactions == [[1], [2, 2, 3], [4], [5, 5, 5, 5], [6]]


async def test_a_bad_unit_fails_alone_and_the_order_stays(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        for n in (1, 2, 0, 3):
            await desk.start(n)
    assert desk.driver.transactions == [[1], [2], [3]]
    assert desk.thens == [1, 2, 3]
    assert sorted(desk.outcomes) == ["0 write_rejected", "1 ok", "2 ok", "3 ok"]


async def test_a_store_that_takes_no_writes_fails_all_at_once_and_recovers(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        desk.driver.down = True
        for n in (1, 2, 3):
            await desk.start(n)
        await trio.sleep(2.5 * COMMIT_S)
        assert sorted(desk.outcomes) == ["1 store_unavailable", "2 store_unavailable", "3 store_unavailable"]
        assert desk.driver.attempts == 2  # not one for each unit
        desk.driver.down = False
        await desk.commit(4)
        assert desk.thens == [4]


async def test_a_store_that_goes_down_during_the_single_tries_is_not_tried_again(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        for n in (1, 2, 0, 3, 4):
            await desk.start(n)
        await trio.sleep(2.5 * COMMIT_S)  # the batch was refused, and its first unit is being tried
        desk.driver.down = True
    assert desk.driver.attempts == 3
    assert desk.thens == [1]
    assert sorted(desk.outcomes) == ["0 store_unavailable", "1 ok"] + [f"{n} store_unavailable" for n in (2, 3, 4)]


async def test_a_bug_in_a_unit_is_an_internal_error_of_its_caller(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        desk.driver.bad = TypeError("not a number")
        for n in (1, 0, 2):
            await desk.start(n)
        with pytest.raises(InternalError) as caught:
            await desk.actor.commit(writes(0))
        assert isinstance(caught.value.__cause__, TypeError)
    assert "0 internal" in desk.outcomes
    assert desk.thens == [1, 2]


async def test_commits_without_writes_keep_their_place_and_need_no_transaction(autojump_clock: MockClock) -> None:
    order: list[str] = []
    async with open_desk() as desk:
        desk.nursery.start_soon(desk.actor.commit, writes(1), lambda: order.append("first"))
        await wait_all_tasks_blocked()
        desk.nursery.start_soon(desk.actor.commit, [], lambda: order.append("second"))
    assert order == ["first", "second"]
    assert desk.driver.attempts == 1


async def test_a_cancelled_caller_leaves_its_writes_behind(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        with trio.move_on_after(COMMIT_S / 2) as scope:
            await desk.commit(1)
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(COMMIT_S / 2)
        await desk.commit(2)
    assert desk.driver.transactions == [[1], [2]]
    assert desk.thens == [1, 2]


async def test_a_callback_that_fails_after_its_caller_left_harms_nobody(autojump_clock: MockClock) -> None:
    def fail() -> None:
        raise LookupError

    async with open_desk() as desk:
        with trio.move_on_after(COMMIT_S / 2):
            await desk.actor.commit(writes(1), fail)
        await desk.commit(2)
    assert desk.outcomes == ["2 ok"]


async def test_closing_commits_what_is_queued_and_takes_no_more(autojump_clock: MockClock) -> None:
    async with open_desk() as desk:
        for n in (1, 2, 3):
            await desk.start(n)
        desk.actor.close()
        with pytest.raises(StoreUnavailable):
            await desk.actor.commit(writes(4))
        with pytest.raises(StoreUnavailable):
            desk.actor.commit_soon(writes(4), lambda: desk.thens.append(4), lambda _: None)
        with pytest.raises(StoreUnavailable):
            await desk.actor.between_commits(trio.lowlevel.checkpoint)
    assert desk.driver.transactions == [[1], [2, 3]]
    assert sorted(desk.outcomes) == ["1 ok", "2 ok", "3 ok"]


async def test_cancellation_around_the_loop_loses_nothing(autojump_clock: MockClock) -> None:
    driver = RecordingDriver()
    actor = GroupCommit(driver)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.run)
            for n in (1, 2):
                nursery.start_soon(actor.commit, writes(n))
                await wait_all_tasks_blocked()
            scope.cancel()
            actor.close()
    assert driver.transactions == [[1], [2]]


async def test_when_the_loop_dies_everyone_is_answered(autojump_clock: MockClock) -> None:
    def broken(_writes: int, _seconds: float) -> None:
        raise LookupError("metrics are broken")

    actor = GroupCommit(RecordingDriver(), observe=broken)
    outcomes: list[str] = []

    async def commit(n: int) -> None:
        try:
            await actor.commit(writes(n))
        except StoreUnavailable:
            outcomes.append(f"{n} unavailable")

    async def run() -> None:
        with pytest.raises(LookupError):
            await actor.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        for n in (1, 2):
            nursery.start_soon(commit, n)
            await wait_all_tasks_blocked()
            if n == 1:
                actor.commit_soon(writes(3), lambda: None, lambda error: outcomes.append(f"3 {type(error).__name__}"))
    assert sorted(outcomes) == ["1 unavailable", "2 unavailable", "3 StoreUnavailable"]


async def test_statistics_count_and_observe_is_told(autojump_clock: MockClock) -> None:
    observed: list[int] = []
    driver = RecordingDriver()
    actor = GroupCommit(driver, observe=lambda count, _seconds: observed.append(count))
    async with trio.open_nursery() as loop:
        loop.start_soon(actor.run)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.commit, writes(1))
            await wait_all_tasks_blocked()
            nursery.start_soon(actor.commit, writes(2, 3))
            nursery.start_soon(actor.commit, writes(4))
            await wait_all_tasks_blocked()
            assert actor.statistics().queued_units == 3
        with pytest.raises(WriteRejected):
            await actor.commit(writes(0))
        actor.close()
    done = actor.statistics()
    assert (done.commits, done.units, done.writes, done.failed_units, done.queued_units) == (2, 3, 4, 1, 0)
    assert observed == [1, 3]


async def test_what_runs_between_commits_lets_them_go_first(autojump_clock: MockClock) -> None:
    order: list[str] = []

    async def job(name: str) -> None:
        order.append(name)
        await trio.sleep(COMMIT_S)

    async with open_desk() as desk:
        await desk.start(1)
        desk.nursery.start_soon(desk.actor.between_commits, lambda: job("patient"))
        await wait_all_tasks_blocked()
        desk.nursery.start_soon(desk.actor.commit, writes(2), lambda: order.append("second"))
        await wait_all_tasks_blocked()
        await trio.sleep(1.5 * COMMIT_S)  # the second commit runs
        desk.nursery.start_soon(desk.actor.commit, writes(3), lambda: order.append("third"))
    assert order == ["second", "third", "patient"]


async def test_what_is_urgent_waits_for_one_commit_at_most(autojump_clock: MockClock) -> None:
    order: list[str] = []

    async def job() -> None:
        order.append("urgent")

    async with open_desk(writes_per_commit=1) as desk:
        for n in (1, 2, 3):
            await desk.start(n)
        await desk.actor.between_commits(job, patience_s=0)
        assert desk.thens == [1]
    assert order == ["urgent"]


async def test_patience_ends_and_then_who_came_first_goes_first(autojump_clock: MockClock) -> None:
    order: list[str] = []

    async def job(name: str) -> None:
        order.append(f"{name} after {len(desk.thens)} commits")

    async with open_desk(writes_per_commit=1) as desk:
        for n in range(1, 7):
            await desk.start(n)
        for name in ("first", "second", "third"):
            desk.nursery.start_soon(partial(desk.actor.between_commits, partial(job, name), patience_s=1.5 * COMMIT_S))
            await wait_all_tasks_blocked()
    assert order == ["first after 2 commits", "second after 3 commits", "third after 4 commits"]


async def test_what_runs_between_commits_fails_to_its_caller_and_can_be_taken_back(autojump_clock: MockClock) -> None:
    ran: list[int] = []

    async def fail() -> None:
        raise LookupError

    async def job() -> None:
        ran.append(1)

    async with open_desk() as desk:
        with pytest.raises(LookupError):
            await desk.actor.between_commits(fail)
        await desk.start(1)
        with trio.move_on_after(COMMIT_S / 2):
            await desk.actor.between_commits(job)
        await desk.commit(2)
    assert ran == []
