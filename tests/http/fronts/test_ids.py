"""Ids in bodies, queries, forms and frames: well formed and of nothing is not found, malformed is invalid."""

from typing import Any

import pytest

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.kit.uuid_ids import IDS
from tests.http.fronts.chatrooms_api import STRANGE_UUID
from tests.http.fronts.every_front import FRONTS, World
from tests.http.service_api import Answer, Part

CHATTERSTACK, CHATROOMS, MESSENGER = FRONTS
UNKNOWN = {
    "chatterstack": ("4096", str(MAX_ID)),
    "chatrooms": (STRANGE_UUID, STRANGE_UUID.upper(), "00000000-0000-0000-0000-000000000000", IDS.encode(4096)),
    "messenger": (STRANGE_UUID, STRANGE_UUID.upper(), "00000000-0000-0000-0000-000000000000", IDS.encode(4096)),
}
"""What a client may take for an id, and what is none."""
MALFORMED = {
    "chatterstack": (
        *("", "x", "0", "017", "-1", "+1", "1.0", " 1", "1\n", "\u0661"),
        *(str(MAX_ID + 1), "9" * 40, STRANGE_UUID),
    ),
    "chatrooms": ("", "x", "17", STRANGE_UUID[:-1], STRANGE_UUID + "0", "{" + STRANGE_UUID + "}"),
    "messenger": ("", "x", "17", STRANGE_UUID[:-1], STRANGE_UUID.replace("-", ""), STRANGE_UUID + "\n"),
}

BODIES: list[tuple[str, str, str, Any, int, int, str]] = [
    # front, method, path, body or query, status of malformed and of unknown, field
    ("chatterstack", "POST", "/rooms/direct", {"peer_user_id": "ID"}, 400, 404, "peer_user_id"),
    ("chatterstack", "POST", "/auth/logout", {"user_id": "ID"}, 400, 403, "user_id"),
    # its README: an unknown user in these is 400, too
    ("chatterstack", "POST", "/rooms", {"name": "a", "member_ids": ["{bob}", "ID"]}, 400, 400, "member_ids[1]"),
    ("chatterstack", "POST", "/rooms", {"name": "a", "creator_id": "ID"}, 400, 400, "creator_id"),
    ("chatterstack", "POST", "/rooms/{room}/members", {"user_id": "ID"}, 400, 400, "user_id"),
    # its contract: 400 for a message that is not of the room
    ("chatterstack", "GET", "/rooms/{room}/messages", "around_message_id=ID", 400, 400, "around_message_id"),
    ("chatterstack", "GET", "/messages/search", "q=x&room_id=ID", 400, 404, "room_id"),
    ("chatrooms", "POST", "/chatrooms/{room}/search", {"query": "x", "user_id": "ID"}, 422, 404, "user_id"),
    (
        "chatrooms",
        "POST",
        "/chatrooms/{room}/messages",
        {"content": {"encrypted_data": "x"}, "reply_to": "ID"},
        422,
        404,
        "reply_to",
    ),
    ("chatrooms", "POST", "/chatrooms/{room}/messages", {"attachments": ["ID"]}, 422, 404, "attachments[0]"),
    ("chatrooms", "POST", "/chatrooms/{room}/keys", {"version": 1, "sealed": {"ID": "x"}}, 422, 404, "sealed"),
    ("chatrooms", "POST", "/chatrooms/{room}/bans", {"user_id": "ID"}, 422, 404, "user_id"),
    ("messenger", "POST", "/conversations", {"user_id": "ID"}, 400, 404, "user_id"),
    ("messenger", "POST", "/conversations", {"other_user_id": "ID"}, 400, 404, "other_user_id"),
    ("messenger", "POST", "/groups", {"name": "a", "members": ["{bob}", "ID"]}, 400, 404, "members[1]"),
    ("messenger", "POST", "/groups/{room}/members", {"user_id": "ID"}, 400, 404, "user_id"),
    ("messenger", "DELETE", "/groups/{room}/members", {"user_id": "ID"}, 400, 404, "user_id"),
]


def put(value: Any, an_id: str) -> Any:
    """JSON with an id where it says ID."""
    if isinstance(value, str):
        return an_id if value == "ID" else value
    if isinstance(value, list):
        return [put(each, an_id) for each in value]
    if isinstance(value, dict):
        return {put(key, an_id): put(each, an_id) for key, each in value.items()}
    return value


def message_of(answer: Answer) -> str:
    error = answer.json["error"]
    return str(error["message"] if isinstance(error, dict) else error)


@pytest.mark.parametrize(
    ("front", "method", "path", "sent", "malformed", "unknown", "field"),
    BODIES,
    ids=[f"{front} {method} {path} {field}" for front, method, path, _, _, _, field in BODIES],
)
async def test_malformed_ids_are_invalid_and_unknown_ones_are_not_found(
    world: World, front: str, method: str, path: str, sent: Any, malformed: int, unknown: int, field: str
) -> None:
    for ids, status in ((MALFORMED[front], malformed), (UNKNOWN[front], unknown)):
        for an_id in ids:
            if isinstance(sent, str):
                query = dict(each.split("=") for each in sent.split("&"))
                answer = await world.ask(front, method, path, query=put(query, an_id))
            else:
                answer = await world.ask(front, method, path, json=put(sent, an_id))
            assert answer.status == status, (an_id, answer.body)
            if status != unknown:
                assert message_of(answer).startswith(f"{field}: "), answer.body


@pytest.mark.parametrize("front", [front.name for front in FRONTS])
async def test_in_a_path_nothing_but_an_id_is_found(world: World, front: str) -> None:
    path = {"chatterstack": "/rooms/ID", "chatrooms": "/chatrooms/ID", "messenger": "/groups/ID"}[front]
    for an_id in (*UNKNOWN[front], "x", "17x", "%20", "null", "a%20b"):
        assert (await world.ask(front, "GET", path.replace("ID", an_id))).status == 404, an_id


async def test_an_upload_to_a_chatroom_that_is_not_there_is_not_found(world: World) -> None:
    for ids, status, code in (
        (UNKNOWN["chatrooms"], 404, "CHATROOM_NOT_FOUND"),
        (MALFORMED["chatrooms"], 422, "VALIDATION_INVALID_FORMAT"),
    ):
        for an_id in ids:
            for parts in ([Part("chatroom_id", an_id), Part("file", b"x", "a.txt")], [Part("file", b"x", "a.txt")]):
                if len(parts) == 1:
                    parts.append(Part("chatroom_id", an_id))
                answer = await world.ask("chatrooms", "POST", "/upload/file", parts=parts)
                assert (answer.status, answer.json["error"]["code"]) == (status, code), an_id


FRAMES: list[tuple[Any, Any, str, str]] = [
    # front, frame, field, what is not found
    (CHATTERSTACK, {"event": "send_message", "data": {"room_id": "ID", "content": "x"}}, "room_id", "room"),
    (CHATTERSTACK, {"event": "typing_start", "data": {"room_id": "ID"}}, "room_id", "room"),
    (CHATROOMS, {"event": "join_chatroom", "data": {"chatroom_id": "ID"}}, "chatroom_id", "CHATROOM_NOT_FOUND"),
    (CHATROOMS, {"event": "typing_stop", "data": {"chatroom_id": "ID"}}, "chatroom_id", "CHATROOM_NOT_FOUND"),
    (
        CHATROOMS,
        {"event": "send_message", "data": {"chatroom_id": "ID", "content": {"encrypted_data": "x"}}},
        "chatroom_id",
        "CHATROOM_NOT_FOUND",
    ),
    (
        CHATROOMS,
        {
            "event": "send_message",
            "data": {"chatroom_id": "{room}", "content": {"encrypted_data": "x"}, "reply_to": "ID"},
        },
        "reply_to",
        "MESSAGE_NOT_FOUND",
    ),
    (
        CHATROOMS,
        {"event": "send_message", "data": {"chatroom_id": "{room}", "attachments": ["ID"]}},
        "attachments[0]",
        "FILE_NOT_FOUND",
    ),
    (
        CHATROOMS,
        {"event": "message_read", "data": {"chatroom_id": "{room}", "message_id": "ID"}},
        "message_id",
        "MESSAGE_NOT_FOUND",
    ),
    (
        CHATROOMS,
        {"event": "add_reaction", "data": {"chatroom_id": "{room}", "message_id": "ID", "emoji": "🍋"}},
        "message_id",
        "MESSAGE_NOT_FOUND",
    ),
    (MESSENGER, {"type": "message", "group_id": "ID", "content": "x"}, "group_id", "Resource not found"),
    (MESSENGER, {"type": "message", "conversation_id": "ID", "content": "x"}, "conversation_id", "Resource not found"),
]


@pytest.mark.parametrize(
    ("front", "frame", "field", "missing"), FRAMES, ids=[f"{each[0].name} {each[2]} {each[1]}"[:60] for each in FRAMES]
)
async def test_ids_in_frames_are_told_apart_in_the_same_way(
    world: World, front: Any, frame: Any, field: str, missing: str
) -> None:
    async with world.socket(front) as socket:
        await socket.heard()
        for an_id in MALFORMED[front.name]:
            [answer] = await socket.say(put(frame, an_id))
            if front is CHATTERSTACK:
                assert answer["data"]["code"] == "invalid", an_id
                assert answer["data"]["message"].startswith(f"data.{field}: ")
            elif front is CHATROOMS:
                [problem] = answer["data"]["details"]["fields"]
                assert problem["field"] == f"data.{field}", an_id
                assert answer["data"]["code"] == "VALIDATION_INVALID_FORMAT"
            elif an_id:  # an empty id is none: then there is neither conversation nor group
                assert answer["message"].startswith(f"{field}: "), an_id
        for an_id in UNKNOWN[front.name]:
            [answer] = await socket.say(put(frame, an_id))
            if front is CHATTERSTACK:
                assert (answer["data"]["code"], answer["data"]["message"]) == ("not_found", f"{missing} not found")
            elif front is CHATROOMS:
                assert answer["data"]["code"] == missing, an_id
            else:
                assert answer["message"] == missing, an_id
