"""From a request to its answer, on any front. No server, no sockets: `handle` takes a value and returns one.

What every answer goes through, in order: find the front and the route; see that the caller did not ask too often, where
the front has a limit; check the token; decode; call the handler; put an error into the front's shape; add CORS headers;
count. `handle` never raises but for cancellation.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import structlog
import trio

from chinwag.engine.engine import Engine
from chinwag.engine.model.errors import EngineError, InternalError, TooManyTries, TryLater, Unauthenticated
from chinwag.engine.model.values import User
from chinwag.http.api.bodies import BodyStream, WholeBody
from chinwag.http.api.cors import METHODS, Cors
from chinwag.http.api.decoding import query_pairs
from chinwag.http.api.front import Front, SocketEndpoint
from chinwag.http.api.mounts import Location, Mount, Mounts
from chinwag.http.api.pacing import Pacer
from chinwag.http.api.proxies import TrustedProxies
from chinwag.http.api.rate_limits import RateLimiter, address_key
from chinwag.http.api.refusals import (
    EndpointElsewhere,
    HttpRefusal,
    MethodNotAllowed,
    NoSuchEndpoint,
    OriginNotAllowed,
    RateLimited,
    UpgradeRequired,
)
from chinwag.http.api.request_limits import ASKED_TOO_MUCH, Entry, RefusalCounts, RequestLimits
from chinwag.http.api.requests import Request
from chinwag.http.api.routing import Found
from chinwag.http.api.values import HSTS, Header, HttpRequest, HttpResponse
from chinwag.http.kit.links import Links
from chinwag.http.operations.metrics import RequestCounts, StatsSource
from chinwag.http.operations.system import SystemRoutes
from chinwag.http.security.tokens import AccessTokens, Claims, find_token

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
        metrics_token: str | None = None,
        proxies: TrustedProxies | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        """One front is at its own paths, several at host names and prefixes. `stats`: what `/metrics` shows as well.

        `limiters`: by front, who has made how many requests; fronts that are not in it answer any number.
        `public_url`: where clients find this server ("https://example.org"); None: where each of them did.
        `metrics_token`: what has to be shown for `/metrics`; None: nothing. `proxies`: whose word on clients' addresses
        is taken; None: nobody's. `pacer`: when those are answered who are refused for asking too much; None: at once.
        """
        self.tokens = tokens
        self._engine = engine
        self._mounts = Mounts(fronts)
        self._cors = cors or Cors()
        self._proxies = proxies or TrustedProxies()
        self._pacer = pacer
        self._hinted = False
        self._links = Links(public_url)
        self._roots = {
            front.name: self._links.root + self._mounts.prefix_at(front, self._links.host)
            for front in self._mounts.fronts
            if public_url is not None
        }
        """Where each front is for everybody, if that is known."""
        self._endpoints = {
            front.name: front.socket(self._links) for front in self._mounts.fronts if front.socket is not None
        }
        self._counts = RequestCounts()
        self._refusals = RefusalCounts()
        self._system = SystemRoutes(
            engine,
            self._mounts,
            [self._counts, self._refusals, *stats],
            roots=self._roots,
            links=self._links,
            metrics_token=metrics_token,
        )
        self._limits = RequestLimits(
            limiters or {}, tokens=tokens, authenticate=engine.accounts.authenticate, is_own=self._system.owns
        )

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request, whatever it is."""
        request = self._proxies.seen(request)
        where = self._mounts.locate(request.host, request.path)
        if request.method == "OPTIONS":
            response = self._options(request, where)
            response.headers.extend(self._limits.look(request, where))
            return self._finished(request, where, response)
        entry: Entry | None = None
        try:
            limiter = self._limits.limiter(request, where)
            if limiter is not None:
                entry = await self._limits.enter(limiter, request, where)
            response = await self._answer(request, where)
        except EngineError as error:
            refused = error if entry is None else entry.refused(error)
            await self.pace(request, refused)
            response = self._refusal(where, refused)
        except (Exception, SystemExit):
            # A bug in a handler, or somebody else's idea of an end. It costs its own request and nobody else's.
            log.exception("request failed", front=_name(where), method=request.method, path=request.path)
            response = self._refusal(where, InternalError())
        if entry is not None:
            response.headers.extend(entry.headers)
        return self._finished(request, where, response)

    def refuse(self, request: HttpRequest, error: EngineError) -> HttpResponse:
        """The answer to a request that the server itself refuses (body too large, too slow), in the front's shape."""
        request = self._proxies.seen(request)
        where = self._mounts.locate(request.host, request.path)
        response = self._refusal(where, error)
        if not isinstance(error, RateLimited):
            response.headers.extend(self._limits.look(request, where))
        return self._finished(request, where, response)

    async def pace(self, request: HttpRequest, error: EngineError) -> None:
        """Wait until a refusal may be answered: who asks too much is not told so any faster than is good for others."""
        if type(error) not in ASKED_TOO_MUCH:
            return
        if not self._hinted and self._proxies.unheard(request):
            self._hinted = True
            log.warning("all clients of a proxy share its limits", proxy=request.client, see="--trusted-proxy")
        if self._pacer is not None:
            await trio.sleep(self._pacer.delay_s(address_key(request.client), trio.current_time()))

    def seen(self, request: HttpRequest) -> HttpRequest:
        """A request as it is once its proxy has been heard. `handle` and `refuse` do this by themselves."""
        return self._proxies.seen(request)

    def locate(self, request: HttpRequest) -> Location:
        """The front and the route that a request is for."""
        return self._mounts.locate(request.host, request.path)

    def streams(self, request: HttpRequest) -> bool:
        """Whether the body of this request is read by its handler while it comes. `request` is without its body."""
        found = self._mounts.locate(request.host, request.path).found
        endpoint = None if found is None else found.resource.methods.get(request.method)
        return endpoint is not None and endpoint.route.streams is not None

    async def authenticate_socket(self, request: HttpRequest, front: Front) -> Claims:
        """Who asks for a WebSocket. It counts as a request, unless it is refused for the page that it comes from.

        Raises OriginNotAllowed; Unauthenticated, and TokenExpired for a token that was good; RateLimited; Invalid for a
        query that cannot be read.
        """
        if not self._cors.lets_connect(request.headers.get("origin")):
            raise OriginNotAllowed
        token = self.socket_token(request, front)
        await self._limits.enter_socket(request, front.name, token)
        claims, _user = await self._authenticate(token)
        return claims

    async def admit_visitor(self, request: HttpRequest, front: Front) -> None:
        """See that one who has yet to log in may open a WebSocket. Raises as `authenticate_socket`, for its address."""
        if not self._cors.lets_connect(request.headers.get("origin")):
            raise OriginNotAllowed
        await self._limits.enter_socket(request, front.name, None)

    def socket_front(self, request: HttpRequest) -> Front | None:
        """The front whose WebSocket this request asks for, None when its path is no socket's."""
        where = self._mounts.locate(request.host, request.path)
        if where.mount is None or where.found is not None or where.path != where.mount.front.socket_path:
            return None
        return where.mount.front

    def socket_endpoint(self, front: Front) -> SocketEndpoint | None:
        """What serves a front's WebSockets, None when nothing does."""
        return self._endpoints.get(front.name)

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
        places = self._mounts.elsewhere(where)
        raise EndpointElsewhere([self._links.own(place) for place in places]) if places else NoSuchEndpoint

    async def _dispatch(self, request: HttpRequest, mount: Mount, found: Found) -> HttpResponse:
        endpoint = found.resource.methods.get(request.method)
        if endpoint is None:
            raise MethodNotAllowed(found.resource.allow)
        route = endpoint.route
        claims: Claims | None = None
        if route.auth:
            claims, _user = await self._authenticate(find_token(request.headers))
        decoded = Request(
            engine=self._engine,
            tokens=self.tokens,
            ids=mount.front.ids,
            claims=claims,
            path=endpoint.named(found),
            body=None if endpoint.read_body is None else endpoint.read_body(request.body),
            query=None if endpoint.read_query is None else endpoint.read_query(request.query),
            request=request,
            links=self._links,
            prefix=mount.prefix,
            root=self._roots.get(mount.front.name),
            stream=None
            if route.streams is None
            else BodyStream(request.stream or WholeBody(request.body), route.streams),
        )
        reply = await route.handler(decoded)
        if reply.raw is not None:
            return reply.raw
        if reply.body is None:
            return HttpResponse(status=route.status, headers=[NO_STORE, *reply.headers])
        return HttpResponse(status=route.status, headers=[JSON, NO_STORE, *reply.headers], body=_encode(reply.body))

    async def _authenticate(self, token: str | None) -> tuple[Claims, User]:
        if token is None:
            raise Unauthenticated("an access token is needed")
        claims = self.tokens.verify(token)
        return claims, await self._engine.accounts.authenticate(claims.family_id, claims.user_id)

    def _refusal(self, where: Location, error: EngineError) -> HttpResponse:
        try:
            status, body = self._shaped(where, error)
        except Exception:
            log.exception("error could not be encoded", front=_name(where))
            error = InternalError()
            status, body = 500, _encode(self._words(error)[1])
        headers: list[Header] = [JSON, NO_STORE]
        if isinstance(error, HttpRefusal):
            status = error.status
            headers += error.headers
        elif isinstance(error, NoSuchEndpoint):
            status = 404
        elif isinstance(error, Unauthenticated):
            headers.append(("www-authenticate", "Bearer"))
        elif isinstance(error, TooManyTries):
            headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
        elif isinstance(error, TryLater):
            headers.append(("retry-after", str(RETRY_AFTER_S)))
        self._refusals.count(_name(where), error)
        return HttpResponse(status=status, headers=headers, body=body)

    def _shaped(self, where: Location, error: EngineError) -> tuple[int, bytes]:
        """Status and body of an error in the words of its front, whose bugs this raises."""
        status, body = self._words(error) if where.mount is None else where.mount.front.encode_error(error)
        return int(status), _encode(body)

    def _words(self, error: EngineError) -> tuple[int, object]:
        """An error where no front is. Of a path that leads nowhere it says where to look."""
        body: dict[str, object] = {"error": error.message}
        if isinstance(error, EndpointElsewhere):
            body["see"] = error.places
        elif isinstance(error, NoSuchEndpoint):
            body["see"] = [self._links.own(f"/{front.name}{front.base}") for front in self._mounts.fronts]
        return (401 if isinstance(error, Unauthenticated) else 500), body

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
        if response.events is not None:
            if request.method == "HEAD":
                response.events.admitted.session.abandon()
        elif response.content is not None:
            response.headers.append(("content-length", str(response.content.size_bytes)))
        elif response.status != 204 and response.status != 304:
            response.headers.append(("content-length", str(len(response.body))))
        if request.secure:
            response.headers.append(HSTS)
        if request.method == "HEAD":
            return HttpResponse(status=response.status, headers=response.headers, fixed=response.fixed)
        return response


def _name(where: Location) -> str:
    return "" if where.mount is None else where.mount.front.name
