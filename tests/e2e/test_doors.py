"""The doors of a real server, by every listener: headers, whose pages may connect, metrics, the line per request."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from trio_websocket import ConnectionRejected

from tests.e2e.client import Api, api_of
from tests.e2e.hostile import raw, read_to_the_end
from tests.e2e.listeners import Listener
from tests.e2e.processes import LIMIT_S, Server, serving
from tests.forks import run_forked

pytestmark = pytest.mark.listeners("lane", "hypercorn", "tls", reason="headers are added by each listener's own code")

ORIGIN = "https://chat.example.org"
OPTIONS = ("--cors-origin", ORIGIN, "--metrics-token", "for-prometheus", "--log-level", "debug", "--log-format", "json")


@pytest.fixture(scope="module")
def guarded(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all fronts that tells what it is asked."""
    with serving(tmp_path_factory.mktemp("doors") / "data", *OPTIONS, listener=listener, fronts=()) as server:
        yield server


def lines(server: Server, event: str) -> list[dict[str, Any]]:
    """The log's lines of one kind."""
    return [line for line in map(json.loads, server.log.splitlines()) if line["event"] == event]


async def test_every_answer_has_the_headers_that_browsers_heed(guarded: Server) -> None:
    async with httpx2.AsyncClient(base_url=guarded.url, timeout=LIMIT_S, **guarded.listener.http_options) as http:
        for method, path, status in (
            ("GET", "/", 200),
            ("GET", "/chatrooms/docs", 200),
            ("GET", "/messenger/openapi.json", 200),
            ("POST", "/chatterstack/v1/auth/login", 400),
            ("GET", "/nowhere", 404),
            ("PUT", "/messenger/api/groups", 405),
            ("HEAD", "/healthz", 200),
            ("OPTIONS", "/chatrooms/chatrooms", 204),
        ):
            answer = await http.request(method, path)
            assert answer.status_code == status
            for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")):
                assert answer.headers.get_list(name) == [value]
            [policy] = answer.headers.get_list("content-security-policy")
            assert "frame-ancestors 'none'" in policy and "unsafe-inline" not in policy
            assert ("strict-transport-security" in answer.headers) is (guarded.listener.scheme == "https")


async def test_a_head_that_cannot_be_read_is_refused_with_them_too(guarded: Server) -> None:
    if guarded.listener.scheme == "https":
        pytest.skip("inside TLS what cannot be read is hypercorn's to refuse")
    async with raw(guarded) as stream:
        await stream.send_all(b"\x00 no HTTP\r\n\r\n")
        assert b"x-content-type-options: nosniff" in await read_to_the_end(stream)


async def test_only_pages_of_the_given_origin_may_connect(guarded: Server) -> None:
    async with api_of(guarded) as api:
        ann = await api.person("ann")
        room = await api.room(ann)
        token = ("Authorization", f"Bearer {ann.token}")
        for target in (f"/chatterstack/ws?room_id={room}", "/chatrooms/ws", "/messenger/ws"):
            for allowed in ([], [("Origin", ORIGIN)], [("Origin", "HTTPS://CHAT.example.org:443")]):
                async with api.open_socket(target, [token, *allowed]):
                    pass
            for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example"):
                refused = await refusal(api, target, [token, ("Origin", origin)])
                assert refused.status_code == 403
                assert "pages of this origin may not connect" in json.dumps(json.loads(refused.body or b""))
    opened = lines(guarded, "socket opened")
    assert [line["path"] for line in opened[::3]] == [
        f"/chatterstack/ws?room_id={room}",
        "/chatrooms/ws",
        "/messenger/ws",
    ]
    assert {line["user"] for line in opened} == {int(ann.id)}
    assert {line["request_id"] for line in lines(guarded, "socket closed")} <= {line["request_id"] for line in opened}
    assert ann.token not in guarded.log


async def refusal(api: Api, target: str, headers: list[tuple[str, str]]) -> ConnectionRejected:
    found: list[ConnectionRejected] = []
    try:
        async with api.open_socket(target, headers):
            raise AssertionError("it was let in")
    except* ConnectionRejected as refused:
        found += leaves(refused)
    [rejected] = found
    return rejected


def leaves(group: BaseExceptionGroup[ConnectionRejected]) -> Iterator[ConnectionRejected]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each


async def test_the_metrics_need_their_token_and_a_request_is_one_line(guarded: Server) -> None:
    async with httpx2.AsyncClient(base_url=guarded.url, timeout=LIMIT_S, **guarded.listener.http_options) as http:
        refused = await http.get("/metrics", params={"token": "for-prometheus"})
        assert refused.status_code == 401
        shown = await http.get("/metrics", headers={"Authorization": "Bearer for-prometheus"})
        assert shown.status_code == 200
        [line] = [each for each in lines(guarded, "request") if each["request_id"] == refused.headers["x-request-id"]]
        assert (line["method"], line["path"], line["status"], line["user"]) == ("GET", "/metrics?token=***", 401, None)
        assert line["ms"] > 0
    assert "for-prometheus" not in guarded.log


@pytest.mark.listeners("lane", reason="the other server refuses it before anybody of ours is asked")
async def test_a_handshake_that_is_refused_is_a_line_too(guarded: Server) -> None:
    async with raw(guarded) as stream:
        asking = "GET /chatrooms/ws?token=abc HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade"
        await stream.send_all("\r\n".join([*asking, "Sec-WebSocket-Version: 8", "", ""]).encode())
        assert b"x-content-type-options: nosniff" in await read_to_the_end(stream)
    line = lines(guarded, "request")[-1]
    assert (line["path"], line["status"]) == ("/chatrooms/ws?token=***", 426)


@pytest.mark.listeners("lane", reason="the benchmarks are for it")
@pytest.mark.parametrize(("base", "hint"), [("", "use --target {}/chatterstack"), ("/chatterstack/v1", "its /v1")])
def test_a_benchmark_of_the_wrong_address_is_told_the_right_one(guarded: Server, base: str, hint: str) -> None:
    ended = run_forked("bench", "idle", "--connections", "2", "--target", guarded.url + base)
    [line] = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert hint.format(guarded.url) in line
