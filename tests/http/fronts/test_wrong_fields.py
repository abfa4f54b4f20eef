"""All that is wrong with a body, a query or a frame is named at once, on every front."""

from typing import Any

import pytest

from tests.http.fronts.every_front import FRONTS, World
from tests.http.service_api import Answer

CHATTERSTACK, CHATROOMS, MESSENGER = FRONTS
BAD_FILE = {"url": "ftp://x", "mime_type": "png", "size_bytes": -1}
OF_FILES = [[f"attachments[{number}].{name}" for name in BAD_FILE] for number in range(2)]
BAD_REGISTRATION = {"username": "a", "email": "nobody", "password": "x"}
OF_REGISTRATION = ["username", "email", "password"]

REQUESTS: list[tuple[str, str, str, Any, list[str]]] = [
    ("chatterstack", "POST", "/auth/register", BAD_REGISTRATION, OF_REGISTRATION),
    ("chatterstack", "POST", "/auth/register", {}, OF_REGISTRATION),
    ("chatterstack", "POST", "/auth/register", {"password": 5, "email": []}, OF_REGISTRATION),
    (
        "chatterstack",
        "POST",
        "/rooms",
        {"is_group": "no", "member_ids": ["x", "{bob}", 5], "description": "x" * 1001, "name": "tea"},
        ["is_group", "member_ids[0]", "description"],
    ),
    (
        "chatterstack",
        "POST",
        "/rooms",
        {"name": "x" * 101, "creator_id": "me", "description": 5},
        ["creator_id", "description", "name"],
    ),
    ("chatterstack", "POST", "/rooms/{room}/members", {"role": "BOSS"}, ["user_id", "role"]),
    (
        "chatterstack",
        "POST",
        "/rooms/{room}/messages",
        {"content": "x" * 4001, "attachments": [BAD_FILE, {}]},
        ["content", *OF_FILES[0], *OF_FILES[1]],
    ),
    ("chatterstack", "POST", "/rooms/{room}/messages", {"attachments": [BAD_FILE]}, OF_FILES[0]),
    (
        "chatterstack",
        "GET",
        "/rooms/{room}/messages",
        "page=0&limit=x&around_message_id=y",
        ["page", "limit", "around_message_id"],
    ),
    ("messenger", "POST", "/auth/register", BAD_REGISTRATION, OF_REGISTRATION),
    ("messenger", "POST", "/groups", {"members": ["x"]}, ["name", "members[0]"]),
    ("messenger", "POST", "/groups/{room}/messages", {"content": " ", "client_id": ""}, ["content", "client_id"]),
    ("messenger", "GET", "/groups/{room}/messages", "cursor=x&limit=101", ["cursor", "limit"]),
    ("chatrooms", "POST", "/auth/register", BAD_REGISTRATION, [*OF_REGISTRATION, "display_name"]),
    (
        "chatrooms",
        "POST",
        "/chatrooms/{room}/messages",
        {"content": {"encrypted_data": 5, "iv": "x" * 65}, "reply_to": "x", "message_type": "song"},
        ["content.encrypted_data", "content.iv", "message_type", "reply_to"],
    ),
]


def named(answer: Answer) -> list[str]:
    """The fields that an error's words name, in order."""
    error = answer.json["error"]
    text = str(error["message"] if isinstance(error, dict) else error)
    return [each.partition(": ")[0] for each in text.split("; ")]


@pytest.mark.parametrize(
    ("front", "method", "path", "sent", "fields"),
    REQUESTS,
    ids=[f"{front} {path} {'+'.join(fields)}"[:70] for front, _, path, _, fields in REQUESTS],
)
async def test_every_wrong_field_is_named(
    world: World, front: str, method: str, path: str, sent: Any, fields: list[str]
) -> None:
    if isinstance(sent, str):
        answer = await world.ask(front, method, path, query=sent)
    else:
        answer = await world.ask(front, method, path, json=sent)
    assert answer.status == (422 if front == "chatrooms" else 400)
    assert named(answer) == fields
    if front == "chatrooms":
        assert [each["field"] for each in answer.json["error"]["details"]["fields"]] == fields


@pytest.mark.parametrize(
    ("front", "frame", "fields"),
    [
        (
            CHATTERSTACK,
            {"event": "send_message", "data": {"content": "x" * 4001, "client_id": ""}},
            ["data.content", "data.room_id", "data.client_id"],
        ),
        (
            CHATROOMS,
            {"event": "send_message", "data": {"content": {"encrypted_data": 5}, "message_type": "song"}},
            ["data.content.encrypted_data", "data.message_type", "data.chatroom_id"],
        ),
        (CHATROOMS, {"event": "add_reaction", "data": {}}, ["data.chatroom_id", "data.message_id", "data.emoji"]),
        (MESSENGER, {"type": "song", "content": " ", "client_id": 5}, ["content", "client_id", "type"]),
    ],
)
async def test_every_wrong_field_of_a_frame_is_named(world: World, front: Any, frame: Any, fields: list[str]) -> None:
    async with world.socket(front) as socket:
        await socket.heard()
        [answer] = await socket.say(frame)
    text = answer["message"] if front is MESSENGER else answer["data"]["message"]
    assert sorted(each.partition(": ")[0] for each in text.split("; ")) == sorted(fields)


async def test_who_sends_many_wrong_items_is_told_of_some(world: World) -> None:
    answer = await world.ask("chatterstack", "POST", "/rooms/{room}/messages", json={"attachments": [{}] * 10})
    assert answer.status == 400
    assert len(named(answer)) == 20
    assert len(answer.body) < 2000


async def test_a_wrong_value_is_not_repeated(world: World) -> None:
    sent = {"username": "x" * 100_000, "email": "secret@", "password": ["hunter2"]}
    for front in ("chatterstack", "messenger"):
        answer = await world.ask(front, "POST", "/auth/register", json=sent)
        assert named(answer) == OF_REGISTRATION
        assert len(answer.body) < 500
        assert b"hunter2" not in answer.body
