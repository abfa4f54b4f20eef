"""The numbered steps of the schema."""

import re
from importlib import resources
from pathlib import Path

import apsw

from chinwag.persistence import migrations
from chinwag.persistence.sqlite import migrate


def test_steps_are_numbered_from_one_without_holes() -> None:
    steps = migrations.for_sqlite()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))


def test_a_step_is_applied_once() -> None:
    connection = apsw.Connection(":memory:")
    for _ in range(2):
        migrate(connection, Path(":memory:"))
    applied = connection.execute("SELECT version, name FROM schema_versions ORDER BY version").fetchall()
    assert applied == [(step.number, step.name) for step in migrations.for_sqlite()]


def test_sqlite_gets_its_own_types() -> None:
    for step in migrations.for_sqlite():
        statements = re.sub(r"--.*", "", step.script)
        assert "BIGINT" not in statements
        assert "BYTEA" not in statements


def test_every_file_of_the_folder_is_a_step_with_a_known_name() -> None:
    files = {file.name for file in resources.files(migrations.__name__).iterdir() if file.name.endswith(".sql")}
    assert {name for name in files if not re.fullmatch(r"\d{4}_\w+(\.(sqlite|postgres))?\.sql", name)} == set()
