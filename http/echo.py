"""A WebSocket server that sends back what it gets: the gateway's protocol code alone, for conformance suites."""

from typing import Final, assert_never

import structlog
import trio

from chinwag.engine.transport import ConnectionLost
from chinwag.http.head import BadRequest
from chinwag.http.socket_transport import SocketTransport
from chinwag.http.streams import GuardedStream, read_head, refuse
from chinwag.http.websocket import (
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

log = structlog.get_logger("chinwag.http")

_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The largest message that the Autobahn test suite sends."""

_MAX_HEAD_BYTES: Final = 16 * 1024
_HEAD_TIMEOUT_S: Final = 10.0
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

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await _run(stream, max_message_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionLost):
            log.debug("echo client has gone")

    listeners = await trio.open_tcp_listeners(port, host=host)
    await trio.serve_listeners(handle, listeners, task_status=task_status)


async def _run(stream: trio.SocketStream, max_message_bytes: int) -> None:
    try:
        received = await read_head(stream, max_bytes=_MAX_HEAD_BYTES, timeout_s=_HEAD_TIMEOUT_S)
        if received is None:
            return
        response = accept_upgrade(received.head)
    except BadRequest as error:
        await refuse(stream, error.status, error.message)
        return
    except HandshakeRefused as error:
        await refuse(stream, error.status, error.message, error.headers)
        return
    guarded = GuardedStream(stream, send_timeout_s=_SEND_TIMEOUT_S)
    await guarded.send_all(response)
    transport = SocketTransport(stream, leftover=received.leftover, max_message_bytes=max_message_bytes)
    await guarded.send_all(await _converse(transport, guarded))
    await transport.finish(_FINISH_TIMEOUT_S)


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
