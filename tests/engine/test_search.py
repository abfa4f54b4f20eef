"""Search: what contains the text, ignoring case, and only where the viewer is."""

import pytest
from trio.testing import MockClock

from chinwag.engine.errors import Forbidden
from chinwag.engine.harness import EngineHarness, Person
from chinwag.engine.model import Room


async def found(h: EngineHarness, viewer: Person, text: str, room: Room | None = None, limit: int = 99) -> list[str]:
    hits = await h.engine.search(viewer.id, text=text, room_id=room.id if room else None, limit=limit)
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
    await h.engine.edit_message(room.id, ann.id, first.id, text="new text")
    assert await found(h, bob, "old") == []
    assert await found(h, bob, "new") == ["new text"]
    await h.engine.delete_message(room.id, ann.id, second.id)
    assert await found(h, bob, "word") == []
    await h.engine.remove_member(room.id, ann.id, bob.id)
    assert await found(h, bob, "new") == []
