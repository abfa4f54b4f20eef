"""Errors on the messenger wire: `{"error": "..."}`, in the spec's words where it has some, with the spec's statuses."""

from chinwag.engine.model.errors import (
    AccountInactive,
    EngineError,
    Forbidden,
    NotFound,
    Refused,
    TooManyConnections,
    TooManyTries,
    TryLater,
    Unauthenticated,
)
from chinwag.http.api.refusals import EndpointElsewhere, HttpRefusal, RateLimited, nearest, words_of
from chinwag.http.kit.plain_errors import ErrorBody

_STATUSES: dict[type[EngineError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    TooManyConnections: 429,
    Refused: 400,
    TooManyTries: 429,
    TryLater: 503,
    EngineError: 500,
}


class WrongCredentials(Unauthenticated):
    """There is no such user, or it is another password."""

    def __init__(self) -> None:
        super().__init__("Invalid username or password")


_WORDS: dict[type[EngineError], str | None] = {
    WrongCredentials: None,
    AccountInactive: None,
    Unauthenticated: "Invalid or expired token",
    Forbidden: "You don't have permission to access this resource",
    EndpointElsewhere: None,
    NotFound: "Resource not found",
    RateLimited: "Rate limit exceeded",
    TooManyConnections: "Rate limit exceeded",
    TooManyTries: "Rate limit exceeded",
    Refused: None,
    TryLater: None,
    EngineError: "Internal server error",
}
"""None: the error's own words, which tell the caller's developer more than the spec's."""


_WIRE_NAMES = {"text": "content"}
"""Of fields that the engine knows by other names."""


def error_status(kind: type[EngineError]) -> int:
    """The status of a class of errors: that of its nearest ancestor in the table."""
    if issubclass(kind, HttpRefusal):
        return kind.status
    return nearest(_STATUSES, kind)


def words(error: EngineError) -> str:
    """What to say of an error, over HTTP or a socket."""
    said = nearest(_WORDS, type(error))
    return words_of(error, _WIRE_NAMES) if said is None else said


def encode_error(error: EngineError) -> tuple[int, ErrorBody]:
    """Status and body. What a server error was about is in the log, and not for strangers."""
    return error_status(type(error)), ErrorBody(words(error))
