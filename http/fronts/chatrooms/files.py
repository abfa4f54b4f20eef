"""Handlers for uploads and downloads, and for the server's health. Source: chatrooms spec, "File Upload Endpoints"."""

from collections.abc import Collection
from importlib.metadata import version
from typing import Literal

import trio

from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.ids import FileId
from chinwag.engine.model.limits import MAX_AVATAR_BYTES
from chinwag.http.api.refusals import MalformedBody
from chinwag.http.api.requests import Reply, Request
from chinwag.http.fronts.chatrooms import wire
from chinwag.http.fronts.chatrooms.accounts import success
from chinwag.http.fronts.chatrooms.errors import Coded
from chinwag.http.fronts.chatrooms.links import avatar_path, signed_link
from chinwag.http.kit.file_transfer import (
    AvatarQuery,
    DownloadQuery,
    Received,
    receive_upload,
    send_avatar,
    send_file,
)
from chinwag.http.kit.times import rfc3339

AVATARS = frozenset({"image/jpeg", "image/png", "image/gif"})
"""What the spec takes."""
MAX_FILE_BYTES = 10 * 1024 * 1024
HEALTH_TIMEOUT_S = 2.0


async def upload(request: Request[None, None]) -> Reply:
    """Take a file for a chatroom."""
    received = await _received(request, limit_bytes=MAX_FILE_BYTES, room_field="chatroom_id")
    stored = received.file
    file = wire.File(
        id=wire.encode(stored.id),
        filename=stored.name,
        file_type=stored.mime_type,
        file_size=stored.size_bytes,
        encrypted_url=signed_link(request, stored.id, "original"),
        thumbnail_url=None if stored.thumbnail is None else signed_link(request, stored.id, "thumbnail"),
        upload_date=rfc3339(stored.created_us),
    )
    return success(wire.OneFile(file=file), "File uploaded")


async def upload_avatar(request: Request[None, None]) -> Reply:
    """Take a picture of the caller, and show it from now on."""
    received = await _received(request, limit_bytes=MAX_AVATAR_BYTES, room_field=None, types=AVATARS)
    path = avatar_path(request, received.file.id)
    await request.engine.accounts.show_avatar(request.user, received.file.id, path)
    return success(wire.Avatar(avatar_url=request.links.own(path)), "Avatar updated")


async def download(request: Request[None, DownloadQuery]) -> Reply:
    """A file, for the members of its chatroom."""
    return await send_file(request, request.path_id("file_id", FileId), "original")


async def download_thumbnail(request: Request[None, DownloadQuery]) -> Reply:
    """A small picture of a file, for the members of its chatroom."""
    return await send_file(request, request.path_id("file_id", FileId), "thumbnail")


async def download_avatar(request: Request[None, AvatarQuery]) -> Reply:
    """An avatar, for whoever knows its URL."""
    return await send_avatar(request, request.path_id("file_id", FileId))


async def health(request: Request[None, None]) -> Reply:
    """Whether the server can do its work."""
    database: Literal["healthy", "unhealthy"] = "unhealthy"
    with trio.move_on_after(HEALTH_TIMEOUT_S):
        try:
            await request.engine.check()
            database = "healthy"
        except EngineError:
            database = "unhealthy"
    services = wire.Services(database=database, redis="not_configured", mongodb="not_configured")
    found = wire.Health(
        status=database, timestamp=rfc3339(request.engine.clock()), version=version("chinwag"), services=services
    )
    return success(found)


async def _received(
    request: Request[None, None], *, limit_bytes: int, room_field: str | None, types: Collection[str] | None = None
) -> Received:
    """A form that cannot be read, or that ends too soon, is an upload that failed."""
    try:
        return await receive_upload(request, limit_bytes=limit_bytes, room_field=room_field, types=types)
    except MalformedBody as error:
        raise Coded(400, "FILE_UPLOAD_FAILED", error.message) from error
