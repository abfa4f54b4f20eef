"""What messenger's clients send. Texts come out trimmed; whatever is here has passed every rule on its form."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from chinwag.http.fields import (
    PASSWORD_RULE,
    Email,
    Name,
    Username,
    email_address,
    new_password,
    trimmed,
    username,
    visible_name,
)
from chinwag.http.requests import FieldError
from chinwag.http.times import unix_us
from chinwag.http.uuid_ids import UuidText

MAX_TEXT = 4000
MAX_CLIENT_ID = 200
_Moment = Annotated[datetime, Meta(tz=True)]

# Lengths count after trimming, so msgspec is only told of them for the documentation.
Id = UuidText
Text = Annotated[str, Meta(examples=["Hello!"], extra_json_schema={"minLength": 1, "maxLength": MAX_TEXT})]
Password = Annotated[str, Meta(examples=["correct-horse"])]
ClientId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CLIENT_ID,
        description="names the message for its sender: sent again under the same name, it is posted once",
    ),
]


# --- authentication -----------------------------------------------------------------------------------------------


class Register(msgspec.Struct, frozen=True, kw_only=True):
    username: Annotated[Username, Meta(examples=["johndoe"])]
    email: Annotated[Email, Meta(examples=["johndoe@example.org"])]
    password: Annotated[Password, Meta(min_length=6, max_length=128, description=PASSWORD_RULE)]

    def __post_init__(self) -> None:
        force_setattr(self, "username", username(self.username, "username"))
        force_setattr(self, "email", email_address(self.email, "email"))
        new_password(self.password, "password")


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    """`username` may be the user's address as well."""

    username: Annotated[str, Meta(examples=["johndoe"])]
    password: Password


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    refresh_token: str


# --- conversations and groups -------------------------------------------------------------------------------------


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id


class CreateGroup(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[Name, Meta(examples=["Team Chat"])]

    def __post_init__(self) -> None:
        force_setattr(self, "name", visible_name(self.name, "name"))


def _moment(text: str) -> datetime:
    """A time, which has to have a zone. (A field of this type would take a bare number for Unix seconds.)"""
    try:
        return msgspec.convert(text, _Moment)
    except msgspec.ValidationError:
        raise FieldError("cursor", "is not a time such as 2024-01-01T00:00:00Z") from None


# --- messages -----------------------------------------------------------------------------------------------------


class SendMessage(msgspec.Struct, frozen=True, kw_only=True):
    content: Text
    client_id: ClientId | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "content", trimmed(self.content, "content", least=1, most=MAX_TEXT))


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: (
        Annotated[
            str,
            Meta(description="`next_cursor` of the page before", extra_json_schema={"format": "date-time"}),
        ]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50

    def __post_init__(self) -> None:
        if self.cursor is not None:
            _moment(self.cursor)

    @property
    def before_us(self) -> int | None:
        """The cursor in microseconds since 1970."""
        return None if self.cursor is None else unix_us(_moment(self.cursor))


# --- the socket ---------------------------------------------------------------------------------------------------


class MessageFrame(SendMessage, frozen=True, kw_only=True):
    """A message to exactly one of a conversation and a group."""

    type: Literal["message"]
    conversation_id: Id | None = None
    group_id: Id | None = None

    def __post_init__(self) -> None:
        if (self.conversation_id is None) == (self.group_id is None):
            raise FieldError("conversation_id", "exactly one of conversation_id and group_id is needed")
        force_setattr(self, "content", trimmed(self.content, "content", least=1, most=MAX_TEXT))
