"""Chat with FastAPI as a good developer would write it in a day: tokens, membership, storage, JSON events, broadcast.

    python fastapi_chat.py serve PORT DATABASE         (CHAT_SECRET in the environment)
    python fastapi_chat.py seed DATABASE < world.json

A world is {"users": [1], "rooms": [{"id": 1, "members": [1], "history": 50}]}: ids, and how many messages there are.

It speaks the part of the ChatterStack API that is measured: sending by socket and by POST, and history. A message is
committed to SQLite (SQLAlchemy, aiosqlite, WAL) before it is answered or broadcast.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, WebSocket, WebSocketDisconnect, WebSocketException, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import ForeignKey, event, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ALGORITHM = "HS256"


# --- tables ---


class Base(DeclarativeBase):
    """All tables."""


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)


class Room(Base):
    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Membership(Base):
    __tablename__ = "memberships"

    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class Message(Base):
    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"), index=True)
    sender_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    content: Mapped[str]
    created_at: Mapped[datetime]


def engine_for(path: str) -> Any:
    """A database with a write-ahead log, as durable as Chinwag's."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA busy_timeout = 30000")
        cursor.close()

    return engine


# --- what goes in and out ---


class SendMessage(BaseModel):
    content: str = Field(min_length=1, max_length=4000)


class SendMessageData(SendMessage):
    room_id: str


class Event(BaseModel):
    event: str
    data: SendMessageData


def as_json(message: Message) -> dict[str, Any]:
    """A message as the API shows it."""
    return {
        "id": str(message.id),
        "room_id": str(message.room_id),
        "sender_id": str(message.sender_id),
        "content": message.content,
        "attachments": [],
        "status": "SENT",
        "created_at": message.created_at.replace(tzinfo=UTC).isoformat(),
    }


# --- the application ---


class ConnectionManager:
    """Who listens to which room."""

    def __init__(self) -> None:
        self.rooms: dict[int, set[WebSocket]] = defaultdict(set)

    async def broadcast(self, room_id: int, message: Message) -> None:
        """Tell everybody in a room."""
        text = json.dumps({"event": "receive_message", "data": as_json(message)})
        await asyncio.gather(*(socket.send_text(text) for socket in self.rooms[room_id]), return_exceptions=True)


manager = ConnectionManager()
bearer = HTTPBearer()
secret = os.environ.get("CHAT_SECRET", "")
sessions: async_sessionmaker[AsyncSession]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Open the database."""
    global sessions
    engine = engine_for(sys.argv[3])
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    """A database session per request."""
    async with sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


def user_of(token: str) -> int:
    """The user whom a token names. Raises jwt.InvalidTokenError."""
    return int(jwt.decode(token, secret, algorithms=[ALGORITHM])["sub"])


def current_user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> int:
    """The caller."""
    try:
        return user_of(credentials.credentials)
    except jwt.InvalidTokenError as error:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "invalid token") from error


CurrentUser = Annotated[int, Depends(current_user)]


async def is_member(db: AsyncSession, room_id: int, user_id: int) -> bool:
    """Whether a user is in a room."""
    return await db.get(Membership, (room_id, user_id)) is not None


async def store(db: AsyncSession, room_id: int, user_id: int, content: str) -> Message:
    """Make a message durable."""
    message = Message(room_id=room_id, sender_id=user_id, content=content, created_at=datetime.now(UTC))
    db.add(message)
    await db.commit()
    return message


@app.post("/v1/rooms/{room_id}/messages", status_code=status.HTTP_201_CREATED)
async def send_message(room_id: int, body: SendMessage, user_id: CurrentUser, db: Session) -> dict[str, Any]:
    """Send a message."""
    if not await is_member(db, room_id, user_id):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "not a member of this room")
    message = await store(db, room_id, user_id, body.content)
    await manager.broadcast(room_id, message)
    return as_json(message)


@app.get("/v1/rooms/{room_id}/messages")
async def list_messages(
    room_id: int,
    user_id: CurrentUser,
    db: Session,
    page: Annotated[int, Query(ge=1)] = 1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> dict[str, Any]:
    """A page of messages, newest first."""
    if not await is_member(db, room_id, user_id):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "not a member of this room")
    query = select(Message).where(Message.room_id == room_id).order_by(Message.id.desc())
    found = await db.scalars(query.offset((page - 1) * limit).limit(limit))
    return {"messages": [as_json(message) for message in found]}


@app.websocket("/ws")
async def room_socket(socket: WebSocket, room_id: Annotated[list[int], Query()]) -> None:
    """Live events of rooms."""
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    try:
        user_id = user_of(token if scheme.lower() == "bearer" else "")
    except jwt.InvalidTokenError as error:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION) from error
    async with sessions() as db:
        joined = [each for each in room_id if await is_member(db, each, user_id)]
    if not joined:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
    await socket.accept()
    for each in joined:
        manager.rooms[each].add(socket)
    try:
        while True:
            await take(socket, user_id, await socket.receive_text())
    except WebSocketDisconnect:
        pass
    finally:
        for each in joined:
            manager.rooms[each].discard(socket)


async def take(socket: WebSocket, user_id: int, text: str) -> None:
    """Act on one event of a client."""
    try:
        incoming = Event.model_validate_json(text)
        room_id = int(incoming.data.room_id)
    except (ValidationError, ValueError):
        await socket.send_json({"event": "error", "data": {"message": "invalid event"}})
        return
    async with sessions() as db:
        if not await is_member(db, room_id, user_id):
            await socket.send_json({"event": "error", "data": {"message": "not a member of this room"}})
            return
        message = await store(db, room_id, user_id, incoming.data.content)
    await manager.broadcast(room_id, message)


# --- commands ---


async def seed(path: str) -> None:
    """Fill a new database."""
    world = json.load(sys.stdin)
    engine = engine_for(path)
    memberships = [{"room_id": room["id"], "user_id": user} for room in world["rooms"] for user in room["members"]]
    messages = [
        {
            "room_id": room["id"],
            "sender_id": room["members"][number % len(room["members"])],
            "content": f"message {number} of bench {room['id']}: nothing to see here",
            "created_at": datetime.now(UTC),
        }
        for room in world["rooms"]
        for number in range(room["history"])
    ]
    rows = {
        User: [{"id": each, "username": f"user{each}"} for each in world["users"]],
        Room: [{"id": room["id"], "name": f"room{room['id']}"} for room in world["rooms"]],
        Membership: memberships,
        Message: messages,
    }
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        for table, values in rows.items():
            if values:
                await connection.execute(insert(table), values)
    await engine.dispose()


if __name__ == "__main__":
    if sys.argv[1] == "seed":
        asyncio.run(seed(sys.argv[2]))
    else:
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=int(sys.argv[2]),
            loop="uvloop",
            http="httptools",
            backlog=4096,
            log_level="error",
            ws_per_message_deflate=False,
        )
