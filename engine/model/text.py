"""Equality of texts: what usernames, room names, messages and queries are compared and indexed by. Pure.

Everything that asks whether two texts are the same, or whether one is within another, asks it of their `folded` forms.
"""

import unicodedata
from bisect import bisect_left, bisect_right

_DOTTED_I = "i\u0307"
"""What case folding makes of the dotted capital I of Turkish (U+0130), and lower-casing in a browser as well."""
_LATER_JAMO = frozenset(map(chr, range(0x1160, 0x1200)))
"""Vowels and final consonants of Korean, which are composed with the letters before them."""


def folded(text: str) -> str:
    """The form that is the same for all texts that differ in case or in canonically equal characters alone.

    Normalised (NFC), case-folded, normalised again: the three steps of a canonical caseless match (Unicode Standard,
    section 3.13, D145), in composed form. A dotted I is an i, so that "İstanbul" is found by "istanbul".
    """
    if text.isascii():
        return text.lower()
    folded_once = unicodedata.normalize("NFC", text).casefold().replace(_DOTTED_I, "i")
    return unicodedata.normalize("NFC", folded_once)


def original_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Which part of a text its folded form has from `start` to `end`: the least of whole characters, each with the
    marks that combine with it. Folding changes lengths: "ß" becomes "ss", a letter and its accent become one."""
    if text.isascii():
        return start, end

    def folded_length(at: int) -> int:
        return len(folded(text[: _character_end(text, at)]))

    # Where one character ends and another begins, the folded form of what is before is a part of the whole's. So
    # lengths rise, and this bisects.
    places = range(len(text) + 1)
    first = bisect_right(places, start, key=folded_length) - 1
    return first, _character_end(text, bisect_left(places, end, key=folded_length))


def _character_end(text: str, at: int) -> int:
    """The first place from `at` on where no mark, and no part of a Korean syllable, belongs to what is before it."""
    while at < len(text) and at and (unicodedata.category(text[at])[0] == "M" or text[at] in _LATER_JAMO):
        at += 1
    return at
