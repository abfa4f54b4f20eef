"""Encrypted messages: read where the server has the key, opaque elsewhere, and kept bit for bit in both."""

import os

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from chinwag.engine.encryption import room_keys
from chinwag.engine.model.commands import PostMessage
from chinwag.engine.model.errors import (
    CannotDecrypt,
    Conflict,
    Invalid,
    NotAMember,
    NotFound,
)
from chinwag.engine.model.events import MessagePosted
from chinwag.engine.model.ids import IdSource, RoomId, UserId
from chinwag.engine.model.store import KeyVersion, RoomSnapshot
from chinwag.engine.model.values import ENCRYPTED_PLACEHOLDER, KeyCustody, Room, RoomKey, Sealed, ViewedMessage
from chinwag.engine.rooms.message_rules import KEY_GRACE_US
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.testing import make_member, make_room
from chinwag.engine.testing.harness import EngineHarness, open_harness
from tests.engine.encryption.key_holders import join, keys_of, read, room_of
from tests.engine.encryption.rooms_with_keys import decrypt, encrypt
from tests.examples import examples


async def post_sealed(
    h: EngineHarness, room_id: RoomId, author: UserId, *, sealed: Sealed, key: str | None = None
) -> ViewedMessage:
    return await h.engine.messages.submit(
        room_id, await h.engine.messages.sealed_command(room_id, author, sealed=sealed, key=key)
    )


# --- what the server makes of content ---


async def test_the_server_reads_what_a_member_encrypted_and_other_members_read_it_too(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    sealed = encrypt((await keys_of(h, room, ann))[1], "Shall we? ☕")
    assert await read(h, room, ann, sealed) == "Shall we? ☕"
    assert decrypt((await keys_of(h, room, bob))[1], sealed) == "Shall we? ☕"


async def test_content_under_another_rooms_key_or_a_version_that_is_not_is_refused(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    [ann] = await join(h, "ann")
    room, other = await room_of(h, ann), await room_of(h, ann)
    key = (await keys_of(h, room, ann))[1]
    with pytest.raises(CannotDecrypt, match="not encrypted with version 1"):
        await read(h, room, ann, encrypt((await keys_of(h, other, ann))[1], "tea?"))
    for version in (2, 99, 2**31 - 1):
        with pytest.raises(CannotDecrypt, match=f"no version {version}: the newest is 1"):
            await read(h, room, ann, encrypt(key, "tea?", version=version))
    good = encrypt(key, "tea?")
    for bad in (replace(good, data=good.data[4:]), replace(good, iv=good.data[:16]), replace(good, data="tea?")):
        with pytest.raises(CannotDecrypt):
            await read(h, room, ann, bad)


@pytest.mark.parametrize("custody", list(KeyCustody))
async def test_a_stranger_learns_only_that_they_are_one(
    h: EngineHarness, autojump_clock: MockClock, custody: KeyCustody
) -> None:
    ann, eve = await join(h, "ann", "eve")
    room = await room_of(h, ann, custody=custody)
    for sealed in (Sealed(data="!", iv="!", key_version=1), encrypt(bytes(32), "x" * 9000)):
        with pytest.raises(NotAMember):
            await h.engine.keys.content_of(room.id, eve.id, sealed, most_characters=10)
    with pytest.raises(NotFound):
        await h.engine.keys.content_of(RoomId(5), ann.id, Sealed(data="!", iv="!", key_version=1))


async def test_the_length_of_a_text_is_bounded_in_characters(h: EngineHarness, autojump_clock: MockClock) -> None:
    [ann] = await join(h, "ann")
    room = await room_of(h, ann)
    opaque = await room_of(h, ann, custody=KeyCustody.CLIENT)
    key = (await keys_of(h, room, ann))[1]

    async def take(where: Room, sealed: Sealed) -> str:
        return (await h.engine.keys.content_of(where.id, ann.id, sealed, most_characters=10)).text

    assert await take(room, encrypt(key, "😀" * 10)) == "😀" * 10
    assert await take(room, Sealed(data="😀" * 10, iv="", key_version=0)) == "😀" * 10
    assert await take(opaque, encrypt(key, "😀" * 10)) == ""
    for where, sealed in (
        (room, encrypt(key, "x" * 11)),
        (room, encrypt(key, "x" * 1000)),
        (room, Sealed(data="x" * 11, iv="", key_version=0)),
        (opaque, encrypt(key, "😀" * 11)),
    ):
        with pytest.raises(Invalid, match="more than 10 characters") as refused:
            await take(where, sealed)
        assert refused.value.field == "text"


async def test_plain_text_is_taken_as_it_is_in_either_custody(h: EngineHarness, autojump_clock: MockClock) -> None:
    [ann] = await join(h, "ann")
    for custody in KeyCustody:
        room = await room_of(h, ann, custody=custody)
        plain = await h.engine.keys.content_of(room.id, ann.id, Sealed(data="tea?", iv="", key_version=0))
        assert (plain.text, plain.sealed) == ("tea?", None)
        odd = Sealed(data="tea?", iv="kept", key_version=0)  # an iv for nothing, and yet to be returned
        assert await h.engine.keys.content_of(room.id, ann.id, odd) == room_keys.Content(text="tea?", sealed=odd)


@pytest.mark.parametrize(
    ("sealed", "field"),
    [
        (Sealed(data="AAAA", iv="", key_version=-1), "key_version"),
        (Sealed(data="AAAA", iv="", key_version=2**31), "key_version"),
        (Sealed(data="AAAA", iv="A" * 65, key_version=1), "iv"),
        (Sealed(data="AAAA", iv="\0", key_version=0), "sealed"),
        (Sealed(data="AAAA", iv="\ud800", key_version=1), "sealed"),
        (Sealed(data="A\0", iv="", key_version=1), "sealed"),
        (Sealed(data="\udfff", iv="", key_version=0), "text"),
    ],
)
async def test_what_could_not_be_kept_bit_for_bit_is_refused(
    h: EngineHarness, autojump_clock: MockClock, sealed: Sealed, field: str
) -> None:
    [ann] = await join(h, "ann")
    room = await room_of(h, ann, custody=KeyCustody.CLIENT)
    with pytest.raises(Invalid) as refused:
        await post_sealed(h, room.id, ann.id, sealed=sealed)
    assert refused.value.field == field


async def test_keys_are_read_from_the_store_once_and_let_go_of_in_turn(
    h: EngineHarness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    [ann] = await join(h, "ann")
    rooms = [await room_of(h, ann) for _ in range(3)]
    contents = [encrypt((await keys_of(h, room, ann))[1], room.name) for room in rooms]
    loaded: list[RoomId] = []
    original = h.store.room_keys

    async def counted(room_id: RoomId) -> list[RoomKey]:
        loaded.append(room_id)
        return await original(room_id)

    monkeypatch.setattr(h.store, "room_keys", counted)
    monkeypatch.setattr(room_keys, "CACHED_KEYS", 2)
    order = (0, 1, 1, 0, 2, 0, 1)  # when the third comes, the second was used longest ago
    for at in order:
        assert await read(h, rooms[at], ann, contents[at]) == "tea"
    assert loaded == [rooms[at].id for at in (0, 1, 2, 1)]


# --- messages ---


async def test_in_server_custody_an_encrypted_message_is_text_to_everybody_and_found(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    watching = await h.connect(bob, room)
    sealed = encrypt((await keys_of(h, room, ann))[1], "Milk or lemon?")
    posted = (await post_sealed(h, room.id, ann.id, sealed=sealed)).message
    assert (posted.text, posted.sealed, posted.shown_text) == ("Milk or lemon?", sealed, "Milk or lemon?")
    [event] = watching.received()
    assert isinstance(event, MessagePosted)
    assert event.message == posted
    [found] = (await h.engine.messages.search(bob.id, text="lemon", limit=9)).messages
    assert found.message == posted


async def test_in_client_custody_it_is_opaque_and_not_found(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob, custody=KeyCustody.CLIENT)
    sealed = Sealed(data="bWlsaw==", iv="not even Base64", key_version=7)
    posted = (await post_sealed(h, room.id, ann.id, sealed=sealed)).message
    assert (posted.text, posted.sealed, posted.opaque) == ("", sealed, True)
    assert posted.shown_text == ENCRYPTED_PLACEHOLDER
    assert (await h.engine.messages.get(room.id, bob.id, posted.id)).message == posted
    for text in ("bWls", "milk", ENCRYPTED_PLACEHOLDER):
        assert (await h.engine.messages.search(bob.id, text=text, limit=9)).messages == ()


async def test_what_cannot_be_read_is_not_stored(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await join(h, "ann", "bob")
    room = await room_of(h, ann, bob)
    watching = await h.connect(bob, room)
    good = encrypt((await keys_of(h, room, ann))[1], "tea?")
    message = (await post_sealed(h, room.id, ann.id, sealed=good)).message
    watching.received()
    bad = encrypt(os.urandom(32), "tea?")
    with pytest.raises(CannotDecrypt):
        await post_sealed(h, room.id, ann.id, sealed=bad)
    with pytest.raises(CannotDecrypt):
        await h.engine.messages.edit_sealed(room.id, ann.id, message.id, sealed=bad)
    assert watching.received() == []
    assert [each.message for each in await h.engine.messages.history(room.id, bob.id, skip=0, limit=9)] == [message]


async def test_an_edit_replaces_text_and_content_together(h: EngineHarness, autojump_clock: MockClock) -> None:
    [ann] = await join(h, "ann")
    room = await room_of(h, ann)
    key = (await keys_of(h, room, ann))[1]
    first, second = encrypt(key, "tea?"), encrypt(key, "coffee?")
    message = (await post_sealed(h, room.id, ann.id, sealed=first)).message
    edited = (await h.engine.messages.edit_sealed(room.id, ann.id, message.id, sealed=second)).message
    assert (edited.text, edited.sealed) == ("coffee?", second)
    plain = Sealed(data="water", iv="", key_version=0)
    edited = (await h.engine.messages.edit_sealed(room.id, ann.id, message.id, sealed=plain)).message
    assert (edited.text, edited.sealed) == ("water", None)
    assert (await h.engine.messages.get(room.id, ann.id, message.id)).message == edited


async def test_a_retry_posts_once_and_other_content_under_its_key_is_a_conflict(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, cat = await join(h, "ann", "bob", "cat")
    room = await room_of(h, ann, bob, cat)
    key = (await keys_of(h, room, ann))[1]
    sealed = encrypt(key, "tea?")
    first = (await post_sealed(h, room.id, ann.id, sealed=sealed, key="k")).message
    with pytest.raises(Conflict):
        await post_sealed(h, room.id, ann.id, sealed=encrypt(key, "tea?"), key="k")
    for leaver in (bob, cat):  # two versions later nothing new is taken under the first, and a retry still is none
        await h.engine.rooms.remove_member(room.id, leaver.id, leaver.id)
    assert (await post_sealed(h, room.id, ann.id, sealed=sealed, key="k")).message == first


# --- versions ---


async def test_the_version_before_the_newest_is_taken_for_a_while_and_none_older(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, cat = await join(h, "ann", "bob", "cat")
    room = await room_of(h, ann, bob, cat)
    message = await h.post(room, ann, "plain")
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    await h.engine.rooms.remove_member(room.id, cat.id, cat.id)
    keys = await keys_of(h, room, ann)
    for version in (3, 2):
        await post_sealed(h, room.id, ann.id, sealed=encrypt(keys[version], "tea?", version=version))
    old = encrypt(keys[1], "tea?")
    with pytest.raises(CannotDecrypt, match="the room's key is version 3, not 1"):
        await post_sealed(h, room.id, ann.id, sealed=old)
    with pytest.raises(CannotDecrypt, match="the room's key is version 3, not 1"):
        await h.engine.messages.edit_sealed(room.id, ann.id, message.id, sealed=old)


@pytest.mark.parametrize(
    ("version", "later_us", "taken"),
    [(4, 10**12, True), (3, KEY_GRACE_US, True), (3, KEY_GRACE_US + 1, False), (2, 0, False), (5, 0, False)],
)
@pytest.mark.parametrize("custody", list(KeyCustody))
def test_a_room_knows_which_version_is_in_use(version: int, later_us: int, taken: bool, custody: KeyCustody) -> None:
    changed_us = 1_000
    state = RoomState(
        RoomSnapshot(
            room=replace(make_room(10, 1), custody=custody),
            members=(make_member(1),),
            last_seq=0,
            recent=(),
            key=KeyVersion(version=4, changed_us=changed_us),
        ),
        new_id=IdSource(clock=lambda: 0),
    )
    sealed = Sealed(data="x", iv="y", key_version=version)
    post = PostMessage(author=UserId(1), text="tea?", sealed=sealed)
    if taken or custody is KeyCustody.CLIENT:
        assert state.handle(post, changed_us + later_us).writes
    else:
        with pytest.raises(CannotDecrypt, match=f"version 4, not {version}"):
            state.handle(post, changed_us + later_us)
    plain = PostMessage(author=UserId(1), text="tea?", sealed=replace(sealed, key_version=0))
    assert state.handle(plain, changed_us + later_us).writes


# --- the law ---


@settings(max_examples=examples(40))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=5))
def test_what_a_client_encrypts_comes_back_bit_for_bit_and_is_read_right(texts: list[str]) -> None:
    async def talk() -> None:
        async with open_harness() as h:
            ann, bob = await join(h, "ann", "bob")
            room = await room_of(h, ann, bob)
            key = (await keys_of(h, room, ann))[1]
            sent = [encrypt(key, text) for text in texts]
            for sealed in sent:
                await post_sealed(h, room.id, ann.id, sealed=sealed)
            found = [
                each.message for each in reversed(await h.engine.messages.history(room.id, bob.id, skip=0, limit=9))
            ]
            assert [message.sealed for message in found] == sent
            assert [message.text for message in found] == texts
            theirs = (await keys_of(h, room, bob))[1]
            assert [decrypt(theirs, message.sealed) for message in found if message.sealed] == texts

    trio.run(talk, clock=MockClock(autojump_threshold=0))
