"""Plain text of messages, as the fronts take it. Pure."""

from chinwag.engine.model.errors import Rule
from chinwag.engine.model.names import blank
from chinwag.http.api.checked import FieldError
from chinwag.http.kit.fields import trimmed


def message_text(text: str, field: str, most: int, unless: tuple[str, ...] = ()) -> str:
    """A message's text, without white space around it, which shows something.

    `unless` names the fields of files, beside which there may be no text. Raises `FieldError`.
    """
    kept = text.strip()
    if kept and "!" <= kept[0] <= "~" and len(kept) <= most:  # nearly all are so
        return kept
    if blank(kept):
        raise FieldError(field, "is blank" if kept else "is empty", rule=Rule.REQUIRED, unless=unless)
    return trimmed(kept, field, least=0, most=most)


def caption(text: str, field: str = "", *, most: int) -> str:
    """A text beside files, without white space around it; "" for one that shows nothing. Raises `FieldError`."""
    kept = trimmed(text, field, least=0, most=most)
    return "" if blank(kept) else kept
