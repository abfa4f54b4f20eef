"""Content-Disposition: read from a form's part (RFC 7578), and written into an answer (RFC 6266). Pure.

Clients write names in several ways, and each is understood: `filename*` (RFC 8187; RFC 7578 forbids it in a form, and
clients send it all the same, to say the name better than `filename` can), raw UTF-8, encoded words (RFC 2047), and the
escapes of browsers (HTML, section 4.10.21.8).
"""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

_PARAMETER: Final = re.compile(
    r';[ \t]*(?P<name>[^\s;="]+)[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^;"]*))[ \t]*', re.DOTALL
)
_QUOTED_PAIR: Final = re.compile(r'\\(["\\])')
"""Older browsers write the paths of Windows into a quoted string as they are, so other backslashes are backslashes."""
_WORD: Final = r"=\?[!->@-~]+\?[bBqQ]\?[ !->@-~]*\?="
_ENCODED_WORDS: Final = re.compile(rf"{_WORD}(?:[ \t]+{_WORD})*")
_EXTENDED: Final = re.compile(r"(?P<charset>[!-~]+?)'(?P<language>[!-~]*?)'(?P<value>.*)", re.ASCII | re.DOTALL)


class Disposition(msgspec.Struct, frozen=True):
    """What a part is. `filename` is None for a part that is no file."""

    kind: str
    name: str
    filename: str | None


def parse_disposition(header: bytes) -> Disposition:
    """Read a part's header. What is malformed is overlooked; of a parameter that is there twice the first counts."""
    text = header.decode(errors="surrogateescape")
    kind, _, _ = text.partition(";")
    parameters: dict[str, str] = {}
    at = len(kind)
    while found := _PARAMETER.match(text, at):
        quoted = found["quoted"]
        value = found["token"].rstrip() if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
        parameters.setdefault(found["name"].lower(), value)
        at = found.end()
    return Disposition(kind.strip().lower(), _decoded(parameters.get("name", "")), _filename(parameters))


def attachment(name: str, *, inline: bool) -> str:
    """The header that gives a file its name: in ASCII for old clients, and whole."""
    plain = "".join(each if " " <= each <= "~" and each not in '"\\%' else "_" for each in name)
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _filename(parameters: dict[str, str]) -> str | None:
    name = parameters.get("filename")
    extended = _extended(parameters.get("filename*", ""), errors="replace" if name is None else "strict")
    if extended or name is None:
        return extended
    name = _ENCODED_WORDS.sub(_words, name)
    return _decoded(name).replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _extended(value: str, *, errors: str) -> str | None:
    """A value of RFC 8187; None for what is none. `errors`: as in `bytes.decode`, for what is not in its charset."""
    found = _EXTENDED.fullmatch(value)
    if found is None:
        return None
    return _text(unquote_to_bytes(found["value"].encode(errors="surrogateescape")), found["charset"], errors)


def _words(words: re.Match[str]) -> str:
    """What they say; they themselves when they are malformed."""
    try:
        parts = decode_header(words[0])
    except (HeaderParseError, ValueError):
        return words[0]
    decoded = [part if isinstance(part, str) else _text(part, charset or "ascii") for part, charset in parts]
    return words[0] if None in decoded else "".join(filter(None, decoded))


def _text(value: bytes, charset: str, errors: str = "replace") -> str | None:
    """None in a charset that is not known, or with strict `errors` for what is not in it."""
    try:
        return value.decode(charset, errors)
    except (LookupError, ValueError):
        return None


def _decoded(value: str) -> str:
    """Raw bytes of UTF-8."""
    return value.encode(errors="surrogateescape").decode(errors="replace")
