"""What the engine reads of users and log-ins, and how anything is read. A part of `reads.Snapshot`."""

from collections.abc import Sequence

import apsw

from chinwag.engine.model import addresses, names
from chinwag.engine.model.ids import FamilyId, UserId
from chinwag.engine.model.store import Credentials
from chinwag.engine.model.values import Deployment, Family, RefreshToken, User
from chinwag.persistence.queries import accounts, rooms, sqlite_text
from chinwag.persistence.rows import Row, RowReader
from chinwag.persistence.sqlite.former_names import address_forms, username_forms


class AccountReads:
    """Reads over one connection."""

    def __init__(self, connection: apsw.Connection, reader: RowReader) -> None:
        self._connection = connection
        self._reader = reader

    def _all(self, query: str, values: tuple[object, ...]) -> list[Row]:
        """All rows but those with text that is no UTF-8."""
        rows: list[Row] = []
        self._read_into(rows, query, values)
        return rows

    def _read_into(self, rows: list[Row], query: str, values: tuple[object, ...]) -> None:
        """Append them to `rows`; what was read before an exception is there."""
        try:
            cursor = self._connection.execute(sqlite_text(query), values)
        except (UnicodeEncodeError, OverflowError):
            return  # a lone surrogate, or a number of more than 64 bits: what cannot be stored is not there
        while True:
            try:
                rows += cursor  # goes on behind the damaged row
            except UnicodeDecodeError as error:
                self._reader.report("text", error.object[:20], f"{error}, in the answer to {query}")
            else:
                return

    def _one(self, query: str, *values: object) -> Row | None:
        found = self._all(query, values)
        return found[0] if found else None

    def highest_id(self) -> int:
        row = self._one(accounts.HIGHEST_ID)
        assert row is not None
        return int(row[0])

    def user(self, user_id: UserId) -> User | None:
        row = self._one(accounts.USER, user_id)
        return self._reader.user(row) if row else None

    def user_by_email(self, email: str) -> User | None:
        found = self._by_email(email)
        return found[0].user if found else None

    def credentials(self, identifier: str) -> list[Credentials]:
        key = names.key(identifier)
        rows = (self._one(accounts.CREDENTIALS_BY_USERNAME, form) for form in username_forms(identifier))
        named = [each for each in map(self._credentials, filter(None, rows)) if names.key(each.user.username) == key]
        by_id = {each.user.id: each for each in (*named, *self._by_email(identifier))}
        return list(by_id.values())

    def _by_email(self, email: str) -> list[Credentials]:
        key = addresses.key(email)
        rows = (self._one(accounts.CREDENTIALS_BY_EMAIL, form) for form in address_forms(email))
        found = map(self._credentials, filter(None, rows))
        return [each for each in found if each.user.email is not None and addresses.key(each.user.email) == key]

    def _credentials(self, row: Row) -> Credentials:
        return Credentials(user=self._reader.user(row[:-1]), password_hash=row[-1])

    def users(self, user_ids: Sequence[UserId]) -> list[User]:
        found = (self._one(accounts.USER, user_id) for user_id in dict.fromkeys(user_ids))
        return [self._reader.user(row) for row in found if row]

    def active_users(self, after: UserId, limit: int) -> list[User]:
        return [self._reader.user(row) for row in self._all(accounts.ACTIVE_USERS, (after, limit))]

    def peers_of(self, user_id: UserId) -> set[UserId]:
        return {UserId(peer) for (peer,) in self._all(rooms.PEERS_OF, (user_id,))}

    def deployment(self) -> Deployment | None:
        row = self._one(accounts.DEPLOYMENT)
        return self._reader.deployment(row) if row else None

    def family(self, family_id: FamilyId) -> Family | None:
        row = self._one(accounts.FAMILY, family_id)
        return self._reader.family(row) if row else None

    def refresh_token(self, digest: bytes) -> RefreshToken | None:
        row = self._one(accounts.REFRESH_TOKEN, digest)
        return self._reader.refresh_token(row) if row else None
