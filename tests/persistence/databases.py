"""Databases as former releases left them."""

from pathlib import Path

import apsw

from chinwag.persistence import migrations


def database_of_version(path: Path, version: int, rows: str) -> apsw.Connection:
    """A database as the code of that schema version left it, to be closed."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE schema_versions (version INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL)")
    for step in migrations.for_sqlite()[:version]:
        connection.execute(step.script)
        connection.execute("INSERT INTO schema_versions (version, name) VALUES (?1, ?2)", (step.number, step.name))
    connection.execute(rows)
    return connection


PEOPLE = """
INSERT INTO users (id, username, username_fold, email, email_fold, password_hash, declared, created_us)
VALUES (1, 'Ann', 'ann', 'a@example.org', 'a@example.org', 'hash', NULL, 1),
    (2, 'bob', 'bob', NULL, NULL, '', NULL, 2), (3, 'cat', 'cat', NULL, NULL, '', NULL, 3);
"""
