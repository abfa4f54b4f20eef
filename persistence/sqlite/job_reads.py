"""The part of the SQLite store that jobs go by."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from chinwag.engine.model.ids import InvitationId
from chinwag.persistence.sqlite.reads import Snapshot

P = ParamSpec("P")
T = TypeVar("T")


class SqliteJobReads(ABC):
    """See `JobStore`. Base of `SqliteStore`, which reads."""

    @abstractmethod
    async def _read(self, read: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read in one snapshot."""

    async def cursor(self, name: str) -> str | None:
        return await self._read(Snapshot.cursor, name)

    async def ended_invitations(self, *, by_us: int, limit: int) -> list[InvitationId]:
        return await self._read(Snapshot.ended_invitations, by_us, limit)

    async def named_blobs(self, names: Sequence[str]) -> set[str]:
        return await self._read(Snapshot.named_blobs, names)
