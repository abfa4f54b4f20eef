"""Errors for fronts that have no shape of their own for them: `{"error": "..."}`, with HTTP's usual statuses."""

import msgspec

from chinwag.engine.model.errors import (
    Conflict,
    EngineError,
    Forbidden,
    LimitReached,
    NotFound,
    Refused,
    TooManyConnections,
    TooManyTries,
    TryLater,
    Unauthenticated,
)
from chinwag.http.api.refusals import HttpRefusal, nearest

_STATUSES: dict[type[EngineError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    LimitReached: 409,
    TooManyConnections: 429,
    Refused: 400,
    TooManyTries: 429,
    TryLater: 503,
    EngineError: 500,
}


class ErrorBody(msgspec.Struct, frozen=True):
    """What went wrong, in words for the caller's developer."""

    error: str


def error_status(kind: type[EngineError]) -> int:
    """The status of a class of errors: that of its nearest ancestor in the table."""
    return kind.status if issubclass(kind, HttpRefusal) else nearest(_STATUSES, kind)


def encode_error(error: EngineError) -> tuple[int, ErrorBody]:
    """Status and body. What a server error was about is in the log, and not for strangers."""
    status = error_status(type(error))
    return status, ErrorBody("internal error" if status == 500 else error.message)
