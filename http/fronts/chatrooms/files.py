"""Handlers for uploads and downloads, and for the server's health. Source: chatrooms spec, "File Upload Endpoints"."""

from collections.abc import Collection
from importlib.metadata import version
from typing import Literal

import trio

from chinwag.engine.errors import EngineError
from chinwag.engine.files import MAX_AVATAR_BYTES
from chinwag.engine.ids import FileId, now_us
from chinwag.http.calls import Call, Reply
from chinwag.http.file_transfer import (
    AvatarQuery,
    DownloadQuery,
    Received,
    receive_upload,
    send_avatar,
    send_file,
)
from chinwag.http.fronts.chatrooms import wire
from chinwag.http.fronts.chatrooms.accounts import success
from chinwag.http.fronts.chatrooms.errors import Coded
from chinwag.http.fronts.chatrooms.links import avatar_path, signed_link
from chinwag.http.refusals import MalformedBody
from chinwag.http.times import rfc3339

AVATARS = frozenset({"image/jpeg", "image/png", "image/gif"})
"""What the spec takes."""
MAX_FILE_BYTES = 10 * 1024 * 1024
HEALTH_TIMEOUT_S = 2.0


async def upload(call: Call[None, None]) -> Reply:
    """Take a file for a chatroom."""
    received = await _received(call, limit_bytes=MAX_FILE_BYTES, room_field="chatroom_id")
    stored = received.file
    file = wire.File(
        id=wire.encode(stored.id),
        filename=stored.name,
        file_type=stored.mime_type,
        file_size=stored.size_bytes,
        encrypted_url=signed_link(call, stored.id, "original"),
        thumbnail_url=None if stored.thumbnail is None else signed_link(call, stored.id, "thumbnail"),
        upload_date=rfc3339(stored.created_us),
    )
    return success(wire.OneFile(file=file), "File uploaded")


async def upload_avatar(call: Call[None, None]) -> Reply:
    """Take a picture of the caller, and show it from now on."""
    received = await _received(call, limit_bytes=MAX_AVATAR_BYTES, room_field=None, types=AVATARS)
    path = avatar_path(call, received.file.id)
    await call.engine.accounts.show_avatar(call.user, received.file.id, path)
    return success(wire.Avatar(avatar_url=call.links.own(path)), "Avatar updated")


async def download(call: Call[None, DownloadQuery]) -> Reply:
    """A file, for the members of its chatroom."""
    return await send_file(call, call.path_id("file_id", FileId), "original")


async def download_thumbnail(call: Call[None, DownloadQuery]) -> Reply:
    """A small picture of a file, for the members of its chatroom."""
    return await send_file(call, call.path_id("file_id", FileId), "thumbnail")


async def download_avatar(call: Call[None, AvatarQuery]) -> Reply:
    """An avatar, for whoever knows its URL."""
    return await send_avatar(call, call.path_id("file_id", FileId))


async def health(call: Call[None, None]) -> Reply:
    """Whether the server can do its work."""
    database: Literal["healthy", "unhealthy"] = "unhealthy"
    with trio.move_on_after(HEALTH_TIMEOUT_S):
        try:
            await call.engine.check()
            database = "healthy"
        except EngineError:
            database = "unhealthy"
    services = wire.Services(database=database, redis="not_configured", mongodb="not_configured")
    found = wire.Health(status=database, timestamp=rfc3339(now_us()), version=version("chinwag"), services=services)
    return success(found)


async def _received(
    call: Call[None, None], *, limit_bytes: int, room_field: str | None, types: Collection[str] | None = None
) -> Received:
    """A form that cannot be read, or that ends too soon, is an upload that failed."""
    try:
        return await receive_upload(call, limit_bytes=limit_bytes, room_field=room_field, types=types)
    except MalformedBody as error:
        raise Coded(400, "FILE_UPLOAD_FAILED", error.message) from error
