"""What every `Store` promises of who may come into a room: bans, and invitations that end."""

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.engine.model.store import (
    DeleteMember,
    InsertInvitation,
    InsertMember,
    InsertUser,
    SetRole,
    Store,
    UpdateUser,
    WriteRejected,
)
from chinwag.engine.model.store_admissions import (
    AdmissionWrite,
    DeleteBan,
    EndInvitation,
    EndInvitationsOf,
    EndInvitationsOfMembers,
    PutBan,
)
from chinwag.engine.model.store_jobs import DeleteInvitations
from chinwag.engine.model.values import Role, User
from chinwag.engine.testing import make_ban, make_invitation, make_member, make_user
from tests.engine.stores.stores import ANN, BOB, CAT, NOWHERE, OTHER, ROOM, WITHOUT_MESSAGES

pytestmark = WITHOUT_MESSAGES

# --- bans ---


async def test_a_ban_is_kept_and_lifted_and_shows_the_users_present_names(store: Store) -> None:
    ban = make_ban(50, ROOM, CAT, ANN)
    await store.commit([PutBan(ban=ban), PutBan(ban=make_ban(51, OTHER, BOB, ANN))])
    assert await store.ban(ROOM, CAT) == replace(ban, username="cat")
    assert await store.ban(ROOM, BOB) is None
    assert await store.ban(RoomId(10**30), CAT) is None
    changed = make_user(CAT, display_name="Cat", avatar_url="https://x/c.png")
    await store.commit([UpdateUser(user=changed)])
    named = replace(ban, username="cat", display_name="Cat", avatar_url="https://x/c.png")
    assert await store.ban(ROOM, CAT) == named
    assert (await store.bans(ROOM, ANN, skip=0, limit=9)).bans == (named,)
    await store.commit([DeleteBan(ban=ban)])
    assert await store.ban(ROOM, CAT) is None
    with pytest.raises(WriteRejected):
        await store.commit([DeleteBan(ban=ban)])
    assert (await store.ban(OTHER, BOB)) is not None


async def test_who_is_banned_anew_has_one_ban_the_new_one(store: Store) -> None:
    await store.commit([PutBan(ban=make_ban(50, ROOM, CAT, ANN))])
    again = make_ban(60, ROOM, CAT, BOB)
    await store.commit([PutBan(ban=again)])
    assert await store.ban(ROOM, CAT) == replace(again, username="cat")
    assert (await store.bans(ROOM, ANN, skip=0, limit=9)).total == 1


async def test_bans_are_listed_for_members_by_pages_newest_first(store: Store) -> None:
    users = [make_user(20 + n, f"u{n}") for n in range(5)]
    await store.commit([PutBan(ban=make_ban(50, OTHER, BOB, ANN))])
    await insert_users(store, users)
    await store.commit([PutBan(ban=make_ban(60 + n, ROOM, user.id, ANN)) for n, user in enumerate(users)])

    async def page(skip: int, limit: int, viewer: UserId = BOB) -> tuple[list[int], int]:
        found = await store.bans(ROOM, viewer, skip=skip, limit=limit)
        assert (found.access.member is not None) == (viewer == BOB)
        return [ban.id for ban in found.bans], found.total

    assert await page(0, 9) == ([64, 63, 62, 61, 60], 5)
    assert await page(1, 2) == ([63, 62], 5)
    assert await page(9, 2) == ([], 5)
    assert await page(10**30, 10**30) == ([], 5)
    assert await page(0, 9, CAT) == ([], 0)
    nowhere = await store.bans(NOWHERE, ANN, skip=0, limit=9)
    assert (nowhere.access.room, nowhere.bans, nowhere.total) == (None, (), 0)


async def test_a_ban_stays_when_everybody_has_left_the_room(store: Store) -> None:
    await store.commit([PutBan(ban=make_ban(50, ROOM, CAT, ANN))])
    await store.commit([DeleteMember(room_id=ROOM, user_id=user_id) for user_id in (ANN, BOB)])
    assert await store.ban(ROOM, CAT) is not None


async def test_the_ids_of_bans_and_of_forgotten_invitations_are_never_given_again(store: Store) -> None:
    ban = make_ban(3000, ROOM, CAT, ANN)
    await store.commit([PutBan(ban=ban)])
    assert await store.highest_id() == 3000
    await store.commit([DeleteBan(ban=ban)])
    assert await store.highest_id() == 3000
    old = make_invitation(4000, ROOM, ANN)
    await store.commit([InsertInvitation(invitation=old), EndInvitation(digest=old.digest)])
    await store.commit([DeleteInvitations(invitation_ids=(old.id,)), DeleteInvitations(invitation_ids=())])
    assert await store.invitation(old.digest) is None
    assert await store.highest_id() == 4000


# --- invitations ---

GOOD_US = 1_000
"""When the invitations of these tests are good."""


async def insert_users(store: Store, users: list[User]) -> None:
    await store.commit([InsertUser(user=user, password_hash="") for user in users])


async def good(store: Store, viewer: UserId = ANN, *, room_id: RoomId = ROOM) -> list[int]:
    """The ids of the invitations to a room that are good and that a viewer may see."""
    found = await store.invitations(room_id, viewer, all_from=Role.MODERATOR, now_us=GOOD_US, skip=0, limit=9)
    assert found.total == len(found.invitations)
    return [invitation.id for invitation in found.invitations]


async def test_good_invitations_are_listed_newest_first_all_for_a_moderator_and_else_the_own(store: Store) -> None:
    await store.commit(
        [
            *(InsertInvitation(invitation=make_invitation(50 + n, ROOM, maker)) for n, maker in enumerate((ANN, BOB))),
            InsertInvitation(invitation=make_invitation(52, ROOM, BOB, max_uses=2, uses=1, maker_role=Role.MODERATOR)),
            InsertInvitation(invitation=make_invitation(53, ROOM, BOB, max_uses=2, uses=2)),
            InsertInvitation(invitation=replace(make_invitation(54, ROOM, BOB), expires_us=GOOD_US)),
            InsertInvitation(invitation=make_invitation(55, OTHER, ANN)),
        ]
    )
    assert await good(store) == [52, 51, 50]
    assert await good(store, BOB) == [52, 51]
    assert await good(store, CAT) == []
    assert await good(store, room_id=OTHER) == [55]
    assert await good(store, room_id=NOWHERE) == []
    await store.commit([SetRole(room_id=ROOM, user_id=BOB, role=Role.MODERATOR)])
    assert await good(store, BOB) == [52, 51, 50]
    page = await store.invitations(ROOM, BOB, all_from=Role.MODERATOR, now_us=GOOD_US, skip=1, limit=1)
    assert ([each.id for each in page.invitations], page.total) == ([51], 3)
    page = await store.invitations(ROOM, BOB, all_from=Role.OWNER, now_us=GOOD_US, skip=10**30, limit=10**30)
    assert (page.invitations, page.total) == ((), 2)
    first = await store.invitation_to(ROOM, InvitationId(52))
    assert first == make_invitation(52, ROOM, BOB, max_uses=2, uses=1, maker_role=Role.MODERATOR)


async def test_an_invitation_is_found_by_its_id_in_its_room_alone(store: Store) -> None:
    invitation = make_invitation(50, ROOM, ANN)
    await store.commit([InsertInvitation(invitation=invitation)])
    assert await store.invitation_to(ROOM, invitation.id) == invitation
    assert await store.invitation_to(OTHER, invitation.id) is None
    assert await store.invitation_to(ROOM, InvitationId(51)) is None
    assert await store.invitation_to(ROOM, InvitationId(10**30)) is None


@pytest.mark.parametrize(
    ("ending", "left"),
    [
        (EndInvitation(digest=make_invitation(50, ROOM, ANN).digest), {ROOM: [52, 51], OTHER: [53]}),
        (EndInvitation(digest=b"unknown"), {ROOM: [52, 51, 50], OTHER: [53]}),
        (EndInvitationsOf(user_id=ANN, room_id=ROOM), {ROOM: [52, 51], OTHER: [53]}),
        (EndInvitationsOf(user_id=ANN, room_id=None), {ROOM: [52, 51], OTHER: []}),
        (EndInvitationsOf(user_id=CAT, room_id=ROOM), {ROOM: [51, 50], OTHER: [53]}),
        (EndInvitationsOfMembers(room_id=ROOM), {ROOM: [50], OTHER: [53]}),
        (EndInvitationsOfMembers(room_id=NOWHERE), {ROOM: [52, 51, 50], OTHER: [53]}),
    ],
)
async def test_invitations_end_one_by_one_by_maker_or_all_of_who_is_no_moderator(
    store: Store, ending: AdmissionWrite, left: dict[RoomId, list[int]]
) -> None:
    """Ann is an admin of the room, Bob a member, Cat has left it."""
    makers = {50: (ROOM, ANN), 51: (ROOM, BOB), 52: (ROOM, CAT), 53: (OTHER, ANN)}
    await store.commit(
        [InsertInvitation(invitation=make_invitation(n, room, maker)) for n, (room, maker) in makers.items()]
    )
    await store.commit([ending])
    assert {ROOM: await good(store), OTHER: await good(store, room_id=OTHER)} == left
    for n, (room_id, _) in makers.items():
        invitation = await store.invitation_to(room_id, InvitationId(n))
        assert invitation is not None
        assert (invitation.expires_us == 0) == (n not in left[room_id])


async def test_the_end_of_a_makers_invitations_is_part_of_what_takes_them_out(store: Store) -> None:
    await store.commit([InsertInvitation(invitation=make_invitation(50, ROOM, BOB))])
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB), EndInvitationsOf(user_id=BOB, room_id=ROOM)])
    await store.commit([InsertMember(room_id=ROOM, member=make_member(BOB, role=Role.ADMIN))])
    assert await good(store, BOB) == []


async def test_those_that_ended_by_a_time_are_listed_and_deleted(store: Store) -> None:
    old = [replace(make_invitation(50 + n, ROOM, ANN), expires_us=100 + n) for n in range(3)]
    ended, good = make_invitation(60, OTHER, ANN), make_invitation(61, ROOM, ANN)
    await store.commit([InsertInvitation(invitation=each) for each in (*old, ended, good)])
    await store.commit([EndInvitation(digest=ended.digest)])
    assert await store.ended_invitations(by_us=101, limit=9) == [60, 50, 51]
    assert await store.ended_invitations(by_us=101, limit=2) == [60, 50]
    gone = (InvitationId(60), InvitationId(50))
    for _ in range(2):  # those that are gone are no error
        await store.commit([DeleteInvitations(invitation_ids=gone)])
    assert await store.ended_invitations(by_us=101, limit=9) == [51]
    found = [await store.invitation(each.digest) for each in (*old, ended, good)]
    assert found == [None, old[1], old[2], None, good]
