"""What a room keeps in memory, and how it is looked at and filled. The rules that change it build on this."""

import sys
from collections import deque
from itertools import islice

from msgspec.structs import replace

from chinwag.engine.model.access import with_equal_roles
from chinwag.engine.model.commands import (
    AcceptInvitation,
    AddMember,
    AddReaction,
    AdvanceReceipts,
    BanMember,
    DeleteMessage,
    EditMessage,
    ExpireTyping,
    JoinRoom,
    PostMessage,
    RemoveReaction,
    RoomCommand,
    UnbanMember,
)
from chinwag.engine.model.errors import NotAMember, NotFound, RoleNeeded
from chinwag.engine.model.events import Event, MemberAdded, RoomJoined, StatusAdvanced, TypingStopped
from chinwag.engine.model.ids import MessageId, NewId, UserId
from chinwag.engine.model.store import InsertMember, KeyedMessage, RoomSnapshot, Write
from chinwag.engine.model.values import (
    Ban,
    Invitation,
    Member,
    Message,
    MessageKind,
    Receipts,
    Record,
    Role,
    Room,
    Status,
    User,
    ViewedMessage,
    receipt_floor,
)

RECENT_MESSAGES = 200
"""How many of the newest messages a room keeps in memory: most retries, edits and receipts concern one of them."""


class Timer(Record):
    """A command that the room wants to be told after `after_s` seconds. A later one about the same user replaces it."""

    after_s: float
    command: ExpireTyping


class Outcome(Record):
    """What one command leads to. Events and answer may be released only after the writes are committed."""

    answer: object = None
    events: tuple[Event, ...] = ()
    writes: tuple[Write, ...] = ()
    timer: Timer | None = None

    def then(self, later: "Outcome") -> "Outcome":
        """`later` with this one's events and writes before its own."""
        return replace(later, events=self.events + later.events, writes=self.writes + later.writes)


class RoomMemory:
    """One room's members, receipts, typing users and newest messages."""

    def __init__(
        self,
        snapshot: RoomSnapshot,
        *,
        new_id: NewId,
        recent_messages: int = RECENT_MESSAGES,
        typing: dict[UserId, int] | None = None,
    ) -> None:
        """`new_id` gives ids that rise strictly over all rooms.

        `typing` is who is typing, since when: the one thing that the store does not know and a reload must not lose,
        or nobody would hear of their stopping. It is the caller's dictionary, changed in place.
        """
        self.room: Room = snapshot.room
        self.deleted = False
        self._new_id = new_id
        self._recent_limit = recent_messages
        self._members: dict[UserId, Member] = {
            member.user_id: member for member in with_equal_roles(snapshot.room, snapshot.members)
        }
        self._former: set[UserId] = set()
        self._pair = snapshot.room.pair
        self.incomplete = len(self._members) < len(self._pair)
        """True for a direct room that one of its two users has left, or both."""
        self._last_seq = snapshot.last_seq
        self._last_us = 0
        self._key = snapshot.key
        self._recent: dict[MessageId, Message] = {}
        self._recent_ids: deque[MessageId] = deque()
        """Its keys: to find a dictionary's first one takes longer, the more were taken out before it."""
        self._keys: dict[tuple[UserId, str], tuple[MessageId, bytes | None]] = {}
        self._recalled: dict[MessageId, Message | None] = {}
        self._invitations: dict[bytes, Invitation | None] = {}
        self._bans: dict[UserId, Ban | None] = {}
        self._absent: dict[UserId, Member | None] = {}
        """Who has left this direct room, as they would come back; None for who does not."""
        self._typing: dict[UserId, int] = {} if typing is None else typing
        self._receipts = self._derive_receipts()
        for keyed in snapshot.recent:
            message = keyed.message
            self._last_us = message.created_us
            if message.author_id not in self._members:
                self._former.add(message.author_id)
            self._remember(message, keyed.digest)

    # --- what the actor needs to know ---

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in the order of joining."""
        return tuple(self._members.values())

    @property
    def last_seq(self) -> int:
        """The newest message's sequence, 0 before the first."""
        return self._last_seq

    @property
    def receipts(self) -> Receipts:
        """How far everybody got; derives the status of every message."""
        return self._receipts

    def knows(self, user_id: UserId) -> bool:
        """Whether anything in memory may carry this user's name: a member, or who has written and left."""
        return user_id in self._members or user_id in self._former

    def page(self, viewer: UserId, *, skip: int, limit: int) -> list[ViewedMessage] | None:
        """A page of messages, newest first, leaving out the `skip` newest; None when it goes beyond what is in memory.

        Raises `NotFound` or `NotAMember`.
        """
        if self.deleted:
            raise NotFound("room")
        self._member(viewer)
        end = min(skip + limit, sys.maxsize)
        living = (message for message in reversed(self._recent.values()) if message.deleted_us is None)
        found = list(islice(living, min(skip, end), end))
        if len(found) < limit and len(self._recent) < self._last_seq:
            return None
        status_of = self._receipts.status_of
        return [ViewedMessage(message=message, status=status_of(message)) for message in found]

    def unknown_message(self, command: RoomCommand) -> MessageId | None:
        """The message that a command is about, when it is older than what is in memory: `recall` it first."""
        match command:
            case PostMessage():
                wanted = command.reply_to
                if wanted is None:
                    return None
            case EditMessage() | DeleteMessage() | AdvanceReceipts() | AddReaction() | RemoveReaction():
                wanted = command.message_id
            case _:
                return None
        return None if wanted in self._recent or wanted in self._recalled else wanted

    def lacks(self, command: RoomCommand) -> bool:
        """Whether something that a command is about has to be looked up first."""
        return (
            self.unknown_message(command) is not None
            or self.unknown_key(command) is not None
            or self.unknown_invitation(command) is not None
            or self.unknown_ban(command) is not None
            or bool(self.unknown_absent(command))
        )

    def recall(self, message_id: MessageId, message: Message | None) -> None:
        """Make an older message known until `end_turn`; None when the room has no such message."""
        self._recalled[message_id] = message

    def unknown_key(self, command: RoomCommand) -> tuple[UserId, str] | None:
        """Author and key of a post that has to be looked up before it is refused: `recall_key` what is found.

        What it replies to is gone, or its encryption key has changed. That is how a retry looks whose first message got
        through before.
        """
        if not isinstance(command, PostMessage) or command.key is None:
            return None
        if (command.author, command.key) in self._keys:
            return None
        sealed, reply_to = command.sealed, command.reply_to
        stale = sealed is not None and sealed.key_version not in (0, self._key.version)
        if reply_to is not None and not stale:
            target = self._recent.get(reply_to) or self._recalled.get(reply_to)
            stale = target is None or target.deleted_us is not None
        return (command.author, command.key) if stale else None

    def recall_key(self, keyed: KeyedMessage) -> None:
        """Make the first message under an old idempotency key known."""
        message = keyed.message
        if message.key is not None:
            self._recalled[message.id] = message
            self._keys[message.author_id, message.key] = (message.id, keyed.digest)

    def unknown_invitation(self, command: RoomCommand) -> bytes | None:
        """The digest of the invitation that a command is about: `recall_invitation` it first, once in a turn."""
        if not isinstance(command, AcceptInvitation) or command.digest in self._invitations:
            return None
        return command.digest

    def recall_invitation(self, digest: bytes, invitation: Invitation | None) -> None:
        """Make an invitation known, and its uses be counted, until `end_turn`; None when there is none."""
        self._invitations[digest] = invitation

    def unknown_ban(self, command: RoomCommand) -> UserId | None:
        """The user whose ban, or having none, matters to a command: `recall_ban` it first, once in a turn.

        A room may have more bans than fit into memory.
        """
        match command:
            case AddMember() | JoinRoom() | AcceptInvitation() | BanMember():
                user_id = command.user.id
            case UnbanMember():
                user_id = command.user_id
            case _:
                return None
        return None if user_id in self._bans else user_id

    def recall_ban(self, user_id: UserId, ban: Ban | None) -> None:
        """Make known whether a user is banned, until `end_turn`."""
        self._bans[user_id] = ban

    def unknown_absent(self, command: RoomCommand) -> tuple[UserId, ...]:
        """Who a message brings back into a direct room: `recall_absent` them first, once in a turn."""
        if not self.incomplete or not isinstance(command, PostMessage) or command.author not in self._pair:
            return ()
        return tuple(each for each in self._pair if each not in self._members and each not in self._absent)

    def recall_absent(self, user_id: UserId, user: User | None) -> None:
        """Make known, until `end_turn`, as whom somebody would come back. Who was deactivated does not."""
        self._absent[user_id] = new_member(user, Role.MEMBER, 0) if user is not None and user.active else None

    def end_turn(self) -> None:
        """Let go of what was recalled for the turn, and of the oldest messages. Up to here they are known, since one of
        its commands may be about them."""
        for _ in range(len(self._recent) - self._recent_limit):
            oldest = self._recent.pop(self._recent_ids.popleft())
            if oldest.key is not None:
                self._keys.pop((oldest.author_id, oldest.key), None)
        if self._recalled:
            for message in self._recalled.values():
                if message is not None and message.key is not None and message.id not in self._recent:
                    self._keys.pop((message.author_id, message.key), None)
            self._recalled.clear()
        if self._invitations or self._bans or self._absent:
            self._invitations.clear()
            self._bans.clear()
            self._absent.clear()

    # --- for the rules ---

    def _member(self, user_id: UserId) -> Member:
        member = self._members.get(user_id)
        if member is None:
            raise NotAMember
        return member

    def _member_with(self, user_id: UserId, least: Role, message: str) -> Member:
        """A member who has at least this role; `message` says to others that they need it."""
        member = self._member(user_id)
        if member.role < least:
            raise RoleNeeded(least.name, message)
        return member

    def _enter(self, member: Member) -> Outcome:
        """Let somebody in."""
        self._members[member.user_id] = member
        self._former.discard(member.user_id)
        self.incomplete = len(self._members) < len(self._pair)
        self._receipts = self._derive_receipts()
        return Outcome(
            answer=member,
            events=(
                MemberAdded(room_id=self.room.id, member=member),
                RoomJoined(room_id=self.room.id, user_id=member.user_id, room=self.room),
            ),
            writes=(InsertMember(room_id=self.room.id, member=member),),
        )

    def _leave(self, member: Member) -> None:
        """Take somebody out."""
        del self._members[member.user_id]
        self._former.add(member.user_id)
        self.incomplete = len(self._members) < len(self._pair)
        if self._pair:
            self._absent[member.user_id] = member

    def _end_typing(self, member: Member) -> tuple[Event, ...]:
        """Let somebody count as not typing any more; tells the others, if they thought so."""
        if self._typing.pop(member.user_id, None) is None:
            return ()
        return (TypingStopped(room_id=self.room.id, user_id=member.user_id, username=member.username),)

    def _message(self, message_id: MessageId) -> Message:
        message = self._recent.get(message_id) or self._recalled.get(message_id)
        if message is None:
            raise NotFound("message")
        return message

    def _living_message(self, message_id: MessageId) -> Message:
        message = self._message(message_id)
        if message.deleted_us is not None:
            raise NotFound("message")
        return message

    def _next_time(self, now_us: int) -> int:
        """When the next message counts as made: later than the one before, whatever the clock says."""
        self._last_us = now_us if now_us > self._last_us else self._last_us + 1
        return self._last_us

    def _announcement(self, member: Member, text: str, now_us: int) -> Message:
        """A new SYSTEM message about a member, remembered like any other."""
        self._last_seq += 1
        message = Message(
            id=MessageId(self._new_id(now_us)),
            room_id=self.room.id,
            seq=self._last_seq,
            author_id=member.user_id,
            author_name=member.username,
            text=text,
            created_us=self._next_time(now_us),
            kind=MessageKind.SYSTEM,
            author_display_name=member.display_name,
            author_avatar_url=member.avatar_url,
        )
        self._remember(message, None)
        return message

    def _put_back(self, message: Message) -> None:
        if message.id in self._recent:
            self._recent[message.id] = message
        else:
            self._recalled[message.id] = message

    def _remember(self, message: Message, digest: bytes | None) -> None:
        """Add a message to the recent ones, which may be more than their limit until the turn ends."""
        self._recent[message.id] = message
        self._recent_ids.append(message.id)
        if message.key is not None:
            self._keys[message.author_id, message.key] = (message.id, digest)

    def _show_profile(self, user: User) -> None:
        """Let the messages in memory carry their author's present names and avatar."""
        for message in (*self._recent.values(), *self._recalled.values()):
            if message is not None and message.author_id == user.id:
                self._put_back(
                    replace(message, author_display_name=user.display_name, author_avatar_url=user.avatar_url)
                )

    def _derive_receipts(self) -> Receipts:
        members = self._members.values()
        return Receipts(
            delivered=receipt_floor([(member.delivered_seq, member.user_id) for member in members]),
            read=receipt_floor([(member.read_seq, member.user_id) for member in members]),
        )

    def _status_events(self) -> tuple[Event, ...]:
        """Derive the receipts anew, and tell the authors of messages in memory whose status has risen."""
        before, after = self._receipts, self._derive_receipts()
        if before == after:
            return ()
        self._receipts = after
        events: list[Event] = []
        for message in self._recent.values():
            status = after.status_of(message)
            if message.deleted_us is None and status > before.status_of(message) and status is not Status.SENT:
                events.append(
                    StatusAdvanced(
                        room_id=self.room.id, author_id=message.author_id, message_id=message.id, status=status
                    )
                )
        return tuple(events)


def new_member(user: User, role: Role, joined_us: int) -> Member:
    """A user's place at the start of a room."""
    return Member(
        user_id=user.id,
        username=user.username,
        role=role,
        joined_us=joined_us,
        display_name=user.display_name,
        avatar_url=user.avatar_url,
    )
