"""The pace at which a client is read, and when it is taken for gone: on a clock that jumps."""

from itertools import count

import trio
import trio.testing
from chinwag_irc.connection import LINES_AT_ONCE, LINES_PER_S, SILENCE_S, IrcConnection
from chinwag_irc.lines import Line
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock


class Accepted:
    """See `FrontConnection`."""

    source = "127.0.0.1"

    def __init__(self, stream: "trio.StapledStream[MemorySendStream, MemoryReceiveStream]") -> None:
        self.stream = stream
        self.complaints: list[str] = []

    def logged_in(self) -> None:
        """Nobody asks."""

    def broke_rules(self, reason: str) -> None:
        self.complaints.append(reason)


def pair() -> tuple[IrcConnection, Accepted, "trio.StapledStream[MemorySendStream, MemoryReceiveStream]"]:
    """A connection, what it was made of, and the client's end."""
    client, server = trio.testing.memory_stream_pair()
    accepted = Accepted(server)
    return IrcConnection(accepted), accepted, client


async def test_what_comes_faster_than_it_may_waits(autojump_clock: MockClock) -> None:
    connection, _, client = pair()
    began = trio.current_time()
    for number in range(LINES_AT_ONCE + 20):
        await client.send_all(f"PING {number}\r\n".encode())
    for number in range(LINES_AT_ONCE):
        assert await connection.read() == Line("PING", (str(number),))
    assert trio.current_time() == began
    for number in range(LINES_AT_ONCE, LINES_AT_ONCE + 20):
        assert await connection.read() == Line("PING", (str(number),))
    assert round(trio.current_time() - began, 6) == 20 / LINES_PER_S
    await trio.sleep(60)
    for number in count():
        if number == LINES_AT_ONCE:
            break
        await client.send_all(b"PING again\r\n")
        resting = trio.current_time()
        assert await connection.read() == Line("PING", ("again",))
        assert trio.current_time() == resting


async def test_a_silent_client_is_asked_and_then_gone(autojump_clock: MockClock) -> None:
    connection, _, client = pair()
    began = trio.current_time()
    assert await connection.read() is None
    assert trio.current_time() - began == 2 * SILENCE_S
    assert await client.receive_some() == b"PING :chinwag\r\nERROR :Ping timeout\r\n"


async def test_a_client_that_answers_is_there(autojump_clock: MockClock) -> None:
    connection, _, client = pair()

    async def answer() -> None:
        for _ in range(3):
            assert await client.receive_some() == b"PING :chinwag\r\n"
            await client.send_all(b"PONG chinwag\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for _ in range(3):
            assert await connection.read() == Line("PONG", ("chinwag",))


async def test_lines_come_whole_however_they_are_cut(autojump_clock: MockClock) -> None:
    connection, accepted, client = pair()

    async def send() -> None:
        for byte in "NICK é\r\n\r\nUSER a\nPASS x".encode():
            await client.send_all(bytes([byte]))
        await client.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await connection.read() == Line("NICK", ("é",))
        assert await connection.read() == Line("USER", ("a",))
        assert await connection.read() is None  # what has no end is no line
    assert accepted.complaints == []
