"""ChatterStack's objects and events, byte for byte: the spec's own examples, filled in."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chinwag.engine.model import values as model
from chinwag.engine.model.errors import Conflict, Forbidden, InternalError, Invalid, NotFound, TokenExpired
from chinwag.engine.model.ids import MAX_ID, FileId, MessageId, RoomId, UserId
from chinwag.http.fronts.chatterstack import wire
from chinwag.http.fronts.chatterstack.errors import encode_error
from chinwag.http.fronts.chatterstack.ids import IDS
from chinwag.http.kit.links import Links
from chinwag.http.kit.plain_errors import ErrorBody
from chinwag.http.kit.times import rfc3339
from chinwag.http.kit.uuid_ids import IDS as UUIDS

JANUARY = 1_738_324_800_000_001
"""2025-01-31T12:00:00.000001Z"""

MESSAGE = model.Message(
    id=MessageId(10664181760002),
    room_id=RoomId(10664181760001),
    seq=1,
    author_id=UserId(10664181760000),
    author_name="ann",
    text="hello, 日本",
    created_us=JANUARY,
    attachments=(model.Attachment(url="https://example.org/a.png", mime_type="image/png", size_bytes=123),),
)
HERE = Links()
ROOM = model.Room(
    id=RoomId(7),
    kind=model.RoomKind.GROUP,
    name="tea",
    description="for two",
    created_by=UserId(5),
    created_us=JANUARY,
)

RECEIVE_MESSAGE = """
{"event": "receive_message",
 "data": {"id": "10664181760002", "room_id": "10664181760001", "sender_id": "10664181760000", "content": "hello, 日本",
  "attachments": [{"url": "https://example.org/a.png", "mime_type": "image/png", "size_bytes": 123}],
  "status": "SENT", "created_at": "2025-01-31T12:00:00.000001Z", "updated_at": "2025-01-31T12:00:00.000001Z",
  "username": "ann"}}
"""


def golden(encoded: bytes, expected: str | dict[str, Any]) -> None:
    """Equal, and in the same order: compared as text without white space."""
    value = json.loads(expected) if isinstance(expected, str) else expected
    assert encoded.decode() == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_receive_message_is_the_specs_event() -> None:
    golden(wire.receive_message(MESSAGE, HERE), RECEIVE_MESSAGE)


@pytest.mark.parametrize("status", list(model.Status))
def test_a_replayed_message_has_its_status(status: model.Status) -> None:
    assert json.loads(wire.receive_message(MESSAGE, HERE, status))["data"]["status"] == status.name


def test_an_edited_message_has_another_updated_at() -> None:
    edited = msgspec.structs.replace(MESSAGE, text="hi", edited_us=JANUARY + 2_500_000)
    event = json.loads(wire.message_updated(edited, model.Status.READ, HERE))
    assert event["event"] == "message.updated"
    assert (event["data"]["content"], event["data"]["status"]) == ("hi", "READ")
    assert event["data"]["created_at"] == "2025-01-31T12:00:00.000001Z"
    assert event["data"]["updated_at"] == "2025-01-31T12:00:02.500001Z"


def test_the_senders_client_id_comes_back() -> None:
    keyed = msgspec.structs.replace(MESSAGE, key="c-1")
    assert json.loads(wire.receive_message(keyed, HERE))["data"]["client_id"] == "c-1"
    assert "client_id" not in json.loads(wire.receive_message(MESSAGE, HERE))["data"]


def test_the_other_events() -> None:
    room_id, message_id, user_id = RoomId(7), MessageId(9), UserId(5)
    golden(
        wire.message_status(room_id, message_id, model.Status.DELIVERED),
        '{"event": "message.status", "data": {"room_id": "7", "message_id": "9", "status": "DELIVERED"}}',
    )
    golden(
        wire.message_deleted(room_id, message_id),
        '{"event": "message.deleted", "data": {"room_id": "7", "message_id": "9", "id": "9"}}',
    )
    golden(
        wire.typing_start(room_id, user_id, "ann"),
        '{"event": "typing_start", "data": {"room_id": "7", "user_id": "5", "username": "ann"}}',
    )
    golden(
        wire.typing_stop(room_id, user_id, "ann"),
        '{"event": "typing_stop", "data": {"room_id": "7", "user_id": "5", "username": "ann"}}',
    )
    golden(
        wire.room_added(ROOM),
        '{"event": "room_added", "data": {"id": "7", "name": "tea", "is_group": true, "description": "for two", '
        '"created_by": "5", "created_at": "2025-01-31T12:00:00.000001Z"}}',
    )
    golden(wire.room_removed(room_id), '{"event": "room_removed", "data": {"room_id": "7"}}')
    golden(
        wire.resumed(room_id, recovered=True, replayed=3),
        '{"event": "resumed", "data": {"room_id": "7", "recovered": true, "replayed": 3}}',
    )
    golden(wire.error("no", "forbidden"), '{"event": "error", "data": {"message": "no", "code": "forbidden"}}')
    golden(
        wire.error("no", "forbidden", room_id=room_id, client_id="c-1"),
        '{"event": "error", "data": {"message": "no", "code": "forbidden", "room_id": "7", "client_id": "c-1"}}',
    )


def test_a_direct_room_is_named_by_its_pair() -> None:
    direct = msgspec.structs.replace(ROOM, kind=model.RoomKind.DIRECT, name="", direct_key="dm:5:6")
    assert (wire.room(direct).name, wire.room(direct).is_group) == ("dm:5:6", False)


def test_a_user_and_a_member() -> None:
    user = model.User(id=UserId(5), username="ann", email=None, created_us=JANUARY)
    golden(
        msgspec.json.encode(wire.user(user, model.Presence.ONLINE)),
        '{"id": "5", "username": "ann", "email": null, "status": "ONLINE", '
        '"created_at": "2025-01-31T12:00:00.000001Z"}',
    )
    member = model.Member(user_id=UserId(5), username="ann", role=model.Role.ADMIN, joined_us=JANUARY)
    golden(
        msgspec.json.encode(wire.member(member)),
        '{"user_id": "5", "username": "ann", "role": "ADMIN", "joined_at": "2025-01-31T12:00:00.000001Z"}',
    )


def test_errors_are_one_line() -> None:
    assert encode_error(Invalid("name", "is empty")) == (400, ErrorBody("name: is empty"))
    assert encode_error(TokenExpired("expired")) == (401, ErrorBody("expired"))
    assert encode_error(Forbidden("no")) == (403, ErrorBody("no"))
    assert encode_error(NotFound("room")) == (404, ErrorBody("room not found"))
    assert encode_error(Conflict("email", "taken")) == (409, ErrorBody("taken"))
    assert encode_error(InternalError("a detail")) == (500, ErrorBody("internal error"))


@given(st.integers(1, MAX_ID))
def test_ids_come_back_as_they_went(any_id: int) -> None:
    assert IDS.decode(IDS.encode(any_id)) == any_id


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "01", "1.0", "1e3", " 1", "1\n", "٣", "1_0", "abc", str(MAX_ID + 1), "9" * 5000]
)
def test_what_is_no_id_does_not_decode(text: str) -> None:
    assert IDS.decode(text) is None


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999_999, "1970-01-01T00:00:00.999999Z"),
        (JANUARY, "2025-01-31T12:00:00.000001Z"),
        (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_microseconds(us: int, text: str) -> None:
    assert rfc3339(us) == text


@pytest.mark.parametrize("root", ["", "https://example.org/chat"])
def test_a_file_that_was_uploaded_has_a_link_to_this_server(root: str) -> None:
    uploaded = model.Attachment(url="", mime_type="image/png", size_bytes=5, name="a.png", file_id=FileId(4096))
    [shown] = wire.message(replace(MESSAGE, attachments=(uploaded,)), model.Status.SENT, Links(root)).attachments
    assert shown.url == f"{root}/chatrooms/files/{UUIDS.encode(4096)}"
