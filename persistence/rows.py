"""From rows to the engine's values. A damaged row loses what is damaged, is reported once, and breaks no list."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from chinwag.engine.model.emojis import merged
from chinwag.engine.model.ids import BanId, FamilyId, FileId, InvitationId, MessageId, RoomId, SummaryId, UserId
from chinwag.engine.model.values import (
    Attachment,
    Ban,
    Deployment,
    Family,
    Invitation,
    KeyCustody,
    Member,
    MemberKey,
    Message,
    MessageKind,
    Presence,
    Reaction,
    RefreshToken,
    Role,
    Room,
    RoomKey,
    RoomKind,
    Sealed,
    StoredFile,
    Summary,
    User,
)

log = structlog.get_logger("chinwag.persistence")

Row = tuple[Any, ...]
T = TypeVar("T")

_ROLES: dict[object, Role] = {int(role): role for role in Role}
_KINDS = {int(kind): kind for kind in RoomKind}
_PRESENCES = {int(presence): presence for presence in Presence}

_CUSTODIES = {int(custody): custody for custody in KeyCustody}


class _StoredAttachment(Attachment, omit_defaults=True):
    """An attachment as it is written: without what it has not."""


class _Extras(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a message may have besides its text."""

    kind: MessageKind = MessageKind.TEXT
    reply_to: MessageId | None = None
    sealed: Sealed | None = None
    reactions: tuple[Reaction, ...] = ()


_NO_EXTRAS = _Extras()
_PLAIN = MessageKind.TEXT

_attachments_from = msgspec.json.Decoder(tuple[Attachment, ...]).decode
_extras_from = msgspec.json.Decoder(_Extras).decode
_ids_from = msgspec.json.Decoder(tuple[UserId, ...]).decode
_texts_from = msgspec.json.Decoder(tuple[str, ...]).decode
_json_of = msgspec.json.Encoder().encode

REPORTS = 1_000
"""So many damaged rows are reported one by one; of more, the log would not tell more."""


def attachments_text(attachments: tuple[Attachment, ...]) -> str | None:
    """Attachments as they are stored."""
    if not attachments:
        return None
    return _json_of([_StoredAttachment(**msgspec.structs.asdict(each)) for each in attachments]).decode()


def extras_text(message: Message) -> str | None:
    """What a message has besides its text, as it is stored."""
    if message.kind is _PLAIN and message.reply_to is None and message.sealed is None and not message.reactions:
        return None
    extras = _Extras(kind=message.kind, reply_to=message.reply_to, sealed=message.sealed, reactions=message.reactions)
    return _json_of(extras).decode()


def list_text(values: Sequence[int] | Sequence[str]) -> str:
    """A list of ids or texts, as it is stored."""
    return _json_of(values).decode()


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
        user_id, username, email, created_us, declared, display_name, avatar_url, public_key, last_login_us, active = (
            row
        )
        presence = None
        if declared is not None:
            presence = _PRESENCES.get(declared)
            if presence is None:
                self.report("user", user_id, f"presence {declared!r}")
        return User(
            id=UserId(user_id),
            username=username,
            email=email,
            created_us=created_us,
            declared=presence,
            display_name=display_name,
            avatar_url=avatar_url,
            public_key=public_key,
            last_login_us=last_login_us,
            active=bool(active),
        )

    def room(self, row: Row) -> Room:
        room_id, kind, name, description, created_by, created_us, direct_key, *settings = row
        private, max_members, auto_summary, summary_threshold, custody, announces, updated_us = settings
        room_kind = _KINDS.get(kind)
        if room_kind is None:
            self.report("room", room_id, f"kind {kind!r}")
            room_kind = RoomKind.GROUP if direct_key is None else RoomKind.DIRECT
        room_custody = _CUSTODIES.get(custody)
        if room_custody is None:
            self.report("room", room_id, f"custody {custody!r}")
            room_custody = KeyCustody.CLIENT
        return Room(
            id=RoomId(room_id),
            kind=room_kind,
            name=name,
            description=description,
            created_by=UserId(created_by),
            created_us=created_us,
            direct_key=direct_key,
            private=bool(private),
            max_members=max_members,
            auto_summary=bool(auto_summary),
            summary_threshold=summary_threshold,
            custody=room_custody,
            announces=bool(announces),
            updated_us=updated_us,
        )

    def member(self, row: Row) -> Member:
        user_id, username, role, joined_us, delivered_seq, read_seq, read_us, display_name, avatar_url = row
        return Member(
            user_id=UserId(user_id),
            username=username or "",
            role=self._role("member", user_id, role),
            joined_us=joined_us,
            delivered_seq=delivered_seq,
            read_seq=read_seq,
            read_us=read_us,
            display_name=display_name,
            avatar_url=avatar_url,
        )

    def _role(self, what: str, row_id: int, role: object) -> Role:
        """A role as it is stored; of a damaged one the least."""
        known = _ROLES.get(role)
        if known is None:
            self.report(what, row_id, f"role {role!r}")
            return Role.MEMBER
        return known

    def message(self, row: Row) -> Message:
        message_id, room_id, seq, author_id, name, text, created_us, attachments, key, edited_us, *more = row
        deleted_us, extras, display_name, avatar_url = more
        other = _NO_EXTRAS if extras is None else self._json("message", message_id, _extras_from, extras, _NO_EXTRAS)
        return Message(
            id=message_id,
            room_id=room_id,
            seq=seq,
            author_id=author_id,
            author_name=name or "",
            text=text,
            created_us=created_us,
            attachments=()
            if attachments is None
            else self._json("message", message_id, _attachments_from, attachments, ()),
            key=key,
            edited_us=edited_us,
            deleted_us=deleted_us,
            kind=other.kind,
            reply_to=other.reply_to,
            sealed=other.sealed,
            reactions=merged(other.reactions) if other.reactions else (),
            author_display_name=display_name,
            author_avatar_url=avatar_url,
        )

    def _json(self, what: str, row_id: int, decode: Callable[[str], T], text: str, instead: T) -> T:
        """What a column holds as JSON; `instead` when it is damaged."""
        try:
            return decode(text)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            self.report(what, row_id, f"{text!r:.100}: {error}")
            return instead

    def invitation(self, row: Row) -> Invitation:
        invitation_id, room_id, digest, created_by, created_us, expires_us, max_uses, uses, maker_role = row
        return Invitation(
            id=InvitationId(invitation_id),
            room_id=RoomId(room_id),
            digest=digest,
            created_by=UserId(created_by),
            created_us=created_us,
            expires_us=expires_us,
            max_uses=max_uses,
            uses=uses,
            maker_role=self._role("invitation", invitation_id, maker_role),
        )

    def ban(self, row: Row) -> Ban:
        ban_id, room_id, user_id, banned_by, created_us, username, display_name, avatar_url = row
        return Ban(
            id=BanId(ban_id),
            room_id=RoomId(room_id),
            user_id=UserId(user_id),
            banned_by=UserId(banned_by),
            created_us=created_us,
            username=username or "",
            display_name=display_name,
            avatar_url=avatar_url,
        )

    def file(self, row: Row) -> StoredFile:
        file_id, owner_id, room_id, name, mime_type, size_bytes, digest, blob, thumbnail, *more = row
        created_us, cleaned = more
        return StoredFile(
            id=FileId(file_id),
            owner_id=UserId(owner_id),
            room_id=None if room_id is None else RoomId(room_id),
            name=name,
            mime_type=mime_type,
            size_bytes=size_bytes,
            digest=digest,
            blob=blob,
            thumbnail=thumbnail,
            created_us=created_us,
            cleaned=bool(cleaned),
        )

    def summary(self, row: Row) -> Summary:
        summary_id, room_id, text, automatic, message_count, left_out, first_us, last_us, last_seq, *more = row
        participants, keywords, sentiment, language, created_us = more
        return Summary(
            id=SummaryId(summary_id),
            room_id=RoomId(room_id),
            text=text,
            automatic=bool(automatic),
            message_count=message_count,
            left_out=left_out,
            first_us=first_us,
            last_us=last_us,
            last_seq=last_seq,
            participants=self._json("summary", summary_id, _ids_from, participants, ()),
            keywords=self._json("summary", summary_id, _texts_from, keywords, ()),
            sentiment=sentiment,
            language=language,
            created_us=created_us,
        )

    def room_key(self, row: Row) -> RoomKey:
        room_id, version, sealed, created_us = row
        return RoomKey(room_id=RoomId(room_id), version=version, sealed=sealed, created_us=created_us)

    def member_key(self, row: Row) -> MemberKey:
        room_id, version, user_id, sealed, sealed_by, created_us = row
        return MemberKey(
            room_id=RoomId(room_id),
            version=version,
            user_id=UserId(user_id),
            sealed=sealed,
            sealed_by=UserId(sealed_by),
            created_us=created_us,
        )

    def deployment(self, row: Row) -> Deployment:
        deployment_id, created_us = row
        return Deployment(id=deployment_id, created_us=created_us)

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
