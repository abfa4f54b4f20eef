"""From a request to its answer, on any front. No server, no sockets: `handle` takes a value and returns one.

What every answer goes through, in order: find the front and the route; see that the caller did not ask too often, where
the front has a limit; check the token; decode; call the handler; put an error into the front's shape; add CORS headers;
count. `handle` never raises but for cancellation.
"""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from chinwag.engine.engine import Engine
from chinwag.engine.errors import EngineError, InternalError, TryLater, Unauthenticated
from chinwag.engine.model import User
from chinwag.http.bodies import BodyStream, WholeBody
from chinwag.http.calls import Call
from chinwag.http.cors import METHODS, Cors
from chinwag.http.front import Front
from chinwag.http.messages import Header, HttpRequest, HttpResponse
from chinwag.http.metrics import RequestCounts, StatsSource
from chinwag.http.mounts import Location, Mount, Mounts
from chinwag.http.rate_limits import RateLimiter, address_key, user_key
from chinwag.http.refusals import HttpRefusal, MethodNotAllowed, NoSuchEndpoint, RateLimited, UpgradeRequired
from chinwag.http.requests import query_pairs
from chinwag.http.routing import Found
from chinwag.http.system import SYSTEM_PATHS, SystemRoutes
from chinwag.http.tokens import AccessTokens, Claims, find_token

JSON = ("content-type", "application/json")
NO_STORE = ("cache-control", "no-store")
RETRY_AFTER_S = 1
"""What a client that was told "not now" should wait at least: mailboxes drain, and actors restart, within it."""

_encode = msgspec.json.Encoder().encode
log = structlog.get_logger("chinwag.http")


class HttpService:
    """The HTTP side of a server: its fronts, and the routes that belong to none (health, metrics, documentation)."""

    def __init__(
        self,
        engine: Engine,
        tokens: AccessTokens,
        fronts: Sequence[Front],
        *,
        cors: Cors | None = None,
        stats: Sequence[StatsSource] = (),
        limiters: Mapping[str, RateLimiter] | None = None,
        public_url: str | None = None,
    ) -> None:
        """One front is at its own paths, several at host names and prefixes. `stats`: what `/metrics` shows as well.

        `limiters`: by front, who has made how many requests; fronts that are not in it answer any number.
        `public_url`: where clients find this server ("https://example.org"); None: where each of them did.
        """
        self._engine = engine
        self._tokens = tokens
        self._mounts = Mounts(fronts)
        self._cors = cors or Cors()
        self._limiters = dict(limiters or {})
        self._public_url = public_url
        self._counts = RequestCounts()
        self._system = SystemRoutes(engine, self._mounts, [self._counts, *stats])

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request, whatever it is."""
        where = self._mounts.locate(request.host, request.path)
        limiter = self._limiter(request, where) if self._limiters else None
        limit_headers: list[Header] = []
        if request.method == "OPTIONS":
            response = self._options(request, where)
            if limiter is not None:
                limit_headers = limiter.look(address_key(request.client), _group(where, request))
        else:
            try:
                if limiter is not None:
                    caller = await self._caller(request, find_token(request.headers))
                    limit_headers = limiter.take(caller, _group(where, request))
                response = await self._answer(request, where)
            except EngineError as error:
                response = self._refusal(where, error)
            except Exception:
                # A bug in a handler. It costs its own request and nobody else's.
                log.exception("request failed", front=_name(where), method=request.method, path=request.path)
                response = self._refusal(where, InternalError())
        response.headers.extend(limit_headers)
        return self._finished(request, where, response)

    def refuse(self, request: HttpRequest, error: EngineError) -> HttpResponse:
        """The answer to a request that the server itself refuses (body too large, too slow), in the front's shape."""
        where = self._mounts.locate(request.host, request.path)
        response = self._refusal(where, error)
        limiter = self._limiter(request, where)
        if limiter is not None and not isinstance(error, RateLimited):
            response.headers.extend(limiter.look(address_key(request.client)))
        return self._finished(request, where, response)

    def streams(self, request: HttpRequest) -> bool:
        """Whether the body of this request is read by its handler while it comes. `request` is without its body."""
        found = self._mounts.locate(request.host, request.path).found
        endpoint = None if found is None else found.resource.methods.get(request.method)
        return endpoint is not None and endpoint.route.streams is not None

    async def authenticate_socket(self, request: HttpRequest, front: Front) -> Claims:
        """Who asks for a WebSocket. It counts as a request.

        Raises Unauthenticated, and TokenExpired for a token that was good; RateLimited; Invalid for a query that cannot
        be read.
        """
        token = self.socket_token(request, front)
        limiter = self._limiters.get(front.name)
        if limiter is not None:
            limiter.take(await self._caller(request, token))
        claims, _user = await self._authenticate(token)
        return claims

    def socket_front(self, request: HttpRequest) -> Front | None:
        """The front whose WebSocket this request asks for, None when its path is no socket's."""
        where = self._mounts.locate(request.host, request.path)
        if where.mount is None or where.found is not None or where.path != where.mount.front.socket_path:
            return None
        return where.mount.front

    def opens_socket(self, request: HttpRequest) -> bool:
        """Whether a WebSocket may be asked for with this request's path."""
        return self.socket_front(request) is not None

    def socket_token(self, request: HttpRequest, front: Front) -> str | None:
        """The access token of a request for a WebSocket: browsers can set no header, so it may come in the query.

        Raises Invalid when the query cannot be read.
        """
        token = find_token(request.headers)
        if token is None and front.socket_token_parameters:
            given = dict(reversed(query_pairs(request.query)))
            token = next((given[name] for name in front.socket_token_parameters if given.get(name)), None)
        return token

    async def _answer(self, request: HttpRequest, where: Location) -> HttpResponse:
        if where.found is not None and where.mount is not None:
            return await self._dispatch(request, where.mount, where.found)
        response = await self._system.answer(request, where)
        if response is not None:
            return response
        if where.mount is not None and where.path == where.mount.front.socket_path:
            raise UpgradeRequired
        raise NoSuchEndpoint

    async def _dispatch(self, request: HttpRequest, mount: Mount, found: Found) -> HttpResponse:
        endpoint = found.resource.methods.get(request.method)
        if endpoint is None:
            raise MethodNotAllowed(found.resource.allow)
        route = endpoint.route
        claims: Claims | None = None
        if route.auth:
            claims, _user = await self._authenticate(find_token(request.headers))
        call = Call(
            engine=self._engine,
            tokens=self._tokens,
            ids=mount.front.ids,
            claims=claims,
            path=dict(zip(endpoint.names, found.values, strict=True)),
            body=None if endpoint.read_body is None else endpoint.read_body(request.body),
            query=None if endpoint.read_query is None else endpoint.read_query(request.query),
            headers=request.headers,
            root=(self._public_url or _address(request)) + mount.prefix,
            stream=None
            if route.streams is None
            else BodyStream(request.stream or WholeBody(request.body), route.streams),
        )
        reply = await route.handler(call)
        if reply.raw is not None:
            return reply.raw
        if reply.body is None:
            return HttpResponse(status=route.status, headers=[NO_STORE, *reply.headers])
        return HttpResponse(status=route.status, headers=[JSON, NO_STORE, *reply.headers], body=_encode(reply.body))

    def _limiter(self, request: HttpRequest, where: Location) -> RateLimiter | None:
        """Who counts this request. Nobody counts those for the server's own pages, which a load balancer asks for."""
        if where.mount is None or (where.found is None and request.path in SYSTEM_PATHS):
            return None
        return self._limiters.get(where.mount.front.name)

    async def _caller(self, request: HttpRequest, token: str | None) -> str:
        """Whose limit a request counts for: the user's whom a good token names, else that of the address."""
        if token is not None:
            try:
                claims, _user = await self._authenticate(token)
                return user_key(claims.user_id)
            except EngineError:
                return address_key(request.client)  # if it matters that the token is not good, the answer will say so
        return address_key(request.client)

    async def _authenticate(self, token: str | None) -> tuple[Claims, User]:
        if token is None:
            raise Unauthenticated("an access token is needed")
        claims = self._tokens.verify(token)
        return claims, await self._engine.accounts.authenticate(claims.family_id, claims.user_id)

    def _refusal(self, where: Location, error: EngineError) -> HttpResponse:
        status, body = (500, {"error": error.message}) if where.mount is None else where.mount.front.encode_error(error)
        headers: list[Header] = [JSON, NO_STORE]
        if isinstance(error, HttpRefusal):
            status = error.status
            headers += error.headers
        elif isinstance(error, NoSuchEndpoint):
            status = 404
        elif isinstance(error, Unauthenticated):
            headers.append(("www-authenticate", "Bearer"))
        elif isinstance(error, TryLater):
            headers.append(("retry-after", str(RETRY_AFTER_S)))
        return HttpResponse(status=status, headers=headers, body=_encode(body))

    def _options(self, request: HttpRequest, where: Location) -> HttpResponse:
        """What may be done here. A preflight for a path that does not exist is let through: the answer to the request
        itself then says so, in words that the page can read."""
        methods = METHODS if where.found is None else where.found.resource.allow
        headers: list[Header] = [("allow", methods)]
        if "origin" in request.headers and "access-control-request-method" in request.headers:
            headers += self._cors.preflight(request.headers, methods)
        return HttpResponse(status=204, headers=headers)

    def _finished(self, request: HttpRequest, where: Location, response: HttpResponse) -> HttpResponse:
        self._counts.count(_name(where), request.method, response.status)
        response.headers.extend(self._cors.headers(request.headers.get("origin")))
        if response.content is not None:
            response.headers.append(("content-length", str(response.content.size_bytes)))
        elif response.status != 204 and response.status != 304:
            response.headers.append(("content-length", str(len(response.body))))
        if request.method == "HEAD":
            return HttpResponse(status=response.status, headers=response.headers)
        return response


def _group(where: Location, request: HttpRequest) -> str | None:
    """The group of routes that has a limit of its own and that this request is of."""
    endpoint = None if where.found is None else where.found.resource.methods.get(request.method)
    return None if endpoint is None else endpoint.route.rate_group


def _address(request: HttpRequest) -> str:
    """Where the client found this server."""
    return f"https://{request.host}" if request.secure else f"http://{request.host}"


def _name(where: Location) -> str:
    return "" if where.mount is None else where.mount.front.name
