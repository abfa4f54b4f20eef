"""What HTTP itself refuses, before a handler is asked. Each has a status of its own, the same on every front.

These are `EngineError`s so that a front puts them into its own error shape like any other.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from chinwag.engine.model.errors import EngineError, Invalid, NotFound, Refused, Rule
from chinwag.http.api.values import Header

T = TypeVar("T")


def nearest(table: Mapping[type[EngineError], T], kind: type[EngineError]) -> T:
    """What a front's table says of a class of errors, or else of its nearest ancestor."""
    return next(table[ancestor] for ancestor in kind.__mro__ if ancestor in table)


def words_of(error: EngineError, wire_names: Mapping[str, str]) -> str:
    """The message of an error, with fields by the names that a front has for them, where they differ."""
    if not isinstance(error, Invalid):
        return error.message
    return "; ".join(f"{wire_names.get(each.field, each.field)}: {each.reason}" for each in error.problems)


class HttpRefusal(Refused):
    """A request that HTTP's own rules refuse. `status` and `headers` go out as they are."""

    code = "http"
    status: ClassVar[int] = 400
    breaks_rules: ClassVar[bool] = False
    """Whether who sends this does not speak the protocol, or means harm: it is worth a line in the log."""

    def __init__(self, message: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(message)
        self.headers = headers


class MalformedBody(Invalid):
    """The body as such cannot be read: it is no JSON, or not the multipart form that is needed."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason, rule=Rule.FORMAT)


class NoSuchEndpoint(NotFound):
    """No route has this path."""

    def __init__(self) -> None:
        super().__init__("endpoint")


class EndpointElsewhere(NoSuchEndpoint):
    """No route has this path, but some have it at other `places`."""

    def __init__(self, places: Sequence[str]) -> None:
        super().__init__()
        self.message = f"endpoint not found here; it is at {' and '.join(places)}"
        self.places = tuple(places)


class MethodNotAllowed(HttpRefusal):
    """The path exists, the method does not. `allow` is the Allow header's value."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, allow: str) -> None:
        super().__init__(f"method not allowed; allowed: {allow}", (("allow", allow),))


class OriginNotAllowed(HttpRefusal):
    """A page of this origin may open no socket."""

    code = "origin_not_allowed"
    status = 403

    def __init__(self) -> None:
        super().__init__("pages of this origin may not connect")


class BodyTimeout(HttpRefusal):
    """The body did not arrive in time. Nothing was done."""

    code = "request_timeout"
    status = 408

    def __init__(self) -> None:
        super().__init__("the request's body did not arrive in time")


class IncompleteBody(HttpRefusal):
    """The client left, or said that it has no more to say, before the end of the body. Nothing was done."""

    code = "incomplete_body"
    status = 400

    def __init__(self) -> None:
        super().__init__("the request's body ended early")


class BodyTooLarge(HttpRefusal):
    """The body is longer than `limit_bytes`. Nothing was done."""

    code = "payload_too_large"
    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the request's body is larger than {limit_bytes} bytes")


class UpgradeRequired(HttpRefusal):
    """The path is a WebSocket's, and the request was a plain one."""

    code = "upgrade_required"
    status = 426

    def __init__(self) -> None:
        super().__init__("this is a WebSocket endpoint", (("upgrade", "websocket"), ("connection", "upgrade")))


class MalformedRequest(HttpRefusal):
    """The bytes are no HTTP/1.1 request, or two readers could take them for different ones."""

    code = "malformed_request"
    breaks_rules = True
    status = 400


class HeadTimeout(HttpRefusal):
    """The request line and header fields did not arrive in time."""

    code = "request_timeout"
    status = 408

    def __init__(self) -> None:
        super().__init__("the request's head did not arrive in time")


class ExpectationFailed(HttpRefusal):
    """The request expects something other than "100-continue"."""

    code = "expectation_failed"
    status = 417

    def __init__(self) -> None:
        super().__init__("the only expectation that is met is 100-continue")


class RateLimited(HttpRefusal):
    """The caller made as many requests as they may in a time. `headers` say when the next one will be let through."""

    code = "rate_limited"
    status = 429

    def __init__(self, headers: tuple[Header, ...] = ()) -> None:
        super().__init__("rate limit exceeded", headers)


class HeadTooLarge(HttpRefusal):
    """The request line and header fields are more than the server takes. `message` says which limit it was."""

    code = "head_too_large"
    breaks_rules = True
    status = 431


class VersionNotSupported(HttpRefusal):
    """The request is of another version of HTTP."""

    code = "version_not_supported"
    breaks_rules = True
    status = 505
