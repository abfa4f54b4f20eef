"""The part of `Store` for work behind what people wait for: what observers add to a commit, and what jobs go by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from chinwag.engine.model.ids import InvitationId
from chinwag.engine.model.values import Record

if TYPE_CHECKING:
    from chinwag.engine.model.store import Write


# --- writes -------------------------------------------------------------------------------------------------------


class Savepoint(Record):
    """Writes that are applied all or, when one of them is refused (`DuplicateKey`, `WriteRejected`), none. The rest of
    their commit stands in either case. Messages, deletions of rooms and other savepoints are no part of one."""

    writes: tuple["Write", ...]


class SetCursor(Record):
    """Where a job goes on, under its name and in its own words. Replaces what was there."""

    name: str
    position: str


class DeleteInvitations(Record):
    """Removes the rows of invitations that have ended. No error for those that are gone."""

    invitation_ids: tuple[InvitationId, ...]


JobWrite = Savepoint | SetCursor | DeleteInvitations


# --- reads --------------------------------------------------------------------------------------------------------


class JobStore(Protocol):
    """See `chinwag.engine.model.store` for what every implementation promises."""

    async def cursor(self, name: str) -> str | None:
        """What `SetCursor` last wrote under a name, None before the first time."""
        ...

    async def ended_invitations(self, *, by_us: int, limit: int) -> list[InvitationId]:
        """Those that had expired by a time or were ended, to any room; the first to expire come first."""
        ...

    async def named_blobs(self, names: Sequence[str]) -> set[str]:
        """Those of these blobs that a file's row names, as its bytes or its thumbnail."""
        ...
