"""The texts of passwords: the same password typed on two keyboards is the same text. Pure.

The profile OpaqueString of RFC 8265 (section 4.2): white space is one kind of space, characters are composed (NFC), and
case stays. It refuses what nobody can be sure to type again: control characters, those that show nothing, private and
unassigned ones. Wider than the RFC in what is seen: emoji with their joiners and selectors are good, and so are old
letters of Hangul and characters that RFC 5892 ties to a context.
"""

import re
import unicodedata
from typing import Final

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.limits import refuse_no_text
from chinwag.engine.model.names import LONGEST, refuse_unseen, unseen

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def kept_form(password: str) -> str:
    """The form of a new password that is hashed. Raises `Invalid("password")`."""
    refuse_no_text(password, "password")
    if not password:
        raise Invalid("password", "is empty", rule=Rule.REQUIRED)
    if len(password) > LONGEST:
        raise Invalid("password", "is too long", rule=Rule.LENGTH)
    normal = _normal(password)
    refuse_unseen(normal, "password")
    return normal


def forms(password: str) -> tuple[str, ...]:
    """The forms in which a password that is typed may have been hashed: today's, then that of former releases, which
    hashed what they got."""
    if _SURROGATE.search(password):
        return ("",)  # it is no text, and cannot be hashed; this is nobody's password either
    if len(password) > LONGEST:
        return (password,)
    normal = _normal(password)
    if unseen(normal):
        return (password,)
    return (normal,) if normal == password else (normal, password)


def _normal(password: str) -> str:
    if password.isascii():
        return password
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    return unicodedata.normalize("NFC", spaced)
