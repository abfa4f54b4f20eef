"""TLS: certificates, who speaks what, and how the server's end finds its connections."""

import ssl
from pathlib import Path

import httpx2
import pytest
import structlog
import trio
import trio.testing
from h2.events import DataReceived, StreamReset

from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.tls import BadCertificate, load_tls
from chinwag.http.settings import ServerName
from tests.http.echo_server import SHORT_S, client_context, tls
from tests.http.http2.http2_client import Http2, request
from tests.http.listener.certificates import Certificate
from tests.http.served import LIMIT_S, serving

SERVERS: list[ServerName] = ["lane", "hypercorn"]


@pytest.fixture
def certificate() -> Certificate:
    return tls()[0]


# --- certificates ---


def test_a_certificate_and_its_key_are_loaded(tmp_path: Path) -> None:
    made = Certificate(tmp_path)
    context = load_tls(made.cert, made.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_what_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    certificate, other = Certificate(tmp_path / "mine"), Certificate(tmp_path / "other")
    nothing, nonsense = tmp_path / "nothing.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
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


# --- who speaks what ---


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_both_versions_of_http_are_spoken_over_tls(server: ServerName, version: str) -> None:
    async with serving(server=server, secure=True) as served:
        context = client_context()
        async with httpx2.AsyncClient(
            base_url=f"https://127.0.0.1:{served.port}", verify=context, http2=version == "HTTP/2"
        ) as http:
            for _ in range(3):
                answer = await http.get("/healthz")
                assert (answer.http_version, answer.status_code) == (version, 200)
            answer = await http.post("/v1/auth/login", content=b"{")
            assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("offered", [[], ["http/1.1"], ["spdy/1"]])
async def test_who_does_not_ask_for_http_2_speaks_http_1_1(offered: list[str]) -> None:
    async with serving(secure=True) as served, await trio.open_tcp_stream("127.0.0.1", served.port) as tcp:
        stream = trio.SSLStream(tcp, tls()[0].client(*offered), server_hostname="127.0.0.1", https_compatible=True)
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_what_speaks_no_tls_is_dropped_and_others_are_served() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(secure=True) as served:
            async with await trio.open_tcp_stream("127.0.0.1", served.port) as plain:
                await plain.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert b"HTTP" not in await plain.receive_some()
            async with served.stream() as stream:
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    said = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [(entry["event"], entry["reason"], entry["protocol"]) for entry in said] == [
        ("bad client", "http request", "TLS")
    ]


async def test_a_client_that_shakes_no_hands_is_dropped() -> None:
    async with (
        serving(ListenerConfig(head_timeout_s=SHORT_S), secure=True) as served,
        await trio.open_tcp_stream("127.0.0.1", served.port) as silent,
    ):
        assert await silent.receive_some() == b""


@pytest.mark.parametrize("server", SERVERS)
async def test_http_2_is_not_spoken_without_tls(server: ServerName) -> None:
    async with serving(server=server) as served:
        async with served.stream() as stream:
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 505")
        async with served.stream() as stream:
            await stream.send_all(
                b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
            )
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


# --- the server's end ---


async def test_an_http_2_request_that_comes_after_the_end_began_does_not_hurt_those_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its body comes together with its head, before the client can know that it was refused."""
    arrived, go_on = trio.Event(), trio.Event()

    async def slow(_: HttpRequest) -> HttpResponse:
        arrived.set()
        await go_on.wait()
        return HttpResponse(status=200, headers=[], body=b"done")

    async with serving(ListenerConfig(grace_s=LIMIT_S), secure=True) as served, served.stream("h2") as stream:
        monkeypatch.setattr(served.api.service, "handle", slow)
        http = Http2(stream)
        under_way = await http.begin(request("/v1/rooms"))
        await arrived.wait()
        served.shutdown.set()
        await trio.testing.wait_all_tasks_blocked()
        late = await http.begin(request("/v1/rooms", "POST"), end=False)
        http.connection.send_data(late, b"body", end_stream=True)
        await http.until(StreamReset, late)
        go_on.set()
        assert (await http.until(DataReceived, under_way)).data == b"done"
        assert await http.last_words() == 0


@pytest.mark.parametrize("server", SERVERS)
async def test_idle_connections_are_closed_at_once(server: ServerName) -> None:
    """With the grace period this would take longer than a test may."""
    config = ListenerConfig(grace_s=2 * LIMIT_S)
    with trio.fail_after(LIMIT_S):
        async with (
            serving(config, server=server, secure=True) as served,
            served.stream("h2") as idle_2,
            served.stream() as idle_1,
            served.stream() as silent,
            await trio.open_tcp_stream("127.0.0.1", served.port),
        ):
            http = Http2(idle_2)
            assert (await http.ask(request("/healthz"))).status == 200
            await idle_1.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            answered = b""
            while b'"ok"' not in answered:
                answered += await idle_1.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            served.shutdown.set()
            assert await http.last_words() == 0
            for stream in (idle_1, silent):
                assert await stream.receive_some() == b""
