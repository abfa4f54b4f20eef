"""Keys in client custody: members seal them for each other, and nobody is shut out by a bad one."""

import os

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.model.errors import (
    Conflict,
    Invalid,
    NotAMember,
    NotFound,
)
from chinwag.engine.model.events import MemberKeyReplaced, MemberRemoved, RoomKeyChanged
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.keys import KeyRing
from chinwag.engine.model.store import RoomSnapshot, SetRole
from chinwag.engine.model.values import KeyCustody, Role, Room
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness
from tests.engine.encryption.key_holders import device, join, of_keys, room_of
from tests.engine.encryption.rooms_with_keys import encrypt


async def test_members_seal_keys_for_each_other_and_the_server_reads_nothing(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob, custody=KeyCustody.CLIENT)
    watching = await h.connect(bob, room)
    public = await h.engine.keys.public_keys(room.id, ann.id)
    assert public == {ann.id: device("ann").public_pem, bob.id: device("bob").public_pem}
    assert await h.engine.keys.for_member(room.id, bob.id) == KeyRing(custody=KeyCustody.CLIENT, newest=0, keys=())
    await h.engine.keys.put_member_keys(room.id, ann.id, 1, {ann.id: "for ann", bob.id: "for bob"})
    assert watching.received() == [RoomKeyChanged(room_id=room.id, version=1)]
    for person, sealed in ((ann, "for ann"), (bob, "for bob")):
        ring = await h.engine.keys.for_member(room.id, person.id)
        [key] = ring.keys
        assert (ring.newest, key.version, key.sealed, key.sealed_by) == (1, 1, sealed, ann.id)
    content = await h.engine.keys.content_of(room.id, ann.id, encrypt(os.urandom(32), "secret"))
    assert content.text == ""


async def test_keys_for_a_room_that_is_deleted_meanwhile_are_refused(autojump_clock: MockClock) -> None:
    class Gated(MemoryStore):
        gate: trio.Event | None = None

        async def room_snapshot(self, room_id: RoomId, *, recent: int) -> RoomSnapshot | None:
            found = await super().room_snapshot(room_id, recent=recent)
            gate, self.gate = self.gate, None
            if gate is not None:
                await gate.wait()
            return found

    store = Gated()
    async with open_harness(store) as h, trio.open_nursery() as nursery:
        [ann] = await join(h, "ann")
        room = await h.room("tea", ann)
        await h.post(room, ann, "awake")
        gate = store.gate = trio.Event()

        async def delete() -> None:
            await trio.testing.wait_all_tasks_blocked()
            await h.engine.rooms.delete(room.id, ann.id)
            gate.set()

        nursery.start_soon(delete)
        with pytest.raises(NotFound):
            await h.engine.keys.put_member_keys(room.id, ann.id, 1, {ann.id: "a"})


async def test_a_key_for_a_newcomer_is_no_new_version(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob, custody=KeyCustody.CLIENT)
    await h.engine.keys.put_member_keys(room.id, ann.id, 1, {ann.id: "a"})
    await h.engine.keys.put_member_keys(room.id, ann.id, 2, {ann.id: "a2"})
    watching = await h.connect(bob, room)
    for version in (1, 2):
        await h.engine.keys.put_member_keys(room.id, ann.id, version, {bob.id: f"b{version}"})
        ring = await h.engine.keys.for_member(room.id, bob.id)
        assert ([key.version for key in ring.keys], ring.newest) == (list(range(1, version + 1)), 2)
    assert watching.received() == []


async def test_of_two_who_make_the_same_version_at_once_one_wins(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, cat = await join(h, "ann", "bob", "cat")
    room = await room_of(h, ann, bob, cat, custody=KeyCustody.CLIENT)
    watching = await h.connect(cat, room)
    outcomes: list[str] = []

    async def make(maker: Person) -> None:
        everybody = {each.id: f"by {maker.user.username}" for each in (ann, bob, cat)}
        try:
            await h.engine.keys.put_member_keys(room.id, maker.id, 1, everybody)
            outcomes.append(maker.user.username)
        except Conflict as lost:
            assert lost.what == "key"

    h.store.delay_s = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make, ann)
        nursery.start_soon(make, bob)
    [winner] = outcomes
    assert of_keys(watching.received()) == [1]
    for each in (ann, bob, cat):
        [key] = (await h.engine.keys.for_member(room.id, each.id)).keys
        assert key.sealed == f"by {winner}"


async def test_who_gives_up_waiting_for_a_version_they_make_has_made_it_all_the_same(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob, custody=KeyCustody.CLIENT)
    h.store.delay_s = 5
    with trio.move_on_after(1):
        await h.engine.keys.put_member_keys(room.id, ann.id, 1, {ann.id: "of ann", bob.id: "of ann"})
    with pytest.raises(Conflict):
        await h.engine.keys.put_member_keys(room.id, bob.id, 1, {ann.id: "of bob", bob.id: "of bob"})
    [key] = (await h.engine.keys.for_member(room.id, ann.id)).keys
    assert key.sealed == "of ann"


async def put(h: EngineHarness, room: Room, sealer: Person, owner: Person, text: str) -> str:
    """Store version 1 for somebody; what they have afterwards."""
    await h.engine.keys.put_member_keys(room.id, sealer.id, 1, {owner.id: text})
    return (await h.engine.keys.for_member(room.id, owner.id)).keys[0].sealed


async def test_a_key_is_replaced_by_who_sealed_it_or_whose_it_is_or_when_the_sealer_has_left(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, cat, dan = await join(h, "ann", "bob", "cat", "dan")
    room = await room_of(h, ann, bob, cat, dan, custody=KeyCustody.CLIENT)
    await h.engine.keys.put_member_keys(room.id, ann.id, 1, {ann.id: "of ann"})
    assert await put(h, room, bob, cat, "first") == "first"
    assert await put(h, room, bob, cat, "again") == "again"
    with pytest.raises(Conflict):
        await put(h, room, dan, cat, "forged")
    assert await put(h, room, cat, cat, "mine") == "mine"
    with pytest.raises(Conflict):
        await put(h, room, bob, cat, "not any more")
    assert await put(h, room, bob, dan, "of bob") == "of bob"
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    assert await put(h, room, cat, dan, "of cat") == "of cat"


@pytest.mark.parametrize("by", ["the maker of the version", "the owner", "an admin"])
async def test_a_bad_key_that_came_first_is_replaced_by_who_made_the_version_or_an_admin(
    h: EngineHarness, autojump_clock: MockClock, by: str
) -> None:
    ann, maker, bad, newcomer, admin = await join(h, "ann", "maker", "bad", "newcomer", "admin")
    room = await room_of(h, ann, maker, bad, newcomer, admin, custody=KeyCustody.CLIENT)
    await h.engine.rooms.set_member_role(room.id, ann.id, admin.id, Role.ADMIN)
    everybody = {each.id: "good" for each in (ann, maker, bad, admin)}
    await h.engine.keys.put_member_keys(room.id, maker.id, 1, everybody)
    watching = {each.id: await h.connect(each, room) for each in (ann, newcomer)}
    await put(h, room, bad, newcomer, "bad")
    for client in watching.values():
        client.received()
    trusted = {"the maker of the version": maker, "the owner": ann, "an admin": admin}[by]
    assert await put(h, room, trusted, newcomer, "good") == "good"
    assert watching[newcomer.id].received() == [
        MemberKeyReplaced(room_id=room.id, user_id=newcomer.id, version=1),
    ]
    assert watching[ann.id].received() == []
    with pytest.raises(Conflict):
        await put(h, room, bad, newcomer, "bad again")
    assert await put(h, room, trusted, newcomer, "good") == "good"
    assert watching[newcomer.id].received() == []  # it is the same
    assert await put(h, room, newcomer, newcomer, "my own") == "my own"
    with pytest.raises(Conflict):
        await put(h, room, trusted, newcomer, "good")


async def test_in_a_direct_room_nobody_is_an_admin_over_the_others_keys(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await h.engine.rooms.direct(ann.id, bob.id)
    await h.engine.keys.put_member_keys(room.id, bob.id, 1, {bob.id: "b", ann.id: "a"})
    await h.store.commit([SetRole(room_id=room.id, user_id=ann.id, role=Role.OWNER)])  # of an older release
    with pytest.raises(Conflict):
        await put(h, room, ann, bob, "forged")


@pytest.mark.parametrize(
    ("version", "sealed", "expected", "about"),
    [
        (0, {"ann": "x"}, Invalid, "version: must be from 1 to 2"),
        (-1, {"ann": "x"}, Invalid, "version: must be from 1 to 2"),
        (3, {"ann": "x"}, Invalid, "version: must be from 1 to 2"),
        (2**31 - 1, {"ann": "x"}, Invalid, "version: must be from 1 to 2"),
        (2, {}, Invalid, "sealed: must be for 1 to 1000 members"),
        (2, {"ann": ""}, Invalid, "sealed: must be 1 to 4096"),
        (2, {"ann": "x" * 4097}, Invalid, "sealed: must be 1 to 4096"),
        (2, {"ann": "a\0b"}, Invalid, "sealed: must be 1 to 4096"),
        (2, {"ann": "é"}, Invalid, "sealed: must be 1 to 4096"),
        (2, {"ann": "x", "eve": "x"}, NotFound, "member not found"),
    ],
)
async def test_what_is_no_key_for_a_member_is_refused_and_nothing_stored(
    h: EngineHarness,
    autojump_clock: MockClock,
    version: int,
    sealed: dict[str, str],
    expected: type[Exception],
    about: str,
) -> None:
    ann, eve = await join(h, "ann", "eve")
    room = await room_of(h, ann, custody=KeyCustody.CLIENT)
    await h.engine.keys.put_member_keys(room.id, ann.id, 1, {ann.id: "first"})
    before = await h.engine.keys.for_member(room.id, ann.id)
    ids = {"ann": ann.id, "eve": eve.id}
    with pytest.raises(expected, match=about):
        await h.engine.keys.put_member_keys(
            room.id, ann.id, version, {ids[name]: text for name, text in sealed.items()}
        )
    assert await h.engine.keys.for_member(room.id, ann.id) == before


async def test_strangers_put_no_keys_and_nobody_any_in_server_custody(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, eve = await join(h, "ann", "eve")
    room = await room_of(h, ann, custody=KeyCustody.CLIENT)
    with pytest.raises(NotAMember):
        await h.engine.keys.put_member_keys(room.id, eve.id, 1, {ann.id: "x"})
    with pytest.raises(NotFound, match="room"):
        await h.engine.keys.put_member_keys(RoomId(5), ann.id, 1, {ann.id: "x"})
    held = await room_of(h, ann)
    with pytest.raises(Conflict) as refused:
        await h.engine.keys.put_member_keys(held.id, ann.id, 1, {ann.id: "x"})
    assert refused.value.what == "custody"


async def test_leaving_a_room_in_client_custody_needs_no_key(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob, custody=KeyCustody.CLIENT)
    watching = await h.connect(ann, room)
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    events = watching.received()
    assert [type(event) for event in events if isinstance(event, MemberRemoved | RoomKeyChanged)] == [MemberRemoved]
    assert await h.store.room_keys(room.id) == []
