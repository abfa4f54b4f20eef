"""What every `Store` promises of what a room has besides members and messages: invitations, files, summaries, keys."""

import pytest
import trio
from msgspec.structs import replace

from chinwag.engine.model.ids import FileId, RoomId, UserId
from chinwag.engine.model.store import (
    DeleteFile,
    DeleteMember,
    InsertFile,
    InsertInvitation,
    InsertKeyVersion,
    InsertRoomKey,
    InsertSummary,
    KeyVersion,
    PutMemberKey,
    ReplaceFile,
    Store,
    UpdateRoom,
    UseInvitation,
    WriteRejected,
)
from chinwag.engine.model.values import KeyCustody, Summary
from chinwag.engine.testing import (
    make_file,
    make_invitation,
    make_room,
    make_summary,
)
from tests.engine.stores.stores import ANN, BOB, CAT, MEMBER_KEY, NOWHERE, OTHER, ROOM, ROOM_KEY, WITHOUT_MESSAGES

pytestmark = WITHOUT_MESSAGES

# --- invitations --------------------------------------------------------------------------------------------------


async def test_an_invitation_is_found_by_its_digest_and_counts_its_uses(store: Store) -> None:
    invitation = make_invitation(50, ROOM, BOB, digest=b"\x00\xff" * 16, max_uses=2)
    await store.commit(
        [InsertInvitation(invitation=invitation), InsertInvitation(invitation=make_invitation(51, ROOM, ANN))]
    )
    assert await store.invitation(invitation.digest) == invitation
    assert await store.invitation(b"unknown") is None
    for uses in (1, 2):
        await store.commit([UseInvitation(digest=invitation.digest)])
        assert await store.invitation(invitation.digest) == replace(invitation, uses=uses)
    with pytest.raises(WriteRejected):
        await store.commit([UseInvitation(digest=invitation.digest)])
    assert await store.invitation(invitation.digest) == replace(invitation, uses=2)
    assert await store.invitation(make_invitation(51, ROOM, ANN).digest) == make_invitation(51, ROOM, ANN)


async def test_of_two_uses_of_the_last_one_at_once_one_wins(store: Store) -> None:
    invitation = make_invitation(50, ROOM, ANN, max_uses=3, uses=2)
    await store.commit([InsertInvitation(invitation=invitation)])
    outcomes: list[str] = []

    async def use() -> None:
        try:
            await store.commit([UseInvitation(digest=invitation.digest)])
            outcomes.append("used")
        except WriteRejected:
            outcomes.append("rejected")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        nursery.start_soon(use)
    assert sorted(outcomes) == ["rejected", "used"]


# --- files --------------------------------------------------------------------------------------------------------


async def test_a_file_comes_back_as_it_was_stored(store: Store) -> None:
    picture = replace(make_file(51, ANN, ROOM, thumbnail="small"), name="ü\n.png", digest=b"\x00\xff" * 16)
    avatar = make_file(52, BOB, None)
    await store.commit([InsertFile(file=picture), InsertFile(file=avatar)])
    assert await store.file(FileId(51)) == picture
    assert await store.file(FileId(52)) == avatar
    assert await store.file(FileId(53)) is None
    assert await store.file(FileId(10**30)) is None


async def test_a_rooms_files_are_found_without_those_of_others(store: Store) -> None:
    its = [make_file(51, ANN, ROOM, thumbnail="small"), make_file(54, BOB, ROOM)]
    others = [make_file(52, BOB, None), make_file(53, ANN, OTHER)]
    await store.commit([InsertFile(file=file) for file in (*its, *others)])
    assert sorted(await store.files_of(ROOM), key=lambda file: file.id) == its
    assert await store.files_of(RoomId(10**30)) == []


async def test_a_users_avatars_are_found_without_other_files(store: Store) -> None:
    hers = [make_file(51, ANN, None), make_file(54, ANN, None, thumbnail="small")]
    others = [make_file(52, BOB, None), make_file(53, ANN, ROOM)]
    await store.commit([InsertFile(file=file) for file in (*hers, *others)])
    assert sorted(await store.avatars_of(ANN), key=lambda file: file.id) == hers
    assert await store.avatars_of(CAT) == []
    assert await store.avatars_of(UserId(10**30)) == []


async def test_a_file_gets_other_bytes_as_long_as_it_has_those_that_were_seen(store: Store) -> None:
    before = make_file(51, ANN, None)
    after = replace(
        before, name="b", mime_type="image/png", size_bytes=9, digest=b"x" * 32, blob="b", thumbnail="t", cleaned=True
    )
    await store.commit([InsertFile(file=before)])
    with pytest.raises(WriteRejected):
        await store.commit([ReplaceFile(file=after, blob="another blob")])
    assert await store.file(before.id) == before
    unlike = replace(after, owner_id=BOB, room_id=ROOM, created_us=7)  # whose it is, where and since when, stays
    await store.commit([ReplaceFile(file=unlike, blob=before.blob)])
    assert await store.file(before.id) == after
    with pytest.raises(WriteRejected):
        await store.commit([ReplaceFile(file=make_file(52, ANN, None), blob="blob-52")])


async def test_a_deleted_file_is_gone_and_may_be_deleted_again(store: Store) -> None:
    gone, kept = make_file(51, ANN, None), make_file(52, ANN, ROOM)
    await store.commit([InsertFile(file=gone), InsertFile(file=kept)])
    for _ in range(2):
        await store.commit([DeleteFile(file_id=gone.id)])
    assert await store.file(gone.id) is None
    assert await store.file(kept.id) == kept
    assert await store.avatars_of(ANN) == []


# --- summaries ----------------------------------------------------------------------------------------------------


async def test_summaries_come_newest_first_within_their_bounds(store: Store) -> None:
    old = make_summary(60, ROOM, first_us=100, last_us=199)
    asked = make_summary(61, ROOM, first_us=150, last_us=250, automatic=False)
    new = make_summary(62, ROOM, first_us=200, last_us=299)
    elsewhere = make_summary(63, OTHER, first_us=100, last_us=200)
    await store.commit([InsertSummary(summary=summary) for summary in (old, asked, new, elsewhere)])

    async def found(
        *, automatic: bool | None = None, after: int | None = None, before: int | None = None, limit: int = 9
    ) -> list[Summary]:
        return await store.summaries(ROOM, automatic=automatic, after_us=after, before_us=before, limit=limit)

    assert await found() == [new, asked, old]
    assert await found(limit=1) == [new]
    assert await found(limit=0) == []
    assert await found(automatic=True) == [new, old]
    assert await found(automatic=False) == [asked]
    assert await found(after=150) == [new, asked]
    assert await found(after=151) == [new]
    assert await found(before=250) == [asked, old]
    assert await found(before=249) == [old]
    assert await found(after=100, before=299) == [new, asked, old]
    assert await found(automatic=True, after=150, before=299, limit=1) == [new]
    assert await found(after=-(10**30), before=10**30, limit=10**30) == [new, asked, old]
    assert await found(after=10**30) == []
    assert await store.summaries(RoomId(10**30), automatic=None, after_us=None, before_us=None, limit=9) == []


# --- keys ---------------------------------------------------------------------------------------------------------


async def test_all_versions_of_a_room_s_key_come_rising(store: Store) -> None:
    second = replace(ROOM_KEY, version=2, sealed=b"second", created_us=9)
    await store.commit([InsertRoomKey(key=second), InsertRoomKey(key=replace(ROOM_KEY, room_id=OTHER))])
    await store.commit([InsertRoomKey(key=ROOM_KEY)])
    assert await store.room_keys(ROOM) == [ROOM_KEY, second]
    assert await store.room_keys(RoomId(99)) == []


async def test_a_key_is_kept_for_each_member_and_version_and_replaced(store: Store) -> None:
    second = replace(MEMBER_KEY, version=2)
    others = (replace(MEMBER_KEY, user_id=ANN), replace(MEMBER_KEY, room_id=OTHER))
    await store.commit([PutMemberKey(key=key) for key in (second, MEMBER_KEY, *others)])
    assert await store.member_keys(ROOM, BOB) == [MEMBER_KEY, second]
    renewed = replace(MEMBER_KEY, sealed="again", sealed_by=BOB, created_us=99)
    await store.commit([PutMemberKey(key=renewed)])
    assert await store.member_keys(ROOM, BOB) == [renewed, second]
    assert await store.member_keys(ROOM, ANN) == [others[0]]
    assert await store.member_keys(OTHER, BOB) == [others[1]]
    assert await store.member_keys(ROOM, CAT) == []


async def test_the_newest_version_of_a_key_is_that_of_the_room_s_custody(store: Store) -> None:
    async def newest(room_id: RoomId = ROOM) -> KeyVersion:
        version = await store.key_version(room_id)
        snapshot = await store.room_snapshot(room_id, recent=0)
        assert snapshot is None or snapshot.key == version
        return version

    assert await newest() == KeyVersion()
    assert await newest(NOWHERE) == KeyVersion()
    for version in (2, 1):  # the members' keys, each for itself, in whatever order
        await store.commit([PutMemberKey(key=replace(MEMBER_KEY, version=version))])
    await store.commit(
        [PutMemberKey(key=replace(MEMBER_KEY, user_id=ANN)), InsertRoomKey(key=replace(ROOM_KEY, version=5))]
    )
    assert await newest() == KeyVersion(version=2, changed_us=0)
    await store.commit([UpdateRoom(room=make_room(ROOM, ANN, custody=KeyCustody.SERVER))])
    assert await newest() == KeyVersion(version=5, changed_us=ROOM_KEY.created_us)
    await store.commit([InsertRoomKey(key=ROOM_KEY), InsertRoomKey(key=replace(ROOM_KEY, version=6, created_us=99))])
    assert await newest() == KeyVersion(version=6, changed_us=99)
    assert await newest(OTHER) == KeyVersion()


async def test_the_latest_room_key_is_of_the_room_that_was_made_last(store: Store) -> None:
    assert await store.latest_room_key() is None
    other = replace(ROOM_KEY, room_id=OTHER, version=2)
    await store.commit([InsertRoomKey(key=other)])
    await store.commit([InsertRoomKey(key=ROOM_KEY), InsertRoomKey(key=replace(ROOM_KEY, version=3))])
    assert await store.latest_room_key() == other


async def test_who_introduced_a_version_of_a_key_is_known_while_the_keys_are_replaced(store: Store) -> None:
    await store.commit([InsertKeyVersion(room_id=ROOM, version=1, made_by=ANN), PutMemberKey(key=MEMBER_KEY)])
    await store.commit([PutMemberKey(key=replace(MEMBER_KEY, sealed_by=BOB))])
    assert await store.key_maker(ROOM, 1) == ANN
    assert await store.key_maker(ROOM, 2) is None
    assert await store.key_maker(OTHER, 1) is None


async def test_keys_stay_when_their_member_leaves(store: Store) -> None:
    """Who comes back has to read what was said before."""
    await store.commit([InsertRoomKey(key=ROOM_KEY), PutMemberKey(key=MEMBER_KEY)])
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB)])
    assert await store.member_keys(ROOM, BOB) == [MEMBER_KEY]
    assert await store.room_keys(ROOM) == [ROOM_KEY]
