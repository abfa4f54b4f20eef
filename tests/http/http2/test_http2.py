"""HTTP/2: requests mean what they mean over HTTP/1.1, malformed ones are refused, and one costs no other."""

import pytest
import structlog
from h2.events import InformationalResponseReceived, ResponseReceived, StreamReset
from hypothesis import given
from hypothesis import strategies as st

from chinwag.http.api.refusals import HttpRefusal
from chinwag.http.http2.head import Http2Head
from chinwag.http.lane.parsing import MAX_FIELDS
from chinwag.http.listener.listener import ListenerConfig
from tests.http.echo_server import BODY_LIMIT, SHORT_S, SOME_BYTES, all_quiet, serving
from tests.http.http2.http2_client import Field, Fields, Http2, request, status_of

WAY = "lane over TLS"


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        got = await http.ask(request("/a%20b?c=%20d&e", "POST", x_a="1", x_b="ab"), b"\x00\xff\n")
        assert got.status == 200
        assert (got.json["method"], got.json["path"], got.json["query"]) == ("POST", "/a%20b", "c=%20d&e")
        assert (got.json["host"], got.json["body"], got.json["secure"]) == ("h", "\x00\xff\n", True)
        assert got.json["headers"] == {"x-a": "1", "x-b": "ab", "host": "h"}
        assert got.json["client"] == "127.0.0.1"
        assert got.headers["date"].endswith(" GMT")
        repeated: Fields = [*request(), ("x-a", "1"), ("x-a", "2"), ("cookie", "a=1"), ("cookie", "b=2")]
        assert (await http.ask(repeated)).json["headers"] == {"x-a": "1, 2", "cookie": "a=1; b=2", "host": "h"}
        only_host: Fields = [*request()[:3], ("host", "chat.example")]
        assert (await http.ask(only_host)).json["host"] == "chat.example"


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "PROPFIND", "FOO", "get", "M-SEARCH", "X!#$%&'*+.^_`|~"])
async def test_any_method_is_for_the_application_to_judge(method: str) -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        assert (await http.ask(request(method=method))).json["method"] == method
        assert (await http.ask(request(method=method), b"body")).json["body"] == "body"


async def test_head_has_the_length_and_not_the_body() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        got = await Http2(client.stream).ask(request(method="HEAD"))
        assert int(got.headers["content-length"]) > 0
        assert got.body == b""


async def test_the_server_as_a_whole_has_options() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        assert (await Http2(client.stream).ask(request("*", "OPTIONS"))).json["path"] == "*"


async def test_requests_are_answered_as_they_are_ready() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        slow = await http.begin(request("/wait/a"))
        assert (await http.ask(request("/fast"))).json["path"] == "/fast"
        server.echo.event("a").set()
        assert (await http.answer(slow)).json["path"] == "/wait/a"


async def test_large_answers_share_the_connection() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        streams = [await http.begin(request(path)) for path in ("/some", "/some", "/hello")]
        await all_quiet()
        assert (await http.answer(streams[2])).status == 200  # it does not wait for the end of the others
        for stream_id in streams[:2]:
            assert len((await http.answer(stream_id)).body) == SOME_BYTES


async def test_an_answer_that_would_split_its_head_is_a_500() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            assert (await http.ask(request("/unsendable"))).status == 500
            assert (await http.ask(request())).status == 200
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["an answer could not be sent"]


async def test_a_bug_costs_its_own_stream_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            other = await http.begin(request("/wait/a"))
            await all_quiet()
            monkeypatch.setattr(server.echo, "handle", lambda _: 1 / 0)
            await http.until(StreamReset, await http.begin(request()))
            server.echo.event("a").set()
            assert (await http.answer(other)).status == 200
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["request ended by an error"]


# --- bodies ---


async def test_a_body_of_just_the_limit_is_taken_and_a_longer_one_is_413() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        assert len((await http.ask(request(method="POST"), b"x" * BODY_LIMIT)).json["body"]) == BODY_LIMIT
        assert (await http.ask(request(method="POST"), b"x" * (BODY_LIMIT + 1))).status == 413
        declared = await http.begin(request(method="POST", content_length=str(BODY_LIMIT + 1)), end=False)
        assert status_of(await http.until(ResponseReceived, declared)) == 413  # for what it declares: nothing was sent
        assert (await http.ask(request())).status == 200


async def test_a_large_body_opens_its_window_as_it_is_read() -> None:
    limit = 150_000
    async with serving(ListenerConfig(max_body_bytes=limit), way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        streams = [await http.begin(request(method="POST"), end=False) for _ in range(6)]
        for stream_id in streams:
            sent = 0
            while sent < limit:
                size = min(http.connection.local_flow_control_window(stream_id), 16_384, limit - sent)
                if not size:
                    assert await http.more()
                    continue
                http.connection.send_data(stream_id, bytes(size), end_stream=sent + size == limit)
                sent += size
                await http.flush()
            assert len((await http.answer(stream_id)).json["body"]) == limit


async def test_a_client_that_waits_for_100_is_told_to_continue() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        stream_id = await http.begin(request(method="POST", expect="100-Continue"), end=False)
        await http.until(InformationalResponseReceived, stream_id)
        http.connection.send_data(stream_id, b"world", end_stream=True)
        assert (await http.answer(stream_id)).json["body"] == "world"
        assert (await http.ask(request(method="POST", expect="a-miracle"), b"x")).status == 417


async def test_a_body_that_does_not_come_is_408() -> None:
    limits = ListenerConfig(body_timeout_s=SHORT_S)
    async with serving(limits, way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        stream_id = await http.begin(request(method="POST"), end=False)
        http.connection.send_data(stream_id, b"wor")
        assert status_of(await http.until(ResponseReceived, stream_id)) == 408
        assert server.echo.asked == []


async def test_a_client_that_resets_a_stream_cancels_no_handler() -> None:
    async with serving(way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        stream_id = await http.begin(request("/wait/a"))
        await all_quiet()
        http.connection.reset_stream(stream_id)
        await http.flush()
        await all_quiet()
        server.echo.event("a").set()
        assert (await http.ask(request())).status == 200
        assert server.echo.finished == ["/wait/a", "/hello"]
        assert not server.echo.cancelled


# --- what is no request ---


def bad(
    *more: Field,
    method: str | bytes | None = "GET",
    scheme: str | bytes | None = "https",
    path: str | bytes | None = "/hello",
    authority: str | bytes | None = "h",
) -> Fields:
    """A request's fields; those that are None are left out."""
    pseudo = {":method": method, ":scheme": scheme, ":path": path, ":authority": authority}
    return [*((name, value) for name, value in pseudo.items() if value is not None), *more]


def websocket(*more: Field) -> Fields:
    return bad((":protocol", "websocket"), *more, method="CONNECT", path="/ws")


MALFORMED: dict[str, tuple[Fields, int | str]] = {
    # Where HTTP/2's own rules are broken the connection ends; where the lane's are, the request is refused.
    "a raw byte in the path": (bad(path=b"/\xff"), 400),
    "a raw character in the path": (bad(path="/é"), 400),
    "a blank in the path": (bad(path="/a b"), 400),
    "NUL in the path": (bad(path=b"/\0"), "closed"),
    "a line end in the path": (bad(path="/a\r\nx: y"), "closed"),
    "a relative path": (bad(path="a"), 400),
    "no more than a query": (bad(path="?a"), 400),
    "an absolute path": (bad(path="https://h/a"), 400),
    "a fragment after a path": (bad(path="/a#b"), 400),
    "an empty path": (bad(path=""), "closed"),
    "an asterisk": (bad(path="*"), 400),
    "no path": (bad(path=None), "closed"),
    "two paths": (bad((":path", "/b"), path="/a"), "closed"),
    "a blank in the method": (bad(method="GE T"), 400),
    "a method of raw bytes": (bad(method=b"G\xff"), 400),
    "an empty method": (bad(method=""), 400),
    "a parenthesis in the method": (bad(method="G(T"), 400),
    "no method": (bad(method=None), "closed"),
    "two methods": (bad((":method", "POST"), method="GET"), "closed"),
    "no scheme": (bad(scheme=None), "closed"),
    "another scheme": (bad(scheme="ftp"), 400),
    "a scheme of raw bytes": (bad(scheme=b"\xff"), 400),
    "a blank in the host": (bad(authority="a b"), 400),
    "a slash in the host": (bad(authority="a/b"), 400),
    "a user in the host": (bad(authority="user@h"), 400),
    "raw bytes in the host": (bad(authority=b"\xe9"), 400),
    "a port that is no number": (bad(authority="h:port"), 400),
    "a bracket that is left open": (bad(authority="[::1"), 400),
    "no host": (bad(authority=None), "closed"),
    "two hosts": (bad(("host", "h"), ("host", "h"), authority=None), "closed"),
    "two different hosts": (bad(("host", "other")), "closed"),
    "two authorities": (bad((":authority", "h"), authority="h"), "closed"),
    "a status": (bad((":status", "200")), "closed"),
    "an unknown pseudo-header": (bad((":x", "y")), "closed"),
    "a protocol without CONNECT": (bad((":protocol", "websocket")), "closed"),
    "a pseudo-header after a header": (bad(("x", "y"), (":path", "/late")), "closed"),
    "a capital in a name": (bad(("X", "y")), "closed"),
    "a blank in a name": (bad(("x ", "y")), "closed"),
    "a parenthesis in a name": (bad(("x(", "y")), 400),
    "raw bytes in a name": (bad((b"\xe9", "y")), "closed"),
    "an empty name": (bad(("", "y")), "closed"),
    "NUL in a value": (bad(("x", "a\0b")), "closed"),
    "a line end in a value": (bad(("x", "a\r\nb: c")), "closed"),
    "a control character in a value": (bad(("x", "a\x01b")), 400),
    "DEL in a value": (bad(("x", "a\x7fb")), 400),
    "a blank before a value": (bad(("x", " a")), "closed"),
    "Connection": (bad(("connection", "close")), "closed"),
    "Keep-Alive": (bad(("keep-alive", "5")), "closed"),
    "Proxy-Connection": (bad(("proxy-connection", "close")), "closed"),
    "Transfer-Encoding": (bad(("transfer-encoding", "chunked")), "closed"),
    "Upgrade": (bad(("upgrade", "websocket")), "closed"),
    "TE": (bad(("te", "gzip")), "closed"),
    "a length that is none": (bad(("content-length", "x")), "closed"),
    "a negative length": (bad(("content-length", "-5")), "closed"),
    "a signed length": (bad(("content-length", "+0")), "closed"),
    "two lengths": (bad(("content-length", "0"), ("content-length", "0")), 400),
    "a list of lengths": (bad(("content-length", "0, 0")), "closed"),
    "a length without a body": (bad(("content-length", "5")), 400),
    "another expectation": (bad(("expect", "a-miracle")), 417),
    "too many fields": (bad(*((f"x-{number}", "y") for number in range(MAX_FIELDS))), 431),
    "too large a head": (bad(*[(f"x-{number}", "y" * 3000) for number in range(11)]), 431),
    "far too large a head": (bad(*[(f"x-{number}", "y" * 3000) for number in range(22)]), "closed"),
    "CONNECT": (bad(method="CONNECT", scheme=None, path=None), 405),
    "CONNECT with a path": (bad(method="CONNECT"), "closed"),
    "CONNECT of another protocol": (bad((":protocol", "mqtt"), method="CONNECT"), 405),
    "CONNECT of raw bytes": (bad((":protocol", b"\xff"), method="CONNECT"), 405),
    "a WebSocket without a version": (websocket(), 400),
    "a WebSocket with a body": (websocket(("sec-websocket-version", "13"), ("content-length", "0")), 400),
    "a WebSocket of an old version": (websocket(("sec-websocket-version", "8")), 400),
    "a WebSocket of two versions": (websocket(*[("sec-websocket-version", "13")] * 2), 400),
}
"""What is sent in place of a good request, and what becomes of it."""


async def test_what_is_malformed_is_refused_or_ends_the_connection() -> None:
    wrong: dict[str, int | str] = {}
    with structlog.testing.capture_logs() as logs:
        async with serving(way=WAY) as server:
            for name, (fields, expected) in MALFORMED.items():
                async with server.client("h2") as client:
                    http = Http2(client.stream)
                    other = await http.begin(request("/wait/a"))
                    got = await http.outcome(fields)
                    if got == expected and got != "closed":
                        server.echo.event("a").set()
                        got = got if (await http.answer(other)).status == 200 else "the other request is lost"
                    server.echo.event("a").set()
                    server.echo.events.clear()
                    if got != expected:
                        wrong[name] = got
            assert wrong == {}
            assert set(server.echo.asked) == {"/wait/a"}
    said = {(entry["event"], entry["log_level"]) for entry in logs if entry["log_level"] != "debug"}
    assert said == {("bad client", "warning")}


async def test_a_client_that_goes_on_sending_malformed_requests_has_one_line() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            for _ in range(20):
                assert await http.outcome(bad(path=b"/\xff")) == 400
            assert (await http.ask(request())).status == 200
    said = [(entry["event"], entry["reason"]) for entry in logs if entry["log_level"] != "debug"]
    assert said == [("bad client", "the request's target is malformed")]


NAMES = st.sampled_from(
    [b":method", b":path", b":authority", b":scheme", b":protocol", b"host", b"content-length", b"x"]
)
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=8) | st.sampled_from([b"GET", b"/", b"h", b"0"])), max_size=8)


@given(fields=FIELDS)
def test_whatever_the_fields_are_a_head_passes_or_says_why_not(fields: list[tuple[bytes, bytes]]) -> None:
    """Also those that h2 would not let pass."""
    head = Http2Head([(b":method", b"GET"), *fields], client="", max_bytes=100)
    asked = head.request()
    assert isinstance(head.refusal, HttpRefusal) or (asked.path.startswith("/") or asked.path == "*")
    assert asked.path.isascii() and asked.path.isprintable()
