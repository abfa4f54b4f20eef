"""Short ways to make the engine's values, for tests. `testing` has them too."""

from chinwag.engine.model.ids import BanId, FileId, InvitationId, MessageId, RoomId, SummaryId, UserId
from chinwag.engine.model.values import (
    Attachment,
    Ban,
    Invitation,
    KeyCustody,
    Member,
    Message,
    MessageKind,
    Reaction,
    Role,
    Room,
    RoomKind,
    Sealed,
    StoredFile,
    Summary,
    User,
)


def make_user(
    user_id: int,
    username: str = "",
    *,
    email: str | None = None,
    display_name: str | None = None,
    avatar_url: str | None = None,
) -> User:
    """A user, made at the microsecond of its id; without a name it is called "user-ID"."""
    return User(
        id=UserId(user_id),
        username=username or f"user-{user_id}",
        email=email,
        created_us=user_id,
        display_name=display_name,
        avatar_url=avatar_url,
    )


def make_room(
    room_id: int,
    created_by: int,
    *,
    name: str = "",
    direct_key: str | None = None,
    private: bool = True,
    max_members: int | None = None,
    custody: KeyCustody = KeyCustody.CLIENT,
    announces: bool = False,
) -> Room:
    """A group named "room-ID", or a direct room when it has a key."""
    return Room(
        id=RoomId(room_id),
        kind=RoomKind.GROUP if direct_key is None else RoomKind.DIRECT,
        name=name or f"room-{room_id}",
        description="",
        created_by=UserId(created_by),
        created_us=room_id,
        direct_key=direct_key,
        private=private,
        max_members=max_members,
        custody=custody,
        announces=announces,
    )


def make_member(user_id: int, *, role: Role = Role.MEMBER, joined_us: int = 1) -> Member:
    """A member at the start of a room. (The store fills in the names.)"""
    return Member(user_id=UserId(user_id), username="", role=role, joined_us=joined_us)


def make_message(
    message_id: int,
    room_id: int,
    seq: int,
    author_id: int,
    text: str = "hello",
    *,
    key: str | None = None,
    attachments: tuple[Attachment, ...] = (),
    kind: MessageKind = MessageKind.TEXT,
    reply_to: int | None = None,
    sealed: Sealed | None = None,
    reactions: tuple[Reaction, ...] = (),
) -> Message:
    """A message, made at the microsecond of its id. (The store fills in the author's names.)"""
    return Message(
        id=MessageId(message_id),
        room_id=RoomId(room_id),
        seq=seq,
        author_id=UserId(author_id),
        author_name="",
        text=text,
        created_us=message_id,
        key=key,
        attachments=attachments,
        kind=kind,
        reply_to=None if reply_to is None else MessageId(reply_to),
        sealed=sealed,
        reactions=reactions,
    )


def make_invitation(
    invitation_id: int,
    room_id: int,
    created_by: int,
    *,
    digest: bytes = b"",
    max_uses: int = 1,
    uses: int = 0,
    maker_role: Role = Role.MEMBER,
) -> Invitation:
    """An invitation, made at the microsecond of its id and good for a second; its digest is made of the id."""
    return Invitation(
        id=InvitationId(invitation_id),
        room_id=RoomId(room_id),
        digest=digest or f"invitation-{invitation_id}".encode(),
        created_by=UserId(created_by),
        created_us=invitation_id,
        expires_us=invitation_id + 1_000_000,
        max_uses=max_uses,
        uses=uses,
        maker_role=maker_role,
    )


def make_ban(ban_id: int, room_id: int, user_id: int, banned_by: int) -> Ban:
    """A ban, made at the microsecond of its id. (The store fills in the names.)"""
    return Ban(
        id=BanId(ban_id),
        room_id=RoomId(room_id),
        user_id=UserId(user_id),
        banned_by=UserId(banned_by),
        created_us=ban_id,
    )


def make_file(file_id: int, owner_id: int, room_id: int | None, *, thumbnail: str | None = None) -> StoredFile:
    """A text file of three bytes, named "file-ID", made at the microsecond of its id."""
    return StoredFile(
        id=FileId(file_id),
        owner_id=UserId(owner_id),
        room_id=None if room_id is None else RoomId(room_id),
        name=f"file-{file_id}.txt",
        mime_type="text/plain",
        size_bytes=3,
        digest=b"d" * 32,
        blob=f"blob-{file_id}",
        thumbnail=thumbnail,
        created_us=file_id,
    )


def make_summary(summary_id: int, room_id: int, *, first_us: int, last_us: int, automatic: bool = True) -> Summary:
    """A summary of two messages, made at the microsecond of its id."""
    return Summary(
        id=SummaryId(summary_id),
        room_id=RoomId(room_id),
        text=f"summary {summary_id}",
        automatic=automatic,
        message_count=2,
        left_out=1,
        first_us=first_us,
        last_us=last_us,
        last_seq=2,
        participants=(UserId(1), UserId(2)),
        keywords=("tea", "ü"),
        sentiment=-0.25,
        language="en",
        created_us=summary_id,
    )
