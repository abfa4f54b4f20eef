"""What a room can be asked to do. Imperative, and in the engine's own words: no front's field names."""

from chinwag.engine.model.ids import MessageId, UserId
from chinwag.engine.model.values import (
    Attachment,
    Invitation,
    Message,
    MessageKind,
    Receipts,
    Record,
    Role,
    RoomKey,
    Sealed,
    User,
)


class PostMessage(Record):
    """Answered with `Posted`. `key` makes a retry safe; `digest` (16 bytes) tells other content under the same key.

    In a direct room it brings back whoever has left, its author too.
    """

    author: UserId
    text: str
    attachments: tuple[Attachment, ...] = ()
    key: str | None = None
    digest: bytes | None = None
    kind: MessageKind = MessageKind.TEXT
    reply_to: MessageId | None = None
    sealed: Sealed | None = None


class EditMessage(Record):
    """Answered with `Posted`. Only the author may, and not of a SYSTEM message."""

    caller: UserId
    message_id: MessageId
    text: str
    sealed: Sealed | None = None


class AddReaction(Record):
    """Answered with `Posted`. Twice is no error, and changes nothing."""

    caller: UserId
    message_id: MessageId
    emoji: str


class RemoveReaction(Record):
    """Answered with `Posted`. `NotFound("reaction")` when the caller has no such reaction there."""

    caller: UserId
    message_id: MessageId
    emoji: str


class DeleteMessage(Record):
    """The author may, and a MODERATOR; of a SYSTEM message only a MODERATOR."""

    caller: UserId
    message_id: MessageId


class AddMember(Record):
    """Answered with the new `Member`. Only an ADMIN may. Lifts the user's ban."""

    caller: UserId
    user: User
    role: Role


class JoinRoom(Record):
    """A user joins a group that is not private. Answered with the `Member`; no-op when present. `Banned` for who is."""

    user: User


class CreateInvitation(Record):
    """Any member may invite to an open group, a MODERATOR to a private one. Answered with the `Invitation`, good for
    `lifetime_us` from now."""

    caller: UserId
    digest: bytes
    max_uses: int
    lifetime_us: int


class RevokeInvitation(Record):
    """Its maker may, and a MODERATOR. `invitation` as it was found in the store."""

    caller: UserId
    invitation: Invitation


class AcceptInvitation(Record):
    """A user joins by an invitation's code. Answered with the `Member`; who is a member already uses nothing up.

    `NotFound("invitation")` for one that is unknown, expired, used up, revoked, or whose maker may not invite any more:
    they all look the same to a stranger. `Banned` for who is, unless a MODERATOR made the invitation after the ban.
    """

    user: User
    digest: bytes


class UpdateRoom(Record):
    """A MODERATOR may. None leaves a setting as it is. Answered with the `Room`."""

    caller: UserId
    name: str | None = None
    description: str | None = None
    private: bool | None = None
    max_members: int | None = None
    auto_summary: bool | None = None
    summary_threshold: int | None = None


class SetMemberRole(Record):
    """Only the OWNER may, and not of themselves. OWNER makes the old one a MODERATOR. Answered with the `Member`."""

    caller: UserId
    user_id: UserId
    role: Role


class UpdateProfile(Record):
    """A member's names or avatar have changed; the engine sends it to rooms that are awake. No-op for strangers."""

    user: User


class RestoreMember(Record):
    """Put one of a direct room's two users back after they left; the engine sends it, no caller. No-op when present.
    `Forbidden` in a group."""

    user: User


class RemoveMember(Record):
    """Anyone may leave; an ADMIN removes anybody else, a MODERATOR plain members. Who is removed is banned, who leaves
    is not. The OWNER's leaving hands ownership on to the highest role, and of several to who has been there longest."""

    caller: UserId
    user_id: UserId
    next_key: RoomKey | None = None
    """In server custody, the key of the version after the newest. `Conflict("room_key")` for any other version."""


class BanMember(Record):
    """A MODERATOR keeps somebody of a lower role, or who is no member, out of a group; a member is removed by it.

    Answered with the `Ban`. Who is banned already is banned anew: invitations from before do not count any more.
    """

    caller: UserId
    user: User
    next_key: RoomKey | None = None
    """As in `RemoveMember`; not used when the user is no member."""


class UnbanMember(Record):
    """A MODERATOR may. `NotFound("ban")` for who is not banned."""

    caller: UserId
    user_id: UserId


class DeleteRoom(Record):
    """Only who has the role `least` may. The room's actor stops afterwards. Of a direct room the caller leaves, and it
    stays. Answered with whether it is deleted."""

    caller: UserId
    least: Role = Role.ADMIN


class AdvanceReceipts(Record):
    """The caller got (and, with `read`, read) everything up to and including a message, which may be deleted by now.
    Answered with None."""

    caller: UserId
    message_id: MessageId
    read: bool


class StartTyping(Record):
    """Ephemeral: relayed to the others. Ends with the user's next message, their departure, `StopTyping`, or by the
    room's own timer. Answered with `Typing`."""

    user_id: UserId


class StopTyping(Record):
    """No-op when the user is not typing."""

    user_id: UserId


class ExpireTyping(Record):
    """The room's timer tells itself this; `started_us` is the StartTyping it belongs to."""

    user_id: UserId
    started_us: int


RoomCommand = (
    PostMessage
    | EditMessage
    | DeleteMessage
    | AddReaction
    | RemoveReaction
    | AddMember
    | JoinRoom
    | CreateInvitation
    | RevokeInvitation
    | AcceptInvitation
    | UpdateRoom
    | SetMemberRole
    | UpdateProfile
    | RestoreMember
    | RemoveMember
    | BanMember
    | UnbanMember
    | DeleteRoom
    | AdvanceReceipts
    | StartTyping
    | StopTyping
    | ExpireTyping
)


class Posted(Record):
    """`is_retry` tells that this is the first message under the key again, and nothing was stored or sent."""

    message: Message
    receipts: Receipts
    is_retry: bool = False


class Typing(Record):
    """The answer to `StartTyping`: the others have been told."""

    user_id: UserId
