"""A WebSocket server that sends back what it gets: the gateway's protocol code alone, for conformance suites."""

from functools import partial
from typing import Final, assert_never

import structlog
import trio

from chinwag.engine.connections.transport import ConnectionLost
from chinwag.engine.model.errors import EngineError
from chinwag.http.api.refusals import HttpRefusal, UpgradeRequired
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.carriers.socket_transport import SocketTransport
from chinwag.http.carriers.websocket import (
    Close,
    HandshakeRefused,
    Incoming,
    Opcode,
    Ping,
    Pong,
    ProtocolFailure,
    accept_upgrade,
    close_frame,
    frame,
    frame_text,
)
from chinwag.http.lane.head import RequestHead
from chinwag.http.lane.lane import Lane
from chinwag.http.listener.listener import open_listeners
from chinwag.http.listener.streams import AcceptedStream, GuardedStream, refuse

log = structlog.get_logger("chinwag.http")

_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The largest message that the Autobahn test suite sends."""

_SEND_TIMEOUT_S: Final = 60.0
_FINISH_TIMEOUT_S: Final = 2.0


async def serve_echo(
    host: str,
    port: int,
    *,
    max_message_bytes: int = _MAX_MESSAGE_BYTES,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Echo until cancelled. Reports the listeners, so that port 0 can be asked for.

    A client's messages are read only as fast as it takes their echoes: what waits in memory is one message and a read.
    """
    lane = Lane(_NothingElse(), partial(_upgrade, max_message_bytes))
    listeners = await open_listeners(host, port)
    async with lane.running():
        await trio.serve_listeners(lane.serve_connection, listeners, task_status=task_status)


class _NothingElse:
    """The answer to whatever is no opening handshake."""

    async def handle(self, request: HttpRequest) -> HttpResponse:
        return self.refuse(request, UpgradeRequired())

    def refuse(self, _: HttpRequest, error: EngineError) -> HttpResponse:
        refused = error if isinstance(error, HttpRefusal) else HttpRefusal(error.message)
        body = refused.message.encode()
        return HttpResponse(
            status=refused.status, headers=[*refused.headers, ("content-length", str(len(body)))], body=body
        )

    def opens_socket(self, _: HttpRequest) -> bool:
        return True

    def streams(self, _: HttpRequest) -> bool:
        return False


async def _upgrade(max_message_bytes: int, head: RequestHead, stream: AcceptedStream, leftover: bytes) -> None:
    assert isinstance(stream, trio.SocketStream)
    try:
        response = accept_upgrade(head)
    except HandshakeRefused as error:
        await refuse(stream, error.status, error.message, error.headers)
        return
    guarded = GuardedStream(stream, send_timeout_s=_SEND_TIMEOUT_S)
    try:
        await guarded.send_all(response)
        transport = SocketTransport(stream, leftover=leftover, max_message_bytes=max_message_bytes)
        await guarded.send_all(await _converse(transport, guarded))
        await transport.finish(_FINISH_TIMEOUT_S)
    except (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionLost):
        log.debug("echo client has gone")


async def _converse(transport: SocketTransport, stream: GuardedStream) -> bytes:
    """Echo until the client closes or breaks the protocol; return the last bytes, with the close frame."""
    while True:
        try:
            incoming = await transport.receive()
        except ProtocolFailure as failure:
            return b"".join(map(_answer, failure.before)) + close_frame(failure.code, failure.reason)
        answers = b"".join(map(_answer, incoming))
        if incoming and isinstance(incoming[-1], Close):
            return answers
        if answers:
            await stream.send_all(answers)


def _answer(message: Incoming) -> bytes:
    match message:
        case str():
            return frame_text(message.encode())
        case bytes():
            return frame(Opcode.BINARY, message)
        case Ping():
            return frame(Opcode.PONG, message.payload)
        case Pong():
            return b""
        case Close():
            return message.answer()
        case _:
            assert_never(message)
