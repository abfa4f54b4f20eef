"""How much the product takes, whoever asks: of every front's clients, and of an embedder. Pure.

A front may take less, where its own API says so. None takes more.
"""

from typing import Final

from chinwag.engine.model.errors import Invalid, Rule

MOST_QUERY_CHARACTERS: Final = 200
"""Of what is searched for, after trimming. Comparing costs the text's length times the query's at worst."""
MAX_AVATAR_BYTES: Final = 5 * 1024 * 1024
"""Of an avatar as it is uploaded; it is kept smaller."""


def search_text(text: str, field: str) -> str:
    """The text of a search, trimmed; "" when it is blank. Raises `Invalid(field)` for a longer one than is taken."""
    text = text.strip()
    if len(text) > MOST_QUERY_CHARACTERS:
        raise Invalid(field, f"must have at most {MOST_QUERY_CHARACTERS} characters", rule=Rule.LENGTH)
    return text
