"""Ranked search within one room: the messages that contain any of a query's terms, most relevant first.

The store finds the candidates, per term and newest first, up to a bound; nothing here reads a whole room. A term's
weight is its rarity in the room, so that of two messages the one with the rarer words comes first. A word that stands
by itself counts more than the same letters inside another, and of equals the newer one comes first.

All of one search is one turn of `searches`, under one time limit. What is computed here is computed on the event loop,
in short slices: a thread of its own would keep Python's lock for longer than they take.
"""

import math
import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio

from chinwag.engine.model.access import require_member
from chinwag.engine.model.alphabets import UNSPACED
from chinwag.engine.model.errors import Invalid
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.limits import refuse_bad_page, search_text
from chinwag.engine.model.store import Store
from chinwag.engine.model.text import folded, original_span
from chinwag.engine.model.values import FoundMessage, Message, MessageKind, Record, ViewedMessage
from chinwag.engine.workers.timed_lane import Deadline, TimedLane

MOST_TERMS = 10
CANDIDATES = 1_000
"""Looked at for each term: the newest that contain it."""
SUBSTRING = 0.6
"""What a term inside another word counts, of one that stands by itself."""
NEWNESS = 0.1
"""How much of the relevance is for being new; the rest is for the terms."""
CONTEXT_CHARACTERS = 60
"""Of the text before and after a match."""
MOST_PLACES = 50
"""Of a term in one message are looked at for one where it stands by itself."""
SLICE_S = 0.001
"""After ranking for so long, others may go on."""

_TERM = re.compile(r'"([^"]*)"|“([^”]*)”|([^\s"“”]+)|["“”]')
_AROUND_WORDS = ".,;:!?…'()[]{}«»、。！？「」（）"
_UNSPACED = re.compile(rf"[{UNSPACED}]")


class MatchContext(Record):
    """Where a message matches, as it was written: the match, and what stands around it, cut at the end of a word."""

    before: str
    match: str
    after: str


class RankedMessage(Record):
    """One result. `relevance` is from 0 to 1; `matched_terms` are in folded case, in the order of the query."""

    viewed: ViewedMessage
    relevance: float
    matched_terms: tuple[str, ...]
    context: MatchContext


class RankedSearch(Record):
    """The best results, and how many there are in all: at least `total` where that is not exact.

    `opaque` tells that there are messages within the same bounds that the server cannot read, and so cannot find.
    Without `complete` the time was over before everything was looked at: there may be more, and better ones.
    """

    results: tuple[RankedMessage, ...]
    total: int
    total_is_exact: bool
    took_us: int
    opaque: bool
    complete: bool


class _Match(NamedTuple):
    found: FoundMessage
    matched: tuple[str, ...]
    weight: float
    """Of its terms, from 0 to 1."""


class RankedSearcher:
    """Searches rooms of one store: call it."""

    def __init__(self, store: Store, searches: TimedLane) -> None:
        self._store = store
        self._searches = searches

    async def __call__(
        self,
        viewer: UserId,
        room_id: RoomId,
        query: str,
        *,
        kind: MessageKind | None = None,
        author: UserId | None = None,
        after_us: int | None = None,
        before_us: int | None = None,
        limit: int,
    ) -> RankedSearch:
        """Messages of a room that contain a term of `query`, ignoring case, most relevant first, then newest.

        Terms are divided by spaces; what stands in double quotes is one. The filters leave out other kinds, other
        authors, and what was made before `after_us` or after `before_us` (each included). SYSTEM messages are never
        found. Raises `Invalid` ("query", "limit"), `NotFound("room")`, `Forbidden`, or `Overloaded` when too many
        searches wait.
        """
        refuse_bad_page(limit)
        started = time.perf_counter()
        terms = terms_of(query)
        after = None if after_us is None else after_us - 1
        before = None if before_us is None else before_us + 1

        def admits(message: Message) -> bool:
            return (
                message.kind is not MessageKind.SYSTEM
                and (kind is None or message.kind is kind)
                and (author is None or message.author_id == author)
                and (after is None or message.created_us > after)
                and (before is None or message.created_us < before)
            )

        async with self._searches.turn(viewer) as deadline:
            room = await self._store.history_between(room_id, viewer, after_us=after, before_us=before, skip=0, limit=1)
            require_member(room.page.access)
            opaque = await self._store.has_opaque(room_id, after_us=after, before_us=before)
            candidates = await self._candidates(viewer, room_id, terms, deadline)
            found = [each for each in candidates.found.values() if admits(each.message)]
            # The rarest term of all still has a weight, and one that every message has is not worth nothing.
            messages = max(room.total, *candidates.spread.values())
            weights = {term: math.log1p(messages / max(count, 1)) for term, count in candidates.spread.items()}
            slices = _Slices(deadline)
            matches, all_matched = await _matches(found, weights, slices)
            results = []
            for match, relevance in _ranked(matches)[:limit]:
                results.append(_result(match, relevance, weights))
                await slices.pause()
        complete = candidates.complete and all_matched
        return RankedSearch(
            results=tuple(results),
            total=len(matches),
            total_is_exact=complete and all(count < CANDIDATES for count in candidates.spread.values()),
            took_us=int((time.perf_counter() - started) * 1_000_000),
            opaque=opaque,
            complete=complete,
        )

    async def _candidates(
        self, viewer: UserId, room_id: RoomId, terms: Sequence[str], deadline: Deadline
    ) -> "_Candidates":
        """What has any of the terms."""
        found: dict[int, FoundMessage] = {}
        spread = dict.fromkeys(terms, 0)
        complete = True
        for term in terms:
            of_term = await self._store.search(
                viewer, text=term, room_id=room_id, limit=CANDIDATES, within_s=deadline.left_s
            )
            if of_term.access is not None:
                require_member(of_term.access)  # again: each read is a snapshot of its own
            spread[term] = len(of_term.messages)
            found.update((each.message.id, each) for each in of_term.messages)
            complete = complete and of_term.complete
        return _Candidates(found, spread, complete)


class _Candidates(NamedTuple):
    found: dict[int, FoundMessage]
    """By the message's id."""
    spread: dict[str, int]
    """How many there are of each term."""
    complete: bool


class _Slices:
    """Work on the event loop that lets others go on every now and then."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._began = time.perf_counter()

    async def pause(self) -> bool:
        """Let others go on if it is time; returns whether there is time left."""
        if time.perf_counter() - self._began < SLICE_S:
            return True
        await trio.lowlevel.checkpoint()
        self._began = time.perf_counter()
        return self._deadline.left_s > 0


def terms_of(query: str) -> tuple[str, ...]:
    """The terms of a query, folded, each once. Raises `Invalid("query")` for none or too many, or a query too long."""
    query = search_text(query, "query")
    terms: dict[str, None] = {}
    for quoted, curled, word in _TERM.findall(query):
        phrase = " ".join((quoted or curled).split())
        term = phrase or word.strip(_AROUND_WORDS) or word
        if term:
            terms[folded(term)] = None
    if not terms:
        raise Invalid("query", "names nothing to search for")
    if len(terms) > MOST_TERMS:
        raise Invalid("query", f"has {len(terms)} terms; {MOST_TERMS} at most")
    return tuple(terms)


# --- ranking ---


async def _matches(
    candidates: Iterable[FoundMessage], weights: dict[str, float], slices: _Slices
) -> tuple[list[_Match], bool]:
    """Which terms are in which candidate, and whether all were looked at in time. The store has found each by one of
    them, and maybe not by all it has."""
    whole = sum(weights.values())
    matches = []
    for found in candidates:
        text = found.folded
        matched = tuple(term for term in weights if term in text)
        got = sum(weights[each] * (1.0 if _alone_at(text, each) is not None else SUBSTRING) for each in matched)
        if matched:
            matches.append(_Match(found, matched, got / whole))
        if not await slices.pause():
            return matches, False
    return matches, True


def _ranked(matches: Sequence[_Match]) -> list[tuple[_Match, float]]:
    """Every match with its relevance, in order."""
    if not matches:
        return []
    times = [each.found.message.created_us for each in matches]
    oldest, newest = min(times), max(times)
    span = max(newest - oldest, 1)

    def relevance(each: _Match) -> float:
        age = (newest - each.found.message.created_us) / span
        return round(min(1.0, each.weight * (1 - NEWNESS * age)), 4)

    ranked = [(each, relevance(each)) for each in matches]
    ranked.sort(key=lambda pair: (-pair[1], -pair[0].found.message.id))
    return ranked


def _result(match: _Match, relevance: float, weights: dict[str, float]) -> RankedMessage:
    message = match.found.message
    return RankedMessage(
        viewed=ViewedMessage(message=message, status=match.found.receipts.status_of(message)),
        relevance=relevance,
        matched_terms=match.matched,
        context=_context(message.text, match.found.folded, max(match.matched, key=weights.__getitem__)),
    )


# --- places in a text ---


def _alone_at(text: str, term: str) -> int | None:
    """Where a term stands by itself, as far as one can tell; None when it is only inside other words."""
    at = text.find(term)
    for _ in range(MOST_PLACES):
        if at < 0:
            return None
        end = at + len(term)
        if not (at and _joined(text[at - 1], text[at])) and not (end < len(text) and _joined(text[end - 1], text[end])):
            return at
        at = text.find(term, at + 1)
    return None


def _joined(one: str, other: str) -> bool:
    """Whether no word ends between two neighbouring characters. Where words have no spaces, any may."""
    if _UNSPACED.match(one) or _UNSPACED.match(other):
        return False
    return (one.isalnum() or one == "_") and (other.isalnum() or other == "_")


def _context(text: str, searched: str, term: str) -> MatchContext:
    """The best place of a term that is in a text, whose folded form is `searched`, with what is around it."""
    alone = _alone_at(searched, term)
    at = searched.index(term) if alone is None else alone
    start, end = original_span(text, at, at + len(term))
    first, last = max(0, start - CONTEXT_CHARACTERS), min(len(text), end + CONTEXT_CHARACTERS)
    before, after = text[first:start], text[end:last]
    if first and not text[first - 1].isspace():
        before = _from_a_word(before)
    if last < len(text) and not text[last].isspace():
        after = _from_a_word(after[::-1])[::-1]
    return MatchContext(before=before, match=text[start:end], after=after)


def _from_a_word(text: str) -> str:
    """A text without the part of a word that it begins with; all of it where that would leave nothing."""
    for at, character in enumerate(text):
        if character.isspace():
            return text[at + 1 :] or text
    return text
