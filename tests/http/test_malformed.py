"""One corpus of malformed requests for every way that HTTP/1.1 is served: refused alike, with one line in the log."""

from contextlib import suppress
from functools import partial

import pytest
import structlog
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chinwag.http.carriers.websocket import HandshakeRefused, accept_upgrade
from chinwag.http.lane.head import RequestHead
from chinwag.http.lane.parsing import MAX_EMPTY_LINES, MAX_FIELDS
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.streams import AcceptedStream, SecureStream, refuse, send_last
from tests.examples import examples
from tests.http.echo_server import CHUNKS, GET, POST, WAYS, Client, Server, serving
from tests.http.malformed import HANDSHAKES, HEAD, MALFORMED, NOT_SPOKEN


async def statuses(server: Server, data: bytes) -> list[int]:
    """What these bytes are answered, to the end of the connection, which has to come by itself."""
    got: list[int] = []
    async with server.client() as client:
        await client.send(data)
        while not await at_its_end(client):
            got.append((await client.answer()).status)
    return got


async def at_its_end(client: Client) -> bool:
    """Whether the server has closed. Waits until it has, or says something."""
    if client.unread:
        return False
    with suppress(trio.BrokenResourceError):
        client.unread += await client.stream.receive_some()
    return not client.unread


@pytest.mark.parametrize("before", [b"", GET, POST + CHUNKS], ids=["first", "second", "third"])
@pytest.mark.parametrize("way", WAYS)
async def test_what_two_readers_could_take_for_different_things_is_400(way: str, before: bytes) -> None:
    good = before.count(b"HTTP/1.1")
    wrong: dict[bytes, list[int]] = {}
    with structlog.testing.capture_logs() as logs:
        async with serving(way=way) as server:
            for data in MALFORMED:
                got = await statuses(server, before + data + GET)
                if got != [200] * good + [400]:
                    wrong[data] = got
            assert wrong == {}
            assert len(server.echo.asked) == good * len(MALFORMED)
            assert server.bad_clients.total == len(MALFORMED)
    assert {(entry["event"], entry["log_level"]) for entry in logs} == {("bad client", "warning")}
    assert {entry["client"] for entry in logs} == {"127.0.0.1"}


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_not_spoken_here_is_named(way: str) -> None:
    async with serving(way=way) as server:
        got = {data: await statuses(server, GET + data) for data, _ in NOT_SPOKEN}
    assert got == {data: [200, status] for data, status in NOT_SPOKEN}


@pytest.mark.parametrize("way", WAYS)
async def test_a_handshake_that_is_none_is_refused(way: str) -> None:
    async with serving(way=way, on_upgrade=judge) as server:
        got = {data: await statuses(server, GET + data + b"\x81\x80abcd") for data, _ in HANDSHAKES}
    assert got == {data: [200, status] for data, status in HANDSHAKES}


async def judge(head: RequestHead, stream: AcceptedStream, _: bytes) -> None:
    """What the gateway does first. The rest of it is tested with real sessions."""
    try:
        await send_last(stream, accept_upgrade(head))
    except HandshakeRefused as error:
        await refuse(stream, error.status, error.message, error.headers, secure=isinstance(stream, SecureStream))


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_means_the_same_whatever_reads_it(way: str) -> None:
    """Unusual, and right."""
    async with serving(way=way) as server:
        for target, path, query in (("/a?b", "/a", "b"), ("", "/", ""), ("?b", "/", "b")):
            got = await server.ask(f"GET HTTP://messenger.example:80{target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert (got.json["host"], got.json["path"], got.json["query"]) == ("messenger.example:80", path, query)
        assert (await server.ask(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")).json["path"] == "*"
        async with server.client() as client:
            assert (await client.ask(b"\r\n" * MAX_EMPTY_LINES + GET)).status == 200
            assert (await client.ask(b"\r\n" + GET)).status == 200
            odd = GET.replace(b"Host", b"X-A:\t \xff \r\nX-A:\r\nHost")
            assert (await client.ask(odd)).json["headers"]["x-a"] == "\xff, "


@pytest.mark.parametrize("way", WAYS)
async def test_a_head_has_limits_that_are_exact(way: str) -> None:
    async with serving(ListenerConfig(max_head_bytes=len(GET)), way=way) as server:
        assert (await server.ask(GET)).status == 200
        longer = GET.replace(b"/hello", b"/hello!")
        assert await server.refused(longer) == 431
        assert await server.refused(longer[:-1]) == 431
    async with serving(way=way) as server:
        fields = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_FIELDS))
        assert (await server.ask(GET[:-2] + fields[: fields.rindex(b"X-")] + b"\r\n")).status == 200
        assert await server.refused(GET[:-2] + fields + b"\r\n") == 431


@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_knows_what_it_is_about_when_that_can_be_told(way: str) -> None:
    async with serving(way=way) as server:
        for data in (
            b"GET /known HTTP/1.1\r\nHost: chat.example\r\nX : y\r\n\r\n",
            b"POST /known HTTP/1.1\r\nHost: chat.example\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ):
            got = await server.ask(data)
            assert (got.status, got.json["path"], got.json["host"]) == (400, "/known", "chat.example")
        got = await server.ask(b"\x16\x03\x01\r\n\r\n")
        assert (got.status, list(got.json)) == (400, ["error"])


PIECES = st.sampled_from(
    [
        *(
            GET,
            POST,
            HEAD,
            CHUNKS,
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b"0\r\n\r\n",
            b"GET ",
            b"/x ",
            b"HTTP/1.1",
            b"HTTP/1.0",
        ),
        *(b"Host: h\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b": "),
        *(b"Connection: keep-alive\r\n", b"abc", b"3\r\nabc\r\n", b"\0", b"\xff", b" ", b"Upgrade: websocket\r\n"),
    ]
)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.lists(PIECES, max_size=9).map(b"".join), cut=st.integers(0, 200))
def test_no_bytes_are_read_differently_by_the_two_servers(data: bytes, cut: int) -> None:
    assert trio.run(partial(reading, "hypercorn", data, cut)) == trio.run(partial(reading, "lane", data, cut))


async def reading(way: str, data: bytes, cut: int) -> tuple[list[int], list[str], int]:
    """What is answered, what was handed to the application, and how many clients were called bad."""
    got: list[int] = []
    async with serving(way=way) as server, server.client() as client:
        with suppress(trio.BrokenResourceError):  # it has refused what it got, and closed
            for piece in (data[:cut], data[cut:]):
                await client.send(piece)
                await trio.testing.wait_all_tasks_blocked()
            await client.tcp.send_eof()
        while not await at_its_end(client):
            got.append((await client.answer()).status)
        return got, server.echo.asked, server.bad_clients.total


@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_inside_tls_says_that_the_host_is_https_alone(way: str) -> None:
    refused = (*MALFORMED, *(data for data, _ in NOT_SPOKEN), *(data for data, _ in HANDSHAKES))
    said: dict[bytes, bool] = {}
    async with serving(way=way, on_upgrade=judge) as server:
        for data in refused:
            async with server.client() as client:
                await client.send(data + GET)
                answer = await client.answer()
                said[data] = "strict-transport-security" in answer.headers
    assert said == dict.fromkeys(refused, server.tls)
