"""Ids on the ChatterStack wire: decimal strings."""

from typing import Annotated, Any, Final

from msgspec import Meta

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.api.wrong_values import WORDS

WHAT: Final = "an id: decimal digits"
_MOST_DIGITS = len(str(MAX_ID))
SCHEMA: Final[dict[str, Any]] = {"pattern": f"^[1-9][0-9]{{0,{_MOST_DIGITS - 1}}}$", "examples": ["1"]}
_FORM = SCHEMA["pattern"] + r"(?!\n)"
"""In Python `$` is also before a line break at the end."""

# Ids that a client sends.
AUser = Annotated[
    str,
    Meta(pattern=_FORM, description=WHAT, extra_json_schema=SCHEMA, extra={WORDS: "is not the id of a user"}),
]
ARoom = Annotated[
    str,
    Meta(pattern=_FORM, description=WHAT, extra_json_schema=SCHEMA, extra={WORDS: "is not the id of a room"}),
]
AMessage = Annotated[
    str,
    Meta(pattern=_FORM, description=WHAT, extra_json_schema=SCHEMA, extra={WORDS: "is not the id of a message"}),
]
Id = Annotated[str, Meta(description=WHAT, extra_json_schema=SCHEMA)]
"""One that the server sends; or that comes with every message, where it shows when it is decoded (to match a pattern
takes 1 µs)."""


class DecimalIds:
    """`123` and nothing else: no sign, no leading zero, no spaces. So each id has one form."""

    json_schema = SCHEMA
    malformed = "is not an id"

    def encode(self, any_id: int) -> str:
        return str(any_id)

    def decode(self, text: str) -> int | None:
        if len(text) > _MOST_DIGITS or not (text.isdecimal() and text.isascii()) or text[0] == "0":
            return None
        number = int(text)
        return number if number <= MAX_ID else None

    def well_formed(self, text: str) -> bool:
        """Every number that can be an id is one, as long as its room or user exists."""
        return self.decode(text) is not None


IDS = DecimalIds()
