"""A chat API of one's own in under a hundred lines. docs/fronts.md goes through it, and pyproject.toml registers it."""

from typing import Annotated

import msgspec

from chinwag.engine import Admitted, Dialect, Engine, EngineError, RoomId, Session
from chinwag.engine.model.errors import Conflict, NotAMember, NotFound, Unauthenticated
from chinwag.engine.model.events import Event, MessagePosted
from chinwag.engine.model.values import Message
from chinwag.http.api.decoding import BodyReader
from chinwag.http.api.front import Front, SocketEvent, SocketRequest
from chinwag.http.api.requests import Reply, Request, read_id
from chinwag.http.api.routing import Route
from chinwag.http.kit.decimal_ids import IDS


class Hello(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=30)]
    password: Annotated[str, msgspec.Meta(min_length=8)]


class Say(msgspec.Struct, frozen=True):
    room: str
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class Said(msgspec.Struct, frozen=True):
    room: str
    author: str
    text: str


def said(message: Message) -> Said:
    return Said(IDS.encode(message.room_id), message.author_name, message.shown_text)


async def hello(request: Request[Hello, None]) -> Reply:
    accounts, body = request.engine.accounts, request.body
    try:
        user = await accounts.register(username=body.name, email=None, password=body.password, source=request.source)
        log_in = await accounts.open_log_in(user.id)
    except Conflict:  # it is somebody's name: theirs, if they know the password
        log_in = await accounts.log_in(body.name, body.password, source=request.source)
    return Reply({"token": request.access_token(log_in)})


async def enter(request: Request[None, None]) -> Reply:
    rooms, name = request.engine.rooms, request.path_text("name")
    found = await rooms.open_named(name) or [await rooms.create(request.user, name=name, private=False)]
    await rooms.join(found[0].id, request.user)
    return Reply({"room": IDS.encode(found[0].id)})


async def say(request: Request[Say, None]) -> Reply:
    room_id = request.body_id("room", request.body.room, RoomId)
    posted = await request.engine.messages.post(room_id, request.user, text=request.body.text)
    return Reply(said(posted.message))


class HelloDialect(Dialect):
    def encode(self, event: Event) -> bytes:
        return msgspec.json.encode(said(event.message)) if isinstance(event, MessagePosted) else b""


class HelloSocket:
    dialect, read = HelloDialect(), BodyReader(Say)

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        return await engine.connections.admit(request.admission())

    def greeting(self, admitted: Admitted) -> list[bytes]:
        return [msgspec.json.encode({"hello": admitted.user.username})]

    async def receive(self, engine: Engine, session: Session, message: str | bytes) -> None:
        try:
            frame = self.read(message)
            await engine.messages.post(read_id(IDS, "room", frame.room, RoomId), session.user_id, text=frame.text)
        except EngineError as error:
            session.say(msgspec.json.encode({"error": error.message}))


FRONT = Front(
    name="hello",
    title="Hello",
    description="Say who you are, enter a room, talk. A WebSocket brings what the others say.",
    routes=(
        Route("POST", "/hello", hello, body=Hello, response=dict[str, str], errors=(Unauthenticated,), auth=False),
        Route("PUT", "/rooms/{name}", enter, response=dict[str, str]),
        Route("POST", "/say", say, body=Say, status=201, response=Said, errors=(NotFound, NotAMember)),
    ),
    socket_path="/live",
    socket_token_parameters=("token",),
    socket_events=(
        SocketEvent(name="say", direction="in", description="Say something in a room of yours.", payload=Say),
        SocketEvent(name="said", direction="out", description="What somebody said in one of them.", payload=Said),
    ),
    socket=lambda _: HelloSocket(),
)
