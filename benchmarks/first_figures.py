"""First figures: messages and deliveries per second in one room, and the time from start to the first answer.

    python -m chinwag.benchmarks.first_figures [--members 2 50 500] [--window 64] [--messages N] [--repeat 3]

The server is a real process with everything on (tokens, membership, JSON events, every message committed with
`synchronous=FULL` before it is delivered), pinned to one core; this program is pinned to another. One member keeps
`--window` messages in flight; a message counts when it has arrived at every member. Nothing may be lost, duplicated or
out of order: every connection's count and order of sequence are checked.
"""

import argparse
import base64
import contextlib
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from chinwag.engine import UserId, open_engine
from chinwag.engine.harness import PlainPasswords
from chinwag.http.server import DATABASE_NAME
from chinwag.http.tokens import AccessTokens, load_secret
from chinwag.persistence import open_sqlite_store

SERVER_CPU, CLIENT_CPU = 0, 1
_CONTENT = re.compile(rb'"content":"(\d+) ')


@dataclass(frozen=True, slots=True)
class Party:
    """A prepared room: its id, and an access token per member."""

    room: int
    tokens: list[str]


@dataclass(slots=True)
class Listener:
    """One member's connection, and how far it got."""

    socket: socket.socket
    received: int = 0
    rest: bytes = b""
    numbers: list[int] = field(default_factory=list)


def prepare(folder: Path, members: int) -> Party:
    """Make the users, their log-ins and the room in a data folder that no server has open."""

    async def fill() -> Party:
        async with open_sqlite_store(folder / DATABASE_NAME) as store, open_engine(store, passwords=PlainPasswords()) as engine:
            tokens = AccessTokens(load_secret(folder), lifetime_s=3600)
            issued: list[str] = []
            ids: list[UserId] = []
            for number in range(members):
                user = await engine.accounts.register(username=f"user{number}", email=None, password="secret")
                log_in = await engine.accounts.log_in(user.username, "secret")
                ids.append(user.id)
                issued.append(tokens.issue(user.id, log_in.family_id))
            room = await engine.create_room(ids[0], name="bench", member_ids=ids)
            return Party(room.id, issued)

    return trio.run(fill)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[int, float]]:
    """A server process on a data folder; gives its port and the seconds from its start to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chinwag")), "serve", "--data", str(folder)]
    command += ["--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=lambda: _pin(SERVER_CPU))
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                    answer.read()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.005)
        yield port, time.perf_counter() - started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def connect(port: int, room: int, token: str) -> socket.socket:
    """Open a WebSocket to the room and read its handshake."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    request = [f"GET /ws?room_id={room} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    request += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Authorization: Bearer {token}"]
    connection.sendall("\r\n".join(request).encode() + b"\r\n\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"refused: {answer.decode()}")
    return connection


def masked_text(payload: bytes) -> bytes:
    """A client's text frame. The mask is zero, which is as good as any on a loopback."""
    length = len(payload)
    head = bytes((0x81, 0x80 | length)) if length < 126 else bytes((0x81, 0xFE)) + length.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


def fan_out(port: int, party: Party, *, window: int, messages: int) -> float:
    """Send `messages` through the room and wait until all members have all; returns the seconds it took."""
    listeners = [Listener(connect(port, party.room, token)) for token in party.tokens]
    selector = selectors.DefaultSelector()
    for each in listeners:
        each.socket.setblocking(False)
        selector.register(each.socket, selectors.EVENT_READ, each)
    frames = [
        masked_text(
            msgspec.json.encode(
                {"event": "send_message", "data": {"room_id": str(party.room), "content": f"{number} hello"}}
            )
        )
        for number in range(messages)
    ]
    sender = listeners[0]
    sent = min(window, messages)
    started = time.perf_counter()
    sender.socket.setblocking(True)
    sender.socket.sendall(b"".join(frames[:sent]))
    sender.socket.setblocking(False)
    waiting = len(listeners)
    while waiting:
        for key, _ in selector.select():
            listener: Listener = key.data
            data = listener.socket.recv(1 << 18)
            if not data:
                raise SystemExit("the server closed a connection")
            data = listener.rest + data
            found = _CONTENT.findall(data)
            listener.numbers += map(int, found)
            listener.rest = _unread(data)
            listener.received += len(found)
            if listener is sender and sent < messages:
                more = min(messages, listener.received + window)
                if more > sent:
                    listener.socket.setblocking(True)
                    listener.socket.sendall(b"".join(frames[sent:more]))
                    listener.socket.setblocking(False)
                    sent = more
            if found and listener.received >= messages:
                waiting -= 1
    seconds = time.perf_counter() - started
    expected = list(range(messages))
    for each in listeners:
        if each.numbers != expected:
            raise SystemExit("a message was lost, duplicated or out of order")
        each.socket.close()
    selector.close()
    return seconds


def _unread(data: bytes) -> bytes:
    """The end of `data` that may hold the start of a match."""
    last = data.rfind(b'"content":"')
    whole = _CONTENT.match(data, last) if last >= 0 else None
    if last >= 0 and whole is None:
        return data[last:]
    return data[max(whole.end() if whole else 0, len(data) - len('"content":"')) :]


def _pin(cpu: int) -> None:
    if cpu in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {cpu})


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[2, 50, 500])
    parser.add_argument("--window", type=int, default=64, help="messages in flight")
    parser.add_argument(
        "--messages", type=int, help="default: as many as make about a million deliveries, 20,000 at most"
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs of each; the median is shown")
    options = parser.parse_args()
    _pin(CLIENT_CPU)
    print(f"{'members':>8} {'window':>7} {'messages/s':>11} {'deliveries/s':>13} {'start to first answer':>22}")
    for members in options.members:
        messages = options.messages or max(500, min(20_000, 1_000_000 // members))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            party = prepare(folder, members)
            with server(folder) as (port, start_s):
                times = [fan_out(port, party, window=options.window, messages=messages) for _ in range(options.repeat)]
        rate = messages / statistics.median(times)
        print(f"{members:>8} {options.window:>7} {rate:>11,.0f} {rate * members:>13,.0f} {start_s:>20.2f} s")


if __name__ == "__main__":
    main()
