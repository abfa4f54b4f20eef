"""One idea of equality for texts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.text import folded


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
