"""Plain sockets: opening many WebSockets at once, and one buffer that they are all read into."""

import contextlib
import resource
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.frames import CLOSE, masked_frame, server_frame

AT_ONCE: Final = 64
"""Handshakes under way at the same time: enough to keep the server busy, and far below any backlog."""
PORTS_PER_SOURCE: Final = 20_000
"""Connections from one address of ours to one of theirs; the next ones come from 127.0.0.2 and so on."""
TIMEOUT_S: Final = 20.0
_SPARE_FILES: Final = 200
_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455's own example: any will do
_BIND_ADDRESS_NO_PORT: Final = 24  # Linux: the port is chosen at connect, so that one may serve for several peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """How to open one WebSocket."""

    host: str
    port: int
    path: str
    """With its query."""
    token: str = ""
    greet: Callable[["Wire"], None] | None = None
    """What a protocol on top wants said first (Socket.IO)."""


@dataclass(slots=True)
class Wire:
    """One open connection."""

    socket: socket.socket
    rest: bytes = b""
    """What came behind the handshake."""
    pending: bytearray = field(default_factory=bytearray)
    """What the kernel did not take yet."""

    def next_payload(self) -> bytes:
        """Wait for one frame (only while connecting)."""
        while (found := server_frame(self.rest, 0)) is None:
            data = self.socket.recv(65_536)
            if not data:
                raise BenchError("the server closed a connection during the handshake")
            self.rest += data
        _, begin, end = found
        payload, self.rest = self.rest[begin:end], self.rest[end:]
        return payload

    def send(self, data: bytes) -> bool:
        """Write without waiting; returns whether everything is written."""
        if self.pending:
            self.pending += data
            return False
        try:
            taken = self.socket.send(data)
        except BlockingIOError:
            taken = 0
        if taken < len(data):
            self.pending += data[taken:]
            return False
        return True

    def flush(self) -> bool:
        """Go on with what is pending; returns whether everything is written."""
        with contextlib.suppress(BlockingIOError):
            del self.pending[: self.socket.send(self.pending)]
        return not self.pending


def allow_files(count: int) -> None:
    """Let this process and its children open `count` sockets. Raises BenchError when the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise BenchError(f"{count} connections need {needed} open files; this system allows {hard} (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def open_all(dials: Sequence[Dial], progress: Callable[[int], None] | None = None) -> list[Wire]:
    """Open them, in order. The sockets do not block afterwards. Raises BenchError when one is refused."""
    wires: list[Wire] = []
    numbered = enumerate(dials)
    try:
        while batch := list(islice(numbered, AT_ONCE)):
            start = len(wires)
            for number, dial in batch:
                wires.append(Wire(_connect(dial, number // PORTS_PER_SOURCE)))
                wires[-1].socket.sendall(_request(dial))
            for wire in wires[start:]:
                _await_upgrade(wire)
            for (_, dial), wire in zip(batch, wires[start:], strict=True):
                if dial.greet is not None:
                    dial.greet(wire)
                wire.socket.setblocking(False)
            if progress is not None:
                progress(len(wires))
    except BaseException as error:
        close_all(wires)
        if isinstance(error, OSError):
            raise BenchError(f"cannot connect: {error}") from error
        raise
    return wires


def close_all(wires: Iterable[Wire]) -> None:
    """Say goodbye and close, all at once."""
    goodbye = masked_frame((1000).to_bytes(2, "big"), CLOSE)
    for wire in wires:
        with contextlib.suppress(OSError):
            wire.socket.send(goodbye)
        wire.socket.close()


@contextlib.contextmanager
def opened(dials: Sequence[Dial], progress: Callable[[int], None] | None = None) -> Iterator[list[Wire]]:
    """Open connections, and close them at the end of the block."""
    wires = open_all(dials, progress)
    try:
        yield wires
    finally:
        close_all(wires)


def _connect(dial: Dial, source: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in dial.host else socket.AF_INET)
    connection.settimeout(TIMEOUT_S)
    if source and dial.host.startswith("127."):
        connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        connection.bind((f"127.0.0.{source + 1}", 0))
    connection.connect((dial.host, dial.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _request(dial: Dial) -> bytes:
    lines = [f"GET {dial.path} HTTP/1.1", f"Host: {dial.host}:{dial.port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {_KEY}", "Sec-WebSocket-Version: 13"]
    if dial.token:
        lines.append(f"Authorization: Bearer {dial.token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _await_upgrade(wire: Wire) -> None:
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = wire.socket.recv(65_536)
        if not data:
            break
        answer += data
    head, _, wire.rest = answer.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise BenchError(f"the server refused a WebSocket: {answer[:300].decode('latin-1')}")
