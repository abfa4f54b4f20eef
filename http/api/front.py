"""A front: one documented chat API over the engine, as data. The service serves any number of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from chinwag.engine.connections.admission import Admission, Admitted
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.session import Session
from chinwag.engine.connections.wires import Dialect, Wire
from chinwag.engine.engine import Engine
from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.ids import FamilyId, UserId
from chinwag.http.api.listeners import FrontListener
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.api.requests import IdCodec
from chinwag.http.api.routing import Route
from chinwag.http.kit import decimal_ids, plain_errors
from chinwag.http.kit.links import Links
from chinwag.http.security.tokens import AccessTokens


class SocketRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a WebSocket, after its token was verified. `expires_at` is on Trio's clock, `query` undecoded,
    `wire` the endpoint's dialect over what carries it, `source` where it comes from, as the engine counts it."""

    user_id: UserId
    family_id: FamilyId
    expires_at: float
    query: str
    wire: Wire
    source: str = ""

    def admission(self) -> Admission:
        """To all of the user's rooms, those that they join later too: what a front asks for that offers no choice. One
        that does replaces what is different (`msgspec.structs.replace`)."""
        return Admission(
            user_id=self.user_id,
            family_id=self.family_id,
            expires_at=self.expires_at,
            source=self.source,
            wire=self.wire,
            follow=True,
        )


class SocketEndpoint(Protocol):
    """A front's side of a WebSocket: pure decoding and encoding around calls to the engine."""

    @property
    def dialect(self) -> Dialect:
        """What its sockets speak. Always the same object."""
        ...

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        """Decide who may connect to what. Raises `EngineError`s, which are answered over HTTP."""
        ...

    def greeting(self, admitted: Admitted) -> Sequence[bytes]:
        """Bodies to say before anything else."""
        ...

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        """Act on one message of the client. Whatever it holds, the session stays open and is told what is wrong.

        Most messages are done with when this returns. What it returns has to be awaited before the next message.
        """
        ...


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """A WebSocket whose client has still to say who it is. The fields are as in `SocketRequest`."""

    query: str
    wire: Wire
    tokens: AccessTokens
    source: str = ""

    def with_token(self, token: str) -> SocketRequest:
        """The request that it is with an access token. Raises `Unauthenticated`; a log-in that has ended is noticed at
        the admission."""
        claims = self.tokens.verify(token)
        return SocketRequest(
            user_id=claims.user_id,
            family_id=claims.family_id,
            expires_at=self.tokens.deadline(claims),
            query=self.query,
            wire=self.wire,
            source=self.source,
        )


class LogInRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is told that its first frame lets it in nowhere: a close code, after a body if there is one."""

    code: int = CloseReason.TOKEN_INVALID.code
    body: bytes = b""


@runtime_checkable
class LobbyEndpoint(SocketEndpoint, Protocol):
    """An endpoint whose clients log in by their first frame, unless their request for the WebSocket has a token."""

    async def log_in(self, engine: Engine, visitor: Visitor, message: str | bytes) -> Admitted:
        """Act on a client's first frame: `admit` it, or raise an `EngineError`, which closes the socket."""
        ...

    def refusal(self, error: EngineError) -> LogInRefusal:  # noqa: ARG002
        """How to say so. `error` is also Unauthenticated for a client that said nothing in time."""
        return LogInRefusal()


NOT_RECOVERED = "That is messages alone: what became of earlier ones meanwhile (edits, reactions) has to be read again."
"""What `recovered` of a front's "resumed" event does not promise, for its description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEvent:
    """One event of a front's socket, for the documentation. "in" comes from the client, "out" from the server."""

    name: str
    direction: Literal["in", "out"]
    description: str
    payload: type


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One API: routes, a WebSocket, listeners of its own, or several of these. `base` comes before the path of every
    route: "" or "/v1".

    `other_base`, where there is one, may come before every path, the socket's too, in its place: for clients that were
    written for another version of the API. With `takes_trailing_slash` a path that ends in a slash, and is none of the
    front's, is answered as without it. Neither is in the documentation.

    `encode_error` gives the status and body for an error; every error the engine or HTTP can raise has one.
    `error_status` is the same for a class, and `error_type` the type of the bodies: both for the documentation.
    `socket_path` is where WebSockets are upgraded (not below `base`), `socket_token_parameters` the query parameters
    in which a socket's token may come, `socket` makes what serves it (None: only documented). `rate_limit` is how many
    requests a caller may make (None: any number), `rate_groups` further limits by the name that routes know them by.
    `listeners` are ports for what is not HTTP.
    """

    name: str
    title: str
    description: str
    base: str = ""
    routes: tuple[Route, ...] = ()
    ids: IdCodec = decimal_ids.IDS
    encode_error: Callable[[EngineError], tuple[int, object]] = plain_errors.encode_error
    error_status: Callable[[type[EngineError]], int] = plain_errors.error_status
    error_type: Any = plain_errors.ErrorBody
    socket_path: str | None = None
    socket_token_parameters: tuple[str, ...] = ()
    socket_events: tuple[SocketEvent, ...] = ()
    socket: Callable[[Links], SocketEndpoint] | None = None
    other_base: str | None = None
    takes_trailing_slash: bool = False
    rate_limit: RateLimit | None = None
    rate_groups: Mapping[str, RateLimit] = field(default_factory=dict)
    listeners: tuple[FrontListener, ...] = ()

    @property
    def speaks_http(self) -> bool:
        """Whether it has anything at a path. One that has not is at no prefix and in no documentation."""
        return bool(self.routes) or self.socket_path is not None
