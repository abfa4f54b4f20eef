"""Blobs as files in a folder.

    FOLDER/drafts/NAME      what is being written; removed when the folder is opened
    FOLDER/ab/abcdef...     what was committed, by the first two digits of its name

A commit syncs the file, renames it, and syncs the folders that changed: what has a name is whole and on disk. Names are
random. All work on files is done in worker threads, a bounded number at once.
"""

import os
import re
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import trio

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.values import ListedBlob
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.places import check_folder

T = TypeVar("T")

READ_BYTES: Final = 64 * 1024
"""The size of the pieces that a blob is read in."""
THREADS: Final = 8
"""Operations at once. More would only queue up at the disk."""

_DRAFTS: Final = "drafts"
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_SHARD: Final = re.compile(r"[0-9a-f]{2}")


class FolderBlobs:
    """A blob store in a folder of its own (`Blobs`). One process at a time. Make it with `open_folder_blobs`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limiter = trio.CapacityLimiter(THREADS)

    async def create(self) -> "FolderDraft":
        """Begin a blob. Raises `StoreUnavailable`."""
        name = secrets.token_hex(16)
        draft = self._folder / _DRAFTS / name
        file = await self.work(_create, draft)
        return FolderDraft(self, file, draft, self.path(name))

    async def open(self, name: str) -> "FolderBlob | None":
        """A committed blob; None when there is none of that name. Raises `StoreUnavailable`."""
        path = self.path(name)
        size_bytes = await self.work(_size_of, path)
        return None if size_bytes is None else FolderBlob(self, path, size_bytes)

    async def delete(self, name: str) -> None:
        """Remove a blob. No error when there is none. Raises `StoreUnavailable`."""
        path = self.path(name)
        await self.work(lambda: path.unlink(missing_ok=True))

    async def listing(self, *, after: str, limit: int) -> list[ListedBlob]:
        """Committed blobs by rising name, from the one behind `after` on. See `Blobs.listing`."""
        return await self.work(_listing, self._folder, after, limit)

    def path(self, name: str) -> Path:
        """Where a blob is. Raises ValueError for what is no name of ours: that is a bug, and must not become a path."""
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"not the name of a blob: {name!r}")
        return self._folder / name[:2] / name

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in a worker thread; an `OSError` of it becomes `StoreUnavailable`."""
        try:
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
        except OSError as error:
            raise StoreUnavailable(f"files cannot be stored or read: {error.strerror or error}") from error


class FolderDraft:
    """A blob that is being written (`Draft`)."""

    def __init__(self, blobs: FolderBlobs, file: BinaryIO, draft: Path, final: Path) -> None:
        self._blobs = blobs
        self._file = file
        self._draft = draft
        self._final = final
        self._ended = False

    @property
    def name(self) -> str:
        """Its name from the commit on."""
        return self._final.name

    async def write(self, data: bytes) -> None:
        """Append. Raises `StoreUnavailable`, for a full disk too."""
        await self._blobs.work(_write, self._file, data)

    async def commit(self) -> str:
        """Make it durable; its name. Raises `StoreUnavailable`, and then nothing of it is left."""
        try:
            await self._blobs.work(self._commit)
        except BaseException:  # cancellation too: half a blob must not stay
            await self.discard()
            raise
        self._ended = True
        return self._final.name

    async def discard(self) -> None:
        """Remove it. Does nothing after `commit` or `discard`, and never fails."""
        if self._ended:
            return
        self._ended = True
        with trio.CancelScope(shield=True):  # it is a moment's work, and a cancelled upload must leave nothing behind
            await self._blobs.work(self._discard)

    def _commit(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        shard = self._final.parent
        if not shard.exists():
            shard.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(shard.parent)
        self._draft.rename(self._final)
        _sync_folder(shard)

    def _discard(self) -> None:
        # One that was renamed before its folder could be synced has the final name already.
        for left in (self._draft, self._final):
            try:
                left.unlink(missing_ok=True)
            except OSError:
                continue  # a draft that cannot be removed now is removed at the next start
        try:
            self._file.close()
        except OSError:
            return


class FolderBlob:
    """A blob that was committed (`Blob`)."""

    def __init__(self, blobs: FolderBlobs, path: Path, size_bytes: int) -> None:
        self._blobs = blobs
        self._path = path
        self._size_bytes = size_bytes

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `Blob.chunks`."""
        missing = (self._size_bytes if stop is None else min(stop, self._size_bytes)) - start
        if missing <= 0:
            return
        file = await self._blobs.work(self.file)
        try:
            await self._blobs.work(file.seek, start)
            while missing > 0:
                data = await self._blobs.work(file.read, min(missing, READ_BYTES))
                if not data:
                    raise StoreUnavailable("a stored file is shorter than it was")
                missing -= len(data)
                yield data
        finally:
            file.close()  # nothing is buffered for writing, so this does not wait for the disk

    def file(self) -> BinaryIO:
        """The bytes as a file, to be closed. Blocks: for worker threads."""
        return self._path.open("rb")


async def open_folder_blobs(folder: str | os.PathLike[str]) -> FolderBlobs:
    """The store in a folder, which is made if it is not there. Removes what earlier uploads left unfinished.

    Raises `CannotOpen` when the folder cannot be used.
    """
    folder = Path(folder)
    await trio.to_thread.run_sync(_prepare, folder)
    return FolderBlobs(folder)


def _prepare(folder: Path) -> None:
    drafts = folder / _DRAFTS
    check_folder(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if drafts.exists():
            shutil.rmtree(drafts)
        drafts.mkdir(mode=0o700)
        _sync_folder(folder)
    except OSError as error:
        raise CannotOpen(f"{folder} cannot be used for files: {error.strerror}") from error


def _create(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "wb", buffering=0)


def _write(file: BinaryIO, data: bytes) -> None:
    with memoryview(data) as rest:
        written = 0
        while written < len(rest):
            written += file.write(rest[written:])


def _listing(folder: Path, after: str, limit: int) -> list[ListedBlob]:
    found: list[ListedBlob] = []
    for shard in _names(folder, _SHARD):
        if shard < after[:2]:
            continue
        for name in _names(folder / shard, _NAME):
            if name <= after:
                continue
            if len(found) == limit:
                return found
            try:
                written_ns = (folder / shard / name).stat().st_mtime_ns
            except FileNotFoundError:
                continue  # it was deleted at this very moment
            found.append(ListedBlob(name=name, written_us=written_ns // 1_000))
    return found


def _names(folder: Path, pattern: re.Pattern[str]) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if pattern.fullmatch(path.name))


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
