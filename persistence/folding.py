"""The column `messages.folded`: what a message's text is compared by, where that is not the text in lower case."""

import json
from typing import Any, Final

import apsw

from chinwag.engine.model.text import folded
from chinwag.persistence.queries import rewrites as queries
from chinwag.persistence.queries import sqlite_text
from chinwag.persistence.sqlite.rewrites import BroughtOver, Rewrite

UNSEARCHED: Final = ""
"""In place of the text of what is not searched (messages of kind SYSTEM)."""


def folded_column(text: str) -> str | None:
    """A text's folded form, None where that is the text with A to Z in lower case."""
    if text.isascii():
        return None
    form = folded(text)
    return None if form == _ascii_lower(text) else form


def searched_text(text: str, column: str | None) -> str:
    """The folded form of a text whose `folded_column` is this."""
    return column if column is not None else _ascii_lower(text)


def _ascii_lower(text: str) -> str:
    """As SQLite's `lower`: A to Z alone."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _fold_anew(connection: apsw.Connection, after: int, count: int) -> BroughtOver:
    """Fold the texts of the next messages. See `Rewrite.step`."""
    found: Any = connection.execute(sqlite_text(queries.NEXT_MESSAGES), (after, count)).get
    rows, last = found
    if not rows:
        return BroughtOver(rows=0, after=None)
    changed: list[tuple[int, str | None]] = []
    cursor = connection.execute(sqlite_text(queries.MESSAGES_TO_FOLD), (after, last))
    while True:
        try:
            for row, text, column in cursor:
                if column != (anew := folded_column(text)):
                    changed.append((row, anew))
        except UnicodeDecodeError:
            continue  # a damaged row, which whoever reads it reports; the cursor goes on behind it
        break
    stale = 0
    if changed:
        listed = json.dumps(changed)
        connection.execute(sqlite_text(queries.SET_FOLDED), (listed,))
        connection.execute(sqlite_text(queries.MARK_FOLDED_STALE), (listed,))
        stale = connection.changes()
    return BroughtOver(rows=rows, after=last, stale=stale)


FOLD_ANEW: Final = Rewrite(name="messages.folded", step=_fold_anew)
"""What releases before schema 5 folded by `str.casefold`."""
