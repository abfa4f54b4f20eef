"""Errors on the ChatterStack wire: `{"error": "..."}` and the spec's statuses."""

from chinwag.engine.model.errors import (
    Conflict,
    EngineError,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    TooManyConnections,
    TooManyTries,
    TryLater,
    Unauthenticated,
)
from chinwag.http.api.refusals import HttpRefusal, nearest, words_of
from chinwag.http.kit.plain_errors import ErrorBody

_STATUSES: dict[type[EngineError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooManyConnections: 429,
    Refused: 400,
    TooManyTries: 429,
    TryLater: 503,
    EngineError: 500,
}


_WIRE_NAMES = {"text": "content"}
"""Of fields that the engine knows by other names."""


def error_status(kind: type[EngineError]) -> int:
    """The status of a class of errors: that of its nearest ancestor in the table."""
    if issubclass(kind, HttpRefusal):
        return kind.status
    return nearest(_STATUSES, kind)


def encode_error(error: EngineError) -> tuple[int, ErrorBody]:
    """Status and body. What a server error was about is in the log, and not for strangers."""
    status = error_status(type(error))
    return status, ErrorBody("internal error" if status == 500 else words(error))


def words(error: EngineError) -> str:
    """What to say of an error, over HTTP or a socket."""
    return words_of(error, _WIRE_NAMES)
