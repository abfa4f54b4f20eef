"""Rules on single texts that all fronts share."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from chinwag.engine.model.errors import Rule
from chinwag.engine.model.links import is_web_address
from chinwag.http.api.checked import FieldError
from chinwag.http.kit.fields import (
    Name,
    Username,
    email_address,
    login_name,
    new_password,
    trimmed,
    username,
    visible_name,
)


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


@pytest.mark.parametrize(
    ("rule", "text", "kind"),
    [
        (visible_name, "a\nb", Rule.FORMAT),
        (visible_name, "ann\u200b", Rule.FORMAT),
        (visible_name, " ", Rule.REQUIRED),
        (visible_name, "x" * 101, Rule.LENGTH),
        (username, "ab", Rule.VALUE),
        (username, "x" * 51, Rule.LENGTH),
        (username, "ann@example.org", Rule.FORMAT),
        (username, "12345", Rule.FORMAT),
        (new_password, "a\x07", Rule.FORMAT),
    ],
)
def test_names_and_passwords_are_held_to_the_engines_rules(
    rule: Callable[[str, str], str], text: str, kind: Rule
) -> None:
    with pytest.raises(FieldError) as refused:
        rule(text, "field")
    assert (refused.value.field, refused.value.rule) == ("field", kind)


def test_names_are_kept_as_they_are_written_and_passwords_as_they_are_typed() -> None:
    assert visible_name(" Ann 🍵 E\u0301a 👩‍👧 نمی‌دانم ") == "Ann 🍵 Éa 👩‍👧 نمی‌دانم"
    assert username(" ann ") == "ann"
    assert new_password(" cafe\u0301\u00a0") == " cafe\u0301\u00a0"


@pytest.mark.parametrize(
    ("kind", "text", "matches"),
    [
        (Name, "Ann O. שלום", True),
        (Name, "a\nb", False),
        (Username, "ann", True),
        (Username, "007 Bond", True),
        (Username, "+4917", False),
        (Username, "a@b", False),
        (Username, "0123456789abcdef01234567", False),
    ],
)
def test_the_documented_patterns_say_what_the_rules_say(kind: Any, text: str, matches: bool) -> None:
    assert (re.search(msgspec.json.schema(kind)["pattern"], text) is not None) is matches


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


@pytest.mark.parametrize(
    "address", ["a@b.test", "ann@localhost", "u@nas.home.arpa", "x@printer.local", "ann@[10.0.0.7]"]
)
def test_an_address_need_not_be_of_the_internet(address: str) -> None:
    assert email_address(address).partition("@")[0] == address.partition("@")[0]


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
