"""What a name may be, and when two are one."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.accounts import password_text
from chinwag.engine.files.file_types import MAX_NAME_BYTES, safe_name
from chinwag.engine.model import addresses, names
from chinwag.engine.model.errors import Invalid, Rule

LETTERS_AND_JOINERS = {
    "Persian, between letters that would join": "می\u200cخواهم",
    "Persian, after a letter that joins nothing": "کار\u200cها",
    "Persian, a letter in its joined form alone": "۱۴۰۳ ه\u200d.ش",
    "Hindi": "क्\u200cष",
    "Bengali, between a consonant and its virama": "র\u200d্যাব",
    "Sinhala": "ශ්\u200dරී",
    "Malayalam, at the end": "ന്\u200d",
    "Mongolian, with a vowel apart": "ᠬᠡᠯ\u180eᠡ",
    "Japanese, with a variant of an ideograph": "葛\U000e0100城",
}
EMOJI = {
    "family": "👨\u200d👩\u200d👧",
    "kiss of two skin tones": "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏻",
    "flag of a country": "🇦🇺",
    "flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "keycap": "1\ufe0f\u20e3",
    "in colour": "❤\ufe0f",
    "in black and white": "❤\ufe0e",
}
DIRECTIONS = {
    "a mark": "שלום\u200f!",
    "an Arabic mark": "1\u061c2",
    "a closed isolate": "\u2067abc\u2069 x",
    "isolates in each other": "\u2067a\u2068b\u2069\u2069",
    "a closed embedding": "\u202babc\u202c x",
}
PLAIN = ("ann", "Zoé 1", "日本\u3000太郎", "½", "İsmet", "a\u0301\u0302b", "C++", "🍵", "\U0001fae9", "Ÿ’all", "ﷺ", "𓀀")

UNSEEN = {
    "Hangul fillers": "\u3164\u3164\u3164",
    "other Hangul fillers": "a\uffa0\u115f\u1160",
    "a joiner after a digit": "dora1\u200d",
    "a non-joiner between Latin letters": "a\u200cb",
    "a non-joiner at the end": "می\u200c",
    "two non-joiners": "می\u200c\u200cخواهم",
    "a joiner between letters that join anyway": "م\u200dم",
    "a joiner that ends an emoji": "👨\u200d",
    "a joiner that begins an emoji": "\u200d👨",
    "a zero-width space": "a\u200bb",
    "a soft hyphen": "a\u00adb",
    "a word joiner": "a\u2060b",
    "a byte order mark": "\ufeff",
    "a grapheme joiner": "a\u034fb",
    "a Khmer vowel that is inherent": "ក\u17b4",
    "a blank of Braille": "a\u2800b",
    "a blank of music": "a\U0001d159",
    "a selector after a letter": "a\ufe0f",
    "a selector after a digit": "1\ufe0f",
    "a selector of ideographs after a letter": "a\U000e0100",
    "tags": "a\U000e0041\U000e0042",
    "tags that end no flag": "🏴\U000e0067\U000e0062",
    "an annotation": "a\ufff9b\ufffb",
    "an invisible operator": "a\u2062b",
    "an override": "a\u202eb",
    "an override that is closed": "a\u202eb\u202c",
    "an isolate that is not closed": "\u2067abc",
    "an isolate that was not opened": "abc\u2069",
    "an isolate closed as an embedding": "\u2067abc\u202c",
    "an embedding that is not closed": "\u202aabc",
    "an old direction control": "a\u206ab",
    "a line separator": "a\u2028b",
    "a line feed": "a\nb",
    "NUL": "a\0b",
    "another control character": "a\x85b",
    "half of a surrogate pair": "a\ud800",
    "a private character": "a\ue000",
    "no character": "a\ufdd0",
    "a character that is not assigned": "a\u0378",
}


@pytest.mark.parametrize(
    "name", [*LETTERS_AND_JOINERS.values(), *EMOJI.values(), *DIRECTIONS.values(), *PLAIN], ids=ascii
)
def test_what_is_seen_is_taken_as_it_was_written(name: str) -> None:
    assert names.visible(name, "name") == unicodedata.normalize("NFC", name) == names.cleaned(name)
    assert names.visible(f" a {name} b\n", "name") == names.cleaned(f"a {name} b")
    assert names.username(f"x {name}") == names.visible(f"x {name}", "name")


@pytest.mark.parametrize("name", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_or_turns_the_text_around_is_refused(name: str) -> None:
    for written in (name, f"ann{name}", f"{name} ann"):
        with pytest.raises(Invalid) as refused:
            names.visible(written, "display_name")
        assert (refused.value.field, refused.value.rule) == ("display_name", Rule.FORMAT)
        assert names.visible(names.cleaned(f"x{written}"), "name")


@pytest.mark.parametrize("name", ["\u0301", "\u0301 \u0302", "\u200e", "\u200f\u061c", "\u2067\u2069"])
def test_a_name_shows_more_than_marks(name: str) -> None:
    with pytest.raises(Invalid, match="shows nothing"):
        names.visible(name, "name")
    assert names.cleaned(name) == ""


@pytest.mark.parametrize("name", ["", "  ", "\t\n", "\u3000\u00a0"])
def test_a_blank_name_is_empty(name: str) -> None:
    with pytest.raises(Invalid, match="is empty") as refused:
        names.visible(name, "name")
    assert refused.value.rule is Rule.REQUIRED


@pytest.mark.parametrize(
    "name",
    [
        "ann@example.org",
        "@ann",
        "ann＠example",
        "12345",
        "+61412345678",
        "＋４９",
        "٠١٢٣٤",
        "+61 412 345 678",
        "0123456789abcdef01234567",
        "0123456789ABCDEF01234567",
        "67e55044-10b1-426f-9247-bb680e5fe0c8",
        "67E5504410B1426F9247BB680E5FE0C8",
        "{67e55044-10b1-426f-9247-bb680e5fe0c8}",
        "urn:uuid:67e55044-10b1-426f-9247-bb680e5fe0c8",
        "123\u200e45",
    ],
)
def test_a_username_cannot_be_taken_for_an_address_a_telephone_number_or_an_id(name: str) -> None:
    with pytest.raises(Invalid, match="username: ") as refused:
        names.username(name)
    assert refused.value.rule is Rule.FORMAT
    assert names.visible(name, "display_name") == name


@pytest.mark.parametrize(
    "name", ["a12", "+++", "12+", "3-2", "007 Bond", "0123456789abcdef0123456", "deadbeef" * 5, "½½½"]
)
def test_a_username_may_hold_digits(name: str) -> None:
    assert names.username(name) == name


def test_what_is_too_long_for_a_name_is_not_worked_on() -> None:
    """To compose so many marks takes minutes."""
    marks = "a" + "\u0316\u0300" * 500_000
    with pytest.raises(Invalid, match="too long") as refused:
        names.visible(marks, "name")
    assert refused.value.rule is Rule.LENGTH
    assert names.key(marks) == addresses.key(marks) == marks
    assert password_text.forms(marks) == (marks,)
    assert len(safe_name(f"{marks}.txt").encode()) <= MAX_NAME_BYTES
    with pytest.raises(Invalid, match="too long"):
        password_text.kept_form(marks)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zo\u00e9", "zOE\u0301"),
        ("\u0130stanbul", "istanbul"),
        ("Straße", "STRASSE"),
        ("각", "각"),
        ("dora1", "dora1\u200d"),
        ("ann", "a\u200bn\u00adn\u200e"),
        ("ann b", "Ann \u00a0b "),
        ("❤", "❤\ufe0f"),
        ("می\u200cخواهم", "میخواهم"),
        ("葛", "葛\U000e0100"),
    ],
)
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "anna"),
        ("annb", "ann b"),
        ("ann", "аnn"),
        ("👨\u200d👩", "👨👩"),
        (EMOJI["flag of England"], "🏴"),
        ("\u3164", "\u3164\u3164"),  # of former releases: nothing else tells them apart
    ],
)
def test_names_that_look_different_are_two(one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@given(st.text(max_size=40) | st.text("aeİß\u0301\u200c\u200d\ufe0f👩م 1\u20e3", max_size=10))
def test_a_key_is_its_own_key_and_that_of_every_canonically_equal_name(name: str) -> None:
    key = names.key(name)
    assert names.key(key) == key
    assert names.key(unicodedata.normalize("NFD", name)) == names.key(unicodedata.normalize("NFC", name)) == key
