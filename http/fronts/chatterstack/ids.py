"""Ids on the ChatterStack wire: decimal strings."""

from typing import Annotated, Final

from msgspec import Meta

from chinwag.engine.ids import MAX_ID

_MOST_DIGITS = len(str(MAX_ID))
SCHEMA: Final = {"pattern": f"^[1-9][0-9]{{0,{_MOST_DIGITS - 1}}}$", "examples": ["1"]}
Id = Annotated[str, Meta(description="an id: decimal digits", extra_json_schema=SCHEMA)]
"""An id in a body."""


class DecimalIds:
    """`123` and nothing else: no sign, no leading zero, no spaces. So each id has one form."""

    json_schema = SCHEMA

    def encode(self, any_id: int) -> str:
        return str(any_id)

    def decode(self, text: str) -> int | None:
        if len(text) > _MOST_DIGITS or not (text.isdecimal() and text.isascii()) or text[0] == "0":
            return None
        number = int(text)
        return number if number <= MAX_ID else None


IDS = DecimalIds()
