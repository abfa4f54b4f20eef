"""Where a database is: whether it can be there at all, and the lock that makes it one process's."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chinwag.persistence.errors import CannotOpen


def check_place(path: Path) -> None:
    """Raise `CannotOpen` for a name that was meant for something else, before anything is made for it."""
    if path.name == ":memory:":
        raise CannotOpen("a database is kept in a file; for a store in memory use chinwag.engine.testing.MemoryStore")
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise CannotOpen(f"{path} cannot be opened: {error.strerror}") from error
    if is_folder:
        raise CannotOpen(
            f"{path} cannot be opened: it is a folder; name the database in it, such as {path / 'chinwag.db'}"
        )
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raise `CannotOpen` when a folder is none, or cannot be made because there is a file in its place."""
    try:
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
        is_folder = nearest.is_dir()
    except OSError as error:
        raise CannotOpen(f"{folder} cannot be opened: {error.strerror}") from error
    if not is_folder:
        raise CannotOpen(f"{folder} cannot be written: {nearest} is a file, and has to be a folder")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to a database, and make its folder. It ends with the process, however that ends.

    Raises `CannotOpen`, also when another process holds it.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotOpen(f"{lock} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise CannotOpen(f"{lock} cannot be locked: {error.strerror}") from error
            holder = ""
            with suppress(OSError):
                holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            raise CannotOpen(f"{path} is served by another process ({holder or 'unknown'})") from error
        with suppress(OSError):  # its number is a help for whoever meets the lock, no more
            os.truncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
