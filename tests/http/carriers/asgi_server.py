"""An ASGI server that is played by the tests."""

import math
from typing import Any

import trio


class AsgiServer:
    """Takes messages as long as it is `taking`, and gives the client's."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.to_app, self._from_client = trio.open_memory_channel[Any](math.inf)
        self.taking = True
        self.resumed = trio.Event()
        self.aborted = 0
        self.last_received = 0.0

    async def receive(self) -> Any:
        return await self._from_client.receive()

    async def send(self, event: Any) -> None:
        if not self.taking:
            await self.resumed.wait()
        self.sent.append(event)

    def abort(self) -> None:
        self.aborted += 1

    @property
    def texts(self) -> list[str]:
        return [event["text"] for event in self.sent if event["type"] == "websocket.send"]
