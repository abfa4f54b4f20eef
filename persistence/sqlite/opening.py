"""Opening an SQLite database: its schema, its connections."""

from pathlib import Path
from typing import NamedTuple

import apsw
import structlog

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.store_search import SEARCHES_AT_ONCE
from chinwag.persistence import migrations
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.sqlite.errors import write_transaction
from chinwag.persistence.sqlite.journal import Journal
from chinwag.persistence.sqlite.writes import apply_units

log = structlog.get_logger("chinwag.persistence")

OLDEST_SQLITE = (3, 51, 3)
"""Before it, a database in WAL mode with several connections could be corrupted (the WAL-reset bug)."""
READERS = 4
"""Reading connections. Reads mostly hold Python's lock or wait for the disk, so more do not make them faster."""
BUSY_MS = 1_000
"""How long SQLite waits for another process's lock (a shell, a backup) before the commit fails."""
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 16_384
CHECKPOINT_PAGES = 8_000
"""The log is moved into the database after this many pages, 32 MB: a commit then takes two more syncs of the disk."""
STATEMENTS = 200
"""Prepared statements kept per connection; there are fewer than this."""


class Opened(NamedTuple):
    """An open database of the newest schema."""

    writer: apsw.Connection
    readers: list[apsw.Connection]
    searchers: list[apsw.Connection]
    health: apsw.Connection
    """One more that reads, for whoever wants to know whether that can be done."""
    journal: Journal
    """It is flushed."""


def open_database(path: Path, journal_min_units: int) -> Opened:
    """Connect to a database, and migrate it. Raises `CannotOpen`."""
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        raise CannotOpen(
            f"SQLite {version} is too old: before {'.'.join(map(str, OLDEST_SQLITE))} it may corrupt a database; "
            "install a newer apsw"
        )
    connections: list[apsw.Connection] = []
    try:
        writer = apsw.Connection(str(path), statementcachesize=STATEMENTS)
        connections.append(writer)
        writer.set_busy_timeout(BUSY_MS)
        mode = writer.execute("PRAGMA journal_mode = WAL").get
        if mode != "wal":
            raise CannotOpen(f"{path}: SQLite cannot keep a write-ahead log there (journal mode {mode})")
        for setting in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            f"cache_size = {-WRITER_CACHE_KIB}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            f"journal_size_limit = {2 * CHECKPOINT_PAGES * 4096}",
        ):
            writer.execute(f"PRAGMA {setting}")  # one by one: of several, those after one that returns a row do not run
        migrate(writer, path)
        journal = Journal(writer, min_units=journal_min_units)
        if left := len(journal):
            apply_units(writer, (), 0, journal)
            log.info("journal flushed", messages=left)
        for _ in range(READERS + SEARCHES_AT_ONCE + 1):
            reader = apsw.Connection(str(path), statementcachesize=STATEMENTS)
            connections.append(reader)
            reader.set_busy_timeout(BUSY_MS)
            reader.execute(f"PRAGMA query_only = ON; PRAGMA cache_size = {-READER_CACHE_KIB}")
    except BaseException as error:
        for connection in connections:
            connection.close()
        if isinstance(error, apsw.Error | StoreUnavailable):
            raise CannotOpen(f"{path} cannot be opened: {error}") from error
        raise
    return Opened(writer, connections[1 : 1 + READERS], connections[1 + READERS : -1], connections[-1], journal)


def migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring the database to the newest schema, each step in a transaction of its own."""
    connection.execute("""
        CREATE TABLE IF NOT EXISTS schema_versions (
            version INTEGER PRIMARY KEY NOT NULL,   -- number of a migration that was applied
            name TEXT NOT NULL
        )
    """)
    present = connection.execute("SELECT coalesce(max(version), 0) FROM schema_versions").get
    steps = migrations.for_sqlite()
    newest = steps[-1].number
    if present > newest:
        raise CannotOpen(
            f"{path} was written by a newer version of chinwag (its schema is {present}, this one's {newest})"
        )
    for step in steps:
        if step.number > present:
            with write_transaction(connection):
                connection.execute(step.script)
                connection.execute(
                    "INSERT INTO schema_versions (version, name) VALUES (?1, ?2)", (step.number, step.name)
                )
