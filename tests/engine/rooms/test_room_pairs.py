"""The rules of direct rooms: equals, who are both back in it with the next message of either."""

from typing import Any

import pytest
from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AddMember,
    AddReaction,
    AdvanceReceipts,
    DeleteMessage,
    DeleteRoom,
    EditMessage,
    Posted,
    PostMessage,
    RemoveMember,
    RestoreMember,
    RoomCommand,
    SetMemberRole,
    StartTyping,
    UpdateProfile,
    UpdateRoom,
)
from chinwag.engine.model.errors import Forbidden, Invalid, NotAMember, NotTheAuthor, RoleNeeded
from chinwag.engine.model.events import MemberAdded, MemberRemoved, MessagePosted, RoomJoined, RoomLeft
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.store import DeleteMember, InsertMember, InsertMessage
from chinwag.engine.model.values import Member, Role, RoomKind, Status
from chinwag.engine.rooms.memory import Outcome
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.testing import make_user
from tests.engine.rooms.states import ANN, BOB, EVE, NOW, kinds, message_of, post, refused, state_of

BACK = [MemberAdded, RoomJoined, MessagePosted]


def direct(**roles: Any) -> RoomState:
    """Of ANN and BOB; `roles` as an older release stored them."""
    return state_of(kind=RoomKind.DIRECT, **roles)


def leave(state: RoomState, *leavers: UserId) -> None:
    """Have them leave, and the turn end."""
    for leaver in leavers:
        state.handle(RemoveMember(caller=leaver, user_id=leaver), NOW)
    state.end_turn()


def message(state: RoomState, author: UserId, text: str = "hi") -> Outcome:
    """Have somebody write, as a turn of its own in which everything is recalled."""
    command = PostMessage(author=author, text=text)
    for user_id in state.unknown_absent(command):
        state.recall_absent(user_id, make_user(user_id))
    try:
        return state.handle(command, NOW)
    finally:
        state.end_turn()


def members(state: RoomState) -> dict[UserId, Member]:
    return {member.user_id: member for member in state.members}


# --- equals ---


@pytest.mark.parametrize("role", Role)
def test_neither_deletes_the_others_messages_whatever_role_is_stored(role: Role) -> None:
    state = direct(roles={ANN: role})
    of_bob, of_ann = post(state, BOB), post(state, ANN)
    refused(state, DeleteMessage(caller=ANN, message_id=of_bob.id), NotTheAuthor)
    refused(state, DeleteMessage(caller=BOB, message_id=of_ann.id), NotTheAuthor)
    refused(state, EditMessage(caller=ANN, message_id=of_bob.id, text="x"), NotTheAuthor)
    state.handle(DeleteMessage(caller=ANN, message_id=of_ann.id), NOW)
    assert {member.role for member in state.members} == {Role.MEMBER}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("command", "error"),
    [
        (AddMember(caller=ANN, user=make_user(EVE), role=Role.MEMBER), Invalid),
        (RemoveMember(caller=ANN, user_id=BOB), Forbidden),
        (SetMemberRole(caller=ANN, user_id=BOB, role=Role.MODERATOR), RoleNeeded),
        (UpdateRoom(caller=ANN, name="x"), Invalid),
    ],
)
def test_neither_has_power_over_the_room(role: Role, command: RoomCommand, error: type[Forbidden | Invalid]) -> None:
    refused(direct(roles={ANN: role}), command, error)


@pytest.mark.parametrize("least", [Role.ADMIN, Role.OWNER])
@pytest.mark.parametrize("caller", [ANN, BOB])
def test_deleting_it_is_leaving_it(caller: UserId, least: Role) -> None:
    state = direct(roles={ANN: Role.OWNER})
    kept = post(state, ANN)
    outcome = state.handle(DeleteRoom(caller=caller, least=least), NOW)
    assert outcome.answer is False
    assert kinds(outcome) == [MemberRemoved, RoomLeft]
    assert outcome.writes == (DeleteMember(room_id=state.room.id, user_id=caller),)
    assert not state.deleted
    other = BOB if caller == ANN else ANN
    page = state.page(other, skip=0, limit=9)
    assert page is not None
    assert [viewed.message for viewed in page] == [kept]
    refused(state, DeleteRoom(caller=caller, least=least), NotAMember)


def test_who_leaves_hands_nothing_on_and_nothing_is_said() -> None:
    state = direct(roles={ANN: Role.OWNER}, announces=True)
    leave(state, ANN)
    state.handle(RestoreMember(user=make_user(ANN)), NOW)
    assert [(member.user_id, member.role) for member in state.members] == [(BOB, Role.MEMBER), (ANN, Role.MEMBER)]
    assert state.last_seq == 0


# --- coming back ---


@pytest.mark.parametrize("author", [ANN, BOB])
def test_a_message_of_either_brings_back_who_has_left(author: UserId) -> None:
    state = direct()
    post(state, ANN)
    leave(state, BOB)
    outcome = message(state, author)
    assert kinds(outcome) == BACK
    posted = message_of(outcome)
    back = members(state)[BOB]
    assert outcome.writes == (
        InsertMember(room_id=state.room.id, member=back),
        InsertMessage(message=posted),
    )
    assert (posted.author_id, posted.author_name) == (author, f"user-{author}" if author == BOB else "u1")
    assert (back.delivered_seq, back.read_seq, posted.seq) == (1, 1, 2)  # that very message is unread
    assert not state.incomplete


def test_it_brings_back_both() -> None:
    state = direct()
    leave(state, ANN, BOB)
    outcome = message(state, BOB)
    assert kinds(outcome) == [*BACK[:2], *BACK]
    assert set(members(state)) == {ANN, BOB}
    assert isinstance(outcome.answer, Posted)
    assert outcome.answer.receipts.status_of(outcome.answer.message) is Status.SENT


def test_who_leaves_and_is_written_to_in_one_turn_is_back_as_who_they_are() -> None:
    state = direct()
    state.handle(RemoveMember(caller=BOB, user_id=BOB), NOW)
    state.handle(RemoveMember(caller=ANN, user_id=ANN), NOW)
    state.handle(UpdateProfile(user=replace(make_user(BOB), display_name="Bob")), NOW)
    outcome = state.handle(PostMessage(author=ANN, text="wait"), NOW + 1)
    assert kinds(outcome) == [*BACK[:2], *BACK]
    back = members(state)
    assert (back[ANN].username, back[BOB].username, back[BOB].display_name) == ("u1", "u2", "Bob")
    assert back[BOB].joined_us == NOW + 1


@pytest.mark.parametrize(
    "command",
    [
        StartTyping(user_id=BOB),
        AdvanceReceipts(caller=BOB, message_id=post(direct()).id, read=True),
        EditMessage(caller=BOB, message_id=post(direct()).id, text="x"),
        AddReaction(caller=BOB, message_id=post(direct()).id, emoji="👍"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_but_a_message_brings_anybody_back(command: RoomCommand) -> None:
    state = direct()
    post(state, ANN)
    leave(state, BOB)
    assert state.unknown_absent(command) == ()
    refused(state, command, NotAMember)
    state.handle(StartTyping(user_id=ANN), NOW)
    assert set(members(state)) == {ANN}


def test_a_retry_brings_nobody_back() -> None:
    state = direct()
    first = post(state, BOB, key="k")
    leave(state, BOB)
    retry = PostMessage(author=BOB, text="hi", key="k", digest=b"hi")
    state.recall_absent(BOB, make_user(BOB))
    outcome = state.handle(retry, NOW)
    assert (message_of(outcome), outcome.events, outcome.writes) == (first, (), ())
    assert set(members(state)) == {ANN}


def test_who_was_deactivated_is_not_brought_back_and_the_message_is_kept() -> None:
    state = direct()
    leave(state, BOB)
    state.recall_absent(BOB, replace(make_user(BOB), active=False))
    outcome = state.handle(PostMessage(author=ANN, text="anybody?"), NOW)
    assert kinds(outcome) == [MessagePosted]
    state.end_turn()
    state.recall_absent(BOB, make_user(BOB))
    assert kinds(state.handle(PostMessage(author=ANN, text="and now?"), NOW)) == BACK


@pytest.mark.parametrize("stranger", [EVE, UserId(77)])
def test_a_stranger_writes_nothing_and_brings_nobody_back(stranger: UserId) -> None:
    state = direct()
    leave(state, BOB)
    command = PostMessage(author=stranger, text="let me in")
    assert state.unknown_absent(command) == ()
    refused(state, command, NotAMember)


def test_a_message_that_is_refused_brings_nobody_back() -> None:
    state = direct()
    leave(state, BOB)
    state.recall_absent(BOB, make_user(BOB))
    gone = post(direct()).id
    state.recall(gone, None)
    with pytest.raises(Exception, match="message not found"):
        state.handle(PostMessage(author=ANN, text="x", reply_to=gone), NOW)
    assert set(members(state)) == {ANN}


def test_opening_it_brings_back_once_and_what_was_there_counts_as_seen() -> None:
    state = direct()
    post(state, ANN)
    leave(state, BOB)
    outcome = state.handle(RestoreMember(user=make_user(BOB)), NOW)
    assert kinds(outcome) == [MemberAdded, RoomJoined]
    assert members(state)[BOB].read_seq == 1
    again = state.handle(RestoreMember(user=make_user(BOB)), NOW)
    assert (again.answer, again.events, again.writes) == (outcome.answer, (), ())


def test_a_group_that_somebody_has_left_looks_nobody_up() -> None:
    state = state_of()
    leave(state, BOB)
    assert not state.incomplete
    assert not state.lacks(PostMessage(author=ANN, text="x"))
    refused(state, PostMessage(author=BOB, text="x"), NotAMember)
