"""Secrets of the server: from an environment variable, or from a file that only its owner can read."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from chinwag.engine.encryption.room_crypto import KEY_BYTES, MasterKey

MASTER_KEY_VARIABLE = "CHINWAG_MASTER_KEY"
MASTER_KEY_FILE = "master-key"
NO_MASTER_KEY = "none"


class BadSecret(ValueError):
    """A secret of the server cannot be used; the message says why and what to do."""


def load_or_make(path: Path, variable: str, make: Callable[[], bytes], environ: Mapping[str, str]) -> tuple[bytes, str]:
    """The variable's content if it is set, else the file's, which is made with `make()` if it is absent; and where it
    was found, for error messages. Raises OSError when the file can be neither read nor made."""
    given = environ.get(variable)
    if given:
        return given.encode("utf-8", "surrogateescape"), variable
    if not path.exists():
        _create(path, make())
    return path.read_bytes(), str(path)


def load_master_key(data_dir: Path, environ: Mapping[str, str] = os.environ) -> MasterKey | None:
    """The key that seals room keys: CHINWAG_MASTER_KEY if set, else a file in the data folder, made if absent.

    Both hold Base64 of 32 bytes, or 64 hexadecimal digits. None when the variable says "none": the way to serve what is
    left when the key is lost. Raises BadSecret for anything else, OSError when the file can be neither read nor made.
    """
    if environ.get(MASTER_KEY_VARIABLE) == NO_MASTER_KEY:
        return None
    path = data_dir / MASTER_KEY_FILE
    content, where = load_or_make(path, MASTER_KEY_VARIABLE, _new_master_key, environ)
    try:
        return MasterKey.parse(content.decode("ascii"))
    except UnicodeDecodeError:
        raise BadSecret(f"{where}: a master key is Base64 or 64 hexadecimal digits") from None
    except ValueError as error:
        raise BadSecret(f"{where}: {error}") from None


def _new_master_key() -> bytes:
    """As text, so that it can be copied into the environment as it is."""
    return secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n"


def _create(path: Path, content: bytes) -> None:
    """Make the file, readable by its owner alone, all or nothing. Of two processes at once one wins; both go on."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink()
