"""A bare reflector: what a room server could at most do, with plain sockets and nothing else.

    python -m chinwag.benchmarks.compare.reflector PORT [--each]

Every text is sent back to all connections with the same query. Without `--each` all that one read brought goes out with
one send per connection: that is far more than any server does, and measures the generator. With `--each` there is one
non-blocking send per delivery: the physical limit of a server that writes each message by itself.

Any other request gets an empty 200, and the connection is kept.
"""

import contextlib
import select
import socket
import sys
from base64 import b64encode
from hashlib import sha1
from typing import Final

from chinwag.benchmarks.generator.frames import CLOSE, TEXT, apply_mask

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BUFFER: Final = 1 << 18


class Connection:
    """One client; `room` is None until the handshake is done."""

    __slots__ = ("pending", "rest", "room", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.rest = b""
        self.room: list[Connection] | None = None
        self.pending = bytearray()


class Reflector:
    """The server, in one thread."""

    def __init__(self, port: int, *, each: bool) -> None:
        self._each = each
        self._rooms: dict[bytes, list[Connection]] = {}
        self._by_fd: dict[int, Connection] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._poll = select.epoll()

    def run(self) -> None:
        """Serve for ever."""
        self._listener.setblocking(False)
        listening = self._listener.fileno()
        self._poll.register(listening, select.EPOLLIN)
        while True:
            for fd, event in self._poll.poll():
                if fd == listening:
                    self._accept()
                    continue
                connection = self._by_fd[fd]
                if event & select.EPOLLOUT:
                    self._flush(connection)
                if event & ~select.EPOLLOUT:
                    self._readable(connection)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._by_fd[client.fileno()] = Connection(client)
                self._poll.register(client.fileno(), select.EPOLLIN)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        data = connection.rest + data
        if connection.room is None:
            self._handshake(connection, data)
        else:
            self._reflect(connection, connection.room, data)

    def _handshake(self, connection: Connection, data: bytes) -> None:
        if b"\r\n\r\n" not in data:
            connection.rest = data
            return
        connection.rest = b""
        lines = data.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        key = headers.get(b"sec-websocket-key")
        if key is None:
            connection.socket.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        connection.room = self._rooms.setdefault(lines[0].split(b" ")[1].partition(b"?")[2], [])
        connection.room.append(connection)
        accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        connection.socket.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _reflect(self, connection: Connection, room: list[Connection], data: bytes) -> None:
        start, size = 0, len(data)
        frames: list[bytes] = []
        while size - start >= 6:
            length = data[start + 1] & 0x7F
            begin = start + 6
            if length == 126:
                begin = start + 8
                length = int.from_bytes(data[start + 2 : start + 4], "big")
            stop = begin + length
            if stop > size:
                break
            opcode = data[start] & 0x0F
            if opcode == CLOSE:
                self._drop(connection)
                return
            if opcode == TEXT:
                payload = apply_mask(data[begin:stop], data[begin - 4 : begin])
                head = bytes((0x81, length)) if length < 126 else b"\x81\x7e" + length.to_bytes(2, "big")
                frames.append(head + payload)
            start = stop
        connection.rest = data[start:]
        for piece in frames if self._each else (b"".join(frames),):
            if piece:
                for member in room:
                    self._send(member, piece)

    def _send(self, connection: Connection, data: bytes) -> None:
        if not connection.pending:
            try:
                taken = connection.socket.send(data)
            except BlockingIOError:
                taken = 0
            except OSError:
                return  # its end will be read
            if taken == len(data):
                return
            data = data[taken:]
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        connection.pending += data

    def _flush(self, connection: Connection) -> None:
        with contextlib.suppress(OSError):
            del connection.pending[: connection.socket.send(connection.pending)]
        if not connection.pending:
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN)

    def _drop(self, connection: Connection) -> None:
        self._poll.unregister(connection.socket.fileno())
        del self._by_fd[connection.socket.fileno()]
        if connection.room is not None:
            connection.room.remove(connection)
        connection.socket.close()


def main() -> None:
    """Serve on the port given, until killed."""
    Reflector(int(sys.argv[1]), each="--each" in sys.argv[2:]).run()


if __name__ == "__main__":
    main()
