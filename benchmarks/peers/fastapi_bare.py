"""FastAPI on uvicorn (uvloop, httptools): every text that a socket sends goes to all sockets of its room, as it is.

    python fastapi_bare.py PORT

`GET /hello` is the hello-world that HTTP is compared with.
"""

import sys
from collections import defaultdict

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
rooms: dict[str, set[WebSocket]] = defaultdict(set)


@app.get("/hello")
async def hello() -> dict[str, str]:
    """Say hello."""
    return {"message": "Hello World"}


@app.websocket("/ws")
async def room_socket(socket: WebSocket, room_id: str) -> None:
    """Broadcast within the room."""
    await socket.accept()
    room = rooms[room_id]
    room.add(socket)
    try:
        while True:
            text = await socket.receive_text()
            for member in tuple(room):
                await member.send_text(text)
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(socket)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        backlog=4096,
        log_level="error",
        ws_per_message_deflate=False,
    )
