"""From what a client wants to post to what the engine takes: decrypted where the server may, with its files found."""

from chinwag.engine import Engine
from chinwag.engine.model.commands import PostMessage
from chinwag.engine.model.ids import FileId, MessageId, RoomId, UserId
from chinwag.engine.model.values import Attachment, Sealed
from chinwag.http.api.requests import read_id
from chinwag.http.fronts.chatrooms import requests, wire
from chinwag.http.kit.uuid_ids import IDS


def as_sealed(content: requests.Content) -> Sealed:
    """The wire's content in the engine's words. Plain text that shows nothing, beside a file, is no text."""
    return Sealed(data="" if content.is_blank else content.data, iv=content.iv, key_version=content.key_version)


async def content_command(
    engine: Engine, room_id: RoomId, author: UserId, data: requests.SendMessage, *, key: str | None
) -> PostMessage:
    """The command to post a message under an idempotency key, whatever it holds.

    Raises `NotFound` for an id that names nothing, and as `Files.attachments` and `engine.messages.sealed_command` do.
    """
    return await engine.messages.sealed_command(
        room_id,
        author,
        sealed=as_sealed(data.content),
        most_characters=requests.MAX_TEXT,
        attachments=await _attachments(engine, room_id, author, data.attachments),
        key=key,
        kind=wire.KIND_OF[data.message_type],
        reply_to=None if data.reply_to is None else message_id(data.reply_to),
    )


async def _attachments(
    engine: Engine, room_id: RoomId, author: UserId, texts: tuple[str, ...]
) -> tuple[Attachment, ...]:
    """The uploaded files with these ids."""
    if not texts:
        return ()
    file_ids = [read_id(IDS, "attachments", text, FileId) for text in texts]
    return await engine.files.attachments(author, room_id, file_ids)


def message_id(text: str) -> MessageId:
    """Raises `NotFound("message")` for an id that does not decode: it names no message."""
    return read_id(IDS, "message_id", text, MessageId)
