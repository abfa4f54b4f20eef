"""What every `Store` promises of rooms and their members."""

from msgspec.structs import replace

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    Access,
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    InsertMember,
    InsertMessage,
    InsertRoom,
    SetRole,
    SetWatermarks,
    Store,
    UpdateRoom,
    UpdateUser,
)
from chinwag.engine.model.values import KeyCustody, Role, Room, RoomKind
from chinwag.engine.testing import make_member, make_message, make_room, make_user
from tests.engine.stores.stores import ANN, BOB, CAT, DIRECT, NOBODY, NOWHERE, OTHER, ROOM, fill, post


async def test_access_tells_members_strangers_and_missing_rooms_apart(store: Store) -> None:
    member = replace(make_member(BOB, joined_us=2), username="bob")
    assert await store.access(ROOM, BOB) == Access(room=make_room(ROOM, ANN), member=member)
    assert await store.access(ROOM, CAT) == Access(room=make_room(ROOM, ANN), member=None)
    assert await store.access(NOWHERE, ANN) == Access(room=None, member=None)


async def test_open_groups_are_found_by_their_name_and_by_nobody_s_membership(store: Store) -> None:
    def group(number: int, name: str, **more: bool) -> Room:
        return replace(make_room(RoomId(number), BOB), name=name, **more)

    older, newer = group(41, "Tea", private=False), group(42, "tEA", private=False)
    others = [group(43, "tea", private=True), group(44, "teas", private=False), group(45, "Été", private=False)]
    await store.commit([InsertRoom(room=room) for room in (newer, older, *others)])
    assert await store.open_rooms_named("tea", limit=9) == [older, newer]
    assert await store.open_rooms_named("TEA", limit=1) == [older]
    assert await store.open_rooms_named("Été", limit=9) == [others[2]]
    assert await store.open_rooms_named("été", limit=9) == []  # beyond ASCII nothing is folded
    assert await store.open_rooms_named("%", limit=9) == []
    await store.commit([UpdateRoom(room=replace(older, private=True)), UpdateRoom(room=replace(newer, name="milk"))])
    assert await store.open_rooms_named("tea", limit=9) == []


async def test_a_room_s_settings_come_back_and_are_replaced(store: Store) -> None:
    room = Room(
        id=RoomId(30),
        kind=RoomKind.GROUP,
        name="tea",
        description="and milk",
        created_by=BOB,
        created_us=30,
        private=False,
        max_members=7,
        auto_summary=True,
        summary_threshold=20,
        custody=KeyCustody.SERVER,
        announces=True,
        updated_us=31,
    )
    await store.commit([InsertRoom(room=room)])
    assert (await store.access(room.id, ANN)).room == room
    changed = replace(
        room,
        name="coffee",
        description="",
        private=True,
        max_members=None,
        auto_summary=False,
        summary_threshold=30,
        custody=KeyCustody.CLIENT,
        announces=False,
        updated_us=32,
    )
    other = replace(changed, kind=RoomKind.DIRECT, created_by=CAT, created_us=99, direct_key="dm:1:2")
    await store.commit([UpdateRoom(room=other)])
    assert (await store.access(room.id, ANN)).room == changed
    assert await store.direct_room("dm:1:2") is None
    assert (await store.access(ROOM, ANN)).room == make_room(ROOM, ANN)


async def test_a_direct_room_is_found_by_its_key(store: Store) -> None:
    await store.commit([InsertRoom(room=DIRECT)])
    assert await store.direct_room("dm:1:2") == DIRECT
    assert await store.direct_room("dm:1:3") is None


async def test_rooms_come_by_latest_activity_and_name(store: Store) -> None:
    await store.commit(
        [
            InsertRoom(room=make_room(12, ANN, name="Straße 100%")),
            InsertMember(room_id=RoomId(12), member=make_member(ANN)),
            InsertRoom(room=make_room(13, BOB, name="Cafe\u0301 \u0130stanbul")),
            InsertMember(room_id=RoomId(13), member=make_member(BOB)),
        ]
    )

    async def rooms(name: str = "", limit: int = 9, viewer: UserId = ANN) -> list[int]:
        return [room.id for room in (await store.rooms_of(viewer, name_contains=name, limit=limit)).rooms]

    assert await rooms() == [12, OTHER, ROOM]  # as they were made, while there are no messages
    await store.commit([post(1001, ROOM, 1)])
    await store.commit([post(1002, OTHER, 1), DeleteMessage(room_id=OTHER, message_id=MessageId(1002), deleted_us=9)])
    assert await rooms() == [OTHER, ROOM, 12]
    assert await rooms(limit=2) == [OTHER, ROOM]
    assert await rooms("STRASSE") == [12]
    assert await rooms("0%") == [12]
    assert await rooms("m_1") == []
    assert await rooms(viewer=BOB) == [ROOM, 13]
    for name in ("caf\u00e9", "cafe\u0301", "CAF\u00c9 istanbul"):
        assert await rooms(name, viewer=BOB) == [13], name
    assert await rooms(viewer=NOBODY) == []
    assert sorted(await store.room_ids_of(ANN)) == [ROOM, OTHER, 12]
    assert await store.room_ids_of(NOBODY) == []


async def test_members_come_by_joining_time_and_to_members_only(store: Store) -> None:
    await store.commit([InsertMember(room_id=ROOM, member=make_member(CAT, joined_us=1))])
    seen = await store.members(ROOM, BOB)
    assert [(member.user_id, member.username, member.role) for member in seen.members] == [
        (ANN, "ann", Role.ADMIN),
        (CAT, "cat", Role.MEMBER),
        (BOB, "bob", Role.MEMBER),
    ]
    await store.commit([DeleteMember(room_id=ROOM, user_id=CAT)])
    refused = await store.members(ROOM, CAT)
    assert (refused.members, refused.access) == ((), Access(room=make_room(ROOM, ANN), member=None))
    assert (await store.members(NOWHERE, ANN)).access == Access(room=None, member=None)


async def test_watermarks_only_rise(store: Store) -> None:
    async def after(delivered: int, read: int) -> tuple[int, int]:
        await store.commit([SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=delivered, read_seq=read)])
        member = (await store.access(ROOM, BOB)).member
        assert member is not None
        return member.delivered_seq, member.read_seq

    assert await after(5, 3) == (5, 3)
    assert await after(4, 4) == (5, 4)  # late for one, news for the other
    assert await after(0, 0) == (5, 4)
    assert await after(5, 4) == (5, 4)  # repeated
    assert await after(6, 0) == (6, 4)


async def test_the_time_of_reading_is_that_of_the_last_rise(store: Store) -> None:
    async def after(delivered: int, read: int, read_us: int | None) -> tuple[int, int | None]:
        await store.commit(
            [SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=delivered, read_seq=read, read_us=read_us)]
        )
        member = (await store.access(ROOM, BOB)).member
        assert member is not None
        return member.read_seq, member.read_us

    assert await after(5, 0, None) == (0, None)
    assert await after(5, 0, 100) == (0, None)  # nothing was read
    assert await after(5, 3, 200) == (3, 200)
    assert await after(5, 3, 300) == (3, 200)  # repeated
    assert await after(5, 2, 400) == (3, 200)  # late
    assert await after(5, 4, None) == (4, 200)
    assert await after(5, 5, 500) == (5, 500)
    joined = replace(make_member(CAT), delivered_seq=5, read_seq=5, read_us=600)
    await store.commit([InsertMember(room_id=ROOM, member=joined)])
    assert (await store.access(ROOM, CAT)).member == replace(joined, username="cat")


async def test_members_show_their_user_s_present_names(store: Store) -> None:
    await store.commit([UpdateUser(user=make_user(BOB, display_name="Bobby", avatar_url="/b"))])
    bob = replace(make_member(BOB, joined_us=2), username="bob", display_name="Bobby", avatar_url="/b")
    assert (await store.access(ROOM, BOB)).member == bob
    assert (await store.members(ROOM, ANN)).members[-1] == bob
    snapshot = await store.room_snapshot(ROOM, recent=1)
    assert snapshot is not None
    assert snapshot.members[-1] == bob


async def test_a_role_changes(store: Store) -> None:
    await store.commit([SetRole(room_id=ROOM, user_id=BOB, role=Role.ADMIN)])
    member = (await store.access(ROOM, BOB)).member
    assert member is not None
    assert member.role is Role.ADMIN


async def test_a_snapshot_holds_room_members_and_the_newest_messages_with_tombstones(store: Store) -> None:
    assert await store.room_snapshot(NOWHERE, recent=5) is None
    empty = await store.room_snapshot(ROOM, recent=5)
    assert empty is not None
    assert (empty.last_seq, empty.recent) == (0, ())
    await fill(store, ROOM, 4)
    keyed = InsertMessage(message=make_message(1005, ROOM, 5, BOB, "keyed", key="k"), digest=b"print")
    await store.commit([keyed, DeleteMessage(room_id=ROOM, message_id=MessageId(1003), deleted_us=77)])
    snapshot = await store.room_snapshot(ROOM, recent=3)
    assert snapshot is not None
    assert snapshot.room == make_room(ROOM, ANN)
    assert [member.user_id for member in snapshot.members] == [ANN, BOB]
    assert snapshot.last_seq == 5
    assert [(entry.message.seq, entry.message.deleted_us) for entry in snapshot.recent] == [
        (3, 77),
        (4, None),
        (5, None),
    ]
    assert snapshot.recent[-1].message == replace(keyed.message, author_name="bob")
    assert snapshot.recent[-1].digest == b"print"
    none = await store.room_snapshot(ROOM, recent=0)
    assert none is not None
    assert (none.last_seq, none.recent) == (5, ())


async def test_a_deleted_room_is_gone_with_everything_in_it(store: Store) -> None:
    await store.commit([InsertRoom(room=DIRECT), InsertMember(room_id=DIRECT.id, member=make_member(ANN))])
    await store.commit([InsertMessage(message=make_message(1001, DIRECT.id, 1, ANN, "secret", key="k"))])
    await store.commit([DeleteRoom(room_id=DIRECT.id)])
    assert await store.access(DIRECT.id, ANN) == Access(room=None, member=None)
    assert await store.direct_room("dm:1:2") is None
    assert await store.message(DIRECT.id, MessageId(1001)) is None
    assert await store.keyed_message(DIRECT.id, ANN, "k") is None
    assert await store.room_snapshot(DIRECT.id, recent=5) is None
    assert (await store.search(ANN, text="secret", room_id=None, limit=5)).messages == ()
    # and may be made again
    await store.commit([InsertRoom(room=DIRECT), InsertMember(room_id=DIRECT.id, member=make_member(ANN))])
    assert (await store.history(DIRECT.id, ANN, skip=0, limit=5)).messages == ()
