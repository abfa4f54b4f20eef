"""Request heads: what is parsed, what is refused, and how a refusal reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.http.head import HEAD_END, BadRequest, RequestHead, parse_head, refusal


def request(
    target: str = "/", *, method: str = "GET", version: str = "HTTP/1.1", headers: str = "Host: h\r\n"
) -> bytes:
    return f"{method} {target} {version}\r\n{headers}\r\n".encode("latin-1")


def test_a_head_becomes_values() -> None:
    head = parse_head(request("/a%20b/%C3%A9?x=%201&y", headers="Host: chat.example\r\nX-Name:  caf\xe9 \r\n"))
    assert head == RequestHead(
        method="GET",
        target="/a%20b/%C3%A9?x=%201&y",
        path="/a b/é",
        query="x=%201&y",
        headers=(("host", "chat.example"), ("x-name", "café")),
        http_version="1.1",
    )


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/?", "/", ""),
        ("/a?b?c", "/a", "b?c"),
        ("//double", "//double", ""),
        ("/%2F%25", "/" + "/%", ""),
        ("/%zz", "/%zz", ""),
        ("/%ff", "/\ufffd", ""),
        ("*", "*", ""),
        ("http://chat.example/ws?token=1", "/ws", "token=1"),
        ("HTTPS://chat.example:8443", "/", ""),
        ("http://chat.example?x", "/", "x"),
    ],
)
def test_targets(target: str, path: str, query: str) -> None:
    head = parse_head(request(target))
    assert (head.target, head.path, head.query) == (target, path, query)


def test_repeated_headers_are_joined_in_order() -> None:
    head = parse_head(request(headers="Host: h\r\nVia: a\r\nX: 1\r\nVIA: b, c\r\n"))
    assert head.header("via") == "a, b, c"
    assert head.count("via") == 2
    assert head.tokens("via") == {"a", "b", "c"}
    assert head.header("absent") is None
    assert head.count("absent") == 0
    assert head.tokens("absent") == frozenset()


def test_an_empty_header_is_not_an_absent_one() -> None:
    head = parse_head(request(headers="Host: h\r\nX:\r\n"))
    assert head.header("x") == ""
    assert head.tokens("x") == frozenset()


def test_http_1_0_needs_no_host() -> None:
    assert parse_head(request(version="HTTP/1.0", headers="")).http_version == "1.0"


def test_what_follows_the_head_is_left_alone() -> None:
    assert parse_head(request() + b"\xff\x00body").path == "/"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (request(version="HTTX/1.1"), 400),
        (request(headers=""), 400),
        (request(headers="Host: a\r\nHost: b\r\n"), 400),
        (request(headers="Host: h\r\nName : space before the colon\r\n"), 400),
        (request(headers="Host: h\r\nno colon\r\n"), 400),
        (request(headers="Host: h\r\nX: a\x00b\r\n"), 400),
        (request(headers="Host: h\r\nX: a\rb\r\n"), 400),
        (request(headers="Host: h\r\nContent-Length: x\r\n"), 400),
        (request(headers="Host: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (request(headers="Host: h\r\nTransfer-Encoding: gzip\r\n"), 501),
        (request("no-slash"), 400),
        (request("/caf\xe9"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_bad_heads_are_refused(data: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_head(data)
    assert caught.value.status == status
    assert caught.value.message


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"GET / HTTP/1.1\r\nHost: h\r\n" + tail))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        head = parse_head(data + b"\r\n\r\n")
    except BadRequest as error:
        assert error.status in (400, 501)
    else:
        assert head.method


def test_head_end_is_where_the_parser_sees_it() -> None:
    for data in (
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
    ):
        end = HEAD_END.search(data + b"body")
        assert end is not None
        assert end.end() == len(data)
        assert parse_head(data).header("host") == "h"


def test_refusals_are_whole_responses() -> None:
    head, _, body = refusal(431, 'too "big"').partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"Content-Type: application/json",
        b"Content-Length: " + str(len(body)).encode(),
        b"Connection: close",
        b"x-content-type-options: nosniff",
        b"referrer-policy: no-referrer",
        b"content-security-policy: frame-ancestors 'none'",
    ]
    assert json.loads(body) == {"error": 'too "big"'}


def test_a_refusal_that_names_an_upgrade_says_so_in_connection() -> None:
    response = refusal(426, "no", [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")])
    assert b"\r\nConnection: close, Upgrade\r\n" in response
    assert b"\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n" in response
