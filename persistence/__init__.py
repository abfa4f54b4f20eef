"""Storage for the engine: group commit, SQLite, search. Open a store with `open_sqlite_store`, and
one for files with `open_folder_blobs`."""

from chinwag.persistence.blobs.folder import FolderBlobs, open_folder_blobs
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.sqlite.store import SqliteStore, open_sqlite_store

__all__ = ["CannotOpen", "FolderBlobs", "SqliteStore", "open_folder_blobs", "open_sqlite_store"]
