"""Ranked search: what is found in a room, in which order, and where it matches."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from chinwag.engine.messages import ranked_search
from chinwag.engine.messages.ranked_search import CANDIDATES, MOST_TERMS, RankedSearch, RankedSearcher, terms_of
from chinwag.engine.messages.searches import SEARCH_S, search_lane
from chinwag.engine.model.errors import Forbidden, Invalid, NotFound
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.engine.model.store import InsertMember, InsertMessage, InsertRoom, InsertUser
from chinwag.engine.model.text import folded
from chinwag.engine.model.values import MessageKind, Sealed
from chinwag.engine.testing import MemoryStore, make_member, make_message, make_room, make_user
from chinwag.engine.workers.timed_lane import Deadline

ROOM = RoomId(10)
ANN, BOB, EVE = UserId(1), UserId(2), UserId(3)
SEALED = Sealed(data="c2VjcmV0", iv="aXY=", key_version=1)


class Searched:
    """A store with one room of ann and bob; the numbers of messages start at 101, which is also their time."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.search = RankedSearcher(self.store, search_lane())
        self._seq = 0

    async def prepare(self) -> None:
        await self.store.commit(
            [
                *(InsertUser(user=make_user(each), password_hash="") for each in (ANN, BOB, EVE)),
                InsertRoom(room=make_room(ROOM, ANN)),
                InsertRoom(room=make_room(RoomId(11), EVE)),
                *(InsertMember(room_id=ROOM, member=make_member(each)) for each in (ANN, BOB)),
                InsertMember(room_id=RoomId(11), member=make_member(EVE)),
            ]
        )

    async def say(
        self, *texts: str, author: UserId = ANN, kind: MessageKind = MessageKind.TEXT, sealed: Sealed | None = None
    ) -> None:
        writes = []
        for text in texts:
            self._seq += 1
            message = make_message(100 + self._seq, ROOM, self._seq, author, text, kind=kind, sealed=sealed)
            writes.append(InsertMessage(message=message))
        await self.store.commit(writes)

    async def find(self, query: str, **filters: object) -> RankedSearch:
        return await self.search(ANN, ROOM, query, **{"limit": 20, **filters})  # type: ignore[arg-type]

    async def texts(self, query: str, **filters: object) -> list[str]:
        return [each.viewed.message.text for each in (await self.find(query, **filters)).results]


@pytest.fixture
async def room() -> Searched:
    searched = Searched()
    await searched.prepare()
    return searched


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("Tea  for TWO", ("tea", "for", "two")),
        ('"green tea" pot', ("green tea", "pot")),
        ("“green   tea” pot", ("green tea", "pot")),
        ("tea? (tea) 'TEA', tea!", ("tea",)),
        ("c++ a_b", ("c++", "a_b")),
        ("Straße STRASSE", ("strasse",)),
        ("明日会いましょう", ("明日会いましょう",)),
        ("...", ("...",)),
        ('tea "', ("tea",)),
        ('"unfinished phrase', ("unfinished", "phrase")),
    ],
)
def test_a_query_is_divided_into_terms(query: str, terms: tuple[str, ...]) -> None:
    assert terms_of(query) == terms


@pytest.mark.parametrize(
    "query",
    ["", "  ", '""', '" "', " ".join(f"t{n}" for n in range(MOST_TERMS + 1)), "x" * (MOST_QUERY_CHARACTERS + 1)],
)
def test_a_query_of_no_term_or_too_many_or_too_long_is_refused(query: str) -> None:
    with pytest.raises(Invalid) as refusal:
        terms_of(query)
    assert refusal.value.field == "query"


async def test_a_message_needs_one_of_the_terms_and_more_are_better(room: Searched) -> None:
    await room.say("milk and sugar", "nothing", "milk", "sugar", "the milk with the sugar in it")
    found = await room.find("milk sugar")
    assert [each.viewed.message.text for each in found.results] == [
        "the milk with the sugar in it",
        "milk and sugar",
        "sugar",
        "milk",
    ]
    assert [each.matched_terms for each in found.results] == [("milk", "sugar")] * 2 + [("sugar",), ("milk",)]
    assert found.total == 4
    assert found.total_is_exact


async def test_a_rare_word_counts_more_than_a_common_one(room: Searched) -> None:
    await room.say("the zebra", *(f"tea number {n}" for n in range(10)))
    assert (await room.texts("tea zebra"))[0] == "the zebra"


async def test_a_word_by_itself_comes_before_letters_inside_another(room: Searched) -> None:
    await room.say("a cup of tea.", "the team", "a steamer")
    assert await room.texts("tea") == ["a cup of tea.", "a steamer", "the team"]


async def test_of_equals_the_newer_comes_first(room: Searched) -> None:
    await room.say("tea one", "tea two", "tea three")
    assert await room.texts("tea") == ["tea three", "tea two", "tea one"]


async def test_a_phrase_is_found_as_it_stands(room: Searched) -> None:
    await room.say("green tea", "tea that is green", "Green TEA again")
    assert await room.texts('"green tea"') == ["Green TEA again", "green tea"]


async def test_scripts_without_spaces_are_found_by_any_part(room: Searched) -> None:
    await room.say("我们明天见面吧", "安装程序坏了")
    found = await room.find("明天")
    assert [each.viewed.message.text for each in found.results] == ["我们明天见面吧"]
    assert found.results[0].relevance == 1.0  # nothing tells that it is inside another word
    assert found.results[0].context.match == "明天"


async def test_the_filters_leave_out_what_they_say(room: Searched) -> None:
    await room.say("tea one")
    await room.say("tea two", author=BOB)
    await room.say("tea three", kind=MessageKind.IMAGE)
    await room.say("tea is joined by bob", kind=MessageKind.SYSTEM)
    assert await room.texts("tea") == ["tea three", "tea two", "tea one"]
    assert await room.texts("tea", author=BOB) == ["tea two"]
    assert await room.texts("tea", kind=MessageKind.IMAGE) == ["tea three"]
    assert await room.texts("tea", kind=MessageKind.TEXT) == ["tea two", "tea one"]
    assert await room.texts("tea", after_us=102) == ["tea three", "tea two"]
    assert await room.texts("tea", before_us=102) == ["tea two", "tea one"]
    assert await room.texts("tea", after_us=102, before_us=102) == ["tea two"]
    assert (await room.find("tea", author=BOB)).total == 1
    assert await room.texts("tea", kind=MessageKind.SYSTEM) == []


async def test_the_total_counts_what_the_limit_cuts_off(room: Searched) -> None:
    await room.say(*(f"tea {n}" for n in range(30)))
    found = await room.find("tea", limit=5)
    assert len(found.results) == 5
    assert (found.total, found.total_is_exact) == (30, True)
    assert found.took_us >= 0


async def test_beyond_the_bound_the_total_is_said_to_be_the_least_it_can_be(room: Searched) -> None:
    await room.say(*(f"tea {n}" for n in range(CANDIDATES + 5)))
    found = await room.find("tea", limit=3)
    assert (found.total, found.total_is_exact) == (CANDIDATES, False)
    assert [each.viewed.message.text for each in found.results] == [f"tea {CANDIDATES + n}" for n in (4, 3, 2)]


async def test_it_is_told_when_there_is_something_that_the_server_cannot_read(room: Searched) -> None:
    await room.say("tea")
    assert not (await room.find("tea")).opaque
    await room.say("", sealed=SEALED)
    await room.say("more tea", sealed=replace(SEALED, key_version=0))
    found = await room.find("tea")
    assert found.opaque
    assert found.total == 2
    assert not (await room.find("tea", before_us=101)).opaque
    assert (await room.find("tea", after_us=102, before_us=102)).opaque
    assert not (await room.find("tea", after_us=103)).opaque


async def test_strangers_find_nothing_and_learn_nothing(room: Searched) -> None:
    await room.say("tea")
    with pytest.raises(Forbidden):
        await room.search(EVE, ROOM, "tea", limit=5)
    with pytest.raises(NotFound):
        await room.search(ANN, RoomId(999), "tea", limit=5)


async def test_the_context_is_the_text_around_the_match_cut_between_words(room: Searched) -> None:
    before = "one two three four five six seven eight nine ten eleven twelve thirteen "
    after = " and fourteen fifteen sixteen seventeen eighteen nineteen twenty twentyone"
    await room.say(f"{before}Tea{after}")
    context = (await room.find("tea")).results[0].context
    assert context.match == "Tea"
    assert context.before == "four five six seven eight nine ten eleven twelve thirteen "
    assert context.after == " and fourteen fifteen sixteen seventeen eighteen nineteen"


async def test_the_context_is_of_the_rarest_term_where_it_stands_alone(room: Searched) -> None:
    await room.say("tea", "tea", "steamed milk is no tea, milk is milk, an oatmilk is oat")
    context = (await room.find("tea oat")).results[0].context
    assert (context.match, context.after) == ("oat", "")


async def test_the_match_is_shown_as_it_was_written_where_folding_changes_lengths(room: Searched) -> None:
    await room.say("ßß die Straße dort")
    context = (await room.find("STRASSE")).results[0].context
    assert (context.before, context.match, context.after) == ("ßß die ", "Straße", " dort")


async def test_a_term_is_found_however_its_characters_are_composed(room: Searched) -> None:
    await room.say("the re\u0301sume\u0301 of it", "in \u0130stanbul", "\u1112\u1161\u11ab\u1100\u1173\u11af too")
    for query, match in (
        ("R\u00c9SUM\u00c9", "re\u0301sume\u0301"),
        ("istanbul", "\u0130stanbul"),
        ("\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ):
        [result] = (await room.find(query)).results
        assert (result.context.match, result.matched_terms) == (match, (folded(query),))


async def test_all_terms_together_have_the_time_of_one_search(room: Searched, autojump_clock: MockClock) -> None:
    await room.say("milk", "sugar", "tea")
    room.store.search_s = SEARCH_S * 0.4
    began = trio.current_time()
    found = await room.find("tea sugar milk")
    assert trio.current_time() - began == pytest.approx(SEARCH_S)
    assert (found.complete, found.total_is_exact) == (False, False)
    assert {each.viewed.message.text for each in found.results} >= {"tea", "sugar"}
    room.store.search_s = SEARCH_S * 0.3
    found = await room.find("tea sugar milk")
    assert (found.complete, found.total_is_exact, found.total) == (True, True, 3)


async def test_ranking_ends_when_the_time_is_over(room: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.say(*(f"tea {n}" for n in range(20)))
    monkeypatch.setattr(ranked_search, "SLICE_S", 0.0)
    lefts = iter([2.0] * 6)
    monkeypatch.setattr(Deadline, "left_s", property(lambda _: next(lefts, 0.0)))
    found = await room.find("tea")
    assert (found.complete, found.total_is_exact) == (False, False)
    assert 0 < found.total < 20
    assert len(found.results) == found.total


PIECES = ["tea", "Tea", "team", "ß", "SS", "İ", "ﬁ", "茶", "x", ".", '"', "ͅ", "Σς", "é", "é", "하", "하"]
ALPHABET = st.sampled_from([*PIECES, " ", " "])
TEXTS = st.lists(ALPHABET, min_size=1, max_size=12).map("".join)


@given(texts=st.lists(TEXTS, min_size=1, max_size=8), query=TEXTS, limit=st.integers(1, 5))
async def test_what_holds_of_every_search(texts: list[str], query: str, limit: int) -> None:
    room = Searched()
    await room.prepare()
    await room.say(*texts)
    try:
        terms = terms_of(query)
    except Invalid:
        return
    found = await room.find(query, limit=limit)
    matching = [text for text in texts if any(term in folded(text) for term in terms)]
    assert found.total == len(matching) >= len(found.results) == min(limit, len(matching))
    assert [each.relevance for each in found.results] == sorted((r.relevance for r in found.results), reverse=True)
    for each in found.results:
        text, context = each.viewed.message.text, each.context
        assert 0 < each.relevance <= 1
        assert each.matched_terms == tuple(term for term in terms if term in folded(text))
        assert f"{context.before}{context.match}{context.after}" in text
        assert any(term in folded(context.match) for term in each.matched_terms)
