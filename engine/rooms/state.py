"""The rules of a room, without waiting, tasks or storage.

`RoomState.handle` takes one command and returns what follows from it: the answer, the events, the rows to write. It
changes the state as it goes; when the writes cannot be committed, the state is thrown away and loaded again. Sequences
have no holes, times of messages rise strictly, watermarks only rise, and a retry under an idempotency key changes
nothing. What is in memory is in `rooms.memory`; the rules are in `message_rules`, `member_rules`, `admission_rules` and
`direct_rules`.
"""

from typing import assert_never

from chinwag.engine.model.commands import (
    AcceptInvitation,
    AddMember,
    AddReaction,
    AdvanceReceipts,
    BanMember,
    CreateInvitation,
    DeleteMessage,
    DeleteRoom,
    EditMessage,
    ExpireTyping,
    JoinRoom,
    PostMessage,
    RemoveMember,
    RemoveReaction,
    RestoreMember,
    RevokeInvitation,
    RoomCommand,
    SetMemberRole,
    StartTyping,
    StopTyping,
    Typing,
    UnbanMember,
    UpdateProfile,
    UpdateRoom,
)
from chinwag.engine.model.errors import NotFound
from chinwag.engine.model.events import TypingStarted
from chinwag.engine.rooms.admission_rules import AdmissionRules
from chinwag.engine.rooms.memory import Outcome, Timer
from chinwag.engine.rooms.message_rules import MessageRules

TYPING_TTL_S = 6.0
"""Silence after which a typing user counts as having stopped."""


class RoomState(MessageRules, AdmissionRules):
    """One room: what it remembers, and what it may be asked."""

    def handle(self, command: RoomCommand, now_us: int) -> Outcome:
        """Apply one command. Raises `Refused` errors, in which case nothing has changed."""
        if self.deleted:
            raise NotFound("room")
        match command:
            case PostMessage():
                return self._post(command, now_us)
            case AdvanceReceipts():
                return self._advance_receipts(command, now_us)
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
            case AddReaction():
                return self._add_reaction(command, now_us)
            case RemoveReaction():
                return self._remove_reaction(command)
            case AddMember():
                return self._add_member(command, now_us)
            case JoinRoom():
                return self._join(command, now_us)
            case CreateInvitation():
                return self._create_invitation(command, now_us)
            case RevokeInvitation():
                return self._revoke_invitation(command)
            case AcceptInvitation():
                return self._accept_invitation(command, now_us)
            case UpdateRoom():
                return self._update_room(command, now_us)
            case SetMemberRole():
                return self._set_member_role(command)
            case UpdateProfile():
                return self._update_profile(command)
            case RestoreMember():
                return self._restore_member(command, now_us)
            case RemoveMember():
                return self._remove_member(command, now_us)
            case BanMember():
                return self._ban(command, now_us)
            case UnbanMember():
                return self._unban(command)
            case DeleteRoom():
                return self._delete_room(command, now_us)
            case _:
                assert_never(command)

    def _start_typing(self, command: StartTyping, now_us: int) -> Outcome:
        member = self._member(command.user_id)
        self._typing[member.user_id] = now_us
        return Outcome(
            answer=Typing(user_id=member.user_id),
            events=(TypingStarted(room_id=self.room.id, user_id=member.user_id, username=member.username),),
            timer=Timer(after_s=TYPING_TTL_S, command=ExpireTyping(user_id=member.user_id, started_us=now_us)),
        )

    def _stop_typing(self, command: StopTyping) -> Outcome:
        return Outcome(events=self._end_typing(self._member(command.user_id)))

    def _expire_typing(self, command: ExpireTyping) -> Outcome:
        if self._typing.get(command.user_id) != command.started_us or command.user_id not in self._members:
            return Outcome()
        return self._stop_typing(StopTyping(user_id=command.user_id))
