"""The rules about invitations and bans: who lets whom in, what ends a code, and that who was removed stays out."""

from typing import Any

import pytest
from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AcceptInvitation,
    AddMember,
    BanMember,
    CreateInvitation,
    JoinRoom,
    PostMessage,
    RemoveMember,
    RestoreMember,
    RevokeInvitation,
    RoomCommand,
    SetMemberRole,
    UnbanMember,
    UpdateRoom,
)
from chinwag.engine.model.errors import Banned, Conflict, Forbidden, Invalid, LimitReached, NotFound, RoleNeeded
from chinwag.engine.model.events import MemberRemoved, RoomKeyChanged, RoomLeft
from chinwag.engine.model.ids import BanId, RoomId, UserId
from chinwag.engine.model.store import (
    DeleteMember,
    InsertInvitation,
    InsertMember,
    InsertRoomKey,
    KeyVersion,
    UseInvitation,
)
from chinwag.engine.model.store_admissions import (
    DeleteBan,
    EndInvitation,
    EndInvitationsOf,
    EndInvitationsOfMembers,
    PutBan,
)
from chinwag.engine.model.values import Ban, Invitation, KeyCustody, Member, Role, RoomKey, RoomKind
from chinwag.engine.rooms.memory import Outcome
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.testing import make_user
from tests.engine.rooms.states import ANN, BOB, CID, CODE, EVE, NOW, ROOM, invitation, kinds, refused, state_of

DAN = UserId(4)
EVE_USER = make_user(EVE, "eve")
ACCEPT = AcceptInvitation(user=EVE_USER, digest=CODE)
JOIN = JoinRoom(user=EVE_USER)
ADD = AddMember(caller=ANN, user=EVE_USER, role=Role.MEMBER)


def of_all_roles(**settings: Any) -> RoomState:
    """ANN owns, BOB is an admin, CID a moderator, DAN a member."""
    return state_of((ANN, BOB, CID, DAN), roles={ANN: Role.OWNER, BOB: Role.ADMIN, CID: Role.MODERATOR}, **settings)


def invite(state: RoomState, caller: UserId, *, max_uses: int = 9) -> Invitation:
    """Have somebody make an invitation, as good as read from the store."""
    made = state.handle(CreateInvitation(caller=caller, digest=CODE, max_uses=max_uses, lifetime_us=100), NOW).answer
    assert isinstance(made, Invitation)
    state.recall_invitation(CODE, made)
    return made


def members(state: RoomState) -> set[UserId]:
    return {member.user_id for member in state.members}


# --- invitations ---


@pytest.mark.parametrize(
    ("caller", "private", "may"), [(DAN, False, True), (DAN, True, False), (CID, True, True), (ANN, True, True)]
)
def test_any_member_invites_to_an_open_group_and_a_moderator_to_a_private_one(
    caller: UserId, private: bool, may: bool
) -> None:
    state = of_all_roles(private=private)
    command = CreateInvitation(caller=caller, digest=CODE, max_uses=3, lifetime_us=100)
    if not may:
        assert refused(state, command, RoleNeeded).role == "MODERATOR"
        return
    outcome = state.handle(command, NOW)
    made = outcome.answer
    assert isinstance(made, Invitation)
    assert (made.digest, made.created_by, made.max_uses, made.uses) == (CODE, caller, 3, 0)
    assert (made.created_us, made.expires_us) == (NOW, NOW + 100)
    assert made.maker_role is {DAN: Role.MEMBER, CID: Role.MODERATOR, ANN: Role.OWNER}[caller]
    assert outcome.writes == (InsertInvitation(invitation=made),)
    assert outcome.events == ()


def test_nobody_is_invited_to_a_direct_room() -> None:
    state = state_of(kind=RoomKind.DIRECT)
    refused(state, CreateInvitation(caller=ANN, digest=CODE, max_uses=1, lifetime_us=1), Invalid)


def test_an_invitation_is_looked_up_once_a_turn_and_counted_within_it() -> None:
    state = state_of()
    first, second, third = (AcceptInvitation(user=make_user(n), digest=CODE) for n in (20, 21, 22))
    assert state.unknown_invitation(first) == CODE
    assert state.unknown_invitation(PostMessage(author=ANN, text="x")) is None
    state.recall_invitation(CODE, invitation(max_uses=3, uses=1))
    assert state.unknown_invitation(first) is None
    outcome = state.handle(first, NOW)
    assert isinstance(outcome.answer, Member)
    assert outcome.writes == (InsertMember(room_id=ROOM, member=outcome.answer), UseInvitation(digest=CODE))
    assert state.handle(first, NOW) == Outcome(answer=outcome.answer)  # who comes again uses nothing up
    state.handle(second, NOW)
    assert refused(state, third, NotFound).what == "invitation"
    state.end_turn()
    assert state.unknown_invitation(third) == CODE


@pytest.mark.parametrize(
    "known",
    [
        None,
        invitation(expires_us=NOW),
        invitation(expires_us=0),
        invitation(max_uses=2, uses=2),
        invitation(room_id=RoomId(7)),
        invitation(created_by=EVE),
        invitation(created_by=DAN),
    ],
    ids=["unknown", "expired", "ended", "used up", "of another room", "of a stranger", "of who may not invite"],
)
def test_an_invitation_that_is_not_good_is_not_found(known: Invitation | None) -> None:
    state = of_all_roles()
    state.recall_invitation(CODE, known)
    assert refused(state, ACCEPT, NotFound).what == "invitation"
    state.handle(replace(ACCEPT, user=make_user(BOB)), NOW)  # a member learns nothing by it


def test_an_invitation_that_found_the_room_full_is_not_used() -> None:
    state = state_of(max_members=2)
    state.recall_invitation(CODE, invitation())
    refused(state, ACCEPT, LimitReached)
    state.handle(RemoveMember(caller=BOB, user_id=BOB), NOW)
    state.handle(ACCEPT, NOW)


# --- codes end with their maker's right to make them ---


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize(
    "ending",
    [
        RemoveMember(caller=CID, user_id=CID),
        RemoveMember(caller=ANN, user_id=CID),
        BanMember(caller=ANN, user=make_user(CID)),
    ],
    ids=["leaving", "being removed", "being banned"],
)
def test_the_codes_of_who_goes_end_also_in_the_very_turn_and_stay_ended(ending: RoomCommand, private: bool) -> None:
    state = of_all_roles(private=private)
    invite(state, CID)
    assert EndInvitationsOf(user_id=CID, room_id=ROOM) in state.handle(ending, NOW).writes
    refused(state, ACCEPT, NotFound)
    state.handle(AddMember(caller=ANN, user=make_user(CID), role=Role.MODERATOR), NOW)
    refused(state, ACCEPT, NotFound)


@pytest.mark.parametrize(("private", "ends"), [(True, True), (False, False)])
def test_the_codes_of_who_is_demoted_end_where_a_member_may_not_invite(private: bool, ends: bool) -> None:
    state = of_all_roles(private=private)
    invite(state, CID)
    outcome = state.handle(SetMemberRole(caller=ANN, user_id=CID, role=Role.MEMBER), NOW)
    assert (EndInvitationsOf(user_id=CID, room_id=ROOM) in outcome.writes) == ends
    state.handle(SetMemberRole(caller=ANN, user_id=CID, role=Role.MODERATOR), NOW)
    if ends:
        refused(state, ACCEPT, NotFound)
    else:
        state.handle(ACCEPT, NOW)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OWNER])
def test_codes_outlive_a_promotion_and_the_handing_over_of_the_room(role: Role) -> None:
    state = of_all_roles()
    invite(state, ANN)
    outcome = state.handle(SetMemberRole(caller=ANN, user_id=CID, role=role), NOW)
    assert [type(write).__name__ for write in outcome.writes] == ["SetRole"] * (2 if role is Role.OWNER else 1)
    state.handle(ACCEPT, NOW)


@pytest.mark.parametrize(("maker", "ends"), [(DAN, True), (CID, False)])
def test_a_room_that_is_made_private_ends_the_codes_of_plain_members(maker: UserId, ends: bool) -> None:
    state = of_all_roles(private=False)
    invite(state, maker)
    outcome = state.handle(UpdateRoom(caller=ANN, private=True), NOW)
    assert EndInvitationsOfMembers(room_id=ROOM) in outcome.writes
    refused(state, JOIN, Forbidden)
    state.handle(UpdateRoom(caller=ANN, private=False), NOW)  # what has ended stays so
    if ends:
        refused(state, ACCEPT, NotFound)
    else:
        state.handle(ACCEPT, NOW)


def test_other_settings_end_no_codes() -> None:
    state = of_all_roles(private=True)
    invite(state, CID)
    outcome = state.handle(UpdateRoom(caller=ANN, private=True, name="coffee"), NOW)
    assert [type(write).__name__ for write in outcome.writes] == ["UpdateRoom"]
    state.handle(ACCEPT, NOW)


@pytest.mark.parametrize(
    ("caller", "maker", "may"), [(DAN, DAN, True), (CID, DAN, True), (CID, ANN, True), (DAN, CID, False)]
)
def test_an_invitation_is_revoked_by_its_maker_or_a_moderator(caller: UserId, maker: UserId, may: bool) -> None:
    state = of_all_roles(private=False)
    made = invite(state, maker)
    command = RevokeInvitation(caller=caller, invitation=made)
    if not may:
        assert refused(state, command, RoleNeeded).role == "MODERATOR"
        return
    assert state.handle(command, NOW) == Outcome(writes=(EndInvitation(digest=CODE),))
    refused(state, ACCEPT, NotFound)


def test_an_invitation_to_another_room_is_not_revoked_here() -> None:
    command = RevokeInvitation(caller=ANN, invitation=invitation(room_id=RoomId(7)))
    assert refused(of_all_roles(), command, NotFound).what == "invitation"


# --- who was removed stays out ---


def removed(state: RoomState, *, by: UserId = CID) -> Ban:
    """Have EVE added and removed."""
    state.recall_ban(EVE, None)
    state.handle(ADD, NOW)
    outcome = state.handle(RemoveMember(caller=by, user_id=EVE), NOW)
    [ban] = [write.ban for write in outcome.writes if isinstance(write, PutBan)]
    assert (ban.user_id, ban.room_id, ban.banned_by, ban.created_us, ban.username) == (EVE, ROOM, by, NOW, "eve")
    assert outcome.writes[0] == DeleteMember(room_id=ROOM, user_id=EVE)
    return ban


@pytest.mark.parametrize("by", [ANN, BOB, CID])
def test_who_was_removed_does_not_join_an_open_room(by: UserId) -> None:
    state = of_all_roles(private=False)
    removed(state, by=by)
    refused(state, JOIN, Banned)


def test_who_left_joins_again() -> None:
    state = of_all_roles(private=False)
    state.handle(JOIN, NOW)
    outcome = state.handle(RemoveMember(caller=EVE, user_id=EVE), NOW)
    assert not any(isinstance(write, PutBan) for write in outcome.writes)
    state.handle(JOIN, NOW)
    assert EVE in members(state)


@pytest.mark.parametrize("maker", [ANN, BOB, CID, DAN])
def test_an_invitation_from_before_the_removal_lets_the_removed_in_no_more_and_others_still(maker: UserId) -> None:
    state = of_all_roles(private=False)
    invite(state, maker)
    removed(state)
    refused(state, ACCEPT, Banned)
    state.handle(replace(ACCEPT, user=make_user(20)), NOW)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("maker", [ANN, BOB, CID])
def test_an_invitation_that_a_moderator_or_higher_made_afterwards_lets_them_in_and_lifts_the_ban(
    maker: UserId, private: bool
) -> None:
    state = of_all_roles(private=private)
    ban = removed(state)
    invite(state, maker)
    outcome = state.handle(ACCEPT, NOW)
    assert outcome.writes[1:] == (DeleteBan(ban=ban), UseInvitation(digest=CODE))
    state.handle(RemoveMember(caller=EVE, user_id=EVE), NOW)
    if not private:
        state.handle(JOIN, NOW)  # the ban is gone for good


def test_a_plain_members_invitation_does_not_let_the_removed_in() -> None:
    state = of_all_roles(private=False)
    removed(state)
    invite(state, DAN)
    refused(state, ACCEPT, Banned)
    state.handle(SetMemberRole(caller=ANN, user_id=DAN, role=Role.MODERATOR), NOW)
    refused(state, ACCEPT, Banned)  # it was not a moderator's when it was made
    invite(state, DAN)
    state.handle(ACCEPT, NOW)


def test_an_invitation_of_who_is_a_moderator_no_more_does_not_let_the_removed_in() -> None:
    state = of_all_roles(private=False)
    removed(state)
    invite(state, CID)
    state.handle(SetMemberRole(caller=ANN, user_id=CID, role=Role.MEMBER), NOW)
    refused(state, ACCEPT, Banned)
    state.handle(replace(ACCEPT, user=make_user(20)), NOW)


def test_being_added_lifts_the_ban() -> None:
    state = of_all_roles(private=False)
    ban = removed(state)
    outcome = state.handle(ADD, NOW)
    assert outcome.writes[1:] == (DeleteBan(ban=ban),)
    state.handle(RemoveMember(caller=EVE, user_id=EVE), NOW)
    state.handle(JOIN, NOW)


@pytest.mark.parametrize("by", [ANN, BOB, CID])
def test_who_is_unbanned_comes_by_the_ordinary_ways(by: UserId) -> None:
    state = of_all_roles(private=False)
    invite(state, DAN)
    ban = removed(state)
    assert state.handle(UnbanMember(caller=by, user_id=EVE), NOW) == Outcome(writes=(DeleteBan(ban=ban),))
    state.handle(ACCEPT, NOW)
    assert refused(state, UnbanMember(caller=by, user_id=EVE), NotFound).what == "ban"


def test_who_is_banned_anew_needs_a_newer_invitation() -> None:
    state = of_all_roles(private=False)
    first = removed(state)
    invite(state, CID)
    second = state.handle(BanMember(caller=CID, user=EVE_USER), NOW).answer
    assert isinstance(second, Ban)
    assert second.id > first.id
    refused(state, ACCEPT, Banned)
    invite(state, CID)
    state.handle(ACCEPT, NOW)


def test_a_full_room_takes_the_invited_no_more_than_others_and_the_ban_stays() -> None:
    state = state_of((ANN, BOB, EVE), max_members=3)
    state.handle(RemoveMember(caller=ANN, user_id=EVE), NOW)
    state.handle(AddMember(caller=ANN, user=make_user(20), role=Role.MEMBER), NOW)
    invite(state, ANN)
    refused(state, ACCEPT, LimitReached)
    refused(state, ADD, LimitReached)
    assert state._bans[EVE] is not None


def test_nobody_is_brought_back_to_a_group_by_what_is_for_direct_rooms() -> None:
    state = of_all_roles(private=False)
    removed(state)
    refused(state, RestoreMember(user=EVE_USER), Forbidden)


@pytest.mark.parametrize("command", [JOIN, ACCEPT, ADD, BanMember(caller=ANN, user=EVE_USER)])
def test_whether_somebody_is_banned_is_looked_up_once_a_turn(command: RoomCommand) -> None:
    state = of_all_roles()
    assert state.unknown_ban(command) == EVE
    assert state.lacks(command)
    state.recall_ban(EVE, None)
    assert state.unknown_ban(command) is None
    state.end_turn()
    assert state.unknown_ban(command) == EVE
    assert state.unknown_ban(UnbanMember(caller=ANN, user_id=BOB)) == BOB


def test_a_ban_that_the_store_knows_counts() -> None:
    state = of_all_roles(private=False)
    ban = Ban(id=BanId(9), room_id=ROOM, user_id=EVE, banned_by=CID, created_us=0)
    state.recall_ban(EVE, ban)
    refused(state, JOIN, Banned)
    state.recall_invitation(CODE, invitation())  # from before
    refused(state, ACCEPT, Banned)


# --- who bans whom ---


@pytest.mark.parametrize(
    ("caller", "banned", "error"),
    [
        (ANN, BOB, None),
        (ANN, CID, None),
        (BOB, CID, None),
        (BOB, DAN, None),
        (CID, DAN, None),
        (CID, EVE, None),
        (DAN, EVE, RoleNeeded),
        (DAN, CID, RoleNeeded),
        (CID, BOB, RoleNeeded),
        (CID, ANN, Forbidden),
        (BOB, ANN, Forbidden),
        (ANN, ANN, Invalid),
        (CID, CID, Invalid),
    ],
)
def test_a_moderator_bans_who_stands_lower_and_strangers(
    caller: UserId, banned: UserId, error: type[Forbidden | Invalid] | None
) -> None:
    state = of_all_roles()
    command = BanMember(caller=caller, user=make_user(banned))
    if error is not None:
        refused(state, command, error)
        return
    outcome = state.handle(command, NOW)
    assert isinstance(outcome.answer, Ban)
    assert (outcome.answer.user_id, outcome.answer.banned_by) == (banned, caller)
    assert PutBan(ban=outcome.answer) in outcome.writes
    assert kinds(outcome)[:2] == ([] if banned == EVE else [MemberRemoved, RoomLeft])
    assert banned not in members(state)


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
def test_nobody_bans_an_equal(role: Role) -> None:
    state = state_of((ANN, BOB, CID), roles={ANN: Role.OWNER, BOB: role, CID: role})
    needed = refused(state, BanMember(caller=BOB, user=make_user(CID)), RoleNeeded).role
    assert needed == ("ADMIN" if role is Role.MODERATOR else "OWNER")


def test_below_a_moderator_nobody_unbans() -> None:
    state = of_all_roles()
    removed(state)
    assert refused(state, UnbanMember(caller=DAN, user_id=EVE), RoleNeeded).role == "MODERATOR"


@pytest.mark.parametrize("command", [BanMember(caller=ANN, user=make_user(BOB)), UnbanMember(caller=ANN, user_id=BOB)])
def test_nobody_is_banned_from_a_direct_room(command: RoomCommand) -> None:
    refused(state_of(kind=RoomKind.DIRECT, roles={ANN: Role.OWNER}), command, Forbidden)


def test_banning_a_member_takes_the_next_key_in_the_same_commit_and_a_stranger_none() -> None:
    state = state_of(custody=KeyCustody.SERVER)
    state._key = KeyVersion(version=1, changed_us=0)
    key = RoomKey(room_id=ROOM, version=2, sealed=b"s", created_us=NOW)
    banning = BanMember(caller=ANN, user=make_user(BOB))
    assert refused(state, banning, Conflict).what == "room_key"
    in_advance = state.handle(BanMember(caller=ANN, user=EVE_USER, next_key=key), NOW)
    assert [type(write) for write in in_advance.writes] == [PutBan]
    outcome = state.handle(replace(banning, next_key=key), NOW)
    assert outcome.events[-1] == RoomKeyChanged(room_id=ROOM, version=2)
    assert outcome.writes[0] == DeleteMember(room_id=ROOM, user_id=BOB)
    assert outcome.writes[-1] == InsertRoomKey(key=key)
    assert any(isinstance(write, PutBan) for write in outcome.writes)
