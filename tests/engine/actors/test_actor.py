"""Every ask ends, and a crash costs one command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.actors.actor import PARKED_S, RESTART_WINDOW_S, RESTARTS_ALLOWED, Actor, CommandCrashed
from chinwag.engine.actors.mailbox import Envelope
from chinwag.engine.model.errors import ActorStopped, EngineError, Forbidden, InternalError, Overloaded


class Counter(Actor[str]):
    """Adds up. "boom" is a bug in a command, "bang" one outside of any, "wait" takes until `gate` opens."""

    mailbox_limit: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__("counter")
        self.total = 0
        self.turns: list[list[str]] = []
        self.gate = trio.Event()

    async def turn(self, batch: list[Envelope[str]]) -> None:
        self.turns.append([envelope.command for envelope in batch])
        total = self.total
        answers: list[tuple[Envelope[str], object]] = []
        for envelope in batch:
            match envelope.command:
                case "boom":
                    raise CommandCrashed(envelope) from ValueError("a bug")
                case "bang":
                    raise RuntimeError("a bug somewhere else")
                case "forget":
                    continue  # against the rules: settles nothing
                case "no":
                    answers.append((envelope, Forbidden("no")))
                    continue
                case "wait":
                    await self.gate.wait()
            total += 1
            answers.append((envelope, total))
        self.total = total
        for envelope, outcome in answers:
            if isinstance(outcome, EngineError):
                envelope.refuse(outcome)
            else:
                envelope.answer(outcome)

    def reset(self) -> None:
        self.total = 0


@asynccontextmanager
async def running() -> AsyncIterator[Counter]:
    actor = Counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await wait_all_tasks_blocked()
        yield actor
        nursery.cancel_scope.cancel()


async def outcomes(actor: Counter, *commands: str) -> dict[str, object]:
    """Ask all of it at once, as one turn, and collect what comes back, by command and place."""
    results: dict[str, object] = {}

    async def ask(name: str, command: str) -> None:
        try:
            results[name] = await actor.ask(command)
        except EngineError as error:
            results[name] = type(error)

    async with trio.open_nursery() as nursery:
        for n, command in enumerate(commands):
            nursery.start_soon(ask, f"{command}{n}", command)
    return results


async def test_an_ask_is_answered_or_refused(autojump_clock: MockClock) -> None:
    async with running() as actor:
        assert await actor.ask("add") == 1
        with pytest.raises(Forbidden):
            await actor.ask("no")
        assert await actor.ask("add") == 2


async def test_a_crash_in_one_command_leaves_the_rest_of_its_batch_done(autojump_clock: MockClock) -> None:
    async with running() as actor:
        results = await outcomes(actor, "add", "boom", "add")
        assert results.pop("boom1") is InternalError
        assert sorted(map(str, results.values())) == ["1", "2"]
        assert actor.restarts == 1


async def test_two_bugs_in_one_batch_cost_two_commands(autojump_clock: MockClock) -> None:
    async with running() as actor:
        results = await outcomes(actor, "boom", "add", "boom")
        assert results == {"boom0": InternalError, "add1": 1, "boom2": InternalError}


async def test_a_bug_outside_of_any_command_ends_every_ask_of_the_turn(autojump_clock: MockClock) -> None:
    async with running() as actor:
        results = await outcomes(actor, "add", "bang", "add")
        assert set(results.values()) == {InternalError}
        assert await actor.ask("add") == 1


async def test_a_turn_that_forgets_a_command_does_not_leave_its_asker_waiting(autojump_clock: MockClock) -> None:
    async with running() as actor:
        with pytest.raises(ActorStopped):
            await actor.ask("forget")


async def test_stopping_finishes_what_is_queued_and_takes_nothing_more(autojump_clock: MockClock) -> None:
    async with running() as actor, trio.open_nursery() as nursery:
        answered: dict[str, object] = {}

        async def ask(command: str) -> None:
            answered[command] = await actor.ask(command)

        nursery.start_soon(ask, "wait")
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, "add")
        await wait_all_tasks_blocked()
        actor.stop()
        assert actor.stopped
        with pytest.raises(ActorStopped):
            actor.tell("add")
        actor.gate.set()
        await wait_all_tasks_blocked()
        assert answered == {"wait": 1, "add": 2}


async def test_cancelling_the_actor_ends_asks_in_the_turn_and_in_the_queue(autojump_clock: MockClock) -> None:
    ended: list[str] = []
    actor = Counter()

    async def ask(command: str) -> None:
        with pytest.raises(ActorStopped):
            await actor.ask(command)
        ended.append(command)

    async with trio.open_nursery() as askers, trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        askers.start_soon(ask, "wait")
        await wait_all_tasks_blocked()
        askers.start_soon(ask, "add")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(ended) == ["add", "wait"]


async def test_an_asker_that_gives_up_costs_nothing(autojump_clock: MockClock) -> None:
    async with running() as actor:
        with trio.move_on_after(1):
            await actor.ask("wait")
        actor.gate.set()
        assert await actor.ask("add") == 2  # the abandoned command was done, its late answer fell into the empty slot
        assert actor.restarts == 0


async def test_who_finds_the_mailbox_full_waits_for_space_and_then_gets_in(autojump_clock: MockClock) -> None:
    async with running() as actor:
        actor.tell("wait")
        await wait_all_tasks_blocked()
        for _ in range(actor.mailbox_limit):
            actor.tell("add")
        assert actor.full
        with pytest.raises(Overloaded):
            actor.tell("add")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.wait_space)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            actor.gate.set()
        assert await actor.ask("add") == actor.mailbox_limit + 2


async def test_the_fifth_restart_within_the_window_parks_the_actor_and_time_unparks_it(
    autojump_clock: MockClock,
) -> None:
    async with running() as actor:
        for _ in range(RESTARTS_ALLOWED):
            with pytest.raises(InternalError):
                await actor.ask("boom")
        with pytest.raises(Overloaded):
            await actor.ask("add")
        assert not actor.full  # so nobody waits for space in vain
        await trio.sleep(PARKED_S - 0.001)
        with pytest.raises(Overloaded):
            await actor.ask("add")
        await trio.sleep(0.002)
        assert await actor.ask("add") == 1
        for _ in range(RESTARTS_ALLOWED - 1):
            with pytest.raises(InternalError):
                await actor.ask("boom")
        assert await actor.ask("add") == 1  # the count began afresh


async def test_crashes_spread_over_a_longer_time_do_not_park(autojump_clock: MockClock) -> None:
    async with running() as actor:
        for _ in range(3 * RESTARTS_ALLOWED):
            with pytest.raises(InternalError):
                await actor.ask("boom")
            await trio.sleep(RESTART_WINDOW_S / (RESTARTS_ALLOWED - 1) + 0.01)
        assert await actor.ask("add") == 1


async def test_parking_in_the_middle_of_a_batch_refuses_what_remains_and_what_is_queued(
    autojump_clock: MockClock,
) -> None:
    async with running() as actor:
        for _ in range(RESTARTS_ALLOWED - 1):
            with pytest.raises(InternalError):
                await actor.ask("boom")
        assert await outcomes(actor, "boom", "add") == {"boom0": InternalError, "add1": Overloaded}


async def test_a_parked_actor_can_be_stopped(autojump_clock: MockClock) -> None:
    actor = Counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        for _ in range(RESTARTS_ALLOWED):
            with pytest.raises(InternalError):
                await actor.ask("boom")
        actor.stop()
