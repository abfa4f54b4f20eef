"""Who a request counts for, and what it is told of its limits. `HttpService` asks before it looks at anything else.

A request counts for the user whom a good token names, or whom a signed link names; without either for the address that
it comes from. To routes that need no token nobody's token counts: it would let whoever tries passwords choose whose
allowance that uses up. What anybody may see (`Route.free`) counts for nobody, unless it is refused. The server's own
pages have no limit.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from chinwag.engine.model.errors import EngineError, Overloaded, Refused, TooManyConnections, TooManyTries
from chinwag.engine.model.ids import FamilyId, UserId
from chinwag.engine.model.values import User
from chinwag.http.api.mounts import Location
from chinwag.http.api.rate_limits import RateLimiter, address_key, user_key
from chinwag.http.api.refusals import RateLimited
from chinwag.http.api.routing import Asking, Endpoint, Viewer
from chinwag.http.api.values import Header, HttpRequest
from chinwag.http.operations.metrics import Reading
from chinwag.http.security.tokens import AccessTokens, find_token

Authenticate = Callable[[FamilyId, UserId], Awaitable[User]]
"""The user of a log-in that stands. Raises `EngineError`s for any other."""


ASKED_TOO_MUCH: Final[Mapping[type[EngineError], str]] = {
    RateLimited: "rate",
    TooManyTries: "tries",
    TooManyConnections: "connections",
    Overloaded: "overload",
}
"""Refusals that whoever gets them at once provokes again at once, and what metrics call them."""


class Entry:
    """A request that was let through: `headers` say where its caller stands."""

    __slots__ = ("_at", "_caller", "_free", "_group", "_limiter", "headers")

    def __init__(self, limiter: RateLimiter, caller: str, group: str | None, *, free: bool = False) -> None:
        """Raises `RateLimited` when the caller has asked too often."""
        self._limiter = limiter
        self._caller = caller
        self._group = group
        self._free = free
        self._at = limiter.clock()
        self.headers = limiter.look(caller, group) if free else limiter.take(caller, group, at=self._at)

    def refused(self, error: EngineError) -> EngineError:
        """It is to be answered with this error. Returns what it is answered with instead, where what was free is not,
        and has been asked for too often."""
        if not self._free:
            if isinstance(error, TooManyTries | Overloaded):
                self.headers = self._limiter.give_back(self._caller, self._group, self._at)
        elif isinstance(error, Refused):
            try:
                self.headers = self._limiter.take(self._caller, self._group)
            except RateLimited as limited:
                self.headers = []  # it has them
                return limited
        return error


class RefusalCounts:
    """How often somebody was refused for asking too much, by front and reason. A `StatsSource`."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, front: str, error: EngineError) -> None:
        """One more refusal, of any kind."""
        reason = ASKED_TOO_MUCH.get(type(error))
        if reason is not None:
            self._counts[front, reason] = self._counts.get((front, reason), 0) + 1

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        for (front, reason), value in self._counts.items():
            labels = {"front": front, "reason": reason}
            yield Reading(
                name="refusals", help="Refused for asking too much", kind="counter", value=value, labels=labels
            )


class RequestLimits:
    """The limits of all fronts of one server."""

    def __init__(
        self,
        limiters: Mapping[str, RateLimiter],
        *,
        tokens: AccessTokens,
        authenticate: Authenticate,
        is_own: Callable[[HttpRequest, Location], bool],
    ) -> None:
        """`limiters` by the fronts' names; a front without one answers any number of requests. `is_own` tells the
        server's own pages."""
        self._limiters = dict(limiters)
        self._tokens = tokens
        self._authenticate = authenticate
        self._is_own = is_own

    def limiter(self, request: HttpRequest, where: Location) -> RateLimiter | None:
        """Who counts a request, None where nobody does."""
        if where.mount is None or not self._limiters:
            return None
        limiter = self._limiters.get(where.mount.front.name)
        return None if limiter is None or (where.found is None and self._is_own(request, where)) else limiter

    async def enter(self, limiter: RateLimiter, request: HttpRequest, where: Location) -> Entry:
        """Count a request. Raises `RateLimited`."""
        endpoint = _endpoint(request, where)
        if endpoint is None:
            return Entry(limiter, await self._caller(request, find_token(request.headers)), None)
        group = endpoint.route.rate_group
        if endpoint.route.free:
            return Entry(limiter, address_key(request.client), group, free=True)
        return Entry(limiter, await self._caller_of(request, where, endpoint), group)

    async def enter_socket(self, request: HttpRequest, front: str, token: str | None) -> None:
        """Count a request for a WebSocket. Raises `RateLimited`."""
        limiter = self._limiters.get(front)
        if limiter is not None:
            limiter.take(await self._caller(request, token))

    def look(self, request: HttpRequest, where: Location) -> list[Header]:
        """Where a request's address stands, for an answer to what counts for nothing."""
        limiter = self.limiter(request, where)
        if limiter is None:
            return []
        endpoint = _endpoint(request, where)
        return limiter.look(address_key(request.client), None if endpoint is None else endpoint.route.rate_group)

    async def _caller_of(self, request: HttpRequest, where: Location, endpoint: Endpoint) -> str:
        route = endpoint.route
        if route.asked_by is None or where.mount is None or where.found is None:
            return await self._caller(request, find_token(request.headers) if route.auth else None)
        asking = Asking(
            tokens=self._tokens,
            ids=where.mount.front.ids,
            path=endpoint.named(where.found),
            query=request.query,
            headers=request.headers,
        )
        named = route.asked_by(asking)
        if not isinstance(named, Viewer):
            return await self._caller(request, named)
        try:
            if named.family_id is not None:
                await self._authenticate(named.family_id, named.user_id)
        except EngineError:
            return address_key(request.client)
        return user_key(named.user_id)

    async def _caller(self, request: HttpRequest, token: str | None) -> str:
        """The user whom a good token names, else the address."""
        if token is not None:
            try:
                claims = self._tokens.verify(token)
                await self._authenticate(claims.family_id, claims.user_id)
                return user_key(claims.user_id)
            except EngineError:
                return address_key(request.client)  # if it matters that the token is not good, the answer will say so
        return address_key(request.client)


def _endpoint(request: HttpRequest, where: Location) -> Endpoint | None:
    return None if where.found is None else where.found.resource.methods.get(request.method)
