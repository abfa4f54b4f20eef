"""What can go wrong and is not a bug: told to the user in one line."""


class BenchError(Exception):
    """The measurement cannot be made: the message says why."""


class PeerMissing(BenchError):
    """A peer is not installed or does not start: it is named as skipped, with this message."""
