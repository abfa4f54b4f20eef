"""What all endpoints have in common: CORS, limits, methods, the server's own pages, bytes that are not quite HTTP."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.e2e.client import Api, Person, api_of, closing, error_of
from tests.e2e.listeners import half_close
from tests.e2e.processes import LIMIT_S, ROOT, Server, serving

ORIGIN = "https://chat.example.org"
MIB = 1024 * 1024


async def talk(server: Server, sent: bytes, *, and_leave: bool = False) -> bytes:
    """Send bytes on a connection of its own; everything that comes back until the server closes."""
    received = b""
    with trio.fail_after(LIMIT_S):
        async with closing(await server.connect()) as stream:
            await stream.send_all(sent)
            if and_leave:
                await half_close(stream)
            async for data in stream:
                received += data
    return received


@pytest.mark.parametrize(
    "path", ["/rooms", "/auth/login", "/rooms/1/messages", "/messages/search", "/users/1", "/nowhere"]
)
async def test_a_preflight_needs_no_token(api: Api, path: str) -> None:
    answer = await api.ask(
        "OPTIONS",
        path,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,x-auth-token",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "idempotency-key", "x-auth-token"))
    assert "access-control-allow-methods" in answer.headers
    assert "access-control-allow-credentials" not in answer.headers


async def test_errors_too_can_be_read_by_pages_of_any_origin(api: Api, ann: Person, eve: Person) -> None:
    room = await api.room(ann)
    for method, path, caller, body, status in (
        ("GET", "/rooms", ann, None, 200),
        ("GET", "/rooms", None, None, 401),
        ("GET", f"/rooms/{room}", eve, None, 403),
        ("GET", "/nowhere", ann, None, 404),
        ("PUT", "/rooms", ann, None, 405),
        ("POST", "/rooms", ann, b"{", 400),
        ("POST", "/rooms", ann, b" " * (MIB + 1), 413),
    ):
        answer = await api.ask(method, path, as_=caller, content=body, headers={"Origin": ORIGIN})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_only_the_origins_given_may_read_answers(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--cors-origin", ORIGIN, "--cors-origin", "http://localhost:3000") as server:
        async with api_of(server) as api:
            for origin, allowed in ((ORIGIN, ORIGIN), ("http://localhost:3000",) * 2, ("https://evil.example", None)):
                answer = await api.ask("GET", "/rooms", headers={"Origin": origin})
                assert answer.headers.get("access-control-allow-origin") == allowed
                assert "Origin" in answer.headers["vary"]


async def test_a_body_beyond_the_limit_is_413(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    path = f"/rooms/{room}/messages"
    declared = await api.ask("POST", path, as_=ann, content=b"x" * (MIB + 1))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65_536

    streamed = await api.http.post(path, content=chunks(), headers=ann.headers)
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert error_of(answer)
    padded = b'{"content": "fits"}'.ljust(MIB)
    assert (await api.ask("POST", path, as_=ann, content=padded)).status_code == 201
    assert await api.texts(ann, room) == ["fits"]


async def test_what_is_not_there_is_404_and_what_cannot_be_done_405(api: Api, ann: Person) -> None:
    for path in ("/", "/room", "/rooms/", "/rooms/1/2/3", "/v1/rooms", "/%ff", "/%00", "/..%2f..", "/messages"):
        answer = await api.ask("GET", path, as_=ann)
        assert answer.status_code == 404, path
        assert error_of(answer)
    for method, path, allowed in (("PUT", "/rooms", "GET"), ("GET", "/auth/login", "POST"), ("POST", "/users", "GET")):
        answer = await api.ask(method, path, as_=ann)
        assert answer.status_code == 405
        assert allowed in answer.headers["allow"]
        assert error_of(answer)


async def test_the_servers_own_pages(api: Api, server: Server) -> None:
    healthz = await api.http.get(f"{server.url}/healthz")
    assert (healthz.status_code, healthz.json()) == (200, {"status": "ok"})
    metrics = await api.http.get(f"{server.url}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    for name in ("connections", "messages_total", "commit_seconds_count", "commit_writes_count", "fanout_events_total"):
        assert f"\nchinwag_{name} " in metrics.text
    for name in ("slow_consumers_closed_total", "mailbox_depth_count"):
        assert f"\nchinwag_{name} " in metrics.text
    document = (await api.http.get(f"{server.url}/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    assert document["servers"][0]["url"].endswith("/v1")
    assert "/rooms/{room_id}/messages" in document["paths"]
    for path in ("/", "/docs", "/chatterstack/docs"):
        page = await api.http.get(f"{server.url}{path}")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert 'src="http' not in page.text and 'href="http' not in page.text  # it works with no internet access
    assert (await api.http.get(f"{server.url}/ws")).status_code == 426


async def test_every_metric_is_documented(api: Api) -> None:
    documented = set(re.findall(r"chinwag_\w+", (ROOT / "docs" / "operations.md").read_text()))
    text = (await api.http.get(f"{api.server.url}/metrics")).text
    assert set(re.findall(r"# TYPE (chinwag_\w+) ", text)) <= documented


async def test_metrics_show_what_the_store_does(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    names = [f"chinwag_store_{name}_total" for name in ("commits", "units", "writes", "failed_units")]
    before = [await api.metric(name) for name in names]
    await api.post(ann, room, "hello")
    commits, units, writes, failed = [await api.metric(name) - was for name, was in zip(names, before, strict=True)]
    assert 1 <= commits <= units <= writes
    assert failed == 0
    for gauge in ("chinwag_store_queued_units", "chinwag_search_backlog"):
        with trio.fail_after(LIMIT_S):
            while await api.metric(gauge):  # noqa: ASYNC110 - in another process
                await trio.sleep(0.02)
    text = (await api.http.get(f"{api.server.url}/metrics")).text
    assert "\nchinwag_store_queued_units 0.0\n" in text and "\nchinwag_search_backlog 0.0\n" in text


async def test_a_connection_is_used_again_and_again(server: Server) -> None:
    async with closing(await server.connect()) as stream:
        with trio.fail_after(LIMIT_S):
            for _ in range(5):
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                received = b""
                while not received.endswith(b"}"):
                    received += await stream.receive_some()
                assert received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000,
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"\xff" * 1000,
    ],
)
async def test_bytes_that_are_no_request_are_answered_with_a_4xx_or_not_at_all(
    server: Server, api: Api, sent: bytes
) -> None:
    received = await talk(server, sent, and_leave=True)
    assert received == b"" or received.startswith(b"HTTP/1.1 4"), received
    assert await api.healthy()


async def test_headers_no_browser_would_send_do_no_harm(server: Server, api: Api, ann: Person) -> None:
    head = b"GET /v1/rooms HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n"
    token = f"Authorization: Bearer {ann.token}\r\n".encode()
    for host, more, status in (
        (b"chatterstack.localhost", token, b"200"),
        (b"a" * 5000, token, b"200"),
        (b"\xe4.\xff", token, b"200"),
        (b"h", b"Authorization: Bearer \xff\xfe\r\n", b"401"),
        (b"h", b"X-Auth-Token: \xe2\x82\xac\r\n", b"401"),
        (b"h", token + b"Origin: \xff\r\nAccess-Control-Request-Headers: \xff\r\n", b"200"),
        (b"h", token + token, b"401"),
    ):
        received = await talk(server, head % (host, more))
        assert received.startswith((b"HTTP/1.1 " + status, b"HTTP/1.1 400")), received
    assert await api.healthy()


async def test_a_client_that_goes_on_talking_after_a_refusal_is_no_error_of_the_servers(
    server: Server, api: Api
) -> None:
    """Its next bytes and the last of the answer cross; the shared server's log must show no traceback at the end."""
    head = b"POST /v1/auth/login HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (2 * MIB)
    for _ in range(10):
        with trio.fail_after(LIMIT_S):
            async with closing(await server.connect()) as stream:
                try:
                    await stream.send_all(head + b"x" * (2 * MIB) + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                    received = await stream.receive_some()
                except trio.BrokenResourceError:  # it hung up in the middle
                    continue
                assert received.startswith(b"HTTP/1.1 413 ")
    assert await api.healthy()
    assert "Traceback" not in server.log
