"""Ids on the ChatterStack wire: decimal strings."""

import re

from chinwag.engine.ids import MAX_ID

_DECIMAL = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class DecimalIds:
    """`123` and nothing else: no sign, no leading zero, no spaces. So each id has one form."""

    def encode(self, any_id: int) -> str:
        return str(any_id)

    def decode(self, text: str) -> int | None:
        if _DECIMAL.fullmatch(text) is None:
            return None
        number = int(text)
        return number if number <= MAX_ID else None


IDS = DecimalIds()
