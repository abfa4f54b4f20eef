"""What every `Store` promises of messages, one by one and in pages."""

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import MessageId
from chinwag.engine.model.store import (
    Access,
    DeleteMember,
    DeleteMessage,
    DuplicateKey,
    InsertMember,
    InsertMessage,
    SetWatermarks,
    Store,
    WriteRejected,
)
from chinwag.engine.model.values import Attachment, ReceiptFloor, Status
from chinwag.engine.testing import make_member, make_message, make_room
from tests.engine.stores.stores import ANN, BOB, CAT, OTHER, ROOM, edit, fill, ids, post


async def test_a_message_comes_back_as_it_was_stored(store: Store) -> None:
    files = (
        Attachment(url="/f/1", mime_type="image/png", size_bytes=7),
        Attachment(url="ü", mime_type="", size_bytes=0),
    )
    full = make_message(1001, ROOM, 1, ANN, "žluťoučký 🐎\n' \" \\ %", key="k", attachments=files)
    await store.commit([InsertMessage(message=full, digest=b"\x00\xff")])
    stored = replace(full, author_name="ann")
    assert await store.message(ROOM, full.id) == stored
    assert await store.message(OTHER, full.id) is None
    keyed = await store.keyed_message(ROOM, ANN, "k")
    assert keyed is not None
    assert (keyed.message, keyed.digest) == (stored, b"\x00\xff")
    assert await store.keyed_message(ROOM, ANN, "K") is None
    assert await store.keyed_message(ROOM, BOB, "k") is None


async def test_a_message_is_found_by_its_id_alone_by_who_is_in_its_room(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1), post(1002, OTHER, 1, "there", author=ANN), post(1003, ROOM, 2)])
    await store.commit([SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=1, read_seq=1)])
    for message_id, room in ((1001, ROOM), (1002, OTHER), (1003, ROOM)):
        found = await store.find_message(MessageId(message_id), ANN)
        window = await store.window(room, ANN, around=MessageId(message_id), limit=1)
        assert found == window
        assert ids(window.messages) == [message_id]
    assert await store.find_message(MessageId(1001), BOB) is not None
    assert await store.find_message(MessageId(1002), BOB) is None
    assert await store.find_message(MessageId(1001), CAT) is None
    assert await store.find_message(MessageId(1000), ANN) is None
    await store.commit([DeleteMessage(room_id=ROOM, message_id=MessageId(1001), deleted_us=3000)])
    assert await store.find_message(MessageId(1001), ANN) is None
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB)])
    assert await store.find_message(MessageId(1003), BOB) is None


async def test_an_edit_changes_text_and_time(store: Store) -> None:
    await fill(store, ROOM, 1)
    change = edit(ROOM, MessageId(1001), "edited", edited_us=2000)
    await store.commit([change])
    message = await store.message(ROOM, MessageId(1001))
    assert message == replace(make_message(1001, ROOM, 1, ANN, "edited"), author_name="ann", edited_us=2000)


async def test_a_deleted_message_leaves_a_tombstone_that_lists_do_not_show(store: Store) -> None:
    files = (Attachment(url="u", mime_type="m", size_bytes=1),)
    full = make_message(1001, ROOM, 1, ANN, "gone", key="k", attachments=files)
    await store.commit([InsertMessage(message=full, digest=b"print"), post(1002, ROOM, 2)])
    await store.commit([DeleteMessage(room_id=ROOM, message_id=full.id, deleted_us=3000)])
    tombstone = replace(full, author_name="ann", text="", attachments=(), deleted_us=3000)
    assert await store.message(ROOM, full.id) == tombstone
    keyed = await store.keyed_message(ROOM, ANN, "k")
    assert keyed is not None
    assert (keyed.message, keyed.digest) == (tombstone, b"print")
    assert ids((await store.history(ROOM, ANN, skip=0, limit=9)).messages) == [1002]
    assert ids((await store.window(ROOM, ANN, around=full.id, limit=9)).messages) == []
    for write in (
        DeleteMessage(room_id=ROOM, message_id=full.id, deleted_us=4000),
        edit(ROOM, full.id, "back", edited_us=4000),
    ):
        with pytest.raises(WriteRejected):
            await store.commit([write])
    with pytest.raises(DuplicateKey):
        await store.commit([InsertMessage(message=make_message(1003, ROOM, 3, ANN, key="k"))])


async def test_history_comes_newest_first_and_to_members_only(store: Store) -> None:
    await fill(store, ROOM, 6)
    await store.commit([DeleteMessage(room_id=ROOM, message_id=MessageId(1005), deleted_us=1)])

    async def page(skip: int, limit: int) -> list[int] | None:
        return ids((await store.history(ROOM, BOB, skip=skip, limit=limit)).messages)

    assert await page(0, 3) == [1006, 1004, 1003]  # the tombstone takes no place
    assert await page(1, 2) == [1004, 1003]
    assert await page(4, 9) == [1001]
    assert await page(5, 9) == []
    assert await page(10**30, 10**30) == []
    assert await page(0, 0) == []
    stranger = await store.history(ROOM, CAT, skip=0, limit=9)
    assert (stranger.messages, stranger.receipts) == ((), None)
    assert stranger.access == Access(room=make_room(ROOM, ANN), member=None)


async def test_a_page_carries_the_receipts_that_give_each_message_its_status(store: Store) -> None:
    await store.commit([InsertMember(room_id=ROOM, member=make_member(CAT))])
    await fill(store, ROOM, 3)
    await store.commit(
        [
            SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=3, read_seq=2),
            SetWatermarks(room_id=ROOM, user_id=CAT, delivered_seq=2, read_seq=1),
        ]
    )
    page = await store.history(ROOM, BOB, skip=0, limit=9)
    assert page.receipts is not None
    assert [page.receipts.status_of(message) for message in page.messages] == [
        Status.SENT,
        Status.DELIVERED,
        Status.READ,
    ]
    assert page.receipts.delivered == ReceiptFloor(lowest=0, lowest_user=ANN, second=2)
    assert page.receipts.read == ReceiptFloor(lowest=0, lowest_user=ANN, second=1)


async def test_in_a_room_of_one_nobody_else_is_waited_for(store: Store) -> None:
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB), post(1001, ROOM, 1)])
    page = await store.history(ROOM, ANN, skip=0, limit=1)
    assert page.receipts is not None
    assert page.receipts.read == ReceiptFloor(lowest=0, lowest_user=ANN, second=-1)


@pytest.mark.parametrize(
    ("around", "limit", "expected"),
    [
        (1005, 4, [1003, 1004, 1005, 1006]),
        (1005, 5, [1003, 1004, 1005, 1006, 1007]),
        (1001, 4, [1001, 1002, 1003, 1004]),  # nothing before: what remains goes to what follows
        (1002, 4, [1001, 1002, 1003, 1004]),
        (1009, 4, [1007, 1008, 1009]),  # nothing follows
        (1005, 1, [1005]),
        (1005, 0, []),
        (1005, 100, [1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009]),
        (4711, 4, []),
        (2001, 4, []),  # of another room
    ],
)
async def test_a_window_reaches_to_both_sides(store: Store, around: int, limit: int, expected: list[int]) -> None:
    await fill(store, ROOM, 9)
    await fill(store, OTHER, 1, first_id=2001)
    page = await store.window(ROOM, BOB, around=MessageId(around), limit=limit)
    assert ids(page.messages) == expected
    assert page.receipts is not None
    assert (await store.window(ROOM, CAT, around=MessageId(around), limit=limit)).messages == ()


async def test_a_window_counts_no_tombstones(store: Store) -> None:
    await fill(store, ROOM, 9)
    gone = (1004, 1006)
    await store.commit([DeleteMessage(room_id=ROOM, message_id=MessageId(n), deleted_us=1) for n in gone])
    page = await store.window(ROOM, ANN, around=MessageId(1005), limit=4)
    assert ids(page.messages) == [1002, 1003, 1005, 1007]
