"""Files: uploads into rooms, avatars, and who may have them.

An upload is spooled to the blob store while it comes, then judged, then kept:

    async with engine.files.receiving(limit_bytes=10_000_000) as incoming:
        async for chunk in chunks:
            await incoming.write(chunk)
        stored = await incoming.keep(owner, room_id, name="report.pdf")

Whatever goes wrong before the end, nothing of it remains: no row without bytes, no bytes without a row. A type is what
the content says (`file_types`), a name is made safe, and whoever is not in the room (any more) gets nothing.

A room's files are kept byte for byte. An avatar, which everybody sees, is written anew (`pictures`): it says no place,
no camera and no time. Those that an earlier release kept as they came are written anew when they are next opened.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import structlog
import trio
from msgspec.structs import replace

from chinwag.engine.files.blobs import Blob, Blobs, Draft
from chinwag.engine.files.file_types import AVATARS, IMAGES, Inspector, safe_name
from chinwag.engine.files.pictures import BadPicture, Pictures, picture_type
from chinwag.engine.model.access import require_member
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import (
    FileTooLarge,
    Forbidden,
    Invalid,
    NotFound,
    StoreUnavailable,
    TryLater,
    TypeNotAllowed,
)
from chinwag.engine.model.ids import FileId, RoomId, UserId
from chinwag.engine.model.store import InsertFile, ReplaceFile, Store, WriteRejected
from chinwag.engine.model.values import Attachment, Record, StoredFile

log = structlog.get_logger("chinwag.engine")


class OpenedFile(Record):
    """A file that a viewer may have: `blob` holds its bytes, or those of its thumbnail."""

    file: StoredFile
    blob: Blob
    thumbnail: bool

    @property
    def etag(self) -> str:
        """Names these bytes, and no others, as long as they exist."""
        return self.file.digest.hex()[:32] + ("-t" if self.thumbnail else "")


class Files:
    """The files of one engine. Without a blob store it has none, and takes none."""

    def __init__(
        self,
        *,
        store: Store,
        commits: Commits,
        new_id: Callable[[], int],
        clock: Clock,
        blobs: Blobs | None,
        pictures: Pictures,
    ) -> None:
        self._store = store
        self._commits = commits
        self._new_id = new_id
        self._clock = clock
        self._blobs = blobs
        self._pictures = pictures
        self._cleaning = trio.Lock()
        self.under_way: set[str] = set()
        """Blobs that no row names and that one may be about to."""

    # --- uploading ---

    async def require_member(self, user_id: UserId, room_id: RoomId) -> None:
        """Raise `NotFound("room")` or `NotAMember` for who may not have files in a room."""
        require_member(await self._store.access(room_id, user_id))

    async def upload(
        self,
        owner: UserId,
        room_id: RoomId | None,
        *,
        name: str,
        chunks: AsyncIterator[bytes],
        limit_bytes: int,
        types: Collection[str] | None = None,
    ) -> StoredFile:
        """Take a file for a room, or with None an avatar. Raises as `receiving`, `Incoming.write` and `Incoming.keep`
        do, and what `chunks` does."""
        if room_id is not None:
            await self.require_member(owner, room_id)
        async with self.receiving(limit_bytes=limit_bytes, types=types) as incoming:
            async for chunk in chunks:
                await incoming.write(chunk)
            return await incoming.keep(owner, room_id, name=name)

    @asynccontextmanager
    async def receiving(self, *, limit_bytes: int, types: Collection[str] | None = None) -> AsyncIterator["Incoming"]:
        """Begin an upload. What was not kept at the end of the block is removed.

        `types` are the MIME types that are taken, None for all but executables, which never are. Raises `Forbidden`
        when this engine stores no files, and `StoreUnavailable`.
        """
        if self._blobs is None:
            raise Forbidden("this server stores no files")
        incoming = Incoming(self, await self._blobs.create(), limit_bytes=limit_bytes, types=types)
        self.under_way.add(incoming.draft.name)
        try:
            yield incoming
        finally:
            await incoming.draft.discard()
            self.under_way.discard(incoming.draft.name)

    async def keep(
        self, draft: Draft, content: Inspector, owner: UserId, room_id: RoomId | None, *, name: str, mime_type: str
    ) -> StoredFile:
        """Commit a draft, its thumbnail and its row, or none of them. For `Incoming`."""
        assert self._blobs is not None
        if room_id is not None:  # again: the upload took a while
            await self.require_member(owner, room_id)
        committed: list[str] = []
        try:
            blob = await draft.commit()
            committed.append(blob)
            file = StoredFile(
                id=FileId(self._new_id()),
                owner_id=owner,
                room_id=room_id,
                name=safe_name(name),
                mime_type=mime_type,
                size_bytes=content.size_bytes,
                digest=content.digest,
                blob=blob,
                thumbnail=None,
                created_us=self._clock(),
            )
            if room_id is None:
                file = await self._cleaned(file, committed)
            elif mime_type in IMAGES:
                file = replace(file, thumbnail=await self._thumbnail(file, committed))
            try:
                with trio.CancelScope(shield=True):  # whether it was stored must be known, or its bytes could go astray
                    await self._commits.commit([InsertFile(file=file)])
            except WriteRejected:
                raise NotFound("room") from None  # it was deleted at this very moment
        except BaseException:  # cancellation too: bytes without a row would be found by nobody
            await self._delete(committed)
            raise
        finally:
            self.under_way.difference_update(committed)
        await self._delete([blob] if file.blob != blob else [])
        return file

    async def _thumbnail(self, file: StoredFile, committed: list[str]) -> str | None:
        """The name of a small picture's blob; None when none can be made of it, or not now."""
        try:
            rendered = await self._pictures.render(await self._blob(file, file.blob), owner=file.owner_id)
        except (BadPicture, TryLater) as error:
            log.debug("no thumbnail", file=file.id, reason=str(error))
            return None
        return await self._store_bytes(rendered.thumbnail, committed)

    async def _cleaned(self, file: StoredFile, committed: list[str]) -> StoredFile:
        """An avatar of other bytes: a picture made anew. Raises `TypeNotAllowed`, and what makes it wait does."""
        try:
            rendered = await self._pictures.render(await self._blob(file, file.blob), owner=file.owner_id, avatar=True)
        except BadPicture as bad:
            raise TypeNotAllowed(str(bad)) from None
        assert rendered.avatar is not None
        mime_type = picture_type(rendered.avatar)
        assert mime_type is not None
        return replace(
            file,
            name=f"avatar.{mime_type.removeprefix('image/')}",
            mime_type=mime_type,
            size_bytes=len(rendered.avatar),
            digest=hashlib.sha256(rendered.avatar).digest(),
            blob=await self._store_bytes(rendered.avatar, committed),
            thumbnail=await self._store_bytes(rendered.thumbnail, committed),
            cleaned=True,
        )

    async def _blob(self, file: StoredFile, name: str) -> Blob:
        blob = None if self._blobs is None else await self._blobs.open(name)
        if blob is None:
            log.error("the bytes of a file are gone", file=file.id, blob=name)
            raise NotFound("file")
        return blob

    async def _store_bytes(self, data: bytes, committed: list[str]) -> str:
        """A blob's name, which joins those that are removed if its file is not stored after all."""
        assert self._blobs is not None
        draft = await self._blobs.create()
        self.under_way.add(draft.name)
        try:
            await draft.write(data)
            committed.append(await draft.commit())
        except BaseException:  # cancellation too: a name that stays under way would never be swept
            self.under_way.discard(draft.name)
            raise
        finally:
            await draft.discard()
        return committed[-1]

    async def of_room(self, room_id: RoomId) -> list[StoredFile]:
        """All files of a room that is about to be deleted: for `forget`, when it is."""
        return [] if self._blobs is None else await self._store.files_of(room_id)

    async def forget(self, files: Sequence[StoredFile]) -> None:
        """Delete the bytes of files whose rows are gone. Never fails: what cannot be deleted is logged."""
        await self._delete([name for file in files for name in (file.blob, file.thumbnail) if name is not None])

    async def _delete(self, blobs: Sequence[str]) -> None:
        if self._blobs is None:
            return
        with trio.CancelScope(shield=True):  # nothing refers to them any more
            for name in blobs:
                try:
                    await self._blobs.delete(name)
                except StoreUnavailable:
                    log.warning("a blob that nothing refers to is left", blob=name)

    # --- using ---

    async def open(self, file_id: FileId, viewer: UserId, *, thumbnail: bool = False) -> OpenedFile:
        """A file of one of the viewer's rooms, or an avatar. Who was removed from the room may not have it any more.

        Raises `NotFound("file")` when there is none, also for who is not in its room: a stranger learns nothing. Raises
        `StoreUnavailable`.
        """
        file = await self._store.file(file_id)
        if file is None:
            raise NotFound("file")
        if file.room_id is not None and (await self._store.access(file.room_id, viewer)).member is None:
            raise NotFound("file")
        return await self._open(file, thumbnail=thumbnail)

    async def open_avatar(self, file_id: FileId, *, thumbnail: bool = False) -> OpenedFile:
        """An avatar, for anybody. Raises `NotFound("file")` for all other files."""
        file = await self._store.file(file_id)
        if file is None or file.room_id is not None:
            raise NotFound("file")
        return await self._open(file, thumbnail=thumbnail)

    async def attachments(self, caller: UserId, room_id: RoomId, file_ids: Sequence[FileId]) -> tuple[Attachment, ...]:
        """What a message of `caller` in this room may have attached: files that they uploaded for it.

        Raises `NotFound("file")` for any other.
        """
        found: list[Attachment] = []
        for file_id in file_ids:
            file = await self._store.file(file_id)
            if file is None or file.room_id != room_id or file.owner_id != caller:
                raise NotFound("file")
            found.append(attachment(file))
        return tuple(found)

    async def _open(self, file: StoredFile, *, thumbnail: bool) -> OpenedFile:
        if self._blobs is None:
            raise NotFound("file")
        if file.room_id is None and not file.cleaned:
            file = await self._clean_late(file.id)
        name = file.thumbnail if thumbnail else file.blob
        if name is None:
            raise NotFound("file")
        return OpenedFile(file=file, blob=await self._blob(file, name), thumbnail=thumbnail)

    async def _clean_late(self, avatar_id: FileId) -> StoredFile:
        """An avatar that an earlier release kept as it came, as it is from now on. Raises `NotFound("file")` when it
        cannot be: as it came, nobody gets it."""
        async with self._cleaning:
            before = await self._store.file(avatar_id)
            if before is None:
                raise NotFound("file")
            if before.cleaned:  # somebody else who opened it was faster
                return before
            committed: list[str] = []
            try:
                file = await self._cleaned(before, committed)
                with trio.CancelScope(shield=True):
                    await self._commits.commit([ReplaceFile(file=file, blob=before.blob)])
            except TypeNotAllowed as error:
                log.warning("an avatar cannot be written anew", file=avatar_id, reason=error.reason)
                raise NotFound("file") from None
            except WriteRejected:  # its user has another one by now
                await self._delete(committed)
                raise NotFound("file") from None
            except BaseException:  # cancellation too: as where a file is kept
                await self._delete(committed)
                raise
            finally:
                self.under_way.difference_update(committed)
        await self.forget([before])
        return file


class Incoming:
    """One upload under way. Made by `Files.receiving`."""

    def __init__(self, files: Files, draft: Draft, *, limit_bytes: int, types: Collection[str] | None) -> None:
        self.draft = draft
        self._files = files
        self._limit_bytes = limit_bytes
        self._types = types
        self._content = Inspector()

    async def write(self, data: bytes) -> None:
        """Append. Raises `FileTooLarge` as soon as it is, and `StoreUnavailable`."""
        if self._content.size_bytes + len(data) > self._limit_bytes:
            raise FileTooLarge(self._limit_bytes)
        await trio.to_thread.run_sync(self._content.feed, data)
        await self.draft.write(data)

    async def keep(self, owner: UserId, room_id: RoomId | None, *, name: str) -> StoredFile:
        """The upload is whole: judge and store it. `name` is whatever the client called it.

        Raises `TypeNotAllowed`, `Invalid("file")` for an empty one, `NotFound("room")` or `NotAMember`, and
        `StoreUnavailable`. With `room_id` None it is an avatar, which has to be an image that can be decoded: it is
        written anew, under a name of its own. Raises `Overloaded` and `PicturesUnavailable` when that cannot be now.
        """
        if not self._content.size_bytes:
            raise Invalid("file", "is empty")
        mime_type = self._content.mime_type()
        taken = self._types
        if room_id is None:
            taken = AVATARS if taken is None else AVATARS.intersection(taken)
        if taken is not None and mime_type not in taken:
            raise TypeNotAllowed(f"is {mime_type}, taken are {', '.join(sorted(taken))}")
        return await self._files.keep(self.draft, self._content, owner, room_id, name=name, mime_type=mime_type)


def attachment(file: StoredFile) -> Attachment:
    """A file as what a message points to."""
    return Attachment(
        url="",
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        name=file.name,
        file_id=file.id,
        has_thumbnail=file.thumbnail is not None,
    )
