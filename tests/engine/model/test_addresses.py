"""When two e-mail addresses are one."""

import pytest

from chinwag.engine.model import addresses


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.org", " Ann@EXAMPLE.org"),
        ("ann@faß.de", "ANN@FAẞ.DE"),
        ("ann@faß.de", "ann@XN--FA-HIA.de"),
        ("zoe\u0301@example.org", "Zo\u00e9@example.org"),
        ("ann@bu\u0308cher.example", "ann@bücher.example"),
        ("ann@例え。テスト", "ann@例え.テスト"),
        ("ann@σίσυφος.gr", "ann@ΣΊΣΥΦΟς.gr"),
        ("ann@localhost", "Ann@LOCALHOST"),
        ("ann", "ANN"),
    ],
)
def test_addresses_that_are_one(one: str, other: str) -> None:
    assert addresses.key(one) == addresses.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@faß.de", "ann@fass.de"),
        ("ann@σίσυφος.gr", "ann@σίσυφοσ.gr"),
        ("ann@example.org", "ann@example.com"),
        ("ann@example.org", "anna@example.org"),
        ("ann@ex\u200dample.org", "ann@example.org"),
    ],
)
def test_addresses_that_are_two(one: str, other: str) -> None:
    assert addresses.key(one) != addresses.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "A\u200bnn\u200e"),
        ("ann@example.org", "Ann@EXAMPLE.org"),
        ("ann@faß.de", "ann@xn--fa-hia.de"),
        ("Zo\u00e9", " zoe\u0301"),
        ("ann@example.org", "a\u200bnn@example.org"),
    ],
)
def test_whatever_one_account_is_named_by_is_one_identifier(one: str, other: str) -> None:
    assert addresses.identifier_key(one) == addresses.identifier_key(other)


@pytest.mark.parametrize("text", ["", "@", "a@b@c", "a@xn--ä", "a@" + "ä" * 300, "a@..", "\ud800@\ud800"])
def test_every_text_has_a_key(text: str) -> None:
    assert addresses.key(text) == addresses.key(text.upper())
