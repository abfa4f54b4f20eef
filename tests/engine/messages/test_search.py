"""Search: what contains the text, ignoring case, and only where the viewer is."""

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.messages.searches import (
    LONGEST_WAIT_S,
    SEARCH_S,
    WAITING_PER_USER,
)
from chinwag.engine.model.errors import Forbidden, Invalid, NotAMember, NotFound, Overloaded
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.engine.model.store_search import SEARCHES_AT_ONCE
from chinwag.engine.model.values import Room
from chinwag.engine.testing.harness import EngineHarness, Person


async def found(h: EngineHarness, viewer: Person, text: str, room: Room | None = None, limit: int = 99) -> list[str]:
    hits = await h.engine.messages.search(viewer.id, text=text, room_id=room.id if room else None, limit=limit)
    return [each.message.text for each in hits.messages]


async def test_case_script_and_special_characters(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    for text in ("Straße 7", "100% sure", "snake_case", "東京タワー", 'it\'s "quoted"', "ÜBER"):
        await h.post(room, ann, text)
    assert await found(h, ann, "STRASSE") == ["Straße 7"]
    assert await found(h, ann, "0%") == ["100% sure"]
    assert await found(h, ann, "%") == ["100% sure"]
    assert await found(h, ann, "e_c") == ["snake_case"]
    assert await found(h, ann, "京") == ["東京タワー"]
    assert await found(h, ann, "über") == ["ÜBER"]
    assert await found(h, ann, 's "q') == ['it\'s "quoted"']
    assert await found(h, ann, "nothing") == []
    assert await found(h, ann, " \u3000snake_case\n ") == ["snake_case"]  # trimmed


async def test_a_text_is_refused_when_it_is_blank_or_too_long(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    longest = "x" * MOST_QUERY_CHARACTERS
    room = await h.room(longest[:100], ann)
    await h.post(room, ann, longest)
    assert await found(h, ann, f"  {longest}  ") == [longest]
    for text in ("", " \n", f"{longest}x"):
        with pytest.raises(Invalid) as refused:
            await found(h, ann, text)
        assert refused.value.field == "text"
    assert [each.id for each in (await h.engine.rooms.of(ann.id, name_contains=" XX ", limit=9)).rooms] == [room.id]
    assert (await h.engine.rooms.overviews(ann.id, name_contains=" XX ", limit=9)).total == 1
    assert (await h.engine.rooms.overviews(ann.id, name_contains="  ", limit=9)).total == 1
    for listing in (h.engine.rooms.of, h.engine.rooms.overviews):
        with pytest.raises(Invalid) as refused:
            await listing(ann.id, name_contains=f"{longest}x", limit=9)
        assert refused.value.field == "name_contains"


async def test_newest_first_over_all_rooms_or_in_one(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, coffee, secret = await h.room("tea", ann, bob), await h.room("coffee", ann, bob), await h.room("s", ann)
    for n, room in enumerate((tea, coffee, secret, tea)):
        await h.post(room, ann, f"word {n}")
    assert await found(h, bob, "word") == ["word 3", "word 1", "word 0"]
    assert await found(h, bob, "word", limit=2) == ["word 3", "word 1"]
    assert await found(h, bob, "word", tea) == ["word 3", "word 0"]
    with pytest.raises(Forbidden):
        await found(h, bob, "word", secret)


async def test_search_follows_edits_deletions_and_removals(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    first, second = await h.post(room, ann, "old word"), await h.post(room, ann, "another word")
    await h.engine.messages.edit(room.id, ann.id, first.id, text="new text")
    assert await found(h, bob, "old") == []
    assert await found(h, bob, "new") == ["new text"]
    await h.engine.messages.delete(room.id, ann.id, second.id)
    assert await found(h, bob, "word") == []
    await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
    assert await found(h, bob, "new") == []


# --- time limits and turns ----------------------------------------------------------------------------------------


async def test_a_search_that_takes_too_long_is_answered_in_time_and_says_so(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    await h.post(room, ann, "word")
    for search_s, complete in ((SEARCH_S, True), (SEARCH_S + 1, False)):
        h.store.search_s = search_s
        began = trio.current_time()
        messages = await h.engine.messages.search(ann.id, text="word", room_id=room.id, limit=9)
        rooms = await h.engine.rooms.of(ann.id, name_contains="te", limit=9)
        overviews = await h.engine.rooms.overviews(ann.id, name_contains="te", limit=9)
        assert trio.current_time() - began == pytest.approx(3 * SEARCH_S)
        assert (messages.complete, rooms.complete, overviews.complete) == (complete,) * 3
    began = trio.current_time()
    assert (await h.engine.rooms.of(ann.id, limit=9)).complete  # a list is no search
    assert (await h.engine.rooms.overviews(ann.id, limit=9)).complete
    assert trio.current_time() == began


async def test_whoever_searches_a_lot_waits_behind_themselves(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    h.store.search_s = 1.0
    order: list[tuple[str, float]] = []
    began = trio.current_time()

    async def search(who: Person) -> None:
        await h.engine.messages.search(who.id, text="word", limit=9)
        order.append((who.user.username, trio.current_time() - began))

    async with trio.open_nursery() as nursery:
        for _ in range(SEARCHES_AT_ONCE + WAITING_PER_USER):
            nursery.start_soon(search, ann)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(search, bob)
        with pytest.raises(Overloaded):
            await h.engine.messages.search(ann.id, text="one too many", limit=9)
    assert ("bob", 2.0) in order
    assert len(order) == SEARCHES_AT_ONCE + WAITING_PER_USER + 1
    assert order[-1][1] == pytest.approx(1 + (WAITING_PER_USER + 1) / SEARCHES_AT_ONCE, abs=1)


async def test_who_has_waited_for_too_long_is_told_to_try_again(h: EngineHarness, autojump_clock: MockClock) -> None:
    people = [await h.join(f"user{n}") for n in range(30)]
    h.store.search_s = SEARCH_S
    refused: list[float] = []
    began = trio.current_time()

    async def search(who: Person) -> None:
        try:
            await h.engine.messages.search(who.id, text="word", limit=9)
        except Overloaded:
            refused.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        for each in people:
            nursery.start_soon(search, each)
    most = SEARCHES_AT_ONCE * (1 + LONGEST_WAIT_S / SEARCH_S)
    assert len(people) - most <= len(refused) <= len(people) - most + SEARCHES_AT_ONCE
    assert set(refused) == {LONGEST_WAIT_S}
    assert await found(h, people[-1], "word") == []  # and then there is room again


async def test_an_overview_is_for_members(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann)
    posted = await h.post(room, ann, "word")
    overview = await h.engine.rooms.overview(room.id, ann.id)
    assert (overview.room, overview.last_message) == (room, posted)
    with pytest.raises(NotAMember):
        await h.engine.rooms.overview(room.id, bob.id)
    with pytest.raises(NotFound):
        await h.engine.rooms.overview(RoomId(99), bob.id)
