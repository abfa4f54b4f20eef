"""A client of the IRC front that shows every line: tests say what was sent, and see what came."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

LIMIT_S: Final = 20.0
PASSWORD: Final = "correct-horse"
_fences = itertools.count()


class IrcClient:
    """One connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, *lines: str | bytes) -> None:
        """Send lines at once."""
        await self.stream.send_all(
            b"".join((each if isinstance(each, bytes) else each.encode()) + b"\r\n" for each in lines)
        )

    async def next_raw(self) -> bytes | None:
        """The next line with its end; None at the end of the connection."""
        with trio.fail_after(LIMIT_S):
            while b"\n" not in self._rest:
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self._rest += data
        line, end, self._rest = self._rest.partition(b"\n")
        return line + end

    async def next(self) -> str | None:
        """The next line, without its end."""
        raw = await self.next_raw()
        if raw is None:
            return None
        assert raw.endswith(b"\r\n")
        assert len(raw) <= 512
        assert not set(b"\r\n\0") & set(raw[:-2])
        return raw[:-2].decode()

    async def until(self, *words: str) -> str:
        """Read on to a line that has all of these in it."""
        seen: list[str | None] = []
        while (line := await self.next()) is not None:
            if all(word in line for word in words):
                return line
            seen.append(line)
        raise AssertionError(f"no line with {words} came, but {seen}")

    async def fence(self) -> list[str]:
        """All lines up to now: the answer to a PING of one's own comes after them."""
        mark = f"fence{next(_fences)}"
        await self.send(f"PING {mark}")
        lines: list[str] = []
        while (line := await self.next()) is not None:
            if line == f":chinwag PONG chinwag :{mark}":
                return lines
            lines.append(line)
        raise AssertionError(f"the connection ended: {lines}")

    async def hear(self, count: int) -> list[str]:
        """The next lines, which come by themselves: so many."""
        lines = [await self.next() for _ in range(count)]
        assert None not in lines, lines
        return [line for line in lines if line is not None]

    async def ended(self) -> list[str]:
        """All lines up to the end of the connection."""
        lines: list[str] = []
        while (line := await self.next()) is not None:
            lines.append(line)
        return lines


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[IrcClient]:
    """A client that has said nothing yet."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield IrcClient(stream)


@asynccontextmanager
async def logged_in(port: int, nick: str, *channels: str, password: str = PASSWORD) -> AsyncIterator[IrcClient]:
    """A client that is logged in and in these channels, with everything read that belongs to that."""
    async with connected(port) as client:
        await client.send(f"PASS {password}", f"NICK {nick}", f"USER {nick} 0 * :{nick}")
        await client.until(" 001 ")
        await client.send(*(f"JOIN {channel}" for channel in channels))
        await client.fence()
        yield client
