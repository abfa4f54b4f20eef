"""What ChatterStack's clients send. Texts come out trimmed; whatever is here has passed every rule on its form."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from chinwag.engine.model.ids import MAX_ID
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.engine.model.links import is_web_address
from chinwag.http.api.checked import Checked, FieldError
from chinwag.http.fronts.chatterstack.ids import AMessage, ARoom, AUser
from chinwag.http.kit.fields import (
    NAME_RULE,
    PASSWORD_RULE,
    Email,
    Username,
    email_address,
    new_password,
    search_query,
    trimmed,
    username,
    visible_name,
)
from chinwag.http.kit.message_text import caption, message_text

MAX_TEXT = 4000
MAX_ATTACHMENTS = 10
MAX_URL = 2048
MAX_MEMBERS_AT_ONCE = 1000
MAX_PAGE = MAX_ID // 1000
"""Keeps page times limit below 2^53, so that an offset never overflows anywhere."""

_FILES = ("attachments",)
_MIME_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MIME_TYPE = re.compile(rf"{_MIME_TOKEN}/{_MIME_TOKEN}(\s*;[\x20-\x7e]*)?")

# Lengths count after trimming, so msgspec is only told of them for the documentation.
Text = Annotated[str, Meta(examples=["hello"], extra_json_schema={"maxLength": MAX_TEXT})]
Password = Annotated[str, Meta(examples=["correct-horse"])]
RoleName = Literal["ADMIN", "MEMBER"]
PresenceName = Literal["ONLINE", "OFFLINE"]


def _mime_type(text: str) -> str:
    if _MIME_TYPE.fullmatch(text) is None:
        raise FieldError("", "must have the form type/subtype")
    return text


def _url(text: str) -> str:
    if not is_web_address(text):
        raise FieldError("", "must be an absolute http or https URL")
    return text


# --- users --------------------------------------------------------------------------------------------------------


class Register(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"username": username, "email": email_address, "password": new_password}
    username: Annotated[Username, Meta(examples=["ann"])]
    email: Annotated[Email, Meta(examples=["ann@example.org"])]
    password: Annotated[Password, Meta(min_length=6, max_length=128, description=PASSWORD_RULE)]


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(examples=["ann@example.org"])]
    password: Password


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    refresh_token: str


class LogOut(msgspec.Struct, frozen=True, kw_only=True):
    user_id: AUser


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(min_length=1)]


class SetStatus(msgspec.Struct, frozen=True, kw_only=True):
    status: PresenceName


# --- rooms --------------------------------------------------------------------------------------------------------


class CreateRoom(Checked, frozen=True, kw_only=True):
    """A group has a name; of a direct room (`is_group` false) name and description are not used."""

    checks: ClassVar[Mapping[str, Any]] = {"description": partial(trimmed, least=0, most=1000)}
    name: Annotated[
        str, Meta(examples=["tea"], description=f"Of a group. {NAME_RULE}", extra_json_schema={"maxLength": 100})
    ] = ""
    is_group: bool = True
    member_ids: Annotated[tuple[AUser, ...], Meta(max_length=MAX_MEMBERS_AT_ONCE)] = ()
    creator_id: AUser | None = None
    description: Annotated[str, Meta(extra_json_schema={"maxLength": 1000})] = ""

    def __post_init__(self) -> None:
        if self.is_group:
            force_setattr(self, "name", visible_name(self.name, "name"))
        super().__post_init__()


class CreateDirectRoom(msgspec.Struct, frozen=True, kw_only=True):
    peer_user_id: AUser


class RoomsQuery(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"q": partial(search_query, least=0)}
    q: Annotated[
        str,
        Meta(
            description="part of the name; upper and lower case are the same",
            extra_json_schema={"maxLength": MOST_QUERY_CHARACTERS},
        ),
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class AddMember(msgspec.Struct, frozen=True, kw_only=True):
    user_id: AUser
    role: RoleName = "MEMBER"


# --- messages -----------------------------------------------------------------------------------------------------


class AttachmentIn(Checked, frozen=True, kw_only=True):
    """A file that the message points to; the server never fetches it."""

    checks: ClassVar[Mapping[str, Any]] = {"url": _url, "mime_type": _mime_type}
    url: Annotated[str, Meta(max_length=MAX_URL, extra_json_schema={"format": "uri"})]
    mime_type: Annotated[str, Meta(max_length=255, examples=["image/png"])]
    size_bytes: Annotated[int, Meta(ge=0, le=MAX_ID)]


Attachments = Annotated[tuple[AttachmentIn, ...], Meta(max_length=MAX_ATTACHMENTS)]


class SendMessage(Checked, frozen=True, kw_only=True):
    """Text, or attachments, or both."""

    checks: ClassVar[Mapping[str, Any]] = {"content": partial(caption, most=MAX_TEXT)}
    content: Text = ""
    attachments: Attachments = ()

    def __post_init__(self) -> None:  # all of `checks`, in fewer steps: every message comes through here
        if self.attachments:
            content = caption(self.content, "content", most=MAX_TEXT)
        else:
            content = message_text(self.content, "content", MAX_TEXT, _FILES)
        if content is not self.content:  # `strip` gives the same text back when there is nothing to strip
            force_setattr(self, "content", content)


class EditMessage(Checked, frozen=True, kw_only=True):
    """The new text. It may be none where the message has attachments, which the room knows."""

    checks: ClassVar[Mapping[str, Any]] = {"content": partial(caption, most=MAX_TEXT)}
    content: Text


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True):
    page: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="1 holds the newest")] = 1
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    around_message_id: Annotated[AMessage | None, Meta(description="a window around it, oldest first")] = None


class SearchQuery(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"q": search_query}
    q: Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MOST_QUERY_CHARACTERS})]
    room_id: ARoom | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
