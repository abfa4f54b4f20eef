"""Ids on the wire as UUIDs, reversibly: no table, and no look-up.

A version-8 UUID (RFC 9562, section 5.8) has 122 bits for its maker's use. The first 53 hold the id, so that UUIDs sort
as ids do; all others are the same in every one, so that each id has one UUID and nearly no UUID is an id.
"""

import re
from typing import Annotated, Final

from msgspec import Meta

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.api.wrong_values import WORDS

_TAIL = "-8063-68696e776167"
"""The variant, and "chinwag" in ASCII."""
_UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-8([0-9a-f]{3})" + _TAIL, re.ASCII | re.IGNORECASE)

SCHEMA: Final = {"format": "uuid", "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"}
MALFORMED: Final = "is not a UUID"
_FORM: Final = SCHEMA["pattern"] + r"(?!\n)"
"""In Python `$` is also before a line break at the end."""
_is_uuid = re.compile(_FORM).match

Uuid = Annotated[str, Meta(pattern=_FORM, extra_json_schema=SCHEMA, extra={WORDS: MALFORMED})]
"""A UUID that a client sends. What is not one of ours names nothing."""
UuidText = Annotated[str, Meta(extra_json_schema=SCHEMA)]
"""One that the server sends; or that comes with every message, where it shows when it is decoded (to match a pattern
takes 1 µs)."""


class UuidIds:
    """The canonical form of RFC 9562; upper case is read as well, as the RFC asks for."""

    json_schema = SCHEMA
    malformed = MALFORMED

    def encode(self, any_id: int) -> str:
        """The UUID of an id, in lower case."""
        high = any_id >> 5
        return f"{high >> 16:08x}-{high & 0xFFFF:04x}-8{(any_id & 31) << 7:03x}{_TAIL}"

    def decode(self, text: str) -> int | None:
        """The id of a UUID, None for what is none of ours."""
        found = _UUID.fullmatch(text)
        if found is None:
            return None
        low = int(found[3], 16)
        number = (int(found[1] + found[2], 16) << 5) | (low >> 7)
        return number if low & 127 == 0 and 0 < number <= MAX_ID else None

    def well_formed(self, text: str) -> bool:
        """Whether it is a UUID at all: one that is not ours names nothing."""
        return _is_uuid(text) is not None


IDS = UuidIds()
