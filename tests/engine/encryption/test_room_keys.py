"""Custody of room keys: who gets them, what is read with them, and that nobody who left has the next one."""

import contextlib
import os
from collections.abc import Sequence

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from chinwag.engine.encryption.room_crypto import MasterKey, WrongMasterKey
from chinwag.engine.engine import open_engine
from chinwag.engine.model.commands import RemoveMember
from chinwag.engine.model.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KeysUnavailable,
    NotAMember,
    NotFound,
    StoreUnavailable,
)
from chinwag.engine.model.events import MemberRemoved, RoomKeyChanged
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import DeleteMember, InsertRoomKey, KeyVersion
from chinwag.engine.model.values import KeyCustody, RoomKey
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import MASTER_KEY, EngineHarness, PlainPasswords, open_harness
from tests.engine.encryption.key_holders import device, join, keys_of, of_keys, read, room_of
from tests.engine.encryption.rooms_with_keys import encrypt

# --- server custody: keys for members ---


async def test_every_member_gets_the_same_key_sealed_for_themselves(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    mine, theirs = await keys_of(h, room, ann), await keys_of(h, room, bob)
    assert mine == theirs
    assert list(mine) == [1]
    assert len(mine[1]) == 32
    ring = await h.engine.keys.for_member(room.id, ann.id)
    assert (ring.custody, ring.newest, ring.keys[0].sealed_by) == (KeyCustody.SERVER, 1, None)
    with pytest.raises(ValueError, match="ecryption"):
        device("bob").unseal(ring.keys[0].sealed)


async def test_two_rooms_have_two_keys(h: EngineHarness, autojump_clock: MockClock) -> None:
    [ann] = await join(h, "ann")
    first, second = await room_of(h, ann), await room_of(h, ann)
    assert await keys_of(h, first, ann) != await keys_of(h, second, ann)


async def test_strangers_get_no_key(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, eve = await join(h, "ann", "eve")
    room = await room_of(h, ann)
    for custody_room in (room, await room_of(h, ann, custody=KeyCustody.CLIENT)):
        with pytest.raises(NotAMember):
            await h.engine.keys.for_member(custody_room.id, eve.id)
        with pytest.raises(NotAMember):
            await h.engine.keys.public_keys(custody_room.id, eve.id)
    with pytest.raises(NotFound):
        await h.engine.keys.for_member(RoomId(5), ann.id)
    with pytest.raises(NotFound):
        await h.engine.keys.public_keys(RoomId(5), ann.id)


async def test_without_a_public_key_there_is_nothing_to_seal_for(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await room_of(h, ann)
    with pytest.raises(Conflict, match="no public key") as refused:
        await h.engine.keys.for_member(room.id, ann.id)
    assert refused.value.what == "public_key"


async def test_keys_can_be_asked_for_from_a_version_on(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, cat = await join(h, "ann", "bob", "cat")
    room = await room_of(h, ann, bob, cat)
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    await h.engine.rooms.remove_member(room.id, cat.id, cat.id)
    ring = await h.engine.keys.for_member(room.id, ann.id, above=1)
    assert ([key.version for key in ring.keys], ring.newest) == ([2, 3], 3)
    assert (await h.engine.keys.for_member(room.id, ann.id, above=3)).keys == ()


# --- rotation ---


async def test_who_leaves_or_is_removed_does_not_have_the_next_key(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, cat = await join(h, "ann", "bob", "cat")
    room = await room_of(h, ann, bob, cat)
    watching = await h.connect(ann, room)
    before = await keys_of(h, room, bob)
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    await h.engine.rooms.remove_member(room.id, ann.id, cat.id)
    for gone in (bob, cat):
        with pytest.raises(NotAMember):
            await h.engine.keys.for_member(room.id, gone.id)
    after = await keys_of(h, room, ann)
    assert list(after) == [1, 2, 3]
    assert after[1] == before[1]
    assert len(set(after.values())) == 3
    events = watching.received()
    assert of_keys(events) == [2, 3]
    kinds = [type(event) for event in events if isinstance(event, MemberRemoved | RoomKeyChanged)]
    assert kinds == [MemberRemoved, RoomKeyChanged] * 2


@pytest.mark.parametrize("meanwhile", ["room_keys", "access", "user"])
async def test_who_asks_for_keys_while_being_removed_does_not_get_the_next_one(
    h: EngineHarness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    original = getattr(h.store, meanwhile)

    async def removed_after(*arguments: object) -> object:
        found = await original(*arguments)
        monkeypatch.setattr(h.store, meanwhile, original)
        await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
        return found

    monkeypatch.setattr(h.store, meanwhile, removed_after)
    versions: list[int] = []
    with contextlib.suppress(NotAMember):
        versions += [key.version for key in (await h.engine.keys.for_member(room.id, bob.id)).keys]
    assert list(await keys_of(h, room, ann)) == [1, 2]
    assert versions in ([], [1])


async def test_a_removal_that_is_refused_changes_no_key(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, eve = await join(h, "ann", "bob", "eve")
    room = await room_of(h, ann, bob)
    for caller, user, expected in (
        (bob, ann.id, Forbidden),
        (eve, bob.id, NotAMember),
        (ann, eve.id, NotFound),
        (ann, UserId(5), NotFound),
    ):
        with pytest.raises(expected):
            await h.engine.rooms.remove_member(room.id, caller.id, user)
    with pytest.raises(NotFound, match="room"):
        await h.engine.rooms.remove_member(RoomId(5), ann.id, ann.id)
    assert list(await keys_of(h, room, ann)) == [1]


async def test_removals_at_once_make_a_version_each(h: EngineHarness, autojump_clock: MockClock) -> None:
    names = [f"user{n}" for n in range(20)]
    ann, *others = [await h.join(name) for name in ("ann", *names)]
    await h.engine.accounts.update_profile(ann.id, public_key=device("ann").public_pem)
    room = await room_of(h, ann, *others)
    watching = await h.connect(ann, room)
    async with trio.open_nursery() as nursery:
        for each in others:
            nursery.start_soon(h.engine.rooms.remove_member, room.id, each.id, each.id)
    assert of_keys(watching.received()) == list(range(2, 22))
    keys = await keys_of(h, room, ann)
    assert list(keys) == list(range(1, 22))
    assert len(set(keys.values())) == 21


async def test_a_removal_whose_caller_gave_up_does_not_break_the_next(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, cat = await join(h, "ann", "bob", "cat")
    room = await room_of(h, ann, bob, cat)
    h.store.delay_s = 5
    with trio.move_on_after(1):
        await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    await h.engine.rooms.remove_member(room.id, cat.id, cat.id)
    h.store.delay_s = 0
    assert [each.username for each in await h.engine.rooms.members(room.id, ann.id)] == ["ann"]
    assert list(await keys_of(h, room, ann)) == [1, 2, 3]
    assert h.engine.rooms.restarts() == 0


async def test_the_room_itself_refuses_to_let_anyone_go_without_the_next_key(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    command = RemoveMember(caller=bob.id, user_id=bob.id)
    stale = RoomKey(room_id=room.id, version=1, sealed=b"", created_us=1)
    for key in (None, stale, replace(stale, version=3)):
        with pytest.raises(Conflict) as refused:
            await h.engine._registry.ask(room.id, replace(command, next_key=key))
        assert refused.value.what == "room_key"
    assert len(await h.engine.rooms.members(room.id, ann.id)) == 2


async def test_when_the_store_fails_neither_the_removal_nor_the_new_key_happened(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with open_harness(store=store) as h:
        ann, bob = await join(h, "ann", "bob")
        room = await room_of(h, ann, bob)
        watching = await h.connect(ann, room)
        store.fail_next_commits(1, StoreUnavailable("full"))
        with pytest.raises(StoreUnavailable):
            await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
        assert watching.received() == []
        assert list(await keys_of(h, room, bob)) == [1]
        await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
        assert of_keys(watching.received()) == [2]


async def test_the_removal_and_the_new_key_are_one_commit(
    h: EngineHarness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    commits: list[set[type]] = []
    original = h.store.commit

    async def watched(writes: Sequence[object], then: object = None) -> None:
        commits.append({type(write) for write in writes})
        await original(writes, then)  # type: ignore[arg-type]

    monkeypatch.setattr(h.store, "commit", watched)
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    [commit] = [each for each in commits if DeleteMember in each]
    assert InsertRoomKey in commit


async def test_keys_outlive_a_restart(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_harness(store=store) as h:
        ann, bob = await join(h, "ann", "bob")
        room = await room_of(h, ann, bob)
        await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
        before = await keys_of(h, room, ann)
        sealed = encrypt(before[2], "tea?", version=2)
    async with open_harness(store=store) as h:
        assert await keys_of(h, room, ann) == before
        assert await read(h, room, ann, sealed) == "tea?"
        await h.engine.rooms.remove_member(room.id, ann.id, ann.id)
        assert await store.key_version(room.id) == KeyVersion(
            version=3, changed_us=(await store.room_keys(room.id))[-1].created_us
        )


# --- the master key ---


async def test_a_wrong_master_key_is_told_at_the_start(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_harness(store=store) as h:
        [ann] = await join(h, "ann")
        await room_of(h, ann)
    with pytest.raises(WrongMasterKey):
        async with open_engine(store, passwords=PlainPasswords(), master_key=MasterKey(bytes(32))):
            raise AssertionError("it started")
    async with open_engine(store, passwords=PlainPasswords(), master_key=MASTER_KEY):
        pass


async def test_without_a_master_key_there_is_client_custody_alone(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_harness(store=store) as h:
        ann, bob = await join(h, "ann", "bob")
        room = await room_of(h, ann, bob)
    async with open_engine(store, passwords=PlainPasswords()) as engine:
        with pytest.raises(Invalid, match="without a master key") as refused:
            await engine.rooms.create(ann.id, name="tea", custody=KeyCustody.SERVER)
        assert refused.value.field == "custody"
        await engine.rooms.create(ann.id, name="tea", custody=KeyCustody.CLIENT)
        for attempt in (
            lambda: engine.keys.for_member(room.id, ann.id),
            lambda: engine.keys.content_of(room.id, ann.id, encrypt(bytes(32), "tea?")),
            lambda: engine.rooms.remove_member(room.id, bob.id, bob.id),
        ):
            with pytest.raises(KeysUnavailable):
                await attempt()
        assert len(await engine.rooms.members(room.id, ann.id)) == 2  # nobody goes while the room can get no new key


async def test_a_damaged_key_is_told_as_such_and_costs_only_its_room(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room, other = await room_of(h, ann, bob), await room_of(h, ann, bob)
    [key] = await h.store.room_keys(room.id)
    damaged = replace(key, sealed=bytes(len(key.sealed)))
    h.store._tables.room_keys[room.id, 1] = damaged
    with pytest.raises(KeysUnavailable):
        await h.engine.keys.for_member(room.id, ann.id)
    with pytest.raises(KeysUnavailable):
        await read(h, room, ann, encrypt(os.urandom(32), "tea?"))
    with pytest.raises(KeysUnavailable):
        await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    assert await h.store.room_keys(room.id) == [damaged]
    assert list(await keys_of(h, other, ann)) == [1]
