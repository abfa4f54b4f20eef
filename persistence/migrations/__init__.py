"""The schema, as numbered steps: `NNNN_name.sql` for every database, `NNNN_name.sqlite.sql` for SQLite alone.

A step, once released, never changes: what is wrong with it is put right by the next one. Numbers have no holes. What
would change many rows is left to a rewrite, behind the running server (`persistence/sqlite/rewrites.py`).

SQLite's table `journal` may hold messages that an older release wrote (`persistence/sqlite/journal.py`): when a step
changes what is in `messages`, how these are decoded has to follow.
"""

import re
from importlib import resources
from typing import NamedTuple


class Migration(NamedTuple):
    """One step. After it the database has version `number`."""

    number: int
    name: str
    script: str


_FILE = re.compile(r"(?P<number>\d{4})_(?P<name>\w+)(?:\.(?P<database>\w+))?\.sql")
_SQLITE_TYPES = {"BIGINT": "INTEGER", "BYTEA": "BLOB"}
"""SQLite knows a row number by the very word INTEGER, and PostgreSQL's has too few bits."""


def for_sqlite() -> list[Migration]:
    """All steps for SQLite, in order."""
    steps = []
    for file in resources.files(__name__).iterdir():
        parts = _FILE.fullmatch(file.name)
        if parts and parts["database"] in (None, "sqlite"):
            script = file.read_text(encoding="utf-8")
            script = re.sub(r"\b(?:BIGINT|BYTEA)\b", lambda word: _SQLITE_TYPES[word[0]], script)
            steps.append(Migration(int(parts["number"]), parts["name"], script))
    return sorted(steps)
