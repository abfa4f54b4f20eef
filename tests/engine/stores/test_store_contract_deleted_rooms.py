"""What every `Store` promises of a room that is deleted: it takes along all that was in it."""

from msgspec.structs import replace

from chinwag.engine.model.ids import FileId, RoomId, UserId
from chinwag.engine.model.store import (
    Access,
    DeleteRoom,
    InsertFile,
    InsertInvitation,
    InsertKeyVersion,
    InsertMember,
    InsertMessage,
    InsertRoom,
    InsertRoomKey,
    InsertSummary,
    PutMemberKey,
    Store,
)
from chinwag.engine.model.store_admissions import PutBan
from chinwag.engine.testing import (
    make_ban,
    make_file,
    make_invitation,
    make_member,
    make_message,
    make_room,
    make_summary,
)
from tests.engine.stores.stores import ANN, BOB, MEMBER_KEY, OTHER, ROOM, ROOM_KEY


async def test_a_deleted_room_takes_them_along_and_leaves_those_of_others(store: Store) -> None:
    async def all_of(room_id: RoomId, n: int) -> tuple[object, ...]:
        return (
            await store.invitation(make_invitation(n, room_id, ANN).digest),
            await store.file(FileId(n + 1)),
            await store.summaries(room_id, automatic=None, after_us=None, before_us=None, limit=9),
            await store.room_keys(room_id),
            await store.member_keys(room_id, BOB),
            await store.key_maker(room_id, 1),
            await store.ban(room_id, BOB),
        )

    for n, room_id in ((50, ROOM), (60, OTHER)):
        await store.commit(
            [
                InsertInvitation(invitation=make_invitation(n, room_id, ANN)),
                InsertFile(file=make_file(n + 1, ANN, room_id)),
                InsertSummary(summary=make_summary(n + 2, room_id, first_us=1, last_us=2)),
                InsertRoomKey(key=replace(ROOM_KEY, room_id=room_id)),
                PutMemberKey(key=replace(MEMBER_KEY, room_id=room_id)),
                InsertKeyVersion(room_id=room_id, version=1, made_by=ANN),
                PutBan(ban=make_ban(n + 3, room_id, BOB, ANN)),
                InsertMessage(message=make_message(1000 + n, room_id, 1, ANN, reply_to=1)),
            ]
        )
    kept = await all_of(OTHER, 60)
    assert all(kept)
    await store.commit([InsertFile(file=make_file(70, UserId(ANN), None)), DeleteRoom(room_id=ROOM)])
    assert await all_of(ROOM, 50) == (None, None, [], [], [], None, None)
    assert await all_of(OTHER, 60) == kept
    assert await store.file(FileId(70)) is not None
    # and the room may be made again
    await store.commit([InsertRoom(room=make_room(ROOM, ANN)), InsertMember(room_id=ROOM, member=make_member(ANN))])
    assert await all_of(ROOM, 50) == (None, None, [], [], [], None, None)
    assert (await store.access(ROOM, BOB)) == Access(room=make_room(ROOM, ANN), member=None)
