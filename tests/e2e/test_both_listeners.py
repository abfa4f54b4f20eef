"""The same conversation over every way in: the fast lane, hypercorn, and TLS; a server process for each."""

import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio_websocket import wrap_client_stream

from chinwag.http.websocket import Opcode, frame
from tests.e2e.client import Api, Person, Socket, api_of, error_of, unique
from tests.e2e.hostile import ATTACHMENTS, SMALL_BUFFER_BYTES
from tests.e2e.processes import LIMIT_S, Server, serving
from tests.http.certificates import Certificate
from tests.http.peers import client_frame

MIB = 1024 * 1024
MANY = 3000
"""Bulky messages: far more than an outbox and the kernel's buffers hold."""

WAYS = ["lane", "hypercorn", "tls"]


class Way:
    """One way in: what `chinwag serve` is told, and how a client connects."""

    def __init__(self, name: str, folder: Path) -> None:
        self.certificate = Certificate(folder) if name == "tls" else None
        self.server_args: Sequence[str] = {
            "lane": (),
            "hypercorn": ("--server", "hypercorn"),
            "tls": self.certificate.options if self.certificate is not None else (),
        }[name]

    def server(self, started: Server) -> Server:
        """The server as its clients see it."""
        if self.certificate is None:
            return started
        assert started.banner[0].startswith("chinwag ")
        assert "https://" in started.banner[0]
        assert any("wss://" in line for line in started.banner)
        return SecureServer(started.process, started.banner, started.data, started._log_path)

    @asynccontextmanager
    async def stream(
        self, server: Server, *, small: bool = False
    ) -> AsyncIterator[trio.SocketStream | trio.SSLStream[trio.SocketStream]]:
        """A connection; a `small` one buffers hardly anything for the client."""
        socket = trio.socket.socket()
        if small:
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        await socket.connect(("127.0.0.1", server.port))
        async with trio.SocketStream(socket) as tcp:
            if self.certificate is None:
                yield tcp
            else:
                context = self.certificate.client("http/1.1")
                secure = trio.SSLStream(tcp, context, server_hostname="127.0.0.1", https_compatible=True)
                await secure.do_handshake()
                yield secure
                await trio.aclose_forcefully(secure)


class SecureServer(Server):
    """One that speaks TLS."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


class WayApi(Api):
    """A client that connects its WebSockets by a given way."""

    way: Way

    @asynccontextmanager
    async def open_socket(
        self, target: str, headers: Sequence[tuple[str, str]] = (), *, host: str | None = None
    ) -> AsyncIterator[Socket]:
        async with self.way.stream(self.server) as stream, trio.open_nursery() as nursery:
            with trio.fail_after(LIMIT_S):
                ws = await wrap_client_stream(
                    nursery,
                    stream,
                    host or f"127.0.0.1:{self.server.port}",
                    target,
                    extra_headers=[(name.encode(), value.encode()) for name, value in headers],
                )
            try:
                yield Socket(ws)
            finally:
                with trio.move_on_after(LIMIT_S):
                    await ws.aclose()
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def way_api(way: Way, server: Server) -> AsyncIterator[WayApi]:
    async with api_of(server) as plain:
        api = WayApi(server, plain.http)
        api.way = way
        yield api


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Way:
    return Way(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def server(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("way") / "data", *way.server_args) as started:
        yield way.server(started)


@pytest.fixture
async def api(way: Way, server: Server) -> AsyncIterator[WayApi]:
    async with way_api(way, server) as client:
        yield client


async def upgraded(stream: trio.abc.Stream, person: Person, room: str, *, extra: str = "") -> bytes:
    """Open a WebSocket by hand; the head of the answer."""
    await stream.send_all(
        f"GET /ws?room_id={room} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"X-Auth-Token: {person.token}\r\n{extra}\r\n".encode()
    )
    received = b""
    with trio.fail_after(LIMIT_S):
        while not received.endswith(b"\r\n\r\n"):
            received += await stream.receive_some(1)
    assert received.startswith(b"HTTP/1.1 101 ")
    return received


async def test_a_conversation_over_http(api: WayApi) -> None:
    ann, bob = await api.person("ann"), await api.person("bob")
    room = await api.room(ann, bob)
    first = await api.post(ann, room, "Shall we? 🍵", key="first")
    assert await api.post(ann, room, "Shall we? 🍵", key="first") == first
    await api.post(bob, room, "Yes.")
    assert await api.texts(bob, room) == ["Yes.", "Shall we? 🍵"]
    renamed = await api.ask("PATCH", f"/rooms/{room}/messages/{first['id']}", as_=ann, json={"content": "Now?"})
    assert renamed.status_code == 200
    assert (await api.ask("GET", f"/rooms/{room}/messages")).status_code == 401
    assert error_of(await api.ask("POST", "/auth/register", content=b"{")).startswith("body: ")
    assert (await api.ask("HEAD", "/rooms", as_=ann)).status_code == 200
    assert (await api.ask("OPTIONS", "/rooms")).status_code == 204
    assert (await api.ask("FOO", "/rooms")).status_code == 405
    assert (await api.http.get(f"{api.server.url}/chatterstack/docs")).status_code == 200
    assert (await api.http.get(f"{api.server.url}/")).status_code == 200
    assert (await api.http.get(f"{api.server.url}/nowhere")).status_code == 404
    assert await api.healthy()


async def test_a_body_has_a_limit(api: WayApi) -> None:
    answer = await api.ask("POST", "/auth/login", content=b" " * (MIB + 1))
    assert answer.status_code == 413
    assert error_of(answer)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 60_000

    answer = await api.http.post("/auth/login", content=endless())
    assert answer.status_code == 413


async def test_a_conversation_over_sockets(api: WayApi) -> None:
    ann, bob = await api.person("ann"), await api.person("bob")
    room = await api.room(ann, bob)
    async with api.socket(ann, room) as hers, api.socket(bob, room, in_query=True) as his:
        for number in range(50):
            await hers.send("send_message", room_id=room, content=f"{number}", client_id=f"k{number}")
        for socket in (hers, his):
            assert [message["content"] for message in await socket.messages(50)] == [f"{n}" for n in range(50)]
        await hers.send("typing_start", room_id=room)
        assert (await his.expect("typing_start"))["user_id"] == ann.id
        await his.ws.send_message("nonsense")
        assert (await his.expect("error"))["code"] == "invalid"
        await hers.ws.ping(b"are you there")
        big = "x" * 3000
        await hers.send("send_message", room_id=room, content=big)
        while (event := await his.next())["event"] != "receive_message":
            assert event["event"] == "typing_stop"
        assert event["data"]["content"] == big


async def test_what_was_missed_comes_first(api: WayApi) -> None:
    ann, bob = await api.person("ann"), await api.person("bob")
    room = await api.room(ann, bob)
    seen = await api.post(ann, room, "seen")
    missed = [f"missed {number}" for number in range(120)]
    for text in missed:
        await api.post(ann, room, text)
    async with api.socket(bob, room, since=seen["id"]) as socket:
        assert [message["content"] for message in await socket.messages(len(missed))] == missed
        assert (await socket.expect("resumed"))["recovered"] is True
        await api.post(ann, room, "live")
        assert (await socket.expect("receive_message"))["content"] == "live"


async def test_who_may_not_connect_is_told_why(api: WayApi) -> None:
    ann, eve = await api.person("ann"), await api.person("eve")
    room = await api.room(ann)
    for target, headers, status in (
        (f"/ws?room_id={room}", {}, 401),
        (f"/ws?room_id={room}", eve.headers, 403),
        ("/ws", ann.headers, 400),
        ("/nowhere", ann.headers, 404),
    ):
        got, words = await api.refused(target, list(headers.items()))
        assert got == status
        assert words
    assert (await api.http.get(f"{api.server.url}/ws", headers=ann.headers)).status_code == 426


async def test_close_codes_tell_what_to_do(api: WayApi, way: Way) -> None:
    ann = await api.person("ann")
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        await socket.ws.send_message("x" * (MIB + 1))
        assert await socket.closed() == 1009
    # By hand: trio-websocket cannot bear a ping of the server's that crosses its close frame.
    async with way.stream(api.server) as stream:
        await upgraded(stream, ann, room)
        await stream.send_all(client_frame(Opcode.CLOSE, struct.pack("!H", 4321)))
        received = b""
        with trio.fail_after(LIMIT_S):
            while more := await stream.receive_some():
                received += more
        assert received.endswith(frame(Opcode.CLOSE, struct.pack("!H", 4321)))  # a ping may come before it
    async with api.socket(ann, room) as socket:
        gone = await api.ask("POST", "/auth/logout", as_=ann, json={"user_id": ann.id})
        assert gone.status_code in (200, 204), gone.text
        assert await socket.closed() == 4401


async def test_nothing_is_compressed(api: WayApi, way: Way) -> None:
    ann = await api.person("ann")
    room = await api.room(ann)
    async with way.stream(api.server) as stream:
        head = await upgraded(stream, ann, room, extra="Sec-WebSocket-Extensions: permessage-deflate\r\n")
        assert b"extensions" not in head.lower()


async def test_a_websocket_may_be_a_connection_s_second_request(api: WayApi, way: Way) -> None:
    ann = await api.person("ann")
    room = await api.room(ann)
    async with way.stream(api.server) as stream:
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        received = b""
        while not received.endswith(b'{"status":"ok"}'):
            received += await stream.receive_some()
        await upgraded(stream, ann, room)


async def wait_for(api: Api, name: str, value: float) -> None:
    """Return when a metric has reached a value."""
    with trio.fail_after(2 * LIMIT_S):
        while await api.metric(name) < value:  # noqa: ASYNC110 - another process
            await trio.sleep(0.02)


async def test_a_client_that_never_reads_costs_the_others_nothing(api: WayApi, way: Way) -> None:
    ann, bob, slow = await api.person("ann"), await api.person("bob"), await api.person("slow")
    room = await api.room(ann, bob, slow)
    before = await api.metric("chinwag_slow_consumers_closed_total")
    async with way.stream(api.server, small=True) as stream:
        await upgraded(stream, slow, room)
        async with api.socket(bob, room) as socket, api.socket(ann, room) as hers:
            for number in range(MANY):
                await hers.send("send_message", room_id=room, content=f"{number}", attachments=ATTACHMENTS)
                for each in (hers, socket):
                    assert (await each.expect("receive_message"))["content"] == f"{number}"
                if number % 100 == 0 and await api.metric("chinwag_slow_consumers_closed_total") > before:
                    break
            await wait_for(api, "chinwag_slow_consumers_closed_total", before + 1)
            await hers.send("send_message", room_id=room, content="the end")
            assert (await socket.expect("receive_message"))["content"] == "the end"
    with trio.fail_after(LIMIT_S):
        while await api.metric("chinwag_connections"):  # noqa: ASYNC110 - another process
            await trio.sleep(0.02)


async def test_a_signal_ends_it_in_order_whatever_clients_do(way: Way, tmp_path: Path) -> None:
    with serving(tmp_path / "data", *way.server_args) as started:
        server = way.server(started)
        async with way_api(way, server) as api:
            ann, bob = await api.person("ann"), await api.person(unique("bob"))
            room = await api.room(ann, bob)
            async with (
                way.stream(server, small=True) as slow,
                way.stream(server) as idle,
                api.socket(bob, room) as socket,
                api.socket(ann, room) as hers,
            ):
                await upgraded(slow, bob, room)
                await idle.send_all(b"GET /healthz HTTP/1.1\r\nHo")
                for number in range(100):
                    await hers.send("send_message", room_id=room, content=f"{number}", attachments=ATTACHMENTS)
                    await socket.expect("receive_message")
                server.terminate()
                assert await socket.closed() == 1001
                assert await server.ended() == 0
