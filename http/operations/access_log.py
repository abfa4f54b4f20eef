"""One line per request, for who looks for a mistake: `chinwag serve --log-level debug`. No text and no secret is in it.

Of an address only what is known to be harmless is written: other values, such as a token, a signature, the code of an
invitation or the words of a search, become `***`.
"""

import re
import secrets
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

import msgspec
import structlog

from chinwag.engine.connections.session import Session
from chinwag.engine.model.errors import EngineError
from chinwag.http.api.mounts import Location
from chinwag.http.api.service import HttpService
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.kit.uuid_ids import IDS
from chinwag.http.security.tokens import AccessTokens, find_token

log = structlog.get_logger("chinwag.http.access")

HIDDEN: Final = "***"
SHOWN_PARAMETERS: Final = frozenset(
    {
        "above",
        "after",
        "around_message_id",
        "before",
        "chatroom_id",
        "cursor",
        "date_from",
        "date_to",
        "expires",
        "limit",
        "message_type",
        "page",
        "room_id",
        "since",
        "summary_type",
        "user",
        "user_id",
    }
)
"""Query parameters that hold ids, times, numbers and choices."""
_PLAIN: Final = re.compile(r"[\w:.+%-]{1,64}", re.ASCII)
_SHOWN_IN_PATHS: Final = re.compile(r"\w*_?id|version", re.ASCII)
"""The names of path segments that may be written."""
_MAX_WORD: Final = 15
"""Characters of a segment of an unknown path beyond which it may be a code or a token."""
_REQUEST_ID: Final = re.compile(r"[\w.:+/=-]{1,64}", re.ASCII)


class AccessLog:
    """Writes the lines of one server."""

    def __init__(self, tokens: AccessTokens) -> None:
        """`tokens` tell who asks, as far as a good token does."""
        self._tokens = tokens

    @contextmanager
    def exchange(self, request: HttpRequest, where: Location) -> Iterator["Exchange"]:
        """Give a request an id, which is in all that is logged within the block."""
        given = request.headers.get("x-request-id", "")
        exchange = Exchange(
            request_id=given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8),
            method=request.method if len(request.method) <= _MAX_WORD else HIDDEN,
            path=shown_path(where, request),
            front=None if where.mount is None else where.mount.front.name,
            user=self._user(find_token(request.headers)),
            client=request.client,
        )
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            yield exchange

    def refused(self, request: HttpRequest, where: Location, status: int) -> None:
        """Write the line of a request that was answered by no front."""
        with self.exchange(request, where) as exchange:
            exchange.write("request", status=status)

    async def socket(self, request: HttpRequest, where: Location, session: Session, serving: Awaitable[None]) -> None:
        """Await `serving`, which is a connection's life, with a line at its beginning and at its end."""
        with self.exchange(request, where) as exchange:
            exchange.user = session.user_id
            exchange.write("socket opened")
            try:
                await serving
            finally:
                reason = session.close_reason
                exchange.write("socket closed", code=None if reason is None else reason.code)

    def _user(self, token: str | None) -> int | None:
        if token is None:
            return None
        try:
            return self._tokens.verify(token).user_id
        except EngineError:
            return None


class Exchange(msgspec.Struct, kw_only=True):
    """One request on its way. `request_id` is the one that a proxy gave it, or else one of our own."""

    request_id: str
    method: str
    path: str
    front: str | None
    user: int | None
    client: str
    began: float = msgspec.field(default_factory=time.perf_counter)

    def answered(self, response: HttpResponse) -> HttpResponse:
        """Write the line, and tell the client the request's id."""
        self.write("request", status=response.status)
        response.headers.append(("x-request-id", self.request_id))
        return response

    def write(self, event: str, **more: int | None) -> None:
        """One line about it. `ms` is the time since it came."""
        log.debug(
            event,
            method=self.method,
            path=self.path,
            front=self.front,
            user=self.user,
            client=self.client,
            ms=round((time.perf_counter() - self.began) * 1000, 2),
            **more,
        )


class LoggedService(HttpService):
    """An `HttpService` that writes a line for each answer. Without it nothing has to be asked or made for a request."""

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """See `HttpService.handle`."""
        request = self.seen(request)
        with self.access_log.exchange(request, self.locate(request)) as exchange:
            return exchange.answered(await super().handle(request))

    def refuse(self, request: HttpRequest, error: EngineError) -> HttpResponse:
        """See `HttpService.refuse`."""
        request = self.seen(request)
        with self.access_log.exchange(request, self.locate(request)) as exchange:
            return exchange.answered(super().refuse(request, error))

    @cached_property
    def access_log(self) -> AccessLog:
        """Who writes the lines, those of sockets too."""
        return AccessLog(self.tokens)


def shown_path(where: Location, request: HttpRequest) -> str:
    """A request's path and query, without what nobody else may read."""
    path = _known_path(where) if where.found is not None else _unknown_path(request.path)
    if not request.query:
        return path
    return f"{path}?{'&'.join(map(_shown_parameter, request.query.split('&')))}"


def _known_path(where: Location) -> str:
    """The path of a route, with those of its values that are ids."""
    assert where.found is not None
    endpoint = next(iter(where.found.resource.methods.values()))
    values = dict(zip(endpoint.names, where.found.values, strict=True))
    base = "" if where.mount is None else where.mount.prefix + where.mount.front.base
    return base + re.sub(r"\{(\w+)\}", lambda found: _shown_value(found[1], values[found[1]]), endpoint.route.path)


def _shown_value(name: str, value: str) -> str:
    return value if _SHOWN_IN_PATHS.fullmatch(name) and _PLAIN.fullmatch(value) else HIDDEN


def _unknown_path(path: str) -> str:
    """Nobody can tell what is in it: words are shown, and ids."""
    return "/".join(each if len(each) <= _MAX_WORD or _is_id(each) else HIDDEN for each in path.split("/"))


def _is_id(segment: str) -> bool:
    return (segment.isascii() and segment.isdecimal()) or IDS.well_formed(segment)


def _shown_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if name in SHOWN_PARAMETERS:
        return parameter if _PLAIN.fullmatch(value) else f"{name}{equals}{HIDDEN}"
    return f"{name if len(name) <= 2 * _MAX_WORD and name.isidentifier() else HIDDEN}={HIDDEN}"
