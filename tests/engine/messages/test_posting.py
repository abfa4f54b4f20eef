"""What is taken as a message, whoever posts it: just so much, and what shows something."""

import pytest

from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.ids import MAX_ID, UserId
from chinwag.engine.model.limits import (
    MOST_ATTACHMENTS,
    MOST_KEY_CHARACTERS,
    MOST_TEXT_CHARACTERS,
    MOST_URL_CHARACTERS,
)
from chinwag.engine.model.values import Attachment

ANN = UserId(1)
LONGEST = "x" * MOST_TEXT_CHARACTERS


def file(url: str = "https://example.org/a.png", size_bytes: int = 1) -> Attachment:
    return Attachment(url=url, mime_type="image/png", size_bytes=size_bytes)


@pytest.mark.parametrize("text", [LONGEST, "x", "\U0001f600" * MOST_TEXT_CHARACTERS])
def test_a_text_is_counted_in_characters_up_to_the_last(text: str) -> None:
    assert post_command(ANN, text=text).text == text
    with pytest.raises(Invalid) as refused:
        post_command(ANN, text=text + LONGEST)
    assert (refused.value.field, refused.value.rule) == ("text", Rule.LENGTH)


def test_one_character_more_is_too_many_even_with_a_file() -> None:
    with pytest.raises(Invalid) as refused:
        post_command(ANN, text=LONGEST + "x", attachments=(file(),))
    assert (refused.value.field, refused.value.rule) == ("text", Rule.LENGTH)


def test_so_many_files_of_such_sizes_at_such_addresses_and_no_more() -> None:
    most = (file(),) * MOST_ATTACHMENTS
    assert post_command(ANN, text="", attachments=most).attachments == most
    for taken in (file(size_bytes=0), file(size_bytes=MAX_ID), file("x"), file("x" * MOST_URL_CHARACTERS)):
        assert post_command(ANN, text="", attachments=(taken,)).attachments == (taken,)
    for refused in (
        (*most, file()),
        (file(size_bytes=-1),),
        (file(size_bytes=MAX_ID + 1),),
        (file(""),),
        (file("x" * (MOST_URL_CHARACTERS + 1)),),
    ):
        with pytest.raises(Invalid, match="attachments"):
            post_command(ANN, text="", attachments=refused)


def test_a_key_has_one_to_so_many_characters() -> None:
    for key in ("k", "k" * MOST_KEY_CHARACTERS):
        assert post_command(ANN, text="hello", key=key).key == key
    for key in ("", "k" * (MOST_KEY_CHARACTERS + 1)):
        with pytest.raises(Invalid, match="idempotency_key"):
            post_command(ANN, text="hello", key=key)
