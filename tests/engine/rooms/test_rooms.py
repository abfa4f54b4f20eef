"""The engine's methods about rooms and messages, as a front calls them."""

import math

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.engine import EngineConfig
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.commands import RemoveMember
from chinwag.engine.model.errors import (
    Forbidden,
    Invalid,
    LimitReached,
    NotAMember,
    NotFound,
    RoleNeeded,
)
from chinwag.engine.model.events import MessagePosted, ReactionAdded, ReactionRemoved, RoomJoined, RoomUpdated
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import KeyCustody, MessageKind, Role
from chinwag.engine.rooms.invitations import MOST_INVITATION_S, MOST_INVITATION_USES
from chinwag.engine.rooms.memory import RECENT_MESSAGES
from chinwag.engine.testing.clock import SetClock
from chinwag.engine.testing.harness import EngineHarness, RoomHarness, open_harness, texts

IDLE_S = 2.0


async def test_a_group_is_made_as_asked_for(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.engine.rooms.create(
        ann.id,
        name="tea",
        description="hot",
        member_ids=[bob.id],
        private=False,
        max_members=2,
        auto_summary=True,
        summary_threshold=9,
        announces=True,
    )
    assert await h.engine.rooms.get(room.id, bob.id) == room
    assert (room.private, room.max_members, room.auto_summary, room.summary_threshold) == (False, 2, True, 9)
    assert (room.announces, room.custody) == (True, KeyCustody.CLIENT)
    assert [member.role for member in await h.engine.rooms.members(room.id, ann.id)] == [Role.OWNER, Role.MEMBER]


@pytest.mark.parametrize(
    ("setting", "value"), [("max_members", 0), ("summary_threshold", 0), ("name", "a\0"), ("description", "\ud800")]
)
async def test_a_group_that_makes_no_sense_is_not_made(
    h: EngineHarness, autojump_clock: MockClock, setting: str, value: object
) -> None:
    ann = await h.join("ann")
    with pytest.raises(Invalid) as refusal:
        await h.engine.rooms.create(ann.id, **{"name": "tea", setting: value})  # type: ignore[arg-type]
    assert refusal.value.field == setting


async def test_a_group_is_not_made_fuller_than_it_may_be(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, cat = [await h.join(name) for name in ("ann", "bob", "cat")]
    with pytest.raises(LimitReached) as refusal:
        await h.engine.rooms.create(ann.id, name="tea", member_ids=[bob.id, cat.id], max_members=2)
    assert refusal.value.what == "members"


async def test_a_room_says_who_is_there_from_the_beginning_but_for_its_maker(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, cat = [await h.join(name) for name in ("ann", "bob", "cat")]
    room = await h.engine.rooms.create(ann.id, name="tea", member_ids=[bob.id, cat.id], announces=True)
    said = await h.engine.messages.history(room.id, ann.id, skip=0, limit=9)
    assert [(each.message.seq, each.message.text) for each in said] == [(2, "cat joined"), (1, "bob joined")]
    assert {each.message.kind for each in said} == {MessageKind.SYSTEM}
    assert (await h.post(room, ann, "hello")).seq == 3


async def test_what_happens_in_a_room_happens_at_the_engines_time(autojump_clock: MockClock) -> None:
    clock = SetClock()
    async with open_harness(clock=clock) as h:
        ann, bob, cat = [await h.join(name) for name in ("ann", "bob", "cat")]
        room = await h.room("tea", ann)
        clock.advance(60)
        message = await h.post(room, ann, "hello")
        member = await h.engine.rooms.add_member(room.id, ann.id, bob.id, Role.MEMBER)
        _, code = await h.engine.invitations.create(room.id, ann.id, max_uses=1, lifetime_s=60)
        assert message.created_us == clock()
        assert message.created_us <= member.joined_us <= clock() + 1
        clock.advance(60)
        with pytest.raises(NotFound, match="invitation"):
            await h.engine.invitations.accept(code, cat.id)


async def test_who_leaves_hears_of_it_and_nothing_after(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.engine.rooms.create(ann.id, name="tea", member_ids=[bob.id], announces=True)
    client = await h.connect(bob, room)
    client.received()
    await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
    await h.post(room, ann, "at last")
    assert texts(client.received()) == ["bob was removed"]


async def test_an_open_group_is_joined_and_a_private_one_is_not(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    client = await h.connect(bob)
    open_room = await h.engine.rooms.create(ann.id, name="tea", private=False)
    member = await h.engine.rooms.join(open_room.id, bob.id)
    assert (member.user_id, member.role) == (bob.id, Role.MEMBER)
    assert await h.engine.rooms.join(open_room.id, bob.id) == member
    assert [type(event) for event in client.received()] == [RoomJoined]
    private_room = await h.engine.rooms.create(ann.id, name="coffee")
    with pytest.raises(Forbidden):
        await h.engine.rooms.join(private_room.id, bob.id)
    with pytest.raises(NotFound):
        await h.engine.rooms.join(RoomId(5), bob.id)
    with pytest.raises(Invalid):
        await h.engine.rooms.join(open_room.id, UserId(5))


async def test_a_full_room_takes_one_of_many_who_come_at_once(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.engine.rooms.create(ann.id, name="tea", private=False, max_members=3)
    outcomes: list[object] = []

    async def come(user_id: UserId) -> None:
        try:
            outcomes.append(await h.engine.rooms.join(room.id, user_id))
        except LimitReached as full:
            outcomes.append(full.what)

    guests = [await h.join(f"guest{n}") for n in range(8)]
    async with trio.open_nursery() as nursery:
        for guest in guests:
            nursery.start_soon(come, guest.id)
    assert outcomes.count("members") == 6
    assert len(await h.engine.rooms.members(room.id, ann.id)) == 3


# --- invitations ---


async def test_an_invitations_code_is_shown_once_and_lets_in(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann)
    invitation, code = await h.engine.invitations.create(room.id, ann.id, max_uses=1, lifetime_s=60)
    assert (invitation.room_id, invitation.created_by, invitation.uses) == (room.id, ann.id, 0)
    assert invitation.expires_us == invitation.created_us + 60_000_000
    assert code.encode() not in invitation.digest
    joined, member = await h.engine.invitations.accept(code, bob.id)
    assert (joined, member.user_id) == (room, bob.id)
    assert await h.engine.invitations.accept(code, bob.id) == (room, member)
    stored = await h.store.invitation(invitation.digest)
    assert stored is not None
    assert stored.uses == 1
    cat = await h.join("cat")
    with pytest.raises(NotFound):
        await h.engine.invitations.accept(code, cat.id)


@pytest.mark.parametrize(
    "code", ["", "x", "A" * 21, "A" * 22, "A" * 23, "A" * 21 + "!", "A" * 21 + "é", "A" * 22 + "\n"]
)
async def test_a_code_that_is_none_is_not_found(h: EngineHarness, autojump_clock: MockClock, code: str) -> None:
    ann = await h.join("ann")
    with pytest.raises(NotFound) as refusal:
        await h.engine.invitations.accept(code, ann.id)
    assert refusal.value.what == "invitation"


async def test_an_invitation_to_a_room_that_is_gone_is_not_found(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann)
    _, code = await h.engine.invitations.create(room.id, ann.id, max_uses=1, lifetime_s=60)
    await h.engine.rooms.delete(room.id, ann.id)
    with pytest.raises(NotFound) as refusal:
        await h.engine.invitations.accept(code, bob.id)
    assert refusal.value.what == "invitation"


@pytest.mark.parametrize(
    ("field", "max_uses", "lifetime_s"),
    [
        ("max_uses", 0, 60.0),
        ("max_uses", MOST_INVITATION_USES + 1, 60.0),
        ("lifetime_s", 1, 0.0),
        ("lifetime_s", 1, MOST_INVITATION_S + 1),
        ("lifetime_s", 1, math.nan),
        ("lifetime_s", 1, math.inf),
    ],
)
async def test_an_invitation_that_makes_no_sense_is_not_made(
    h: EngineHarness, autojump_clock: MockClock, field: str, max_uses: int, lifetime_s: float
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    with pytest.raises(Invalid) as refusal:
        await h.engine.invitations.create(room.id, ann.id, max_uses=max_uses, lifetime_s=lifetime_s)
    assert refusal.value.field == field


# --- settings and roles ---


async def test_settings_are_kept_and_told(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    engine = room.h.engine
    changed = await engine.rooms.update(room.id, ann.user, name="coffee", max_members=2)
    assert (changed.name, changed.max_members) == ("coffee", 2)
    assert await engine.rooms.get(room.id, bob.user) == changed
    assert bob.received() == [RoomUpdated(room_id=room.id, room=changed)]
    with pytest.raises(RoleNeeded):
        await engine.rooms.update(room.id, bob.user, name="mine")
    with pytest.raises(Invalid):
        await engine.rooms.update(room.id, ann.user, name="a\0")


async def test_a_moderator_is_made_and_may_what_one_may(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob, cat = await room.join("ann"), await room.join("bob"), await room.join("cat")
    engine = room.h.engine
    with pytest.raises(RoleNeeded):
        await engine.rooms.remove_member(room.id, bob.user, cat.user)
    member = await engine.rooms.set_member_role(room.id, ann.user, bob.user, Role.MODERATOR)
    assert member.role is Role.MODERATOR
    await engine.rooms.remove_member(room.id, bob.user, cat.user)
    with pytest.raises(RoleNeeded) as refusal:
        await engine.rooms.delete(room.id, bob.user, least=Role.OWNER)
    assert refusal.value.role == "OWNER"


# --- messages ---


async def test_reactions_are_heard_kept_and_on_every_page(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    engine = room.h.engine
    old = await room.h.post(room.room, ann.person, "old")
    for n in range(RECENT_MESSAGES):
        await room.h.post(room.room, ann.person, f"{n}")
    bob.received()
    reacted = await engine.messages.add_reaction(room.id, bob.user, old.id, "👍")
    [reaction] = reacted.message.reactions
    assert (reaction.user_id, reaction.username, reaction.emoji) == (bob.user, "bob", "👍")
    assert bob.received() == [ReactionAdded(room_id=room.id, message_id=old.id, reaction=reaction)]
    assert await engine.messages.get(room.id, ann.user, old.id) == reacted
    left = await engine.messages.remove_reaction(room.id, bob.user, old.id, "👍")
    assert left.message == old
    assert [type(event) for event in bob.received()] == [ReactionRemoved]


async def test_a_page_that_was_kept_while_a_room_slept_shows_reactions_edits_and_profiles(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        message = await h.post(room, ann, "hello")

        async def page_of_a_sleeping_room() -> list[tuple[str, int, str | None]]:
            await trio.sleep(2 * IDLE_S)
            assert h.engine.rooms.active_count() == 0
            viewed = await h.engine.messages.history(room.id, ann.id, skip=0, limit=9)
            return [
                (each.message.text, len(each.message.reactions), each.message.author_display_name) for each in viewed
            ]

        assert await page_of_a_sleeping_room() == [("hello", 0, None)]
        await h.engine.messages.add_reaction(room.id, ann.id, message.id, "👍")
        assert await page_of_a_sleeping_room() == [("hello", 1, None)]
        await h.engine.messages.edit(room.id, ann.id, message.id, text="bye")
        assert await page_of_a_sleeping_room() == [("bye", 1, None)]
        await h.engine.accounts.update_profile(ann.id, display_name="Ann")
        assert await page_of_a_sleeping_room() == [("bye", 1, "Ann")]


async def test_a_page_of_a_room_that_is_awake_shows_the_profile_of_who_has_left(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.h.post(room.room, bob.person, "hello")
    await room.ask(RemoveMember(caller=bob.user, user_id=bob.user))
    await room.h.engine.accounts.update_profile(bob.user, display_name="Bob")
    await trio.testing.wait_all_tasks_blocked()
    [viewed] = await room.h.engine.messages.history(room.id, ann.user, skip=0, limit=1)
    assert viewed.message.author_display_name == "Bob"


async def test_paging_by_time_skips_and_repeats_nothing(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann = await room.join("ann")
    slots = [room.tell(post_command(ann.user, text=f"{n}")) for n in range(25)]  # one turn: one reading of the clock
    for slot in slots:
        await slot.result()
    engine = room.h.engine
    seen: list[str] = []
    before: int | None = None
    while True:
        page, total = await engine.messages.history_between(room.id, ann.user, before_us=before, limit=4)
        if not page:
            break
        assert total == 25 - len(seen)
        seen += [each.message.text for each in page]
        before = page[-1].message.created_us
    assert seen == [f"{n}" for n in reversed(range(25))]
    assert len([event for event in ann.received() if isinstance(event, MessagePosted)]) == 25


async def test_one_message_is_for_members_and_of_this_room(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, coffee = await h.room("tea", ann), await h.room("coffee", ann)
    message = await h.post(tea, ann, "hello")
    assert (await h.engine.messages.get(tea.id, ann.id, message.id)).message == message
    for room, message_id in ((coffee, message.id), (tea, MessageId(5))):
        with pytest.raises(NotFound):
            await h.engine.messages.get(room.id, ann.id, message_id)
    for attempt in (
        h.engine.messages.get(tea.id, bob.id, message.id),
        h.engine.messages.history_between(tea.id, bob.id, limit=9),
        h.engine.messages.add_reaction(tea.id, bob.id, message.id, "👍"),
        h.engine.invitations.create(tea.id, bob.id, max_uses=1, lifetime_s=1),
    ):
        with pytest.raises(NotAMember):
            await attempt
