"""HTTP load: connections kept alive, each with one request under way at a time.

Requests are bytes made beforehand, but for a number of fixed width in them. Answers are read whole, by their length,
and looked at by whoever asked.
"""

import re
import select
import socket
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.sockets import TIMEOUT_S

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BUFFER_BYTES: Final = 1 << 18
_TICK_S: Final = 0.1
STALL_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request on the wire, and the status that its answer should have."""

    data: bytes
    status: int
    kind: str = ""
    number: int = -1


def request(
    method: str, path: str, *, host: str, token: str = "", body: bytes = b"", headers: Sequence[str] = ()
) -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Caller:
    """One connection. `script(caller)` gives its next request, None when it has no more."""

    __slots__ = ("_buffer", "_need", "asked_at", "current", "name", "script", "socket")

    def __init__(self, host: str, port: int, script: "Callable[[Caller], Request | None]", name: int = 0) -> None:
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.script = script
        self.name = name
        self.current: Request | None = None
        self.asked_at = 0.0
        self._buffer = b""
        self._need = 0  # how long the buffer is when the answer is whole; 0 before its head is there

    def ask(self, now: float) -> bool:
        """Send the next request; False when there is none."""
        self.current = self.script(self)
        if self.current is None:
            return False
        self.asked_at = now
        self.socket.sendall(self.current.data)  # blocks only when a request is larger than the socket's buffer
        return True

    def read(self) -> tuple[int, bytes] | None:
        """Take what came; the answer's status and body once it is whole. Raises BenchError when the server hangs up."""
        data = self.socket.recv(_BUFFER_BYTES)
        if not data:
            raise BenchError("the server ended a connection that should be kept alive")
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if not self._need:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            found = _LENGTH.search(buffer, 0, end + 2)
            length = int(found[1]) if found else 0
            if found is None and buffer[9:12] not in (b"204", b"304"):
                raise BenchError("the server answers without Content-Length")
            self._need = end + 4 + length
        if len(buffer) < self._need:
            return None
        body_at = buffer.find(b"\r\n\r\n") + 4
        body = buffer[body_at : self._need]
        self._buffer = buffer[self._need :]
        self._need = 0
        return int(buffer[9:12]), body


@dataclass(slots=True)
class Answers:
    """What came of a run of calls."""

    count: int = 0
    seconds: float = 0.0
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    moments_s: "array[float]" = field(default_factory=lambda: array("d"))
    complaints: list[str] = field(default_factory=list)
    unexpected: int = 0


def run_calls(
    callers: Sequence[Caller],
    *,
    seconds: float | None = None,
    on_answer: Callable[[Caller, Request, bytes, float], None] | None = None,
    on_progress: Callable[[float, int], None] | None = None,
    readers: Mapping[int, Callable[[], None]] | None = None,
) -> Answers:
    """Let all callers ask until `seconds` are over or their scripts end, and wait for the last answers.

    `on_answer(caller, request, body, seconds)` is told of each answer with the expected status. `readers` are called
    when their file descriptor can be read: sockets that are listened to meanwhile.
    """
    readers = readers or {}
    answers = Answers()
    clock = time.perf_counter
    by_fd = {caller.socket.fileno(): caller for caller in callers}
    with select.epoll() as poll:
        started = last = clock()
        deadline = started + seconds if seconds is not None else float("inf")
        next_tick = started + _TICK_S
        busy = 0
        for fd in readers:
            poll.register(fd, select.EPOLLIN)
        for fd, caller in by_fd.items():
            poll.register(fd, select.EPOLLIN)
            busy += caller.ask(clock())
        while busy:
            ready = poll.poll(_TICK_S)
            now = clock()
            if now >= next_tick:
                next_tick = now + _TICK_S
                if on_progress is not None:
                    on_progress(now - started, answers.count)
                if now - last > STALL_S:
                    raise BenchError(f"no answer for {STALL_S:.0f} s")
            for fd, _ in ready:
                if fd in readers:
                    readers[fd]()
                    continue
                caller = by_fd[fd]
                answer = caller.read()
                if answer is None:
                    continue
                last = now = clock()
                asked = caller.current
                assert asked is not None
                status, body = answer
                if status == asked.status:
                    answers.count += 1
                    answers.latencies_s.append(now - caller.asked_at)
                    answers.moments_s.append(now - started)
                    if on_answer is not None:
                        on_answer(caller, asked, body, now - caller.asked_at)
                else:
                    answers.unexpected += 1
                    if len(answers.complaints) < 5:
                        answers.complaints.append(f"{status}: {body[:200].decode('utf-8', 'replace')}")
                if now >= deadline or not caller.ask(now):
                    busy -= 1
        answers.seconds = last - started
    return answers


def hang_up(callers: Sequence[Caller]) -> None:
    """Close all connections."""
    for caller in callers:
        caller.socket.close()
