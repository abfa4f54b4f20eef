"""Python `websockets` on uvloop: every text that a socket sends is broadcast to its room (?room_id=), as it is.

python websockets_bare.py PORT
"""

import sys
from collections import defaultdict
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import Request, Response, ServerConnection, broadcast, serve

rooms: dict[str, set[ServerConnection]] = defaultdict(set)


async def room_socket(socket: ServerConnection) -> None:
    """Broadcast within the room."""
    assert socket.request is not None
    room = rooms[parse_qs(urlsplit(socket.request.path).query)["room_id"][0]]
    room.add(socket)
    try:
        async for text in socket:
            broadcast(room, text)
    finally:
        room.discard(socket)


def health(connection: ServerConnection, request: Request) -> Response | None:
    """Answer what asks whether we are there."""
    if request.path == "/healthz":
        return connection.respond(HTTPStatus.OK, "")
    return None


async def main() -> None:
    """Serve for ever."""
    port = int(sys.argv[1])
    async with serve(room_socket, "127.0.0.1", port, process_request=health, compression=None, backlog=4096) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
