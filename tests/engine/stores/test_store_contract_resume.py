"""What every `Store` tells of what a viewer missed."""

import pytest

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import Access, DeleteMember, DeleteMessage, DeleteRoom, InsertMember, InsertRoom, Store
from chinwag.engine.testing import make_member, make_room
from tests.engine.stores.stores import ANN, BOB, NOBODY, NOWHERE, OTHER, ROOM, ids, post


@pytest.fixture
async def chatter(store: Store) -> Store:
    """Messages 1001..1006, in turns in ROOM and OTHER (which Bob is not in)."""
    for n in range(1, 7):
        await store.commit([post(1000 + n, ROOM if n % 2 else OTHER, (n + 1) // 2)])
    return store


async def missed(store: Store, viewer: UserId, since: int | None, limit: int = 10) -> list[list[int] | None]:
    since_id = None if since is None else MessageId(since)
    found = await store.missed([ROOM, OTHER, NOWHERE], viewer, since=since_id, limit=limit)
    assert list(found) == [ROOM, OTHER, NOWHERE]
    assert found[NOWHERE].access == Access(room=None, member=None)
    return [ids(found[room].messages) for room in (ROOM, OTHER)]


async def test_missed_is_what_came_after_in_each_room(chatter: Store) -> None:
    assert await missed(chatter, ANN, 1001) == [[1003, 1005], [1002, 1004, 1006]]
    assert await missed(chatter, ANN, 1004) == [[1005], [1006]]
    assert await missed(chatter, ANN, 1006) == [[], []]
    found = await chatter.missed([ROOM], ANN, since=MessageId(1003), limit=10)
    assert found[ROOM].last_seq == 3
    assert found[ROOM].receipts is not None
    assert found[ROOM].access.member is not None


async def test_missed_knows_no_way_on_from_no_position_or_an_unknown_or_foreign_one(chatter: Store) -> None:
    assert await missed(chatter, ANN, None) == [None, None]
    assert await missed(chatter, ANN, 4711) == [None, None]  # never was, or is yet to come
    assert await missed(chatter, BOB, 1002) == [None, []]  # of a room that Bob is not in
    assert await missed(chatter, BOB, 1001) == [[1003, 1005], []]
    assert await missed(chatter, NOBODY, 1001) == [[], []]


async def test_missed_gives_nothing_to_strangers(chatter: Store) -> None:
    found = (await chatter.missed([OTHER], BOB, since=MessageId(1001), limit=10))[OTHER]
    assert found.access == Access(room=make_room(OTHER, ANN), member=None)
    assert (found.last_seq, found.receipts, found.messages) == (0, None, ())


async def test_missed_is_none_where_there_is_more_than_asked_for(chatter: Store) -> None:
    assert await missed(chatter, ANN, 1001, limit=2) == [[1003, 1005], None]
    assert await missed(chatter, ANN, 1001, limit=0) == [None, None]
    assert await missed(chatter, ANN, 1006, limit=0) == [[], []]


async def test_missed_leaves_tombstones_out_and_goes_on_from_one(chatter: Store) -> None:
    await chatter.commit(
        [
            DeleteMessage(room_id=OTHER, message_id=MessageId(1004), deleted_us=1),
            DeleteMessage(room_id=ROOM, message_id=MessageId(1003), deleted_us=1),
        ]
    )
    assert await missed(chatter, ANN, 1003, limit=1) == [[1005], [1006]]


async def test_missed_does_not_go_on_from_a_room_that_was_left(chatter: Store) -> None:
    await chatter.commit([DeleteMember(room_id=OTHER, user_id=ANN)])
    assert await missed(chatter, ANN, 1002) == [None, []]
    await chatter.commit([DeleteRoom(room_id=OTHER)])
    assert await missed(chatter, ANN, 1002) == [None, []]


async def test_missed_starts_from_the_beginning_of_a_room_that_is_newer(chatter: Store) -> None:
    await chatter.commit([InsertRoom(room=make_room(2000, ANN))])
    await chatter.commit([InsertMember(room_id=RoomId(2000), member=make_member(ANN))])
    await chatter.commit([post(2001, RoomId(2000), 1)])
    found = await chatter.missed([RoomId(2000)], ANN, since=MessageId(1001), limit=10)
    assert ids(found[RoomId(2000)].messages) == [2001]


async def test_missed_since_a_moment_is_what_has_a_higher_id_whosever_the_last_message_was(chatter: Store) -> None:
    for viewer, moment, expected in (
        (ANN, 0, [[1001, 1003, 1005], [1002, 1004, 1006]]),
        (BOB, 1002, [[1003, 1005], []]),  # the last one then was of a room that Bob is not in
        (BOB, 1000, [[1001, 1003, 1005], []]),
        (ANN, 1003, [[1005], [1004, 1006]]),
        (ANN, 4711, [[], []]),
    ):
        found = await chatter.missed([ROOM, OTHER], viewer, since=MessageId(moment), limit=10, moment=True)
        assert [ids(found[room].messages) for room in (ROOM, OTHER)] == expected
