"""Every query is what its comment says: it uses the indexes named there, and walks or sorts only where it says why."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import apsw
import pytest

from chinwag.persistence.queries import (
    accounts,
    files,
    invitations,
    jobs,
    journal,
    keys,
    messages,
    rewrites,
    rooms,
    search,
    sqlite_text,
    summaries,
)
from chinwag.persistence.sqlite.opening import migrate

FRAGMENTS = {"ROOM_COLUMNS", "MESSAGE_COLUMNS", "MESSAGES", "CONTAINS"}
"""Parts that queries are made of."""


def queries() -> Iterator[tuple[str, str, str]]:
    """Name, text and the comment above, of every query."""
    modules: list[ModuleType] = [
        accounts,
        rooms,
        messages,
        search,
        invitations,
        files,
        summaries,
        keys,
        jobs,
        journal,
        rewrites,
    ]
    for module in modules:
        source = inspect.getsource(module)
        for found in re.finditer(r"(?P<comment>(?:^#.*\n)*)^(?P<name>[A-Z][A-Z_]+) = ", source, re.MULTILINE):
            if found["name"] not in FRAGMENTS:
                area = module.__name__.rpartition(".")[2]
                yield f"{area}.{found['name']}", getattr(module, found["name"]), found["comment"]


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    migrate(connection, Path(":memory:"))
    return connection


def plan_of(connection: apsw.Connection, query: str) -> list[str]:
    count = len(set(re.findall(r"\$\d+", query)))
    explained = connection.execute(f"EXPLAIN QUERY PLAN {sqlite_text(query)}", [None] * count)
    return [str(row[3]) for row in explained]


@pytest.mark.parametrize(("name", "query", "comment"), list(queries()), ids=[name for name, _, _ in queries()])
def test_a_query_does_what_its_comment_says(connection: apsw.Connection, name: str, query: str, comment: str) -> None:
    plan = plan_of(connection, query)
    named = re.search(r"^# Index: (.+)$", comment, re.MULTILINE)
    assert named, f"{name} names no index"
    for index in named[1].split(", "):
        if index == "none":
            continue
        wanted = r"PRIMARY KEY|sqlite_autoindex_\w+_1" if index == "primary key" else rf"\b{re.escape(index)}\b"
        assert any(re.search(wanted, step) for step in plan), f"{name} does not use {index}: {plan}"
    if "# Scan:" not in comment:
        # An FTS5 table is always "scanned"; what narrows it follows its name.
        scans = [
            step
            for step in plan
            if step.startswith("SCAN") and not re.search("VIRTUAL TABLE INDEX .*[M=<>]|CONSTANT", step)
        ]
        assert scans == [], f"{name} walks a table"
    if "# Sort:" not in comment:
        assert [step for step in plan if "TEMP B-TREE" in step] == [], f"{name} sorts"


def test_every_index_is_used_by_a_query_or_keeps_something_unique(connection: apsw.Connection) -> None:
    plans = "\n".join(step for _, query, _ in queries() for step in plan_of(connection, query))
    indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    unused = [name for name, sql in indexes if name not in plans and "UNIQUE" not in str(sql)]
    assert unused == []
