"""What the engine says when it cannot do what it was asked.

    EngineError
    ├── Refused            it cannot be done; asking again changes nothing
    │   ├── Invalid            a value is wrong; names the field
    │   ├── NotFound           there is no such thing
    │   ├── Forbidden          there is, but not for this caller
    │   ├── Conflict           it clashes with what is there
    │   └── Unauthenticated    who is asking could not be established
    │       └── TokenExpired       it could, but for the time; refresh the token
    ├── TryLater           not now; the same request, with the same idempotency key, may succeed later
    │   ├── Overloaded         a mailbox is full, or an actor is parked after repeated crashes
    │   ├── ActorStopped       the actor ended before it came to this command
    │   └── StoreUnavailable   the store cannot be reached or cannot take writes (a full disk)
    ├── InternalError      a bug; logged with its traceback where it was caught
    ├── DuplicateKey       (`store`) a store's word to the engine: the idempotency key is taken
    └── WriteRejected      (`store`) likewise: a write's precondition does not hold any more

Each class has a stable `code`; a status belongs to a front, never here.
"""

from typing import ClassVar


class EngineError(Exception):
    """Base of all that the engine raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Refused(EngineError):
    """It cannot be done. Do not retry."""

    code = "refused"


class Invalid(Refused):
    """The value of `field` is not acceptable; `reason` says why, in words for the caller's developer."""

    code = "invalid"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotFound(Refused):
    """There is no such `what` ("room", "user", "message", "member")."""

    code = "not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")
        self.what = what


class Forbidden(Refused):
    """The caller may not do this. `message` says what is missing, and gives away nothing else."""

    code = "forbidden"


class Conflict(Refused):
    """It clashes with something that exists; `what` names it ("username", "email", "idempotency_key", ...)."""

    code = "conflict"

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class Unauthenticated(Refused):
    """The credentials or the token do not establish who is asking. Log in again."""

    code = "unauthenticated"


class TokenExpired(Unauthenticated):
    """The token was good and its time is over. Refresh it."""

    code = "token_expired"


class TryLater(EngineError):
    """Not now. Nothing was stored; retry with the same idempotency key."""

    code = "try_later"


class Overloaded(TryLater):
    """A mailbox is full, or its actor is parked after repeated crashes. Back off, then retry."""

    code = "overloaded"


class ActorStopped(TryLater):
    """The actor stopped before it took this command. Retry: a new one will be started."""

    code = "actor_stopped"


class StoreUnavailable(TryLater):
    """The store cannot be reached or takes no writes at the moment (full disk, database away)."""

    code = "store_unavailable"


class InternalError(EngineError):
    """A bug in the engine. It was logged with its traceback; the caller did nothing wrong."""

    code = "internal"

    def __init__(self, message: str = "internal error") -> None:
        super().__init__(message)
