"""Accounts: registration, profiles, log-in, refresh tokens, log-out.

A log-in starts a *family*: one refresh token at a time, each good for one use, and the access tokens issued beside them
(whose format is the caller's business). Using a spent refresh token again means that somebody else has a copy, so the
whole family is revoked; but for a moment in which the client itself may have to (`refresh_tokens`). What is revoked is
refused at once, and its sessions are closed. Whatever is refreshed, a family ends some time after it began.

Whatever changes a user's row reads it, changes it and commits under that user's lock: two changes at once both last.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import trio
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from chinwag.engine.accounts import password_text
from chinwag.engine.accounts.log_ins import LOG_IN_DAYS, REFRESH_TOKEN_DAYS, BadRefreshToken, LogIn, LogInRules
from chinwag.engine.accounts.passwords import Passwords
from chinwag.engine.accounts.refresh_tokens import new_secret
from chinwag.engine.accounts.tries import Tries
from chinwag.engine.encryption.room_crypto import check_public_key
from chinwag.engine.model import addresses, links, names
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import AccountInactive, Conflict, NotFound, Unauthenticated, UnknownUser
from chinwag.engine.model.ids import FamilyId, FileId, UserId
from chinwag.engine.model.limits import LEAST_PASSWORD_CHARACTERS, refuse_bad_page, sized
from chinwag.engine.model.store import (
    Credentials,
    DeleteFile,
    DuplicateKey,
    InsertFamily,
    InsertRefreshToken,
    InsertUser,
    ReplacePasswordHash,
    RevokeFamilies,
    RevokeFamily,
    SetDeclaredPresence,
    SpendRefreshToken,
    Store,
    UpdateUser,
    Write,
    WriteRejected,
)
from chinwag.engine.model.store_admissions import EndInvitationsOf
from chinwag.engine.model.values import Family, Presence, RefreshToken, StoredFile, User

CACHED_USERS = 100_000
"""Users whose family was looked up lately; a request of theirs costs no store access."""


class Accounts:
    """Everything about who somebody is."""

    def __init__(
        self,
        *,
        store: Store,
        commits: Commits,
        passwords: Passwords,
        tries: Tries,
        new_id: Callable[[], int],
        clock: Clock,
        on_revoked: Callable[[UserId, FamilyId | None], None],
        on_deactivated: Callable[[UserId], None],
        on_profile: Callable[[User], None],
        on_dropped: Callable[[Sequence[StoredFile]], None],
        refresh_days: float = REFRESH_TOKEN_DAYS,
        log_in_days: float = LOG_IN_DAYS,
        refresh_key: bytes | None = None,
    ) -> None:
        """`refresh_key` is what the successors of refresh tokens are computed with; None: one that nobody else has, so
        that a token's grace ends with this process.

        `on_revoked(user, family)` ends the sessions of one family, or with None all of the user's, and so does
        `on_deactivated(user)`, for who may not come back.

        `on_profile(user)` hears of a user's new display name, avatar or key. `on_dropped(files)` is told which avatars
        nobody shows any more. All four are called with the commit, and must not wait.
        """
        self._store = store
        self._commits = commits
        self._passwords = passwords
        self._tries = tries
        self._new_id = new_id
        self._on_revoked = on_revoked
        self._on_deactivated = on_deactivated
        self._on_profile = on_profile
        self._on_dropped = on_dropped
        self._log_ins = LogInRules(
            store, refresh_days=refresh_days, log_in_days=log_in_days, refresh_key=refresh_key, clock=clock
        )
        self._clock = clock
        self._decoy = ""
        self._families: dict[FamilyId, Family] = {}
        self._users: dict[UserId, User] = {}
        self._changes = 0
        self._changing: WeakValueDictionary[UserId, trio.Lock] = WeakValueDictionary()

    async def prepare(self) -> None:
        """Make the hash that log-ins of unknown users are compared with, so that they take as long as the others."""
        self._decoy = await self._passwords.hash(secrets.token_hex())

    async def register(
        self,
        *,
        username: str,
        email: str | None,
        password: str,
        display_name: str | None = None,
        public_key: str | None = None,
        source: str = "",
    ) -> User:
        """Create an account. `source` is where the request comes from, in any words: an address, as a rule.

        Raises `Invalid` for a username (`names.username`), e-mail (`addresses.kept`), display name (`names.visible`),
        password (`password_text.kept_form`, and its length) or public key that cannot be, `Conflict` for a
        username or e-mail that is taken, `TooManyTries` when that happened too often to this source, `Overloaded`.
        """
        username = names.username(username)
        if email is not None:
            email = addresses.kept(email)
        if display_name is not None:
            display_name = names.visible(display_name, "display_name")
        kept_password = password_text.kept_form(password)
        sized(password, "password", least=LEAST_PASSWORD_CHARACTERS, most=names.LONGEST)
        if public_key is not None:
            public_key = check_public_key(public_key)
        user = User(
            id=UserId(self._new_id()),
            username=username,
            email=email,
            created_us=self._clock(),
            display_name=display_name,
            public_key=public_key,
        )
        async with self._tries.registration(source):
            hashed = await self._passwords.hash(kept_password)
        try:
            await self._commits.commit([InsertUser(user=user, password_hash=hashed)])
        except DuplicateKey as clash:
            self._tries.taken(source)
            raise Conflict(clash.key, f"{clash.key} is already in use") from None
        self._tries.proved(user, source)
        return user

    async def log_in(self, identifier: str, password: str, *, source: str = "") -> LogIn:
        """Start a family, by e-mail or username. `source` is where the request comes from, as for `register`.

        Raises `Unauthenticated`, in the same words and time for any cause, and `AccountInactive` to who knows the
        password of a deactivated account; `TooManyTries` after too many failures (`tries`), and `Overloaded`. A
        password that was hashed as a former release took it is hashed anew.
        """
        more: list[Write] = []
        async with self._tries.log_in(identifier, source):
            forms = password_text.forms(password)
            known = await self._store.credentials(identifier)
            with self._tries.shared([each.user.id for each in known], source):
                account, form = await self._first_proven(known, forms)
            user_id = account.user.id
            if form != forms[0]:
                anew = await self._passwords.hash(forms[0])
                more.append(ReplacePasswordHash(user_id=user_id, before=account.password_hash, password_hash=anew))
        self._tries.proved(account.user, source)
        return await self._open(user_id, *more)

    async def _first_proven(self, known: Sequence[Credentials], forms: Sequence[str]) -> tuple[Credentials, str]:
        """The first account that a password, in one of its forms, belongs to. Raises `Unauthenticated`.

        Who is unknown is compared with the decoy, in as many forms. An identifier that is two people's takes the time
        of two: that can only be a username of a former release, which everybody sees.
        """
        for account in known or (None,):
            for form in forms:
                hashed = self._decoy if account is None else account.password_hash
                if await self._passwords.verify(hashed, form) and account is not None:
                    return account, form
        raise Unauthenticated("invalid credentials")

    async def open_log_in(self, user_id: UserId) -> LogIn:
        """Start a family for a user who has proved who they are in another way: by registering just now.

        Raises `NotFound`, `AccountInactive`.
        """
        return await self._open(user_id)

    async def _open(self, user_id: UserId, *more: Write) -> LogIn:
        """`open_log_in`, with `more` in the same commit."""
        async with self._changing_row(user_id) as before:
            if not before.active:
                raise AccountInactive("this account was deactivated")
            now = self._clock()
            user = replace(before, last_login_us=now)
            family = Family(id=FamilyId(self._new_id()), user_id=user.id, created_us=now)
            secret = new_secret()
            writes: list[Write] = [
                InsertFamily(family=family),
                InsertRefreshToken(token=self._log_ins.token(secret, family)),
                UpdateUser(user=user),
                *more,
            ]
            await self._commit_row(writes, lambda: self._remember_row(user))
        return self._log_ins.opened(user, family, secret)

    async def refresh(self, refresh_token: str, *, source: str = "") -> LogIn:
        """Trade a refresh token for the next one of its family. Traded again within the grace, it gives that same one.
        `source` is where the request comes from: the user's log-ins are known there from now on.

        Raises `Unauthenticated` for one that is unknown, expired, revoked or spent; a spent one revokes the family.
        `AccountInactive` when the account was deactivated.
        """
        token, family, user = await self._good_refresh_token(refresh_token)
        secret = self._log_ins.successor(refresh_token)
        if token.spent_us is None:
            now = self._clock()
            writes: list[Write] = [
                SpendRefreshToken(digest=token.digest, spent_us=now),
                InsertRefreshToken(token=self._log_ins.token(secret, family)),
            ]
            try:
                await self._commits.commit(writes)
            except WriteRejected:  # it was spent at this very moment
                _token, family, user = await self._good_refresh_token(refresh_token)
        self._tries.proved(user, source)
        return self._log_ins.opened(user, family, secret)

    async def renew(self, refresh_token: str, *, source: str = "") -> LogIn:
        """Prove who one is by a refresh token, without spending it: for APIs whose refresh answers no new one.

        Raises as `refresh` does. The token stays good until it expires or its family is revoked.
        """
        _token, family, user = await self._good_refresh_token(refresh_token)
        self._tries.proved(user, source)
        return self._log_ins.opened(user, family, refresh_token)

    async def log_out(self, user_id: UserId, family_id: FamilyId) -> None:
        """End one log-in: its refresh token, its access tokens and its sessions."""

        def forget() -> None:
            self._changes += 1
            self._families.pop(family_id, None)
            self._on_revoked(user_id, family_id)

        # With the commit and not after it: it happens also when the caller is cancelled (a client that hangs up).
        try:
            await self._commits.commit([RevokeFamily(family_id=family_id, revoked_us=self._clock())], then=forget)
        except WriteRejected:
            return  # there is no such log-in: nothing is left to end

    async def log_out_everywhere(self, user_id: UserId) -> None:
        """End all log-ins of a user."""
        writes = [RevokeFamilies(user_id=user_id, revoked_us=self._clock())]

        def forget() -> None:
            self._forget_families(user_id)
            self._on_revoked(user_id, None)

        await self._commits.commit(writes, then=forget)

    async def authenticate(self, family_id: FamilyId, user_id: UserId) -> User:
        """The user of a family that is still good; raises `Unauthenticated`, `UnknownUser`, `AccountInactive`. Only the
        first call waits."""
        known = self._families.get(family_id)
        if known is not None and known.user_id == user_id:
            user = self._users.get(user_id)
            if user is not None and self._log_ins.ends_us(known) > self._clock():
                return user
        changes = self._changes
        family = await self._store.family(family_id)
        user = await self._store.user(user_id)
        if user is None:
            raise UnknownUser("there is no such user")
        if family is None or family.user_id != user_id:
            raise Unauthenticated("this log-in has ended")
        if not user.active:
            raise AccountInactive("this account was deactivated")
        if not self._log_ins.stands(family):
            raise Unauthenticated("this log-in has ended")
        if changes == self._changes:  # or a log-out that came while this was being read would be forgotten
            if max(len(self._families), len(self._users)) >= CACHED_USERS:
                self._families.clear()
                self._users.clear()
            self._families[family_id] = family
            self._users[user_id] = user
        return user

    def known(self, user_id: UserId) -> User | None:
        """A user who was authenticated lately, as they are now; None when that has to be read. Never waits."""
        return self._users.get(user_id)

    async def user(self, user_id: UserId) -> User:
        """Raises `NotFound`."""
        user = await self._store.user(user_id)
        if user is None:
            raise NotFound("user")
        return user

    async def users(self, user_ids: Sequence[UserId]) -> dict[UserId, User]:
        """Those that exist."""
        return {user.id: user for user in await self._store.users(user_ids)}

    async def everybody(self, *, after: UserId | None = None, limit: int) -> list[User]:
        """Those with active accounts, in the order of their registration, from the one after `after` on.

        Raises `Invalid("limit")`.
        """
        refuse_bad_page(limit)
        return await self._store.active_users(after=UserId(0) if after is None else after, limit=limit)

    async def peers(self, user_id: UserId) -> set[UserId]:
        """Who shares a room with a user."""
        return await self._store.peers_of(user_id)

    async def user_by_email(self, email: str) -> User:
        """By the key of an address. Raises `NotFound`."""
        user = await self._store.user_by_email(email)
        if user is None:
            raise NotFound("user")
        return user

    async def find(self, identifier: str) -> User:
        """By username or e-mail, compared by their keys; a username comes before somebody else's e-mail. Raises
        `NotFound`."""
        known = await self._store.credentials(identifier)
        if not known:
            raise NotFound("user")
        return known[0].user

    async def update_profile(
        self,
        user_id: UserId,
        *,
        display_name: str | UnsetType | None = UNSET,
        avatar_url: str | UnsetType | None = UNSET,
        public_key: str | UnsetType | None = UNSET,
        avatar_id: FileId | None = None,
    ) -> User:
        """Change what a user shows of themselves: UNSET leaves as is, None clears. Raises `NotFound`, and `Invalid` for
        a display name (`names.visible`), avatar (`links.picture_address`) or public key that cannot be.

        `avatar_id` is the uploaded avatar that `avatar_url` is the address of, if it is one's. With another address the
        avatars that the user uploaded before are gone.
        """
        if isinstance(display_name, str):
            display_name = names.visible(display_name, "display_name")
        if isinstance(avatar_url, str):
            avatar_url = links.picture_address(avatar_url, "avatar_url")
        if isinstance(public_key, str):
            public_key = check_public_key(public_key)
        given = {"display_name": display_name, "avatar_url": avatar_url, "public_key": public_key}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        async with self._changing_row(user_id) as before:
            user = replace(before, **changes)
            if user == before:
                return user
            await self._commit_profile(before, user, avatar_id)
        return user

    async def show_avatar(self, user_id: UserId, avatar_id: FileId, url: str) -> User:
        """Let an avatar that was just uploaded be the one that the user shows, by its address. Raises `NotFound`.

        Of two that are uploaded at once the later one stays: this does nothing when it has come already.
        """
        async with self._changing_row(user_id) as before:
            if avatar_id not in {each.id for each in await self._store.avatars_of(user_id)}:
                return before
            user = replace(before, avatar_url=url)
            await self._commit_profile(before, user, avatar_id)
        return user

    async def set_active(self, user_id: UserId, active: bool) -> None:
        """Deactivate an account, which ends all its log-ins, sessions and invitations, or let it log in again.

        Raises `NotFound`.
        """
        async with self._changing_row(user_id) as before:
            user = replace(before, active=active)
            writes: list[Write] = [UpdateUser(user=user)]
            if not active:
                writes.append(RevokeFamilies(user_id=user_id, revoked_us=self._clock()))
                writes.append(EndInvitationsOf(user_id=user_id, room_id=None))

            def note() -> None:
                self._remember_row(user)
                if not active:
                    self._forget_families(user_id)
                    self._on_deactivated(user_id)

            await self._commit_row(writes, note)

    async def set_declared(
        self, user_id: UserId, declared: Presence | None, then: Callable[[User | None], None] | None = None
    ) -> None:
        """Keep what a user declared of their presence; what that means is for `engine.presence.declare`, which calls
        this. `then` is called with the commit, of the user as known until then; None when they were not. It must not
        wait."""

        def note() -> None:
            self._changes += 1
            before = self._users.get(user_id)
            if before is not None:
                self._users[user_id] = replace(before, declared=declared)
            if then is not None:
                then(before)

        await self._commits.commit([SetDeclaredPresence(user_id=user_id, declared=declared)], then=note)

    # --- pieces ---

    @asynccontextmanager
    async def _changing_row(self, user_id: UserId) -> AsyncIterator[User]:
        """The user's row as it is, which nobody else changes within the block. Raises `NotFound`."""
        async with self._changing.setdefault(user_id, trio.Lock()):
            yield await self.user(user_id)

    async def _commit_profile(self, before: User, user: User, avatar_id: FileId | None) -> None:
        """Commit a profile within `_changing_row`, without the avatars that are no longer shown."""
        dropped: list[StoredFile] = []
        if user.avatar_url != before.avatar_url:
            uploaded = await self._store.avatars_of(user.id)
            dropped = [each for each in uploaded if avatar_id is None or each.id < avatar_id]

        def note() -> None:
            self._remember_row(user)
            self._on_profile(user)
            self._on_dropped(dropped)

        await self._commit_row([UpdateUser(user=user), *(DeleteFile(file_id=each.id) for each in dropped)], note)

    async def _commit_row(self, writes: Sequence[Write], then: Callable[[], None]) -> None:
        """Commit within `_changing_row`. Shielded: a caller who is cancelled must not give up the lock before that."""
        with trio.CancelScope(shield=True):
            await self._commits.commit(writes, then=then)

    def _remember_row(self, user: User) -> None:
        """What `UpdateUser` has stored: all but the declared presence, which is not its business."""
        self._changes += 1
        cached = self._users.get(user.id)
        if cached is not None:
            self._users[user.id] = replace(user, declared=cached.declared)

    def _forget_families(self, user_id: UserId) -> None:
        self._changes += 1
        for family_id in [family.id for family in self._families.values() if family.user_id == user_id]:
            del self._families[family_id]

    async def _good_refresh_token(self, refresh_token: str) -> tuple[RefreshToken, Family, User]:
        """`LogInRules.usable`; a token that is used again ends its log-in."""
        try:
            return await self._log_ins.usable(refresh_token)
        except BadRefreshToken as bad:
            if bad.reused is not None:
                await self.log_out(bad.reused.user_id, bad.reused.family_id)
            raise
