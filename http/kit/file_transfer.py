"""Files in and out, for any front: what stands between its routes and `engine.files`.

Taking an upload (multipart/form-data, one file, text fields before or after it):

    async def upload(request: Request[None, None]) -> Reply:
        received = await receive_upload(request, limit_bytes=MAX_FILE_BYTES, room_field="chatroom_id")
        return Reply(wire.file(received.file))

    Route("POST", "/upload/file", upload, streams=MAX_FILE_BYTES + multipart.OVERHEAD_BYTES,
          form=(FormPart("file", "...", is_file=True), FormPart("chatroom_id", "...")), ...)

With `room_field` None it is an avatar. Then URLs, from a codec of the front's own:

    links = SignedUrls(request.tokens)
    query = links.query(file.id, "original", request.claims, request.ids.encode)
    url = f"{prefix}/files/{request.ids.encode(file.id)}?{query}"

and giving files out. The route needs no token, since the query may have a signature in place of one:

    async def download(request: Request[None, DownloadQuery]) -> Reply:
        return await send_file(request, request.path_id("file_id", FileId), "original")

    Route("GET", "/files/{file_id}", download, query=DownloadQuery, auth=False, media_type="*/*",
          asked_by=viewer_of("original"), ...)

    async def avatar(request: Request[None, AvatarQuery]) -> Reply:
        return await send_avatar(request, request.path_id("file_id", FileId))

A URL without a signature works with a token, in a header or as `token=` in the query: in what is sent to a whole room,
no URL can be for one viewer.

Whatever was uploaded is served as what its content is, never as what a browser guesses, in a sandbox, and all but plain
images only as a download.
"""

import re
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from email.utils import formatdate
from typing import Any, Final

import msgspec

from chinwag.engine.files.blobs import Blob
from chinwag.engine.files.file_types import IMAGES, UNKNOWN
from chinwag.engine.files.files import Incoming, OpenedFile
from chinwag.engine.model.errors import AccountInactive, EngineError, FileTooLarge, Invalid, Rule, Unauthenticated
from chinwag.engine.model.ids import FamilyId, FileId, RoomId, UserId
from chinwag.engine.model.values import StoredFile
from chinwag.http.api.decoding import QueryReader
from chinwag.http.api.refusals import BodyTooLarge
from chinwag.http.api.requests import IdCodec, Reply, Request
from chinwag.http.api.routing import AskedBy, Asking, Viewer
from chinwag.http.api.values import NO_REFERRER, NOSNIFF, FixedHeaders, Header, HttpResponse
from chinwag.http.kit.dispositions import attachment
from chinwag.http.kit.multipart import FileBegins, FileData, FileEnds, FormParser
from chinwag.http.kit.signed_urls import SignedUrls, Variant, not_valid
from chinwag.http.security.tokens import find_token

INLINE: Final = IMAGES
"""What a browser may show in the page instead of saving it."""

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SANDBOX: Final = FixedHeaders(NOSNIFF, NO_REFERRER, ("content-security-policy", "sandbox; default-src 'none'"))
"""Whatever a file holds, a browser runs none of it."""
_THUMBNAIL_TYPES: Final = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"))


class DownloadQuery(msgspec.Struct, frozen=True):
    """Who asks for a file: a signed URL's four parameters, or `token`; none of them with a token in a header."""

    expires: str | None = None
    user: str | None = None
    login: str | None = None
    signature: str | None = None
    token: str | None = None


class AvatarQuery(msgspec.Struct, frozen=True):
    """The signature that an avatar's URL has."""

    signature: str = ""


class Received(msgspec.Struct, frozen=True):
    """An upload that was stored, and the form's text fields."""

    file: StoredFile
    fields: dict[str, str]


# --- in ---


async def receive_upload(
    request: Request[Any, Any],
    *,
    limit_bytes: int,
    room_field: str | None,
    file_field: str = "file",
    types: Collection[str] | None = None,
) -> Received:
    """Read a form with one file, and store that in the room that `room_field` names, or as an avatar.

    The file may have `limit_bytes`; `types` are the MIME types taken, None for all but executables. Raises `Invalid`
    for what is wrong with the form, `FileTooLarge`, `TypeNotAllowed`, `NotFound("room")`, `NotAMember`,
    `StoreUnavailable`, and what reading a stream raises.
    """
    form = FormParser(request.headers.get("content-type", ""), file_field=file_field)
    files = request.engine.files
    name = ""
    admitted: RoomId | None = None
    async with files.receiving(limit_bytes=limit_bytes, types=types) as incoming:
        try:
            async for data in request.stream:
                for event in form.feed(data):
                    match event:
                        case FileBegins():
                            name = event.name
                            # A room that is known already saves the rest to who may not upload there.
                            if room_field is not None and room_field in form.fields:
                                admitted = request.body_id(room_field, form.fields[room_field], RoomId)
                                await files.require_member(request.user, admitted)
                        case FileData():
                            await incoming.write(event.data)
                        case FileEnds():
                            pass
        except BodyTooLarge:
            raise FileTooLarge(limit_bytes) from None
        form.finish()
        return Received(await _keep(request, incoming, form.fields, room_field, name), form.fields)


async def _keep(
    request: Request[Any, Any], incoming: Incoming, fields: dict[str, str], room_field: str | None, name: str
) -> StoredFile:
    if room_field is None:
        return await incoming.keep(request.user, None, name=name)
    if room_field not in fields:
        raise Invalid(room_field, "is required", rule=Rule.REQUIRED)
    return await incoming.keep(request.user, request.body_id(room_field, fields[room_field], RoomId), name=name)


# --- out ---


async def send_file(request: Request[Any, DownloadQuery], file_id: FileId, variant: Variant = "original") -> Reply:
    """A file, for who may have it. Answers to Range (one range), If-None-Match and HEAD.

    Raises `Unauthenticated` (and `TokenExpired`) for who cannot be told, and `NotFound("file")`, which is also the
    answer to who is not in the file's room.
    """
    viewer = await _viewer(request, file_id, variant)
    opened = await request.engine.files.open(file_id, viewer, thumbnail=variant == "thumbnail")
    return await file_reply(request, opened, caching="private, max-age=3600")


async def send_avatar(request: Request[Any, AvatarQuery], file_id: FileId, variant: Variant = "original") -> Reply:
    """An avatar, for whoever knows its URL. Raises `Unauthenticated` and `NotFound("file")`."""
    SignedUrls(request.tokens).check_avatar(file_id, request.query.signature)
    opened = await request.engine.files.open_avatar(file_id, thumbnail=variant == "thumbnail")
    return await file_reply(request, opened, caching="public, max-age=31536000, immutable")


def viewer_of(variant: Variant, name: str = "file_id") -> AskedBy:
    """Who asks for a file, for its route's `asked_by`. The path's template has the file's id at `name`."""
    read_query = QueryReader(DownloadQuery)

    def asked_by(asking: Asking) -> Viewer | str | None:
        try:
            query = read_query(asking.query)
            if query.signature is None:
                return find_token(asking.headers) or query.token
            file_id = asking.ids.decode(asking.path[name])
            if file_id is None:
                return None
            return Viewer(*_signed_for(SignedUrls(asking.tokens), asking.ids, FileId(file_id), variant, query))
        except EngineError:
            return None

    return asked_by


def _signed_for(
    links: SignedUrls, ids: IdCodec, file_id: FileId, variant: Variant, query: DownloadQuery
) -> tuple[UserId, FamilyId | None]:
    """Whom a link was made out to, and for which log-in (None: a link of before, which names none).

    Raises `Unauthenticated` when its signature is not ours, or its time is over.
    """
    user = ids.decode(query.user or "")
    family = None if query.login is None else ids.decode(query.login)
    if user is None or (family is None and query.login is not None):
        raise not_valid()
    viewer, family_id = UserId(user), None if family is None else FamilyId(family)
    links.check(file_id, variant, viewer, family_id, expires=query.expires or "", signature=query.signature or "")
    return viewer, family_id


async def _viewer(request: Request[Any, DownloadQuery], file_id: FileId, variant: Variant) -> UserId:
    query = request.query
    accounts = request.engine.accounts
    if query.signature is not None:
        viewer, family_id = _signed_for(SignedUrls(request.tokens), request.ids, file_id, variant, query)
        if family_id is not None:
            await accounts.authenticate(family_id, viewer)
            return viewer
        known = await accounts.users([viewer])
        if viewer not in known or not known[viewer].active:
            raise AccountInactive("the account of the link's viewer was deactivated")
        return viewer
    token = find_token(request.headers) or query.token
    if not token:
        raise Unauthenticated("an access token or a signed URL is needed")
    claims = request.tokens.verify(token)
    await accounts.authenticate(claims.family_id, claims.user_id)
    return claims.user_id


async def file_reply(request: Request[Any, Any], opened: OpenedFile, *, caching: str) -> Reply:
    """A file as an answer: 200, 206 for a range, 304, or 416. `caching` is the Cache-Control header."""
    etag = f'"{opened.etag}"'
    size_bytes = opened.blob.size_bytes
    headers: list[Header] = [
        ("etag", etag),
        ("cache-control", caching),
        ("last-modified", formatdate(opened.file.created_us / 1_000_000, usegmt=True)),
    ]
    if _matches(request.headers.get("if-none-match"), etag):
        return Reply(raw=HttpResponse(status=304, headers=headers, fixed=_SANDBOX))
    mime_type = await _thumbnail_type(opened.blob) if opened.thumbnail else opened.file.mime_type
    headers += [
        ("content-type", f"{mime_type}; charset=utf-8" if mime_type == "text/plain" else mime_type),
        ("content-disposition", attachment(opened.file.name, inline=mime_type in INLINE)),
        ("accept-ranges", "bytes"),
    ]
    wanted = request.headers.get("range")
    part = None
    if wanted is not None and request.headers.get("if-range", etag) == etag:
        part = _range(wanted, size_bytes)
    if part is None:
        whole = _Part(opened.blob, 0, size_bytes)
        return Reply(raw=HttpResponse(status=200, headers=headers, fixed=_SANDBOX, content=whole))
    start, stop = part
    if start >= stop:
        refused: list[Header] = [("content-range", f"bytes */{size_bytes}"), ("cache-control", "no-store")]
        return Reply(raw=HttpResponse(status=416, headers=refused))
    headers.append(("content-range", f"bytes {start}-{stop - 1}/{size_bytes}"))
    return Reply(raw=HttpResponse(status=206, headers=headers, fixed=_SANDBOX, content=_Part(opened.blob, start, stop)))


class _Part:
    """A part of a blob, as the `Content` of an answer."""

    def __init__(self, blob: Blob, start: int, stop: int) -> None:
        self.size_bytes = stop - start
        self._blob = blob
        self._start = start
        self._stop = stop

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `Content.chunks`."""
        return self._blob.chunks(self._start, self._stop)


async def _thumbnail_type(blob: Blob) -> str:
    """A thumbnail is a JPEG or a PNG."""
    async with aclosing(blob.chunks(0, 4)) as chunks:
        beginning = b"".join([chunk async for chunk in chunks])
    return next((kind for magic, kind in _THUMBNAIL_TYPES if beginning.startswith(magic)), UNKNOWN)


def _range(value: str, size_bytes: int) -> tuple[int, int] | None:
    """The bytes from and up to (and without) that a Range header asks for; none at all when there are none of these.

    None for what is no single range of bytes: RFC 9110 section 14.2 lets a server overlook such a header.
    """
    found = _RANGE.fullmatch(value.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size_bytes - int(found[2])), size_bytes
    start = int(found[1])
    if not found[2]:
        return start, size_bytes
    last = int(found[2])
    if last < start:
        return None
    return start, min(last + 1, size_bytes)


def _matches(header: str | None, etag: str) -> bool:
    """RFC 9110 section 13.1.2, by the weak comparison."""
    if header is None:
        return False
    return header.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in header.split(","))
