"""One idea of equality for texts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.text import folded, original_span


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zo\u00e91", "zoe\u03011"),
        ("\u0130stanbul", "istanbul"),
        ("i\u0307stanbul", "ISTANBUL"),
        ("I\u0307stanbul", "istanbul"),
        ("stra\u00dfe", "STRASSE"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("\u212b", "a\u030a"),
    ],
)
def test_texts_that_are_equal_to_a_reader_are_equal(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_letters_that_differ_by_more_than_case_differ() -> None:
    assert folded("r\u00e9sum\u00e9") != folded("resume")
    assert folded("\u0131") != folded("i")  # a dotless i is a letter of its own


@given(st.text())
def test_canonically_equal_texts_are_equal(text: str) -> None:
    assert folded(unicodedata.normalize("NFD", text)) == folded(unicodedata.normalize("NFC", text)) == folded(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_folds_to_lower_case(text: str) -> None:
    assert folded(text) == text.lower()


TEXTS = st.text() | st.text("aA\u00e9e\u0301\u0323\u0345\u00df\u0130i\u0307\u1112\u1161\u11ab\ud55c\u0928\u093c\ufb01 ")


@given(TEXTS, st.data())
def test_a_part_of_a_folded_text_has_its_place_in_the_text(text: str, data: st.DataObject) -> None:
    whole = folded(text)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    first, last = original_span(text, start, end)
    before, part, after = folded(text[:first]), folded(text[first:last]), folded(text[last:])
    assert before + part + after == whole
    assert len(before) <= start <= end <= len(before + part)


@pytest.mark.parametrize(
    ("text", "part", "original"),
    [
        ("die Stra\u00dfe dort", "strasse", "Stra\u00dfe"),
        ("a re\u0301sume\u0301 here", "r\u00e9sum\u00e9", "re\u0301sume\u0301"),
        ("in \u0130stanbul", "istanbul", "\u0130stanbul"),
        ("x \u1112\u1161\u11ab\u1100\u1173\u11af x", "\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ],
)
def test_the_place_of_a_match_is_that_of_whole_characters(text: str, part: str, original: str) -> None:
    at = folded(text).index(part)
    first, last = original_span(text, at, at + len(part))
    assert text[first:last] == original
