"""Ids on the ChatterStack wire: decimal strings."""

from chinwag.engine.ids import MAX_ID

_MOST_DIGITS = len(str(MAX_ID))


class DecimalIds:
    """`123` and nothing else: no sign, no leading zero, no spaces. So each id has one form."""

    def encode(self, any_id: int) -> str:
        return str(any_id)

    def decode(self, text: str) -> int | None:
        if len(text) > _MOST_DIGITS or not (text.isdecimal() and text.isascii()) or text[0] == "0":
            return None
        number = int(text)
        return number if number <= MAX_ID else None


IDS = DecimalIds()
