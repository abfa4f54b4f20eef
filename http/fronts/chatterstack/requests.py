"""What ChatterStack's clients send. Texts come out trimmed; whatever is here has passed every rule on its form."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from chinwag.engine.ids import MAX_ID
from chinwag.engine.searches import MOST_QUERY_CHARACTERS
from chinwag.http.fields import (
    NAME_RULE,
    PASSWORD_RULE,
    Email,
    Username,
    email_address,
    is_web_address,
    new_password,
    search_query,
    trimmed,
    username,
    visible_name,
)
from chinwag.http.fronts.chatterstack.ids import Id
from chinwag.http.requests import FieldError

MAX_TEXT = 4000
MAX_ATTACHMENTS = 10
MAX_URL = 2048
MAX_IDEMPOTENCY_KEY = 200
MAX_MEMBERS_AT_ONCE = 1000
MAX_PAGE = MAX_ID // 1000
"""Keeps page times limit below 2^53, so that an offset never overflows anywhere."""

_MIME_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MIME_TYPE = re.compile(rf"{_MIME_TOKEN}/{_MIME_TOKEN}(\s*;[\x20-\x7e]*)?")

# Lengths count after trimming, so msgspec is only told of them for the documentation.
Text = Annotated[str, Meta(examples=["hello"], extra_json_schema={"maxLength": MAX_TEXT})]
Password = Annotated[str, Meta(examples=["correct-horse"])]
RoleName = Literal["ADMIN", "MEMBER"]
PresenceName = Literal["ONLINE", "OFFLINE"]


# --- users --------------------------------------------------------------------------------------------------------


class Register(msgspec.Struct, frozen=True, kw_only=True):
    username: Annotated[Username, Meta(examples=["ann"])]
    email: Annotated[Email, Meta(examples=["ann@example.org"])]
    password: Annotated[Password, Meta(min_length=6, max_length=128, description=PASSWORD_RULE)]

    def __post_init__(self) -> None:
        force_setattr(self, "username", username(self.username, "username"))
        force_setattr(self, "email", email_address(self.email, "email"))
        new_password(self.password, "password")


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(examples=["ann@example.org"])]
    password: Password


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    refresh_token: str


class LogOut(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(min_length=1)]


class SetStatus(msgspec.Struct, frozen=True, kw_only=True):
    status: PresenceName


# --- rooms --------------------------------------------------------------------------------------------------------


class CreateRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A group has a name; of a direct room (`is_group` false) name and description are not used."""

    name: Annotated[
        str, Meta(examples=["tea"], description=f"Of a group. {NAME_RULE}", extra_json_schema={"maxLength": 100})
    ] = ""
    is_group: bool = True
    member_ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_MEMBERS_AT_ONCE)] = ()
    creator_id: Id | None = None
    description: Annotated[str, Meta(extra_json_schema={"maxLength": 1000})] = ""

    def __post_init__(self) -> None:
        if self.is_group:
            force_setattr(self, "name", visible_name(self.name, "name"))
        force_setattr(self, "description", trimmed(self.description, "description", least=0, most=1000))


class CreateDirectRoom(msgspec.Struct, frozen=True, kw_only=True):
    peer_user_id: Id


class RoomsQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: Annotated[
        str,
        Meta(
            description="part of the name; upper and lower case are the same",
            extra_json_schema={"maxLength": MOST_QUERY_CHARACTERS},
        ),
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20

    def __post_init__(self) -> None:
        force_setattr(self, "q", search_query(self.q, "q", least=0))


class AddMember(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id
    role: RoleName = "MEMBER"


# --- messages -----------------------------------------------------------------------------------------------------


class AttachmentIn(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the message points to; the server never fetches it."""

    url: Annotated[str, Meta(max_length=MAX_URL, extra_json_schema={"format": "uri"})]
    mime_type: Annotated[str, Meta(max_length=255, examples=["image/png"])]
    size_bytes: Annotated[int, Meta(ge=0, le=MAX_ID)]

    def __post_init__(self) -> None:
        if not is_web_address(self.url):
            raise FieldError("url", "must be an absolute http or https URL")
        if _MIME_TYPE.fullmatch(self.mime_type) is None:
            raise FieldError("mime_type", "must have the form type/subtype")


Attachments = Annotated[tuple[AttachmentIn, ...], Meta(max_length=MAX_ATTACHMENTS)]


class SendMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Text, or attachments, or both."""

    content: Text = ""
    attachments: Attachments = ()

    def __post_init__(self) -> None:
        content = trimmed(self.content, "content", least=0 if self.attachments else 1, most=MAX_TEXT)
        if content is not self.content:  # `strip` gives the same text back when there is nothing to strip
            force_setattr(self, "content", content)


class EditMessage(msgspec.Struct, frozen=True, kw_only=True):
    content: Annotated[str, Meta(examples=["hello"], extra_json_schema={"minLength": 1, "maxLength": MAX_TEXT})]

    def __post_init__(self) -> None:
        force_setattr(self, "content", trimmed(self.content, "content", least=1, most=MAX_TEXT))


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True):
    page: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="1 holds the newest")] = 1
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    around_message_id: Annotated[Id | None, Meta(description="the window around this message, oldest first")] = None


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    q: Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MOST_QUERY_CHARACTERS})]
    room_id: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50

    def __post_init__(self) -> None:
        force_setattr(self, "q", search_query(self.q, "q"))
