"""Log-ins as families of refresh tokens: until when they and their tokens are good, and what a token may be used for.

Reads the store and changes nothing: what a log-in's beginning, a refresh or a log-out writes is `accounts`' business.
"""

import secrets
from typing import Final

from chinwag.engine.accounts.refresh_tokens import KEY_BYTES, digest, successor, within_grace
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.errors import AccountInactive, Unauthenticated
from chinwag.engine.model.ids import FamilyId
from chinwag.engine.model.store import Store
from chinwag.engine.model.values import Family, Record, RefreshToken, User

REFRESH_TOKEN_DAYS: Final = 7
LOG_IN_DAYS: Final = 90
"""After so long everybody proves again who they are, however often they refreshed."""
_DAY_US: Final = 86_400_000_000


class LogIn(Record):
    """A user who has proved who they are. `refresh_token` is the secret itself: give it to the client, keep nothing.

    At `ends_us` the log-in is over; no access token issued for it is to be good for longer.
    """

    user: User
    family_id: FamilyId
    refresh_token: str
    ends_us: int


class BadRefreshToken(Unauthenticated):
    """A refresh token that gives nothing. `reused` is one that was spent, and used again: somebody has a copy of it."""

    def __init__(self, reused: RefreshToken | None = None) -> None:
        super().__init__("invalid or expired refresh token")
        self.reused = reused


class LogInRules:
    """What the clock and a key of the server say of log-ins."""

    def __init__(
        self,
        store: Store,
        *,
        refresh_days: float,
        log_in_days: float,
        refresh_key: bytes | None,
        clock: Clock,
    ) -> None:
        """See `Accounts`."""
        self._store = store
        self._refresh_us = int(refresh_days * _DAY_US)
        self._log_in_us = int(log_in_days * _DAY_US)
        self._key = refresh_key or secrets.token_bytes(KEY_BYTES)
        self._clock = clock

    def ends_us(self, family: Family) -> int:
        """When a log-in is over, whatever is refreshed."""
        return family.created_us + self._log_in_us

    def stands(self, family: Family) -> bool:
        """Whether a log-in is neither revoked nor over."""
        return family.revoked_us is None and self.ends_us(family) > self._clock()

    def token(self, secret: str, family: Family) -> RefreshToken:
        """A refresh token that is given out now, as it is stored."""
        expires_us = min(self._clock() + self._refresh_us, self.ends_us(family))
        return RefreshToken(digest=digest(secret), family_id=family.id, user_id=family.user_id, expires_us=expires_us)

    def successor(self, secret: str) -> str:
        """What a refresh token is traded for."""
        return successor(self._key, secret)

    def opened(self, user: User, family: Family, secret: str) -> LogIn:
        """A log-in as its client is told of it."""
        return LogIn(user=user, family_id=family.id, refresh_token=secret, ends_us=self.ends_us(family))

    async def usable(self, secret: str) -> tuple[RefreshToken, Family, User]:
        """A token that is unspent or within its grace, of a log-in that stands, and whose it is.

        Raises `BadRefreshToken`, and `AccountInactive` when the account was deactivated.
        """
        token = await self._store.refresh_token(digest(secret))
        now = self._clock()
        if token is None or token.expires_us <= now:
            raise BadRefreshToken
        if token.spent_us is not None:
            # Who was given another successor (by another key, before a restart) cannot be given it again.
            after = digest(self.successor(secret))
            if not within_grace(token, now) or await self._store.refresh_token(after) is None:
                raise BadRefreshToken(reused=token)
        family = await self._store.family(token.family_id)
        user = await self._store.user(token.user_id)
        if user is not None and not user.active:
            raise AccountInactive("this account was deactivated")
        if family is None or user is None or not self.stands(family):
            raise BadRefreshToken
        return token, family, user
