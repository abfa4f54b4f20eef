"""Times on the wire: RFC 3339, UTC, microseconds. On the path of every message, so the date part is kept per second."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def _second(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))


class _Latest:
    """The second that was written last, from its first microsecond on: nearly always the one that is wanted next."""

    start_us = 0
    text = _second(0)


def rfc3339(us: int) -> str:
    """Microseconds since 1970 as `2025-01-01T00:00:00.000000Z`."""
    fraction = us - _Latest.start_us
    if not 0 <= fraction < 1_000_000:
        seconds, fraction = divmod(us, 1_000_000)
        _Latest.start_us, _Latest.text = seconds * 1_000_000, _second(seconds)
    return f"{_Latest.text}.{fraction:06d}Z"


def unix_us(moment: datetime) -> int:
    """A moment with a time zone as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND
