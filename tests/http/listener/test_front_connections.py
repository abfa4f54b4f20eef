"""A listener of a front's own: what it may cost, and that one connection is no other's business."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from chinwag.http.api.front import Front
from chinwag.http.listener.front_connections import VisitorLimits
from chinwag.http.testing import FrontServer, open_front
from tests.http.plugins import ECHO

LIMIT_S = 20.0


def echo() -> Front:
    names: dict[str, Front] = {}
    exec(ECHO, names)
    return names["FRONT"]


class Peer:
    """Somebody at the other end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def say(self, line: str) -> None:
        await self.stream.send_all(line.encode())

    async def hear(self) -> bytes:
        """What comes next; b"" at the end, also at one that is not in order."""
        with trio.fail_after(LIMIT_S):
            try:
                return bytes(await self.stream.receive_some())
            except trio.BrokenResourceError:
                return b""

    async def talks(self, line: str = "hello") -> None:
        """It is served."""
        await self.say(line)
        assert await self.hear() == line.encode()


@asynccontextmanager
async def peer(server: FrontServer) -> AsyncIterator[Peer]:
    async with await trio.open_tcp_stream("127.0.0.1", server.ports["echo"]) as stream:
        yield Peer(stream)


def counts(server: FrontServer) -> dict[str, float]:
    readings = list(server.connections["echo"].readings())
    assert {reading.labels["listener"] for reading in readings} == {"echo"}
    return {reading.name.removeprefix("listener_"): reading.value for reading in readings}


async def until(server: FrontServer, **wanted: float) -> None:
    """Return when the counters are so."""
    with trio.fail_after(LIMIT_S):
        while counts(server) | wanted != counts(server):  # noqa: ASYNC110 - the counters are all there is to see
            await trio.sleep(0.01)


async def test_connections_are_served_and_counted_and_http_is_there_too() -> None:
    async with open_front(echo()) as server, peer(server) as one, peer(server) as other:
        await one.talks()
        await other.talks("in")
        assert counts(server) == {
            "connections": 2,
            "visitors": 1,
            "accepted": 2,
            "refused": 0,
            "late": 0,
            "failed": 0,
        }
        await one.say("bye")
        assert await one.hear() == b"goodbye"
        assert await one.hear() == b""
        await one.stream.aclose()
        await until(server, connections=1, visitors=0)
        assert (await server.ask("GET", "/healthz")).json == {"status": "ok"}
        assert (await server.ask("GET", "/")).status == 200
        assert (await server.ask("GET", "/echo")).status == 404  # it speaks no HTTP


@pytest.mark.parametrize("bug", ["bug", "group"])
async def test_a_failure_costs_its_own_connection(bug: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_front(echo()) as server, peer(server) as one, peer(server) as other:
        await other.talks()
        await one.say(bug)
        assert await one.hear() == b""
        await until(server, failed=1)
        await other.talks()
        async with peer(server) as new:
            await new.talks()


async def test_a_client_that_resets_is_no_failure() -> None:
    async with open_front(echo()) as server:
        async with peer(server) as one:
            await one.talks()
            one.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await until(server, connections=0, accepted=1, failed=0)


async def test_who_does_not_log_in_in_time_is_cut_off_and_who_does_is_not() -> None:
    limits = VisitorLimits(log_in_s=0.5)
    async with open_front(echo(), visitors=limits) as server, peer(server) as quick, peer(server) as slow:
        await quick.talks("in")
        assert await slow.hear() == b""
        await until(server, late=1, visitors=0)
        await quick.talks()


async def test_visitors_are_bounded_in_number_and_by_source() -> None:
    for limits in (VisitorLimits(most=2), VisitorLimits(most_per_source=2)):
        async with open_front(echo(), visitors=limits) as server, peer(server) as one, peer(server) as two:
            await one.talks()
            await two.talks()
            async with peer(server) as three:
                assert await three.hear() == b""
            await until(server, refused=1)
            await one.talks("in")  # it is no visitor any more
            async with peer(server) as four:
                await four.talks()
            await until(server, connections=2, visitors=1)


async def test_at_shutdown_visitors_are_cut_off_at_once_and_the_others_may_finish() -> None:
    async with open_front(echo()) as server, peer(server) as visitor, peer(server) as member:
        await visitor.talks()
        await member.talks("in")
        await server.connections["echo"].begin_shutdown()
        assert await visitor.hear() == b""
        await until(server, connections=1, late=0)
        await member.talks()
        async with peer(server) as new:
            assert await new.hear() == b""
