"""The rules of a room, without waiting, tasks or storage.

`RoomState.handle` takes one command and returns what follows from it: the answer, the events, the rows to write. It
changes the state as it goes; when the writes cannot be committed, the state is thrown away and loaded again. Sequences
have no holes, watermarks only rise, and a retry under an idempotency key changes nothing.
"""

import sys
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import assert_never

from msgspec.structs import replace

from chinwag.engine.commands import (
    AddMember,
    AdvanceReceipts,
    DeleteMessage,
    DeleteRoom,
    EditMessage,
    ExpireTyping,
    Posted,
    PostMessage,
    RemoveMember,
    RestoreMember,
    RoomCommand,
    StartTyping,
    StopTyping,
)
from chinwag.engine.errors import Conflict, Forbidden, Invalid, NotFound
from chinwag.engine.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    RoleChanged,
    RoomDeleted,
    RoomJoined,
    RoomLeft,
    StatusAdvanced,
    TypingStarted,
    TypingStopped,
)
from chinwag.engine.ids import MessageId, UserId
from chinwag.engine.model import (
    Member,
    Message,
    Receipts,
    Record,
    Role,
    Room,
    RoomKind,
    Status,
    ViewedMessage,
    receipt_floor,
)
from chinwag.engine.store import (
    DeleteMember,
    InsertMember,
    InsertMessage,
    KeyedMessage,
    RoomSnapshot,
    SetRole,
    SetWatermarks,
    UpdateMessageText,
    Write,
)
from chinwag.engine.store import DeleteMessage as DeleteMessageRow
from chinwag.engine.store import DeleteRoom as DeleteRoomRows

RECENT_MESSAGES = 200
"""How many of the newest messages a room keeps in memory: most retries, edits and receipts concern one of them."""
TYPING_TTL_S = 6.0
"""Silence after which a typing user counts as having stopped."""


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


class RoomState:
    """One room's members, receipts, typing users and newest messages."""

    def __init__(
        self,
        snapshot: RoomSnapshot,
        *,
        new_id: Callable[[], int],
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
        self._members: dict[UserId, Member] = {member.user_id: member for member in snapshot.members}
        self._last_seq = snapshot.last_seq
        self._recent: dict[MessageId, Message] = {}
        self._recent_ids: deque[MessageId] = deque()
        """Its keys: to find a dictionary's first one takes longer, the more were taken out before it."""
        self._keys: dict[tuple[UserId, str], tuple[MessageId, bytes | None]] = {}
        self._recalled: dict[MessageId, Message | None] = {}
        self._typing: dict[UserId, int] = {} if typing is None else typing
        self._receipts = self._derive_receipts()
        for keyed in snapshot.recent:
            self._remember(keyed.message, keyed.digest)

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

    def page(self, viewer: UserId, *, skip: int, limit: int) -> list[ViewedMessage] | None:
        """A page of messages, newest first, leaving out the `skip` newest; None when it goes beyond what is in memory.

        Raises `NotFound` or `Forbidden`.
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
        if type(command) is PostMessage:  # nearly all, and no `match` is as quick
            return None
        match command:
            case EditMessage() | DeleteMessage() | AdvanceReceipts():
                wanted = command.message_id
                return None if wanted in self._recent or wanted in self._recalled else wanted
            case _:
                return None

    def recall(self, message_id: MessageId, message: Message | None) -> None:
        """Make an older message known until `forget_recalled`; None when the room has no such message."""
        self._recalled[message_id] = message

    def recall_key(self, keyed: KeyedMessage) -> None:
        """Make the first message under an old idempotency key known."""
        message = keyed.message
        if message.key is not None:
            self._recalled[message.id] = message
            self._keys[message.author_id, message.key] = (message.id, keyed.digest)

    def forget_recalled(self) -> None:
        """Let go of what was recalled for a turn, and of what it pushed out of memory."""
        for message in self._recalled.values():
            if message is not None and message.key is not None and message.id not in self._recent:
                self._keys.pop((message.author_id, message.key), None)
        self._recalled.clear()

    # --- the rules ---

    def handle(self, command: RoomCommand, now_us: int) -> Outcome:
        """Apply one command. Raises `Refused` errors, in which case nothing has changed."""
        if self.deleted:
            raise NotFound("room")
        match command:
            case PostMessage():
                return self._post(command, now_us)
            case AdvanceReceipts():
                return self._advance_receipts(command)
            case StartTyping():
                return self._start_typing(command, now_us)
            case StopTyping():
                return self._stop_typing(command)
            case ExpireTyping():
                return self._expire_typing(command)
            case EditMessage():
                return self._edit(command, now_us)
            case DeleteMessage():
                return self._delete(command, now_us)
            case AddMember():
                return self._add_member(command, now_us)
            case RestoreMember():
                return self._restore_member(command, now_us)
            case RemoveMember():
                return self._remove_member(command)
            case DeleteRoom():
                return self._delete_room(command)
            case _:
                assert_never(command)

    def _post(self, command: PostMessage, now_us: int) -> Outcome:
        author = self._member(command.author)
        if command.key is not None:
            first = self._keys.get((command.author, command.key))
            if first is not None:
                return self._repeat(command, *first)
        self._last_seq += 1
        message = Message(
            id=MessageId(self._new_id()),
            room_id=self.room.id,
            seq=self._last_seq,
            author_id=command.author,
            author_name=author.username,
            text=command.text,
            created_us=now_us,
            attachments=command.attachments,
            key=command.key,
        )
        self._remember(message, command.digest)
        return Outcome(
            answer=Posted(message=message, receipts=self._receipts),
            events=(MessagePosted(room_id=self.room.id, message=message),),
            writes=(InsertMessage(message=message, digest=command.digest),),
        )

    def _repeat(self, command: PostMessage, message_id: MessageId, digest: bytes | None) -> Outcome:
        if digest != command.digest:
            raise Conflict("idempotency_key", "this idempotency key was used for another message")
        message = self._message(message_id)
        return Outcome(answer=Posted(message=message, receipts=self._receipts, is_retry=True))

    def _edit(self, command: EditMessage, now_us: int) -> Outcome:
        self._member(command.caller)
        message = self._living_message(command.message_id)
        if message.author_id != command.caller:
            raise Forbidden("only the author may edit a message")
        # Strictly later than the creation, so that readers can tell an edited message by its times alone.
        edited = replace(message, text=command.text, edited_us=max(now_us, message.created_us + 1))
        self._put_back(edited)
        status = self._receipts.status_of(edited)
        return Outcome(
            answer=Posted(message=edited, receipts=self._receipts),
            events=(MessageEdited(room_id=self.room.id, message=edited, status=status),),
            writes=(
                UpdateMessageText(
                    room_id=self.room.id,
                    message_id=edited.id,
                    text=edited.text,
                    edited_us=edited.edited_us or now_us,
                ),
            ),
        )

    def _delete(self, command: DeleteMessage, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        message = self._living_message(command.message_id)
        if message.author_id != command.caller and caller.role < Role.ADMIN:
            raise Forbidden("only the author or an admin may delete a message")
        self._put_back(replace(message, text="", attachments=(), deleted_us=now_us))
        return Outcome(
            events=(
                MessageDeleted(
                    room_id=self.room.id, message_id=message.id, author_id=message.author_id, seq=message.seq
                ),
            ),
            writes=(DeleteMessageRow(room_id=self.room.id, message_id=message.id, deleted_us=now_us),),
        )

    def _advance_receipts(self, command: AdvanceReceipts) -> Outcome:
        member = self._member(command.caller)
        seq = self._living_message(command.message_id).seq
        delivered = max(member.delivered_seq, seq)
        read = max(member.read_seq, seq) if command.read else member.read_seq
        if (delivered, read) == (member.delivered_seq, member.read_seq):
            return Outcome()
        self._members[member.user_id] = replace(member, delivered_seq=delivered, read_seq=read)
        write = SetWatermarks(room_id=self.room.id, user_id=member.user_id, delivered_seq=delivered, read_seq=read)
        before = self._receipts
        held_back = member.delivered_seq <= max(
            before.delivered.lowest, before.delivered.second
        ) or member.read_seq <= max(
            before.read.lowest, before.read.second
        )  # who was not among the last two of a floor cannot move it
        return Outcome(events=self._status_events() if held_back else (), writes=(write,))

    def _start_typing(self, command: StartTyping, now_us: int) -> Outcome:
        member = self._member(command.user_id)
        self._typing[member.user_id] = now_us
        return Outcome(
            events=(TypingStarted(room_id=self.room.id, user_id=member.user_id, username=member.username),),
            timer=Timer(after_s=TYPING_TTL_S, command=ExpireTyping(user_id=member.user_id, started_us=now_us)),
        )

    def _stop_typing(self, command: StopTyping) -> Outcome:
        member = self._member(command.user_id)
        self._typing.pop(member.user_id, None)
        return Outcome(events=(TypingStopped(room_id=self.room.id, user_id=member.user_id, username=member.username),))

    def _expire_typing(self, command: ExpireTyping) -> Outcome:
        if self._typing.get(command.user_id) != command.started_us or command.user_id not in self._members:
            return Outcome()
        return self._stop_typing(StopTyping(user_id=command.user_id))

    def _add_member(self, command: AddMember, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        if self.room.kind is RoomKind.DIRECT:
            raise Invalid("room_id", "a direct room has exactly two members")
        if caller.role < Role.ADMIN:
            raise Forbidden("only an admin may add members")
        if command.user_id in self._members:
            raise Conflict("member", "already a member")
        return self._admit(command.user_id, command.username, command.role, now_us)

    def _restore_member(self, command: RestoreMember, now_us: int) -> Outcome:
        if command.user_id in self._members:
            return Outcome(answer=self._members[command.user_id])
        return self._admit(command.user_id, command.username, Role.MEMBER, now_us)

    def _admit(self, user_id: UserId, username: str, role: Role, now_us: int) -> Outcome:
        # Nobody's joining changes any status: what all others have read stays READ, what they have not stays SENT, and
        # needs the newcomer's receipt too.
        member = Member(
            user_id=user_id,
            username=username,
            role=role,
            joined_us=now_us,
            delivered_seq=self._receipts.delivered.reached_by_others,
            read_seq=self._receipts.read.reached_by_others,
        )
        self._members[user_id] = member
        self._receipts = self._derive_receipts()
        return Outcome(
            answer=member,
            events=(
                MemberAdded(room_id=self.room.id, member=member),
                RoomJoined(room_id=self.room.id, user_id=user_id, room=self.room),
            ),
            writes=(InsertMember(room_id=self.room.id, member=member),),
        )

    def _remove_member(self, command: RemoveMember) -> Outcome:
        caller = self._member(command.caller)
        if command.caller != command.user_id:
            if self.room.kind is RoomKind.DIRECT:
                raise Forbidden("nobody is removed from a direct room")
            if caller.role < Role.ADMIN:
                raise Forbidden("only an admin may remove members")
        leaver = self._members.get(command.user_id)
        if leaver is None:
            raise NotFound("member")
        del self._members[leaver.user_id]
        self._typing.pop(leaver.user_id, None)
        events: list[Event] = [
            MemberRemoved(room_id=self.room.id, user_id=leaver.user_id, username=leaver.username),
            RoomLeft(room_id=self.room.id, user_id=leaver.user_id),
        ]
        writes: list[Write] = [DeleteMember(room_id=self.room.id, user_id=leaver.user_id)]
        heir = self._heir_of(leaver)
        if heir is not None:
            self._members[heir.user_id] = replace(heir, role=leaver.role)
            events.append(RoleChanged(room_id=self.room.id, user_id=heir.user_id, role=leaver.role))
            writes.append(SetRole(room_id=self.room.id, user_id=heir.user_id, role=leaver.role))
        events.extend(self._status_events())
        return Outcome(events=tuple(events), writes=tuple(writes))

    def _heir_of(self, leaver: Member) -> Member | None:
        """Who takes over when the last admin leaves: the member who has been there longest."""
        if leaver.role < Role.ADMIN or any(member.role >= Role.ADMIN for member in self._members.values()):
            return None
        return min(self._members.values(), key=lambda member: (member.joined_us, member.user_id), default=None)

    def _delete_room(self, command: DeleteRoom) -> Outcome:
        caller = self._member(command.caller)
        if caller.role < Role.ADMIN:
            raise Forbidden("only an admin may delete the room")
        self.deleted = True
        room_id = self.room.id
        left = tuple(RoomLeft(room_id=room_id, user_id=member.user_id) for member in self._members.values())
        return Outcome(events=(*left, RoomDeleted(room_id=room_id)), writes=(DeleteRoomRows(room_id=room_id),))

    # --- pieces ---

    def _member(self, user_id: UserId) -> Member:
        member = self._members.get(user_id)
        if member is None:
            raise Forbidden("not a member of this room")
        return member

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

    def _put_back(self, message: Message) -> None:
        if message.id in self._recent:
            self._recent[message.id] = message
        else:
            self._recalled[message.id] = message

    def _remember(self, message: Message, digest: bytes | None) -> None:
        self._recent[message.id] = message
        self._recent_ids.append(message.id)
        if message.key is not None:
            self._keys[message.author_id, message.key] = (message.id, digest)
        if len(self._recent) > self._recent_limit:
            # Known to the end of the turn, since a later command of the same turn may be about it.
            oldest = self._recent.pop(self._recent_ids.popleft())
            self._recalled[oldest.id] = oldest

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
