"""Presence: who is there, counted in open sessions.

A user is online while a session is open and for a grace period after the last one ends, so that a reconnect does not
flicker. What a user declared by hand (`User.declared`) overrides that until they next come or go.

Who shares a room with a user is told (`PresenceNews`), on connections that have a word for it.
"""

from collections.abc import Callable

import structlog

from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.events import PresenceChanged
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.publishing import Publisher
from chinwag.engine.model.store import Store
from chinwag.engine.model.tasks import Spawn
from chinwag.engine.model.values import Presence, User

log = structlog.get_logger("chinwag.engine")

GRACE_S = 5.0


class PresenceRegistry:
    """Counts sessions per user. Time comes from outside, by `sweep`."""

    def __init__(self, *, on_change: Callable[[UserId, Presence], None], grace_s: float = GRACE_S) -> None:
        """`on_change` hears of every user who came or went for good. It must not wait."""
        self._on_change = on_change
        self._grace_s = grace_s
        self._sessions: dict[UserId, int] = {}
        self._leaving: dict[UserId, float] = {}

    def of(self, user: User) -> Presence:
        """What to show of a user: what they declared, else whether they are connected."""
        return user.declared if user.declared is not None else self.connected(user.id)

    def connected(self, user_id: UserId) -> Presence:
        """Whether a user has an open session, or had one within the grace period."""
        return Presence.ONLINE if user_id in self._sessions or user_id in self._leaving else Presence.OFFLINE

    def arrive(self, user_id: UserId) -> None:
        """A session opened."""
        count = self._sessions.get(user_id, 0)
        self._sessions[user_id] = count + 1
        if count == 0 and self._leaving.pop(user_id, None) is None:
            self._on_change(user_id, Presence.ONLINE)

    def depart(self, user_id: UserId, now: float) -> None:
        """A session ended. `now` in `trio.current_time()` seconds."""
        count = self._sessions[user_id] - 1
        if count:
            self._sessions[user_id] = count
        else:
            del self._sessions[user_id]
            self._leaving[user_id] = now + self._grace_s

    def sweep(self, now: float) -> None:
        """Declare gone whose grace period is over. Called about once a second."""
        gone = [user_id for user_id, deadline in self._leaving.items() if deadline <= now]
        for user_id in gone:
            del self._leaving[user_id]
            self._on_change(user_id, Presence.OFFLINE)


class PresenceNews:
    """Tells everybody who shares a room with a user that they came or went.

    Who that is has to be read from the store: one user at a time, beside everything else, so that a crowd of
    reconnecting users costs the store no crowd of reads. Who comes and goes again meanwhile is told of once.
    """

    def __init__(self, *, store: Store, publisher: Publisher, spawn: Spawn) -> None:
        self._store = store
        self._publisher = publisher
        self._spawn = spawn
        self._waiting: dict[UserId, Presence] = {}
        self._working = False

    def announce(self, user_id: UserId, presence: Presence) -> None:
        """A user is seen as online or offline from now on. Never waits; does nothing where nobody would be told."""
        if not self._publisher.is_heard(PresenceChanged):
            return
        self._waiting[user_id] = presence
        if not self._working:
            self._working = True
            self._spawn(self._work)

    async def _work(self) -> None:
        try:
            while self._waiting:
                user_id = next(iter(self._waiting))
                try:
                    user = await self._store.user(user_id)
                    peers = await self._store.peers_of(user_id)
                except EngineError as error:
                    log.warning("presence not told", user=user_id, error=error.message)
                    del self._waiting[user_id]
                    continue
                except Exception:
                    # A bug about one user: were they not taken out, nobody who comes after them would ever be told of.
                    log.exception("presence not told", user=user_id)
                    del self._waiting[user_id]
                    continue
                presence = self._waiting.pop(user_id)
                if user is not None:
                    event = PresenceChanged(user_id=user_id, username=user.username, presence=presence)
                    self._publisher.publish_to(peers, event)
        finally:
            self._working = False
