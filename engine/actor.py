"""Actors: one task, one bounded mailbox, a turn loop, supervision.

Promises: only the actor's own task touches its state. Every command gets exactly one outcome, whatever happens: a bug
in a turn, a stop while it is queued, a passivation that overlaps with it. Waiting runs one way (session, room, store),
so actors cannot wait for each other in a ring.
"""

import abc
from collections import deque
from typing import ClassVar, Generic, TypeVar

import structlog
import trio

from chinwag.engine.errors import ActorStopped, EngineError, InternalError, Overloaded
from chinwag.engine.mailbox import Ask, Envelope, Mailbox, ReplyTo

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

    def __init__(self, name: str) -> None:
        self.name = name
        self._mailbox: Mailbox[C] = Mailbox(name, self.mailbox_limit)
        self._crashes: deque[float] = deque(maxlen=RESTARTS_ALLOWED)
        self._parked_until = float("-inf")
        self.restarts = 0

    # --- for everyone ---

    @property
    def queued(self) -> int:
        """How many commands wait for the next turn."""
        return len(self._mailbox)

    @property
    def full(self) -> bool:
        """Whether `tell` is refused for want of space (and not because the actor is parked)."""
        return len(self._mailbox) >= self.mailbox_limit

    @property
    def stopped(self) -> bool:
        """True once it takes no more commands; a successor may be started."""
        return self._mailbox.closed

    def tell(self, command: C, reply: ReplyTo | None = None) -> None:
        """Queue a command without waiting. Raises `Overloaded` (full or parked) or `ActorStopped`."""
        if self._parked_until > trio.current_time():
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
        self._mailbox.close()

    # --- for the subclass ---

    @abc.abstractmethod
    async def turn(self, batch: list[Envelope[C]]) -> None:
        """Settle every envelope of the batch. May leave some unsettled only by raising."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Throw the state away; the next turn loads it anew."""

    # --- the loop ---

    async def run(self) -> None:
        """Take turns until stopped and drained. On the way out nothing that is still queued is left without outcome."""
        try:
            while batch := await self._mailbox.take(self.turn_limit):
                await self._supervised(batch)
        finally:
            self._mailbox.refuse_all(ActorStopped(f"{self.name} has stopped"))

    async def _supervised(self, batch: list[Envelope[C]]) -> None:
        """One turn under supervision: a crash costs the command that caused it, and the others are tried again."""
        waiting = batch
        try:
            while waiting:
                if self._parked_until > trio.current_time():
                    _refuse(waiting, Overloaded(f"{self.name} is parked after repeated crashes"))
                    return
                try:
                    await self.turn(waiting)
                    return
                except CommandCrashed as crash:
                    self._restart(crash.__cause__ or crash, command=type(crash.envelope.command).__name__)
                    crash.envelope.refuse(InternalError())
                    waiting = [envelope for envelope in waiting if not envelope.settled]
                except Exception as bug:  # noqa: BLE001 - the supervisor: logged, answered, restarted
                    self._restart(bug, command=None)
                    _refuse(waiting, InternalError())
                    return
        finally:
            _refuse(waiting, ActorStopped(f"{self.name} stopped in the middle of a turn"))

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
