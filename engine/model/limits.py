"""How much the product takes, whoever asks: of every front's clients, and of an embedder. Pure.

A front may take less, where its own API says so. None takes more.
"""

from typing import Final

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.ids import MAX_ID

LEAST_USERNAME_CHARACTERS: Final = 3
MOST_USERNAME_CHARACTERS: Final = 50
MOST_NAME_CHARACTERS: Final = 100
"""Of a display name, or a room's. All names are counted without white space around them."""
MOST_DESCRIPTION_CHARACTERS: Final = 1_000
LEAST_PASSWORD_CHARACTERS: Final = 6
"""As they were typed. Fronts may ask for more."""
MOST_TEXT_CHARACTERS: Final = 65_536
"""Of a message."""
MOST_ATTACHMENTS: Final = 10
"""Of one message."""
MOST_KEY_CHARACTERS: Final = 255
"""Of the idempotency key of a message."""
MOST_URL_CHARACTERS: Final = 2_048
MOST_PROMPT_CHARACTERS: Final = 2_000
"""Of what a summary is to attend to."""
MOST_QUERY_CHARACTERS: Final = 200
"""Of what is searched for, after trimming. Comparing costs the text's length times the query's at worst."""
MAX_AVATAR_BYTES: Final = 5 * 1024 * 1024
"""Of an avatar as it is uploaded; it is kept smaller."""


def refuse_bad_page(limit: int, skip: int = 0) -> None:
    """Raise `Invalid` ("limit" or "skip") for a page that cannot be: of nothing, or from before the first."""
    if type(limit) is not int or not 1 <= limit <= MAX_ID:
        raise Invalid("limit", f"must be a whole number from 1 to {MAX_ID}")
    if type(skip) is not int or not 0 <= skip <= MAX_ID:
        raise Invalid("skip", f"must be a whole number from 0 to {MAX_ID}")


def sized(text: str, field: str, *, least: int, most: int) -> str:
    """A text that has `least` to `most` characters. Raises `Invalid(field)`."""
    if len(text) < least:
        raise Invalid(field, f"must have at least {least} characters")
    if len(text) > most:
        raise Invalid(field, f"must have at most {most} characters", rule=Rule.LENGTH)
    return text


def refuse_no_text(value: object, field: str) -> None:
    """Raise `Invalid(field)` for what is no text."""
    if not isinstance(value, str):
        raise Invalid(field, "must be text", rule=Rule.FORMAT)


def search_text(text: str, field: str) -> str:
    """The text of a search, trimmed; "" when it is blank. Raises `Invalid(field)` for a longer one than is taken."""
    refuse_no_text(text, field)
    text = text.strip()
    if len(text) > MOST_QUERY_CHARACTERS:
        raise Invalid(field, f"must have at most {MOST_QUERY_CHARACTERS} characters", rule=Rule.LENGTH)
    return text
