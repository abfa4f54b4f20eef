"""Work that is shared out fairly among those who ask for it."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.model.errors import Overloaded
from chinwag.engine.workers.lanes import FairLane


class Work:
    """Pieces of work on a lane that end when the test says so."""

    def __init__(self, lane: FairLane, nursery: trio.Nursery) -> None:
        self._lane = lane
        self._nursery = nursery
        self.begun: list[str] = []
        self.refused: list[str] = []
        self._done: dict[str, trio.Event] = {}

    async def ask(self, key: str, name: str, group: str | None = None) -> trio.CancelScope:
        scope = trio.CancelScope()
        self._done[name] = trio.Event()

        async def work() -> None:
            with scope:
                try:
                    async with self._lane.turn(key, group=group):
                        self.begun.append(name)
                        await self._done[name].wait()
                except Overloaded:
                    self.refused.append(name)

        self._nursery.start_soon(work)
        await wait_all_tasks_blocked()
        return scope

    async def end(self, name: str) -> None:
        self._done[name].set()
        await wait_all_tasks_blocked()


async def test_keys_take_turns_so_a_crowd_waits_behind_itself() -> None:
    async with trio.open_nursery() as nursery:
        work = Work(FairLane("work", at_once=1, waiting=10, waiting_per_key=10), nursery)
        for name in ("a1", "a2", "a3", "a4"):
            await work.ask("a", name)
        await work.ask("b", "b1")
        for name in ("a1", "a2", "b1", "a3", "a4"):
            await work.end(name)
        assert work.begun == ["a1", "a2", "b1", "a3", "a4"]


async def test_a_key_has_so_many_places_and_no_more() -> None:
    async with trio.open_nursery() as nursery:
        work = Work(FairLane("work", at_once=1, waiting=10, waiting_per_key=2), nursery)
        for name in ("a1", "a2", "a3", "a4"):
            await work.ask("a", name)
        assert work.refused == ["a4"]
        for name in ("a1", "a2", "a3"):
            await work.end(name)


async def test_when_all_places_are_taken_the_longest_queue_gives_one_up() -> None:
    async with trio.open_nursery() as nursery:
        lane = FairLane("work", at_once=1, waiting=3, waiting_per_key=3)
        work = Work(lane, nursery)
        for name in ("a0", "a1", "a2", "a3"):
            await work.ask("a", name)
        await work.ask("b", "b1")
        assert work.refused == ["a3"]
        await work.ask("c", "c1")
        assert work.refused == ["a3", "a2"]
        await work.ask("d", "d1")  # everybody has one place, and so would d: nobody has more than the newcomer
        assert work.refused == ["a3", "a2", "d1"]
        assert (lane.running, lane.waiting) == (1, 3)
        for name in ("a0", "a1", "b1", "c1"):
            await work.end(name)
        assert (lane.running, lane.waiting) == (0, 0)


async def test_who_gives_up_leaves_no_place_taken() -> None:
    async with trio.open_nursery() as nursery:
        lane = FairLane("work", at_once=1, waiting=3, waiting_per_key=3)
        work = Work(lane, nursery)
        await work.ask("a", "a1")
        waiting = await work.ask("a", "a2")
        await work.ask("b", "b1")
        waiting.cancel()
        await wait_all_tasks_blocked()
        assert (lane.running, lane.waiting) == (1, 1)
        await work.end("a1")
        assert work.begun == ["a1", "b1"]
        await work.end("b1")
        assert (lane.running, lane.waiting) == (0, 0)


async def test_who_gives_up_in_the_moment_of_admission_hands_it_on() -> None:
    lane = FairLane("work", at_once=1, waiting=3, waiting_per_key=3)
    begun: list[str] = []

    async def work(name: str, scope: trio.CancelScope) -> None:
        with scope:
            async with lane.turn(name):
                begun.append(name)

    async with trio.open_nursery() as nursery:
        async with lane.turn("first"):
            scopes = {name: trio.CancelScope() for name in ("b", "c")}
            for name, scope in scopes.items():
                nursery.start_soon(work, name, scope)
            await wait_all_tasks_blocked()
        scopes["b"].cancel()  # admitted just now, and not yet awake
    assert "c" in begun
    assert (lane.running, lane.waiting) == (0, 0)


async def test_the_end_of_work_by_an_error_frees_its_place() -> None:
    lane = FairLane("work", at_once=1, waiting=0, waiting_per_key=0)
    with pytest.raises(ValueError, match="broken"):
        async with lane.turn("a"):
            raise ValueError("broken")
    async with lane.turn("a"):
        assert lane.running == 1
        with pytest.raises(Overloaded):
            async with lane.turn("b"):
                pass


async def test_the_keys_of_a_group_share_its_turns() -> None:
    async with trio.open_nursery() as nursery:
        work = Work(FairLane("work", at_once=1, waiting=10, waiting_per_key=10), nursery)
        await work.ask("x", "first")
        for name in ("a1", "a2", "b1", "b2"):
            await work.ask(name[0], name, group="crowd")
        await work.ask("c", "c1")
        await work.ask("c", "c2")
        for name in ("first", "a1", "c1", "b1", "c2", "a2", "b2"):
            await work.end(name)
        assert work.begun == ["first", "a1", "c1", "b1", "c2", "a2", "b2"]


async def test_a_group_with_the_most_waiting_gives_places_up_whatever_its_keys_have() -> None:
    async with trio.open_nursery() as nursery:
        lane = FairLane("work", at_once=1, waiting=4, waiting_per_key=4)
        work = Work(lane, nursery)
        await work.ask("x", "first")
        for name in ("a1", "b1", "c1", "c2"):
            await work.ask(name[0], name, group="crowd")
        await work.ask("d", "d1")
        await work.ask("d", "d2")
        assert work.refused == ["c2", "a1"]
        await work.ask("b", "b2", group="crowd")  # no more than the others have
        assert work.refused == ["c2", "a1", "b2"]
        for name in ("first", "b1", "d1", "c1", "d2"):
            await work.end(name)
        assert (lane.running, lane.waiting, lane.refused) == (0, 0, 3)
