"""Where a session is in its life."""

import enum


class SessionPhase(enum.Enum):
    """A session's life: subscribed with its events held back, live, saying goodbye, over. It only moves forward."""

    HELD = enum.auto()
    LIVE = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()
