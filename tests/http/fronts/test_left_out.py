"""What is left out, null or empty, on every front: bodies, queries and frames."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from chinwag.engine.model.errors import Invalid
from chinwag.http.api.decoding import BodyReader, QueryReader, may_be_empty
from chinwag.http.fronts.chatrooms.socket_wire import Frame as ChatroomsFrame
from chinwag.http.fronts.chatterstack.socket import Frame as ChatterstackFrame
from chinwag.http.fronts.messenger.requests import MessageFrame
from tests.http.fronts.chatrooms_api import STRANGE_UUID
from tests.http.fronts.every_front import BASES, FRONTS, World, decimal
from tests.http.service_api import Answer

# --- null is left out ---------------------------------------------------------------------------------------------

ATTACHMENT = {"url": "https://example.org/a.png", "mime_type": "image/png", "size_bytes": 1}
NEEDED: dict[str, Any] = {
    "username": "dora",
    "email": "dora@example.org",
    "password": "secret-password",
    "display_name": "Dora",
    "refresh_token": "x",
    "status": "ONLINE",
    "role": "MEMBER",
    "name": "tea",
    "is_private": True,
    "content": "hello",
    "emoji": "🍋",
    "query": "tea",
    "version": 1,
    "q": "tea",
    "sealed": {STRANGE_UUID: "x"},
}
"""Values for fields that have to be there, by name."""
NULL_IS_A_VALUE = {
    ("UpdateProfile", "avatar_url"),
    ("UpdateProfile", "public_key"),
    ("UpdateProfile", "display_name"),
    ("UpdateChatroom", "description"),
}
"""In what changes something, null clears; a display name cannot be cleared, and there null is refused."""
INSTEAD: dict[tuple[str, str], dict[str, Any]] = {
    ("chatterstack", "name"): {"is_group": False},
    ("chatterstack", "content"): {"attachments": [ATTACHMENT]},
    ("chatrooms", "content"): {"attachments": [STRANGE_UUID]},
    ("messenger", "user_id"): {"other_user_id": STRANGE_UUID},
}
"""Fields that may be left out beside others only."""


def minimal(front: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """What has to be in a body or query."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            an_id = "17" if front == "chatterstack" else STRANGE_UUID
            values[field.encode_name] = NEEDED.get(field.encode_name, an_id)
            if (front, kind.__name__, field.encode_name) == ("chatrooms", "SetRole", "role"):
                values["role"] = "member"
            if (front, kind.__name__, field.encode_name) == ("chatrooms", "EditMessage", "content"):
                values["content"] = {"encrypted_data": "hello"}
    if (kind.__name__, "name") == ("CreateRoom", "name"):
        values["name"] = "tea"
    if kind.__name__ == "SendMessage":
        values["content"] = {"encrypted_data": "hello"} if front == "chatrooms" else "hello"
    if kind.__name__ == "OpenConversation":
        values["user_id"] = STRANGE_UUID
    return values


def optional_fields() -> Iterator[Any]:
    for front in FRONTS:
        for kind in dict.fromkeys(route.body for route in front.routes if route.body is not None):
            for field in msgspec.structs.fields(kind):
                if not field.required:
                    yield pytest.param(front.name, kind, field.encode_name, id=f"{kind.__name__}.{field.name}")


@pytest.mark.parametrize(("front", "kind", "field"), list(optional_fields()))
def test_null_is_left_out_wherever_a_field_may_be(front: str, kind: type[msgspec.Struct], field: str) -> None:
    read = BodyReader(kind)
    body = {**minimal(front, kind), **INSTEAD.get((front, field), {})}
    body.pop(field, None)
    left_out = read(msgspec.json.encode(body))
    try:
        null = read(msgspec.json.encode({**body, field: None}))
    except Invalid:
        assert (kind.__name__, field) == ("UpdateProfile", "display_name")
    else:
        assert (null == left_out) is ((kind.__name__, field) not in NULL_IS_A_VALUE)


def query_fields() -> Iterator[Any]:
    for front in FRONTS:
        for kind in dict.fromkeys(route.query for route in front.routes if route.query is not None):
            for field in msgspec.structs.fields(kind):
                if not field.required and field.default != "":  # else it is a text of any content
                    yield pytest.param(front.name, kind, field.encode_name, id=f"{kind.__name__}.{field.name}")


@pytest.mark.parametrize(("front", "kind", "parameter"), list(query_fields()))
def test_the_word_null_is_left_out_wherever_a_parameter_is_no_text(
    front: str, kind: type[msgspec.Struct], parameter: str
) -> None:
    read = QueryReader(kind)
    query = "&".join(f"{name}={value}" for name, value in minimal(front, kind).items())
    assert read(f"{query}&{parameter}=null") == read(query)


@pytest.mark.parametrize(
    ("kind", "frame", "null"),
    [
        (
            ChatterstackFrame,
            {"event": "send_message", "data": {"room_id": "17", "content": "hello"}},
            {"attachments": None, "client_id": None},
        ),
        (
            ChatterstackFrame,
            {"event": "send_message", "data": {"room_id": "17", "attachments": [ATTACHMENT]}},
            {"content": None},
        ),
        (
            ChatroomsFrame,
            {"event": "send_message", "data": {"chatroom_id": "x", "content": {"encrypted_data": "hello"}}},
            {"message_type": None, "reply_to": None, "client_id": None, "attachments": None},
        ),
        (
            ChatroomsFrame,
            {"event": "send_message", "data": {"chatroom_id": "x", "attachments": [STRANGE_UUID]}},
            {"content": None},
        ),
        (
            MessageFrame,
            {"type": "message", "group_id": "x", "content": "hello"},
            {"conversation_id": None, "client_id": None},
        ),
    ],
)
def test_null_is_left_out_in_frames_too(kind: Any, frame: dict[str, Any], null: dict[str, Any]) -> None:
    read: BodyReader[Any] = BodyReader(kind, what="frame")
    with_null = {**frame, "data": {**frame["data"], **null}} if "data" in frame else {**frame, **null}
    assert read(msgspec.json.encode(with_null).decode()) == read(msgspec.json.encode(frame).decode())


def test_null_is_left_out_within_what_a_body_holds() -> None:
    [send] = [route for route in FRONTS[1].routes if route.summary == "Send a message"]
    assert send.body is not None
    read: BodyReader[Any] = BodyReader(send.body)
    content = {"encrypted_data": "hello", "iv": None, "key_version": None}
    assert read(msgspec.json.encode({"content": content})) == read(b'{"content": {"encrypted_data": "hello"}}')


TAKEN: list[tuple[str, str, str, Any, int]] = [
    ("chatterstack", "POST", "/rooms/{room}/messages", {"content": "x", "attachments": None}, 201),
    ("chatterstack", "POST", "/rooms/{room}/messages", {"content": None, "attachments": [ATTACHMENT]}, 201),
    ("chatterstack", "POST", "/rooms", {"name": "a", "description": None, "member_ids": None, "is_group": None}, 201),
    ("chatterstack", "POST", "/rooms/{room}/members", {"user_id": "{carol}", "role": None}, 201),
    ("chatrooms", "POST", "/chatrooms", {"name": "a", "is_private": False, "max_members": None}, 201),
    ("chatrooms", "POST", "/chatrooms/{room}/invite", {"max_uses": None, "expires_in_hours": None}, 201),
    ("chatrooms", "POST", "/chatrooms/{room}/search", {"query": "x", "user_id": None, "limit": None}, 200),
    ("chatrooms", "PUT", "/users/me", {"avatar_url": None, "public_key": None}, 200),
    ("messenger", "POST", "/groups", {"name": "a", "members": None}, 201),
    ("messenger", "POST", "/groups/{room}/messages", {"content": "x", "client_id": None}, 201),
    ("messenger", "POST", "/conversations", {"user_id": None, "other_user_id": "{bob}"}, 200),
]


@pytest.mark.parametrize(("front", "method", "path", "body", "status"), TAKEN)
async def test_null_is_taken_by_the_endpoints(
    world: World, front: str, method: str, path: str, body: Any, status: int
) -> None:
    answer = await world.ask(front, method, path, json=body)
    assert answer.status == status, answer.body


@pytest.mark.parametrize(
    ("front", "path", "body", "field"),
    [
        ("chatterstack", "/rooms/{room}/members", {"user_id": None}, "user_id"),
        ("chatterstack", "/rooms", {"name": None}, "name"),
        ("chatrooms", "/chatrooms", {"name": None, "is_private": True}, "name"),
        ("messenger", "/groups", {"name": None}, "name"),
        ("messenger", "/groups/{room}/messages", {"content": None}, "content"),
        ("messenger", "/conversations", {"user_id": None}, "user_id"),
        ("messenger", "/groups", {"name": "a", "members": [None]}, "members[0]"),
    ],
)
async def test_null_is_no_value_where_one_is_needed(world: World, front: str, path: str, body: Any, field: str) -> None:
    answer = await world.ask(front, "POST", path, json=body)
    assert answer.status == (422 if front == "chatrooms" else 400)
    assert wrong(answer)[0].startswith(f"{field}: ")


def wrong(answer: Answer) -> list[str]:
    """What an answer says is wrong, one text per field."""
    error = answer.json["error"]
    return str(error["message"] if isinstance(error, dict) else error).split("; ")


# --- no body ------------------------------------------------------------------------------------------------------

NO_BODY = [(front.name, route) for front in FRONTS for route in front.routes if route.body is not None]
NO_BODY = [(name, route) for name, route in NO_BODY if may_be_empty(route.body)]


def test_what_may_have_no_body() -> None:
    assert {f"{route.method} {route.path}" for _, route in NO_BODY} == {
        "PUT /users/me",
        "PUT /chatrooms/{chatroom_id}",
        "POST /chatrooms/{chatroom_id}/invite",
        "POST /chatrooms/{chatroom_id}/summary",
    }


@pytest.mark.parametrize(("front", "route"), NO_BODY, ids=lambda each: getattr(each, "path", ""))
async def test_where_every_field_is_optional_so_is_the_body(world: World, front: str, route: Any) -> None:
    await world.ask("messenger", "POST", "/groups/{room}/messages", json={"content": "something to sum up"})
    path = BASES[front] + route.path.replace("{chatroom_id}", world.room)
    for body in (b"", b" \r\n", b"{}", b"null"):
        for headers in ({}, {"content-type": "application/json"}, {"content-type": "text/plain"}):
            answer = await world.api.ask(route.method, path, as_=world.ann, body=body, headers=headers)
            assert answer.status == route.status, (body, answer.body)
    assert (await world.api.ask(route.method, path, as_=world.ann, json={})).status == route.status
    assert (await world.api.ask(route.method, path, as_=world.ann, json=[])).status == 422


# --- blank text ---------------------------------------------------------------------------------------------------

POSTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "chatterstack": ("/rooms/{room}/messages", lambda text: {"content": text}),
    "chatrooms": ("/chatrooms/{room}/messages", lambda text: {"content": {"encrypted_data": text}}),
    "messenger": ("/groups/{room}/messages", lambda text: {"content": text}),
}
FRAMES: dict[str, Callable[[str], Any]] = {
    "chatterstack": lambda text: {"event": "send_message", "data": {"room_id": "{room}", "content": text}},
    "chatrooms": lambda text: {
        "event": "send_message",
        "data": {"chatroom_id": "{room}", "content": {"encrypted_data": text}},
    },
    "messenger": lambda text: {"type": "message", "group_id": "{room}", "content": text},
}
BLANK = ("", " ", "\t\r\n", "\u3000", "\u200b", "\u2060\ufeff", "\u3164", "\u2800", "\u00ad \u200e", "\ufe0f")
SHOWN = (".", " a", "\u200bא", "🍋", "0", "\u00a0é")


@pytest.mark.parametrize("front", [front.name for front in FRONTS])
async def test_plain_text_that_shows_nothing_is_refused_and_other_text_is_not(world: World, front: str) -> None:
    path, body = POSTS[front]
    for text in BLANK:
        answer = await world.ask(front, "POST", path, json=body(text))
        assert answer.status == (422 if front == "chatrooms" else 400), repr(text)
        assert wrong(answer)[0].startswith("content")
    assert await world.texts() == []
    for text in SHOWN:
        assert (await world.ask(front, "POST", path, json=body(text))).status == 201, repr(text)


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
async def test_a_socket_refuses_blank_text_as_well(world: World, front: Any) -> None:
    async with world.socket(front) as socket:
        if front.name == "chatrooms":
            await socket.say({"event": "join_chatroom", "data": {"chatroom_id": "{room}"}})
        await socket.heard()
        for text in BLANK:
            [frame] = await socket.say(FRAMES[front.name](text))
            assert "error" in (frame.get("event"), frame.get("type")), frame
        assert await world.texts() == []
        for text in SHOWN:
            [frame] = await socket.say(FRAMES[front.name](text))
            assert "error" not in (frame.get("event"), frame.get("type")), frame


@pytest.mark.parametrize("data", [" ", "\t\n ", "\u200b", " x ", "=", "\ufeffé\u0301"])
async def test_encrypted_content_is_kept_as_it_is(world: World, data: str) -> None:
    content = {"encrypted_data": data, "iv": " i ", "key_version": 1}
    path = "/chatrooms/{room}/messages"
    made = await world.ask("chatrooms", "POST", path, json={"content": content})
    assert made.status == 201, made.body
    message = made.json["data"]["message"]
    assert message["content"] == content
    changed = {**content, "encrypted_data": data + " "}
    edited = await world.ask("chatrooms", "PUT", f"{path}/{message['id']}", json={"content": changed})
    assert edited.json["data"]["message"]["content"] == changed
    async with world.socket(FRONTS[1]) as socket:
        await socket.say({"event": "join_chatroom", "data": {"chatroom_id": "{room}"}})
        [frame] = await socket.say({"event": "send_message", "data": {"chatroom_id": "{room}", "content": content}})
    assert frame["data"]["message"]["content"] == content


# --- files without a caption --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"content": {"encrypted_data": ""}},
        {"content": {"encrypted_data": "", "iv": "", "key_version": 0}},
        {"content": {"encrypted_data": None}},
        {"content": {"encrypted_data": "  "}},
        {"content": {"encrypted_data": "\u2800"}},
        {"content": {"encrypted_data": "", "iv": "x", "key_version": 3}},
        {"content": {}},
        {"content": None},
        {},
    ],
)
async def test_a_file_needs_no_caption(world: World, content: dict[str, Any]) -> None:
    body = {**content, "message_type": "file", "attachments": [await world.upload()]}
    made = await world.ask("chatrooms", "POST", "/chatrooms/{room}/messages", json=body)
    assert made.status == 201, made.body
    message = made.json["data"]["message"]
    assert message["content"] == {"encrypted_data": "", "iv": "", "key_version": 0}
    assert [each["filename"] for each in message["attachments"]] == ["tea.txt"]
    async with world.socket(FRONTS[1]) as socket:
        await socket.say({"event": "join_chatroom", "data": {"chatroom_id": "{room}"}})
        frames = await socket.say({"event": "send_message", "data": {"chatroom_id": "{room}", **body}})
    assert [frame["event"] for frame in frames] == ["message_received"]
    [shown, _again] = (await world.ask("chatterstack", "GET", "/rooms/{room}/messages")).json["messages"]
    assert (shown["content"], len(shown["attachments"])) == ("", 1)


@pytest.mark.parametrize("text", ["", "  ", "\u3164", "\u2800 \u200b", None])
async def test_a_caption_that_shows_nothing_is_none_beside_attachments_elsewhere(
    world: World, text: str | None
) -> None:
    path = "/rooms/{room}/messages"
    made = await world.ask("chatterstack", "POST", path, json={"content": text, "attachments": [ATTACHMENT]})
    assert (made.status, made.json["content"]) == (201, ""), made.body
    looked = {"content": "look", "attachments": [ATTACHMENT]}
    message_id = (await world.ask("chatterstack", "POST", path, json=looked)).json["id"]
    edited = await world.ask("chatterstack", "PATCH", f"{path}/{message_id}", json={"content": text or ""})
    assert (edited.status, edited.json["content"]) == (200, ""), edited.body
    page = (await world.ask("messenger", "GET", "/groups/{room}/messages")).json["messages"]
    assert [message["content"] for message in page] == [ATTACHMENT["url"]] * 2


async def test_messenger_shows_a_line_with_name_and_link_for_each_file_also_below_a_caption(world: World) -> None:
    files = [await world.upload("tea.txt"), await world.upload("milk & honey.txt")]
    lines = [f"{name} /chatrooms/files/{id_}" for name, id_ in zip(("tea.txt", "milk & honey.txt"), files, strict=True)]
    async with world.socket(FRONTS[2], as_=world.bob) as socket:
        for caption in ("", "look"):
            body = {"content": {"encrypted_data": caption}, "message_type": "file", "attachments": files}
            assert (await world.ask("chatrooms", "POST", "/chatrooms/{room}/messages", json=body)).status == 201
        elsewhere = {"content": "there", "attachments": [ATTACHMENT]}
        assert (await world.ask("chatterstack", "POST", "/rooms/{room}/messages", json=elsewhere)).status == 201
        heard = [frame["data"]["content"] for frame in await socket.heard() if frame["type"] == "message"]
    wanted = ["\n".join(lines), "\n".join(["look", *lines]), f"there\n{ATTACHMENT['url']}"]
    assert heard == wanted
    page = (await world.ask("messenger", "GET", "/groups/{room}/messages")).json["messages"]
    assert [message["content"] for message in reversed(page)] == wanted


@pytest.mark.parametrize("text", ["", "  ", "\u200b"])
async def test_a_caption_may_be_taken_away_and_a_text_may_not(world: World, text: str) -> None:
    path = "/chatrooms/{room}/messages"
    captioned = {"content": {"encrypted_data": "look"}, "attachments": [await world.upload()]}
    for body in (captioned, {"content": {"encrypted_data": "x"}}):
        assert (await world.ask("chatrooms", "POST", path, json=body)).status == 201
    found = (await world.ask("chatrooms", "GET", path)).json["data"]["messages"]
    for message_id, taken in zip([each["id"] for each in found], (False, True), strict=True):
        edit = {"content": {"encrypted_data": text}}
        edited = await world.ask("chatrooms", "PUT", f"{path}/{message_id}", json=edit)
        assert edited.status == (200 if taken else 422), edited.body
        assert not taken or edited.json["data"]["message"]["content"]["encrypted_data"] == ""
        there = f"/rooms/{{room}}/messages/{decimal(message_id)}"
        edited = await world.ask("chatterstack", "PATCH", there, json={"content": text})
        assert edited.status == (200 if taken else 400), edited.body
        assert taken or wrong(edited)[0].startswith("content: ")
        by_bob = await world.ask("chatrooms", "PUT", f"{path}/{message_id}", as_=world.bob, json=edit)
        assert by_bob.status == 403


# --- texts in queries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("front", "path", "parameter", "text"),
    [
        ("chatterstack", "/rooms", "q", "TEA"),
        ("chatterstack", "/users", "email", "Ann@example.org"),
        ("chatrooms", "/chatrooms", "search", "tea"),
    ],
)
async def test_texts_in_queries_are_trimmed(world: World, front: str, path: str, parameter: str, text: str) -> None:
    exact = await world.ask(front, "GET", path, query={parameter: text})
    assert b'"ann' in exact.body or b'"tea"' in exact.body
    for around in (f"{text} ", f"\u3000{text}\n", f" {text}"):
        answer = await world.ask(front, "GET", path, query={parameter: around})
        assert (answer.status, answer.body) == (exact.status, exact.body)
