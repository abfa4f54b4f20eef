"""Turns that the loop begins keep every promise of an actor: one outcome for each command, one turn at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.actors.actor import Actor, CommandCrashed
from chinwag.engine.actors.mailbox import Envelope
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.model.errors import ActorStopped, EngineError, InternalError


class Scribe(Actor[str]):
    """Its turns begin at once and end when the test says so. "slow" has to wait, "boom" is a bug while beginning."""

    def __init__(self, turns: TurnLoop) -> None:
        super().__init__("scribe", turns)
        self.begun: list[list[str]] = []
        self.taken: list[list[str]] = []
        self._open: list[Envelope[str]] = []

    def begin(self, batch: list[Envelope[str]]) -> bool:
        commands = [envelope.command for envelope in batch]
        for envelope in batch:
            if envelope.command == "slow":
                return False
            if envelope.command == "boom":
                raise CommandCrashed(envelope) from ValueError("a bug")
        self.begun.append(commands)
        self._open = batch
        return True

    def finish(self) -> None:
        """The commit is done."""
        for envelope in self._open:
            envelope.answer(envelope.command.upper())
        self.end()

    async def turn(self, batch: list[Envelope[str]]) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        await trio.lowlevel.checkpoint()
        self.taken.append([envelope.command for envelope in batch])
        for envelope in batch:
            envelope.answer(envelope.command.upper())

    def reset(self) -> None:
        pass


class Desk:
    """A scribe, and what its askers got."""

    def __init__(self, scribe: Scribe, nursery: trio.Nursery) -> None:
        self.scribe = scribe
        self.outcomes: dict[str, object] = {}
        self._nursery = nursery

    async def tell(self, *commands: str) -> None:
        """Ask all of it at once, and let everybody do what they can."""
        for command in commands:
            self._nursery.start_soon(self._ask, command)
        await wait_all_tasks_blocked()

    async def _ask(self, command: str) -> None:
        try:
            self.outcomes[command] = await self.scribe.ask(command)
        except EngineError as error:
            self.outcomes[command] = type(error)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    turns = TurnLoop()
    scribe = Scribe(turns)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.run)
        nursery.start_soon(scribe.run)
        await wait_all_tasks_blocked()
        yield Desk(scribe, nursery)
        nursery.cancel_scope.cancel()


async def test_what_is_queued_together_is_one_turn_and_what_comes_meanwhile_the_next(
    autojump_clock: MockClock,
) -> None:
    async with desk() as d:
        await d.tell("a", "b")
        await d.tell("c")
        await d.tell("d")
        assert [sorted(turn) for turn in d.scribe.begun] == [["a", "b"]]
        assert d.outcomes == {}
        d.scribe.finish()
        await wait_all_tasks_blocked()
        assert d.outcomes == {"a": "A", "b": "B"}
        assert d.scribe.begun[1:] == [["c", "d"]]
        d.scribe.finish()
        await wait_all_tasks_blocked()
        assert d.outcomes.keys() == {"a", "b", "c", "d"}
        assert d.scribe.taken == []


async def test_a_turn_that_has_to_wait_is_the_tasks_and_the_next_one_is_begun_by_the_loop_again(
    autojump_clock: MockClock,
) -> None:
    async with desk() as d:
        await d.tell("slow")
        assert d.scribe.taken == [["slow"]]
        await d.tell("a")
        assert d.scribe.begun == [["a"]]
        d.scribe.finish()
        await wait_all_tasks_blocked()
        assert d.outcomes == {"slow": "SLOW", "a": "A"}


async def test_a_bug_in_beginning_costs_one_command(autojump_clock: MockClock) -> None:
    async with desk() as d:
        await d.tell("a", "boom", "b")
        assert d.outcomes == {"a": "A", "boom": InternalError, "b": "B"}
        assert d.scribe.restarts == 1


async def test_a_begun_turn_that_fails_goes_on_in_the_task_without_what_came_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with desk() as d:
        await d.tell("a")
        await d.tell("b")
        d.scribe.fail(RuntimeError("the store has a bug"))
        await wait_all_tasks_blocked()
        assert d.outcomes == {"a": InternalError, "b": "B"}


async def test_stopping_waits_for_the_begun_turn_and_finishes_what_is_queued(autojump_clock: MockClock) -> None:
    async with desk() as d:
        await d.tell("a")
        await d.tell("b")
        d.scribe.stop()
        await wait_all_tasks_blocked()
        assert d.outcomes == {}
        with pytest.raises(ActorStopped):
            d.scribe.tell("c")
        d.scribe.finish()
        await wait_all_tasks_blocked()
        assert d.outcomes == {"a": "A", "b": "B"}


async def test_cancelling_the_task_ends_the_asks_of_a_begun_turn_and_its_late_end_does_no_harm(
    autojump_clock: MockClock,
) -> None:
    turns = TurnLoop()
    scribe = Scribe(turns)
    async with trio.open_nursery() as askers, trio.open_nursery() as nursery:
        nursery.start_soon(turns.run)
        nursery.start_soon(scribe.run)
        await wait_all_tasks_blocked()
        d = Desk(scribe, askers)
        await d.tell("a")
        await d.tell("b")
        nursery.cancel_scope.cancel()
    assert d.outcomes == {"a": ActorStopped, "b": ActorStopped}
    scribe.finish()
    scribe.fail(RuntimeError("later still"))


async def test_a_step_that_fails_does_not_keep_the_others_from_theirs(autojump_clock: MockClock) -> None:
    stepped: list[str] = []

    class Broken:
        def step(self) -> None:
            raise RuntimeError("a bug")

    class Sound:
        def step(self) -> None:
            stepped.append("sound")

    turns = TurnLoop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.run)
        await wait_all_tasks_blocked()
        turns.add(Broken())
        turns.add(Sound())
        await wait_all_tasks_blocked()
        turns.add(Sound())
        await wait_all_tasks_blocked()
        assert stepped == ["sound", "sound"]
        nursery.cancel_scope.cancel()
