"""Actors: one task, one bounded mailbox, a turn loop, supervision.

Promises: one turn at a time touches the state. Every command gets exactly one outcome, whatever happens: a bug in a
turn, a stop while it is queued, a passivation that overlaps with it. Waiting runs one way (session, room, store), so
actors cannot wait for each other in a ring.

A turn is taken in one of two ways. The actor's task takes it (`turn`), and may wait in it. Or, while the task waits for
mail, the turn loop begins it (`step`, `begin`) without waiting, and it ends when its commit does. What cannot begin so,
and all that fails, goes on in the task, under supervision.
"""

import abc
from collections import deque
from typing import ClassVar, Generic, TypeVar

import structlog
import trio

from chinwag.engine.actors.mailbox import Ask, Envelope, Mailbox, ReplyTo
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.model.errors import ActorStopped, EngineError, InternalError, Overloaded

C = TypeVar("C")

log = structlog.get_logger("chinwag.engine")

RESTARTS_ALLOWED = 5
RESTART_WINDOW_S = 10.0
PARKED_S = 30.0
"""A fifth restart within the window parks the actor: it refuses everything for so long, then starts afresh."""


class CommandCrashed(Exception):
    """Raised by a turn when a bug escaped while one certain command was handled; `__cause__` is the bug."""

    def __init__(self, envelope: Envelope[C]) -> None:
        super().__init__(type(envelope.command).__name__)
        self.envelope = envelope


class Actor(abc.ABC, Generic[C]):
    """Base of the engine's actors. A subclass supplies `turn` and `reset`; everything else is the same for all."""

    turn_limit: ClassVar[int] = 1024
    """Commands that one turn takes: what is released together is held in memory together."""
    mailbox_limit: ClassVar[int] = 4096
    """Commands that may wait. Far above a turn's usual size; reaching it means that the store is not keeping up."""

    def __init__(self, name: str, turns: TurnLoop | None = None) -> None:
        """With `turns`, a loop that has to be running, turns that need no waiting cost no task switch."""
        self.name = name
        self._turns = turns
        self._mailbox: Mailbox[C] = Mailbox(name, self.mailbox_limit, None if turns is None else self._on_mail)
        self._begun: list[Envelope[C]] | None = None
        """The turn that `begin` began and that is not over."""
        self._failure: Exception | None = None
        """What a begun turn failed with: the task's to deal with, in the next turn that it takes."""
        self._crashes: deque[float] = deque(maxlen=RESTARTS_ALLOWED)
        self._parked_until: float | None = None
        self.restarts = 0
        self.stopped = False
        """True once it takes no more commands; a successor may be started. (Asked for each command.)"""

    # --- for everyone ---

    @property
    def queued(self) -> int:
        """How many commands wait for the next turn."""
        return len(self._mailbox)

    @property
    def full(self) -> bool:
        """Whether `tell` is refused for want of space (and not because the actor is parked)."""
        return len(self._mailbox) >= self.mailbox_limit

    def tell(self, command: C, reply: ReplyTo | None = None) -> None:
        """Queue a command without waiting. Raises `Overloaded` (full or parked) or `ActorStopped`."""
        if self._parked_until is not None and self._parked():
            raise Overloaded(f"{self.name} is parked after repeated crashes")
        self._mailbox.put(Envelope(command, reply))

    async def ask(self, command: C) -> object:
        """Queue a command and wait for its answer. Raises as `tell` does, and whatever the actor refuses with."""
        slot = Ask()
        self.tell(command, slot)
        return await slot.result()

    async def wait_space(self) -> None:
        """Backpressure for who could not `tell`: return when the mailbox has room again."""
        await self._mailbox.wait_space()

    def stop(self) -> None:
        """Take no more commands; finish what is queued, then end."""
        self.stopped = True
        self._mailbox.close(wake=self._begun is None)  # else its end wakes the task

    # --- for the subclass ---

    @abc.abstractmethod
    async def turn(self, batch: list[Envelope[C]]) -> None:
        """Settle every envelope of the batch. May leave some unsettled only by raising."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Throw the state away; the next turn loads it anew."""

    def begin(self, batch: list[Envelope[C]]) -> bool:  # noqa: ARG002
        """Begin a turn that needs no waiting, and return True; `end` or `fail` is called when it is over, maybe before
        this returns. False: it has to wait for something, nothing has happened, and `turn` shall take it.

        Raising is the same as `fail`.
        """
        return False

    def end(self) -> None:
        """The turn that was begun is over, and every command in it has its outcome."""
        self._begun = None
        if self.stopped:
            self._mailbox.wake()
        elif self._mailbox and self._turns is not None:
            self._turns.add(self)

    def fail(self, failure: Exception) -> None:
        """The turn that was begun cannot be finished. The task goes on with it: `turn` begins with `_failure`."""
        if self._begun is not None and self._mailbox.awaited:  # else the task is about to end, and refuses it
            self._failure = failure
            self._mailbox.wake(self._begun)
            self._begun = None

    # --- turns that the loop begins ---

    def _on_mail(self) -> None:
        if self._begun is None and self._turns is not None:
            self._turns.add(self)

    def step(self) -> None:
        """Take what is queued as a turn, if none is going on. Called by the turn loop."""
        if self._begun is not None or not self._mailbox.awaited:
            return  # whoever is at it looks into the mailbox afterwards
        if self._parked_until is not None:
            self._mailbox.wake()
            return
        batch = self._mailbox.grab(self.turn_limit)
        if not batch:
            return
        self._begun = batch
        try:
            begun = self.begin(batch)
        except Exception as bug:  # noqa: BLE001 - the supervisor's, in the task
            self.fail(bug)
        else:
            if not begun:
                self._begun = None
                self._mailbox.wake(batch)

    # --- the loop ---

    async def run(self) -> None:
        """Take turns until stopped and drained. On the way out nothing that is still queued is left without outcome."""
        try:
            while batch := await self._mailbox.take(self.turn_limit):
                await self._supervised(batch)
        finally:
            self.stopped = True
            gone = ActorStopped(f"{self.name} has stopped")
            self._mailbox.refuse_all(gone)
            _refuse(self._begun or [], gone)

    async def _supervised(self, batch: list[Envelope[C]]) -> None:
        """One turn under supervision: a crash costs the command that caused it, and the others are tried again."""
        waiting = batch
        try:
            while waiting:
                if self._parked():
                    _refuse(waiting, Overloaded(f"{self.name} is parked after repeated crashes"))
                    return
                try:
                    await self.turn(waiting)
                    return
                except CommandCrashed as crash:
                    self._restart(crash.__cause__ or crash, command=type(crash.envelope.command).__name__)
                    crash.envelope.refuse(InternalError())
                    waiting = [envelope for envelope in waiting if not envelope.done]
                except Exception as bug:  # noqa: BLE001 - the supervisor: logged, answered, restarted
                    self._restart(bug, command=None)
                    _refuse(waiting, InternalError())
                    return
        finally:
            _refuse(waiting, ActorStopped(f"{self.name} stopped in the middle of a turn"))

    def _parked(self) -> bool:
        if self._parked_until is not None and self._parked_until <= trio.current_time():
            self._parked_until = None
        return self._parked_until is not None

    def _restart(self, bug: BaseException, *, command: str | None) -> None:
        log.error("actor crashed", actor=self.name, command=command, exc_info=bug)
        self.restarts += 1
        self.reset()
        now = trio.current_time()
        self._crashes.append(now)
        if len(self._crashes) == RESTARTS_ALLOWED and now - self._crashes[0] <= RESTART_WINDOW_S:
            log.error("actor parked", actor=self.name, seconds=PARKED_S)
            self._parked_until = now + PARKED_S
            self._crashes.clear()


def _refuse(envelopes: list[Envelope[C]], error: EngineError) -> None:
    for envelope in envelopes:
        envelope.refuse(error)
