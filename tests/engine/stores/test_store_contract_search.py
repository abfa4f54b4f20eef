"""What every `Store` finds."""

from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    Access,
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    FoundMessages,
    InsertMember,
    InsertMessage,
    SetWatermarks,
    Store,
)
from chinwag.engine.model.text import folded
from chinwag.engine.model.values import MessageKind, Status
from chinwag.engine.testing import make_member, make_message, make_room, make_user
from tests.engine.stores.stores import ANN, BOB, NOWHERE, OTHER, ROOM, edit, post


async def search(
    store: Store, text: str, viewer: UserId = ANN, room: RoomId | None = None, limit: int = 9
) -> list[int]:
    found = (await store.search(viewer, text=text, room_id=room, limit=limit)).messages
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
        "re\u0301sume\u0301",
        "r\u00e9sum\u00e9",
        "\u0130stanbul",
        "\u1112\u1161\u11ab\u1100\u1173\u11af",
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
    for resume in ("r\u00e9sum\u00e9", "re\u0301sume\u0301", "R\u00c9SUM\u00c9", "E\u0301SUM"):
        assert await search(store, resume) == [1009, 1008], resume
    assert await search(store, "resume") == []
    for istanbul in ("istanbul", "\u0130STANBUL", "i\u0307stanbul"):
        assert await search(store, istanbul) == [1010], istanbul
    assert await search(store, "\ud55c\uae00") == [1011]
    assert await search(store, "\u1112\u1161\u11ab") == [1011]
    assert await search(store, "fox quick") == []
    assert await search(store, "quick", limit=1) == [1002]
    assert await search(store, "", limit=2) == [1011, 1010]


async def test_what_a_room_says_itself_is_not_found(store: Store) -> None:
    joined = make_message(1001, ROOM, 1, ANN, "ann joined", kind=MessageKind.SYSTEM)
    await store.commit([InsertMessage(message=joined), post(1002, ROOM, 2, "ann joined")])
    for text in ("ann joined", "jo"):
        assert await search(store, text) == [1002]


async def test_search_sees_edits_deletions_and_memberships_at_once(store: Store) -> None:
    await store.commit(
        [post(1001, ROOM, 1, "needle one"), post(1002, OTHER, 1, "needle two"), post(1003, ROOM, 2, "needle")]
    )
    assert await search(store, "needle") == [1003, 1002, 1001]
    assert await search(store, "needle", BOB) == [1003, 1001]
    await store.commit(
        [
            edit(ROOM, MessageId(1001), "haystack"),
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
        found = await store.search(BOB, text=text, room_id=OTHER, limit=9)
        assert found == FoundMessages(access=Access(room=make_room(OTHER, ANN), member=None))
        found = await store.search(BOB, text=text, room_id=NOWHERE, limit=9)
        assert found == FoundMessages(access=Access(room=None, member=None))
    everywhere = await store.search(BOB, text="needle", room_id=None, limit=9)
    assert everywhere.access is None
    assert [entry.message.author_name for entry in everywhere.messages] == ["ann"]


async def test_what_search_finds_carries_its_room_s_receipts(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1, "needle"), post(1002, OTHER, 1, "needle")])
    await store.commit([SetWatermarks(room_id=ROOM, user_id=BOB, delivered_seq=1, read_seq=0)])
    found = (await store.search(ANN, text="needle", room_id=None, limit=9)).messages
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
    assert await store.credentials(surrogate) == []
    assert await store.user_by_email(surrogate) is None
    assert await store.family(FamilyId(huge)) is None
    assert await store.access(RoomId(huge), ANN) == Access(room=None, member=None)
    assert await store.room_snapshot(RoomId(huge), recent=9) is None
    assert await store.message(ROOM, MessageId(huge)) is None
    assert await store.find_message(MessageId(huge), ANN) is None
    assert await store.keyed_message(ROOM, ANN, surrogate) is None
    assert (await store.window(ROOM, ANN, around=MessageId(huge), limit=9)).messages == ()
    found = await store.missed([ROOM, RoomId(huge)], ANN, since=MessageId(huge), limit=9)
    assert found[ROOM].messages is None
    assert (await store.rooms_of(ANN, name_contains=surrogate, limit=9)).rooms == ()
    for text in (surrogate, f"{surrogate}long", "\0", "he\0"):
        assert await search(store, text) == []
        assert await search(store, text, ANN, ROOM) == []


async def test_what_was_found_comes_with_the_text_that_was_searched(store: Store) -> None:
    joined = make_message(1003, ROOM, 3, ANN, "joined", kind=MessageKind.SYSTEM)
    texts = ("Stra\u00dfe in \u0130stanbul", "\u6771\u4eac \u0428\u0443\u0431\u0430")
    await store.commit([post(1001, ROOM, 1, texts[0]), post(1002, ROOM, 2, texts[1]), InsertMessage(message=joined)])
    found = await store.search(ANN, text="", room_id=ROOM, limit=9)
    assert found.complete
    assert [each.folded for each in found.messages] == ["", folded(texts[1]), folded(texts[0])]


async def test_a_search_without_time_finds_what_it_can_and_says_so(store: Store) -> None:
    await store.commit([post(1001, ROOM, 1, "needle")])
    for room in (None, ROOM):
        found = await store.search(ANN, text="needle", room_id=room, limit=9, within_s=-1.0)
        assert not found.complete
        found = await store.search(ANN, text="needle", room_id=room, limit=9, within_s=60.0)
        assert [each.message.id for each in found.messages] == [1001]
        assert found.complete
    assert not (await store.rooms_of(ANN, name_contains="x", limit=9, within_s=-1.0)).complete
    assert (await store.rooms_of(ANN, name_contains="", limit=9)).complete
    overviews = await store.overviews(ANN, kind=None, name_contains="x", skip=0, limit=9, within_s=-1.0)
    assert not overviews.complete
