"""The rules about who is in a room: roles, limits, invitations, what the room says of comings and goings, settings."""

from typing import Any

import pytest
from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AcceptInvitation,
    AddMember,
    AddReaction,
    DeleteRoom,
    JoinRoom,
    RemoveMember,
    SetMemberRole,
    UpdateProfile,
    UpdateRoom,
)
from chinwag.engine.model.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, RoleNeeded
from chinwag.engine.model.events import (
    MemberAdded,
    MemberRemoved,
    MessagePosted,
    RoleChanged,
    RoomJoined,
    RoomKeyChanged,
    RoomLeft,
    RoomUpdated,
)
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.store import (
    DeleteMember,
    InsertMember,
    InsertMessage,
    InsertRoomKey,
    KeyVersion,
    SetRole,
)
from chinwag.engine.model.store import UpdateRoom as UpdateRoomRow
from chinwag.engine.model.store_admissions import EndInvitationsOf
from chinwag.engine.model.values import KeyCustody, Member, Message, MessageKind, Role, RoomKey, RoomKind, Status
from chinwag.engine.rooms.memory import Outcome
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.testing import make_user
from tests.engine.rooms.states import ANN, BOB, CID, EVE, NOW, ROOM, invitation, kinds, post, refused, state_of, view

DAN = UserId(4)
EVE_USER = replace(make_user(EVE, "eve"), display_name="Eve", avatar_url="https://x/e.png")
ALL_ROLES = {ANN: Role.OWNER, BOB: Role.ADMIN, CID: Role.MODERATOR}


def of_all_roles(**settings: Any) -> RoomState:
    """ANN owns, BOB is an admin, CID a moderator, DAN a member."""
    return state_of((ANN, BOB, CID, DAN), roles=ALL_ROLES, **settings)


def roles(state: RoomState) -> dict[UserId, Role]:
    return {member.user_id: member.role for member in state.members}


# --- adding and removing ---


@pytest.mark.parametrize("caller", [ANN, BOB])
def test_an_admin_adds_with_any_role_but_owner(caller: UserId) -> None:
    state = of_all_roles()
    adding = AddMember(caller=caller, user=EVE_USER, role=Role.OWNER)
    assert refused(state, adding, Invalid).field == "role"
    member = state.handle(replace(adding, role=Role.ADMIN), NOW).answer
    assert member == Member(
        user_id=EVE,
        username="eve",
        role=Role.ADMIN,
        joined_us=NOW,
        display_name="Eve",
        avatar_url="https://x/e.png",
    )


@pytest.mark.parametrize("caller", [CID, DAN])
def test_below_an_admin_nobody_adds(caller: UserId) -> None:
    adding = AddMember(caller=caller, user=EVE_USER, role=Role.MEMBER)
    assert refused(of_all_roles(), adding, RoleNeeded).role == "ADMIN"


@pytest.mark.parametrize(
    ("caller", "removed", "needed"),
    [
        (ANN, BOB, None),
        (BOB, ANN, None),
        (BOB, CID, None),
        (BOB, DAN, None),
        (CID, DAN, None),
        (CID, BOB, "ADMIN"),
        (CID, ANN, "ADMIN"),
        (DAN, CID, "MODERATOR"),
        (DAN, ANN, "MODERATOR"),
    ],
)
def test_an_admin_removes_anybody_and_a_moderator_plain_members(
    caller: UserId, removed: UserId, needed: str | None
) -> None:
    state = of_all_roles()
    command = RemoveMember(caller=caller, user_id=removed)
    if needed is None:
        assert kinds(state.handle(command, NOW))[:2] == [MemberRemoved, RoomLeft]
        assert removed not in roles(state)
    else:
        assert refused(state, command, RoleNeeded).role == needed


def test_one_moderator_does_not_remove_another() -> None:
    state = state_of((ANN, BOB, CID), roles={ANN: Role.OWNER, BOB: Role.MODERATOR, CID: Role.MODERATOR})
    assert refused(state, RemoveMember(caller=BOB, user_id=CID), RoleNeeded).role == "ADMIN"


@pytest.mark.parametrize("leaver", [BOB, CID, DAN])
def test_anybody_but_the_owner_leaves_without_consequences(leaver: UserId) -> None:
    state = of_all_roles()
    assert kinds(state.handle(RemoveMember(caller=leaver, user_id=leaver), NOW)) == [MemberRemoved, RoomLeft]
    assert roles(state)[ANN] is Role.OWNER


def test_ownership_goes_to_the_highest_role_and_of_several_to_the_longest_there() -> None:
    state = state_of((ANN, DAN, CID, BOB), roles={ANN: Role.OWNER, BOB: Role.MODERATOR, CID: Role.MODERATOR})
    outcome = state.handle(RemoveMember(caller=ANN, user_id=ANN), NOW)
    assert outcome.events[2:] == (RoleChanged(room_id=ROOM, user_id=CID, role=Role.OWNER),)
    assert outcome.writes == (
        DeleteMember(room_id=ROOM, user_id=ANN),
        EndInvitationsOf(user_id=ANN, room_id=ROOM),
        SetRole(room_id=ROOM, user_id=CID, role=Role.OWNER),
    )
    assert roles(state) == {DAN: Role.MEMBER, CID: Role.OWNER, BOB: Role.MODERATOR}


def test_an_owner_who_is_removed_is_followed_too() -> None:
    state = of_all_roles()
    state.handle(RemoveMember(caller=BOB, user_id=ANN), NOW)
    assert roles(state) == {BOB: Role.OWNER, CID: Role.MODERATOR, DAN: Role.MEMBER}


def test_a_room_whose_owner_is_missing_gets_one_when_an_admin_leaves_and_not_before() -> None:
    state = state_of((BOB, CID, DAN), roles={BOB: Role.ADMIN, CID: Role.ADMIN})
    state.handle(RemoveMember(caller=DAN, user_id=DAN), NOW)
    assert roles(state) == {BOB: Role.ADMIN, CID: Role.ADMIN}
    state.handle(RemoveMember(caller=BOB, user_id=BOB), NOW)
    assert roles(state) == {CID: Role.OWNER}


@pytest.mark.parametrize(
    ("caller", "least", "may"),
    [
        (ANN, Role.OWNER, True),
        (BOB, Role.OWNER, False),
        (BOB, Role.ADMIN, True),
        (CID, Role.ADMIN, False),
        (CID, Role.MODERATOR, True),
    ],
)
def test_a_room_is_deleted_by_who_has_the_role_that_is_asked_for(caller: UserId, least: Role, may: bool) -> None:
    state = of_all_roles()
    if may:
        state.handle(DeleteRoom(caller=caller, least=least), NOW)
        assert state.deleted
    else:
        assert refused(state, DeleteRoom(caller=caller, least=least), RoleNeeded).role == least.name


# --- roles ---


def test_the_owner_changes_roles_and_nobody_else() -> None:
    state = of_all_roles()
    outcome = state.handle(SetMemberRole(caller=ANN, user_id=DAN, role=Role.MODERATOR), NOW)
    assert outcome.answer == next(each for each in state.members if each.user_id == DAN)
    assert outcome.events == (RoleChanged(room_id=ROOM, user_id=DAN, role=Role.MODERATOR),)
    assert outcome.writes == (SetRole(room_id=ROOM, user_id=DAN, role=Role.MODERATOR),)
    for caller in (BOB, CID):
        error = refused(state, SetMemberRole(caller=caller, user_id=DAN, role=Role.MEMBER), RoleNeeded)
        assert error.role == "OWNER"
    assert refused(state, SetMemberRole(caller=ANN, user_id=ANN, role=Role.ADMIN), Invalid).field == "user_id"
    assert refused(state, SetMemberRole(caller=ANN, user_id=EVE, role=Role.ADMIN), NotFound).what == "member"


def test_a_role_that_is_held_already_changes_nothing() -> None:
    state = of_all_roles()
    before = view(state)
    outcome = state.handle(SetMemberRole(caller=ANN, user_id=DAN, role=Role.MEMBER), NOW)
    assert (outcome.events, outcome.writes) == ((), ())
    assert view(state) == before


def test_handing_the_room_over_leaves_one_owner() -> None:
    state = of_all_roles()
    outcome = state.handle(SetMemberRole(caller=ANN, user_id=DAN, role=Role.OWNER), NOW)
    assert isinstance(outcome.answer, Member)
    assert (outcome.answer.user_id, outcome.answer.role) == (DAN, Role.OWNER)
    assert roles(state) == {ANN: Role.MODERATOR, BOB: Role.ADMIN, CID: Role.MODERATOR, DAN: Role.OWNER}
    assert outcome.writes == (
        SetRole(room_id=ROOM, user_id=ANN, role=Role.MODERATOR),
        SetRole(room_id=ROOM, user_id=DAN, role=Role.OWNER),
    )
    assert kinds(outcome) == [RoleChanged, RoleChanged]
    with pytest.raises(RoleNeeded):  # it cannot be taken back
        state.handle(RemoveMember(caller=ANN, user_id=DAN), NOW)


# --- joining ---


def test_an_open_group_is_joined_by_anybody_and_once() -> None:
    state = state_of(private=False)
    outcome = state.handle(JoinRoom(user=EVE_USER), NOW)
    assert isinstance(outcome.answer, Member)
    assert outcome.answer.role is Role.MEMBER
    assert kinds(outcome) == [MemberAdded, RoomJoined]
    assert outcome.writes == (InsertMember(room_id=ROOM, member=outcome.answer),)
    again = state.handle(JoinRoom(user=EVE_USER), NOW + 9)
    assert again == Outcome(answer=outcome.answer)


@pytest.mark.parametrize("kind", RoomKind)
def test_a_private_room_is_not_joined_but_by_invitation(kind: RoomKind) -> None:
    refused(state_of(kind=kind, private=kind is RoomKind.GROUP), JoinRoom(user=EVE_USER), Forbidden)


def ways_in(state: RoomState) -> list[AddMember | JoinRoom | AcceptInvitation]:
    state.recall_invitation(b"d" * 32, invitation())
    return [
        AddMember(caller=ANN, user=EVE_USER, role=Role.MEMBER),
        JoinRoom(user=EVE_USER),
        AcceptInvitation(user=EVE_USER, digest=b"d" * 32),
    ]


@pytest.mark.parametrize("way", range(3))
def test_a_full_room_takes_nobody_whatever_the_way_in(way: int) -> None:
    state = state_of(private=False, max_members=2)
    assert refused(state, ways_in(state)[way], LimitReached).what == "members"
    state.handle(RemoveMember(caller=BOB, user_id=BOB), NOW)
    state.handle(ways_in(state)[way], NOW)
    assert len(state.members) == 2


def test_a_member_who_comes_again_is_not_one_too_many() -> None:
    state = state_of(private=False, max_members=2)
    state.handle(JoinRoom(user=make_user(BOB)), NOW)
    state.handle(AcceptInvitation(user=make_user(BOB), digest=b"d" * 32), NOW)
    refused(state, AddMember(caller=ANN, user=make_user(BOB), role=Role.MEMBER), Conflict)


# --- what the room says ---


def said(outcome: Outcome) -> list[Message]:
    return [event.message for event in outcome.events if isinstance(event, MessagePosted)]


def test_a_room_that_announces_says_who_joins_after_they_are_in() -> None:
    state = state_of(announces=True, private=False)
    post(state)
    outcome = state.handle(JoinRoom(user=EVE_USER), NOW)
    assert kinds(outcome) == [MemberAdded, RoomJoined, MessagePosted]
    [message] = said(outcome)
    assert (message.seq, message.author_id, message.author_name, message.text) == (2, EVE, "eve", "Eve joined")
    assert (message.kind, message.author_display_name) == (MessageKind.SYSTEM, "Eve")
    assert message.created_us == NOW + 1
    assert outcome.writes[1:] == (InsertMessage(message=message),)
    assert state.last_seq == 2
    page = state.page(ANN, skip=0, limit=1)
    assert page is not None
    assert page[0].message == message
    state.handle(AddReaction(caller=ANN, message_id=message.id, emoji="👋"), NOW)


@pytest.mark.parametrize(("caller", "text"), [(BOB, "u2 left"), (ANN, "u2 was removed")])
def test_a_room_that_announces_says_who_goes_as_the_last_that_they_hear(caller: UserId, text: str) -> None:
    state = state_of(announces=True)
    outcome = state.handle(RemoveMember(caller=caller, user_id=BOB), NOW)
    assert kinds(outcome) == [MessagePosted, MemberRemoved, RoomLeft]
    [message] = said(outcome)
    assert (message.seq, message.author_id, message.text, message.kind) == (1, BOB, text, MessageKind.SYSTEM)
    assert outcome.writes[:2] == (InsertMessage(message=message), DeleteMember(room_id=ROOM, user_id=BOB))


def test_other_rooms_say_nothing() -> None:
    state = state_of()
    state.handle(RemoveMember(caller=BOB, user_id=BOB), NOW)
    assert state.last_seq == 0


def test_what_the_room_says_is_read_by_all_who_are_there() -> None:
    state = state_of(announces=True, private=False)
    [message] = said(state.handle(JoinRoom(user=EVE_USER), NOW))
    assert state.receipts.status_of(message) is Status.SENT


# --- settings ---


def test_a_moderator_changes_the_settings_that_are_named() -> None:
    state = of_all_roles()
    before = state.room
    command = UpdateRoom(caller=CID, name="coffee", max_members=4, auto_summary=True, summary_threshold=9)
    outcome = state.handle(command, NOW)
    room = replace(before, name="coffee", max_members=4, auto_summary=True, summary_threshold=9, updated_us=NOW)
    assert (outcome.answer, state.room) == (room, room)
    assert outcome.events == (RoomUpdated(room_id=ROOM, room=room),)
    assert outcome.writes == (UpdateRoomRow(room=room),)
    state.handle(UpdateRoom(caller=CID, description="hot", auto_summary=False), NOW + 1)
    assert state.room == replace(room, description="hot", auto_summary=False, updated_us=NOW + 1)


def test_settings_that_are_so_already_are_not_written() -> None:
    state = of_all_roles()
    room = state.room
    assert state.handle(UpdateRoom(caller=ANN, name="tea", description=""), NOW) == Outcome(answer=room)
    assert state.room is room


def test_settings_that_make_no_sense_and_callers_that_may_not_are_refused() -> None:
    state = of_all_roles()
    assert refused(state, UpdateRoom(caller=ANN, max_members=3), Invalid).field == "max_members"
    assert refused(state, UpdateRoom(caller=ANN, summary_threshold=0), Invalid).field == "summary_threshold"
    assert refused(state, UpdateRoom(caller=DAN, name="x"), RoleNeeded).role == "MODERATOR"
    direct = state_of(kind=RoomKind.DIRECT, roles={ANN: Role.ADMIN})
    assert refused(direct, UpdateRoom(caller=ANN, name="x"), Invalid).field == "room_id"


def test_a_lower_limit_holds_from_now_on() -> None:
    state = state_of(private=False, max_members=5)
    state.handle(UpdateRoom(caller=ANN, max_members=2), NOW)
    refused(state, JoinRoom(user=EVE_USER), LimitReached)


# --- profiles ---


def test_a_stranger_whom_nothing_shows_is_not_known_and_one_who_wrote_and_left_is() -> None:
    state = state_of((ANN, BOB, CID))
    post(state, BOB)
    state.handle(RemoveMember(caller=BOB, user_id=BOB), NOW)
    assert [state.knows(each) for each in (ANN, BOB, EVE)] == [True, True, False]
    state.handle(UpdateProfile(user=replace(make_user(BOB), display_name="Bob")), NOW)
    page = state.page(ANN, skip=0, limit=1)
    assert page is not None
    assert page[0].message.author_display_name == "Bob"
    before = view(state)
    assert state.handle(UpdateProfile(user=EVE_USER), NOW) == Outcome()
    assert view(state) == before


# --- keys ---


def test_under_server_custody_nobody_goes_without_the_next_key() -> None:
    state = state_of(custody=KeyCustody.SERVER)
    state._key = KeyVersion(version=1, changed_us=0)
    key = RoomKey(room_id=ROOM, version=2, sealed=b"s", created_us=NOW)
    leave = RemoveMember(caller=BOB, user_id=BOB)
    for wrong in (None, replace(key, version=1), replace(key, version=3)):
        assert refused(state, replace(leave, next_key=wrong), Conflict).what == "room_key"
    outcome = state.handle(replace(leave, next_key=key), NOW)
    assert outcome.events[-1] == RoomKeyChanged(room_id=ROOM, version=2)
    assert outcome.writes[-1] == InsertRoomKey(key=key)
    assert state._key == KeyVersion(version=2, changed_us=NOW)
