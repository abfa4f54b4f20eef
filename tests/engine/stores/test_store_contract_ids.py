"""What every `Store` promises of ids: none is given twice."""

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import FamilyId, RoomId
from chinwag.engine.model.store import (
    DeleteRoom,
    InsertFamily,
    InsertFile,
    InsertInvitation,
    InsertMessage,
    InsertRoom,
    InsertSummary,
    InsertUser,
    Store,
    Write,
)
from chinwag.engine.model.store_admissions import PutBan
from chinwag.engine.testing import (
    make_ban,
    make_file,
    make_invitation,
    make_message,
    make_room,
    make_summary,
    make_user,
)
from tests.engine.stores.stores import ANN, BOB, FAMILY, OTHER, ROOM, post


async def test_the_highest_id_is_over_all_kinds_and_never_falls(empty: Store) -> None:
    assert await empty.highest_id() == 0
    await empty.commit([InsertUser(user=make_user(1), password_hash="")])
    assert await empty.highest_id() == 1
    await empty.commit([InsertRoom(room=make_room(5, 1))])
    assert await empty.highest_id() == 5
    await empty.commit([InsertFamily(family=replace(FAMILY, id=FamilyId(8)))])
    assert await empty.highest_id() == 8
    await empty.commit([InsertMessage(message=make_message(12, 5, 1, 1))])
    await empty.commit([DeleteRoom(room_id=RoomId(5))])
    assert await empty.highest_id() == 12  # an id that was seen once is never given again
    await empty.commit([InsertRoom(room=make_room(7, 1))])
    await empty.commit([DeleteRoom(room_id=RoomId(7))])
    assert await empty.highest_id() == 12
    await empty.check()


@pytest.mark.parametrize(
    "write",
    [
        InsertInvitation(invitation=make_invitation(2000, ROOM, ANN)),
        PutBan(ban=make_ban(2000, ROOM, BOB, ANN)),
        InsertFile(file=make_file(2000, ANN, ROOM)),
        InsertSummary(summary=make_summary(2000, ROOM, first_us=1, last_us=2)),
        post(2000, ROOM, 2),
    ],
    ids=lambda write: type(write).__name__,
)
async def test_an_id_of_whatever_was_in_a_deleted_room_is_never_given_again(store: Store, write: Write) -> None:
    await store.commit([post(1001, ROOM, 1), write])
    assert await store.highest_id() == 2000
    await store.commit([DeleteRoom(room_id=ROOM)])
    assert await store.highest_id() == 2000
    await store.commit([DeleteRoom(room_id=OTHER)])
    assert await store.highest_id() == 2000


async def test_the_id_of_an_avatar_s_file_counts_too(store: Store) -> None:
    await store.commit([InsertFile(file=make_file(2000, ANN, None))])
    assert await store.highest_id() == 2000
