"""Storage for the engine: group commit, SQLite, search. Open a store with `open_sqlite_store`."""

from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.sqlite import SqliteStore, open_sqlite_store

__all__ = ["CannotOpen", "SqliteStore", "open_sqlite_store"]
