"""What the engine needs of a blob store: bytes under names that the store makes up. No file system here."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from chinwag.engine.model.values import ListedBlob


class Draft(Protocol):
    """A blob that is being written. It ends by `commit` or `discard`."""

    @property
    def name(self) -> str:
        """Its name from the commit on."""
        ...

    async def write(self, data: bytes) -> None:
        """Append. Raises `StoreUnavailable`, for a full disk too."""
        ...

    async def commit(self) -> str:
        """Make it durable; its name. Raises `StoreUnavailable`, and then nothing of it is left."""
        ...

    async def discard(self) -> None:
        """Remove it. Does nothing after `commit` or `discard`, and never fails."""
        ...


class Blob(Protocol):
    """A blob that was committed. It never changes."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        ...

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to and without `stop` (None: to the end), a bounded piece at a time.

        Whoever iterates closes the generator (`contextlib.aclosing`). Raises `StoreUnavailable` when they cannot be
        read.
        """
        ...


class Blobs(Protocol):
    """A blob store. It chooses the names: nothing a client sends becomes part of one."""

    async def create(self) -> Draft:
        """Begin a blob. Raises `StoreUnavailable`."""
        ...

    async def open(self, name: str) -> Blob | None:
        """A committed blob; None when there is none of that name. Raises `StoreUnavailable`."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a blob. No error when there is none. Raises `StoreUnavailable`."""
        ...

    async def listing(self, *, after: str, limit: int) -> Sequence[ListedBlob]:
        """Committed blobs by rising name, from the one behind `after` on; fewer than `limit` only at the end. One that
        is committed or deleted meanwhile may be among them or not. Raises `StoreUnavailable`."""
        ...
