"""An actor whose turns the loop begins, under everything that can happen to it in any order."""

import random

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.actors.actor import PARKED_S, Actor, CommandCrashed
from chinwag.engine.actors.mailbox import Envelope
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.model.errors import ActorStopped, EngineError, Overloaded
from tests.examples import seeds

STEPS = 150
WAITS, CRASHES, BREAKS, FAILS_LATER = range(4)
"""What a command does: needs the task, fails by itself, fails its turn, and fails in the task. Any other is fine."""
COMMANDS = 24


class Slot:
    def __init__(self) -> None:
        self.outcomes: list[object] = []

    def answer(self, value: object) -> None:
        self.outcomes.append(value)

    def refuse(self, error: EngineError) -> None:
        self.outcomes.append(error)


class Chaos(Actor[int]):
    """Its begun turns end, or fail, at once or when the test says so; while they do, it is told more."""

    turn_limit = 3
    mailbox_limit = 10

    def __init__(self, turns: TurnLoop, dice: random.Random) -> None:
        super().__init__("chaos", turns)
        self.slots: list[Slot] = []
        self.open: list[Envelope[int]] | None = None
        self._dice = dice
        self._taking = False

    def say(self) -> bool:
        slot = Slot()
        try:
            self.tell(self._dice.randrange(COMMANDS), slot)
        except (Overloaded, ActorStopped):
            return False
        self.slots.append(slot)
        return True

    def begin(self, batch: list[Envelope[int]]) -> bool:
        assert self.open is None
        assert not self._taking
        for envelope in batch:
            if envelope.command in (WAITS, FAILS_LATER):
                return False
            if envelope.command == CRASHES:
                raise CommandCrashed(envelope) from ValueError("a bug")
            if envelope.command == BREAKS:
                raise ValueError("another bug")
        self.open = batch
        if self._dice.random() < 0.4:
            self.finish()
        return True

    def finish(self) -> None:
        """The commit is done, or has failed."""
        batch, self.open = self.open or [], None
        if self._dice.random() < 0.1:
            self.fail(RuntimeError("the store has a bug"))
            return
        for envelope in batch:
            envelope.answer(None)
            if self._dice.random() < 0.3:
                self.say()
        if self._dice.random() < 0.03:
            self.stop()
        self.end()

    async def turn(self, batch: list[Envelope[int]]) -> None:
        assert self.open is None
        assert not self._taking
        self._taking = True
        try:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            for envelope in batch:
                if self._dice.random() < 0.3:
                    await trio.lowlevel.checkpoint()
                if envelope.command == FAILS_LATER:
                    raise CommandCrashed(envelope) from ValueError("a bug")
                envelope.answer(None)
        finally:
            self._taking = False

    def reset(self) -> None:
        pass


@seeds(40)
async def test_every_command_has_one_outcome_and_the_actor_lives_until_it_is_stopped(
    autojump_clock: MockClock, seed: int
) -> None:
    dice = random.Random(seed)
    turns = TurnLoop()
    actor = Chaos(turns, dice)
    life = trio.CancelScope()
    over = trio.Event()

    async def run() -> None:
        with life:
            await actor.run()
        over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.run)
        nursery.start_soon(run)
        for _ in range(STEPS):
            what = dice.random()
            if what < 0.5:
                actor.say()
            elif what < 0.7:
                if actor.open is not None:
                    actor.finish()
            elif what < 0.9:
                await trio.lowlevel.checkpoint()
            elif what < 0.92:
                await trio.sleep(dice.choice((1.0, PARKED_S + 1.0)))
            elif what < 0.925:
                actor.stop()
            elif what < 0.93:
                life.cancel()
            else:
                await wait_all_tasks_blocked()
        if not actor.stopped:
            await _settle(actor)
            await trio.sleep(PARKED_S + 1.0)
            assert actor.stopped or actor.say()
        actor.stop()
        await _settle(actor)
        assert over.is_set()
        outcomes = [slot.outcomes for slot in actor.slots]
        assert {len(each) for each in outcomes} <= {1}
        gone = [each for [each] in outcomes if isinstance(each, ActorStopped)]
        assert life.cancelled_caught or not gone, "who is stopped finishes what was queued"
        nursery.cancel_scope.cancel()


async def _settle(actor: Chaos) -> None:
    """Let every turn come to its end."""
    await wait_all_tasks_blocked()
    while actor.open is not None:
        actor.finish()
        await wait_all_tasks_blocked()
