"""Rules on single texts that all fronts share."""

import pytest

from chinwag.engine.errors import Rule
from chinwag.http.fields import email_address, is_web_address, login_name, one_line, trimmed
from chinwag.http.requests import FieldError


@pytest.mark.parametrize(
    ("text", "least", "reason"),
    [
        ("  ", 1, "is empty"),
        (" ab ", 3, "must have at least 3 characters"),
        (" abcdef ", 3, "must have at most 5 characters"),
    ],
)
def test_lengths_count_without_the_space_around(text: str, least: int, reason: str) -> None:
    assert trimmed(" abcde\n", least=least, most=5) == "abcde"
    with pytest.raises(FieldError) as refused:
        trimmed(text, "name", least=least, most=5)
    assert (refused.value.field, refused.value.reason) == ("name", reason)


def test_what_may_be_left_out_may_be_blank() -> None:
    assert trimmed(" \t", least=0, most=5) == ""


@pytest.mark.parametrize("text", ["a\nb", "a\x7f", "\x85", "\x00", "ann\u200b", "ann\u00ad", "adm\u202ein", "\ufeff"])
def test_a_line_has_no_control_nor_invisible_characters(text: str) -> None:
    assert one_line("Ann 🍵 Éa 👩‍👧 نمی‌دانم") == "Ann 🍵 Éa 👩‍👧 نمی‌دانم"
    with pytest.raises(FieldError) as refused:
        one_line(text)
    assert refused.value.rule is Rule.FORMAT


def test_an_address_has_one_form_however_it_is_typed() -> None:
    assert email_address(" ann@EXAMPLE.org ") == login_name("ann@Example.ORG\n") == "ann@example.org"
    with pytest.raises(FieldError, match="is not a valid address"):
        email_address("ann")


def test_what_is_longer_than_any_address_is_refused_unread_and_nobodys_name() -> None:
    longest = f"{'a' * 64}@{'.'.join(['b' * 60] * 3)}.org"
    assert email_address(longest) == login_name(longest) == longest
    for text in ("a" * 320 + "@example.org", "a" * 100_000):
        with pytest.raises(FieldError, match="too long"):
            email_address(text)
        assert login_name(text) == ""


def test_a_username_is_a_login_name_as_it_is() -> None:
    assert login_name(" Ann ") == "Ann"


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://example.org/a?b#c", True),
        ("http://[::1]:8000", True),
        ("ftp://example.org", False),
        ("//example.org", False),
        ("https://", False),
        ("https://example.org:x", False),
        ("https://[::1", False),
        ("https://example.org/a b", False),
        ("https://example.org/\u2028", False),
        ("javascript:alert(1)", False),
    ],
)
def test_a_web_address_is_absolute(url: str, is_one: bool) -> None:
    assert is_web_address(url) is is_one
