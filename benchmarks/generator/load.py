"""The load loop: rooms whose first member keeps messages in flight, and everybody's reading.

One thread, one epoll, one buffer. Per read of a socket it does one system call, one comparison of bytes and two or
three look-ups; all that costs more happens once per message and not once per delivery.
"""

import select
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.accounting import Faults, Member, RoomBooks
from chinwag.benchmarks.generator.frames import CLOSE, PING, PONG, NumberedFrames, masked_frame
from chinwag.benchmarks.generator.sockets import Wire

BUFFER_BYTES: Final = 1 << 18
STALL_S: Final = 10.0
"""Nothing arrives for so long, and something is missing: it is lost."""
LINGER_S: Final = 0.05
"""How long to listen on at the end for what comes twice."""
_TICK_S: Final = 0.1
_SOCKET_IO_PING: Final = b"2"
_SOCKET_IO_PONG: Final = masked_frame(b"3")


@dataclass(slots=True)
class Outcome:
    """What one run of the loop saw."""

    messages: int
    """Delivered to every member."""
    deliveries: int
    seconds: float
    latencies_s: "array[float]"
    """From send to last delivery, one per message, in the order of completion."""
    moments_s: "array[float]"
    """When each of them was complete, since the start."""
    faults: Faults
    complaints: list[str]
    """What the server said that is an error, the first few."""
    closed: int
    """Connections that the server ended."""


class Speaker:
    """A room under load: its books, and who sends."""

    __slots__ = ("books", "frames", "sender", "sent_at", "window", "wire")

    def __init__(self, books: RoomBooks, sender: Member, wire: Wire, frames: NumberedFrames, window: int) -> None:
        self.books = books
        self.sender = sender
        self.wire = wire
        self.frames = frames
        self.window = window
        self.sent_at: array[float] = array("d")


@dataclass(slots=True)
class _Seat:
    """Whatever the loop needs to know of one connection."""

    wire: Wire
    member: Member
    speaker: Speaker
    sends: bool


@dataclass(slots=True)
class Load:
    """Rooms and their connections, ready to run. Add rooms, then `run` once."""

    on_progress: Callable[[float, int], None] | None = None
    """Called about ten times a second with the seconds since the start and the messages that are complete."""
    stall_s: float = STALL_S
    _seats: dict[int, _Seat] = field(default_factory=dict)
    _speakers: list[Speaker] = field(default_factory=list)
    _complaints: list[str] = field(default_factory=list)
    _by_member: dict[int, Wire] = field(default_factory=dict)

    def add_room(self, wires: Sequence[Wire], frames: NumberedFrames, window: int) -> None:
        """The first of the members keeps `window` messages in flight: sent, and not yet back at itself."""
        books = RoomBooks(self._on_other)
        members = [books.join() for _ in wires]
        speaker = Speaker(books, members[0], wires[0], frames, window)
        self._speakers.append(speaker)
        for wire, member in zip(wires, members, strict=True):
            self._seats[wire.socket.fileno()] = _Seat(wire, member, speaker, member is members[0])
            self._by_member[id(member)] = wire

    def add_quiet(self, wires: Sequence[Wire]) -> None:
        """Connections that only have to stay: they are read, and their pings answered."""
        if not wires:
            return
        books = RoomBooks(self._on_other)
        nothing = Speaker(books, books.join(), wires[0], NumberedFrames(b"", b""), 0)
        for wire in wires:
            member = Member(books, position=-1)
            self._seats[wire.socket.fileno()] = _Seat(wire, member, nothing, False)
            self._by_member[id(member)] = wire

    def run(self, *, seconds: float | None = None, messages: int | None = None) -> Outcome:
        """Send for so long, or so many in each room, then wait for the last delivery."""
        if (seconds is None) == (messages is None):
            raise ValueError("either seconds or messages")
        limit = messages if messages is not None else 10**8
        latencies, moments = array("d"), array("d")
        buffer = bytearray(BUFFER_BYTES)
        view = memoryview(buffer)
        clock = time.perf_counter
        seats, speakers = self._seats, self._speakers
        closed = 0
        with select.epoll() as poll:
            for fd in seats:
                poll.register(fd, select.EPOLLIN)
            started = last_news = finished = clock()
            next_tick = started + _TICK_S
            deadline = started + seconds if seconds is not None else float("inf")
            for speaker in speakers:
                self._greet(speaker)
                self._send(speaker, min(speaker.window, limit), poll, clock())
            unfinished = len(speakers)
            sending = True
            while unfinished:
                ready = poll.poll(_TICK_S)
                now = clock()
                if sending and now >= deadline:
                    sending = False
                    limit = 0
                    unfinished = sum(each.books.complete < each.books.sent for each in speakers)
                if now >= next_tick:
                    next_tick = now + _TICK_S
                    if self.on_progress is not None:
                        self.on_progress(now - started, len(latencies))
                    if now - last_news > self.stall_s:
                        break
                for fd, event in ready:
                    seat = seats[fd]
                    if event & select.EPOLLOUT and seat.wire.flush():
                        poll.modify(fd, select.EPOLLIN)
                    if not event & ~select.EPOLLOUT:
                        continue
                    try:
                        size = seat.wire.socket.recv_into(buffer)
                    except BlockingIOError:
                        continue
                    except OSError:
                        size = 0
                    if not size:
                        poll.unregister(fd)
                        del seats[fd]
                        closed += 1
                        continue
                    speaker = seat.speaker
                    books = speaker.books
                    before = books.complete
                    if books.feed(seat.member, view[:size]):
                        now = last_news = clock()
                        sent_at = speaker.sent_at
                        complete = books.complete
                        latencies.extend([now - at for at in sent_at[before:complete]])
                        moments.extend([now - started] * (complete - before))
                        if complete == books.sent and books.sent >= limit:
                            unfinished -= 1
                            finished = now
                    if seat.sends:
                        goal = min(limit, seat.member.level + speaker.window)
                        if goal > books.sent:
                            self._send(speaker, goal, poll, clock())
            else:
                finished = max(finished, last_news)
            self._listen_on(poll, buffer, LINGER_S)
        faults = Faults()
        for speaker in speakers:
            faults.add(speaker.books.faults())
        return Outcome(
            messages=len(latencies),
            deliveries=sum(speaker.books.delivered() for speaker in speakers),
            seconds=(last_news if unfinished else finished) - started,
            latencies_s=latencies,
            moments_s=moments,
            faults=faults,
            complaints=self._complaints,
            closed=closed,
        )

    def watch(self, seconds: float) -> int:
        """Send nothing, read and answer pings for so long; returns how many connections the server ended."""
        before = len(self._seats)
        with select.epoll() as poll:
            for fd in self._seats:
                poll.register(fd, select.EPOLLIN)
            self._listen_on(poll, bytearray(BUFFER_BYTES), seconds)
        return before - len(self._seats)

    def _greet(self, speaker: Speaker) -> None:
        """What came behind a handshake is read first."""
        for member in speaker.books.members:
            wire = self._by_member[id(member)]
            if wire.rest:
                data, wire.rest = wire.rest, b""
                speaker.books.feed(member, memoryview(data))

    def _send(self, speaker: Speaker, goal: int, poll: select.epoll, now: float) -> None:
        books = speaker.books
        first = books.sent
        books.sent = goal
        speaker.sent_at.extend([now] * (goal - first))
        if not speaker.wire.send(speaker.frames.batch(first, goal)):
            poll.modify(speaker.wire.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _listen_on(self, poll: select.epoll, buffer: bytearray, seconds: float) -> None:
        """Give what should not come time to come all the same."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            for fd, _ in poll.poll(left):
                seat = self._seats[fd]
                try:
                    size = seat.wire.socket.recv_into(buffer)
                except BlockingIOError:
                    continue
                except OSError:
                    size = 0
                if size:
                    seat.speaker.books.feed(seat.member, memoryview(buffer)[:size])
                else:
                    poll.unregister(fd)
                    del self._seats[fd]

    def _on_other(self, member: Member, opcode: int, payload: bytes) -> None:
        wire = self._by_member[id(member)]
        if opcode == PING:
            wire.send(masked_frame(payload, PONG))
        elif payload == _SOCKET_IO_PING:
            wire.send(_SOCKET_IO_PONG)
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            self._complain(f"closed with {code} {payload[2:].decode('utf-8', 'replace')}")
        elif b'"error"' in payload:
            self._complain(payload[:200].decode("utf-8", "replace"))

    def _complain(self, text: str) -> None:
        if len(self._complaints) < 5:
            self._complaints.append(text)


def insist(outcome: Outcome) -> None:
    """Raise BenchError when nothing at all was delivered: then there is nothing to report."""
    if not outcome.messages:
        why = "; ".join(outcome.complaints) or f"{outcome.faults}; {outcome.closed} connections ended by the server"
        raise BenchError(f"no message arrived everywhere: {why}")
