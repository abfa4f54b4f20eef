"""What a name may be, and when two names are one: usernames, display names, room names, files' names. Pure.

A name is visible, and its own. Characters that show nothing are refused, but where they change what is seen: joiners
between letters that they join or keep apart, what emoji are made of, variants of ideographs. Whoever writes from right
to left needs direction marks and isolates; isolates have to be closed, and what overrides the direction is refused. Two
names that differ by case, by canonically equal characters, by white space or by what shows nothing are the same.

Sources: Unicode's Default_Ignorable_Code_Point (Unicode Standard, section 5.21), RFC 5892 appendix A (joiners), UTS #51
(emoji sequences), UAX #9 (directions). The tables are those of the package `regex`, which follow Unicode's releases;
Python's own are as old as Python.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

import regex

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.limits import (
    LEAST_USERNAME_CHARACTERS,
    MOST_NAME_CHARACTERS,
    MOST_USERNAME_CHARACTERS,
    refuse_no_text,
    sized,
)
from chinwag.engine.model.text import folded

LONGEST: Final = 1_000
"""Characters. What is longer is no name, nor an address or a password, and is not worked on: to compose a text takes
time that grows with the square of the number of marks in a row."""

# - emoji, by their form (ED-17 of UTS #51): which of these there are, is `emojis`' business
_EMOJI_BASE = r"[[\p{Emoji}\p{Extended_Pictographic}]--[0-9\#*\p{Regional_Indicator}]]"
_FLAG = r"\p{Regional_Indicator}{2}|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
_KEYCAP = r"[0-9\#*]\ufe0f?\u20e3"
_ONE_EMOJI = rf"(?:{_FLAG}|{_KEYCAP}|{_EMOJI_BASE}[\p{{Emoji_Modifier}}\ufe0e\ufe0f]?)"
_EMOJI = rf"{_ONE_EMOJI}(?:\u200d{_ONE_EMOJI})*"

# - joiners. Wider than RFC 5892, A.1 and A.2, where people write so: a ZWNJ also behind a letter that joins nothing to
# its left (Persian "کار‌ها"), a ZWJ that gives a letter its joined form with no letter beside it ("ه‍"), and one
# between a consonant and its virama (Bengali "র‍্যাব").
_JOINS_ON = r"[\p{jt=D}\p{jt=L}]\p{M}*"
_JOINS_BACK = r"\p{M}*[\p{jt=D}\p{jt=R}]"
_VIRAMA = r"\p{Canonical_Combining_Class=9}"
_JOINER = (
    rf"(?<={_VIRAMA})[\u200c\u200d]"
    r"|(?<=[\p{jt=D}\p{jt=L}\p{jt=R}]\p{M}*)\u200c(?=\p{M}*[\p{Arabic}\p{jt=D}\p{jt=R}])"
    rf"|(?<={_JOINS_ON})\u200d(?!{_JOINS_BACK}|[\u200c\u200d])"
    rf"|(?<!(?:{_JOINS_ON}|[\u200c\u200d]))\u200d(?={_JOINS_BACK})"
    rf"|(?<=\p{{L}}\p{{M}}*)\u200d(?={_VIRAMA})"
)

# - variants of letters: ideographs, Mongolian, Myanmar
_MONGOLIAN = r"[\p{Mongolian}&&\p{L}]"
_VARIANT = (
    r"(?<=\p{Han})[\ufe00-\ufe02\U000e0100-\U000e01ef]"
    rf"|(?<={_MONGOLIAN})[\u180b-\u180d\u180f]"
    rf"|(?<={_MONGOLIAN}[\u180b-\u180d\u180f]?)\u180e(?={_MONGOLIAN})"
    r"|(?<=\p{Myanmar})\ufe00"
)

_MARKS = r"\u061c\u200e\u200f"
_BLANKS = r"\u2800\ufffc\U00013441\U00013442\U00016fe4\U0001d159"
"""Empty glyphs that Unicode does not count among the ignorable: a blank of Braille, of hieroglyphs, of music..."""
_UNSEEN = rf"\p{{Default_Ignorable_Code_Point}}\p{{Cc}}\p{{Zl}}\p{{Zp}}\ufff9-\ufffb{_BLANKS}"
_UNASSIGNED = r"\p{Noncharacter_Code_Point}[\p{Cn}--\p{Extended_Pictographic}]"
_UNKNOWN = rf"\p{{Cs}}\p{{Co}}{_UNASSIGNED}"
"""What everybody sees as the same box, or as something of their own: no characters, or none yet, or private ones."""

_CHARACTER = regex.compile(
    rf"(?P<seen>{_EMOJI}|{_JOINER}|{_VARIANT}|[{_MARKS}])"
    r"|(?P<opens>[\u202a\u202b\u2066-\u2068])|(?P<closes>[\u202c\u2069])"
    rf"|(?P<unseen>[{_UNSEEN}])|(?P<unknown>[{_UNKNOWN}])",
    regex.V1,
)
"""All characters that have to be looked at. What it does not match is seen, or is white space."""
_IGNORED = regex.compile(
    rf"(?P<emoji>{_EMOJI})|[\p{{Default_Ignorable_Code_Point}}\ufff9-\ufffb]|[{_BLANKS}]", regex.V1
)
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
_SEEN = regex.compile(rf"[^\s{_UNSEEN}]")
_SHOWN = regex.compile(r"[\p{L}\p{N}\p{P}\p{S}]")
_CLOSED_BY: Final = {"\u202a": "\u202c", "\u202b": "\u202c", "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}

_PASSES: Final = 4
"""So many looks at a name that is cleaned; then everything goes that shows nothing by itself."""

_AT_SIGNS: Final = frozenset("@\uff20\ufe6b")
_PHONE = regex.compile(r"[+\uff0b\ufe62]?\p{Nd}+")
_HEX_ID = regex.compile(r"[0-9a-f]{24}")
_UUID = regex.compile(r"(?:urn:uuid:)?\{?(?:[0-9a-f]-?){32}\}?")


def key(name: str) -> str:
    """What names are compared and found by: two that look alike by case, canonical form, white space and characters
    that show nothing have one."""
    if len(name) > LONGEST:
        return name
    if name.isascii():
        return folded(" ".join(name.split()))
    seen = " ".join(_IGNORED.sub(_without_selectors, name).split())
    return folded(seen) or folded(name)


def visible(name: str, field: str) -> str:
    """A name as it is kept: as it was written, composed (NFC), without white space around it.

    Raises `Invalid(field)` for one that is empty, shows nothing, holds what is not seen for what it is, or has more
    than `limits.MOST_NAME_CHARACTERS`.
    """
    return sized(_seen(name, field), field, least=1, most=MOST_NAME_CHARACTERS)


def _seen(name: str, field: str) -> str:
    """`visible`, of any length."""
    refuse_no_text(name, field)
    if len(name) > LONGEST:
        raise Invalid(field, "is too long", rule=Rule.LENGTH)
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        raise Invalid(field, "is empty", rule=Rule.REQUIRED)
    refuse_unseen(name, field)
    if _SHOWN.search(name) is None:
        raise Invalid(field, "shows nothing", rule=Rule.FORMAT)
    return name


def blank(text: str) -> bool:
    """Whether a text of any kind shows nothing at all: it is empty, or of white space and what is not seen."""
    return not "!" <= text[:1] <= "~" and _SEEN.search(text) is None


def refuse_unseen(text: str, field: str) -> None:
    """Raise `Invalid(field)` for a text with characters that a name must not have."""
    found = unseen(text)
    if not found:
        return
    if any(unicodedata.category(text[start]) == "Cc" for start, _, _ in found):
        raise Invalid(field, "must not contain control characters", rule=Rule.FORMAT)
    codes = ", ".join(sorted({f"U+{ord(text[start]):04X}" for start, _, _ in found})[:5])
    raise Invalid(field, f"must not contain what is not seen, or turns the text around ({codes})", rule=Rule.FORMAT)


def username(name: str, field: str = "username") -> str:
    """As `visible`, with the limits of `limits` for usernames. Nor can a username be taken for what else people are
    looked up by: an address, a telephone number, an id of any front."""
    name = _seen(name, field)
    if not _AT_SIGNS.isdisjoint(name):
        raise Invalid(field, "must not contain @: a name must not look like an address", rule=Rule.FORMAT)
    plain = key(name).replace(" ", "")
    if _PHONE.fullmatch(plain):
        raise Invalid(field, "must not be a number: a name must not look like a telephone number", rule=Rule.FORMAT)
    if _HEX_ID.fullmatch(plain) or _UUID.fullmatch(plain):
        raise Invalid(field, "must not look like an id", rule=Rule.FORMAT)
    return sized(name, field, least=LEAST_USERNAME_CHARACTERS, most=MOST_USERNAME_CHARACTERS)


def cleaned(name: str) -> str:
    """A name without what `visible` refuses, for names that are never refused: it may be empty then.

    What is not seen goes; in place of what nobody can read stands a "_". Only the first `LONGEST` characters count.
    """
    name = name[:LONGEST]
    for _ in range(_PASSES):
        name = unicodedata.normalize("NFC", name).strip()
        found = unseen(name)
        if not found:
            break
        name = _without(name, found)  # what goes may have been what a joiner stood beside: look again
    else:
        name = unicodedata.normalize("NFC", _IGNORABLE.sub("", name)).strip()
    return name if _SHOWN.search(name) else ""


def unseen(text: str) -> list[tuple[int, int, str]]:
    """Where a text has what a name must not have: start, end, and what `cleaned` puts there. In order."""
    if text.isascii() and text.isprintable():
        return []
    found: list[tuple[int, int, str]] = []
    open_at: list[tuple[int, str]] = []
    for character in _CHARACTER.finditer(text):
        start, stop = character.span()
        match character.lastgroup:
            case "opens":
                open_at.append((start, _CLOSED_BY[character[0]]))
            case "closes":
                if open_at and open_at[-1][1] == character[0]:
                    open_at.pop()
                else:
                    found.append((start, stop, ""))
            case "unseen":
                found.append((start, stop, ""))
            case "unknown":
                found.append((start, stop, "_"))
            case _:
                pass
    found += ((start, start + 1, "") for start, _ in open_at)
    return sorted(found)


def _without(text: str, found: Sequence[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop, instead in found:
        pieces += (text[end:start], instead)
        end = stop
    return "".join((*pieces, text[end:]))


def _without_selectors(match: "regex.Match[str]") -> str:
    """Of an emoji all but what only chooses between colour and black and white; of anything else nothing."""
    emoji: str | None = match["emoji"]
    return "" if emoji is None else emoji.replace("\ufe0f", "").replace("\ufe0e", "")
