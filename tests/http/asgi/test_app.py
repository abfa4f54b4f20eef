"""The ASGI application, called as an ASGI server calls it."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, HTTPScope
from trio.testing import MockClock

from chinwag.http.asgi.app import BODY_TIMEOUT_S, ChinwagApp, to_request
from tests.http.service_api import Api, open_api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api() as opened:
        yield opened


def http_scope(
    method: str = "GET",
    path: bytes = b"/v1/rooms",
    *,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    http_version: str = "1.1",
) -> HTTPScope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.7", 1234),
        "server": ("127.0.0.1", 8000),
        "state": {},  # type: ignore[typeddict-item]  # hypercorn's own type for it is not public
        "extensions": {},
    }


class Exchange:
    """One request's events in, and what the application sent."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._events = list(events)
        self.sent: list[Any] = []
        self.received = 0

    async def receive(self) -> ASGIReceiveEvent:
        await trio.lowlevel.checkpoint()
        if not self._events:
            await trio.sleep_forever()
        self.received += 1
        return self._events.pop(0)  # type: ignore[return-value]  # the tests' events are plain dictionaries

    async def send(self, event: ASGISendEvent) -> None:
        self.sent.append(event)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(event["body"] for event in self.sent[1:])


def chunk(body: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def run(app: ChinwagApp, scope: HTTPScope, *events: dict[str, Any]) -> Exchange:
    exchange = Exchange(*events)
    await app(scope, exchange.receive, exchange.send)
    return exchange


async def test_a_request_is_answered(api: Api) -> None:
    registration = b'{"username": "ann", "email": "ann@example.org", "password": "secret"}'
    events = [chunk(registration[:20], more=True), chunk(registration[20:], more=True), chunk()]
    answer = await run(ChinwagApp(api.service), http_scope("POST", b"/v1/auth/register"), *events)
    assert answer.status == 201
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert b'"username":"ann"' in answer.body
    assert answer.sent[-1]["more_body"] is False


async def test_head_has_the_length_and_not_the_body(api: Api) -> None:
    answer = await run(ChinwagApp(api.service), http_scope("HEAD", b"/healthz"), chunk())
    assert (answer.status, answer.body, answer.headers[b"content-length"]) == (200, b"", b"15")


async def test_a_declared_length_beyond_the_limit_is_413_before_the_body_is_read(api: Api) -> None:
    scope = http_scope("POST", b"/v1/rooms", headers=[(b"content-length", b"11")])
    answer = await run(ChinwagApp(api.service, max_body_bytes=10), scope, chunk(b"x" * 11))
    assert (answer.status, answer.body) == (413, b'{"error":"the request\'s body is larger than 10 bytes"}')


async def test_a_body_that_grows_beyond_the_limit_is_413_and_the_rest_is_drained(api: Api) -> None:
    events = [chunk(b"x" * 6, more=True), chunk(b"x" * 6, more=True), chunk(b"x", more=True), chunk(b"x")]
    answer = await run(ChinwagApp(api.service, max_body_bytes=10), http_scope("POST"), *events)
    assert answer.status == 413
    assert answer.received == 4
    assert answer.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_body_of_just_the_limit_is_taken(api: Api) -> None:
    answer = await run(ChinwagApp(api.service, max_body_bytes=10), http_scope("POST"), chunk(b"x" * 10))
    assert answer.status == 401


@pytest.mark.parametrize("length", [b"x", b"-1", b"9" * 5000, "٣".encode()])
async def test_a_strange_declared_length_breaks_nothing(api: Api, length: bytes) -> None:
    scope = http_scope("POST", b"/v1/rooms", headers=[(b"content-length", length)])
    answer = await run(ChinwagApp(api.service), scope, chunk())
    assert answer.status in (401, 413)


async def test_a_body_that_does_not_come_is_408(api: Api, autojump_clock: MockClock) -> None:
    started = trio.current_time()
    answer = await run(ChinwagApp(api.service), http_scope("POST"), chunk(b"{", more=True))
    assert answer.status == 408
    assert BODY_TIMEOUT_S <= trio.current_time() - started < BODY_TIMEOUT_S + 5


async def test_a_client_that_leaves_in_the_middle_gets_nothing(api: Api) -> None:
    answer = await run(ChinwagApp(api.service), http_scope("POST"), chunk(b"{", more=True), {"type": "http.disconnect"})
    assert answer.sent == []


async def test_headers_of_the_connection_stay_out_of_http2(api: Api) -> None:
    for version, expected in (("1.1", True), ("2", False)):
        answer = await run(ChinwagApp(api.service), http_scope(path=b"/ws", http_version=version), chunk())
        assert answer.status == 426
        assert (b"upgrade" in answer.headers) is expected
        assert (b"connection" in answer.headers) is expected


def test_a_scope_becomes_a_request_as_it_was_on_the_wire() -> None:
    headers = [(b"Host", b"chat.example"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"\xe9")]
    request = to_request(http_scope(path=b"/caf%C3%A9", query=b"q=%20", headers=headers))
    assert (request.path, request.query) == ("/caf%C3%A9", "q=%20")
    assert request.headers == {"host": "chat.example", "x-a": "1, 2", "x-b": "é"}
    assert (request.host, request.client) == ("chat.example", "192.0.2.7")


@pytest.mark.parametrize(
    ("raw", "path"),
    [(b"http://chat.example/v1/rooms", "/v1/rooms"), (b"http://chat.example", "/"), (b"*", "*"), (b"", "/")],
)
def test_other_forms_of_target_become_paths(raw: bytes, path: str) -> None:
    assert to_request(http_scope(path=raw)).path == path
