"""From rows to the engine's values. A damaged row loses what is damaged, is reported once, and breaks no list."""

from typing import Any

import msgspec
import structlog

from chinwag.engine.ids import FamilyId, RoomId, UserId
from chinwag.engine.model import (
    Attachment,
    Family,
    Member,
    Message,
    Presence,
    RefreshToken,
    Role,
    Room,
    RoomKind,
    User,
)

log = structlog.get_logger("chinwag.persistence")

Row = tuple[Any, ...]

_ROLES = {int(role): role for role in Role}
_KINDS = {int(kind): kind for kind in RoomKind}
_PRESENCES = {int(presence): presence for presence in Presence}

_attachments_from = msgspec.json.Decoder(tuple[Attachment, ...]).decode
_attachments_into = msgspec.json.Encoder().encode

REPORTS = 1_000
"""So many damaged rows are reported one by one; of more, the log would not tell more."""


def attachments_text(attachments: tuple[Attachment, ...]) -> str | None:
    """Attachments as they are stored."""
    return _attachments_into(attachments).decode() if attachments else None


class RowReader:
    """Makes values of rows, in the order of the columns that `queries` lists. Safe to use from several threads."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, object]] = set()

    def report(self, what: str, row_id: object, damage: str) -> None:
        """Log a damaged row, the first time that it is met."""
        if (what, row_id) not in self._reported and len(self._reported) < REPORTS:
            self._reported.add((what, row_id))
            log.error("damaged row", what=what, id=row_id, damage=damage)

    def user(self, row: Row) -> User:
        user_id, username, email, created_us, declared = row
        presence = None
        if declared is not None:
            presence = _PRESENCES.get(declared)
            if presence is None:
                self.report("user", user_id, f"presence {declared!r}")
        return User(id=UserId(user_id), username=username, email=email, created_us=created_us, declared=presence)

    def room(self, row: Row) -> Room:
        room_id, kind, name, description, created_by, created_us, direct_key = row
        room_kind = _KINDS.get(kind)
        if room_kind is None:
            self.report("room", room_id, f"kind {kind!r}")
            room_kind = RoomKind.GROUP if direct_key is None else RoomKind.DIRECT
        return Room(
            id=RoomId(room_id),
            kind=room_kind,
            name=name,
            description=description,
            created_by=UserId(created_by),
            created_us=created_us,
            direct_key=direct_key,
        )

    def member(self, row: Row) -> Member:
        user_id, username, role, joined_us, delivered_seq, read_seq = row
        known = _ROLES.get(role)
        if known is None:
            self.report("member", user_id, f"role {role!r}")
            known = Role.MEMBER
        return Member(
            user_id=UserId(user_id),
            username=username or "",
            role=known,
            joined_us=joined_us,
            delivered_seq=delivered_seq,
            read_seq=read_seq,
        )

    def message(self, row: Row) -> Message:
        message_id, room_id, seq, author_id, name, text, created_us, attachments, key, edited_us, deleted_us = row
        return Message(
            id=message_id,
            room_id=room_id,
            seq=seq,
            author_id=author_id,
            author_name=name or "",
            text=text,
            created_us=created_us,
            attachments=() if attachments is None else self._attachments(message_id, attachments),
            key=key,
            edited_us=edited_us,
            deleted_us=deleted_us,
        )

    def _attachments(self, message_id: int, text: str) -> tuple[Attachment, ...]:
        try:
            return _attachments_from(text)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            self.report("message", message_id, f"attachments: {error}")
            return ()

    def family(self, row: Row) -> Family:
        family_id, user_id, created_us, revoked_us = row
        return Family(id=FamilyId(family_id), user_id=UserId(user_id), created_us=created_us, revoked_us=revoked_us)

    def refresh_token(self, row: Row) -> RefreshToken:
        digest, family_id, user_id, expires_us, spent_us = row
        return RefreshToken(
            digest=digest,
            family_id=FamilyId(family_id),
            user_id=UserId(user_id),
            expires_us=expires_us,
            spent_us=spent_us,
        )
