"""What every `Store` promises of what messages may have besides their text: kind, reply, sealed content, reactions."""

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import FileId, MessageId
from chinwag.engine.model.store import (
    DeleteMessage,
    InsertMessage,
    SetReactions,
    Store,
    UpdateMessage,
    UpdateUser,
    WriteRejected,
)
from chinwag.engine.model.values import Attachment, Message, MessageKind, Reaction, Sealed
from chinwag.engine.testing import make_message, make_user
from tests.engine.stores.stores import ANN, BOB, ROOM, THUMB, post

SEALED = Sealed(data="c2VhbGVk\n", iv="", key_version=3)
HEART = Reaction(user_id=ANN, username="änn", emoji="❤️‍🔥", created_us=9)
FILES = (
    Attachment(url="", mime_type="image/png", size_bytes=7, name="ü.png", file_id=FileId(51), has_thumbnail=True),
    Attachment(url="https://example.org/x", mime_type="", size_bytes=0),
)
FULL = make_message(
    1002,
    ROOM,
    2,
    ANN,
    "look",
    key="k",
    attachments=FILES,
    kind=MessageKind.IMAGE,
    reply_to=1001,
    sealed=SEALED,
    reactions=(THUMB, HEART),
)


@pytest.mark.parametrize(
    "message",
    [
        FULL,
        make_message(1002, ROOM, 2, ANN, kind=MessageKind.IMAGE),
        make_message(1002, ROOM, 2, ANN, reply_to=1001),
        make_message(1002, ROOM, 2, ANN, "", sealed=SEALED),
        make_message(1002, ROOM, 2, ANN, reactions=(THUMB,)),
    ],
    ids=["all", "kind", "reply", "sealed", "reactions"],
)
async def test_extras_come_back_as_they_were_stored_by_every_read(store: Store, message: Message) -> None:
    await store.commit([post(1001, ROOM, 1), InsertMessage(message=message)])
    stored = replace(message, author_name="ann")
    assert await store.message(ROOM, message.id) == stored
    assert (await store.history(ROOM, BOB, skip=0, limit=9)).messages[0] == stored
    assert (await store.window(ROOM, BOB, around=message.id, limit=1)).messages == (stored,)
    snapshot = await store.room_snapshot(ROOM, recent=1)
    assert snapshot is not None
    assert snapshot.recent[0].message == stored
    missed = (await store.missed([ROOM], BOB, since=MessageId(1001), limit=9))[ROOM]
    assert missed.messages == (stored,)
    found = (await store.search(BOB, text=message.text, room_id=ROOM, limit=1)).messages
    assert found[0].message == stored


async def test_an_update_replaces_text_and_extras_and_leaves_attachments_and_key(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1), InsertMessage(message=FULL)])
    other = Sealed(data="b3RoZXI=", iv="aXY=", key_version=4)
    new = replace(FULL, text="new", sealed=other, reactions=(HEART,), edited_us=2000)
    ignored = replace(new, attachments=(), key="other", author_id=BOB, created_us=1)
    await store.commit([UpdateMessage(message=ignored)])
    assert await store.message(ROOM, FULL.id) == replace(new, author_name="ann")
    plain = replace(new, kind=MessageKind.TEXT, reply_to=None, sealed=None, reactions=())
    await store.commit([UpdateMessage(message=plain)])
    assert await store.message(ROOM, FULL.id) == replace(plain, author_name="ann")


async def test_an_opaque_message_is_found_by_no_text_and_by_what_it_becomes(store: Store) -> None:
    opaque = make_message(1001, ROOM, 1, ANN, "", sealed=SEALED)
    await store.commit([InsertMessage(message=opaque)])
    assert (await store.search(ANN, text="c2VhbGVk", room_id=None, limit=9)).messages == ()
    await store.commit([UpdateMessage(message=replace(opaque, text="needle", sealed=None))])
    found = (await store.search(ANN, text="needle", room_id=None, limit=9)).messages
    assert [entry.message.id for entry in found] == [1001]


async def test_opaque_messages_are_told_from_all_others_and_within_bounds(store: Store) -> None:
    trick = Reaction(user_id=BOB, username='"sealed":{', emoji='"sealed":{', created_us=9)
    others = [
        make_message(1001, ROOM, 1, ANN, ""),
        make_message(1002, ROOM, 2, ANN, "", kind=MessageKind.IMAGE, reactions=(trick,)),
        make_message(1003, ROOM, 3, ANN, "readable", sealed=SEALED),
        make_message(1004, ROOM, 4, ANN, "", sealed=SEALED),
    ]
    await store.commit([InsertMessage(message=each) for each in others])
    await store.commit([DeleteMessage(room_id=ROOM, message_id=others[3].id, deleted_us=1)])
    assert not await store.has_opaque(ROOM, after_us=None, before_us=None)
    await store.commit([InsertMessage(message=make_message(1005, ROOM, 5, ANN, "", sealed=SEALED))])
    assert await store.has_opaque(ROOM, after_us=None, before_us=None)
    assert await store.has_opaque(ROOM, after_us=1004, before_us=1006)
    assert not await store.has_opaque(ROOM, after_us=1005, before_us=None)
    assert not await store.has_opaque(ROOM, after_us=None, before_us=1005)


async def test_reactions_are_replaced_and_nothing_else(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1), InsertMessage(message=replace(FULL, reactions=()))])
    for reactions in ((THUMB,), (THUMB, HEART), (HEART,), ()):
        new = replace(FULL, reactions=reactions)
        await store.commit([SetReactions(message=new)])
        assert await store.message(ROOM, FULL.id) == replace(new, author_name="ann")


async def test_a_tombstone_keeps_none_of_them(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1), InsertMessage(message=FULL)])
    await store.commit([DeleteMessage(room_id=ROOM, message_id=FULL.id, deleted_us=3000)])
    bare = make_message(1002, ROOM, 2, ANN, "", key="k")
    assert await store.message(ROOM, FULL.id) == replace(bare, author_name="ann", deleted_us=3000)
    with pytest.raises(WriteRejected):
        await store.commit([SetReactions(message=FULL)])


async def test_messages_show_their_author_s_present_names(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1), post(1002, ROOM, 2, author=BOB)])
    await store.commit([UpdateUser(user=make_user(ANN, display_name="Änne", avatar_url="/a"))])
    named = replace(
        make_message(1001, ROOM, 1, ANN), author_name="ann", author_display_name="Änne", author_avatar_url="/a"
    )
    assert await store.message(ROOM, named.id) == named
    other, first = (await store.history(ROOM, BOB, skip=0, limit=9)).messages
    assert (first, other.author_display_name, other.author_avatar_url) == (named, None, None)
    found = (await store.search(BOB, text="hello", room_id=None, limit=9)).messages
    assert found[-1].message == named
