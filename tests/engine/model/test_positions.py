"""Positions are handed out as text and taken back, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.ids import MAX_ID, MessageId
from chinwag.engine.model.positions import Position


@given(st.integers(min_value=0, max_value=MAX_ID))
def test_what_was_handed_out_is_taken_back(message_id: int) -> None:
    position = Position.of_message(MessageId(message_id))
    assert Position.parse(str(position)) == position
    moment = Position.at(message_id)
    assert moment != position
    assert Position.parse(str(moment)) == moment


@given(st.integers(min_value=0, max_value=MAX_ID))
def test_the_text_is_good_for_urls_headers_and_event_streams(message_id: int) -> None:
    text = str(Position.of_message(MessageId(message_id)))
    assert text.isascii() and text.isalnum()


@given(st.text(alphabet="mt0123456789abcdefABCDEF -\n\u0661", max_size=20) | st.text())
def test_no_other_text_is_a_position_than_one_that_was_handed_out(text: str) -> None:
    position = Position.parse(text)
    assert position is None or str(position) == text


@pytest.mark.parametrize(
    "text", ["", "m", "1", "m01", "mA", " m1", "m1\n", "m-1", "m\u0661", f"m{MAX_ID + 1:x}", "m" + "f" * 999]
)
def test_what_is_no_position(text: str) -> None:
    assert Position.parse(text) is None
