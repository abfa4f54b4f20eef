"""Request heads as values, and how a refusal reads. What is refused is tested with the servers."""

import json

import pytest

from chinwag.http.lane.head import RequestHead, refusal
from chinwag.http.lane.parsing import parse_lane_head


def request(
    target: str = "/", *, method: str = "GET", version: str = "HTTP/1.1", headers: str = "Host: h\r\n"
) -> bytes:
    return f"{method} {target} {version}\r\n{headers}\r\n".encode("latin-1")


def parsed(data: bytes) -> RequestHead:
    return parse_lane_head(data).as_request_head()


def test_a_head_becomes_values() -> None:
    head = parsed(request("/a%20b/%C3%A9?x=%201&y", headers="Host: chat.example\r\nX-Name:  caf\xe9 \r\n"))
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
        ("http://chat.example/ws?token=1", "/ws", "token=1"),
        ("HTTPS://chat.example:8443", "/", ""),
        ("http://chat.example?x", "/", "x"),
    ],
)
def test_targets(target: str, path: str, query: str) -> None:
    head = parsed(request(target))
    assert (head.path, head.query) == (path, query)
    assert head.target == (target if target.startswith("/") else f"{path}?{query}".removesuffix("?"))
    assert head.header("host") == ("h" if target.startswith("/") else target.split("/")[2].split("?")[0])


def test_repeated_headers_are_joined_in_order() -> None:
    head = parsed(request(headers="Host: h\r\nVia: a\r\nX: 1\r\nVIA: b, c\r\n"))
    assert head.header("via") == "a, b, c"
    assert head.count("via") == 2
    assert head.tokens("via") == {"a", "b", "c"}
    assert head.header("absent") is None
    assert head.count("absent") == 0
    assert head.tokens("absent") == frozenset()


def test_an_empty_header_is_not_an_absent_one() -> None:
    head = parsed(request(headers="Host: h\r\nX:\r\n"))
    assert head.header("x") == ""
    assert head.tokens("x") == frozenset()


@pytest.mark.parametrize("host", ["", "h", "h:", "h:80", "[::1]", "[::1]:80", "[fe80::1]:", "a_b.example", "caf%C3%A9"])
def test_a_host_is_a_name_or_an_address_and_perhaps_a_port(host: str) -> None:
    assert parsed(request(headers=f"Host: {host}\r\n")).header("host") == host


def test_http_1_0_needs_no_host() -> None:
    assert parsed(request(version="HTTP/1.0", headers="")).http_version == "1.0"


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
