"""What the sockets of all fronts have in common: where to resume, telling a room something, passing on how it went."""

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from chinwag.engine.actors.mailbox import ReplyTo
from chinwag.engine.connections.session import Session
from chinwag.engine.engine import Engine
from chinwag.engine.model.commands import Posted, RoomCommand, Typing
from chinwag.engine.model.errors import EngineError, Overloaded
from chinwag.engine.model.ids import MessageId, RoomId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.values import Message, Status
from chinwag.http.api.requests import IdCodec


class ResumeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What may stand in the address of any socket besides the token. With `since` it first gets what it missed."""

    since: str | None = None

    @property
    def resumes(self) -> bool:
        """Whether the client asks for what it missed."""
        return self.since is not None

    def position(self, ids: IdCodec) -> Position | None:
        """The place of the last message that the client has; None for what is no id, after which nothing can be
        resumed."""
        number = None if self.since is None else ids.decode(self.since)
        return None if number is None else Position.of_message(MessageId(number))


class SocketWords(Protocol):
    """How a front says to one socket what no fan-out tells it. Both return bodies, which the carrier frames."""

    def posted(self, message: Message, status: Status) -> bytes:
        """A message that the sender would not get otherwise."""
        ...

    def refused(self, error: EngineError, *, room_id: RoomId | None, client_id: str | None) -> bytes:
        """Something that the client sent was refused. `client_id` is the name that the client gave it."""
        ...


class SocketReply(msgspec.Struct, frozen=True, gc=False):
    """The outcome of a socket's command. The message itself is the answer, and arrives by fan-out.

    Nothing refers back to it once its command has an outcome, so the garbage collector need not look at it.
    """

    words: SocketWords
    engine: Engine
    session: Session
    room_id: RoomId
    client_id: str | None = None

    def __post_init__(self) -> None:
        self.session.asked()

    def answer(self, value: object) -> None:
        """Tell the sender what no fan-out tells: the first message again, or one to a room that it does not follow."""
        self.session.answered()
        if isinstance(value, Typing):
            if not self.session.open:  # it may have ended before the room came to say so
                self.engine.connections.end_typing_unless_connected(value.user_id)
            return
        if not isinstance(value, Posted):
            return
        if value.is_retry or not self.engine.connections.hears_of(self.session, self.room_id):
            self.session.say_message(self.words.posted(value.message, value.receipts.status_of(value.message)))

    def refuse(self, error: EngineError) -> None:
        """Say why not."""
        self.session.answered()
        self.session.say(self.words.refused(error, room_id=self.room_id, client_id=self.client_id))


def tell_room(
    engine: Engine, session: Session, room_id: RoomId, command: RoomCommand, reply: ReplyTo
) -> Awaitable[None] | None:
    """Tell a room what a client said. What is returned waits for a place in the room's mailbox, when that is full."""
    try:
        engine.rooms.tell(room_id, command, reply)
    except Overloaded:
        return _tell_later(engine, session, room_id, command, reply)
    except EngineError as error:
        reply.refuse(error)
    return None


async def _tell_later(engine: Engine, session: Session, room_id: RoomId, command: RoomCommand, reply: ReplyTo) -> None:
    """Wait until a room's mailbox has space: the client, which is read no further, feels it as backpressure."""
    while True:
        try:
            await engine.rooms.wait_for_space(room_id)
            if not session.open:
                return  # logged out meanwhile, or cut off: what they said no longer counts
            engine.rooms.tell(room_id, command, reply)
            return
        except Overloaded as overloaded:
            if not engine.rooms.is_full(room_id):
                reply.refuse(overloaded)  # parked after crashes: waiting would be in vain
                return
        except EngineError as error:
            reply.refuse(error)
            return
