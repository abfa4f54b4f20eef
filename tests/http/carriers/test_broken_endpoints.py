"""Endpoints of fronts that have bugs: each costs its own connection, and the client is told by a status or a code."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import trio

from chinwag.engine.connections.admission import Admitted
from chinwag.engine.connections.session import Session
from chinwag.engine.engine import Engine
from chinwag.http.api.front import Front, SocketRequest
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import Route
from chinwag.http.carriers.websocket import close_frame
from chinwag.http.testing import FrontServer, open_front
from tests.http.peers import text

LIMIT_S: Final = 20.0
CLOSED: Final = close_frame(1011)[2:]


class Silent:
    def encode(self, _: object) -> bytes:
        return b""

    @property
    def user_events(self) -> tuple[type, ...]:
        return ()


class Endpoint:
    """One that has nothing to say."""

    dialect = Silent()

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        return await engine.connections.admit(request.admission())

    def greeting(self, _: Admitted) -> list[bytes]:
        return [b"hello"]

    def receive(self, _: Engine, session: Session, __: str | bytes) -> Awaitable[None] | None:
        session.say(b"heard")
        return None


async def token(request: Request[None, None]) -> Reply:
    """Somebody's, who is new."""
    accounts = request.engine.accounts
    user = await accounts.register(username="ann", email=None, password="correct-horse")
    return Reply({"token": request.access_token(await accounts.open_log_in(user.id))})


FRONT = Front(
    name="quiet",
    title="Quiet",
    description="",
    routes=(Route("POST", "/token", token, response=dict[str, str], auth=False),),
    socket_path="/live",
    socket_token_parameters=("token",),
)


async def wrong(*_: object) -> Any:
    return None


def fails(*_: object) -> Any:
    raise RuntimeError("a bug in a front")


def ends(*_: object) -> Any:
    raise SystemExit(3)


def endpoint(**broken: Any) -> Any:
    made = Endpoint()
    for name, instead in broken.items():
        setattr(made, name, instead)
    return made


async def answered(server: FrontServer, *frames: bytes) -> bytes:
    """All that a client gets who asks for a socket and sends these frames, up to the end of its connection."""
    access = (await server.ask("POST", "/token")).json["token"]
    head = (
        f"GET /live?token={access} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    told = b""
    with trio.fail_after(LIMIT_S):
        async with await trio.open_tcp_stream("127.0.0.1", urlsplit(server.url).port or 0) as stream:
            await stream.send_all(head.encode() + b"".join(frames))
            async for data in stream:
                told += data
                if CLOSED in told:
                    break
    return told


@pytest.mark.parametrize("admit", [fails, ends, wrong])
async def test_who_is_not_admitted_by_a_bug_is_told_by_a_status(admit: Any) -> None:
    async with open_front(replace(FRONT, socket=lambda _: endpoint(admit=admit))) as server:
        assert (await answered(server)).startswith(b"HTTP/1.1 500 ")
        assert len(server.engine.connections) == 0


@pytest.mark.parametrize("greeting", [fails, ends, lambda _: 7, lambda _: ["text"]])
async def test_a_greeting_that_fails_closes_the_socket(greeting: Any) -> None:
    async with open_front(replace(FRONT, socket=lambda _: endpoint(greeting=greeting))) as server:
        told = await answered(server)
        assert told.startswith(b"HTTP/1.1 101 ")
        assert CLOSED in told


@pytest.mark.parametrize("receive", [fails, ends])
async def test_a_message_that_fails_closes_its_own_socket(receive: Any) -> None:
    async with open_front(replace(FRONT, socket=lambda _: endpoint(receive=receive))) as server:
        told = await answered(server, text("anything"))
        assert b"hello" in told
        assert CLOSED in told
        assert (await server.ask("GET", "/healthz")).status == 200
