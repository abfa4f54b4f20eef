"""The embedding example, as a process: a chat over plain TCP whose rooms are the rooms of `chinwag serve`."""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.client import PASSWORD, api_of
from tests.e2e.processes import LIMIT_S, ROOT, serving
from tests.forks import environment

EXAMPLE = ROOT / "examples" / "line_chat.py"


class Line:
    """One person at `nc`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.unread = b""

    async def say(self, text: str) -> None:
        await self.stream.send_all(f"{text}\n".encode())

    async def hear(self) -> str | None:
        """The next line, None at the end."""
        with trio.fail_after(LIMIT_S):
            while b"\n" not in self.unread:
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def line_chat(data: Path) -> AsyncIterator[int]:
    """The port of the example, serving a data folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    log_path = data.with_name("line_chat.log")
    with log_path.open("w") as log:
        command = [sys.executable, str(EXAMPLE), str(data), str(port)]
        process = await trio.lowlevel.open_process(command, stderr=log, stdout=log, env=environment())
    try:
        with trio.fail_after(LIMIT_S):
            while True:
                assert process.poll() is None, log_path.read_text()
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await trio.sleep(0.05)
        yield port
        assert process.poll() is None, log_path.read_text()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
    assert "Traceback" not in log_path.read_text(), log_path.read_text()


@asynccontextmanager
async def line(port: int, hello: str) -> AsyncIterator[Line]:
    """A connection that has said who it is."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = Line(stream)
        await client.say(hello)
        yield client


async def chatting(client: Line, me: str) -> None:
    """Return when the client is in its room: one hears oneself."""
    await client.say("here I am")
    assert await client.hear() == f"{me}: here I am"


def test_it_takes_less_than_a_hundred_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 100


async def test_two_people_chat_and_the_server_has_the_same_rooms(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        async with api_of(server) as api:
            carl = await api.person("carl")
    async with line_chat(tmp_path / "data") as port, line(port, "ann correct-horse tea") as ann:
        await chatting(ann, "ann")
        async with line(port, "bob battery-staple lobby") as bob:  # a new name registers, in a room of its own
            await chatting(bob, "bob")
        await ann.say("/add bob")
        await ann.say("/add nobody")
        refusal = await ann.hear()
        assert refusal is not None and refusal.startswith("* ")
        async with line(port, "bob battery-staple tea") as bob:
            await chatting(bob, "bob")
            assert await ann.hear() == "bob: here I am"
            await ann.say("Shall we? é 世界")
            assert await ann.hear() == await bob.hear() == "ann: Shall we? é 世界"
        await ann.say(f"/add {carl.username}")
        async with line(port, f"{carl.username} {PASSWORD} tea") as at_nc:  # who registered by ChatterStack
            await chatting(at_nc, carl.username)
            assert await ann.hear() == f"{carl.username}: here I am"
    with serving(tmp_path / "data") as server:
        async with api_of(server) as api:
            [room] = (await api.ask("GET", "/rooms", as_=carl)).json()["rooms"]
            assert (room["name"], room["is_group"]) == ("tea", True)
            messages = await api.history(carl, room["id"])
            assert [(message["username"], message["content"]) for message in messages[::-1]] == [
                ("ann", "here I am"),
                ("bob", "here I am"),
                ("ann", "Shall we? é 世界"),
                (carl.username, "here I am"),
            ]
            assert (await api.post(carl, room["id"], "and now by HTTP"))["status"] == "SENT"


@pytest.mark.parametrize("hello", ["ann wrong-horse tea", "ann", "", " ", "\0 \0 \0"])
async def test_who_does_not_say_who_they_are_is_sent_away(tmp_path: Path, hello: str) -> None:
    async with line_chat(tmp_path / "data") as port, line(port, "ann correct-horse tea") as ann:
        await chatting(ann, "ann")
        async with line(port, hello) as stranger:
            said = await stranger.hear()
            assert said is None or said.startswith("* ")
            assert await stranger.hear() is None
        await ann.say("still here")
        assert await ann.hear() == "ann: still here"
