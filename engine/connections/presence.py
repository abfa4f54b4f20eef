"""The service `engine.presence`: who is seen as online, and who is told when that changes.

A user is online while a session is open and for a grace period after the last one ends, so that a reconnect does not
flicker. What a user declared by hand (`User.declared`) overrides that until they next come or go.

Everybody who shares a room with a user is told, on connections that have a word for it. Who that is has to be read from
the store: one user at a time, beside everything else, so that a crowd of reconnecting users costs the store no crowd of
reads. Who comes and goes again meanwhile is told of once.
"""

import structlog

from chinwag.engine.accounts.accounts import Accounts
from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.events import PresenceChanged
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.publishing import Publisher
from chinwag.engine.model.store import Store
from chinwag.engine.model.tasks import Spawn
from chinwag.engine.model.values import Presence, User

log = structlog.get_logger("chinwag.engine")

GRACE_S = 5.0
MOST_LISTED = 1_000
"""Peers whose rows are read for the list of who is present: beyond that a crowd that reconnects would read millions."""


class PresenceService:
    """Counts sessions per user, and has the rules about what users declare. Time comes from outside, by `sweep`."""

    def __init__(
        self, *, store: Store, accounts: Accounts, publisher: Publisher, spawn: Spawn, grace_s: float = GRACE_S
    ) -> None:
        """`accounts` keeps what is declared, as part of a user."""
        self._store = store
        self._accounts = accounts
        self._publisher = publisher
        self._spawn = spawn
        self._grace_s = grace_s
        self._sessions: dict[UserId, int] = {}
        self._leaving: dict[UserId, float] = {}
        self._untold: dict[UserId, Presence] = {}
        """How users are seen who have changed, and whose peers have still to be told."""
        self._telling = False

    # --- what is seen ---

    def of(self, user: User) -> Presence:
        """What to show of a user: what they declared, else whether they are connected."""
        return user.declared if user.declared is not None else self.connected(user.id)

    def connected(self, user_id: UserId) -> Presence:
        """Whether a user has an open session, or had one within the grace period."""
        return Presence.ONLINE if user_id in self._sessions or user_id in self._leaving else Presence.OFFLINE

    async def online_peers_of(self, user_id: UserId) -> tuple[UserId, ...]:
        """Those who share a room with a user and are seen as online, by rising id.

        Of more peers than `MOST_LISTED` only those are looked at who are connected: who declared to be online without
        it is then not among them. Raises `StoreUnavailable`.
        """
        peers = await self._store.peers_of(user_id)
        if len(peers) > MOST_LISTED:
            peers = {peer for peer in peers if self.connected(peer) is Presence.ONLINE}
        users = await self._store.users(sorted(peers))
        return tuple(sorted(user.id for user in users if self.of(user) is Presence.ONLINE))

    # --- what changes it ---

    async def declare(self, user_id: UserId, declared: Presence | None) -> None:
        """Let a user be seen as online or offline whatever their connections say, until they next come or go; None goes
        back to those. Raises `StoreUnavailable`."""

        def tell(before: User | None) -> None:
            now = declared if declared is not None else self.connected(user_id)
            if before is None or self.of(before) is not now:
                self._announce(user_id, now)

        await self._accounts.set_declared(user_id, declared, tell)

    def arrive(self, user_id: UserId) -> None:
        """A session opened. Never waits."""
        count = self._sessions.get(user_id, 0)
        self._sessions[user_id] = count + 1
        if count == 0 and self._leaving.pop(user_id, None) is None:
            self._came_or_went(user_id, Presence.ONLINE)

    def depart(self, user_id: UserId, now: float) -> None:
        """A session ended. `now` in `trio.current_time()` seconds."""
        count = self._sessions[user_id] - 1
        if count:
            self._sessions[user_id] = count
        else:
            del self._sessions[user_id]
            self._leaving[user_id] = now + self._grace_s

    def sweep(self, now: float) -> None:
        """Let go whose grace period is over. Called about once a second."""
        gone = [user_id for user_id, deadline in self._leaving.items() if deadline <= now]
        for user_id in gone:
            del self._leaving[user_id]
            self._came_or_went(user_id, Presence.OFFLINE)

    # --- pieces ---

    def _came_or_went(self, user_id: UserId, now: Presence) -> None:
        user = self._accounts.known(user_id)
        if user is not None and user.declared is None:
            self._announce(user_id, now)
        else:
            self._spawn(self._follow_connections, user_id, now)

    async def _follow_connections(self, user_id: UserId, now: Presence) -> None:
        """What a user declared by hand held until they came or went."""
        user = self._accounts.known(user_id) or await self._store.user(user_id)
        declared = None if user is None else user.declared
        if declared is not None:
            await self._accounts.set_declared(user_id, None)
        if declared is not now:
            self._announce(user_id, now)

    def _announce(self, user_id: UserId, presence: Presence) -> None:
        """A user is seen as online or offline from now on. Never waits; does nothing where nobody would be told."""
        if not self._publisher.is_heard(PresenceChanged):
            return
        self._untold[user_id] = presence
        if not self._telling:
            self._telling = True
            self._spawn(self._tell_peers)

    async def _tell_peers(self) -> None:
        try:
            while self._untold:
                user_id = next(iter(self._untold))
                try:
                    user = await self._store.user(user_id)
                    peers = await self._store.peers_of(user_id)
                except EngineError as error:
                    log.warning("presence not told", user=user_id, error=error.message)
                    del self._untold[user_id]
                    continue
                except Exception:
                    # A bug about one user: were they not taken out, nobody who comes after them would ever be told of.
                    log.exception("presence not told", user=user_id)
                    del self._untold[user_id]
                    continue
                presence = self._untold.pop(user_id)
                if user is not None:
                    event = PresenceChanged(user_id=user_id, username=user.username, presence=presence)
                    self._publisher.publish_to(peers, event)
        finally:
            self._telling = False
