"""A bounded mailbox with one reader, and the envelopes that travel in it.

Everything here runs on the event loop's thread between two checkpoints, so there is no lock. The reader is parked by
`trio.lowlevel` itself and not by an event object: waking it is the most frequent act of a busy engine.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

import msgspec
import outcome
import trio

from chinwag.engine.model.errors import ActorStopped, EngineError, Overloaded

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)


class ReplyTo(Protocol):
    """Where the outcome of a command goes. Exactly one of the two is called, once, and must not raise or wait."""

    def answer(self, value: object) -> None:
        """It was done; this is what came of it."""
        ...

    def refuse(self, error: EngineError) -> None:
        """It was not done, for this reason."""
        ...


class Ask:
    """The reply slot of an `ask`. An asker that gives up just leaves it: a late answer lands here and is dropped."""

    __slots__ = ("_done", "_error", "_value")

    def __init__(self) -> None:
        self._done = trio.Event()
        self._value: object = None
        self._error: EngineError | None = None

    def answer(self, value: object) -> None:
        """See `ReplyTo`."""
        self._value = value
        self._done.set()

    def refuse(self, error: EngineError) -> None:
        """See `ReplyTo`."""
        self._error = error
        self._done.set()

    async def result(self) -> object:
        """Wait for the outcome: the answer, or the refusal raised."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value


class Envelope(msgspec.Struct, Generic[C]):
    """A command and where its outcome goes (None: nobody waits). Settling it twice keeps the first outcome."""

    command: C
    reply: ReplyTo | None = None
    done: bool = False

    def answer(self, value: object) -> None:
        """Give the command its answer, unless it has an outcome already."""
        if not self.done:
            self.done = True
            if self.reply is not None:
                self.reply.answer(value)

    def refuse(self, error: EngineError) -> None:
        """Give the command a refusal, unless it has an outcome already."""
        if not self.done:
            self.done = True
            if self.reply is not None:
                self.reply.refuse(error)


class Mailbox(Generic[C]):
    """A bounded queue of envelopes with one reader, which takes many at once."""

    __slots__ = ("_limit", "_on_mail", "_queue", "_reader", "_waiting_for_space", "closed", "name")

    def __init__(self, name: str, limit: int, on_mail: Callable[[], None] | None = None) -> None:
        """`limit`: how many envelopes it holds before `put` refuses.

        `on_mail` is called instead of waking a waiting reader, when the first envelope comes. It sees to it that
        somebody takes what is queued: `grab`, or the reader after a `wake`.
        """
        self.name = name
        self._limit = limit
        self._on_mail = on_mail
        self._queue: deque[Envelope[C]] = deque()
        self._reader: trio.lowlevel.Task | None = None
        self._waiting_for_space = trio.lowlevel.ParkingLot()
        self.closed = False
        """Whether it takes nothing more."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def awaited(self) -> bool:
        """Whether the reader waits in `take`."""
        return self._reader is not None

    def put(self, envelope: Envelope[C]) -> None:
        """Queue without waiting. Raises `Overloaded` when full, `ActorStopped` when closed."""
        if self.closed:
            raise ActorStopped(f"{self.name} has stopped")
        waiting = len(self._queue)
        if waiting >= self._limit:
            raise Overloaded(f"the mailbox of {self.name} is full")
        self._queue.append(envelope)
        if not waiting and self._reader is not None:
            if self._on_mail is None:
                self.wake()
            else:
                self._on_mail()

    async def wait_space(self) -> None:
        """Return when the mailbox has room or is closed. It may be full again when the caller comes to `put`."""
        await trio.lowlevel.checkpoint()  # always: who loops over `put` and this must not hold up the event loop
        while len(self._queue) >= self._limit and not self.closed:
            await self._waiting_for_space.park()

    async def take(self, most: int) -> list[Envelope[C]]:
        """Wait for something, then take it in order, `most` at most. Empty: closed, and nothing is left."""
        if not self._queue and not self.closed:
            self._reader = trio.lowlevel.current_task()

            def give_up(_: object) -> trio.lowlevel.Abort:
                self._reader = None
                return trio.lowlevel.Abort.SUCCEEDED

            handed = cast("list[Envelope[C]] | None", await trio.lowlevel.wait_task_rescheduled(give_up))
            if handed is not None:
                return handed
        return self.grab(most)

    def wake(self, batch: list[Envelope[C]] | None = None) -> None:
        """Let a waiting reader go on, with these envelopes (which were grabbed) or what is queued."""
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader, outcome.Value(batch))
            self._reader = None

    def grab(self, most: int) -> list[Envelope[C]]:
        """Take what is queued, in order, `most` at most, without waiting: maybe nothing."""
        queue = self._queue
        if len(queue) <= most:
            batch = list(queue)
            queue.clear()
        else:
            batch = [queue.popleft() for _ in range(most)]
        if self._waiting_for_space:
            self._waiting_for_space.unpark_all()
        return batch

    def close(self, *, wake: bool = True) -> None:
        """Take nothing more. The reader still gets what is queued; without `wake` it is to be woken later."""
        self.closed = True
        self._waiting_for_space.unpark_all()
        if wake:
            self.wake()

    def refuse_all(self, error: EngineError) -> None:
        """Close, and refuse everything that nobody will read any more."""
        self.close()
        while self._queue:
            self._queue.popleft().refuse(error)
