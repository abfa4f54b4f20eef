"""Plain text of messages, as the fronts take it. Pure."""

from chinwag.engine.errors import Rule
from chinwag.engine.text import blank
from chinwag.http.checked import FieldError
from chinwag.http.fields import trimmed


def message_text(text: str, field: str, *, most: int, files: str | None = None, has_files: bool = False) -> str:
    """A message's text, without white space around it. It shows something, but with files it may be none.

    `files` names the field of these, where a message can have any. Raises `FieldError`.
    """
    kept = trimmed(text, field, least=0, most=most)
    if not has_files and blank(kept):
        reason = "is blank" if kept else "is empty"
        raise FieldError(field, reason, rule=Rule.REQUIRED, unless=() if files is None else (files,))
    return kept
