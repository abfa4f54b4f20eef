"""The runner of jobs: woken by time and by nudges, patient with a store that is away, and none stops another."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.life.jobs import ENDING_S, MOST_RETRY_S, REST_S, Job, JobRunner, More
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import RoomId, SummaryId
from chinwag.engine.model.store import InsertSummary
from chinwag.engine.model.store_jobs import SetCursor
from chinwag.engine.testing import MemoryStore, make_summary
from chinwag.engine.testing.harness import open_harness


@asynccontextmanager
async def running(*jobs: Job) -> AsyncIterator[JobRunner]:
    runner = JobRunner(jobs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        yield runner
        nursery.cancel_scope.cancel()


class Steps:
    """A job's step that notes when it was called, and does what it is told: `outcomes` in order, then LATER."""

    def __init__(self, *outcomes: More | Exception) -> None:
        self.at: list[float] = []
        self._outcomes = list(outcomes)
        self._began = trio.current_time()

    async def __call__(self) -> More:
        self.at.append(round(trio.current_time() - self._began, 6))
        await trio.lowlevel.checkpoint()
        outcome = self._outcomes.pop(0) if self._outcomes else More.LATER
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_a_job_is_woken_by_time(autojump_clock: MockClock) -> None:
    steps = Steps()
    job = Job("a", steps, first_s=5, every_s=100)
    async with running(job):
        await trio.sleep(210)
    assert steps.at == [5, 105, 205]
    assert (job.steps, job.failures) == (3, 0)


async def test_a_job_with_more_to_do_rests_only_a_moment(autojump_clock: MockClock) -> None:
    steps = Steps(More.NOW, More.NOW)
    async with running(Job("a", steps, every_s=100)):
        await trio.sleep(99)
    assert steps.at == [0, REST_S, 2 * REST_S]


async def test_a_nudge_wakes_it_at_once_and_many_nudges_are_one(autojump_clock: MockClock) -> None:
    steps = Steps()
    job = Job("a", steps, first_s=math.inf)
    async with running(job):
        await trio.sleep(10)
        for _ in range(3):
            job.nudge()
        await trio.sleep(10)
        job.nudge()
        await trio.sleep(10)
    assert steps.at == [10, 20]


async def test_a_nudge_before_the_start_or_in_the_middle_of_a_step_is_not_lost(autojump_clock: MockClock) -> None:
    called: list[int] = []

    async def step() -> More:
        called.append(len(called))
        await trio.sleep(1)
        if len(called) == 1:
            job.nudge()  # what it is about may have come after this step has looked
        await trio.sleep(1)
        return More.LATER

    job = Job("a", step, first_s=math.inf)
    job.nudge()
    async with running(job):
        await trio.sleep(100)
    assert called == [0, 1]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), LookupError("a bug")])
async def test_what_a_step_raises_costs_it_a_pause_that_doubles(error: Exception, autojump_clock: MockClock) -> None:
    steps = Steps(error, error, error, More.LATER, error)
    job = Job("a", steps, every_s=1000)
    async with running(job):
        await trio.sleep(2)
        job.nudge()  # whoever nudges a failing job with each commit must not make it hammer the store
        await trio.sleep(0.5)
        assert job.failing
        await trio.sleep(2000)
    assert steps.at == [0, 1, 3, 7, 1007, 1008]
    assert (job.steps, job.failures, job.failing) == (2, 4, False)


async def test_the_pause_is_bounded(autojump_clock: MockClock) -> None:
    steps = Steps(*[StoreUnavailable("away")] * 20)
    async with running(Job("a", steps)):
        await trio.sleep(20 * MOST_RETRY_S)
    assert max(later - sooner for sooner, later in zip(steps.at, steps.at[1:], strict=False)) == MOST_RETRY_S
    assert len(steps.at) == 21


async def test_a_job_that_fails_or_hangs_stops_no_other(autojump_clock: MockClock) -> None:
    steps = Steps()

    async def fail() -> More:
        raise LookupError("a bug")

    async def hang() -> More:
        await trio.sleep_forever()

    async with running(Job("fails", fail), Job("hangs", hang), Job("good", steps, every_s=10)):
        await trio.sleep(25)
    assert steps.at == [0, 10, 20]


async def test_a_step_that_is_going_on_at_the_end_may_finish_and_none_is_begun(autojump_clock: MockClock) -> None:
    done: list[str] = []

    def step(name: str, takes_s: float) -> Callable[[], Awaitable[More]]:
        async def step() -> More:
            await trio.sleep(takes_s)
            done.append(name)
            return More.NOW

        return step

    jobs = (Job("short", step("short", ENDING_S / 2)), Job("later", step("later", 0), first_s=100))
    async with running(*jobs) as runner:
        await wait_all_tasks_blocked()
        runner.stop()
        began = trio.current_time()
        await runner.ended()
        assert trio.current_time() - began == ENDING_S / 2
        await trio.sleep(1000)
    assert done == ["short"]


async def test_an_engine_ends_in_time_though_a_job_hangs(autojump_clock: MockClock) -> None:
    undone: list[str] = []

    async def hang() -> More:
        try:
            await trio.sleep_forever()
        finally:
            undone.append("hangs")

    async with open_harness(jobs=[Job("hangs", hang)]):
        await trio.sleep(1)
        began = trio.current_time()
    assert trio.current_time() - began == ENDING_S
    assert undone == ["hangs"]


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        JobRunner([Job("a", Steps), Job("a", Steps)])  # type: ignore[arg-type]


# --- deliveries: behind a cursor, from the store ----------------------------------------------------------------------


class Deliveries:
    """Delivers a room's summaries, as an example of rows that are due, two at a step."""

    def __init__(self, store: MemoryStore, room_id: RoomId) -> None:
        self.delivered: list[int] = []
        self._store = store
        self._room_id = room_id

    async def step(self) -> More:
        after = int(await self._store.cursor("deliveries") or 0)
        rows = await self._store.summaries(self._room_id, automatic=None, after_us=None, before_us=None, limit=99)
        due = sorted(row.id for row in rows if row.id > after)[:2]
        self.delivered += due
        if due:
            await self._store.commit([SetCursor(name="deliveries", position=str(due[-1]))])
        return More.NOW if len(due) == 2 else More.LATER


async def test_deliveries_go_on_behind_their_cursor_after_a_crash(autojump_clock: MockClock) -> None:
    """What was delivered when the cursor could not be written is delivered once more; nothing else is, and nothing is
    left out."""
    store = MemoryStore()
    async with open_harness(store) as h:
        room = await h.room("tea", await h.join("ann"))
    for n in range(1, 6):
        summary = replace(make_summary(n, room.id, first_us=1, last_us=2), id=SummaryId(n))
        await store.commit([InsertSummary(summary=summary)])
    first = Deliveries(store, room.id)
    assert await first.step() is More.NOW
    store.fail_next_commits(1, StoreUnavailable("killed"))
    with pytest.raises(StoreUnavailable):
        await first.step()
    assert first.delivered == [1, 2, 3, 4]
    second = Deliveries(store, room.id)
    async with running(Job("deliveries", second.step)):
        await trio.sleep(1)
    assert second.delivered == [3, 4, 5]
