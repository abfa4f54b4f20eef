"""What the engine says when it cannot do what it was asked.

    EngineError
    ├── Refused            it cannot be done; asking again changes nothing
    │   ├── Invalid            a value is wrong; names the field
    │   │   ├── FileTooLarge       an upload is
    │   │   └── TypeNotAllowed     an upload's content is of a type that is not taken
    │   ├── NotFound           there is no such thing
    │   ├── Forbidden          there is, but not for this caller
    │   │   ├── NotAMember         of the room
    │   │   ├── RoleNeeded         a higher role in the room
    │   │   └── NotTheAuthor       of the message
    │   ├── Conflict           it clashes with what is there
    │   ├── LimitReached       there are as many as there may be
    │   │   └── TooManyConnections of one user, or from one source
    │   ├── CannotDecrypt      it is not encrypted with the room's key
    │   └── Unauthenticated    who is asking could not be established
    │       ├── TokenExpired       it could, but for the time; refresh the token
    │       ├── UnknownUser        the token's user is not in the store
    │       ├── BadRefreshToken    (`log_ins`) the refresh token gives nothing
    │       └── AccountInactive    the account was deactivated
    ├── TryLater           not now; the same request, with the same idempotency key, may succeed later
    │   ├── Overloaded         a mailbox or a lane is full, or an actor is parked after repeated crashes
    │   ├── TooManyTries       too many passwords were wrong; says how long to wait
    │   ├── ActorStopped       the actor ended before it came to this command
    │   ├── StoreUnavailable   the store cannot be reached or cannot take writes (a full disk)
    │   ├── PicturesUnavailable  what makes small pictures cannot be started
    │   ├── KeysUnavailable    the server cannot open the keys it holds (another master key)
    │   └── SummarizerUnavailable  what writes summaries does not answer, or not usefully
    ├── InternalError      a bug; logged with its traceback where it was caught
    ├── DuplicateKey       (`store`) a store's word to the engine: a unique key is taken
    └── WriteRejected      (`store`) likewise: a write's precondition does not hold any more

Each class has a stable `code`; a status belongs to a front, never here.
"""

import enum
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


class Rule(enum.Enum):
    """What kind of rule a value breaks."""

    REQUIRED = enum.auto()
    """It has to be there, and is not."""
    FORMAT = enum.auto()
    """It is of another type, or not written as it should be."""
    LENGTH = enum.auto()
    """It is too long."""
    VALUE = enum.auto()
    """It is outside of what is allowed."""


class Invalid(Refused):
    """The value of `field` is not acceptable; `reason` says why, in words for the caller's developer.

    `problems` are all that is known to be wrong, each an `Invalid` of its own: itself alone, as a rule. `message` names
    them all, this one first.
    """

    code = "invalid"

    def __init__(self, field: str, reason: str, *, rule: Rule = Rule.VALUE, others: "tuple[Invalid, ...]" = ()) -> None:
        """`others`: what else is wrong."""
        super().__init__("; ".join([f"{field}: {reason}", *(other.message for other in others)]))
        self.field = field
        self.reason = reason
        self.rule = rule
        self.problems: tuple[Invalid, ...] = (self, *others)


class FileTooLarge(Invalid):
    """An uploaded file has more than `limit_bytes`. Nothing of it was kept."""

    code = "file_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("file", f"is larger than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class TypeNotAllowed(Invalid):
    """An uploaded file is of a type that is not taken, by its content: its name and what the sender claims do not
    count. Nothing of it was kept."""

    code = "type_not_allowed"

    def __init__(self, reason: str) -> None:
        super().__init__("file", reason)


class NotFound(Refused):
    """There is no such `what` ("room", "user", "message", "member")."""

    code = "not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")
        self.what = what


class Forbidden(Refused):
    """The caller may not do this. `message` says what is missing, and gives away nothing else."""

    code = "forbidden"


class NotAMember(Forbidden):
    """The caller is not in the room."""

    def __init__(self, message: str = "not a member of this room") -> None:
        super().__init__(message)


class Banned(Forbidden):
    """The caller was removed from the room, or banned in advance. A MODERATOR's new invitation lets them in."""

    def __init__(self, message: str = "banned from this room: only a moderator's new invitation lets you in") -> None:
        super().__init__(message)


class RoleNeeded(Forbidden):
    """The caller is a member, of too low a role. `role` is the name of the least one that may ("OWNER", ...)."""

    def __init__(self, role: str, message: str) -> None:
        super().__init__(message)
        self.role = role


class NotTheAuthor(Forbidden):
    """Only a message's author may do this (or who stands above them, where the message says so)."""


class LimitReached(Refused):
    """There are as many `what` as there may be ("members", "reactions", "connections", "uploads", ...)."""

    code = "limit_reached"

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class TooManyConnections(LimitReached):
    """A user, or those who come from one source, have as many connections as they may have."""

    code = "too_many_connections"

    def __init__(self, message: str) -> None:
        super().__init__("connections", message)


class CannotDecrypt(Refused):
    """The server holds the room's key, and what was sent is not encrypted with it."""

    code = "cannot_decrypt"


class Conflict(Refused):
    """It clashes with something that exists; `what` names it ("username", "email", "idempotency_key", ...)."""

    code = "conflict"

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class Unauthenticated(Refused):
    """The credentials or the token do not establish who is asking. Log in again."""

    code = "unauthenticated"


class AccountInactive(Unauthenticated):
    """The account was deactivated. Logging in again changes nothing."""

    code = "account_inactive"


class UnknownUser(Unauthenticated):
    """The token is ours, and its user is not in the store: it was set back to an earlier state, or is another one."""

    code = "unknown_user"


class TokenExpired(Unauthenticated):
    """The token was good and its time is over. Refresh it."""

    code = "token_expired"


class TryLater(EngineError):
    """Not now. Nothing was stored; retry with the same idempotency key."""

    code = "try_later"


class Overloaded(TryLater):
    """A mailbox or a lane is full, or an actor is parked after repeated crashes. Back off, then retry."""

    code = "overloaded"


class TooManyTries(TryLater):
    """Too many tries have failed, from this source or at this account: wait `retry_after_s` seconds before the next.

    Nothing was looked at, so it does not tell whether there is such an account, or whether the password is right.
    """

    code = "too_many_tries"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many tries have failed, wait before the next")
        self.retry_after_s = retry_after_s


class ActorStopped(TryLater):
    """The actor stopped before it took this command. Retry: a new one will be started."""

    code = "actor_stopped"


class StoreUnavailable(TryLater):
    """The store cannot be reached or takes no writes at the moment (full disk, database away)."""

    code = "store_unavailable"


class KeysUnavailable(TryLater):
    """The server holds the room's keys and cannot open them: it has another master key, or a row is damaged.

    Nothing was stored. It was logged; the operator has to mend it.
    """

    code = "keys_unavailable"


class PicturesUnavailable(TryLater):
    """No small picture of an image can be made on this machine: the process for it cannot be started.

    Only what cannot be without one is refused: an avatar. It was logged; the operator has to mend it.
    """

    code = "pictures_unavailable"


class SummarizerUnavailable(TryLater):
    """What writes summaries cannot be reached, refuses, or answers with nothing of use. Nothing else is affected."""

    code = "summarizer_unavailable"


class InternalError(EngineError):
    """A bug in the engine. It was logged with its traceback; the caller did nothing wrong."""

    code = "internal"

    def __init__(self, message: str = "internal error") -> None:
        super().__init__(message)
