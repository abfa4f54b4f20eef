"""Extractive summaries: what is chosen, in any script, within bounds, and the same every time."""

import subprocess
import sys

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.engine.model.errors import SummarizerUnavailable
from chinwag.engine.summaries import extractive
from chinwag.engine.summaries.extractive import (
    keywords_of,
    language_of,
    open_extractive_summarizer,
    sentiment_of,
    summarize,
    terms_of,
)
from chinwag.engine.summaries.summaries import Spoken, SummaryDraft
from tests.examples import examples


def said(*lines: str) -> list[Spoken]:
    """Messages "author: text" in turn."""
    pairs = [line.split(": ", 1) for line in lines]
    return [Spoken(author_name=author, text=text, created_us=at) for at, (author, text) in enumerate(pairs)]


TALK = said(
    "ann: We should plan the release for Friday.",
    "bob: ok",
    "ann: The release notes need a section about the new search.",
    "bob: Bob tests the installer on Windows. The installer was broken last time.",
    "cat: Who has seen my umbrella?",
    "ann: The release notes are for the people who use the installer and the search.",
    "bob: lol",
    "cat: Pizza at noon, as always.",
)


def test_the_key_sentences_come_in_the_order_they_were_said_with_their_authors() -> None:
    lines = summarize(TALK).text.splitlines()
    everything = [
        f"{each.author_name}: {sentence}"
        for each in TALK
        for sentence in extractive.library("sentencex").segment("en", each.text)
    ]
    places = [[" ".join(each.split()) for each in everything].index(line) for line in lines]
    assert len(lines) == 3  # the root of nine sentences
    assert places == sorted(places)
    assert "ann: The release notes are for the people who use the installer and the search." in lines
    assert not any(line.endswith((" ok", " lol")) for line in lines)


def test_a_prompt_brings_up_what_it_asks_about_in_any_inflection() -> None:
    assert "umbrella" not in summarize(TALK).text
    assert "cat: Who has seen my umbrella?" in summarize(TALK, "Anything about umbrellas?").text.splitlines()


def test_what_is_said_again_is_not_chosen_again() -> None:
    talk = said(*["ann: The server has to be restarted tonight."] * 12, "bob: The backup is made before that.")
    lines = summarize(talk).text.splitlines()
    assert lines.count("ann: The server has to be restarted tonight.") == 1


def test_keywords_are_words_and_pairs_that_come_again_without_words_of_grammar() -> None:
    draft = summarize(TALK)
    assert {"release notes", "installer"} <= set(draft.keywords)
    assert not {"the", "and", "for", "ok"} & set(draft.keywords)


def test_words_without_spaces_between_them_are_found_too() -> None:
    chinese = said(
        "王: 我们周五发布新版本。",
        "李: 安装程序需要测试，上次坏了。",
        "王: 新版本的搜索功能很好！",
        "李: 安装程序在苹果电脑上有问题。",
    )
    draft = summarize(chinese)
    assert (draft.language, draft.sentiment) == ("zh", 0.0)
    assert {"安装程序", "新版本"} <= set(draft.keywords)
    assert len(draft.text.splitlines()) == 2
    japanese = said("田中: 金曜日に新しいバージョンをリリースします。", "鈴木: インストーラーのテストが必要です。")
    draft = summarize(japanese)
    assert draft.language == "ja"
    assert "インストーラー" in draft.keywords


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Shall we meet tomorrow in the afternoon, or are you busy?", "en"),
        ("Wir treffen uns morgen früh am Bahnhof, wenn es nicht regnet.", "de"),
        ("Nos vemos mañana por la tarde en el bar", "es"),
        ("Привет, как у тебя сегодня дела?", "ru"),
        ("我们明天见", "zh"),
        ("明日会いましょう", "ja"),
        ("안녕하세요 내일 만나요 그럼", "ko"),
        ("ok", "und"),
        ("We should meet", "und"),
        ("👍👍👍", "und"),
        ("12345 67890 https://example.org/some/long/path", "und"),
        ("", "und"),
    ],
)
def test_the_language_is_told_where_there_is_enough_to_tell(text: str, language: str) -> None:
    assert language_of([text]) == language


def test_what_is_repeated_over_and_over_does_not_confuse_the_language() -> None:
    assert language_of(["The release is planned for tomorrow."] * 500) == "en"


def test_sentiment_is_from_minus_one_to_one_in_english_and_zero_in_what_has_no_lexicon() -> None:
    assert sentiment_of(["I love this, it is wonderful!"], "en") > 0.5
    assert sentiment_of(["This is terrible and I hate it."], "en") < -0.5
    assert sentiment_of(["Das ist schrecklich."], "de") == 0.0
    assert sentiment_of([], "en") == 0.0


def test_messages_without_any_word_are_still_summarized() -> None:
    assert summarize(said("ann: ?!", "bob: 👍")) == SummaryDraft(text="bob: 👍")


def test_too_much_is_read_from_its_newest_end() -> None:
    talk = said(*(f"ann: Number {n} of a very long list of things that nobody wants to read." for n in range(3_000)))
    draft = summarize([*said("bob: The very oldest message talks about zebras."), *talk], "zebras")
    assert "zebras" not in draft.text
    assert len(draft.text) <= extractive.MOST_SUMMARY_CHARACTERS
    many_lines = said(*["bob: old\n" + "a!\n" * 1_000] * 20)
    assert summarize(many_lines).text.splitlines() == ["bob: a!"]


def test_a_single_long_message_neither_fills_the_summary_nor_crowds_out_the_others() -> None:
    draft = summarize(said("ann: " + "word " * 20_000, "bob: The meeting is at five in the large room."))
    assert max(map(len, draft.text.splitlines())) <= extractive.MOST_SENTENCE_CHARACTERS + len("ann: …")
    assert "bob: The meeting is at five in the large room." in draft.text


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@settings(max_examples=examples(150))
@given(texts=st.lists(TEXTS, min_size=1, max_size=12), prompt=st.none() | TEXTS)
def test_any_text_gives_a_summary_within_its_bounds_and_the_same_one_again(
    texts: list[str], prompt: str | None
) -> None:
    messages = [Spoken(author_name="ann", text=text, created_us=at) for at, text in enumerate(texts)]
    draft = summarize(messages, prompt)
    assert draft == summarize(messages, prompt)
    assert draft.text
    assert len(draft.text.encode()) < 10_000
    assert -1 <= draft.sentiment <= 1
    assert draft.language == "und" or len(draft.language) == 2
    assert len(draft.keywords) == len(set(draft.keywords)) <= extractive.MOST_KEYWORDS


@settings(max_examples=examples(100))
@given(text=TEXTS)
def test_terms_and_keywords_hold_no_spaces_at_their_ends(text: str) -> None:
    assert all(term and term == term.strip() for term in terms_of(text))
    assert all(word and word == word.strip() for word in keywords_of([text], "en"))


async def test_it_works_in_a_process_of_its_own_and_makes_the_same_of_it() -> None:
    """The loop goes on meanwhile: the summary is only finished after it has been seen to be under way."""
    async with open_extractive_summarizer() as summarizer, trio.open_nursery() as nursery:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        nursery.start_soon(count)
        draft = await summarizer.summarize(TALK, None)
        nursery.cancel_scope.cancel()
    assert draft == summarize(TALK)
    assert turns > 0


async def test_without_a_process_there_is_no_summary_and_the_asker_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "")
    async with open_extractive_summarizer() as summarizer:
        with pytest.raises(SummarizerUnavailable, match="worker process"):
            await summarizer.summarize(TALK, None)


def test_its_libraries_are_loaded_by_the_first_summary_and_not_by_the_engine() -> None:
    code = (
        "import sys, chinwag.engine.engine\n"
        "from chinwag.engine.summaries.extractive import summarize\n"
        "from chinwag.engine.summaries.summaries import Spoken\n"
        "libraries = {'gcld3', 'vader', 'sentencex', 'stopwordsiso'}\n"
        "assert not libraries & set(sys.modules), libraries & set(sys.modules)\n"
        "summarize([Spoken(author_name='ann', text='I think that this is the right time to meet.', created_us=1)])\n"
        "assert libraries <= set(sys.modules), libraries - set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
