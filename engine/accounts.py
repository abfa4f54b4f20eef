"""Accounts: registration, log-in, refresh tokens, log-out.

A log-in starts a *family*: one refresh token at a time, each good for one use, and the access tokens issued beside them
(whose format is the caller's business). Using a spent refresh token again means that somebody else has a copy, so the
whole family is revoked. What is revoked is refused at once, and its sessions are closed.
"""

import hashlib
import secrets
from collections.abc import Callable

from msgspec.structs import replace

from chinwag.engine.errors import Conflict, Invalid, NotFound, Unauthenticated
from chinwag.engine.ids import FamilyId, UserId, now_us
from chinwag.engine.model import Family, Presence, Record, RefreshToken, User
from chinwag.engine.passwords import Passwords
from chinwag.engine.store import (
    DuplicateKey,
    InsertFamily,
    InsertRefreshToken,
    InsertUser,
    RevokeFamilies,
    RevokeFamily,
    SetDeclaredPresence,
    SpendRefreshToken,
    Store,
    Write,
    WriteRejected,
)

REFRESH_TOKEN_DAYS = 7
CACHED_USERS = 100_000
"""Users whose family was looked up lately; a request of theirs costs no store access."""


class LogIn(Record):
    """A user who has proved who they are. `refresh_token` is the secret itself: give it to the client, keep nothing."""

    user: User
    family_id: FamilyId
    refresh_token: str


class Accounts:
    """Everything about who somebody is."""

    def __init__(
        self,
        *,
        store: Store,
        passwords: Passwords,
        new_id: Callable[[], int],
        on_revoked: Callable[[UserId, FamilyId | None], None],
        refresh_days: float = REFRESH_TOKEN_DAYS,
    ) -> None:
        """`on_revoked(user, family)` ends the sessions of one family, or with None all of the user's."""
        self._store = store
        self._passwords = passwords
        self._new_id = new_id
        self._on_revoked = on_revoked
        self._refresh_us = int(refresh_days * 86_400_000_000)
        self._decoy = ""
        self._families: dict[FamilyId, UserId] = {}
        self._users: dict[UserId, User] = {}
        self._changes = 0

    async def prepare(self) -> None:
        """Make the hash that log-ins of unknown users are compared with, so that they take as long as the others."""
        self._decoy = await self._passwords.hash(secrets.token_hex())

    async def register(self, *, username: str, email: str | None, password: str) -> User:
        """Create an account. Raises `Invalid` without a username or password, `Conflict` for a username or e-mail that
        is taken, in any case."""
        if not username:
            raise Invalid("username", "is empty")
        if not password:
            raise Invalid("password", "is empty")
        user = User(id=UserId(self._new_id()), username=username, email=email, created_us=now_us())
        hashed = await self._passwords.hash(password)
        try:
            await self._store.commit([InsertUser(user=user, password_hash=hashed)])
        except DuplicateKey as clash:
            raise Conflict(clash.key, f"{clash.key} is already in use") from None
        return user

    async def log_in(self, identifier: str, password: str) -> LogIn:
        """Start a family, by e-mail or username. Raises `Unauthenticated`, in the same words and time for any cause."""
        known = await self._store.credentials(identifier)
        hashed = known.password_hash if known is not None else self._decoy
        if not await self._passwords.verify(hashed, password) or known is None:
            raise Unauthenticated("invalid credentials")
        now = now_us()
        family = Family(id=FamilyId(self._new_id()), user_id=known.user.id, created_us=now)
        secret, token = self._new_refresh_token(family.id, known.user.id, now)
        await self._store.commit([InsertFamily(family=family), InsertRefreshToken(token=token)])
        return LogIn(user=known.user, family_id=family.id, refresh_token=secret)

    async def refresh(self, refresh_token: str) -> LogIn:
        """Trade a refresh token for the next one of its family. A token is good once.

        Raises `Unauthenticated` for one that is unknown, expired, revoked or spent; a spent one revokes the family.
        """
        now = now_us()
        spent = await self._store.refresh_token(_digest(refresh_token))
        if spent is None or spent.expires_us <= now:
            raise Unauthenticated("invalid or expired refresh token")
        if spent.spent_us is not None:
            await self._revoke_for_reuse(spent)
        family = await self._store.family(spent.family_id)
        user = await self._store.user(spent.user_id)
        if family is None or family.revoked_us is not None or user is None:
            raise Unauthenticated("invalid or expired refresh token")
        secret, token = self._new_refresh_token(family.id, user.id, now)
        writes: list[Write] = [
            SpendRefreshToken(digest=spent.digest, spent_us=now),
            InsertRefreshToken(token=token),
        ]
        try:
            await self._store.commit(writes)
        except WriteRejected:
            await self._revoke_for_reuse(spent)
        return LogIn(user=user, family_id=family.id, refresh_token=secret)

    async def log_out(self, user_id: UserId, family_id: FamilyId) -> None:
        """End one log-in: its refresh token, its access tokens and its sessions."""

        def forget() -> None:
            self._changes += 1
            self._families.pop(family_id, None)
            self._on_revoked(user_id, family_id)

        # With the commit and not after it: it happens also when the caller is cancelled (a client that hangs up).
        await self._store.commit([RevokeFamily(family_id=family_id, revoked_us=now_us())], forget)

    async def log_out_everywhere(self, user_id: UserId) -> None:
        """End all log-ins of a user."""

        def forget() -> None:
            self._changes += 1
            for family_id in [family for family, owner in self._families.items() if owner == user_id]:
                del self._families[family_id]
            self._on_revoked(user_id, None)

        await self._store.commit([RevokeFamilies(user_id=user_id, revoked_us=now_us())], forget)

    async def authenticate(self, family_id: FamilyId, user_id: UserId) -> User:
        """The user of a family that is still good; raises `Unauthenticated`. Only the first call waits."""
        if self._families.get(family_id) == user_id:
            user = self._users.get(user_id)
            if user is not None:
                return user
        changes = self._changes
        family = await self._store.family(family_id)
        user = await self._store.user(user_id)
        if family is None or user is None or family.user_id != user_id or family.revoked_us is not None:
            raise Unauthenticated("this log-in has ended")
        if changes == self._changes:  # or a log-out that came while this was being read would be forgotten
            if max(len(self._families), len(self._users)) >= CACHED_USERS:
                self._families.clear()
                self._users.clear()
            self._families[family_id] = user_id
            self._users[user_id] = user
        return user

    async def user(self, user_id: UserId) -> User:
        """Raises `NotFound`."""
        user = await self._store.user(user_id)
        if user is None:
            raise NotFound("user")
        return user

    async def user_by_email(self, email: str) -> User:
        """Ignores case. Raises `NotFound`."""
        user = await self._store.user_by_email(email)
        if user is None:
            raise NotFound("user")
        return user

    async def find(self, identifier: str) -> User:
        """By e-mail or username, ignoring case. Raises `NotFound`."""
        known = await self._store.credentials(identifier)
        if known is None:
            raise NotFound("user")
        return known.user

    async def set_presence(self, user_id: UserId, declared: Presence | None) -> None:
        """Let a user be seen as online or offline whatever their connections say; None goes back to those."""

        def note() -> None:
            self._changes += 1
            cached = self._users.get(user_id)
            if cached is not None:
                self._users[user_id] = replace(cached, declared=declared)

        await self._store.commit([SetDeclaredPresence(user_id=user_id, declared=declared)], note)

    def may_have_declared(self, user_id: UserId) -> bool:
        """False when a user is known to follow their connections. Never waits."""
        user = self._users.get(user_id)
        return user is None or user.declared is not None

    async def follow_connections(self, user_id: UserId) -> None:
        """Forget what a user declared by hand: it held until they came or went."""
        user = self._users.get(user_id) or await self._store.user(user_id)
        if user is not None and user.declared is not None:
            await self.set_presence(user_id, None)

    def _new_refresh_token(self, family_id: FamilyId, user_id: UserId, now: int) -> tuple[str, RefreshToken]:
        secret = secrets.token_urlsafe(32)
        token = RefreshToken(
            digest=_digest(secret), family_id=family_id, user_id=user_id, expires_us=now + self._refresh_us
        )
        return secret, token

    async def _revoke_for_reuse(self, spent: RefreshToken) -> None:
        await self.log_out(spent.user_id, spent.family_id)
        raise Unauthenticated("invalid or expired refresh token")


def _digest(refresh_token: str) -> bytes:
    """A refresh token has 256 random bits, so a fast hash protects it as well as a slow one would."""
    return hashlib.sha256(refresh_token.encode()).digest()
