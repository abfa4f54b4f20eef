"""A wall clock that a test sets."""

from chinwag.engine.model.ids import EPOCH_MS

START_US = (EPOCH_MS + 86_400_000) * 1000
"""A day after the first one that ids know."""


class SetClock:
    """A `Clock` that stands still until it is moved, back too."""

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us
        """Microseconds since 1970."""

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now_us += round(seconds * 1_000_000)
