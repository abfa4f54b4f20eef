"""Messages as lines of IRC, and back. Pure."""

from typing import Final

import regex

from chinwag.engine.model.values import Attachment, Message

MOST_LINES: Final = 40
"""Of one message. Nobody reads more, and a client takes it for a flood."""
_ACTION: Final = "/me "
"""How an ACTION stands in a message, as in other chats."""
_CTCP: Final = "\x01"
_FORMAT: Final = regex.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Colours, other formats, and everything else that a terminal might act on."""
_LINE_BREAK: Final = regex.compile(r"\r\n|[\r\n\x85\u2028\u2029]")


def from_irc(text: str) -> str | None:
    """What somebody wrote, as plain text; None for what is meant for a program (CTCP)."""
    if text.startswith(_CTCP):
        kind, _, said = text.strip(_CTCP).partition(" ")
        if kind != "ACTION":
            return None
        text = _ACTION + said
    return str(_FORMAT.sub("", text))


def to_irc(message: Message) -> list[str]:
    """The lines of a message, none of them empty. A long one is cut, and says so."""
    lines = [plain(line) for line in _LINE_BREAK.split(message.shown_text)]
    lines = [line for line in lines if line.strip()]
    lines += map(_shown, message.attachments)
    if len(lines) > MOST_LINES:
        lines[MOST_LINES - 1 :] = [f"[{len(lines) - MOST_LINES + 1} more lines]"]
    return lines


def action_of(lines: list[str]) -> list[str] | None:
    """What somebody did, where a message says that instead of something."""
    return [lines[0].removeprefix(_ACTION), *lines[1:]] if lines and lines[0].startswith(_ACTION) else None


def plain(text: str) -> str:
    """A text as one line, without what is no text: nobody's client is made to act on what somebody else wrote."""
    return str(_FORMAT.sub("", _LINE_BREAK.sub(" ", text).replace("\t", " ")))


def _shown(attachment: Attachment) -> str:
    named = attachment.name or attachment.mime_type
    return plain(f"[file: {named}, {attachment.size_bytes} bytes] {attachment.url}").strip()
