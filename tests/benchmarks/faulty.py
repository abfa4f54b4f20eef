"""A room server that deliberately drops, doubles and swaps messages, in a thread: what the generator has to notice."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from chinwag.benchmarks.generator.frames import TEXT, apply_mask

Deliver = Callable[[int, list[bytes]], Sequence[bytes]]
"""What the member with this number gets of all the room's messages so far not delivered."""


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A server's frame."""
    head = bytes((0x80 | opcode, len(payload))) if len(payload) < 126 else b"\x81\x7e" + len(payload).to_bytes(2, "big")
    return head + payload


@dataclass
class FaultyServer:
    """Waits until `expected` messages came from the first of `members` connections, then delivers as it is told to."""

    members: int
    expected: int
    deliver: Deliver
    piece: int = 1 << 20
    """Bytes per write: how the stream is cut."""
    port: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        for _ in range(self.members):
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            self._sockets.append(client)
        messages = _texts(self._sockets[0], self.expected)
        for number, client in enumerate(self._sockets):
            data = b"".join(self.deliver(number, messages))
            for start in range(0, len(data), self.piece):
                client.sendall(data[start : start + self.piece])


def _texts(client: socket.socket, count: int) -> list[bytes]:
    data = b""
    found: list[bytes] = []
    while len(found) < count:
        data += client.recv(65536)
        while len(data) >= 6:
            length, start = data[1] & 0x7F, 6
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 8
            if len(data) < start + length:
                break
            found.append(frame(apply_mask(data[start : start + length], data[start - 4 : start])))
            data = data[start + length :]
    return found


@contextmanager
def faulty_server(members: int, expected: int, deliver: Deliver, *, piece: int = 1 << 20) -> Iterator[FaultyServer]:
    """Run one within the block."""
    server = FaultyServer(members, expected, deliver, piece)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
        yield server
        thread.join(5)
        for client in server._sockets:
            client.close()
    assert not thread.is_alive()
