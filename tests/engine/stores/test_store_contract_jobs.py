"""The store contract: cursors, savepoints within a commit, and the blobs that rows name."""

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import MessageId
from chinwag.engine.model.store import (
    DeleteRoom,
    DuplicateKey,
    InsertFile,
    InsertMember,
    InsertSummary,
    InsertUser,
    SetRole,
    Store,
    UpdateRoom,
    Write,
    WriteRejected,
)
from chinwag.engine.model.store_jobs import Savepoint, SetCursor
from chinwag.engine.model.values import Role
from chinwag.engine.testing import make_file, make_member, make_room, make_summary, make_user
from tests.engine.stores.stores import ANN, BOB, CAT, NOWHERE, OTHER, ROOM, post


async def test_a_cursor_is_where_it_was_last_set(store: Store) -> None:
    assert await store.cursor("deliveries") is None
    await store.commit([SetCursor(name="deliveries", position="17"), SetCursor(name="other", position="é:1")])
    await store.commit([SetCursor(name="deliveries", position="9")])
    assert await store.cursor("deliveries") == "9"
    assert await store.cursor("other") == "é:1"
    await store.commit([SetCursor(name="deliveries", position="")])
    assert await store.cursor("deliveries") == ""


async def test_a_savepoint_is_part_of_its_commit(store: Store) -> None:
    with pytest.raises(DuplicateKey):
        await store.commit(
            [
                Savepoint(writes=(SetCursor(name="a", position="1"),)),
                InsertMember(room_id=ROOM, member=make_member(BOB)),
            ]
        )
    assert await store.cursor("a") is None
    await store.commit([post(1001, ROOM, 1), Savepoint(writes=(SetCursor(name="a", position="1"),))])
    assert await store.cursor("a") == "1"
    assert await store.message(ROOM, MessageId(1001)) is not None


@pytest.mark.parametrize(
    "refused",
    [
        InsertUser(user=make_user(20, "ANN"), password_hash=""),
        SetRole(room_id=NOWHERE, user_id=BOB, role=Role.ADMIN),
        InsertSummary(summary=make_summary(52, NOWHERE, first_us=1, last_us=2)),
        post(1002, ROOM, 2),
        DeleteRoom(room_id=OTHER),
        Savepoint(writes=()),
    ],
    ids=["unique key", "row that is gone", "reference", "message", "room", "savepoint"],
)
async def test_a_savepoint_that_is_refused_leaves_the_rest_of_its_commit(store: Store, refused: Write) -> None:
    called: list[int] = []
    await store.commit(
        [
            post(1001, ROOM, 1),
            Savepoint(writes=(SetCursor(name="good", position="1"),)),
            Savepoint(writes=(UpdateRoom(room=make_room(ROOM, ANN, name="changed")), refused)),
            SetCursor(name="after", position="1"),
        ],
        lambda: called.append(1),
    )
    assert called == [1]
    assert await store.message(ROOM, MessageId(1001)) is not None
    assert (await store.cursor("good"), await store.cursor("after")) == ("1", "1")
    assert (await store.access(ROOM, ANN)).room == make_room(ROOM, ANN)
    assert (await store.access(OTHER, CAT)).room is not None
    assert await store.highest_id() == 1001


async def test_a_store_that_is_used_after_a_refused_savepoint_goes_on(store: Store) -> None:
    bad = Savepoint(writes=(SetRole(room_id=NOWHERE, user_id=BOB, role=Role.ADMIN),))
    for n in range(1, 4):
        await store.commit([post(1000 + n, ROOM, n), bad])
        await store.commit([post(2000 + n, OTHER, n)])
    with pytest.raises(WriteRejected):
        await store.commit([SetRole(room_id=NOWHERE, user_id=BOB, role=Role.ADMIN)])
    assert [message.seq for message in (await store.history(ROOM, ANN, skip=0, limit=9)).messages] == [3, 2, 1]
    assert [message.seq for message in (await store.history(OTHER, ANN, skip=0, limit=9)).messages] == [3, 2, 1]


async def test_ids_of_a_savepoint_count(store: Store) -> None:
    summary = make_summary(5000, ROOM, first_us=1, last_us=2)
    await store.commit([Savepoint(writes=(InsertSummary(summary=summary),))])
    assert await store.highest_id() == 5000


async def test_the_blobs_that_rows_name_are_told_from_others(store: Store) -> None:
    plain = replace(make_file(50, ANN, ROOM), blob="plain", thumbnail=None)
    picture = replace(make_file(51, ANN, None), blob="picture", thumbnail="small")
    await store.commit([InsertFile(file=plain), InsertFile(file=picture)])
    asked = ["plain", "picture", "small", "nobody's", "'", ""]
    assert await store.named_blobs(asked) == {"plain", "picture", "small"}
    assert await store.named_blobs(["small"]) == {"small"}
    assert await store.named_blobs([]) == set()
