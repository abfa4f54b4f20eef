"""What messenger's clients send. Texts come out trimmed; whatever is here has passed every rule on its form."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from chinwag.engine.model.errors import Rule
from chinwag.http.api.checked import Checked, FieldError
from chinwag.http.kit.fields import (
    PASSWORD_RULE,
    Email,
    Name,
    Username,
    email_address,
    new_password,
    username,
    visible_name,
)
from chinwag.http.kit.idempotency import MOST_CHARACTERS
from chinwag.http.kit.message_text import message_text
from chinwag.http.kit.times import unix_us
from chinwag.http.kit.uuid_ids import Uuid, UuidText

MAX_TEXT = 4000
MAX_MEMBERS_AT_ONCE = 1000
MAX_USERS = 1000
_Moment = Annotated[datetime, Meta(tz=True)]

# Lengths count after trimming, so msgspec is only told of them for the documentation.
Text = Annotated[str, Meta(examples=["Hello!"], extra_json_schema={"minLength": 1, "maxLength": MAX_TEXT})]
Password = Annotated[str, Meta(examples=["correct-horse"])]
ClientId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="names the message for its sender: sent again under the same name, it is posted once",
    ),
]


def _content(text: str) -> str:
    return message_text(text, "", MAX_TEXT)


def _moment(text: str) -> datetime:
    """A time, which has to have a zone. (A field of this type would take a bare number for Unix seconds.)"""
    try:
        return msgspec.convert(text, _Moment)
    except msgspec.ValidationError:
        raise FieldError("", "is not a time such as 2024-01-01T00:00:00Z") from None


def _cursor(text: str) -> str:
    _moment(text)
    return text


# --- authentication -----------------------------------------------------------------------------------------------


class Register(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"username": username, "email": email_address, "password": new_password}
    username: Annotated[Username, Meta(examples=["johndoe"])]
    email: Annotated[Email, Meta(examples=["johndoe@example.org"])]
    password: Annotated[Password, Meta(min_length=6, max_length=128, description=PASSWORD_RULE)]


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    """`username` may be the user's address as well."""

    username: Annotated[str, Meta(examples=["johndoe"])]
    password: Password


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    refresh_token: str


# --- conversations and groups -------------------------------------------------------------------------------------


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Uuid


class OpenConversation(Checked, frozen=True, kw_only=True):
    """Whom with: `other_user_id` is another name for `user_id`."""

    user_id: Annotated[Uuid | None, Meta(examples=["00000000-0000-4000-8000-000000000000"])] = None
    other_user_id: Uuid | None = None

    def __post_init__(self) -> None:
        if self.user_id is None and self.other_user_id is None:
            raise FieldError("user_id", "is required", rule=Rule.REQUIRED, unless=("other_user_id",))
        if self.user_id is not None and (self.other_user_id or self.user_id).lower() != self.user_id.lower():
            raise FieldError("other_user_id", "is not the same as user_id")

    @property
    def peer(self) -> str:
        """The user's id."""
        return self.user_id or self.other_user_id or ""


class CreateGroup(Checked, frozen=True, kw_only=True):
    """`members` are in it from the beginning, beside the caller."""

    checks: ClassVar[Mapping[str, Any]] = {"name": visible_name}
    name: Annotated[Name, Meta(examples=["Team Chat"])]
    members: Annotated[tuple[Uuid, ...], Meta(max_length=MAX_MEMBERS_AT_ONCE)] = ()


class UsersQuery(msgspec.Struct, frozen=True, kw_only=True):
    after: Annotated[Uuid | None, Meta(description="go on after this user")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_USERS)] = MAX_USERS


# --- messages -----------------------------------------------------------------------------------------------------


class SendMessage(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"content": _content}
    content: Text
    client_id: ClientId | None = None


class MessagesQuery(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"cursor": _cursor}
    cursor: (
        Annotated[
            str,
            Meta(description="`next_cursor` of the page before", extra_json_schema={"format": "date-time"}),
        ]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50

    @property
    def before_us(self) -> int | None:
        """The cursor in microseconds since 1970."""
        return None if self.cursor is None else unix_us(_moment(self.cursor))


# --- the socket ---------------------------------------------------------------------------------------------------


class MessageFrame(SendMessage, frozen=True, kw_only=True):
    """A message to exactly one of a conversation and a group."""

    type: Literal["message"]
    conversation_id: UuidText | None = None
    group_id: UuidText | None = None

    def __post_init__(self) -> None:  # all of `checks`, in fewer steps: every message comes through here
        if (self.conversation_id is None) == (self.group_id is None):
            needed = "exactly one of conversation_id and group_id is needed"
            raise FieldError("conversation_id", needed, unless=("group_id",))
        force_setattr(self, "content", message_text(self.content, "content", MAX_TEXT))
