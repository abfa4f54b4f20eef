"""Lines of IRC (RFC 2812, section 2.3). Pure: bytes to lines, and lines to bytes.

Whatever is in a parameter, what is written is one line of at most 512 bytes, cut between two characters.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

LINE_BYTES: Final = 512
"""A line with its CR and LF."""
SERVER: Final = "chinwag"
"""What the server is called."""
_MOST_PARAMETERS: Final = 15
_BREAKS: Final = str.maketrans("\r\n\0", "   ")
_BREAKS_A_PARAMETER: Final = str.maketrans("\r\n\0 ", "____")


class Line(NamedTuple):
    """What a client said: a command in capitals, and its parameters."""

    command: str
    parameters: tuple[str, ...]


def parse(raw: bytes) -> Line | None:
    """A line without its end; None for one that says nothing. What is no UTF-8 is replaced."""
    text = raw.decode(errors="replace").replace("\0", "").strip("\r ")
    for mark in "@:":  # tags and a prefix: a client has nothing to say by them
        if text.startswith(mark):
            text = text.partition(" ")[2].lstrip(" ")
    if not text:
        return None
    before, colon, last = f" {text}".partition(" :")
    words = [word for word in before.split(" ") if word]
    if not words:
        return None
    command, *parameters = words[: 1 + _MOST_PARAMETERS]
    return Line(command.upper(), (*parameters, last) if colon else tuple(parameters))


def line(command: str, *parameters: str, source: str | None = SERVER) -> bytes:
    """A line to a client. The last parameter may have blanks, or be empty."""
    words = [command, *(_middle(each) for each in parameters[:-1])]
    if source is not None:
        words.insert(0, f":{source}")
    if parameters:
        words.append(":" + parameters[-1].translate(_BREAKS))
    return _cut(" ".join(words).encode(), LINE_BYTES - 2) + b"\r\n"


def spread(
    command: str, target: str, texts: Iterable[str], *, source: str, around: tuple[str, str] = ("", "")
) -> bytes:
    """Texts as so many lines as they take. `around` is what each has before and behind it."""
    before, behind = around
    room = LINE_BYTES - 2 - len(f":{source} {command} {_middle(target)} :{before}{behind}".encode())
    pieces = (piece for text in texts for piece in pieces_of(text, room))
    return b"".join(line(command, target, f"{before}{piece}{behind}", source=source) for piece in pieces)


def packed(words: Iterable[str], most_bytes: int) -> Iterator[str]:
    """Words with blanks between them, in so many portions as they take."""
    portion = ""
    for word in words:
        longer = f"{portion} {word}" if portion else word
        if portion and len(longer.encode()) > most_bytes:
            yield portion
            portion = word
        else:
            portion = longer
    if portion:
        yield portion


def pieces_of(text: str, most_bytes: int) -> Iterator[str]:
    """A text in pieces of at most so many bytes, cut at a blank where there is one in the second half, else between two
    characters. Nothing for an empty one."""
    while len(raw := text.encode()) > most_bytes:
        piece = _cut(raw, most_bytes).decode()
        blank = piece.rfind(" ", len(piece) // 2)
        if blank > 0:
            piece = piece[:blank]
        yield piece
        text = text[len(piece) :].removeprefix(" ")
    if text:
        yield text


def _middle(parameter: str) -> str:
    """A parameter that others follow: it has no blanks, is not empty, and does not begin as the last one does."""
    said = parameter.translate(_BREAKS_A_PARAMETER) or "*"
    return f"_{said[1:]}" if said.startswith(":") else said


def _cut(raw: bytes, most_bytes: int) -> bytes:
    return raw if len(raw) <= most_bytes else raw[:most_bytes].decode(errors="ignore").encode()
