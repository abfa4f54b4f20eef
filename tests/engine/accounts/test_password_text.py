"""Passwords as texts (RFC 8265, section 4.2.3 has the first examples)."""

import pytest

from chinwag.engine.accounts.password_text import forms, kept_form
from chinwag.engine.model.errors import Invalid, Rule


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("correct horse battery staple", "correct horse battery staple"),
        ("Correct Horse", "Correct Horse"),
        ("πßå", "πßå"),
        ("Jack of ♦s", "Jack of ♦s"),
        ("foo\u1680bar", "foo bar"),
        ("a\u00a0b\u3000c", "a b c"),
        (" a  b ", " a  b "),
        ("Zoe\u0301", "Zo\u00e9"),
        ("ＡＢＣ", "ＡＢＣ"),
        ("👨\u200d👩\u200d👧❤\ufe0f", "👨\u200d👩\u200d👧❤\ufe0f"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_a_password_typed_on_another_keyboard_is_the_same(typed: str, kept: str) -> None:
    assert kept_form(typed) == kept_form(kept) == kept
    assert forms(typed) == ((kept,) if typed == kept else (kept, typed))


@pytest.mark.parametrize(
    "typed", ["my cat is a \x09by", "a\0b", "a\u200bb", "a\u00adb", "\ufeffsecret", "a\ue000", "a\u0378"]
)
def test_what_nobody_can_be_sure_to_type_again_is_refused_in_a_new_password(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        kept_form(typed)
    assert (refused.value.field, refused.value.rule) == ("password", Rule.FORMAT)
    assert forms(typed) == (typed,)  # an old one may have it


def test_an_empty_password_is_none() -> None:
    with pytest.raises(Invalid, match="is empty"):
        kept_form("")
