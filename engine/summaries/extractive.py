"""Summaries without a language model: the sentences that say most, as they were said.

Sentences are ranked by TF-IDF against the whole conversation (the centroid method), those near the prompt's words
higher; of those that say the same, one is taken. Works in any script: where words have no spaces between them, pairs of
characters stand in for words. Everything it needs is installed with it and nothing is fetched. The same messages always
give the same summary.

It runs in a worker process (`workers.process`), one summary at a time: the language detector is C++ over whatever
people write, and the work would hold up the event loop. The process imports the libraries; the server never does.
"""

import functools
import importlib
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec

from chinwag.engine.model.alphabets import UNSPACED
from chinwag.engine.model.errors import SummarizerUnavailable
from chinwag.engine.summaries.summaries import UNDETERMINED, Spoken, SummaryDraft
from chinwag.engine.workers.process import (
    WorkerFailed,
    WorkerLimits,
    WorkerProcess,
    WorkerRefused,
    WorkerUnavailable,
    open_worker,
)

LIMITS: Final = WorkerLimits(memory_bytes=256 * 1024 * 1024, cpu_s=10.0, deadline_s=30.0, answer_bytes=100_000)

MOST_CHARACTERS = 60_000
"""Of the newest messages so much is read: about a tenth of a second of work."""
MOST_OF_ONE = 4_000
"""Of a single message: a pasted log must not crowd out the conversation."""
MOST_SENTENCES_READ = 1_000
MOST_SENTENCES = 7
MOST_SUMMARY_CHARACTERS = 1_200
MOST_SENTENCE_CHARACTERS = 280
SHORT_SENTENCE_TERMS = 4
"""A sentence with fewer says little by itself, and counts less."""
REDUNDANT = 0.6
"""A sentence that shares so much of its weight with one that is taken already is left out."""
PROMPT_WEIGHT = 3.0
NEIGHBOUR_WEIGHT = 1.0
"""How much the prompt's words raise a sentence that has them all, and the sentences beside it."""
STEM_CHARACTERS = 5
"""A word of the prompt matches words that begin alike: it is rarely in the same inflection."""

MOST_KEYWORDS = 8
MOST_KEYWORD_CHARACTERS = 40

LANGUAGE_CHARACTERS = 4_000
"""More makes the detection no better."""
LANGUAGE_LETTERS = 24
"""With fewer letters, an alphabet's language is a guess."""
TELLING = 6
"""How many such letters one of East Asia's scripts is worth: few languages share one."""

_URL = re.compile(r"\b(?:https?://|www\.)\S+")
_RUN = re.compile(rf"[{UNSPACED}\u30fc]+|[^\W_](?:[\w'’-]*[^\W_])?", re.UNICODE)
_UNSPACED = re.compile(rf"[{UNSPACED}]")
_KATAKANA = re.compile(r"[\u30a0-\u30ff\u31f0-\u31ff]+")
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")
_NOT_LETTERS = re.compile(r"[\W\d_]+")

_ISO_639_1 = {"iw": "he", "fil": "tl", "jv": "jv"}
"""What the detector calls by older or longer codes."""


class _Call(msgspec.Struct, frozen=True):
    messages: tuple[Spoken, ...]
    prompt: str | None


class ExtractiveSummarizer:
    """A `Summarizer` that picks sentences. Make it with `open_extractive_summarizer`."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker

    async def summarize(self, messages: Sequence[Spoken], prompt: str | None) -> SummaryDraft:
        """See `Summarizer`. Reads the newest of what is too much. Raises `SummarizerUnavailable` when the process fails
        or cannot be started."""
        call = msgspec.msgpack.encode(_Call(tuple(messages), prompt))
        try:
            return msgspec.msgpack.decode(await self._worker.call(call), type=SummaryDraft)
        except (WorkerFailed, WorkerRefused, WorkerUnavailable, msgspec.MsgspecError) as error:
            raise SummarizerUnavailable(f"the summary could not be made: {error}") from error


@asynccontextmanager
async def open_extractive_summarizer() -> AsyncIterator[ExtractiveSummarizer]:
    """A summarizer within the block. The first summary starts its process, and the end of the block ends it."""
    async with open_worker("chinwag.engine.summaries.extractive:answer", LIMITS) as worker:
        yield ExtractiveSummarizer(worker)


def answer(call: bytes) -> bytes:
    """The worker's function: `summarize` in MessagePack."""
    asked = msgspec.msgpack.decode(call, type=_Call)
    return msgspec.msgpack.encode(summarize(asked.messages, asked.prompt))


class _Sentence(NamedTuple):
    place: int
    author: str
    text: str
    terms: Counter[str]


def summarize(messages: Sequence[Spoken], prompt: str | None = None) -> SummaryDraft:
    """The summary of messages in the order they were said. Takes up to half a second."""
    kept = _newest(messages)
    language = language_of(text for _, text in kept)
    sentences = _sentences(kept, language)
    said = [(each.author, each.text) for each in _key_sentences(sentences, prompt)] or kept[-1:]
    return SummaryDraft(
        text="\n".join(f"{author}: {_cut(' '.join(text.split()))}" for author, text in said),
        keywords=keywords_of((each.text for each in sentences), language),
        sentiment=sentiment_of((each.text for each in sentences), language),
        language=language,
    )


# --- reading ---


def _newest(messages: Sequence[Spoken]) -> list[tuple[str, str]]:
    """Author and text, oldest first, of what fits."""
    kept: list[tuple[str, str]] = []
    left = MOST_CHARACTERS
    for each in reversed(messages):
        text = each.text[: min(MOST_OF_ONE, left)]
        if not text:
            break
        left -= len(text)
        kept.append((each.author_name, text))
    kept.reverse()
    return kept


def _sentences(messages: Sequence[tuple[str, str]], language: str) -> list[_Sentence]:
    """The newest sentences with something in them, oldest first. In an unknown language the rules of English divide."""
    segment: Callable[[str, str], list[str]] = library("sentencex").segment
    found: list[tuple[str, str, Counter[str]]] = []
    for author, text in reversed(messages):
        for line in reversed(text.splitlines()):
            for part in reversed(segment("en" if language == UNDETERMINED else language, line) if line.strip() else []):
                if len(found) == MOST_SENTENCES_READ:
                    break
                sentence = " ".join(part.split())
                terms = Counter(terms_of(sentence))
                if terms:
                    found.append((author, sentence, terms))
    found.reverse()
    return [_Sentence(place, *each) for place, each in enumerate(found)]


def terms_of(text: str) -> Iterator[str]:
    """What a text is compared by: words in folded case, and pairs of characters where there are no spaces."""
    for run in _RUN.findall(_URL.sub(" ", text).casefold()):
        if _UNSPACED.match(run) and len(run) > 1:
            yield from (run[at : at + 2] for at in range(len(run) - 1))
        else:
            yield run


# --- ranking ---


def _key_sentences(sentences: Sequence[_Sentence], prompt: str | None) -> list[_Sentence]:
    """Those that say most of what all of them say, in the order they were said; at least one if there is any."""
    if not sentences:
        return []
    spread = Counter(term for each in sentences for term in each.terms)
    often: Counter[str] = Counter()
    for each in sentences:
        often.update(each.terms)
    rarity = {term: math.log(1 + len(sentences) / count) for term, count in spread.items()}
    centroid = {term: count * rarity[term] for term, count in often.items()}
    norm = math.sqrt(sum(weight * weight for weight in centroid.values()))
    raised = _raised_by(prompt, sentences)

    def score(each: _Sentence) -> float:
        length = math.sqrt(sum((count * rarity[term]) ** 2 for term, count in each.terms.items()))
        alike = sum(count * rarity[term] * centroid[term] for term, count in each.terms.items()) / (length * norm)
        return alike * min(1.0, each.terms.total() / SHORT_SENTENCE_TERMS) * (1 + raised[each.place])

    ranked = sorted(sentences, key=lambda each: (-score(each), each.place))
    wanted = min(MOST_SENTENCES, math.ceil(math.sqrt(len(sentences))))
    chosen: list[_Sentence] = []
    left = MOST_SUMMARY_CHARACTERS
    for each in ranked:
        size = len(each.author) + min(len(each.text), MOST_SENTENCE_CHARACTERS) + 2
        if chosen and (size > left or any(_shared(each, other, rarity) >= REDUNDANT for other in chosen)):
            continue
        chosen.append(each)
        left -= size
        if len(chosen) == wanted:
            break
    return sorted(chosen, key=lambda each: each.place)


def _shared(one: _Sentence, other: _Sentence, rarity: dict[str, float]) -> float:
    """How much of the lighter sentence's weight is in both."""
    both = sum(rarity[term] for term in one.terms.keys() & other.terms.keys())
    return both / min(sum(rarity[term] for term in one.terms), sum(rarity[term] for term in other.terms))


def _raised_by(prompt: str | None, sentences: Sequence[_Sentence]) -> list[float]:
    """How much each sentence counts more for what the prompt asks about."""
    raised = [0.0] * len(sentences)
    asked = {term[:STEM_CHARACTERS] for term in terms_of(prompt or "") if term not in _stop_words("en")}
    if not asked:
        return raised
    for at, each in enumerate(sentences):
        found = len(asked & {term[:STEM_CHARACTERS] for term in each.terms}) / len(asked)
        raised[at] += PROMPT_WEIGHT * found
        for beside in (at - 1, at + 1):
            if 0 <= beside < len(sentences):
                raised[beside] += NEIGHBOUR_WEIGHT * found
    return raised


def _cut(text: str) -> str:
    if len(text) <= MOST_SENTENCE_CHARACTERS:
        return text
    return text[:MOST_SENTENCE_CHARACTERS].rsplit(" ", 1)[0].rstrip() + "…"


# --- about the whole ---


def keywords_of(texts: Iterable[str], language: str) -> tuple[str, ...]:
    """The words and pairs of words that most of the talk is about, most frequent first, in small letters."""
    stop = _stop_words(language) | _stop_words("en")
    words: Counter[str] = Counter()
    compounds: Counter[str] = Counter()  # pairs of words, and what may be a word or a part of one
    for text in texts:
        previous = ""
        for run in _RUN.findall(_URL.sub(" ", text).lower()):
            if _UNSPACED.match(run):
                whole, parts = _unspaced_words(run)
                words.update(each for each in whole if each not in stop)
                compounds.update(each for each in parts if each not in stop)
                previous = ""
            elif run.casefold() in stop or len(run) < 2 or not any(map(str.isalpha, run)):
                previous = ""
            else:
                words[run] += 1
                if previous:
                    compounds[f"{previous} {run}"] += 1
                previous = run
    count = Counter({word: seen for word, seen in compounds.items() if seen > 1})  # one that was seen once is a chance
    for word, seen in words.items():
        count[word] = max(count[word], seen)
    known = {word: seen for word, seen in count.items() if len(word) <= MOST_KEYWORD_CHARACTERS}
    chosen: list[str] = []
    for word in sorted(known, key=lambda word: (-known[word], -len(word))):
        if not any(_within(word, other) and known[word] <= known[other] for other in chosen):
            chosen.append(word)
            if len(chosen) == MOST_KEYWORDS:
                break
    return tuple(chosen)


def _unspaced_words(run: str) -> tuple[list[str], list[str]]:
    """In a run without spaces: what is a word, and what may be one.

    Words from abroad are in katakana, and hiragana is mostly grammar; both divide the rest, where any few neighbouring
    characters may be a word. What is short enough is taken for one.
    """
    whole = [each for each in _KATAKANA.findall(run) if len(each) > 1]
    parts: list[str] = []
    for part in _HIRAGANA.split(_KATAKANA.sub("\u3042", run)):
        if len(part) in (2, 3, 4):
            whole.append(part)
        pieces = (part[at : at + size] for size in (2, 3, 4) for at in range(len(part) - size + 1))
        parts.extend(dict.fromkeys(pieces))
    return whole, parts


def _within(word: str, other: str) -> bool:
    return word in other if _UNSPACED.match(word) else f" {word} " in f" {other} "


def language_of(texts: Iterable[str]) -> str:
    """The ISO 639-1 code of the language that most of it is in, "und" where there is too little to tell."""
    letters = ""
    for text in dict.fromkeys(texts):  # the detector makes nothing of what is repeated over and over
        letters += " " + " ".join(_NOT_LETTERS.sub(" ", _URL.sub(" ", text)).split())
        if len(letters) > LANGUAGE_CHARACTERS:
            break
    letters = letters[:LANGUAGE_CHARACTERS].strip()
    if sum(TELLING if letter > "\u1100" else 1 for letter in letters if letter != " ") < LANGUAGE_LETTERS:
        return UNDETERMINED
    found = _language_identifier().FindLanguage(letters)
    code = str(found.language).split("-")[0]
    code = _ISO_639_1.get(code, code)
    return code if found.is_reliable and len(code) == 2 else UNDETERMINED


def sentiment_of(texts: Iterable[str], language: str) -> float:
    """From -1 to 1, the mean over all sentences; only English has a lexicon, anything else is 0."""
    if language != "en":
        return 0.0
    scores = [float(_sentiment_analyzer().polarity_scores(text)["compound"]) for text in texts]
    return round(max(-1.0, min(1.0, math.fsum(scores) / len(scores))), 3) if scores else 0.0


# --- libraries ---


def library(name: str) -> Any:
    """One of the packages that summaries are made with: they have no types, and are slow to import."""
    return importlib.import_module(name)


@functools.cache
def _language_identifier() -> Any:
    return library("gcld3").NNetLanguageIdentifier(0, 4 * LANGUAGE_CHARACTERS)


@functools.cache
def _sentiment_analyzer() -> Any:
    return library("vader").SentimentIntensityAnalyzer()


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    """Words that say nothing by themselves; none for a language that has no list."""
    return frozenset(word.casefold() for word in library("stopwordsiso").stopwords(language))
