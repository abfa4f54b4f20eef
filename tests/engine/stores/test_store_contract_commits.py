"""What every `Store` promises of commits: order, all or nothing, unique keys, preconditions."""

from collections.abc import Callable

import pytest
import trio
from msgspec.structs import replace

from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.ids import FamilyId, FileId, MessageId
from chinwag.engine.model.store import (
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    DuplicateKey,
    InsertFamily,
    InsertFile,
    InsertInvitation,
    InsertKeyVersion,
    InsertMember,
    InsertMessage,
    InsertRefreshToken,
    InsertRoom,
    InsertRoomKey,
    InsertSummary,
    InsertUser,
    PutMemberKey,
    RevokeFamily,
    SetDeclaredPresence,
    SetReactions,
    SetRole,
    SetWatermarks,
    SpendRefreshToken,
    Store,
    UpdateRoom,
    UpdateUser,
    UseInvitation,
    Write,
    WriteRejected,
)
from chinwag.engine.model.store_admissions import (
    DeleteBan,
    EndInvitation,
    EndInvitationsOf,
    EndInvitationsOfMembers,
    PutBan,
)
from chinwag.engine.model.store_jobs import DeleteInvitations, Savepoint, SetCursor
from chinwag.engine.model.values import Presence, Role, Status
from chinwag.engine.testing import (
    make_ban,
    make_file,
    make_invitation,
    make_member,
    make_message,
    make_room,
    make_summary,
    make_user,
)
from tests.engine.stores.stores import (
    ANN,
    BOB,
    CAT,
    DIRECT,
    FAMILY,
    MEMBER_KEY,
    NOBODY,
    NOWHERE,
    OTHER,
    ROOM,
    ROOM_KEY,
    THUMB,
    TOKEN,
    edit,
    fill,
    ids,
    post,
)

# --- commits ----------------------------------------------------------------------------------------------------------


async def test_commits_are_applied_and_answered_in_the_order_of_the_calls(store: Store) -> None:
    order: list[str] = []

    async def commit(n: int) -> None:
        await store.commit([post(1000 + n, ROOM, n)], lambda: order.append(f"then {n}"))
        order.append(f"back {n}")

    async with trio.open_nursery() as nursery:
        for n in range(1, 21):
            nursery.start_soon(commit, n)
            await trio.lowlevel.checkpoint()  # so that the calls are made in this order
    assert [entry for entry in order if entry.startswith("then")] == [f"then {n}" for n in range(1, 21)]
    for n in range(1, 21):
        assert order.index(f"then {n}") < order.index(f"back {n}")
    snapshot = await store.room_snapshot(ROOM, recent=50)
    assert snapshot is not None
    assert [keyed.message.id for keyed in snapshot.recent] == [1000 + n for n in range(1, 21)]


async def test_then_runs_before_anything_that_was_committed_later_is_released(store: Store) -> None:
    seen: list[str] = []

    async def later() -> None:
        await store.commit([])
        seen.append("later is back")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, [post(1001, ROOM, 1)], lambda: seen.append("then of the first"))
        await trio.lowlevel.checkpoint()
        nursery.start_soon(later)
    assert seen == ["then of the first", "later is back"]


async def test_then_sees_its_own_commit_and_runs_on_the_event_loop(store: Store) -> None:
    tasks: list[object] = []
    await store.commit([post(1001, ROOM, 1)], lambda: tasks.append(trio.lowlevel.current_trio_token()))
    assert tasks == [trio.lowlevel.current_trio_token()]


async def test_commits_that_nobody_waits_for_keep_their_place_and_tell_how_they_ended(store: Store) -> None:
    seen: list[str] = []

    def soon(n: int, seq: int, then: Callable[[], None] | None = None) -> None:
        store.commit_soon(
            [post(1000 + n, ROOM, seq)],
            then or (lambda: seen.append(f"{n} then")),
            lambda error: seen.append(f"{n} {error.code if isinstance(error, EngineError) else error}"),
        )

    def fail() -> None:
        raise LookupError("from then")

    soon(1, 1)
    soon(2, 2)
    soon(3, 2)
    soon(4, 3, fail)
    soon(5, 4)
    assert seen == []
    await store.commit([post(1006, ROOM, 5)], lambda: seen.append("6 then"))
    assert seen == ["1 then", "2 then", "3 duplicate_key", "4 from then", "5 then", "6 then"]


async def test_what_then_raises_comes_out_of_its_commit_and_of_no_other(store: Store) -> None:
    outcomes: dict[int, str] = {}

    def fail() -> None:
        raise LookupError("from then")

    async def commit(n: int, then: Callable[[], None] | None) -> None:
        try:
            await store.commit([post(1000 + n, ROOM, n)], then)
        except LookupError as error:
            outcomes[n] = str(error)
        else:
            outcomes[n] = "committed"

    async with trio.open_nursery() as nursery:
        for n, then in enumerate((None, fail, None), start=1):
            nursery.start_soon(commit, n, then)
            await trio.lowlevel.checkpoint()
    assert outcomes == {1: "committed", 2: "from then", 3: "committed"}
    assert await store.message(ROOM, MessageId(1002)) is not None


async def test_a_commit_is_all_or_nothing(store: Store) -> None:
    called: list[int] = []
    with pytest.raises(DuplicateKey):
        await store.commit(
            [
                SetRole(room_id=ROOM, user_id=BOB, role=Role.ADMIN),
                post(1001, ROOM, 1),
                DeleteMember(room_id=OTHER, user_id=CAT),
                InsertUser(user=make_user(20, "ANN"), password_hash=""),
            ],
            lambda: called.append(1),
        )
    assert called == []
    assert await store.message(ROOM, MessageId(1001)) is None
    assert (await store.access(OTHER, CAT)).member is not None
    member = (await store.access(ROOM, BOB)).member
    assert member is not None
    assert member.role is Role.MEMBER
    assert await store.highest_id() == OTHER


async def test_every_kind_of_write_is_undone_with_the_commit_it_belongs_to(store: Store) -> None:
    invitation = make_invitation(50, ROOM, ANN)
    message = make_message(1001, ROOM, 1, ANN)
    ban = make_ban(51, ROOM, CAT, ANN)
    await store.commit(
        [
            InsertInvitation(invitation=invitation),
            PutMemberKey(key=MEMBER_KEY),
            PutBan(ban=ban),
            SetCursor(name="a", position="1"),
            post(1001, ROOM, 1),
        ]
    )
    with pytest.raises(WriteRejected):
        await store.commit(
            [
                UpdateUser(user=make_user(ANN, display_name="Ann!")),
                UpdateRoom(room=make_room(ROOM, ANN, name="changed")),
                edit(ROOM, message.id, "changed"),
                SetReactions(message=replace(message, reactions=(THUMB,))),
                UseInvitation(digest=invitation.digest),
                InsertInvitation(invitation=make_invitation(60, ROOM, ANN)),
                EndInvitation(digest=invitation.digest),
                EndInvitationsOf(user_id=ANN, room_id=None),
                EndInvitationsOfMembers(room_id=ROOM),
                DeleteInvitations(invitation_ids=(invitation.id,)),
                Savepoint(writes=(SetCursor(name="a", position="2"),)),
                SetCursor(name="b", position="2"),
                DeleteBan(ban=ban),
                PutBan(ban=make_ban(63, ROOM, BOB, ANN)),
                InsertKeyVersion(room_id=ROOM, version=1, made_by=ANN),
                InsertFile(file=make_file(61, ANN, ROOM)),
                InsertSummary(summary=make_summary(62, ROOM, first_us=1, last_us=2)),
                InsertRoomKey(key=ROOM_KEY),
                PutMemberKey(key=replace(MEMBER_KEY, sealed="changed")),
                DeleteMember(room_id=OTHER, user_id=BOB),
            ]
        )
    assert await store.user(ANN) == make_user(ANN, "ann")
    assert (await store.access(ROOM, ANN)).room == make_room(ROOM, ANN)
    assert await store.message(ROOM, message.id) == replace(message, author_name="ann")
    assert await store.invitation(invitation.digest) == invitation
    assert await store.invitation(make_invitation(60, ROOM, ANN).digest) is None
    assert await store.file(FileId(61)) is None
    assert await store.summaries(ROOM, automatic=None, after_us=None, before_us=None, limit=9) == []
    assert await store.room_keys(ROOM) == []
    assert await store.member_keys(ROOM, BOB) == [MEMBER_KEY]
    assert await store.key_maker(ROOM, 1) is None
    assert (await store.cursor("a"), await store.cursor("b")) == ("1", None)
    assert await store.ban(ROOM, CAT) == replace(ban, username="cat")
    assert await store.ban(ROOM, BOB) is None
    assert await store.highest_id() == 1001


async def test_a_deletion_of_a_room_is_undone_with_the_commit_it_belongs_to(store: Store) -> None:
    await fill(store, ROOM, 3)
    invitation, file = make_invitation(50, ROOM, ANN), make_file(51, ANN, ROOM)
    summary = make_summary(52, ROOM, first_us=1, last_us=2)
    await store.commit(
        [
            InsertInvitation(invitation=invitation),
            InsertFile(file=file),
            InsertSummary(summary=summary),
            InsertRoomKey(key=ROOM_KEY),
            PutMemberKey(key=MEMBER_KEY),
        ]
    )
    with pytest.raises(WriteRejected):
        await store.commit([DeleteRoom(room_id=ROOM), DeleteMember(room_id=OTHER, user_id=BOB)])
    assert ids((await store.history(ROOM, BOB, skip=0, limit=9)).messages) == [1003, 1002, 1001]
    assert await store.invitation(invitation.digest) == invitation
    assert await store.file(file.id) == file
    assert await store.summaries(ROOM, automatic=None, after_us=None, before_us=None, limit=9) == [summary]
    assert await store.room_keys(ROOM) == [ROOM_KEY]
    assert await store.member_keys(ROOM, BOB) == [MEMBER_KEY]
    with pytest.raises(DuplicateKey):  # of the id, too
        await store.commit([InsertInvitation(invitation=make_invitation(50, ROOM, ANN, digest=b"other"))])


async def test_a_refused_commit_holds_up_no_other(store: Store) -> None:
    outcomes: dict[int, str] = {}

    async def commit(n: int, seq: int) -> None:
        try:
            await store.commit([post(1000 + n, ROOM, seq)])
            outcomes[n] = "committed"
        except EngineError as error:
            outcomes[n] = error.code

    async with trio.open_nursery() as nursery:
        for n, seq in ((1, 1), (2, 2), (3, 2), (4, 3)):
            nursery.start_soon(commit, n, seq)
            await trio.lowlevel.checkpoint()
    assert outcomes == {1: "committed", 2: "committed", 3: "duplicate_key", 4: "committed"}


async def test_a_commit_whose_caller_is_cancelled_is_applied_and_its_then_runs(store: Store) -> None:
    called: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit([post(1001, ROOM, 1)], lambda: called.append(1))
    assert scope.cancelled_caught
    await store.commit([])
    assert called == [1]
    assert await store.message(ROOM, MessageId(1001)) is not None


async def test_a_later_write_of_a_commit_sees_the_earlier_ones(store: Store) -> None:
    await store.commit(
        [
            post(1001, ROOM, 1, "first"),
            edit(ROOM, MessageId(1001), "second", edited_us=7),
            SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=1, read_seq=1),
            post(1002, ROOM, 2),
            DeleteMessage(room_id=ROOM, message_id=MessageId(1002), deleted_us=8),
        ]
    )
    page = await store.history(ROOM, ANN, skip=0, limit=10)
    assert [(message.id, message.text, message.edited_us) for message in page.messages] == [(1001, "second", 7)]
    assert page.receipts is not None
    assert page.receipts.status_of(page.messages[0]) is Status.READ


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 21, 64, 341, 700])
async def test_any_number_of_messages_goes_into_one_commit(store: Store, count: int) -> None:
    await fill(store, ROOM, count)
    page = await store.history(ROOM, ANN, skip=0, limit=1000)
    assert ids(page.messages) == [1001 + n for n in reversed(range(count))]


# --- unique keys and preconditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "write"),
    [
        ("username", InsertUser(user=make_user(20, "ANN"), password_hash="")),
        ("username", InsertUser(user=make_user(20, "GROẞ"), password_hash="")),
        ("email", InsertUser(user=make_user(20, email="Dan@Example.Org"), password_hash="")),
        ("id", InsertUser(user=make_user(ANN, "new"), password_hash="")),
        ("id", InsertRoom(room=make_room(ROOM, ANN))),
        ("direct_key", InsertRoom(room=make_room(31, BOB, direct_key="dm:1:2"))),
        ("member", InsertMember(room_id=ROOM, member=make_member(BOB))),
        ("id", InsertFamily(family=FAMILY)),
        ("id", InsertRefreshToken(token=TOKEN)),
        ("id", InsertMessage(message=make_message(1001, OTHER, 1, ANN))),
        ("seq", InsertMessage(message=make_message(1009, ROOM, 1, ANN))),
        ("idempotency_key", InsertMessage(message=make_message(1009, ROOM, 9, ANN, key="k"))),
        ("id", InsertInvitation(invitation=make_invitation(50, OTHER, ANN, digest=b"new"))),
        ("invitation", InsertInvitation(invitation=make_invitation(59, OTHER, ANN, digest=b"invitation-50"))),
        ("id", InsertFile(file=make_file(51, BOB, None))),
        ("id", InsertSummary(summary=make_summary(52, OTHER, first_us=1, last_us=2))),
        ("room_key", InsertRoomKey(key=replace(ROOM_KEY, sealed=b"other"))),
        ("room_key", InsertKeyVersion(room_id=ROOM, version=1, made_by=BOB)),
        ("id", PutBan(ban=make_ban(53, OTHER, BOB, ANN))),
    ],
)
async def test_a_clash_names_its_key_and_changes_nothing(store: Store, key: str, write: Write) -> None:
    await store.commit(
        [
            InsertUser(user=make_user(21, "gross", email="dan@example.org"), password_hash=""),
            InsertRoom(room=DIRECT),
            InsertFamily(family=FAMILY),
            InsertRefreshToken(token=TOKEN),
            InsertMessage(message=make_message(1001, ROOM, 1, ANN, key="k")),
            InsertInvitation(invitation=make_invitation(50, ROOM, ANN)),
            InsertFile(file=make_file(51, ANN, ROOM)),
            InsertSummary(summary=make_summary(52, ROOM, first_us=1, last_us=2)),
            InsertRoomKey(key=ROOM_KEY),
            InsertKeyVersion(room_id=ROOM, version=1, made_by=ANN),
            PutBan(ban=make_ban(53, ROOM, CAT, ANN)),
        ]
    )
    with pytest.raises(DuplicateKey) as caught:
        await store.commit([post(1005, ROOM, 5), write])
    assert caught.value.key == key
    assert await store.message(ROOM, MessageId(1005)) is None


async def test_the_same_idempotency_key_is_free_for_another_author_and_in_another_room(store: Store) -> None:
    await store.commit(
        [
            InsertMessage(message=make_message(1001, ROOM, 1, ANN, key="k")),
            InsertMessage(message=make_message(1002, ROOM, 2, BOB, key="k")),
            InsertMessage(message=make_message(1003, OTHER, 1, ANN, key="k")),
            InsertMessage(message=make_message(1004, ROOM, 3, ANN)),
            InsertMessage(message=make_message(1005, ROOM, 4, ANN)),
        ]
    )
    found = await store.keyed_message(ROOM, BOB, "k")
    assert found is not None
    assert found.message.id == 1002


async def test_users_without_e_mail_and_groups_without_key_do_not_clash(store: Store) -> None:
    assert await store.user_by_email("") is None
    assert await store.direct_room("") is None
    assert len((await store.rooms_of(ANN, name_contains="", limit=9)).rooms) == 2


@pytest.mark.parametrize(
    "write",
    [
        SetDeclaredPresence(user_id=NOBODY, declared=Presence.ONLINE),
        InsertFamily(family=replace(FAMILY, user_id=NOBODY)),
        InsertRefreshToken(token=TOKEN),
        SpendRefreshToken(digest=b"unknown", spent_us=1),
        RevokeFamily(family_id=FamilyId(97), revoked_us=1),
        InsertRoom(room=make_room(30, NOBODY)),
        DeleteRoom(room_id=NOWHERE),
        InsertMember(room_id=NOWHERE, member=make_member(ANN)),
        InsertMember(room_id=ROOM, member=make_member(NOBODY)),
        DeleteMember(room_id=ROOM, user_id=CAT),
        DeleteMember(room_id=NOWHERE, user_id=CAT),
        SetRole(room_id=ROOM, user_id=CAT, role=Role.ADMIN),
        SetWatermarks(room_id=ROOM, user_id=CAT, delivered_seq=1, read_seq=1),
        post(1001, NOWHERE, 1),
        post(1001, ROOM, 2, author=NOBODY),
        edit(ROOM, MessageId(1001), "x"),
        edit(OTHER, MessageId(1000), "x"),
        DeleteMessage(room_id=ROOM, message_id=MessageId(1001), deleted_us=1),
        DeleteMessage(room_id=OTHER, message_id=MessageId(1000), deleted_us=1),
        SetReactions(message=make_message(1001, ROOM, 1, ANN)),
        SetReactions(message=make_message(1000, OTHER, 1, ANN)),
        UpdateUser(user=make_user(NOBODY)),
        UpdateRoom(room=make_room(NOWHERE, ANN)),
        InsertInvitation(invitation=make_invitation(50, NOWHERE, ANN)),
        InsertInvitation(invitation=make_invitation(50, ROOM, NOBODY)),
        UseInvitation(digest=b"unknown"),
        InsertFile(file=make_file(51, NOBODY, ROOM)),
        InsertFile(file=make_file(51, ANN, NOWHERE)),
        InsertSummary(summary=make_summary(52, NOWHERE, first_us=1, last_us=2)),
        InsertRoomKey(key=replace(ROOM_KEY, room_id=NOWHERE)),
        PutMemberKey(key=replace(MEMBER_KEY, room_id=NOWHERE)),
        PutMemberKey(key=replace(MEMBER_KEY, user_id=NOBODY)),
        PutMemberKey(key=replace(MEMBER_KEY, sealed_by=NOBODY)),
        InsertKeyVersion(room_id=NOWHERE, version=1, made_by=ANN),
        InsertKeyVersion(room_id=ROOM, version=1, made_by=NOBODY),
        PutBan(ban=make_ban(53, NOWHERE, CAT, ANN)),
        PutBan(ban=make_ban(53, ROOM, NOBODY, ANN)),
        PutBan(ban=make_ban(53, ROOM, CAT, NOBODY)),
        DeleteBan(ban=make_ban(53, ROOM, CAT, ANN)),
    ],
    ids=lambda write: type(write).__name__,
)
async def test_a_write_to_what_is_not_there_is_rejected(store: Store, write: Write) -> None:
    await store.commit([post(1000, ROOM, 1)])
    with pytest.raises(WriteRejected):
        await store.commit([post(1005, ROOM, 5), write])
    assert await store.message(ROOM, MessageId(1005)) is None
