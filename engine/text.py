"""Equality of texts: what usernames, room names, messages and queries are compared and indexed by. Pure.

Everything that asks whether two texts are the same, or whether one is within another, asks it of their `folded` forms.
"""

import unicodedata

_DOTTED_I = "i\u0307"
"""What case folding makes of the dotted capital I of Turkish (U+0130), and lower-casing in a browser as well."""


def folded(text: str) -> str:
    """The form that is the same for all texts that differ in case or in canonically equal characters alone.

    Normalised (NFC), case-folded, normalised again: the three steps of a canonical caseless match (Unicode Standard,
    section 3.13, D145), in composed form. A dotted I is an i, so that "İstanbul" is found by "istanbul".
    """
    if text.isascii():
        return text.lower()
    folded_once = unicodedata.normalize("NFC", text).casefold().replace(_DOTTED_I, "i")
    return unicodedata.normalize("NFC", folded_once)
