"""Ids as decimal strings: every id has one, and nothing else is one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.kit import uuid_ids
from chinwag.http.kit.decimal_ids import IDS, SCHEMA

ids = st.integers(min_value=1, max_value=MAX_ID)


@given(ids)
def test_an_id_comes_back_from_its_digits(number: int) -> None:
    text = IDS.encode(number)
    assert IDS.decode(text) == number
    assert IDS.well_formed(text)
    assert re.search(SCHEMA["pattern"], text)


@given(st.text(alphabet="0123456789 +-_.eE\n\u0661", max_size=20) | st.text(max_size=20))
def test_no_other_text_is_an_id_than_one_that_is_handed_out(text: str) -> None:
    number = IDS.decode(text)
    assert number is None or (IDS.encode(number) == text and 0 < number <= MAX_ID)
    assert IDS.well_formed(text) is (number is not None)


@given(ids)
def test_the_id_of_another_front_is_none(number: int) -> None:
    assert IDS.decode(uuid_ids.IDS.encode(number)) is None
    assert uuid_ids.IDS.decode(IDS.encode(number)) is None


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "01", " 1", "1 ", "1\n", "1_0", "1.0", "1e3", "0x1", "\u0661", "\u00b2", "9" * 99]
)
def test_nothing_else_is_an_id(text: str) -> None:
    assert IDS.decode(text) is None


def test_the_highest_id_is_one_and_the_next_number_is_not() -> None:
    assert IDS.decode(str(MAX_ID)) == MAX_ID
    assert IDS.decode(str(MAX_ID + 1)) is None
