"""What a room can be asked to do. Imperative, and in the engine's own words: no front's field names."""

from chinwag.engine.ids import MessageId, UserId
from chinwag.engine.model import Attachment, Message, Receipts, Record, Role


class PostMessage(Record):
    """Answered with `Posted`. `key` makes a retry safe; `digest` (16 bytes) tells other content under the same key."""

    author: UserId
    text: str
    attachments: tuple[Attachment, ...] = ()
    key: str | None = None
    digest: bytes | None = None


class EditMessage(Record):
    """Answered with `Posted`. Only the author may."""

    caller: UserId
    message_id: MessageId
    text: str


class DeleteMessage(Record):
    """The author may, and an ADMIN."""

    caller: UserId
    message_id: MessageId


class AddMember(Record):
    """Answered with the new `Member`. Only an ADMIN may."""

    caller: UserId
    user_id: UserId
    username: str
    role: Role


class RestoreMember(Record):
    """Put one of a direct room's two users back after they left; the engine sends it, no caller. No-op when present."""

    user_id: UserId
    username: str


class RemoveMember(Record):
    """Anyone may leave; only an ADMIN removes somebody else. The last ADMIN's leaving hands the role on."""

    caller: UserId
    user_id: UserId


class DeleteRoom(Record):
    """Only an ADMIN may. The room's actor stops afterwards."""

    caller: UserId


class AdvanceReceipts(Record):
    """The caller got (and, with `read`, read) everything up to and including a message. Answered with None."""

    caller: UserId
    message_id: MessageId
    read: bool


class StartTyping(Record):
    """Ephemeral: relayed to the others; ends with `StopTyping` or by the room's own timer."""

    user_id: UserId


class StopTyping(Record):
    user_id: UserId


class ExpireTyping(Record):
    """The room's timer tells itself this; `started_us` is the StartTyping it belongs to."""

    user_id: UserId
    started_us: int


RoomCommand = (
    PostMessage
    | EditMessage
    | DeleteMessage
    | AddMember
    | RestoreMember
    | RemoveMember
    | DeleteRoom
    | AdvanceReceipts
    | StartTyping
    | StopTyping
    | ExpireTyping
)


class Posted(Record):
    """`is_retry` tells that this is the first message under the key again, and nothing was stored or sent."""

    message: Message
    receipts: Receipts
    is_retry: bool = False
