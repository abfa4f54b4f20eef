"""Ids on the ChatterStack wire: decimal strings."""

from typing import Annotated, Final

from msgspec import Meta

from chinwag.http.api.wrong_values import WORDS
from chinwag.http.kit.decimal_ids import IDS, SCHEMA

__all__ = ["IDS", "AMessage", "ARoom", "AUser", "Id"]

WHAT: Final = "an id: decimal digits"
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
