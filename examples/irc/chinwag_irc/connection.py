"""A client's connection: its lines, read at a bearable pace, and lines to it.

Nothing is read ahead of what is acted on: who sends faster than that waits in their own kernel. A client that is silent
is asked whether it is there.
"""

from collections import deque
from typing import Final

import trio

from chinwag.http.api.listeners import FrontConnection
from chinwag_irc import numerics
from chinwag_irc.lines import LINE_BYTES, SERVER, Line, line, parse

LINES_AT_ONCE: Final = 30
LINES_PER_S: Final = 10.0
"""Someone who pastes a page is served as it comes; what comes faster for longer waits."""
SILENCE_S: Final = 90.0
"""After so long a client is asked; after as long again it is gone."""
_LONGEST_BYTES: Final = 8 * 1024
"""A line beyond 512 bytes is refused. One beyond this is no line, and the client no client."""
_READ_BYTES: Final = 4096


class IrcConnection:
    """One connection. One task reads; any may write."""

    def __init__(self, accepted: FrontConnection) -> None:
        self.accepted = accepted
        self.nick = "*"
        """What the client is called in replies to it."""
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._sending = trio.Lock()
        self._allowance = float(LINES_AT_ONCE)
        self._allowed_at = trio.current_time()

    async def read(self) -> Line | None:
        """The next line; None at the end, and of a client that is gone or no client."""
        while True:
            while self._lines:
                raw = self._lines.popleft()
                await self._wait_for_allowance()
                if len(raw) >= LINE_BYTES:
                    await self.reply(numerics.LINE_TOO_LONG, "Input line was too long")
                elif (said := parse(raw)) is not None:
                    return said
            if len(self._rest) > _LONGEST_BYTES:
                self.accepted.broke_rules("a line without an end")
                await self.end("Line too long")
                return None
            data = await self._receive()
            if not data:
                return None
            *whole, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(whole)

    async def send(self, data: bytes) -> None:
        """Write lines. Waits while the client takes nothing, up to the listener's time for that."""
        if data:
            async with self._sending:
                await self.accepted.stream.send_all(data)

    async def reply(self, number: str, *parameters: str) -> None:
        """Write a numbered reply."""
        await self.send(line(number, self.nick, *parameters))

    async def end(self, why: str) -> None:
        """Say that this is the end."""
        await self.send(line("ERROR", why, source=None))

    async def _receive(self) -> bytes:
        """The next bytes; b"" at the end."""
        for asked in (False, True):
            with trio.move_on_after(SILENCE_S):
                return bytes(await self.accepted.stream.receive_some(_READ_BYTES))
            if not asked:
                await self.send(line("PING", SERVER, source=None))
        await self.end("Ping timeout")
        return b""

    async def _wait_for_allowance(self) -> None:
        now = trio.current_time()
        self._allowance = min(LINES_AT_ONCE, self._allowance + (now - self._allowed_at) * LINES_PER_S) - 1
        self._allowed_at = now
        if self._allowance < 0:
            await trio.sleep(-self._allowance / LINES_PER_S)
