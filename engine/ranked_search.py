"""Ranked search within one room: the messages that contain any of a query's terms, most relevant first.

The store finds the candidates, per term and newest first, up to a bound; nothing here reads a whole room. A term's
weight is its rarity in the room, so that of two messages the one with the rarer words comes first. A word that stands
by itself counts more than the same letters inside another, and of equals the newer one comes first.
"""

import math
import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio

from chinwag.engine.access import admit
from chinwag.engine.errors import Invalid
from chinwag.engine.ids import RoomId, UserId
from chinwag.engine.model import MessageKind, Record, ViewedMessage
from chinwag.engine.scripts import UNSPACED
from chinwag.engine.store import FoundMessage, Store

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
PAUSE_MESSAGES = 200
"""After ranking so many, others may go on."""

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
    """

    results: tuple[RankedMessage, ...]
    total: int
    total_is_exact: bool
    took_us: int
    opaque: bool


class _Match(NamedTuple):
    found: FoundMessage
    matched: tuple[str, ...]
    weight: float
    """Of its terms, from 0 to 1."""


class RankedSearcher:
    """Searches rooms of one store: call it."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
        found. Raises `Invalid("query")`, `NotFound("room")` or `Forbidden`.
        """
        started = time.perf_counter()
        terms = terms_of(query)
        after = None if after_us is None else after_us - 1
        before = None if before_us is None else before_us + 1
        room = await self._store.history_between(room_id, viewer, after_us=after, before_us=before, skip=0, limit=1)
        admit(room.page.access)
        candidates: dict[int, FoundMessage] = {}
        spread: dict[str, int] = {}
        for term in terms:
            access, found = await self._store.search(viewer, text=term, room_id=room_id, limit=CANDIDATES)
            if access is not None:
                admit(access)  # again: each read is a snapshot of its own
            spread[term] = len(found)
            for each in found:
                message = each.message
                if (
                    message.kind is not MessageKind.SYSTEM
                    and (kind is None or message.kind is kind)
                    and (author is None or message.author_id == author)
                    and (after is None or message.created_us > after)
                    and (before is None or message.created_us < before)
                ):
                    candidates[message.id] = each
        # The rarest term of all still has a weight, and one that every message has is not worth nothing.
        messages = max(room.total, *spread.values())
        weights = {term: math.log1p(messages / max(count, 1)) for term, count in spread.items()}
        matches = await _matches(candidates.values(), weights)
        ranked = _ranked(matches)[:limit]
        opaque = await self._store.has_opaque(room_id, after_us=after, before_us=before)
        return RankedSearch(
            results=tuple(_result(match, relevance, weights) for match, relevance in ranked),
            total=len(matches),
            total_is_exact=all(count < CANDIDATES for count in spread.values()),
            took_us=int((time.perf_counter() - started) * 1_000_000),
            opaque=opaque,
        )


def terms_of(query: str) -> tuple[str, ...]:
    """The terms of a query, in folded case, each once. Raises `Invalid("query")` for none or too many."""
    terms: dict[str, None] = {}
    for quoted, curled, word in _TERM.findall(query):
        phrase = " ".join((quoted or curled).split())
        term = phrase or word.strip(_AROUND_WORDS) or word
        if term:
            terms[term.casefold()] = None
    if not terms:
        raise Invalid("query", "names nothing to search for")
    if len(terms) > MOST_TERMS:
        raise Invalid("query", f"has {len(terms)} terms; {MOST_TERMS} at most")
    return tuple(terms)


# --- ranking ---


async def _matches(candidates: Iterable[FoundMessage], weights: dict[str, float]) -> list[_Match]:
    """Which terms are in which candidate. The store has found each by one of them, and maybe not by all it has."""
    whole = sum(weights.values())
    matches = []
    for number, found in enumerate(candidates):
        if number % PAUSE_MESSAGES == PAUSE_MESSAGES - 1:
            await trio.lowlevel.checkpoint()
        folded = found.message.text.casefold()
        matched = tuple(term for term in weights if term in folded)
        if matched:
            got = sum(weights[each] * (1.0 if _alone_at(folded, each) is not None else SUBSTRING) for each in matched)
            matches.append(_Match(found, matched, got / whole))
    return matches


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
        context=_context(message.text, max(match.matched, key=weights.__getitem__)),
    )


# --- places in a text ---


def _alone_at(folded: str, term: str) -> int | None:
    """Where a term stands by itself, as far as one can tell; None when it is only inside other words."""
    at = folded.find(term)
    for _ in range(MOST_PLACES):
        if at < 0:
            return None
        end = at + len(term)
        if not (at and _joined(folded[at - 1], folded[at])) and not (
            end < len(folded) and _joined(folded[end - 1], folded[end])
        ):
            return at
        at = folded.find(term, at + 1)
    return None


def _joined(one: str, other: str) -> bool:
    """Whether no word ends between two neighbouring characters. Where words have no spaces, any may."""
    if _UNSPACED.match(one) or _UNSPACED.match(other):
        return False
    return (one.isalnum() or one == "_") and (other.isalnum() or other == "_")


def _context(text: str, term: str) -> MatchContext:
    """The best place of a term that is in a text, with what is around it."""
    folded = text.casefold()
    alone = _alone_at(folded, term)
    at = folded.index(term) if alone is None else alone
    start, end = _in_original(text, at, at + len(term))
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


def _in_original(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of a text that folded case turned into `start` to `end`. Folding may lengthen it: "ß" becomes "ss"."""
    if text.isascii():
        return start, end
    first = last = length = 0
    for at, character in enumerate(text):
        if length <= start:
            first = at
        if length >= end:
            break
        length += len(character.casefold())
        last = at + 1
    return first, last
