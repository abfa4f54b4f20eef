"""hypercorn's WebSocket, with the lane's parser in place of wsproto's."""

from collections.abc import Sequence
from typing import Any

import trio
from hypercorn.protocol.events import Body, Data
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, WebsocketAcceptEvent
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Pong
from wsproto.frame_protocol import CloseReason

from chinwag.http.carriers.websocket import Close, FrameParser, Incoming, Ping, ProtocolFailure


class StrictWebSocket(WSStream):
    """A WebSocket under the same rules, limits and close codes as the lane's.

    A client that breaks a rule is told which. The application then gets "websocket.disconnect" with that code, after
    all messages that came before, and may take its time to end: what still comes is dropped meanwhile.
    """

    connection: Connection

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._parser = FrameParser(self.config.websocket_max_message_size)
        self._decided = trio.Event()
        """Set once the application has accepted or denied."""

    async def handle(self, event: StreamEvent) -> None:
        """See `WSStream.handle`. A client that does not wait for the handshake's answer is read once it is there."""
        if not isinstance(event, Body | Data):
            await super().handle(event)
        elif not self.closed:
            await self._decided.wait()
            if self.handshake.accepted and not self.closed:
                await self._read(event.data)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """See `WSStream.app_send`."""
        await super().app_send(message)
        if message is None or self.state is not ASGIWebsocketState.HANDSHAKE:
            self._decided.set()

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        # RFC 6455 section 9.1: a server may decline any extension, and does so by not mentioning it.
        self.handshake.extensions = None
        await super()._accept(message)

    async def _send_pings(self) -> None:
        """See `WSStream._send_pings`, which asks a client at once that has only just spoken."""
        await self.context.sleep(self.config.websocket_ping_interval or 0.0)  # with none this is not called
        await super()._send_pings()

    async def _read(self, data: bytes) -> None:
        failure: ProtocolFailure | None = None
        incoming: Sequence[Incoming]
        try:
            incoming = self._parser.feed(data)
        except ProtocolFailure as broken:
            incoming, failure = broken.before, broken
        for item in incoming:
            if isinstance(item, str):
                await self._tell({"type": "websocket.receive", "bytes": None, "text": item})
            elif isinstance(item, bytes):
                await self._tell({"type": "websocket.receive", "bytes": item, "text": None})
            elif isinstance(item, Ping):
                await self._send_wsproto_event(Pong(payload=item.payload))
            elif isinstance(item, Close):
                code = CloseReason.NO_STATUS_RCVD if item.code is None else item.code
                await self._send_wsproto_event(CloseConnection(code=code))
                await self._tell({"type": "websocket.disconnect", "code": CloseReason.NORMAL_CLOSURE})
        if failure is not None:
            await self._send_wsproto_event(CloseConnection(code=failure.code, reason=failure.reason))
            await self._tell({"type": "websocket.disconnect", "code": failure.code})

    async def _tell(self, event: ASGIReceiveEvent) -> None:
        assert self.app_put is not None  # it has accepted
        await self.app_put(event)
