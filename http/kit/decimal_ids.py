"""Ids as decimal strings: the plainest form there is."""

from typing import Any, Final

from chinwag.engine.model.ids import MAX_ID

_MOST_DIGITS = len(str(MAX_ID))
SCHEMA: Final[dict[str, Any]] = {"pattern": f"^[1-9][0-9]{{0,{_MOST_DIGITS - 1}}}$", "examples": ["1"]}


class DecimalIds:
    """`123` and nothing else: no sign, no leading zero, no spaces. So each id has one form."""

    json_schema = SCHEMA
    malformed = "is not an id"

    def encode(self, any_id: int) -> str:
        """See `IdCodec`."""
        return str(any_id)

    def decode(self, text: str) -> int | None:
        """See `IdCodec`."""
        if len(text) > _MOST_DIGITS or not (text.isdecimal() and text.isascii()) or text[0] == "0":
            return None
        number = int(text)
        return number if number <= MAX_ID else None

    def well_formed(self, text: str) -> bool:
        """Every number that can be an id is one, as long as its room or user exists."""
        return self.decode(text) is not None


IDS = DecimalIds()
