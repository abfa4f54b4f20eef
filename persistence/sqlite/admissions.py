"""The part of the SQLite store about who may come into a room."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.engine.model.store_admissions import BanPage, InvitationPage
from chinwag.engine.model.values import Ban, Invitation, Role
from chinwag.persistence.sqlite.reads import Snapshot

P = ParamSpec("P")
T = TypeVar("T")


class SqliteAdmissions(ABC):
    """See `AdmissionStore`. Base of `SqliteStore`, which reads."""

    @abstractmethod
    async def _read(self, read: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read in one snapshot."""

    async def ban(self, room_id: RoomId, user_id: UserId) -> Ban | None:
        return await self._read(Snapshot.ban, room_id, user_id)

    async def bans(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> BanPage:
        return await self._read(Snapshot.bans, room_id, viewer, skip, limit)

    async def invitation(self, digest: bytes) -> Invitation | None:
        return await self._read(Snapshot.invitation, digest)

    async def invitation_to(self, room_id: RoomId, invitation_id: InvitationId) -> Invitation | None:
        return await self._read(Snapshot.invitation_to, room_id, invitation_id)

    async def invitations(
        self, room_id: RoomId, viewer: UserId, *, all_from: Role, now_us: int, skip: int, limit: int
    ) -> InvitationPage:
        return await self._read(Snapshot.invitations, room_id, viewer, all_from, now_us, skip, limit)
