"""What people and rooms are called on IRC. Every name can be said, and each says which one was meant.

What IRC cannot have in a name is written as its code point between two backticks, a backtick too: "Ann Lee" is
``Ann`20`Lee``. Letters of all scripts stay as they are (UTF8ONLY). A name that would be too long, or that two rooms of
one person have, ends with its id behind two backticks (``#tea``4711``): an escape always closes, so no name ends so by
itself.
"""

from typing import Final, NamedTuple

import regex

NICK_BYTES: Final = 64
CHANNEL_BYTES: Final = 128
"""So that names leave most of a line to the text."""
_KEPT_BYTES: Final = 24
"""What is shown of a name that is too long."""

_NOT_IN_NICK: Final = regex.compile(r"[^\p{L}\p{M}\p{N}_\-\[\]\\^{}|]")
_NOT_FIRST: Final = regex.compile(r"^[\p{N}-]")
"""Servers begin ids with digits, and clients take a hyphen for an option."""
_NOT_IN_CHANNEL: Final = regex.compile(r"[\s\p{C},:`]")
_ESCAPE: Final = regex.compile(r"`([0-9a-f]{1,6})`")
_ID: Final = regex.compile(r"``([1-9][0-9]{0,15})$")


class Meant(NamedTuple):
    """Whom or what a name on IRC means: by its id where that is in it, else by its text."""

    text: str
    id: int | None = None


def nick(user_id: int, username: str) -> str:
    """What somebody is called."""
    said = _NOT_IN_NICK.sub(_escaped, username)
    said = _NOT_FIRST.sub(_escaped, said)
    return said if len(said.encode()) <= NICK_BYTES else _with_id(said, user_id)


def channel(room_id: int, name: str, *, taken: bool = False) -> str:
    """What a room is called; `taken` when somebody has another room of that name."""
    said = "#" + _NOT_IN_CHANNEL.sub(_escaped, name)
    return _with_id(said, room_id) if taken or len(said.encode()) > CHANNEL_BYTES else said


def meant_by(name: str) -> Meant:
    """The other way round, for nicks, and for channels without their "#"."""
    found = _ID.search(name)
    return Meant(_ESCAPE.sub(_unescaped, name)) if found is None else Meant("", int(found[1]))


def folded(name: str) -> str:
    """What IRC compares names by (CASEMAPPING=ascii)."""
    return name.encode().lower().decode()


def _with_id(said: str, number: int) -> str:
    kept = said.encode()[:_KEPT_BYTES].decode(errors="ignore")
    if kept.count("`") % 2:
        kept = kept[: kept.rindex("`")]
    return f"{kept}``{number}"


def _escaped(found: "regex.Match[str]") -> str:
    return f"`{ord(found[0]):x}`"


def _unescaped(found: "regex.Match[str]") -> str:
    code = int(found[1], 16)
    is_character = code <= 0x10FFFF and not 0xD800 <= code < 0xE000
    return chr(code) if is_character else str(found[0])
