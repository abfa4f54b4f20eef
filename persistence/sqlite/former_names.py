"""Names and addresses of former releases, which were compared by `str.casefold` alone.

The columns `username_fold` and `email_fold` hold a row's keys (`names.key`, `addresses.key`). Rows that a former
release wrote hold what that one compared by, until `BRING_OVER` comes to them; a row whose key is somebody else's by
then keeps it for good. So a row is looked for under each form it may have, and is the right one if its own key is the
one that was asked for.
"""

import unicodedata
from contextlib import suppress
from typing import Any, Final

import apsw
import idna
import structlog

from chinwag.engine.model import addresses, names
from chinwag.persistence.queries import accounts, rewrites, sqlite_text
from chinwag.persistence.sqlite.rewrites import BroughtOver, Rewrite

log = structlog.get_logger("chinwag.persistence")


def username_forms(username: str) -> list[str]:
    """What a row with this username may be stored under: letter by letter as a former release had it comes first."""
    return _forms(username.strip(), names.key(username))


def address_forms(address: str) -> list[str]:
    """As `username_forms`. Former releases stored domains in Unicode, never as "xn--"."""
    address, key = address.strip(), addresses.key(address)
    if "xn--" in key and len(address) <= names.LONGEST:
        local, at, domain = address.rpartition("@")
        with suppress(idna.IDNAError, UnicodeError):
            address = f"{local}{at}{idna.decode(domain, uts46=True)}"
    return _forms(address, key)


def _forms(text: str, key: str) -> list[str]:
    if text.isascii() or len(text) > names.LONGEST:
        return list(dict.fromkeys((text.casefold(), key)))
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    return list(dict.fromkeys((text.casefold(), key, composed.casefold(), decomposed.casefold())))


def make_way(connection: apsw.Connection, username: str, email: str | None) -> None:
    """Before an account is inserted, while `BRING_OVER` is not through: give rows that it might clash with their keys.

    So it clashes with whom it is the same as, and with nobody else.
    """
    if connection.execute(sqlite_text(rewrites.IS_UNFINISHED), (BRING_OVER.name,)).fetchone() is None:
        return
    found = _ids(connection, accounts.ID_BY_USERNAME, username_forms(username))
    if email is not None:
        found += _ids(connection, accounts.ID_BY_EMAIL, address_forms(email))
    for user_id in found:
        _bring_over(connection, user_id)


def _bring_over_next(connection: apsw.Connection, after: int, count: int) -> BroughtOver:
    """Give the next users their keys, and report those that clash. See `Rewrite.step`."""
    ids = [user_id for (user_id,) in connection.execute(sqlite_text(accounts.NEXT_IDS), (after, count))]
    for user_id in ids:
        for clash in _bring_over(connection, user_id):
            log.warning("account keeps a name that another has", user=user_id, **clash)
    return BroughtOver(rows=len(ids), after=ids[-1] if ids else None)


def _bring_over(
    connection: apsw.Connection, user_id: int, moving: frozenset[int] = frozenset()
) -> list[dict[str, Any]]:
    """Give one user their keys. Returns what cannot be, and why."""
    try:
        row = connection.execute(sqlite_text(accounts.NAMES), (user_id,)).fetchone()
    except UnicodeDecodeError:
        row = None  # it is reported when it is read
    if row is None:
        return []
    username, username_fold, email, email_fold = row
    fields = [("username", username_fold, names.key(username), accounts.ID_BY_USERNAME, accounts.SET_USERNAME_KEY)]
    if email is not None:
        fields.append(("email", email_fold, addresses.key(email), accounts.ID_BY_EMAIL, accounts.SET_EMAIL_KEY))
    clashes = []
    for what, stored, key, holder_of, set_key in fields:
        if key == stored:
            continue
        holder = _ids(connection, holder_of, [key])
        if holder and holder[0] not in moving:  # it may have to move, too
            _bring_over(connection, holder[0], moving | {user_id})
            holder = _ids(connection, holder_of, [key])
        if holder:
            clashes.append({"what": what, "other": holder[0], "username": username})
        else:
            connection.execute(sqlite_text(set_key), (user_id, key))
    return clashes


def _ids(connection: apsw.Connection, query: str, forms: list[str]) -> list[int]:
    found = (connection.execute(sqlite_text(query), (form,)).fetchone() for form in forms)
    return [row[0] for row in found if row is not None]


BRING_OVER: Final = Rewrite(name="users.names", step=_bring_over_next)
"""What releases before schema 9 compared by `str.casefold`."""
