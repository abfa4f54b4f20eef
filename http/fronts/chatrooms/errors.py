"""Errors on the chatrooms wire: the envelope, and the spec's codes. Source: chatrooms spec, "Error Codes"."""

from typing import Any, Literal

import msgspec

from chinwag.engine.model.errors import (
    AccountInactive,
    Banned,
    CannotDecrypt,
    Conflict,
    EngineError,
    FileTooLarge,
    Forbidden,
    Invalid,
    LimitReached,
    NotAMember,
    NotFound,
    Refused,
    RoleNeeded,
    Rule,
    TokenExpired,
    TooManyConnections,
    TooManyTries,
    TryLater,
    TypeNotAllowed,
    Unauthenticated,
    UnknownUser,
)
from chinwag.http.api.refusals import (
    BodyTooLarge,
    HttpRefusal,
    MalformedBody,
    MethodNotAllowed,
    OriginNotAllowed,
    RateLimited,
    nearest,
    words_of,
)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: str
    code: str
    message: str


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`code` is stable and meant for programs. `details` has `fields`, a list, where fields are wrong."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    success: Literal[False] = False
    error: ErrorInfo


class Coded(Refused):
    """A refusal whose code depends on what was asked for, which the engine's error does not tell."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = code


_RULES = {
    Rule.REQUIRED: "VALIDATION_REQUIRED_FIELD",
    Rule.FORMAT: "VALIDATION_INVALID_FORMAT",
    Rule.LENGTH: "VALIDATION_LENGTH_EXCEEDED",
    Rule.VALUE: "VALIDATION_INVALID_VALUE",
}

_CODES: dict[type[EngineError], tuple[int, str]] = {
    MalformedBody: (400, "VALIDATION_INVALID_FORMAT"),
    Invalid: (422, "VALIDATION_INVALID_VALUE"),
    TokenExpired: (401, "AUTH_TOKEN_EXPIRED"),
    AccountInactive: (401, "AUTH_USER_INACTIVE"),
    UnknownUser: (401, "AUTH_USER_NOT_FOUND"),
    Unauthenticated: (401, "AUTH_TOKEN_INVALID"),
    NotAMember: (403, "CHATROOM_ACCESS_DENIED"),
    Banned: (403, "CHATROOM_ACCESS_DENIED"),
    Forbidden: (403, "RESOURCE_ACCESS_DENIED"),
    NotFound: (404, "RESOURCE_NOT_FOUND"),
    Conflict: (409, "RESOURCE_ALREADY_EXISTS"),
    LimitReached: (409, "RESOURCE_LIMIT_EXCEEDED"),
    TooManyConnections: (429, "CONNECTION_LIMIT_EXCEEDED"),
    CannotDecrypt: (422, "MESSAGE_ENCRYPTION_FAILED"),
    FileTooLarge: (413, "FILE_TOO_LARGE"),
    TypeNotAllowed: (422, "FILE_TYPE_NOT_ALLOWED"),
    RateLimited: (429, "RATE_LIMIT_EXCEEDED"),
    MethodNotAllowed: (405, "METHOD_NOT_ALLOWED"),
    OriginNotAllowed: (403, "RESOURCE_ACCESS_DENIED"),
    BodyTooLarge: (413, "VALIDATION_LENGTH_EXCEEDED"),
    HttpRefusal: (400, "REQUEST_REFUSED"),
    Refused: (400, "REQUEST_REFUSED"),
    TooManyTries: (429, "RATE_LIMIT_EXCEEDED"),
    TryLater: (503, "SERVICE_UNAVAILABLE"),
    EngineError: (500, "INTERNAL_ERROR"),
}
_WIRE_NAMES = {"text": "content", "custody": "key_custody", "lifetime_s": "expires_in_hours", "room_id": "chatroom_id"}
"""Of fields that the engine knows by other names."""
_MISSING = {
    "room": "CHATROOM_NOT_FOUND",
    "message": "MESSAGE_NOT_FOUND",
    "file": "FILE_NOT_FOUND",
    "invitation": "CHATROOM_INVITE_INVALID",
}


def error_status(kind: type[EngineError]) -> int:
    """The status of a class of errors: that of its nearest ancestor in the table."""
    if issubclass(kind, HttpRefusal):
        return kind.status
    return nearest(_CODES, kind)[0]


def encode_error(error: EngineError) -> tuple[int, ErrorBody]:
    """Status and body. What a server error was about is in the log, and not for strangers."""
    status, code = status_and_code(error)
    message = "internal error" if status == 500 else words(error)
    return status, ErrorBody(error=ErrorInfo(code=code, message=message, details=details(error)))


def status_and_code(error: EngineError) -> tuple[int, str]:
    """The HTTP status and the spec's code for an error."""
    status, code = nearest(_CODES, type(error))
    match error:
        case Coded():
            return error.status, error.error_code
        case MalformedBody() | FileTooLarge() | TypeNotAllowed():
            return status, code
        case Invalid():
            field = error.field.rpartition(".")[2]  # in a frame it is below `data`
            too_long = error.rule is Rule.LENGTH and field in ("content", "text")
            return status, "MESSAGE_TOO_LONG" if too_long else _RULES[error.rule]
        case NotFound():
            return status, _MISSING.get(error.what, code)
        case RoleNeeded(role="OWNER"):
            return status, "CHATROOM_OWNER_REQUIRED"
        case LimitReached(what="members"):
            return status, "CHATROOM_FULL"
        case HttpRefusal():
            return error.status, code
        case _:
            return status, code


def words(error: EngineError) -> str:
    """What to say of an error, with fields by the names that they have here."""
    return words_of(error, _WIRE_NAMES)


def details(error: EngineError) -> dict[str, Any]:
    """What a program may want to know besides the code."""
    match error:
        case Invalid():
            problems = [
                Problem(field=_WIRE_NAMES.get(each.field, each.field), code=_RULES[each.rule], message=each.reason)
                for each in error.problems
            ]
            return {"fields": problems}
        case Conflict() | LimitReached() | NotFound():
            return {"what": error.what}
        case RoleNeeded():
            return {"role": error.role.lower()}
        case _:
            return {}
