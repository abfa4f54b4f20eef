"""Invitations and bans as a front uses them: the engine's methods, over rooms that wake and sleep."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.errors import Banned, Forbidden, Invalid, NotAMember, NotFound, RoleNeeded, StoreUnavailable
from chinwag.engine.model.events import MemberRemoved, RoomJoined, RoomKeyChanged, RoomLeft
from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.engine.model.values import KeyCustody, Role, Room
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness, texts

IDLE_S = 2.0
A_DAY_S = 86_400.0


async def four(h: EngineHarness, *, private: bool = False, custody: KeyCustody = KeyCustody.CLIENT) -> "Scene":
    """A group: Ann owns it, Mod is a moderator, Bob a member; Eve is a stranger."""
    ann, mod, bob, eve = [await h.join(name) for name in ("ann", "mod", "bob", "eve")]
    room = await h.engine.rooms.create(
        ann.id, name="tea", member_ids=[mod.id, bob.id], private=private, custody=custody
    )
    await h.engine.rooms.set_member_role(room.id, ann.id, mod.id, Role.MODERATOR)
    return Scene(h, room, ann, mod, bob, eve)


class Scene:
    def __init__(self, h: EngineHarness, room: Room, ann: Person, mod: Person, bob: Person, eve: Person) -> None:
        self.h, self.engine, self.room = h, h.engine, room
        self.ann, self.mod, self.bob, self.eve = ann, mod, bob, eve

    async def code(self, maker: Person, *, max_uses: int = 1_000) -> str:
        """A new invitation's code."""
        _, code = await self.engine.invitations.create(self.room.id, maker.id, max_uses=max_uses, lifetime_s=A_DAY_S)
        return code

    async def remove(self, removed: Person, *, by: Person | None = None) -> None:
        await self.engine.rooms.remove_member(self.room.id, (by or self.ann).id, removed.id)

    async def is_member(self, person: Person) -> bool:
        return (await self.h.store.access(self.room.id, person.id)).member is not None

    async def banned(self, viewer: Person | None = None) -> list[UserId]:
        page = await self.engine.bans.of_room(self.room.id, (viewer or self.mod).id, limit=9)
        assert page.total == len(page.bans)
        return [ban.user_id for ban in page.bans]

    async def listed(self, viewer: Person) -> list[InvitationId]:
        page = await self.engine.invitations.of_room(self.room.id, viewer.id, limit=9)
        return [invitation.id for invitation in page.invitations]


# --- who was removed stays out ---


@pytest.mark.parametrize("private", [True, False])
async def test_a_moderator_who_was_removed_does_not_come_back_by_their_own_code(
    h: EngineHarness, autojump_clock: MockClock, private: bool
) -> None:
    s = await four(h, private=private)
    code = await s.code(s.mod)
    await s.remove(s.mod)
    for person in (s.mod, s.eve):
        with pytest.raises(NotFound) as refusal:
            await s.engine.invitations.accept(code, person.id)
        assert refusal.value.what == "invitation"
    with pytest.raises(NotFound):
        await s.engine.invitations.get(code)
    with pytest.raises(Forbidden):
        await s.engine.rooms.join(s.room.id, s.mod.id)
    assert not await s.is_member(s.mod)


@pytest.mark.parametrize("asleep", [True, False])
async def test_a_ban_is_kept_over_sleep_and_restart(autojump_clock: MockClock, asleep: bool) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        s = await four(h)
        code = await s.code(s.ann)
        await s.remove(s.bob, by=s.mod)
        store = h.store
        if asleep:
            await trio.sleep(2 * IDLE_S)
            assert h.engine.rooms.active_count() == 0
        with pytest.raises(Banned):
            await h.engine.rooms.join(s.room.id, s.bob.id)
    async with open_harness(store) as h:
        with pytest.raises(Banned):
            await h.engine.invitations.accept(code, s.bob.id)
        assert (await h.engine.invitations.accept(code, s.eve.id))[1].user_id == s.eve.id
        _, new = await h.engine.invitations.create(s.room.id, s.mod.id, max_uses=1, lifetime_s=60)
        assert (await h.engine.invitations.accept(new, s.bob.id))[1].role is Role.MEMBER


async def test_who_was_removed_gets_nothing_of_the_room_any_more(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h)
    position = await h.post(s.room, s.ann, "before lemon")
    client = await h.connect(s.bob, s.room)
    await s.engine.bans.add(s.room.id, s.mod.id, s.bob.id)
    await h.post(s.room, s.ann, "after lemon")
    assert client.received()[-2:] == [
        MemberRemoved(room_id=s.room.id, user_id=s.bob.id, username="bob"),
        RoomLeft(room_id=s.room.id, user_id=s.bob.id),
    ]
    for attempt in (
        s.engine.messages.history(s.room.id, s.bob.id, skip=0, limit=9),
        s.engine.messages.get(s.room.id, s.bob.id, position.id),
        s.engine.messages.search(s.bob.id, text="lemon", room_id=s.room.id, limit=9),
        s.engine.messages.search_ranked(s.bob.id, s.room.id, "lemon", limit=9),
        s.engine.files.require_member(s.bob.id, s.room.id),
        s.engine.keys.for_member(s.room.id, s.bob.id),
        s.engine.rooms.members(s.room.id, s.bob.id),
        s.engine.bans.of_room(s.room.id, s.bob.id, limit=9),
        s.engine.invitations.of_room(s.room.id, s.bob.id, limit=9),
        s.engine.messages.post(s.room.id, s.bob.id, text="x"),
        s.engine.invitations.create(s.room.id, s.bob.id, max_uses=1, lifetime_s=1),
    ):
        with pytest.raises(NotAMember):
            await attempt
    assert (await s.engine.messages.search(s.bob.id, text="lemon", limit=9)).messages == ()
    assert (await s.engine.rooms.of(s.bob.id, limit=9)).rooms == ()
    resumed = await h.connect(s.bob, everywhere=True, since=position.id)
    assert texts(resumed.received()) == []


async def test_being_added_brings_back_and_a_later_departure_leaves_no_ban(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    s = await four(h)
    await s.remove(s.bob)
    assert await s.banned() == [s.bob.id]
    await s.engine.rooms.add_member(s.room.id, s.ann.id, s.bob.id, Role.MEMBER)
    assert await s.banned() == []
    await s.remove(s.bob, by=s.bob)
    await s.engine.rooms.join(s.room.id, s.bob.id)


async def test_a_ban_in_advance_keeps_a_stranger_out_until_it_is_lifted(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    s = await four(h)
    code = await s.code(s.ann)
    ban = await s.engine.bans.add(s.room.id, s.mod.id, s.eve.id)
    assert (ban.user_id, ban.username, ban.banned_by) == (s.eve.id, "eve", s.mod.id)
    for attempt in (s.engine.rooms.join(s.room.id, s.eve.id), s.engine.invitations.accept(code, s.eve.id)):
        with pytest.raises(Banned):
            await attempt
    await s.engine.bans.lift(s.room.id, s.mod.id, s.eve.id)
    with pytest.raises(NotFound) as refusal:
        await s.engine.bans.lift(s.room.id, s.mod.id, s.eve.id)
    assert refusal.value.what == "ban"
    await s.engine.rooms.join(s.room.id, s.eve.id)


async def test_bans_are_seen_and_made_by_moderators_and_of_users_there_are(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    s = await four(h)
    await s.engine.bans.add(s.room.id, s.ann.id, s.eve.id)
    await s.engine.bans.add(s.room.id, s.mod.id, s.bob.id)
    assert await s.banned(s.ann) == await s.banned(s.mod) == [s.bob.id, s.eve.id]
    cat = await h.join("cat")
    await s.engine.rooms.add_member(s.room.id, s.ann.id, cat.id, Role.MEMBER)
    for attempt in (
        s.engine.bans.of_room(s.room.id, cat.id, limit=9),
        s.engine.bans.add(s.room.id, cat.id, s.eve.id),
        s.engine.bans.lift(s.room.id, cat.id, s.eve.id),
    ):
        with pytest.raises(RoleNeeded) as refusal:
            await attempt
        assert refusal.value.role == "MODERATOR"
    with pytest.raises(NotFound) as missing:
        await s.engine.bans.add(s.room.id, s.mod.id, UserId(5))
    assert missing.value.what == "user"
    with pytest.raises(NotAMember):  # a stranger learns nothing about users
        await s.engine.bans.add(s.room.id, s.eve.id, UserId(5))
    with pytest.raises(NotFound):
        await s.engine.bans.add(RoomId(5), s.ann.id, s.eve.id)


async def test_nobody_is_banned_from_a_direct_room_and_none_is_listed(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.engine.rooms.direct(ann.id, bob.id)
    with pytest.raises(Forbidden):
        await h.engine.bans.add(room.id, ann.id, bob.id)
    with pytest.raises(RoleNeeded):
        await h.engine.bans.of_room(room.id, ann.id, limit=9)
    with pytest.raises(Invalid):
        await h.engine.invitations.create(room.id, ann.id, max_uses=1, lifetime_s=1)
    assert (await h.engine.invitations.of_room(room.id, ann.id, limit=9)).invitations == ()


async def test_a_deleted_rooms_bans_go_with_it(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h)
    await s.remove(s.bob)
    assert await s.engine.rooms.delete(s.room.id, s.ann.id)
    assert await h.store.ban(s.room.id, s.bob.id) is None


async def test_a_room_that_everybody_left_keeps_its_bans(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h)
    await s.remove(s.bob)
    for each in (s.mod, s.ann):
        await s.remove(each, by=each)
    with pytest.raises(Banned):
        await s.engine.rooms.join(s.room.id, s.bob.id)
    await s.engine.rooms.join(s.room.id, s.eve.id)


@pytest.mark.parametrize("order", ["ban first", "accept first"])
async def test_of_a_ban_and_a_joining_at_once_the_ban_holds(
    h: EngineHarness, autojump_clock: MockClock, order: str
) -> None:
    s = await four(h)
    code = await s.code(s.ann)
    h.store.delay_s = 1.0  # both are in the room's mailbox before either is committed

    async def accept() -> None:
        try:
            await s.engine.invitations.accept(code, s.eve.id)
        except Banned:
            assert order == "ban first"

    async def ban() -> None:
        await s.engine.bans.add(s.room.id, s.mod.id, s.eve.id)

    async with trio.open_nursery() as nursery:
        for task in (ban, accept) if order == "ban first" else (accept, ban):
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
    assert not await s.is_member(s.eve)
    with pytest.raises(Banned):
        await s.engine.rooms.join(s.room.id, s.eve.id)


async def test_a_commit_that_is_lost_takes_the_ban_along_with_the_removal(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    s = await four(h)
    h.store.fail_next_commits(1, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await s.remove(s.bob, by=s.mod)
    assert await s.is_member(s.bob)
    assert await s.banned() == []


async def test_banning_a_member_changes_the_servers_key_once(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h, custody=KeyCustody.SERVER)
    watching = await h.connect(s.ann, s.room)
    commits = h.store.commits
    await s.engine.bans.add(s.room.id, s.mod.id, s.bob.id)
    assert h.store.commits == commits + 1
    assert [key.version for key in await h.store.room_keys(s.room.id)] == [1, 2]
    assert RoomKeyChanged(room_id=s.room.id, version=2) in watching.received()
    await s.engine.bans.add(s.room.id, s.mod.id, s.eve.id)  # no member: nobody had the key
    assert [key.version for key in await h.store.room_keys(s.room.id)] == [1, 2]


# --- invitations ---


async def test_moderators_see_and_revoke_all_invitations_and_a_member_their_own(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    s = await four(h)
    (by_ann, code), (by_bob, _) = [
        await s.engine.invitations.create(s.room.id, each.id, max_uses=3, lifetime_s=60) for each in (s.ann, s.bob)
    ]
    assert await s.listed(s.ann) == await s.listed(s.mod) == [by_bob.id, by_ann.id]
    assert await s.listed(s.bob) == [by_bob.id]
    with pytest.raises(RoleNeeded):
        await s.engine.invitations.revoke(s.room.id, s.bob.id, by_ann.id)
    with pytest.raises(NotAMember):
        await s.engine.invitations.revoke(s.room.id, s.eve.id, by_ann.id)
    await s.engine.invitations.revoke(s.room.id, s.mod.id, by_ann.id)
    await s.engine.invitations.revoke(s.room.id, s.bob.id, by_bob.id)
    assert await s.listed(s.ann) == []
    for invitation_id in (by_ann.id, InvitationId(5)):
        with pytest.raises(NotFound) as missing:
            await s.engine.invitations.revoke(s.room.id, s.mod.id, invitation_id)
        assert missing.value.what == "invitation"
    for attempt in (s.engine.invitations.accept(code, s.eve.id), s.engine.invitations.get(code)):
        with pytest.raises(NotFound):
            await attempt


async def test_an_invitation_is_revoked_in_its_own_room_alone(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h)
    invitation, code = await s.engine.invitations.create(s.room.id, s.ann.id, max_uses=1, lifetime_s=60)
    other = await h.room("other", s.eve)
    with pytest.raises(NotFound):
        await s.engine.invitations.revoke(other.id, s.eve.id, invitation.id)
    assert (await s.engine.invitations.get(code))[1] == invitation


async def test_used_up_invitations_are_not_listed(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h)
    code = await s.code(s.ann, max_uses=1)
    assert len(await s.listed(s.ann)) == 1
    await s.engine.invitations.accept(code, s.eve.id)
    assert await s.listed(s.ann) == []


async def test_the_codes_of_a_deactivated_account_end_for_good(h: EngineHarness, autojump_clock: MockClock) -> None:
    s = await four(h)
    code = await s.code(s.mod)
    await s.engine.accounts.set_active(s.mod.id, False)
    await s.engine.accounts.set_active(s.mod.id, True)
    with pytest.raises(NotFound):
        await s.engine.invitations.accept(code, s.eve.id)


async def test_who_gives_up_waiting_and_accepts_again_is_a_member_once(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    s = await four(h)
    await s.remove(s.bob)
    code = await s.code(s.mod, max_uses=1)
    client = await h.connect(s.bob)
    h.store.delay_s = 5.0
    with trio.move_on_after(1.0):
        await s.engine.invitations.accept(code, s.bob.id)
    room, member = await s.engine.invitations.accept(code, s.bob.id)
    assert (room, member.user_id) == (s.room, s.bob.id)
    assert client.received() == [RoomJoined(room_id=room.id, user_id=s.bob.id, room=room)]
    assert await s.banned() == []
