"""What becomes of a connection when a front's endpoint, or its client, does not do as expected."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

import pytest
import structlog.testing
import trio

from chinwag.engine.connections.admission import Admitted
from chinwag.engine.connections.session import Session
from chinwag.engine.engine import Engine
from chinwag.http.api.front import SocketRequest
from chinwag.http.fronts.chatterstack import FRONT as CHATTERSTACK
from chinwag.http.fronts.chatterstack.socket import ChatterstackSocket
from chinwag.http.kit.links import Links
from chinwag.http.settings import ServerName
from tests.http.served import Served, close_code, serving, upgrade

WAYS = ["lane", "hypercorn", "lane over TLS"]


class Gate:
    """Where an endpoint waits, after it has admitted a client."""

    def __init__(self) -> None:
        self.reached = trio.Event()
        self.open = trio.Event()
        self.open.set()


class OddSocket(ChatterstackSocket):
    """Has a bug in what it does with messages, at once or while it is awaited."""

    def __init__(self, links: Links, gate: Gate) -> None:
        super().__init__(links)
        self._gate = gate

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        admitted = await super().admit(engine, request)
        self._gate.reached.set()
        await self._gate.open.wait()
        return admitted

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        if message == "later":
            return self._fail()
        if message == "now":
            raise ZeroDivisionError
        return super().receive(engine, session, message)

    async def _fail(self) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def served(way: str, gate: Gate) -> AsyncIterator[Served]:
    server: ServerName = "hypercorn" if way == "hypercorn" else "lane"
    front = replace(CHATTERSTACK, socket=lambda links: OddSocket(links, gate))
    async with serving(server=server, secure="TLS" in way, front=front) as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("words", ["now", "later"])
async def test_a_bug_in_handling_a_message_is_told_by_a_code_and_ends_no_other(
    way: str, served: Served, words: str
) -> None:
    ann, bob = await served.api.person("ann"), await served.api.person("bob")
    room = await served.api.room(ann, bob)
    with structlog.testing.capture_logs() as logs:
        async with served.websocket(ann, room) as ws, served.websocket(bob, room) as other:
            await served.until_sessions(2)
            await ws.send_message(words)
            assert await close_code(ws) == 1011
            await served.until_sessions(1)
            await served.api.post(ann, room, "still there")
            assert "still there" in await other.get_message()
    assert [each["front"] for each in logs if each["event"] == "message failed"] == ["chatterstack"]


@pytest.mark.parametrize("way", ["lane", "lane over TLS"])
async def test_of_a_client_that_left_while_it_was_admitted_nothing_is_left(
    way: str, served: Served, gate: Gate
) -> None:
    ann = await served.api.person("ann")
    room = await served.api.room(ann)
    gate.open = trio.Event()
    async with served.stream() as stream:
        await stream.send_all(upgrade(ann, room))
        await gate.reached.wait()
        assert len(served.api.engine.connections) == 1
        tcp = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        assert isinstance(tcp, trio.SocketStream)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the close is a reset
        tcp.socket.close()
        gate.open.set()
        await served.until_sessions(0)
