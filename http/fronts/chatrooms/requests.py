"""What clients send to the chatrooms API. All that is wrong with a body or query is reported at once (`Checked`)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chinwag.engine.model.emojis import MOST_CHARACTERS
from chinwag.engine.model.errors import Rule
from chinwag.engine.model.keys import encrypted_characters
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.engine.model.links import is_web_address
from chinwag.engine.model.names import blank
from chinwag.http.api.checked import Checked, FieldError
from chinwag.http.kit import fields
from chinwag.http.kit.fields import search_query
from chinwag.http.kit.times import unix_us
from chinwag.http.kit.uuid_ids import Uuid

MAX_TEXT: Final = 4000
"""Characters of a message's text."""
MAX_SEALED: Final = encrypted_characters(4 * MAX_TEXT)
"""Characters of encrypted content: a text of `MAX_TEXT`, of four bytes each."""
MAX_IV: Final = 64
MAX_KEY_VERSION: Final = 2**31 - 1
MAX_CLIENT_ID: Final = 255
MAX_ATTACHMENTS: Final = 10
MAX_URL: Final = 2048
MAX_PAGE: Final = 1_000_000
MOST_MEMBERS: Final = 10_000
MOST_USES: Final = 10_000
MOST_HOURS: Final = 24 * 365
MAX_PROMPT: Final = 2000

_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")

Id = Uuid
Password = Annotated[str, Meta(examples=["battery-staple"])]
Name = Annotated[fields.Name, Meta(max_length=100)]
Emoji = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="One emoji as Unicode lists them; without its variation selectors it is the same.",
        examples=["🍋"],
    ),
]
Moment = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]


def _required(text: str) -> str:
    if not text.strip():
        raise FieldError("", "is blank", rule=Rule.REQUIRED)
    return text


def _web_address(url: str) -> str:
    """A web page's, or a path on this server: what an avatar that was uploaded here has."""
    own = url.startswith("/") and not url.startswith("//")
    if _UNSAFE_IN_URL.search(url) or not (own or is_web_address(url)):
        raise FieldError("", "must be an absolute http or https URL", rule=Rule.FORMAT)
    return url


def microseconds(text: str | None) -> int | None:
    """A `Moment` as microseconds since 1970."""
    return None if text is None else unix_us(_moment(text))


def _moment(text: str) -> datetime:
    """A time without an offset is taken as UTC. (A field of this type would take a bare number for Unix seconds.)"""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise FieldError("", "is not a time such as 2024-01-01T00:00:00Z", rule=Rule.FORMAT) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _check_moment(text: str) -> str:
    _moment(text)
    return text


# --- users --------------------------------------------------------------------------------------------------------


class Register(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {
        "username": fields.username,
        "email": fields.email_address,
        "password": fields.new_password,
        "display_name": fields.visible_name,
        "public_key": fields.public_key,
    }
    username: Annotated[fields.Username, Meta(max_length=50, examples=["bob"])]
    email: Annotated[fields.Email, Meta(max_length=fields.MAX_EMAIL, examples=["bob@example.org"])]
    password: Annotated[Password, Meta(min_length=8, max_length=128, description=fields.PASSWORD_RULE)]
    display_name: Annotated[Name, Meta(examples=["Bob"])]
    public_key: Annotated[str, Meta(max_length=4096, description="RSA, as PEM")] | None = None


class LogIn(Checked, frozen=True, kw_only=True):
    username: Annotated[str, Meta(examples=["bob"], description="username or e-mail address")]
    password: Password


class Refresh(Checked, frozen=True, kw_only=True):
    refresh_token: str


class UpdateProfile(Checked, frozen=True, kw_only=True):
    """What is left out stays as it is; null clears avatar and key."""

    checks: ClassVar[Mapping[str, Any]] = {
        "display_name": fields.visible_name,
        "avatar_url": _web_address,
        "public_key": fields.public_key,
    }
    display_name: Name | UnsetType | None = UNSET
    avatar_url: Annotated[str, Meta(max_length=MAX_URL)] | UnsetType | None = UNSET
    public_key: Annotated[str, Meta(max_length=4096)] | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.display_name is None:
            raise FieldError("display_name", "must be text, not null: everybody has one", rule=Rule.FORMAT)
        super().__post_init__()


# --- chatrooms ----------------------------------------------------------------------------------------------------

Description = Annotated[str, Meta(max_length=500)]
MaxMembers = Annotated[int, Meta(ge=2, le=MOST_MEMBERS)]
Threshold = Annotated[int, Meta(ge=2, le=10_000)]


class CreateChatroom(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"name": fields.visible_name, "description": str.strip}
    name: Name
    is_private: bool
    description: Description | None = None
    max_members: MaxMembers = 100
    auto_summary_enabled: bool = True
    summary_threshold: Threshold = 50
    key_custody: Literal["client", "server"] = "client"


class UpdateChatroom(Checked, frozen=True, kw_only=True):
    """What is left out stays as it is; null clears the description."""

    checks: ClassVar[Mapping[str, Any]] = {"name": fields.visible_name, "description": str.strip}
    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    is_private: bool | UnsetType = UNSET
    max_members: MaxMembers | UnsetType = UNSET
    auto_summary_enabled: bool | UnsetType = UNSET
    summary_threshold: Threshold | UnsetType = UNSET


class PageQuery(Checked, frozen=True, kw_only=True):
    page: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20

    @property
    def skip(self) -> int:
        """How many come on the pages before."""
        return (self.page - 1) * self.limit


class ChatroomsQuery(PageQuery, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"search": partial(search_query, least=0)}
    search: Annotated[
        str, Meta(description="part of the name", extra_json_schema={"maxLength": MOST_QUERY_CHARACTERS})
    ] = ""


class Invite(Checked, frozen=True, kw_only=True):
    max_uses: Annotated[int, Meta(ge=1, le=MOST_USES)] = 1
    expires_in_hours: Annotated[int, Meta(ge=1, le=MOST_HOURS)] = 24


class Ban(Checked, frozen=True, kw_only=True):
    user_id: Id


class SetRole(Checked, frozen=True, kw_only=True):
    role: Literal["owner", "moderator", "member"]


class PutKeys(Checked, frozen=True, kw_only=True):
    """One version of the room's key, sealed for members: by user id."""

    version: Annotated[int, Meta(ge=1, le=MAX_KEY_VERSION)]
    sealed: Annotated[dict[Id, str], Meta(min_length=1, max_length=1000)]


class KeysQuery(Checked, frozen=True, kw_only=True):
    above: Annotated[int, Meta(ge=0, le=MAX_KEY_VERSION, description="only versions above this one")] = 0


# --- messages -----------------------------------------------------------------------------------------------------


def _content(content: "Content") -> "Content":
    most = MAX_SEALED if content.key_version else MAX_TEXT
    if len(content.data) > most:
        raise FieldError("", f"must have at most {most} characters of encrypted_data", rule=Rule.LENGTH)
    return content


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """With `key_version` 0 `encrypted_data` is plain text, and `iv` may be empty. What is encrypted is kept as it is.

    `encrypted_data` is needed but beside attachments: a file needs no caption.
    """

    encrypted_data: Annotated[
        Annotated[str, Meta(extra_json_schema={"maxLength": MAX_SEALED})] | None, Meta(examples=["hello"])
    ] = None
    iv: Annotated[str, Meta(max_length=MAX_IV)] = ""
    key_version: Annotated[int, Meta(ge=0, le=MAX_KEY_VERSION)] = 0

    @property
    def data(self) -> str:
        """What was sent, "" for nothing."""
        return self.encrypted_data or ""

    @property
    def is_blank(self) -> bool:
        """Whether it is nothing, or plain text that shows nothing."""
        return not self.encrypted_data or (self.key_version == 0 and blank(self.encrypted_data))


NO_CONTENT: Final = Content()


class SendMessage(Checked, frozen=True, kw_only=True):
    """`attachments` are ids of files that the caller uploaded to this room. `client_id` makes a retry safe."""

    checks: ClassVar[Mapping[str, Any]] = {"content": _content}
    content: Annotated[Content, Meta(examples=[{"encrypted_data": "hello"}])] = NO_CONTENT
    message_type: Literal["text", "image", "file"] = "text"
    reply_to: Id | None = None
    client_id: Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_ID)] | None = None
    attachments: Annotated[tuple[Id, ...], Meta(max_length=MAX_ATTACHMENTS)] = ()

    def __post_init__(self) -> None:  # all of `checks`, in fewer steps
        if len(self.content.data) > MAX_TEXT:
            super().__post_init__()
        if self.content.is_blank and not self.attachments:
            raise _blank(self.content)


class EditMessage(Checked, frozen=True, kw_only=True):
    """The new content. It may be blank where the message has files, which the room knows."""

    checks: ClassVar[Mapping[str, Any]] = {"content": _content}
    content: Content


def _blank(content: Content) -> FieldError:
    if content is NO_CONTENT:
        return FieldError("content", "is required", rule=Rule.REQUIRED, unless=("attachments",))
    if content.encrypted_data is None:
        return FieldError("content.encrypted_data", "is required", rule=Rule.REQUIRED, unless=("attachments",))
    return FieldError("content.encrypted_data", "is blank", unless=("attachments",))


class React(Checked, frozen=True, kw_only=True):
    emoji: Emoji


class MessagesQuery(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"before": _check_moment, "after": _check_moment}
    page: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="1 holds the newest")] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    before: Moment | None = None
    after: Moment | None = None


class Search(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {
        "query": search_query,
        "date_from": _check_moment,
        "date_to": _check_moment,
    }
    query: Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MOST_QUERY_CHARACTERS})]
    message_type: Literal["text", "image", "file"] | None = None
    user_id: Id | None = None
    date_from: Moment | None = None
    date_to: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


# --- summaries ----------------------------------------------------------------------------------------------------


class SummaryQuery(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"date_from": _check_moment, "date_to": _check_moment}
    date_from: Moment | None = None
    date_to: Moment | None = None
    summary_type: Literal["automatic", "manual"] | None = None


class MakeSummary(Checked, frozen=True, kw_only=True):
    checks: ClassVar[Mapping[str, Any]] = {"date_from": _check_moment, "date_to": _check_moment}
    date_from: Moment | None = None
    date_to: Moment | None = None
    custom_prompt: Annotated[str, Meta(max_length=MAX_PROMPT)] | None = None
