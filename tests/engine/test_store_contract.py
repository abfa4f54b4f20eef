"""What every `Store` promises. One suite for all: the in-memory fake and the drivers."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chinwag.engine.errors import EngineError
from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model import (
    Attachment,
    Family,
    Message,
    Presence,
    ReceiptFloor,
    RefreshToken,
    Role,
    Status,
)
from chinwag.engine.store import (
    Access,
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    DuplicateKey,
    InsertFamily,
    InsertMember,
    InsertMessage,
    InsertRefreshToken,
    InsertRoom,
    InsertUser,
    RevokeFamilies,
    RevokeFamily,
    SetDeclaredPresence,
    SetRole,
    SetWatermarks,
    SpendRefreshToken,
    Store,
    UpdateMessageText,
    Write,
    WriteRejected,
)
from chinwag.engine.testing import MemoryStore, make_member, make_message, make_room, make_user
from chinwag.persistence.sqlite import open_sqlite_store

ANN, BOB, CAT = UserId(1), UserId(2), UserId(3)
ROOM, OTHER = RoomId(10), RoomId(11)
NOWHERE = RoomId(99)
NOBODY = UserId(98)


@pytest.fixture(params=["memory", "sqlite"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store with nothing in it."""
    if request.param == "memory":
        yield MemoryStore()
    else:
        async with open_sqlite_store(tmp_path / "chinwag.db") as store:
            yield store


@pytest.fixture
async def store(empty: Store) -> Store:
    """Ann and Bob are in ROOM; Ann and Cat are in OTHER."""
    await empty.commit(
        [
            *(InsertUser(user=make_user(n, name), password_hash=f"hash-{n}") for n, name in PEOPLE),
            InsertRoom(room=make_room(ROOM, ANN)),
            InsertRoom(room=make_room(OTHER, ANN)),
            InsertMember(room_id=ROOM, member=make_member(ANN, role=Role.ADMIN)),
            InsertMember(room_id=ROOM, member=make_member(BOB, joined_us=2)),
            InsertMember(room_id=OTHER, member=make_member(ANN)),
            InsertMember(room_id=OTHER, member=make_member(CAT)),
        ]
    )
    return empty


PEOPLE = ((ANN, "ann"), (BOB, "bob"), (CAT, "cat"))


def post(n: int, room: RoomId, seq: int, text: str = "hello", *, author: UserId = ANN) -> InsertMessage:
    return InsertMessage(message=make_message(n, room, seq, author, text))


async def fill(store: Store, room: RoomId, count: int, *, first_id: int = 1001) -> None:
    """Messages 1..count of a room, with ids from `first_id`."""
    await store.commit([post(first_id + n, room, n + 1) for n in range(count)])


def ids(messages: Sequence[Message] | None) -> list[int] | None:
    return None if messages is None else [message.id for message in messages]


# --- commits ------------------------------------------------------------------------------------------------------


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


async def test_a_deletion_of_a_room_is_undone_with_the_commit_it_belongs_to(store: Store) -> None:
    await fill(store, ROOM, 3)
    with pytest.raises(WriteRejected):
        await store.commit([DeleteRoom(room_id=ROOM), DeleteMember(room_id=OTHER, user_id=BOB)])
    assert ids((await store.history(ROOM, BOB, skip=0, limit=9)).messages) == [1003, 1002, 1001]


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
            UpdateMessageText(room_id=ROOM, message_id=MessageId(1001), text="second", edited_us=7),
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


# --- unique keys and preconditions --------------------------------------------------------------------------------

DIRECT = make_room(30, ANN, direct_key="dm:1:2")
TOKEN = RefreshToken(digest=b"d" * 32, family_id=FamilyId(40), user_id=ANN, expires_us=500)
FAMILY = Family(id=FamilyId(40), user_id=ANN, created_us=5)


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
    assert len(await store.rooms_of(ANN, name_contains="", limit=9)) == 2


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
        UpdateMessageText(room_id=ROOM, message_id=MessageId(1001), text="x", edited_us=1),
        UpdateMessageText(room_id=OTHER, message_id=MessageId(1000), text="x", edited_us=1),
        DeleteMessage(room_id=ROOM, message_id=MessageId(1001), deleted_us=1),
        DeleteMessage(room_id=OTHER, message_id=MessageId(1000), deleted_us=1),
    ],
    ids=lambda write: type(write).__name__,
)
async def test_a_write_to_what_is_not_there_is_rejected(store: Store, write: Write) -> None:
    await store.commit([post(1000, ROOM, 1)])
    with pytest.raises(WriteRejected):
        await store.commit([post(1005, ROOM, 5), write])
    assert await store.message(ROOM, MessageId(1005)) is None


# --- accounts -----------------------------------------------------------------------------------------------------


async def test_an_account_is_found_by_id_e_mail_and_either_identifier_whatever_the_case(empty: Store) -> None:
    user = make_user(1, "Groß", email="Ann@Example.ORG")
    await empty.commit([InsertUser(user=user, password_hash="hash")])
    assert await empty.user(ANN) == user
    assert await empty.user(BOB) is None
    assert await empty.user_by_email("ANN@example.org") == user
    assert await empty.user_by_email("groß") is None
    for identifier in ("GROSS", "groß", "ann@EXAMPLE.org"):
        found = await empty.credentials(identifier)
        assert found is not None
        assert (found.user, found.password_hash) == (user, "hash")
    assert await empty.credentials("bob") is None


async def test_a_username_that_looks_like_an_e_mail_does_not_win_over_it(empty: Store) -> None:
    await empty.commit(
        [
            InsertUser(user=make_user(1, "bob@example.org", email="ann@example.org"), password_hash="ann's"),
            InsertUser(user=make_user(2, "bob", email="bob@example.org"), password_hash="bob's"),
        ]
    )
    found = await empty.credentials("BOB@example.org")
    assert found is not None
    assert found.password_hash == "bob's"


async def test_users_are_those_that_exist_each_once(store: Store) -> None:
    found = await store.users([BOB, NOBODY, ANN, BOB])
    assert sorted(user.id for user in found) == [ANN, BOB]
    assert await store.users([]) == []


async def test_declared_presence_is_set_and_unset(store: Store) -> None:
    for declared in (Presence.ONLINE, Presence.OFFLINE, None):
        await store.commit([SetDeclaredPresence(user_id=ANN, declared=declared)])
        user = await store.user(ANN)
        assert user is not None
        assert user.declared is declared


async def test_families_and_tokens_come_back_as_they_were_stored(store: Store) -> None:
    await store.commit([InsertFamily(family=FAMILY), InsertRefreshToken(token=TOKEN)])
    assert await store.family(FAMILY.id) == FAMILY
    assert await store.family(FamilyId(97)) is None
    assert await store.refresh_token(TOKEN.digest) == TOKEN
    assert await store.refresh_token(b"unknown") is None


async def test_spending_a_token_forgets_those_of_its_family_that_have_expired(store: Store) -> None:
    old = replace(TOKEN, digest=b"old", expires_us=100)
    good = replace(TOKEN, digest=b"good", expires_us=10_000)
    await store.commit([InsertFamily(family=FAMILY), InsertRefreshToken(token=old), InsertRefreshToken(token=good)])
    await store.commit([SpendRefreshToken(digest=b"good", spent_us=500)])
    assert await store.refresh_token(b"old") is None
    assert await store.refresh_token(b"good") == replace(good, spent_us=500)


async def test_of_two_uses_of_a_refresh_token_at_once_one_wins(store: Store) -> None:
    await store.commit([InsertFamily(family=FAMILY), InsertRefreshToken(token=TOKEN)])
    outcomes: list[str] = []

    async def spend(at_us: int) -> None:
        try:
            await store.commit([SpendRefreshToken(digest=TOKEN.digest, spent_us=at_us)])
            outcomes.append("spent")
        except WriteRejected:
            outcomes.append("rejected")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(spend, 600)
        nursery.start_soon(spend, 600)
    assert sorted(outcomes) == ["rejected", "spent"]
    assert await store.refresh_token(TOKEN.digest) == replace(TOKEN, spent_us=600)


async def test_a_family_is_revoked_once_and_all_of_a_user_s_at_once(store: Store) -> None:
    second, others = (
        Family(id=FamilyId(41), user_id=ANN, created_us=6),
        Family(id=FamilyId(42), user_id=BOB, created_us=7),
    )
    await store.commit([InsertFamily(family=family) for family in (FAMILY, second, others)])
    await store.commit([RevokeFamily(family_id=FAMILY.id, revoked_us=50)])
    await store.commit([RevokeFamily(family_id=FAMILY.id, revoked_us=60), RevokeFamilies(user_id=ANN, revoked_us=70)])
    await store.commit([RevokeFamilies(user_id=ANN, revoked_us=80), RevokeFamilies(user_id=CAT, revoked_us=80)])
    assert await store.family(FAMILY.id) == replace(FAMILY, revoked_us=50)
    assert await store.family(second.id) == replace(second, revoked_us=70)
    assert await store.family(others.id) == others


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


# --- rooms --------------------------------------------------------------------------------------------------------


async def test_access_tells_members_strangers_and_missing_rooms_apart(store: Store) -> None:
    member = replace(make_member(BOB, joined_us=2), username="bob")
    assert await store.access(ROOM, BOB) == Access(room=make_room(ROOM, ANN), member=member)
    assert await store.access(ROOM, CAT) == Access(room=make_room(ROOM, ANN), member=None)
    assert await store.access(NOWHERE, ANN) == Access(room=None, member=None)


async def test_a_direct_room_is_found_by_its_key(store: Store) -> None:
    await store.commit([InsertRoom(room=DIRECT)])
    assert await store.direct_room("dm:1:2") == DIRECT
    assert await store.direct_room("dm:1:3") is None


async def test_rooms_come_by_latest_activity_and_name(store: Store) -> None:
    await store.commit(
        [
            InsertRoom(room=make_room(12, ANN, name="Straße 100%")),
            InsertMember(room_id=RoomId(12), member=make_member(ANN)),
        ]
    )

    async def rooms(name: str = "", limit: int = 9, viewer: UserId = ANN) -> list[int]:
        return [room.id for room in await store.rooms_of(viewer, name_contains=name, limit=limit)]

    assert await rooms() == [12, OTHER, ROOM]  # as they were made, while there are no messages
    await store.commit([post(1001, ROOM, 1)])
    await store.commit([post(1002, OTHER, 1), DeleteMessage(room_id=OTHER, message_id=MessageId(1002), deleted_us=9)])
    assert await rooms() == [OTHER, ROOM, 12]
    assert await rooms(limit=2) == [OTHER, ROOM]
    assert await rooms("STRASSE") == [12]
    assert await rooms("0%") == [12]
    assert await rooms("m_1") == []
    assert await rooms(viewer=BOB) == [ROOM]
    assert await rooms(viewer=NOBODY) == []


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
    assert (await store.search(ANN, text="secret", room_id=None, limit=5))[1] == []
    # and may be made again
    await store.commit([InsertRoom(room=DIRECT), InsertMember(room_id=DIRECT.id, member=make_member(ANN))])
    assert (await store.history(DIRECT.id, ANN, skip=0, limit=5)).messages == ()


# --- messages -----------------------------------------------------------------------------------------------------


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


async def test_an_edit_changes_text_and_time(store: Store) -> None:
    await fill(store, ROOM, 1)
    edit = UpdateMessageText(room_id=ROOM, message_id=MessageId(1001), text="edited", edited_us=2000)
    await store.commit([edit])
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
        UpdateMessageText(room_id=ROOM, message_id=full.id, text="back", edited_us=4000),
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


# --- resume -------------------------------------------------------------------------------------------------------


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


# --- search -------------------------------------------------------------------------------------------------------


async def search(
    store: Store, text: str, viewer: UserId = ANN, room: RoomId | None = None, limit: int = 9
) -> list[int]:
    _, found = await store.search(viewer, text=text, room_id=room, limit=limit)
    return [entry.message.id for entry in found]


async def test_search_finds_parts_of_texts_whatever_their_case(store: Store) -> None:
    texts = [
        "The Quick fox",
        "quicksand",
        "STRASSE",
        "große Straße",
        "東京都に住む",
        '100% _sure_ "x" \\o/ it\'s',
        "ΣΊΣΥΦΟΣ",
    ]
    await store.commit([post(1001 + n, ROOM, n + 1, text) for n, text in enumerate(texts)])
    assert await search(store, "QUICK") == [1002, 1001]
    assert await search(store, "straße") == [1004, 1003]
    assert await search(store, "ss") == [1004, 1003]
    assert await search(store, "京") == [1005]
    assert await search(store, "京都") == [1005]
    assert await search(store, "東京都") == [1005]
    assert await search(store, "0%") == [1006]
    assert await search(store, "100%") == [1006]
    assert await search(store, "10_%") == []
    assert await search(store, "_sure_") == [1006]
    assert await search(store, '"x"') == [1006]
    assert await search(store, "\\o/") == [1006]
    assert await search(store, "it's") == [1006]
    assert await search(store, "σίσυφος") == [1007]
    assert await search(store, "fox quick") == []
    assert await search(store, "quick", limit=1) == [1002]
    assert await search(store, "", limit=2) == [1007, 1006]


async def test_search_sees_edits_deletions_and_memberships_at_once(store: Store) -> None:
    await store.commit(
        [post(1001, ROOM, 1, "needle one"), post(1002, OTHER, 1, "needle two"), post(1003, ROOM, 2, "needle")]
    )
    assert await search(store, "needle") == [1003, 1002, 1001]
    assert await search(store, "needle", BOB) == [1003, 1001]
    await store.commit(
        [
            UpdateMessageText(room_id=ROOM, message_id=MessageId(1001), text="haystack", edited_us=1),
            DeleteMessage(room_id=ROOM, message_id=MessageId(1003), deleted_us=1),
        ]
    )
    assert await search(store, "needle") == [1002]
    assert await search(store, "haystack", BOB) == [1001]
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB)])
    assert await search(store, "haystack", BOB) == []
    await store.commit([InsertMember(room_id=OTHER, member=make_member(BOB)), DeleteRoom(room_id=ROOM)])
    assert await search(store, "needle", BOB) == [1002]
    assert await search(store, "haystack") == []


async def test_search_in_one_room_tells_how_the_viewer_stands_to_it(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1, "needle"), post(1002, OTHER, 1, "needle")])
    for text in ("needle", "ne"):
        assert await search(store, text, ANN, ROOM) == [1001]
        access, found = await store.search(BOB, text=text, room_id=OTHER, limit=9)
        assert (access, found) == (Access(room=make_room(OTHER, ANN), member=None), [])
        access, found = await store.search(BOB, text=text, room_id=NOWHERE, limit=9)
        assert (access, found) == (Access(room=None, member=None), [])
    access, found = await store.search(BOB, text="needle", room_id=None, limit=9)
    assert access is None
    assert [entry.message.author_name for entry in found] == ["ann"]


async def test_what_search_finds_carries_its_room_s_receipts(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1, "needle"), post(1002, OTHER, 1, "needle")])
    await store.commit([SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=1, read_seq=0)])
    _, found = await store.search(ANN, text="needle", room_id=None, limit=9)
    assert [entry.receipts.status_of(entry.message) for entry in found] == [Status.SENT, Status.DELIVERED]


async def test_a_very_long_text_is_looked_for_too(store: Store) -> None:
    long = "Ä%" * 30_000
    await store.commit([post(1001, ROOM, 1, f"x{long}y"), post(1002, ROOM, 2, long[1:])])
    assert await search(store, long.lower()) == [1001]


async def test_what_no_store_could_hold_is_not_found(store: Store) -> None:
    """Whatever a client sends in the place of an id or a name: the answer is that there is no such thing."""
    huge, surrogate = 10**30, "\ud800"
    assert await store.user(UserId(huge)) is None
    assert await store.users([UserId(huge), ANN]) == [make_user(ANN, "ann")]
    assert await store.credentials(surrogate) is None
    assert await store.user_by_email(surrogate) is None
    assert await store.family(FamilyId(huge)) is None
    assert await store.access(RoomId(huge), ANN) == Access(room=None, member=None)
    assert await store.room_snapshot(RoomId(huge), recent=9) is None
    assert await store.message(ROOM, MessageId(huge)) is None
    assert await store.keyed_message(ROOM, ANN, surrogate) is None
    assert (await store.window(ROOM, ANN, around=MessageId(huge), limit=9)).messages == ()
    found = await store.missed([ROOM, RoomId(huge)], ANN, since=MessageId(huge), limit=9)
    assert found[ROOM].messages is None
    assert await store.rooms_of(ANN, name_contains=surrogate, limit=9) == []
    for text in (surrogate, f"{surrogate}long", "\0", "he\0"):
        assert await search(store, text) == []
        assert await search(store, text, ANN, ROOM) == []
