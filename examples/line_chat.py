"""A chat over plain TCP lines, on Chinwag's engine, with a transport of its own.

`python examples/line_chat.py [DATA_FOLDER] [PORT]`, then `nc 127.0.0.1 7000`, twice. Say `NAME PASSWORD ROOM` first: a
new name registers, a new room is made. Then type; `/add NAME` lets somebody else in. The data are those of
`chinwag serve` (stop that first): users, rooms and messages are the same."""

import contextlib
import math
import os
import sys
from collections.abc import AsyncIterator

import trio

from chinwag.engine import LINES, Admission, CloseReason, Dialect, Engine, EngineError, Wire, open_engine
from chinwag.engine.model.events import Event, MessagePosted
from chinwag.engine.model.values import Role
from chinwag.persistence import CannotOpen, open_sqlite_store


class Says(Dialect):  # what this chat shows of each event; each as a line (`LINES`)
    def encode(self, event: Event) -> bytes:
        match event:
            case MessagePosted(message=message):
                return f"{message.author_name}: {message.text}".encode()
        return b""


class LineTransport:  # a TCP connection as a session sees it; only `wait_writable` waits
    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket, self.last_received = stream.socket, math.inf  # nc answers no pings

    def try_send(self, data: bytes | memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            return os.write(self.socket.fileno(), data)
        return 0

    async def wait_writable(self) -> None:
        await trio.lowlevel.wait_writable(self.socket)

    def ping(self) -> bytes:
        return b""

    def goodbye(self, reason: CloseReason) -> bytes:
        return f"* {reason.text}\n".encode()

    def abort(self) -> None:
        self.socket.close()


async def read_lines(stream: trio.SocketStream) -> AsyncIterator[str]:
    buffer = b""
    while len(buffer) < 4096 and (data := await stream.receive_some()):
        *whole, buffer = (buffer + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").replace("\0", "").strip()


async def chat(engine: Engine, wire: Wire, stream: trio.SocketStream) -> None:
    lines = read_lines(stream)
    name, password, title = (*(await anext(lines, "")).split(), "", "", "")[:3]
    with contextlib.suppress(EngineError):  # the name is taken: by the same person, if the password is right
        await engine.accounts.register(username=name, email=None, password=password)
    try:
        me = await engine.accounts.log_in(name, password)
        rooms = {r.name: r.id for r in (await engine.rooms.of(me.user.id, name_contains=title, limit=99)).rooms}
        room_id = rooms.get(title) or (await engine.rooms.create(me.user.id, name=title)).id
        admission = Admission(user_id=me.user.id, family_id=me.family_id, wire=wire, room_ids=[room_id])
        admitted = await engine.connections.admit(admission)
    except EngineError as error:
        await stream.send_all(f"* {error.message}\n".encode())
        return

    async with engine.connections.attach(admitted, LineTransport(stream)) as session:
        async for line in lines:
            try:
                if line.startswith("/add "):
                    guest = await engine.accounts.find(line[5:])
                    await engine.rooms.add_member(room_id, me.user.id, guest.id, Role.MEMBER)
                elif line:
                    await engine.messages.post(room_id, me.user.id, text=line)
            except EngineError as error:
                session.say(f"* {error.message}".encode())


async def main(folder: str, port: int, wire: Wire) -> None:
    async def handle(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the client just left
            await chat(engine, wire, stream)

    async with open_sqlite_store(f"{folder}/chinwag.db") as store, open_engine(store) as engine:
        await trio.serve_tcp(handle, port, host="127.0.0.1")


if __name__ == "__main__":
    try:
        trio.run(main, (sys.argv[1:] or ["chinwag-data"])[0], int((sys.argv[2:] or ["7000"])[0]), Wire(Says(), LINES))
    except CannotOpen as error:
        sys.exit(error.message)
