"""A socket whose client logs in by its first frame, in every way that the server serves."""

import json
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pytest
import trio
import trio.testing
from h2.events import ResponseReceived

from chinwag.engine.connections.admission import Admission, Admitted
from chinwag.engine.connections.session import Session
from chinwag.engine.engine import Engine
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.errors import ActorStopped, EngineError, Forbidden, Invalid, Overloaded, TooManyConnections
from chinwag.engine.model.events import Event, MessagePosted, UserEvent
from chinwag.engine.model.ids import RoomId
from chinwag.http.api.front import LobbyEndpoint, LogInRefusal, SocketRequest, Visitor
from chinwag.http.carriers.lobby import Lobby, LobbyLimits
from chinwag.http.carriers.websocket import Opcode
from chinwag.http.fronts.chatterstack import FRONT as CHATTERSTACK
from chinwag.http.kit.links import Links
from chinwag.http.settings import ServerName
from tests.http.echo_server import all_quiet
from tests.http.http2.http2_client import Http2, status_of
from tests.http.listener.leftovers import Census
from tests.http.peers import client_frame, text
from tests.http.served import Served, Wire, serving
from tests.http.service_api import Person

WAYS: Final = ["lane", "hypercorn", "lane over TLS", "hypercorn over TLS", "HTTP/2"]
everywhere = pytest.mark.parametrize("way", WAYS)
MOST: Final = 3
PATIENCE_S: Final = 60.0
"""More than any test takes; who is late is told so by a clock that is set."""


class Texts:
    user_events: tuple[type[UserEvent], ...] = ()

    def encode(self, event: Event) -> bytes:
        return event.message.text.encode() if isinstance(event, MessagePosted) else b""


class PlainSocket(LobbyEndpoint):
    """`login TOKEN`, then `ROOM words`: posts them. "closed" as a token is refused with a code of its own."""

    def __init__(self, _: Links) -> None:
        self._dialect = Texts()

    @property
    def dialect(self) -> Texts:
        return self._dialect

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        return await engine.connections.admit(
            Admission(
                user_id=request.user_id,
                family_id=request.family_id,
                expires_at=request.expires_at,
                wire=request.wire,
                follow=True,
                source=request.source,
            )
        )

    async def log_in(self, engine: Engine, visitor: Visitor, message: str | bytes) -> Admitted:
        verb, _, token = str(message).partition(" ")
        if verb != "login":
            raise Invalid("frame", "log in first")
        if token == "closed":
            raise Forbidden("closed today")
        if token == "bug":
            raise ZeroDivisionError
        return await self.admit(engine, visitor.with_token(token))

    def refusal(self, error: EngineError) -> LogInRefusal:
        if isinstance(error, Forbidden):
            return LogInRefusal(code=4403, body=b"sorry")
        return super().refusal(error)

    def greeting(self, admitted: Admitted) -> list[bytes]:
        return [f"hello {admitted.user.username}".encode()]

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        room, _, words = str(message).partition(" ")
        engine.rooms.tell(RoomId(int(room)), post_command(session.user_id, text=words))
        return None


FRONT: Final = replace(CHATTERSTACK, socket=PlainSocket, socket_events=(), socket_token_parameters=("token",))


@pytest.fixture
def lobby() -> Lobby:
    return Lobby(LobbyLimits(most=MOST, patience_s=PATIENCE_S))


@pytest.fixture
async def served(way: str, lobby: Lobby) -> AsyncIterator[Served]:
    server: ServerName = "hypercorn" if way.startswith("hypercorn") else "lane"
    secure = "TLS" in way or way == "HTTP/2"
    async with serving(server=server, secure=secure, front=FRONT, lobby=lobby) as running:
        yield running


@asynccontextmanager
async def asking(served: Served, way: str, early: bytes = b"", query: str = "") -> AsyncIterator[tuple[int, Wire]]:
    """Ask for a socket without a token: the status, and the socket. `early` is sent with the question."""
    http2 = way == "HTTP/2"
    async with served.stream("h2" if http2 else "http/1.1") as stream:
        if http2:
            http = Http2(stream)
            fields: list[tuple[str | bytes, str | bytes]] = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", f"/ws{query}"),
                (":authority", "127.0.0.1"),
                ("sec-websocket-version", "13"),
            ]
            stream_id = await http.begin(fields, end=False)
            opened = Wire(stream, http, stream_id)
            if early:
                await opened.send(early)
            yield status_of(await http.until(ResponseReceived, stream_id)), opened
            return
        opened = Wire(stream, None, 0)
        head = (
            f"GET /ws{query} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await opened.send(head.encode() + early)
        await opened.until(b"\r\n\r\n")
        first, _, opened.received = opened.received.partition(b"\r\n\r\n")
        status = int(first.split(b" ")[1])
        yield 200 if status == 101 else status, opened


async def until_waiting(lobby: Lobby, count: int) -> None:
    while len(lobby) != count:  # noqa: ASYNC110 - there is no event for it
        await trio.sleep(0.01)


def ends(lobby: Lobby) -> dict[str, float]:
    return {each.labels["end"]: each.value for each in lobby.readings() if each.name == "lobby_ends"}


async def somebody(served: Served) -> tuple[Person, str]:
    ann = await served.api.person("ann")
    return ann, await served.api.room(ann)


@everywhere
async def test_the_first_frame_logs_in_and_what_comes_with_it_is_heard(way: str, served: Served, lobby: Lobby) -> None:
    ann, room = await somebody(served)
    early = text(f"login {ann.token}") + text(f"{room} at once") + client_frame(Opcode.PING, b"ping")
    async with asking(served, way, early) as (status, ws):
        assert status == 200
        await ws.until(b"at once")
        assert b"\x81\x09hello ann" in ws.received
        await ws.send(text(f"{room} and later"))
        await ws.until(b"and later")
        assert (len(lobby), len(served.api.engine.connections)) == (0, 1)
        await ws.send(client_frame(Opcode.CLOSE, struct.pack("!H", 1000)))
        assert await ws.close_code() == 1000
    assert ends(lobby) == {"admitted": 1}


@everywhere
async def test_pings_are_answered_while_the_first_frame_is_awaited(way: str, served: Served, lobby: Lobby) -> None:
    ann, room = await somebody(served)
    async with asking(served, way) as (_, ws):
        await ws.send(client_frame(Opcode.PING, b"anybody?") + client_frame(Opcode.PONG, b""))
        await ws.until(b"\x8a\x08anybody?")
        assert (len(lobby), len(served.api.engine.connections)) == (1, 0)
        frame = text(f"login {ann.token}")
        await ws.send(frame[:9])
        await ws.send(frame[9:])
        await ws.until(b"hello ann")
        await served.api.post(ann, room, "posted by others")
        await ws.until(b"posted by others")


@everywhere
@pytest.mark.parametrize(
    ("first", "code"),
    [("login nonsense", 4401), ("what is this?", 4401), ("login closed", 4403), ("login bug", 1011)],
)
async def test_a_first_frame_that_is_refused_closes_the_socket(
    way: str, served: Served, lobby: Lobby, first: str, code: int
) -> None:
    async with asking(served, way) as (_, ws):
        await ws.send(text(first) + text("7 unheard"))
        assert await ws.close_code() == code
        assert (b"sorry" in ws.received) is (code == 4403)
    assert (len(lobby), len(served.api.engine.connections)) == (0, 0)


@everywhere
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(Opcode.CLOSE, struct.pack("!H", 4321)), 4321),
        (client_frame(Opcode.TEXT, b"\xff"), 1007),
        (client_frame(Opcode.TEXT, b"x" * 10_001), 1009),
    ],
)
async def test_the_protocols_rules_hold_in_the_lobby(
    way: str, served: Served, lobby: Lobby, sent: bytes, code: int
) -> None:
    async with asking(served, way) as (_, ws):
        await ws.send(sent)
        assert await ws.close_code() == code
    await until_waiting(lobby, 0)


@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("hypercorn")])  # which says so by itself
async def test_a_broken_rule_behind_the_log_in_is_one_of_the_session(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    async with asking(served, way, text(f"login {ann.token}") + text(f"{room} good") + b"\xff\xff") as (_, ws):
        assert await ws.close_code() == 1002
        assert b"hello ann" in ws.received
    await served.until_sessions(0)


@everywhere
async def test_over_the_bound_nobody_is_let_in_until_somebody_leaves(way: str, served: Served, lobby: Lobby) -> None:
    ann, _ = await somebody(served)
    async with trio.open_nursery() as nursery:
        opened = trio.Event()

        async def wait() -> None:
            async with asking(served, way) as (status, _ws):
                assert status == 200
                await opened.wait()

        for _ in range(MOST):
            nursery.start_soon(wait)
        await until_waiting(lobby, MOST)
        async with asking(served, way) as (status, _ws):
            assert status == 503
        async with asking(served, way, query=f"?token={ann.token}") as (status, ws):
            assert status == 200, "who brings a token needs no place"
            await ws.until(b"hello ann")
        opened.set()
    await until_waiting(lobby, 0)
    async with asking(served, way) as (status, _ws):
        assert status == 200
    assert ends(lobby)["refused"] == 1


@pytest.mark.parametrize("way", ["lane"])
async def test_an_address_has_so_many_places(way: str) -> None:
    lobby = Lobby(LobbyLimits(most_per_source=1))
    async with serving(front=FRONT, lobby=lobby) as served, asking(served, way), asking(served, way) as (status, ws):
        assert status == 429
        await ws.until(b"address")
        assert json.loads(ws.received)


@everywhere
async def test_who_says_nothing_in_time_is_closed(way: str, served: Served, lobby: Lobby) -> None:
    async with asking(served, way) as (_, ws):
        await until_waiting(lobby, 1)
        [place] = lobby._places
        place.scope.deadline = trio.current_time()
        assert await ws.close_code() == 4401
    await until_waiting(lobby, 0)
    assert ends(lobby) == {"late": 1}


@everywhere
async def test_the_lobby_is_emptied_at_shutdown(way: str, served: Served, lobby: Lobby) -> None:
    async with asking(served, way) as (_, ws):
        await until_waiting(lobby, 1)
        served.shutdown.set()
        assert await ws.close_code() == 1012
    await until_waiting(lobby, 0)


@everywhere
async def test_nothing_is_left_of_those_who_came_and_went(way: str, served: Served, lobby: Lobby) -> None:
    ann, _ = await somebody(served)

    async def come_and_go() -> None:
        async with asking(served, way):
            await until_waiting(lobby, 1)
        await until_waiting(lobby, 0)
        async with asking(served, way, text(f"login {ann.token}")) as (_, ws):
            await ws.until(b"hello ann")
        await served.until_sessions(0)

    await come_and_go()
    await all_quiet()
    census = Census()
    for _ in range(3):
        await come_and_go()
    await census.nothing_left()


@pytest.mark.parametrize(("asked_s", "given_s"), [(None, 7.0), (70.0, 70.0)])
async def test_a_place_is_kept_for_so_long_and_no_longer(
    autojump_clock: trio.testing.MockClock, asked_s: float | None, given_s: float
) -> None:
    began = trio.current_time()
    with Lobby(LobbyLimits(patience_s=7.0)).enter("", asked_s).scope:
        await trio.sleep(1000)
    assert trio.current_time() == began + given_s


async def test_whose_place_was_left_may_take_as_long_as_they_like(autojump_clock: trio.testing.MockClock) -> None:
    place = Lobby(LobbyLimits(patience_s=7.0)).enter("")
    with place.scope:
        place.leave()
        await trio.sleep(1000)
    assert not place.scope.cancelled_caught


async def test_places_are_counted_by_address_until_they_are_left() -> None:
    lobby = Lobby(LobbyLimits(most=3, most_per_source=1))
    place = lobby.enter("here")
    lobby.enter("there")
    with pytest.raises(TooManyConnections):
        lobby.enter("here")
    place.leave()
    place.leave()
    assert len(lobby) == 1
    lobby.enter("here")
    with pytest.raises(TooManyConnections):
        lobby.enter("there")
    lobby.enter("")
    with pytest.raises(Overloaded):
        lobby.enter("")
    lobby.close()
    with pytest.raises(ActorStopped):
        lobby.enter("anywhere")
