"""Summaries of rooms: who may have them, what they cover, and when they are made by themselves."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.model.errors import Forbidden, NotFound, Overloaded, StoreUnavailable, SummarizerUnavailable
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import InsertMessage
from chinwag.engine.model.values import Message, MessageKind, Room, Sealed, Summary
from chinwag.engine.summaries.summaries import AT_ONCE, MOST_WAITING, SUMMARY_MESSAGES, Spoken, SummaryDraft
from chinwag.engine.testing import MemoryStore, make_message
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness

SEALED = Sealed(data="c2VjcmV0", iv="aXY=", key_version=1)


class Counting:
    """A `Summarizer` that says how many messages it was given and which came first and last, when it is let."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str | None]] = []
        self.open = trio.Event()
        self.open.set()
        self.failure: SummarizerUnavailable | None = None

    async def summarize(self, messages: Sequence[Spoken], prompt: str | None) -> SummaryDraft:
        texts = [each.text for each in messages]
        self.asked.append((texts, prompt))
        await self.open.wait()
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        return SummaryDraft(
            text=f"{len(texts)}: {texts[0]} to {texts[-1]}", keywords=("tea",), sentiment=0.5, language="en"
        )


class Here:
    """A harness whose engine has a `Counting` summarizer, with ann and bob in a room."""

    def __init__(self, h: EngineHarness, summarizer: Counting, ann: Person, bob: Person, room: Room) -> None:
        self.h = h
        self.summarizer = summarizer
        self.ann, self.bob = ann, bob
        self.room = room

    async def post(self, *texts: str) -> list[Message]:
        return [await self.h.post(self.room, self.ann, text) for text in texts]

    async def store_message(
        self, number: int, *, text: str | None = None, kind: MessageKind = MessageKind.TEXT, sealed: bool = False
    ) -> None:
        """Put a message of no text, or of the room itself, straight into the store. Only before the room is awake."""
        if text is None:
            text = "" if sealed else f"stored {number}"
        message = make_message(
            number, self.room.id, number, self.ann.id, text, kind=kind, sealed=SEALED if sealed else None
        )
        await self.h.store.commit([InsertMessage(message=message)])

    async def automatic(self, *, threshold: int) -> None:
        """Let the room have automatic summaries."""
        await self.h.engine.rooms.update(self.room.id, self.ann.id, auto_summary=True, summary_threshold=threshold)

    async def made(self) -> list[Summary]:
        """All of the room's summaries, oldest first, after time enough for those that are due."""
        await trio.sleep(5)
        found = await self.h.store.summaries(self.room.id, automatic=None, after_us=None, before_us=None, limit=99)
        return found[::-1]


async def here(h: EngineHarness, summarizer: Counting) -> Here:
    ann, bob = await h.join("ann"), await h.join("bob")
    return Here(h, summarizer, ann, bob, await h.room("tea", ann, bob))


# --- on request ---


async def test_a_member_gets_a_summary_and_finds_it_again(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        first, *_, last = await tea.post("one", "two", "three")
        made = await h.engine.summaries.generate(tea.room.id, tea.bob.id, prompt="What was counted?")
        assert said.asked == [(["one", "two", "three"], "What was counted?")]
        assert made == Summary(
            id=made.id,
            room_id=tea.room.id,
            text="3: one to three",
            automatic=False,
            message_count=3,
            left_out=0,
            first_us=first.created_us,
            last_us=last.created_us,
            last_seq=last.seq,
            participants=(tea.ann.id,),
            keywords=("tea",),
            sentiment=0.5,
            language="en",
            created_us=made.created_us,
        )
        assert await h.engine.summaries.latest(tea.room.id, tea.ann.id) == made
        assert await h.engine.summaries.latest(tea.room.id, tea.ann.id, automatic=False) == made
        with pytest.raises(NotFound, match="summary"):
            await h.engine.summaries.latest(tea.room.id, tea.ann.id, automatic=True)


async def test_the_bounds_are_part_of_what_is_summarized_and_looked_for(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        posted = [*(await tea.post("one")), *(await tea.post("two")), *(await tea.post("three"))]
        at = [each.created_us for each in posted]
        made = await h.engine.summaries.generate(tea.room.id, tea.ann.id, after_us=at[1], before_us=at[2])
        assert made.text == "2: two to three"
        latest = h.engine.summaries.latest
        assert await latest(tea.room.id, tea.ann.id, after_us=at[1], before_us=at[2]) == made
        with pytest.raises(NotFound, match="summary"):
            await latest(tea.room.id, tea.ann.id, after_us=at[1] + 1)
        with pytest.raises(NotFound, match="messages"):
            await h.engine.summaries.generate(tea.room.id, tea.ann.id, after_us=at[2] + 1)


async def test_strangers_get_none_and_learn_nothing(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post("one")
        await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        eve = await h.join("eve")
        with pytest.raises(Forbidden):
            await h.engine.summaries.generate(tea.room.id, eve.id)
        with pytest.raises(Forbidden):
            await h.engine.summaries.latest(tea.room.id, eve.id)
        with pytest.raises(NotFound, match="room"):
            await h.engine.summaries.generate(RoomId(12345), eve.id)
        with pytest.raises(NotFound, match="room"):
            await h.engine.summaries.latest(RoomId(12345), eve.id)
        assert len(said.asked) == 1


async def test_who_is_removed_while_it_is_written_does_not_get_it(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post("one")
        said.open = trio.Event()
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(Forbidden):
                    await h.engine.summaries.generate(tea.room.id, tea.bob.id)

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert len(said.asked) == 1
            await h.engine.rooms.remove_member(tea.room.id, tea.ann.id, tea.bob.id)
            said.open.set()
        assert await tea.made() == []


async def test_a_room_that_is_deleted_while_its_summary_is_written_is_not_found(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post("one")
        said.open = trio.Event()
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(NotFound, match="room"):
                    await h.engine.summaries.generate(tea.room.id, tea.ann.id)

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert len(said.asked) == 1
            await h.engine.rooms.delete(tea.room.id, tea.ann.id)
            said.open.set()


async def test_what_the_server_cannot_read_is_left_out_and_said_so(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.store_message(1, sealed=True)
        await tea.store_message(2)
        await tea.store_message(3, sealed=True)
        await tea.store_message(4, kind=MessageKind.SYSTEM)
        made = await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        assert said.asked == [(["stored 2"], None)]
        assert (made.message_count, made.left_out) == (1, 2)
        assert (made.first_us, made.last_us) == (1, 3)
        assert made.text.splitlines() == [
            "1: stored 2 to stored 2",
            "(2 encrypted messages were left out: the server cannot read them.)",
        ]


async def test_where_everything_is_closed_to_the_server_there_is_no_summary(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        with pytest.raises(NotFound) as nothing:
            await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        assert nothing.value.what == "messages"
        await tea.store_message(1, kind=MessageKind.SYSTEM)
        with pytest.raises(NotFound) as nothing:
            await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        assert nothing.value.what == "messages"
        await tea.store_message(2, sealed=True)
        with pytest.raises(NotFound) as nothing:
            await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        assert nothing.value.what == "readable messages"
        assert said.asked == []


async def test_of_too_many_messages_the_newest_are_summarized_and_it_says_so(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        messages = [make_message(n, tea.room.id, n, tea.ann.id, f"number {n}") for n in range(1, SUMMARY_MESSAGES + 4)]
        await h.store.commit([InsertMessage(message=each) for each in messages])
        made = await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        assert made.message_count == SUMMARY_MESSAGES
        assert made.text.splitlines() == [
            f"{SUMMARY_MESSAGES}: number 4 to number {SUMMARY_MESSAGES + 3}",
            f"(Only the newest {SUMMARY_MESSAGES} of {SUMMARY_MESSAGES + 3} messages were read.)",
        ]


async def test_a_failing_summarizer_is_the_askers_answer_and_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post("one")
        said.failure = SummarizerUnavailable("away")
        with pytest.raises(SummarizerUnavailable):
            await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        assert await tea.made() == []
        said.failure = None
        assert (await h.engine.summaries.generate(tea.room.id, tea.ann.id)).message_count == 1


async def test_a_room_has_one_summary_made_at_a_time(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post("one")
        said.open = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(h.engine.summaries.generate, tea.room.id, tea.ann.id)
            await wait_all_tasks_blocked()
            with pytest.raises(Overloaded):
                await h.engine.summaries.generate(tea.room.id, tea.bob.id)
            said.open.set()
        assert len(await tea.made()) == 1
        await h.engine.summaries.generate(tea.room.id, tea.bob.id)


async def test_over_all_rooms_few_are_made_at_once_and_only_so_many_wait(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        ann = await h.join("ann")
        rooms = [await h.room(f"room {n}", ann) for n in range(AT_ONCE + MOST_WAITING + 1)]
        for room in rooms:
            await h.post(room, ann, "hello")
        said.open = trio.Event()
        async with trio.open_nursery() as nursery:
            for room in rooms[:-1]:
                nursery.start_soon(h.engine.summaries.generate, room.id, ann.id)
            await wait_all_tasks_blocked()
            assert len(said.asked) == AT_ONCE
            with pytest.raises(Overloaded):
                await h.engine.summaries.generate(rooms[-1].id, ann.id)
            said.open.set()
        assert len(said.asked) == AT_ONCE + MOST_WAITING


# --- automatic ---


async def test_every_so_many_messages_there_is_a_summary_of_what_came_since(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=3)
        await tea.post("one", "two")
        assert await tea.made() == []
        await tea.post("three")
        [first] = await tea.made()
        assert (first.automatic, first.text, first.last_seq) == (True, "3: one to three", 3)
        await tea.post("four", "five")
        assert await tea.made() == [first]
        await tea.post("six")
        assert [each.text for each in await tea.made()] == ["3: one to three", "3: four to six"]
        assert await h.engine.summaries.latest(tea.room.id, tea.bob.id, automatic=True) == (await tea.made())[-1]


async def test_a_burst_makes_one_summary(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=3)
        await tea.post(*(str(n) for n in range(20)))
        assert [each.text for each in await tea.made()] == ["20: 0 to 19"]


async def test_a_room_without_automatic_summaries_gets_none(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post(*(str(n) for n in range(60)))
        assert await tea.made() == []
        assert said.asked == []


async def test_a_restart_neither_repeats_nor_skips(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_harness(store, summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=3)
        await tea.post("one", "two", "three", "four")
        assert len(await tea.made()) == 1
        await tea.post("five")
    async with open_harness(store, summarizer=(said := Counting())) as h:
        again = Here(h, said, tea.ann, tea.bob, tea.room)
        await again.post("six")
        assert len(await again.made()) == 1
        await again.post("seven")
        assert [each.text for each in await again.made()] == ["4: one to four", "3: five to seven"]


async def test_what_the_room_itself_says_and_what_was_deleted_does_not_count(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.store_message(1, kind=MessageKind.SYSTEM)
        await tea.store_message(2, kind=MessageKind.SYSTEM)
        await tea.automatic(threshold=3)
        _, gone = await tea.post("one", "two")
        await h.engine.messages.delete(tea.room.id, tea.ann.id, gone.id)
        assert await tea.made() == []
        await tea.post("three")
        assert await tea.made() == []
        await tea.post("four")
        assert [each.text for each in await tea.made()] == ["3: one to four"]


async def test_a_failure_waits_for_the_next_threshold_and_loses_no_message(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=3)
        said.failure = SummarizerUnavailable("away")
        await tea.post("one", "two", "three")
        assert await tea.made() == []
        said.failure = None
        await tea.post("four", "five")
        assert await tea.made() == []
        assert len(said.asked) == 1
        await tea.post("six")
        assert [each.text for each in await tea.made()] == ["6: one to six"]


async def test_a_store_that_is_away_costs_one_attempt_and_not_one_a_second(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=3)
        await tea.post("one", "two", "three")
        h.store.unavailable = True
        await trio.sleep(10)
        h.store.unavailable = False
        assert await tea.made() == []
        await tea.post("four", "five", "six")
        assert [each.text for each in await tea.made()] == ["6: one to six"]


async def test_a_room_that_only_its_readers_can_read_is_asked_about_once_a_threshold(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        for number in range(1, 4):
            await tea.store_message(number, sealed=True)
        await tea.store_message(4, text="   ")  # as an earlier release took it
        await tea.automatic(threshold=4)
        assert await tea.made() == []
        assert said.asked == []


async def test_another_threshold_counts_from_the_last_summary_at_once(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=4)
        await tea.post("one", "two", "three")
        assert await tea.made() == []
        await tea.automatic(threshold=2)
        assert [each.text for each in await tea.made()] == ["3: one to three"]


async def test_messages_go_on_while_a_summary_is_being_made(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=2)
        said.open = trio.Event()
        await tea.post("one", "two")
        await trio.sleep(3)
        assert len(said.asked) == 1
        await tea.post("three", "four", "five")
        assert len(await h.engine.messages.history(tea.room.id, tea.bob.id, skip=0, limit=9)) == 5
        assert await tea.made() == []
        said.open.set()
        assert [each.text for each in await tea.made()] == ["2: one to two", "3: three to five"]


async def test_who_asks_while_the_automatic_one_is_being_made_gets_theirs_after_it(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=2)
        said.open = trio.Event()
        await tea.post("one", "two")
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(h.engine.summaries.generate, tea.room.id, tea.bob.id)
            await wait_all_tasks_blocked()
            assert len(said.asked) == 1
            said.open.set()
        assert [each.automatic for each in await tea.made()] == [True, False]


async def test_the_engine_ends_in_the_middle_of_a_summary(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_harness(store, summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.automatic(threshold=2)
        said.open = trio.Event()
        await tea.post("one", "two")
        await trio.sleep(3)
        assert len(said.asked) == 1
    assert await store.summaries(tea.room.id, automatic=None, after_us=None, before_us=None, limit=1) == []
    async with open_harness(store, summarizer=(said := Counting())) as h:
        again = Here(h, said, tea.ann, tea.bob, tea.room)
        await again.post("three")
        assert [each.text for each in await again.made()] == ["3: one to three"]


async def test_a_store_that_is_away_is_the_askers_answer(autojump_clock: MockClock) -> None:
    async with open_harness(summarizer=(said := Counting())) as h:
        tea = await here(h, said)
        await tea.post("one")
        h.store.unavailable = True
        with pytest.raises(StoreUnavailable):
            await h.engine.summaries.generate(tea.room.id, tea.ann.id)
        h.store.unavailable = False
        assert (await h.engine.summaries.generate(tea.room.id, tea.ann.id)).participants == (UserId(tea.ann.id),)
