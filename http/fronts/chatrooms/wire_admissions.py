"""Invitations and bans. As `wire`, pure functions."""

import msgspec

from chinwag.engine.model import values as model
from chinwag.http.fronts.chatrooms.wire import Id, Pagination, Time, display_name, encode
from chinwag.http.kit.times import rfc3339


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    invite_code: str
    invite_url: str
    max_uses: int
    current_uses: int
    expires_at: Time
    created_at: Time


class OneInvitation(msgspec.Struct, frozen=True, kw_only=True):
    invitation: Invitation


class InvitationPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever holds the code may know before joining."""

    chatroom_name: str
    expires_at: Time
    uses_left: int


class ListedInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation without its code, which was shown when it was made and is not stored."""

    id: Id
    created_by: Id
    max_uses: int
    current_uses: int
    expires_at: Time
    created_at: Time


class Invitations(msgspec.Struct, frozen=True, kw_only=True):
    invitations: list[ListedInvitation]
    pagination: Pagination


class Ban(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id
    username: str
    display_name: str
    banned_by: Id
    created_at: Time


class OneBan(msgspec.Struct, frozen=True, kw_only=True):
    ban: Ban


class Bans(msgspec.Struct, frozen=True, kw_only=True):
    bans: list[Ban]
    pagination: Pagination


def invitation(i: model.Invitation, code: str, url: str) -> Invitation:
    return Invitation(
        id=encode(i.id),
        invite_code=code,
        invite_url=url,
        max_uses=i.max_uses,
        current_uses=i.uses,
        expires_at=rfc3339(i.expires_us),
        created_at=rfc3339(i.created_us),
    )


def listed_invitation(i: model.Invitation) -> ListedInvitation:
    return ListedInvitation(
        id=encode(i.id),
        created_by=encode(i.created_by),
        max_uses=i.max_uses,
        current_uses=i.uses,
        expires_at=rfc3339(i.expires_us),
        created_at=rfc3339(i.created_us),
    )


def ban(b: model.Ban) -> Ban:
    return Ban(
        user_id=encode(b.user_id),
        username=b.username,
        display_name=display_name(b),
        banned_by=encode(b.banned_by),
        created_at=rfc3339(b.created_us),
    )
