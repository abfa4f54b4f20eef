"""The rules of a room, one by one."""

from typing import Any

import pytest
from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AddMember,
    AddReaction,
    AdvanceReceipts,
    BanMember,
    CreateInvitation,
    DeleteMessage,
    DeleteRoom,
    EditMessage,
    ExpireTyping,
    Posted,
    PostMessage,
    RemoveMember,
    RemoveReaction,
    RevokeInvitation,
    RoomCommand,
    SetMemberRole,
    StartTyping,
    StopTyping,
    UnbanMember,
    UpdateRoom,
)
from chinwag.engine.model.errors import Conflict, Forbidden, NotAMember, NotFound
from chinwag.engine.model.events import (
    MemberAdded,
    MemberRemoved,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    RoleChanged,
    RoomDeleted,
    RoomJoined,
    RoomLeft,
    TypingStarted,
    TypingStopped,
)
from chinwag.engine.model.ids import MessageId, UserId
from chinwag.engine.model.store import (
    DeleteMember,
    InsertMember,
    InsertMessage,
    KeyedMessage,
    SetRole,
    SetWatermarks,
    UpdateMessage,
)
from chinwag.engine.model.store_admissions import EndInvitationsOf, PutBan
from chinwag.engine.model.values import Attachment, Member, Role, Status
from chinwag.engine.rooms.memory import Outcome
from chinwag.engine.rooms.state import TYPING_TTL_S
from chinwag.engine.testing import make_user as user
from tests.engine.rooms.states import (
    ANN,
    BOB,
    CID,
    CODE,
    EVE,
    NOW,
    ROOM,
    invitation,
    kinds,
    post,
    refused,
    state_of,
    statuses,
    view,
)

# --- messages ---


def test_posts_are_numbered_from_one_without_holes_and_stored_as_announced() -> None:
    state = state_of()
    for n in range(1, 4):
        outcome = state.handle(PostMessage(author=BOB, text=f"{n}"), NOW + n)
        assert isinstance(outcome.answer, Posted)
        message = outcome.answer.message
        assert (message.seq, message.text, message.author_id, message.author_name) == (n, f"{n}", BOB, "u2")
        assert message.created_us == NOW + n
        assert (message.author_display_name, message.author_avatar_url) == (None, None)
        assert outcome.events == (MessagePosted(room_id=ROOM, message=message),)
        assert outcome.writes == (InsertMessage(message=message, digest=None),)
    assert state.last_seq == 3


def test_attachments_travel_with_the_message_and_go_with_its_deletion() -> None:
    state = state_of()
    file = Attachment(url="https://x/a.png", mime_type="image/png", size_bytes=3)
    answer = state.handle(PostMessage(author=ANN, text="", attachments=(file,)), NOW).answer
    assert isinstance(answer, Posted)
    assert answer.message.attachments == (file,)
    state.handle(DeleteMessage(caller=ANN, message_id=answer.message.id), NOW)
    assert state._recent[answer.message.id].attachments == ()


def test_a_retry_answers_with_the_first_message_and_changes_nothing() -> None:
    state = state_of()
    first = post(state, key="k", text="hello")
    before = view(state)
    outcome = state.handle(PostMessage(author=ANN, text="hello", key="k", digest=b"hello"), NOW + 5)
    assert isinstance(outcome.answer, Posted)
    assert outcome.answer.is_retry
    assert outcome.answer.message == first
    assert (outcome.events, outcome.writes) == ((), ())
    assert view(state) == before


def test_other_content_under_the_same_key_is_a_conflict() -> None:
    state = state_of()
    post(state, key="k", text="hello")
    with pytest.raises(Conflict) as conflict:
        post(state, key="k", text="other")
    assert conflict.value.what == "idempotency_key"
    assert state.last_seq == 1


def test_a_key_belongs_to_its_author() -> None:
    state = state_of()
    assert post(state, ANN, key="k").seq == 1
    assert post(state, BOB, key="k").seq == 2


def test_a_retry_after_an_edit_or_deletion_answers_with_the_message_as_it_is_now() -> None:
    state = state_of()
    first = post(state, key="k", text="hello")
    state.handle(EditMessage(caller=ANN, message_id=first.id, text="edited"), NOW)
    assert post(state, key="k", text="hello").text == "edited"
    state.handle(DeleteMessage(caller=ANN, message_id=first.id), NOW)
    assert post(state, key="k", text="hello").deleted_us is not None


def test_only_the_author_edits_and_the_time_of_edit_is_later_than_the_creation() -> None:
    state = state_of()
    message = post(state, BOB)
    with pytest.raises(Forbidden):
        state.handle(EditMessage(caller=ANN, message_id=message.id, text="x"), NOW)  # ANN is ADMIN, and may not either
    outcome = state.handle(EditMessage(caller=BOB, message_id=message.id, text="x"), NOW - 10)
    assert isinstance(outcome.answer, Posted)
    edited = outcome.answer.message
    assert edited == replace(message, text="x", edited_us=message.created_us + 1)
    assert outcome.events == (MessageEdited(room_id=ROOM, message=edited, status=Status.SENT),)
    assert outcome.writes == (UpdateMessage(message=edited),)


def test_the_author_and_an_admin_delete_and_nobody_else() -> None:
    state = state_of((ANN, BOB, CID))
    first, second = post(state, BOB), post(state, BOB)
    with pytest.raises(Forbidden):
        state.handle(DeleteMessage(caller=CID, message_id=first.id), NOW)
    assert kinds(state.handle(DeleteMessage(caller=BOB, message_id=first.id), NOW)) == [MessageDeleted]
    assert kinds(state.handle(DeleteMessage(caller=ANN, message_id=second.id), NOW)) == [MessageDeleted]


@pytest.mark.parametrize("command", [EditMessage, DeleteMessage, AddReaction, RemoveReaction])
def test_a_deleted_message_and_an_unknown_one_are_not_found(command: Any) -> None:
    state = state_of()
    message = post(state, ANN)
    state.handle(DeleteMessage(caller=ANN, message_id=message.id), NOW)
    extra: dict[Any, dict[str, object]] = {
        EditMessage: {"text": "x"},
        AddReaction: {"emoji": "👍"},
        RemoveReaction: {"emoji": "👍"},
    }
    for message_id in (message.id, MessageId(777)):
        with pytest.raises(NotFound) as missing:
            state.handle(command(caller=ANN, message_id=message_id, **extra.get(command, {})), NOW)
        assert missing.value.what == "message"


@pytest.mark.parametrize(
    "command",
    [
        PostMessage(author=EVE, text="x"),
        EditMessage(caller=EVE, message_id=MessageId(1), text="x"),
        DeleteMessage(caller=EVE, message_id=MessageId(1)),
        AddReaction(caller=EVE, message_id=MessageId(1), emoji="👍"),
        RemoveReaction(caller=EVE, message_id=MessageId(1), emoji="👍"),
        AddMember(caller=EVE, user=user(EVE, "eve"), role=Role.ADMIN),
        CreateInvitation(caller=EVE, digest=CODE, max_uses=1, lifetime_us=1),
        RevokeInvitation(caller=EVE, invitation=invitation(created_by=EVE)),
        BanMember(caller=EVE, user=user(BOB, "bob")),
        UnbanMember(caller=EVE, user_id=BOB),
        UpdateRoom(caller=EVE, name="mine"),
        SetMemberRole(caller=EVE, user_id=EVE, role=Role.OWNER),
        RemoveMember(caller=EVE, user_id=BOB),
        RemoveMember(caller=EVE, user_id=EVE),
        DeleteRoom(caller=EVE),
        AdvanceReceipts(caller=EVE, message_id=MessageId(1), read=True),
        StartTyping(user_id=EVE),
        StopTyping(user_id=EVE),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_stranger_may_do_nothing_and_learns_nothing(command: RoomCommand) -> None:
    state = state_of()
    post(state)
    assert refused(state, command, NotAMember).message == "not a member of this room"


# --- members ---


def test_an_admin_adds_members_who_owe_no_receipts_for_what_was_said_before() -> None:
    state = state_of()
    message = post(state, ANN)
    state.handle(AdvanceReceipts(caller=BOB, message_id=message.id, read=True), NOW)
    outcome = state.handle(AddMember(caller=ANN, user=user(CID, "cid"), role=Role.MEMBER), NOW)
    member = Member(user_id=CID, username="cid", role=Role.MEMBER, joined_us=NOW, delivered_seq=1, read_seq=1)
    assert outcome.answer == member
    assert outcome.events == (
        MemberAdded(room_id=ROOM, member=member),
        RoomJoined(room_id=ROOM, user_id=CID, room=state.room),
    )
    assert outcome.writes == (InsertMember(room_id=ROOM, member=member),)
    assert state.receipts.status_of(message) is Status.READ


def test_who_is_no_admin_adds_and_removes_nobody_else() -> None:
    state = state_of((ANN, BOB, CID))
    with pytest.raises(Forbidden):
        state.handle(AddMember(caller=BOB, user=user(EVE, "eve"), role=Role.MEMBER), NOW)
    with pytest.raises(Forbidden):
        state.handle(RemoveMember(caller=BOB, user_id=CID), NOW)
    with pytest.raises(Forbidden):
        state.handle(DeleteRoom(caller=BOB), NOW)


def test_adding_a_member_again_is_a_conflict_and_removing_a_stranger_not_found() -> None:
    state = state_of()
    with pytest.raises(Conflict) as conflict:
        state.handle(AddMember(caller=ANN, user=user(BOB, "bob"), role=Role.MEMBER), NOW)
    assert conflict.value.what == "member"
    with pytest.raises(NotFound) as missing:
        state.handle(RemoveMember(caller=ANN, user_id=EVE), NOW)
    assert missing.value.what == "member"


def test_a_removed_member_is_a_stranger() -> None:
    state = state_of()
    outcome = state.handle(RemoveMember(caller=ANN, user_id=BOB), NOW)
    assert outcome.events == (
        MemberRemoved(room_id=ROOM, user_id=BOB, username="u2"),
        RoomLeft(room_id=ROOM, user_id=BOB),
    )
    assert [type(write) for write in outcome.writes] == [DeleteMember, PutBan]
    with pytest.raises(Forbidden):
        post(state, BOB)


def test_when_the_owner_leaves_the_longest_there_takes_over() -> None:
    state = state_of((ANN, CID, BOB))
    outcome = state.handle(RemoveMember(caller=ANN, user_id=ANN), NOW)
    assert outcome.events[2:] == (RoleChanged(room_id=ROOM, user_id=CID, role=Role.OWNER),)
    assert outcome.writes[1:] == (
        EndInvitationsOf(user_id=ANN, room_id=ROOM),
        SetRole(room_id=ROOM, user_id=CID, role=Role.OWNER),
    )
    assert {member.user_id: member.role for member in state.members} == {CID: Role.OWNER, BOB: Role.MEMBER}


def test_when_the_owner_leaves_an_admin_comes_before_who_is_there_longer() -> None:
    state = state_of()
    state.handle(AddMember(caller=ANN, user=user(CID, "cid"), role=Role.ADMIN), NOW)
    outcome = state.handle(RemoveMember(caller=ANN, user_id=ANN), NOW)
    assert outcome.events[2:] == (RoleChanged(room_id=ROOM, user_id=CID, role=Role.OWNER),)
    assert {member.user_id: member.role for member in state.members} == {BOB: Role.MEMBER, CID: Role.OWNER}


def test_while_the_owner_remains_nobody_is_promoted_and_the_last_member_may_leave() -> None:
    state = state_of()
    state.handle(AddMember(caller=ANN, user=user(CID, "cid"), role=Role.ADMIN), NOW)
    assert kinds(state.handle(RemoveMember(caller=CID, user_id=CID), NOW)) == [MemberRemoved, RoomLeft]
    state.handle(RemoveMember(caller=ANN, user_id=BOB), NOW)
    assert kinds(state.handle(RemoveMember(caller=ANN, user_id=ANN), NOW)) == [MemberRemoved, RoomLeft]
    assert state.members == ()


def test_deleting_a_room_tells_everybody_and_nothing_works_afterwards() -> None:
    state = state_of()
    outcome = state.handle(DeleteRoom(caller=ANN), NOW)
    assert outcome.events == (
        RoomLeft(room_id=ROOM, user_id=ANN),
        RoomLeft(room_id=ROOM, user_id=BOB),
        RoomDeleted(room_id=ROOM),
    )
    assert state.deleted
    with pytest.raises(NotFound):
        post(state)


# --- receipts ---


def test_a_message_is_delivered_and_read_when_all_others_are_that_far() -> None:
    state = state_of((ANN, BOB, CID))
    message = post(state, ANN)
    assert state.receipts.status_of(message) is Status.SENT

    def mark(user: UserId, *, read: bool) -> list[tuple[MessageId, Status]]:
        return statuses(state.handle(AdvanceReceipts(caller=user, message_id=message.id, read=read), NOW))

    assert mark(BOB, read=False) == []
    assert mark(CID, read=True) == [(message.id, Status.DELIVERED)]
    assert mark(BOB, read=True) == [(message.id, Status.READ)]
    assert mark(ANN, read=True) == []


def test_reading_a_message_covers_all_before_it() -> None:
    state = state_of()
    first, second, third = post(state), post(state), post(state)
    outcome = state.handle(AdvanceReceipts(caller=BOB, message_id=second.id, read=True), NOW)
    assert statuses(outcome) == [(first.id, Status.READ), (second.id, Status.READ)]
    assert outcome.writes == (SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=2, read_seq=2, read_us=NOW),)
    assert state.receipts.status_of(third) is Status.SENT


def test_watermarks_only_rise_and_late_or_repeated_receipts_write_nothing() -> None:
    state = state_of()
    first, second = post(state), post(state)
    state.handle(AdvanceReceipts(caller=BOB, message_id=second.id, read=True), NOW)
    for late in (first.id, second.id):
        for read in (True, False):
            assert state.handle(AdvanceReceipts(caller=BOB, message_id=late, read=read), NOW) == Outcome()
    assert [(each.delivered_seq, each.read_seq) for each in state.members if each.user_id == BOB] == [(2, 2)]


def test_delivery_alone_does_not_mean_read() -> None:
    state = state_of()
    message = post(state)
    state.handle(AdvanceReceipts(caller=BOB, message_id=message.id, read=False), NOW)
    assert state.receipts.status_of(message) is Status.DELIVERED


def test_who_has_read_further_than_others_may_still_hold_up_a_delivery() -> None:
    state = state_of((ANN, BOB, CID))
    first, second = post(state), post(state)
    state.handle(AdvanceReceipts(caller=BOB, message_id=first.id, read=True), NOW)
    state.handle(AdvanceReceipts(caller=CID, message_id=second.id, read=False), NOW)
    outcome = state.handle(AdvanceReceipts(caller=BOB, message_id=second.id, read=False), NOW)
    assert statuses(outcome) == [(second.id, Status.DELIVERED)]


def test_alone_in_a_room_a_message_stays_sent() -> None:
    state = state_of((ANN,))
    message = post(state)
    assert kinds(state.handle(AdvanceReceipts(caller=ANN, message_id=message.id, read=True), NOW)) == []
    assert state.receipts.status_of(message) is Status.SENT


def test_when_the_one_who_had_not_read_leaves_the_message_counts_as_read() -> None:
    state = state_of((ANN, BOB, CID))
    message = post(state)
    state.handle(AdvanceReceipts(caller=BOB, message_id=message.id, read=True), NOW)
    outcome = state.handle(RemoveMember(caller=CID, user_id=CID), NOW)
    assert statuses(outcome) == [(message.id, Status.READ)]


def test_a_deleted_message_gets_no_status() -> None:
    state = state_of()
    first, second = post(state), post(state)
    state.handle(DeleteMessage(caller=ANN, message_id=first.id), NOW)
    outcome = state.handle(AdvanceReceipts(caller=BOB, message_id=second.id, read=True), NOW)
    assert statuses(outcome) == [(second.id, Status.READ)]


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_receipt_for_a_deleted_message_counts_up_to_its_place(read: bool, in_memory: bool) -> None:
    state = state_of(recent_messages=200 if in_memory else 1)
    messages = [post(state, ANN, f"{n}") for n in range(3)]
    state.handle(DeleteMessage(caller=ANN, message_id=messages[1].id), NOW)
    state.end_turn()
    command = AdvanceReceipts(caller=BOB, message_id=messages[1].id, read=read)
    if not in_memory:
        assert state.unknown_message(command) == messages[1].id
        state.recall(messages[1].id, replace(messages[1], text="", deleted_us=NOW))
    state.handle(command, NOW)
    bob = next(member for member in state.members if member.user_id == BOB)
    assert (bob.delivered_seq, bob.read_seq) == (2, 2 if read else 0)
    assert state.receipts.status_of(messages[0]) is (Status.READ if read else Status.DELIVERED)


def test_a_receipt_for_what_is_no_message_of_the_room_is_not_found() -> None:
    state = state_of()
    post(state, ANN)
    state.recall(MessageId(777), None)
    assert refused(state, AdvanceReceipts(caller=BOB, message_id=MessageId(777), read=True), NotFound).what == "message"


# --- typing ---


def test_typing_starts_and_stops_and_asks_for_a_timer() -> None:
    state = state_of()
    started = state.handle(StartTyping(user_id=ANN), NOW)
    assert started.events == (TypingStarted(room_id=ROOM, user_id=ANN, username="u1"),)
    assert started.writes == ()
    assert started.timer is not None
    assert started.timer.after_s == TYPING_TTL_S
    expired = state.handle(started.timer.command, NOW)
    assert expired.events == (TypingStopped(room_id=ROOM, user_id=ANN, username="u1"),)
    assert state.handle(started.timer.command, NOW).events == ()


def test_typing_again_outlives_the_first_timer() -> None:
    state = state_of()
    first = state.handle(StartTyping(user_id=ANN), NOW).timer
    second = state.handle(StartTyping(user_id=ANN), NOW + 1).timer
    assert first is not None
    assert second is not None
    assert state.handle(first.command, NOW).events == ()
    assert kinds(state.handle(second.command, NOW)) == [TypingStopped]


def test_the_timer_of_somebody_who_stopped_or_left_says_nothing() -> None:
    state = state_of()
    state.handle(StartTyping(user_id=BOB), NOW)
    state.handle(StopTyping(user_id=BOB), NOW)
    assert state.handle(ExpireTyping(user_id=BOB, started_us=NOW), NOW) == Outcome()
    state.handle(StartTyping(user_id=BOB), NOW)
    state.handle(RemoveMember(caller=ANN, user_id=BOB), NOW)
    assert state.handle(ExpireTyping(user_id=BOB, started_us=NOW), NOW) == Outcome()


def test_a_message_ends_its_authors_typing_and_nobody_elses() -> None:
    state = state_of((ANN, BOB, CID))
    for each in (ANN, BOB):
        state.handle(StartTyping(user_id=each), NOW)
    posted = state.handle(PostMessage(author=ANN, text="there"), NOW)
    assert kinds(posted) == [TypingStopped, MessagePosted]
    assert posted.events[0] == TypingStopped(room_id=ROOM, user_id=ANN, username="u1")
    assert kinds(state.handle(PostMessage(author=ANN, text="and there"), NOW)) == [MessagePosted]
    assert state.handle(ExpireTyping(user_id=ANN, started_us=NOW), NOW) == Outcome()
    assert state.handle(StopTyping(user_id=ANN), NOW) == Outcome()  # it has been said
    assert kinds(state.handle(ExpireTyping(user_id=BOB, started_us=NOW), NOW)) == [TypingStopped]


def test_a_retry_is_no_message_and_ends_no_typing() -> None:
    state = state_of()
    post(state, ANN, key="k")
    state.handle(StartTyping(user_id=ANN), NOW)
    assert state.handle(PostMessage(author=ANN, text="hi", key="k", digest=b"hi"), NOW).events == ()
    assert kinds(state.handle(StopTyping(user_id=ANN), NOW)) == [TypingStopped]


@pytest.mark.parametrize("caller", [ANN, BOB])
def test_who_goes_types_no_more_and_the_others_are_told_before_they_are_gone(caller: UserId) -> None:
    state = state_of((ANN, BOB, CID))
    state.handle(StartTyping(user_id=BOB), NOW)
    outcome = state.handle(RemoveMember(caller=caller, user_id=BOB), NOW)
    assert kinds(outcome) == [TypingStopped, MemberRemoved, RoomLeft]


# --- what is in memory ---


def test_an_older_message_has_to_be_recalled_and_is_forgotten_again() -> None:
    state = state_of(recent_messages=2)
    old, *_ = [post(state, BOB, f"{n}", key=f"k{n}") for n in range(3)]
    state.end_turn()
    command = EditMessage(caller=BOB, message_id=old.id, text="new")
    assert state.unknown_message(command) == old.id
    with pytest.raises(NotFound):
        state.handle(command, NOW)
    state.recall(old.id, old)
    assert state.unknown_message(command) is None
    assert kinds(state.handle(command, NOW)) == [MessageEdited]
    state.end_turn()
    assert state.unknown_message(command) == old.id


def test_a_recalled_nothing_is_not_found_and_not_asked_for_again() -> None:
    state = state_of()
    command = DeleteMessage(caller=ANN, message_id=MessageId(5))
    state.recall(MessageId(5), None)
    assert state.unknown_message(command) is None
    with pytest.raises(NotFound):
        state.handle(command, NOW)


def test_a_message_that_its_own_turn_pushes_out_of_memory_is_known_until_the_turn_ends() -> None:
    state = state_of(recent_messages=2)
    old = post(state, ANN, "old", key="k")
    command = EditMessage(caller=ANN, message_id=old.id, text="new")
    assert state.unknown_message(command) is None  # so the actor recalls nothing
    post(state)
    post(state)
    assert kinds(state.handle(command, NOW)) == [MessageEdited]
    assert post(state, ANN, "old", key="k").id == old.id
    state.end_turn()
    assert len(state._recent) == 2
    assert state._keys == {}


def test_a_recalled_key_answers_a_retry_and_is_forgotten_again() -> None:
    state = state_of(recent_messages=1)
    old = post(state, ANN, "old", key="k")
    post(state, ANN, "new")
    state.end_turn()
    state.recall_key(KeyedMessage(message=old, digest=b"old"))
    assert post(state, ANN, "old", key="k") == old
    with pytest.raises(Conflict):
        post(state, ANN, "other", key="k")
    state.end_turn()
    assert state._keys == {}


def test_joining_neither_reads_a_message_nor_takes_a_receipt_back() -> None:
    state = state_of((ANN,))
    first = post(state, ANN)
    state.handle(AddMember(caller=ANN, user=user(BOB, "bob"), role=Role.MEMBER), NOW)
    assert state.receipts.status_of(first) is Status.SENT
    state.handle(AdvanceReceipts(caller=BOB, message_id=first.id, read=True), NOW)
    assert state.receipts.status_of(first) is Status.READ
    second = post(state, ANN)
    state.handle(AddMember(caller=ANN, user=user(CID, "cid"), role=Role.MEMBER), NOW)
    assert state.receipts.status_of(first) is Status.READ
    state.handle(AdvanceReceipts(caller=BOB, message_id=second.id, read=True), NOW)
    assert state.receipts.status_of(second) is Status.SENT, "the newcomer has not read it"
