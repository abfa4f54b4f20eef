"""What every `Store` promises of the lists that are counted: a room's history between two times, a member's rooms."""

from typing import Any

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    UNREAD_BOUND,
    Access,
    CountedPage,
    DeleteMember,
    DeleteMessage,
    InsertMember,
    InsertMessage,
    InsertRoom,
    MessagePage,
    Overviews,
    SetReactions,
    SetWatermarks,
    Store,
    UpdateUser,
)
from chinwag.engine.model.values import Message, MessageKind, ReceiptFloor, RoomKind, RoomOverview, Sealed
from chinwag.engine.testing import make_member, make_message, make_room, make_user
from tests.engine.stores.stores import ANN, BOB, CAT, DIRECT, NOBODY, NOWHERE, OTHER, ROOM, THUMB, fill, ids, post

# --- history between two times ------------------------------------------------------------------------------------

GONE = (1003, 1004, 1009)


@pytest.fixture
async def past(store: Store) -> Store:
    """Messages 1001..1009 of ROOM, made at the microseconds of their ids, with three tombstones among them."""
    await fill(store, ROOM, 9)
    await fill(store, OTHER, 3, first_id=2001)
    await store.commit([DeleteMessage(room_id=ROOM, message_id=MessageId(n), deleted_us=3000) for n in GONE])
    return store


def between(
    store: Store, viewer: UserId = BOB, *, after: int | None = None, before: int | None = None, **page: Any
) -> Any:
    return store.history_between(ROOM, viewer, after_us=after, before_us=before, **{"skip": 0, "limit": 99, **page})


async def test_history_between_two_times_excludes_both(past: Store) -> None:
    living = [n for n in range(1009, 1000, -1) if n not in GONE]
    for after in (None, 0, 1000, 1001, 1003, 1005, 1008, 1009, 1010, 10**30, -(10**30)):
        for before in (None, 0, 1001, 1002, 1004, 1005, 1009, 1010, 10**30, -(10**30)):
            expected = [n for n in living if (after is None or n > after) and (before is None or n < before)]
            found = await between(past, after=after, before=before)
            assert (ids(found.page.messages), found.total) == (expected, len(expected)), (after, before)


async def test_a_part_of_the_history_is_counted_as_a_whole(past: Store) -> None:
    async def page(skip: int, limit: int) -> tuple[list[int] | None, int]:
        found = await between(past, after=1001, before=1008, skip=skip, limit=limit)
        return ids(found.page.messages), found.total

    assert await page(0, 2) == ([1007, 1006], 4)
    assert await page(1, 2) == ([1006, 1005], 4)
    assert await page(3, 9) == ([1002], 4)
    assert await page(4, 9) == ([], 4)
    assert await page(0, 0) == ([], 4)
    assert await page(10**30, 10**30) == ([], 4)


async def test_history_between_follows_times_and_not_ids(store: Store) -> None:
    """The times of a room rise with its sequence, in steps of whatever size."""
    made = [5, 6, 900, 10_000, 10_001]
    messages = [
        replace(make_message(1001 + 10 * n, ROOM, n + 1, ANN), created_us=at_us) for n, at_us in enumerate(made)
    ]
    await store.commit([InsertMessage(message=message) for message in messages])
    found = await between(store, after=6, before=10_001)
    assert [message.created_us for message in found.page.messages] == [10_000, 900]
    assert found.total == 2


async def test_history_between_has_receipts_and_is_for_members_only(past: Store) -> None:
    await past.commit([SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=9, read_seq=5)])
    found = await between(past)
    assert found.page.access == await past.access(ROOM, BOB)
    assert found.page.receipts is not None
    assert found.page.receipts.read == ReceiptFloor(lowest=0, lowest_user=ANN, second=5)
    stranger = CountedPage(page=MessagePage(access=Access(room=make_room(ROOM, ANN), member=None)))
    assert await between(past, CAT) == stranger
    nowhere = await past.history_between(NOWHERE, ANN, after_us=None, before_us=None, skip=0, limit=9)
    assert nowhere == CountedPage(page=MessagePage(access=Access(room=None, member=None)))


async def test_the_history_of_an_empty_room_has_nothing_between(store: Store) -> None:
    found = await between(store, after=0, before=10**15)
    assert (found.page.messages, found.total) == ((), 0)
    assert found.page.receipts is not None


# --- overviews ----------------------------------------------------------------------------------------------------


async def overviews(
    store: Store,
    viewer: UserId = ANN,
    *,
    kind: RoomKind | None = None,
    name: str = "",
    skip: int = 0,
    limit: int = 99,
) -> Overviews:
    return await store.overviews(viewer, kind=kind, name_contains=name, skip=skip, limit=limit)


async def overview(store: Store, viewer: UserId) -> RoomOverview:
    """Of the viewer's only room, in the list and by itself."""
    found = await overviews(store, viewer)
    assert found.total == 1
    assert await store.overview(found.rooms[0].room.id, viewer) == found.rooms[0]
    return found.rooms[0]


async def test_an_overview_shows_room_members_last_message_and_what_is_unread(store: Store) -> None:
    await fill(store, ROOM, 4)
    await store.commit(
        [
            InsertMember(room_id=ROOM, member=make_member(CAT, joined_us=1)),
            post(1005, ROOM, 5, "by Bob", author=BOB),
            post(1006, ROOM, 6, "last"),
            post(1007, ROOM, 7),
            DeleteMessage(room_id=ROOM, message_id=MessageId(1007), deleted_us=3000),
            DeleteMessage(room_id=ROOM, message_id=MessageId(1003), deleted_us=3000),
            SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=7, read_seq=1, read_us=77),
            UpdateUser(user=make_user(ANN, display_name="Änne", avatar_url="/a")),
        ]
    )
    assert await overview(store, BOB) == RoomOverview(
        room=make_room(ROOM, ANN),
        member=replace(make_member(BOB, joined_us=2), username="bob", delivered_seq=7, read_seq=1, read_us=77),
        member_ids=(ANN, CAT, BOB),
        last_message=replace(
            make_message(1006, ROOM, 6, ANN, "last"),
            author_name="ann",
            author_display_name="Änne",
            author_avatar_url="/a",
        ),
        unread=3,  # 1002, 1004 and 1006: neither the own one nor the tombstones
        active_us=1007,
    )


async def test_what_the_room_says_itself_is_never_unread(store: Store) -> None:
    def message(n: int, **more: Any) -> Message:
        return make_message(1000 + n, ROOM, n, ANN, **more)

    joined = message(1, text="cat joined", kind=MessageKind.SYSTEM)
    greeted = replace(joined, reactions=(THUMB,))
    await store.commit([InsertMessage(message=joined)])
    found = await overview(store, BOB)
    assert (found.unread, found.last_message) == (0, replace(joined, author_name="ann"))
    await store.commit([SetReactions(message=greeted)])
    assert (await overview(store, BOB)).unread == 0
    others = (
        message(2, reply_to=1001),
        message(3, kind=MessageKind.FILE),
        message(4, text='{"kind":3}', reactions=(replace(THUMB, username='"kind":3'),)),
        message(5, text="", sealed=Sealed(data='{"kind":3', iv='"kind":3', key_version=1)),
    )
    await store.commit([InsertMessage(message=each) for each in others])
    assert (await overview(store, BOB)).unread == len(others)


async def test_the_bound_counts_no_more_of_what_the_room_says(store: Store) -> None:
    system = [make_message(1001 + n, ROOM, n + 1, ANN, "joined", kind=MessageKind.SYSTEM) for n in range(UNREAD_BOUND)]
    await store.commit([InsertMessage(message=each) for each in system])
    await store.commit([post(9001, ROOM, UNREAD_BOUND + 1), post(9002, ROOM, UNREAD_BOUND + 2)])
    assert (await overview(store, BOB)).unread == 2


async def test_an_overview_of_a_room_without_living_messages(store: Store) -> None:
    empty = await overview(store, BOB)
    assert (empty.last_message, empty.unread, empty.active_us) == (None, 0, ROOM)
    await store.commit([post(1001, ROOM, 1), DeleteMessage(room_id=ROOM, message_id=MessageId(1001), deleted_us=9)])
    emptied = await overview(store, BOB)
    assert (emptied.last_message, emptied.unread, emptied.active_us) == (None, 0, 1001)


async def test_unread_messages_are_counted_up_to_a_bound(store: Store) -> None:
    await fill(store, ROOM, UNREAD_BOUND + 5)
    assert (await overview(store, BOB)).unread == UNREAD_BOUND
    await store.commit([SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=6, read_seq=6)])
    assert (await overview(store, BOB)).unread == UNREAD_BOUND - 1
    everything = SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=UNREAD_BOUND + 5, read_seq=UNREAD_BOUND + 5)
    await store.commit([everything])
    assert (await overview(store, BOB)).unread == 0


async def test_overviews_come_by_latest_activity_and_in_pages_of_a_counted_whole(store: Store) -> None:
    await store.commit(
        [
            InsertRoom(room=DIRECT),
            InsertMember(room_id=DIRECT.id, member=make_member(ANN)),
            InsertRoom(room=make_room(40, BOB, name="Straße")),
            InsertMember(room_id=RoomId(40), member=make_member(ANN)),
            post(1001, ROOM, 1),
        ]
    )

    async def page(**of: Any) -> tuple[list[int], int]:
        found = await overviews(store, **of)
        return [entry.room.id for entry in found.rooms], found.total

    assert await page() == ([ROOM, 40, DIRECT.id, OTHER], 4)
    assert await page(skip=1, limit=2) == ([40, DIRECT.id], 4)
    assert await page(skip=3, limit=2) == ([OTHER], 4)
    assert await page(skip=4) == ([], 4)
    assert await page(limit=0) == ([], 4)
    assert await page(skip=10**30, limit=10**30) == ([], 4)
    assert await page(kind=RoomKind.DIRECT) == ([DIRECT.id], 1)
    assert await page(kind=RoomKind.GROUP, limit=1) == ([ROOM], 3)
    assert await page(name="STRASSE") == ([40], 1)
    assert await page(name="room", kind=RoomKind.GROUP, skip=1) == ([OTHER], 2)
    assert await page(name="\ud800") == ([], 0)
    await store.commit([DeleteMember(room_id=ROOM, user_id=ANN)])
    assert await page() == ([40, DIRECT.id, OTHER], 3)
    assert await overviews(store, NOBODY) == Overviews(rooms=(), total=0)
    assert await store.overview(ROOM, ANN) is None
    assert await store.overview(NOWHERE, ANN) is None
