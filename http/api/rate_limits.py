"""How many requests a caller may make in a time: an exact sliding window for each of them.

Every request that was let through is remembered for the length of the window, so at no moment were there more than the
limit within the last `window_s` seconds. A refused request does not count, or no longer when it is refused later: who
keeps knocking is let in as soon as a place is free. What is remembered is bounded: beyond the bound those are
forgotten who asked longest ago.
"""

import ipaddress
import math
import time
from array import array
from collections.abc import Callable, Mapping

import msgspec

from chinwag.http.api.refusals import RateLimited
from chinwag.http.api.values import Header

KEPT_STAMPS = 2_000_000
"""Requests that one limit remembers in all (8 bytes each), a caller counting as `CALLER_STAMPS` more."""
CALLER_STAMPS = 32
IPV6_HOST_BITS = 64
"""One customer has a whole network of this size, and could take another address for each request."""


class RateLimit(msgspec.Struct, frozen=True):
    """`requests` within any `window_s` seconds."""

    requests: int
    window_s: float


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What a caller has left. `reset_in_s`: until one more request counts no longer, 0 when none does."""

    limit: int
    remaining: int
    reset_in_s: float
    refused: bool = False


class SlidingWindow:
    """One limit, and who has used how much of it."""

    def __init__(self, limit: RateLimit, *, kept_stamps: int = KEPT_STAMPS) -> None:
        self.limit = limit
        self._kept = kept_stamps
        self._callers: dict[str, _Caller] = {}
        """Least recently let through first."""
        self._size = 0

    def look(self, caller: str, now: float) -> Allowance:
        """What a caller has left, without using any of it. `now` in seconds, on a clock that never goes back."""
        self._forget_old(now)
        known = self._callers.get(caller)
        if known is None:
            return Allowance(self.limit.requests, self.limit.requests, 0.0)
        self._size -= known.forget_until(now - self.limit.window_s)
        used = known.count
        reset_in_s = known.oldest + self.limit.window_s - now if used else 0.0
        return Allowance(
            self.limit.requests, self.limit.requests - used, reset_in_s, refused=used >= self.limit.requests
        )

    def take(self, caller: str, now: float) -> Allowance:
        """Count one request, which `look` found not refused, and say what is left after it."""
        known = self._callers.pop(caller, None)
        if known is None:
            known = _Caller()
            self._size += CALLER_STAMPS
        self._callers[caller] = known  # at the end: the last to be forgotten
        known.stamps.append(now)
        self._size += 1
        while self._size > self._kept and len(self._callers) > 1:
            self._forget(next(iter(self._callers)))
        used = known.count
        return Allowance(self.limit.requests, self.limit.requests - used, known.oldest + self.limit.window_s - now)

    def give_back(self, caller: str, at: float) -> None:
        """Count no longer what was let through at `at`, if that is still remembered."""
        known = self._callers.get(caller)
        if known is not None and known.forget(at):
            self._size -= 1
            if not known.count:
                self._forget(caller)

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._callers)

    def _forget_old(self, now: float) -> None:
        horizon = now - self.limit.window_s
        while self._callers:
            first = next(iter(self._callers))
            if self._callers[first].newest > horizon:
                return
            self._forget(first)

    def _forget(self, caller: str) -> None:
        self._size -= len(self._callers.pop(caller).stamps) + CALLER_STAMPS


class _Caller:
    """When one caller's requests were let through, rising; those before `start` count no longer."""

    __slots__ = ("stamps", "start")

    def __init__(self) -> None:
        self.stamps = array("d")
        self.start = 0

    @property
    def count(self) -> int:
        return len(self.stamps) - self.start

    @property
    def oldest(self) -> float:
        return self.stamps[self.start]

    @property
    def newest(self) -> float:
        return self.stamps[-1]

    def forget(self, stamp: float) -> bool:
        """Leave out one that still counts. Returns whether there was one."""
        try:
            place = self.stamps.index(stamp, self.start)
        except ValueError:
            return False
        del self.stamps[place]
        return True

    def forget_until(self, horizon: float) -> int:
        """Leave out what was let through at `horizon` or before. Returns by how many the array shrank."""
        stamps, start = self.stamps, self.start
        while start < len(stamps) and stamps[start] <= horizon:
            start += 1
        self.start = start
        if start * 2 <= len(stamps):
            return 0
        del stamps[:start]
        self.start = 0
        return start


class RateLimiter:
    """The limits of one front: one for all requests, and further ones for groups of routes."""

    def __init__(
        self,
        general: RateLimit | None,
        groups: Mapping[str, RateLimit] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`groups` by name; a request of a group counts for the general limit as well."""
        self._general = None if general is None else SlidingWindow(general)
        self._groups = {name: SlidingWindow(limit) for name, limit in (groups or {}).items()}
        self.clock = clock
        """Seconds, never going back."""
        self._wall_clock = wall_clock

    def take(self, caller: str, group: str | None = None, *, at: float | None = None) -> list[Header]:
        """Count one request and return the headers for its answer, whatever that will be. `at`: what `clock` shows.

        Raises `RateLimited`, with its headers, when one of its limits has been reached: then it counts for none.
        """
        now = self.clock() if at is None else at
        windows = self._windows(group)
        found = [window.look(caller, now) for window in windows]
        refused = [allowance for allowance in found if allowance.refused]
        if refused:
            longest = max(refused, key=lambda allowance: allowance.reset_in_s)
            wait_s = max(1, math.ceil(longest.reset_in_s))
            raise RateLimited((*self._headers([longest]), ("retry-after", str(wait_s))))
        return self._headers([window.take(caller, now) for window in windows])

    def give_back(self, caller: str, group: str | None, at: float) -> list[Header]:
        """Count no longer what was taken at `at`: it was refused in the end. Returns the headers for its answer."""
        for window in self._windows(group):
            window.give_back(caller, at)
        return self.look(caller, group)

    def look(self, caller: str, group: str | None = None) -> list[Header]:
        """The headers for an answer to what counts for nothing: a preflight."""
        now = self.clock()
        return self._headers([window.look(caller, now) for window in self._windows(group)])

    def _windows(self, group: str | None) -> list[SlidingWindow]:
        windows = [] if self._general is None else [self._general]
        if group is not None and group in self._groups:
            windows.append(self._groups[group])
        return windows

    def _headers(self, allowances: list[Allowance]) -> list[Header]:
        """Those of the limit that is nearest."""
        if not allowances:
            return []
        nearest = min(allowances, key=lambda allowance: allowance.remaining)
        reset_at = math.ceil(self._wall_clock() + nearest.reset_in_s)
        return [
            ("x-ratelimit-limit", str(nearest.limit)),
            ("x-ratelimit-remaining", str(max(0, nearest.remaining))),
            ("x-ratelimit-reset", str(reset_at)),
        ]


def address_key(address: str) -> str:
    """Who is asking, as far as an address tells. Of IPv6 the network counts: it is one customer's."""
    if ":" not in address:
        return f"address {address}"
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return f"address {address}"
    if parsed.ipv4_mapped is not None:
        return f"address {parsed.ipv4_mapped}"
    return f"network {int(parsed) >> IPV6_HOST_BITS:x}"


def user_key(user_id: int) -> str:
    """A user who is known by a token."""
    return f"user {user_id}"
