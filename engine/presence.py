"""Presence: who is there, counted in open sessions.

A user is online while a session is open and for a grace period after the last one ends, so that a reconnect does not
flicker. What a user declared by hand (`User.declared`) overrides that until they next come or go.
"""

from collections.abc import Callable

from chinwag.engine.ids import UserId
from chinwag.engine.model import Presence, User

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
