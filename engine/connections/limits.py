"""What a connection may cost, and what all of an engine's connections together do."""

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.model.values import Record


class SessionLimits(Record):
    """How much a connection may cost."""

    outbox_bytes: int = 4 * 1024 * 1024
    """A session with more than this unsent when the next bytes come is a slow consumer. So its outbox is bounded by
    this and one turn's frames, which all subscribers of a room share."""
    unanswered: int = 256
    """Commands of one client under way beyond which it is read no further until some are answered."""
    pause_bytes: int = 3 * 1024 * 1024
    """A client that has more than this unsent is read no further until it has taken it: who asks for more than they
    read feels it as backpressure, and does not fill the room's mailbox or become a slow consumer by it."""
    held_events: int = 20_000
    """Live events that may wait for a replay to end."""
    blocked_s: float = 20.0
    """How long a client may take none of what waits for it."""
    ping_interval_s: float = 20.0
    """A ping goes out so often. A peer from whom no byte at all came for two intervals is gone."""
    unclaimed_s: float = 30.0
    """How long an admitted session may wait to be run: its client may vanish in the middle of the handshake."""
    per_user: int | None = 100
    """Connections that a user may have at a time; None: any number."""
    per_source: int | None = 1000
    """Connections that may come from one source at a time, those that are just ending included; None: any number."""
    closing_s: float = 3.0
    """How long a closing session may take to write its last bytes and hear the peer's goodbye."""


class SessionStats:
    """Counters that all sessions of an engine share."""

    __slots__ = ("by_source", "closed_by_reason", "replaying_bytes", "slow_consumers")

    def __init__(self) -> None:
        self.by_source: dict[str, int] = {}
        """How many sessions there are from each source. None is 0; the unknown source is not in it."""
        self.replaying_bytes = 0
        """What the replays that are under way hold in memory."""
        self.slow_consumers = 0
        self.closed_by_reason: dict[CloseReason, int] = {}

    def count_from(self, source: str, change: int) -> None:
        """One session more or fewer from a source."""
        if source:
            count = self.by_source.get(source, 0) + change
            if count:
                self.by_source[source] = count
            else:
                del self.by_source[source]
