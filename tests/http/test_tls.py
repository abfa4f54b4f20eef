"""TLS, HTTP/2 and WebSockets by hypercorn, with a certificate of the tests' own; and what all servers share."""

import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx2
import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from chinwag.http.hypercorn_adapter import MAX_RUNNING
from chinwag.http.listener import ListenerConfig
from chinwag.http.messages import HttpRequest, HttpResponse
from chinwag.http.server import listening
from chinwag.http.settings import ServerName
from chinwag.http.tls import BadCertificate, load_tls
from tests.http.api import Api, Person, open_api
from tests.http.certificates import Certificate
from tests.http.peers import client_frame

SHORT_S = 0.05
LIMIT_S = 20.0
MESSAGE_LIMIT = 10_000
BODY_LIMIT = 20_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"))


class Served:
    """A server in this process: real sockets, the in-memory store."""

    def __init__(self, api: Api, port: int, certificate: Certificate | None, shutdown: trio.Event) -> None:
        self.api = api
        self.port = port
        self.certificate = certificate
        self.shutdown = shutdown

    @asynccontextmanager
    async def stream(self, *protocols: str) -> AsyncIterator[trio.SocketStream | trio.SSLStream[trio.SocketStream]]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as tcp:
            if self.certificate is None:
                yield tcp
                return
            context = self.certificate.client(*protocols)
            secure = trio.SSLStream(tcp, context, server_hostname="127.0.0.1", https_compatible=True)
            await secure.do_handshake()
            yield secure
            await trio.aclose_forcefully(secure)

    @asynccontextmanager
    async def websocket(self, person: Person, room: str) -> AsyncIterator[WebSocketConnection]:
        async with self.stream("http/1.1") as stream, trio.open_nursery() as nursery:
            headers = [(b"authorization", f"Bearer {person.token}".encode())]
            yield await wrap_client_stream(nursery, stream, "127.0.0.1", f"/ws?room_id={room}", extra_headers=headers)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(
    certificate: Certificate | None, config: ListenerConfig | None = None, *, server: ServerName = "hypercorn"
) -> AsyncIterator[Served]:
    tls = None if certificate is None else load_tls(certificate.cert, certificate.key)
    with trio.fail_after(LIMIT_S):
        async with open_api() as api:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            settings = config or ListenerConfig(
                max_message_bytes=MESSAGE_LIMIT, max_body_bytes=BODY_LIMIT, grace_s=SHORT_S
            )
            async with listening(api.engine, api.service, listeners, settings, server=server, tls=tls) as shutdown:
                yield Served(api, port, certificate, shutdown)


@pytest.fixture(params=["lane", "hypercorn", "tls"])
async def served(request: pytest.FixtureRequest, certificate: Certificate) -> AsyncIterator[Served]:
    own = certificate if request.param == "tls" else None
    async with serving(own, server="lane" if request.param == "lane" else "hypercorn") as server:
        yield server


async def all_of(ws: WebSocketConnection) -> int:
    """Read to the end; the close code."""
    try:
        while True:
            await ws.get_message()
    except ConnectionClosed as closed:
        assert closed.reason is not None
        return int(closed.reason.code)


# --- certificates ---


def test_a_certificate_and_its_key_are_loaded(certificate: Certificate) -> None:
    assert load_tls(certificate.cert, certificate.key).minimum_version is ssl.TLSVersion.TLSv1_2


def test_what_cannot_be_used_is_named_in_one_line(certificate: Certificate, tmp_path: Path) -> None:
    nothing, nonsense = tmp_path / "nothing.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    other = Certificate(tmp_path)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_text(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
        "DEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END RSA PRIVATE KEY-----\n"
    )
    for cert, key, words in (
        (nothing, certificate.key, f"{nothing}: No such file or directory"),
        (certificate.cert, nothing, f"{nothing}: No such file or directory"),
        (tmp_path, certificate.key, f"{tmp_path}: Is a directory"),
        (nonsense, certificate.key, "in PEM"),
        (certificate.cert, nonsense, "in PEM"),
        (certificate.cert, other.key, "does not belong to"),
        (certificate.cert, encrypted, "is encrypted"),
    ):
        with pytest.raises(BadCertificate) as caught:
            load_tls(cert, key)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


# --- HTTP ---


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_both_versions_of_http_are_spoken_over_tls(certificate: Certificate, version: str) -> None:
    async with serving(certificate) as served:
        context = certificate.client()
        async with httpx2.AsyncClient(
            base_url=f"https://127.0.0.1:{served.port}", verify=context, http2=version == "HTTP/2"
        ) as http:
            for _ in range(3):
                answer = await http.get("/healthz")
                assert (answer.http_version, answer.status_code) == (version, 200)
            answer = await http.post("/v1/auth/login", content=b"{")
            assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_what_speaks_no_tls_is_dropped_and_others_are_served(certificate: Certificate) -> None:
    async with serving(certificate) as served:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as plain:
            await plain.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert b"HTTP" not in await plain.receive_some()
        async with served.stream("http/1.1") as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_a_client_that_shakes_no_hands_is_dropped(certificate: Certificate) -> None:
    config = ListenerConfig(head_timeout_s=SHORT_S)
    async with serving(certificate, config) as served, await trio.open_tcp_stream("127.0.0.1", served.port) as silent:
        assert await silent.receive_some() == b""


async def test_http_2_is_not_spoken_without_tls() -> None:
    async with serving(None) as served, served.stream() as stream:
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 505")
    async with serving(None) as served, served.stream() as stream:
        await stream.send_all(
            b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        )
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


class Http2:
    """A bare HTTP/2 client."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.events: list[Any] = []

    async def flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            await self.stream.send_all(data)

    async def until(self, kind: type[Any], stream_id: int) -> Any:
        """The next event of this kind on a stream."""
        await self.flush()
        while True:
            for index, event in enumerate(self.events):
                if isinstance(event, kind) and event.stream_id == stream_id:
                    return self.events.pop(index)
            data = await self.stream.receive_some()
            assert data, "the connection was closed"
            self.events += self.connection.receive_data(bytes(data))
            await self.flush()


def connecting(person: Person, room: str) -> list[tuple[str, str]]:
    """The headers that ask for a WebSocket over HTTP/2: RFC 8441."""
    return [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", f"/ws?room_id={room}"),
        (":authority", "127.0.0.1"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("authorization", f"Bearer {person.token}"),
    ]


async def test_a_websocket_over_http_2(certificate: Certificate) -> None:
    """RFC 8441."""
    async with serving(certificate) as served:
        ann = await served.api.person("ann")
        room = await served.api.room(ann)
        async with served.stream("h2") as stream:
            client = Http2(stream)
            client.connection.send_headers(1, connecting(ann, room))
            accepted = dict((await client.until(h2.events.ResponseReceived, 1)).headers)
            assert accepted[":status"] == "200"
            assert "sec-websocket-extensions" not in accepted
            said = f'{{"event":"send_message","data":{{"room_id":"{room}","content":"hello"}}}}'
            client.connection.send_data(1, client_frame(1, said.encode()))
            data = b""
            while b"receive_message" not in data:
                data += (await client.until(h2.events.DataReceived, 1)).data
            assert b'"content":"hello"' in data


async def test_a_request_that_comes_after_the_end_began_does_not_hurt_those_under_way(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its body comes together with its head, before the client can know that it was refused."""
    arrived, go_on = trio.Event(), trio.Event()

    async def slow(_: HttpRequest) -> HttpResponse:
        arrived.set()
        await go_on.wait()
        return HttpResponse(status=200, headers=[], body=b"done")

    headers = [(":method", "POST"), (":scheme", "https"), (":path", "/v1/rooms"), (":authority", "h")]
    async with serving(certificate, ListenerConfig(grace_s=LIMIT_S)) as served, served.stream("h2") as stream:
        monkeypatch.setattr(served.api.service, "handle", slow)
        client = Http2(stream)
        client.connection.send_headers(1, headers, end_stream=True)
        await client.flush()
        await arrived.wait()
        served.shutdown.set()
        await trio.testing.wait_all_tasks_blocked()
        client.connection.send_headers(3, headers)
        client.connection.send_data(3, b"body", end_stream=True)
        await client.until(h2.events.StreamReset, 3)
        go_on.set()
        assert (await client.until(h2.events.DataReceived, 1)).data == b"done"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(8, struct.pack("!H", 4321) + b"goodbye"), 4321),
        (client_frame(1, b"\xff"), 1007),
        (client_frame(1, b"x", masked=False), 1002),
        (client_frame(1, b"x" * (MESSAGE_LIMIT + 1)), 1009),
    ],
)
async def test_a_websocket_over_http_2_ends_with_a_code_and_its_stream_with_it(
    certificate: Certificate, sent: bytes, code: int
) -> None:
    async with serving(certificate) as served:
        ann = await served.api.person("ann")
        room = await served.api.room(ann)
        async with served.stream("h2") as stream:
            client = Http2(stream)
            for stream_id in (1, 3):  # the connection goes on
                client.connection.send_headers(stream_id, connecting(ann, room))
                assert dict((await client.until(h2.events.ResponseReceived, stream_id)).headers)[":status"] == "200"
                client.connection.send_data(stream_id, sent)
                answer = await client.until(h2.events.DataReceived, stream_id)
                assert answer.data[:1] == b"\x88" and answer.data[2:4] == struct.pack("!H", code)
                await client.until(h2.events.StreamEnded, stream_id)


async def test_a_connect_that_asks_for_no_websocket_is_refused(certificate: Certificate) -> None:
    async with serving(certificate) as served, served.stream("h2") as stream:
        client = Http2(stream)
        client.connection.send_headers(1, [(":method", "CONNECT"), (":authority", "elsewhere.example:443")])
        refused = await client.until(h2.events.ResponseReceived, 1)
        assert dict(refused.headers)[":status"] == "400"
        client.connection.send_headers(
            3, [(":method", "GET"), (":scheme", "https"), (":path", "/healthz"), (":authority", "h")], end_stream=True
        )
        assert (await client.until(h2.events.DataReceived, 3)).data == b'{"status":"ok"}'


async def test_a_client_that_opens_and_resets_without_pause_is_cut_off(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = 0

    async def slow(_: HttpRequest) -> HttpResponse:
        nonlocal running
        running += 1
        await trio.sleep_forever()
        raise AssertionError

    async with serving(certificate) as served, served.stream("h2") as stream:
        monkeypatch.setattr(served.api.service, "handle", slow)
        client = Http2(stream)
        headers = [(":method", "GET"), (":scheme", "https"), (":path", "/v1/rooms"), (":authority", "h")]
        with pytest.raises((trio.BrokenResourceError, AssertionError)):
            for stream_id in range(1, 10 * MAX_RUNNING, 2):
                client.connection.send_headers(stream_id, headers, end_stream=True)
                client.connection.reset_stream(stream_id)
                await client.flush()
                await trio.testing.wait_all_tasks_blocked()
            await client.until(h2.events.ResponseReceived, 1)
        assert running <= MAX_RUNNING + 1


# --- WebSockets ---


async def test_a_message_that_is_too_long_is_1009_by_its_bytes(served: Served) -> None:
    ann = await served.api.person("ann")
    room = await served.api.room(ann)
    async with served.websocket(ann, room) as ws:
        await ws.send_message("ä" * (MESSAGE_LIMIT // 2))  # just the limit, and no event
        assert "error" in await ws.get_message()
        await ws.send_message("ä" * (MESSAGE_LIMIT // 2 + 1))
        assert await all_of(ws) == 1009


async def test_a_body_that_is_too_long_is_413(served: Served) -> None:
    """The listener's limit, as that of messages, whoever serves."""
    for size, status in ((BODY_LIMIT, b"400"), (BODY_LIMIT + 1, b"413")):
        async with served.stream("http/1.1") as stream:
            head = f"POST /v1/auth/login HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
            await stream.send_all(head.encode() + b" " * size)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 " + status)


async def test_a_client_that_leaves_without_a_word_is_forgotten(served: Served) -> None:
    ann = await served.api.person("ann")
    room = await served.api.room(ann)
    async with served.websocket(ann, room):
        assert len(served.api.engine.fanout) == 1
    while len(served.api.engine.fanout):  # noqa: ASYNC110 - there is no event for it
        await trio.sleep(0.01)


async def test_a_client_that_answers_no_pings_is_dropped(served: Served) -> None:
    ann = await served.api.person("ann")
    room = await served.api.room(ann)
    async with served.websocket(ann, room) as ws:
        [session] = served.api.engine.fanout
        transport = session._transport
        assert transport is not None
        before = transport.last_received
        await ws.send_message("anything")
        await ws.get_message()
        assert before < transport.last_received <= trio.current_time()
        session.check(trio.current_time() + 1000)
        assert await all_of(ws) == 4410


async def test_a_blocked_reader_does_not_delay_others(served: Served) -> None:
    ann, slow = await served.api.person("ann"), await served.api.person("slow")
    room = await served.api.room(ann, slow)
    async with served.websocket(ann, room) as ws, served.stream("http/1.1") as stream:
        await stream.send_all(
            f"GET /ws?room_id={room} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"X-Auth-Token: {slow.token}\r\n\r\n".encode()
        )
        while len(served.api.engine.fanout) < 2:  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.01)
        text = "x" * 4000
        while len(served.api.engine.fanout) == 2 and not served.api.engine.session_stats.slow_consumers:
            await served.api.post(ann, room, text)
            assert text in await ws.get_message()
        await served.api.post(ann, room, "the end")
        assert "the end" in await ws.get_message()
