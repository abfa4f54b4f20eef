"""The chatrooms WebSocket: who gets in, every event both ways with its fields, and what it makes of nonsense."""

import json
from contextlib import AsyncExitStack

import httpx2
import pytest
from trio_websocket import ConnectionClosed

from tests.e2e.chatrooms import MESSAGE_FIELDS, Chatrooms, code_of, plain
from tests.e2e.client import Json
from tests.e2e.processes import LIMIT_S

NOBODY = "00000000-0000-4000-8000-000000000001"
"""A UUID, and no id of anything."""
TOKEN_INVALID = 4401


async def refused(chatrooms: Chatrooms, query: str) -> tuple[int, str]:
    """How a socket with this query is refused, before the upgrade."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with httpx2.AsyncClient(timeout=LIMIT_S, **chatrooms.server.listener.http1_options) as http:
        answer = await http.get(f"{chatrooms.server.url}/chatrooms/ws{query}", headers=handshake)
    return answer.status_code, code_of(answer)


# --- who gets in ------------------------------------------------------------------------------------------------------


async def test_without_a_valid_token_the_upgrade_is_refused(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.guest("ann")
    for query in ("", "?token=", "?token=x", f"?access_token={ann.token}", f"?token={ann.token[:-2]}"):
        assert await refused(chatrooms, query) == (401, "AUTH_TOKEN_INVALID"), query


async def test_a_user_has_five_sockets_and_a_place_is_free_when_one_closes(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    limit = (429, "CONNECTION_LIMIT_EXCEEDED")
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(chatrooms.socket(bob, room))
        sockets = [await stack.enter_async_context(chatrooms.socket(ann, room)) for _ in range(4)]
        async with chatrooms.socket(ann, room) as fifth:
            for _ in range(2):
                assert await refused(chatrooms, f"?token={ann.token}") == limit
            await other.say(room, "to all five")
            for socket in (*sockets, fifth, other):
                assert [each["content"] for each in await socket.messages(1)] == [plain("to all five")]
        async with chatrooms.socket(ann, room) as sixth:
            assert await refused(chatrooms, f"?token={ann.token}") == limit
            assert await sixth.fence() == []


async def test_logging_out_ends_the_sockets_of_that_log_in(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann)
    async with chatrooms.socket(ann, room) as socket:
        await chatrooms.do("POST", "/auth/logout", ann)
        assert await socket.closed() == TOKEN_INVALID
    assert await refused(chatrooms, f"?token={ann.token}") == (401, "AUTH_TOKEN_INVALID")


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_a_message_reaches_every_socket_in_the_chatroom_with_all_its_fields(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(chatrooms.socket(each, room)) for each in (ann, ann, bob)]
        await sockets[0].say(room, "Tea? ☕", message_type="text", reply_to=None, client_id="c-1")
        received = [(await socket.messages(1))[0] for socket in sockets]
        assert received == [received[0]] * 3
        first = received[0]
        assert set(first) == {*MESSAGE_FIELDS, "client_id"}
        assert first | {"id": "", "created_at": ""} == {
            "id": "",
            "chatroom_id": room,
            "user_id": ann.id,
            "username": ann.username,
            "display_name": "Ann",
            "avatar_url": None,
            "content": plain("Tea? ☕"),
            "message_type": "text",
            "reply_to": None,
            "attachments": [],
            "reactions": [],
            "edited_at": None,
            "created_at": "",
            "client_id": "c-1",
        }
        await sockets[2].say(room, "Yes!", reply_to=first["id"])
        answers = [(await socket.messages(1))[0] for socket in sockets]
        assert answers == [answers[0]] * 3
        assert (answers[0]["reply_to"], answers[0]["user_id"]) == (first["id"], bob.id)
        assert (await chatrooms.history(bob, room))[-2:] == [first, answers[0]]


async def test_a_retry_tells_its_sender_alone_and_other_content_under_its_id_is_refused(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    async with chatrooms.socket(ann, room) as mine, chatrooms.socket(bob, room) as his:
        await mine.say(room, "once", client_id="k")
        first = await mine.messages(1)
        assert await his.messages(1) == first
        await mine.say(room, "once", client_id="k")
        assert await mine.messages(1) == first
        await mine.say(room, "twice", client_id="k")
        error = await mine.refused()
        assert error["code"] == "RESOURCE_ALREADY_EXISTS"
        assert (error["details"]["chatroom_id"], error["details"]["client_id"]) == (room, "k")
        assert await his.fence() == []
        assert [each["content"] for each in await chatrooms.history(ann, room) if each["message_type"] == "text"] == [
            plain("once")
        ]


async def test_edits_deletions_and_reactions_are_told_with_their_fields(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    message = await chatrooms.post(ann, room, "Tae?")
    here = f"/chatrooms/{room}/messages/{message['id']}"
    about = {"chatroom_id": room, "message_id": message["id"]}
    async with chatrooms.socket(ann, room) as mine, chatrooms.socket(bob, room) as his:
        await chatrooms.do("PUT", here, ann, {"content": plain("Tea?")})
        for socket in (mine, his):
            edited = (await socket.expect("message_edited"))["message"]
            assert edited["edited_at"] and edited["content"] == plain("Tea?")
            assert edited | {"edited_at": None, "content": message["content"]} == message
        await his.send("add_reaction", **about, emoji="👍")
        for socket in (mine, his):
            added = await socket.expect("reaction_added")
            assert set(added) == {"chatroom_id", "message_id", "reaction"}
            reaction = added["reaction"]
            assert added == {**about, "reaction": reaction}
            assert reaction == {
                "user_id": bob.id,
                "username": bob.username,
                "emoji": "👍",
                "created_at": reaction["created_at"],
            }
        assert (await chatrooms.get(here, ann))["message"]["reactions"] == [reaction]
        await his.send("add_reaction", **about, emoji="👍")  # twice is once
        await his.send("remove_reaction", **about, emoji="👍")
        for socket in (mine, his):
            assert await socket.expect("reaction_removed") == {**about, "user_id": bob.id, "emoji": "👍"}
        await chatrooms.do("DELETE", here, ann)
        for socket in (mine, his):
            assert await socket.expect("message_deleted") == about
            assert await socket.fence() == []


async def test_reading_moves_the_mark_that_the_chatroom_shows(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    messages = [await chatrooms.post(ann, room, f"{number}") for number in range(3)]

    async def unread() -> int:
        [listed] = (await chatrooms.get("/chatrooms", bob))["chatrooms"]
        return int(listed["unread_count"])

    assert await unread() == 3
    async with chatrooms.socket(bob, room) as socket:
        await socket.send("message_read", chatroom_id=room, message_id=messages[1]["id"])
        await socket.say(room, "whose answer comes after that")
        await socket.messages(1)
        assert await unread() == 1
        members = (await chatrooms.get(f"/chatrooms/{room}", ann))["members"]
        marks = {member["user_id"]: member["last_read_at"] for member in members}
        assert marks[bob.id] is not None
        await socket.send("message_read", chatroom_id=room, message_id=NOBODY)
        assert (await socket.refused())["code"] == "MESSAGE_NOT_FOUND"
        assert await unread() == 1


# --- members and the chatroom itself ----------------------------------------------------------------------------------


async def test_joining_and_leaving_are_told_with_their_fields_and_as_system_messages(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, is_private=True)
    async with chatrooms.socket(ann, room) as mine, chatrooms.socket(bob) as his:
        invited = await chatrooms.do("POST", f"/chatrooms/{room}/invite", ann, {})
        await chatrooms.do("POST", f"/chatrooms/join/{invited['invitation']['invite_code']}", bob)
        user = {"id": bob.id, "username": bob.username, "display_name": "Bob", "avatar_url": None}
        assert await mine.expect("user_joined") == {"chatroom_id": room, "user": user}
        [told] = await mine.messages(1)
        assert (told["message_type"], told["user_id"], told["content"]["key_version"]) == ("system", bob.id, 0)
        assert await his.expect("chatroom_added") == {"chatroom_id": room, "name": "tea"}
        await his.join(room)
        await chatrooms.do("POST", f"/chatrooms/{room}/leave", bob)
        [told] = await mine.messages(1)
        assert (told["message_type"], told["user_id"]) == ("system", bob.id)
        assert await mine.expect("user_left") == {"chatroom_id": room, "user_id": bob.id}
        assert (await chatrooms.history(ann, room))[-1] == told


async def test_who_is_removed_hears_of_it_and_of_nothing_more(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    async with chatrooms.socket(ann, room) as mine, chatrooms.socket(bob, room) as his:
        await mine.say(room, "before")
        before = await mine.messages(1)
        assert await his.messages(1) == before
        await chatrooms.do("DELETE", f"/chatrooms/{room}/members/{bob.id}", ann)
        await mine.say(room, "after")
        [told] = await mine.messages(1)
        assert told["message_type"] == "system"
        await mine.expect("user_left")
        assert [each["content"] for each in await mine.messages(1)] == [plain("after")]
        assert await his.fence() == [
            {"event": "message_received", "data": {"message": told}},
            {"event": "user_left", "data": {"chatroom_id": room, "user_id": bob.id}},
            {"event": "chatroom_removed", "data": {"chatroom_id": room}},
        ]
        for event, more in (
            ("send_message", {"content": plain("still here?"), "client_id": "c"}),
            ("typing_start", {}),
            ("message_read", {"message_id": before[0]["id"]}),
            ("add_reaction", {"message_id": before[0]["id"], "emoji": "👍"}),
            ("join_chatroom", {}),
        ):
            await his.send(event, chatroom_id=room, **more)
            error = await his.refused()
            assert (error["code"], error["details"]["chatroom_id"]) == ("CHATROOM_ACCESS_DENIED", room), event
        assert await mine.fence() == []


async def test_settings_roles_and_the_end_of_a_chatroom_are_told(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    async with chatrooms.socket(bob, room) as socket:
        settings = {
            "name": "coffee",
            "description": "instead",
            "max_members": 7,
            "auto_summary_enabled": False,
            "summary_threshold": 20,
        }
        await chatrooms.do("PUT", f"/chatrooms/{room}", ann, settings)
        assert await socket.expect("chatroom_updated") == {"chatroom_id": room, **settings}
        await chatrooms.do("PUT", f"/chatrooms/{room}/members/{bob.id}", ann, {"role": "moderator"})
        about = {"chatroom_id": room, "user_id": bob.id}
        assert await socket.expect("role_changed") == {**about, "role": "moderator"}
        await chatrooms.do("DELETE", f"/chatrooms/{room}", ann)
        events = await socket.fence()
        assert {"event": "chatroom_deleted", "data": {"chatroom_id": room}} in events
        assert {each["event"] for each in events} <= {"chatroom_deleted", "chatroom_removed"}
        await socket.say(room, "anybody?")
        assert (await socket.refused())["code"] == "CHATROOM_NOT_FOUND"


async def test_a_socket_hears_of_a_chatroom_from_joining_it_to_leaving_it(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room, other = await chatrooms.room(ann, bob), await chatrooms.room(ann, bob)
    async with chatrooms.socket(bob) as his, chatrooms.socket(ann, room, other) as mine:
        await mine.say(room, "too early")
        await mine.messages(1)
        assert await his.fence() == []
        await his.join(room, room)  # twice is once
        await mine.say(room, "heard")
        await mine.say(other, "in another chatroom")
        [_, _] = await mine.messages(2)
        assert [each["content"] for each in await his.messages(1)] == [plain("heard")]
        await his.send("leave_chatroom", chatroom_id=room)
        assert await his.expect("chatroom_left") == {"chatroom_id": room}
        await mine.say(room, "too late")
        await mine.messages(1)
        assert await his.fence() == []
        detail = await chatrooms.get(f"/chatrooms/{room}", bob)  # but is a member as before
        assert bob.id in [member["user_id"] for member in detail["members"]]


async def test_only_members_may_hear_of_a_chatroom(chatrooms: Chatrooms) -> None:
    ann, eve = await chatrooms.guests("ann", "eve")
    room = await chatrooms.room(ann)
    async with chatrooms.socket(eve) as hers, chatrooms.socket(ann, room) as mine:
        await hers.send("join_chatroom", chatroom_id=room)
        error = await hers.refused()
        assert (error["code"], error["details"]["chatroom_id"]) == ("CHATROOM_ACCESS_DENIED", room)
        for nothing, code in (
            (NOBODY, "CHATROOM_NOT_FOUND"),
            ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "CHATROOM_NOT_FOUND"),
            ("tea", "VALIDATION_INVALID_FORMAT"),
            ("", "VALIDATION_INVALID_FORMAT"),
            (room[:-1], "VALIDATION_INVALID_FORMAT"),
        ):
            await hers.send("join_chatroom", chatroom_id=nothing)
            assert (await hers.refused())["code"] == code
        await mine.say(room, "secret")
        await mine.messages(1)
        assert await hers.fence() == []


# --- typing -----------------------------------------------------------------------------------------------------------


async def test_the_others_see_who_is_typing_and_the_typist_does_not(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob)
    async with chatrooms.socket(ann, room) as mine, chatrooms.socket(bob, room) as his:
        await mine.send("typing_start", chatroom_id=room)
        await mine.send("typing_stop", chatroom_id=room)
        about = {"chatroom_id": room, "user_id": ann.id, "username": ann.username}
        assert await his.expect("typing_indicator") == {**about, "is_typing": True}
        assert await his.expect("typing_indicator") == {**about, "is_typing": False}
        assert await mine.fence() == []
        assert await his.fence() == []


# --- nonsense ---------------------------------------------------------------------------------------------------------

_TEXT: Json = {"encrypted_data": "x"}
_CONTENT: Json = {"content": _TEXT}
_MESSAGES: list[Json] = [
    {},
    {"content": "x"},
    {"content": None},
    {"content": {}},
    {"content": {"encrypted_data": ""}},
    {"content": {"encrypted_data": 1}},
    {"content": {"encrypted_data": None}},
    {"content": {**_TEXT, "iv": 1}},
    {"content": {**_TEXT, "iv": "x" * 65}},
    {"content": {**_TEXT, "key_version": -1}},
    {"content": {**_TEXT, "key_version": "1"}},
    {"content": {**_TEXT, "key_version": 1.5}},
    {"content": {**_TEXT, "key_version": 2**31}},
    {"content": {"encrypted_data": "x" * 4001}},
    {"content": {"encrypted_data": "x" * 21_357, "key_version": 1}},
    {**_CONTENT, "message_type": "system"},
    {**_CONTENT, "message_type": "video"},
    {**_CONTENT, "reply_to": 5},
    {**_CONTENT, "reply_to": "5"},
    {**_CONTENT, "reply_to": NOBODY},
    {**_CONTENT, "client_id": ""},
    {**_CONTENT, "client_id": 7},
    {**_CONTENT, "client_id": "x" * 256},
    {**_CONTENT, "attachments": "x"},
    {**_CONTENT, "attachments": ["x"]},
    {**_CONTENT, "attachments": [NOBODY] * 11},
    {**_CONTENT, "attachments": [{"url": "https://h.example"}]},
]
MALFORMED = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    '"x"',
    "1e999",
    "[" * 100_000,
    '{"event": "send_message"',
    '{"data": {}}',
    '{"event": null, "data": {}}',
    '{"event": 1, "data": {}}',
    '{"event": "nothing", "data": {}}',
    '{"event": "message_received", "data": {}}',
    '{"event": "join_chatroom"}',
    '{"event": "join_chatroom", "data": null}',
    '{"event": "join_chatroom", "data": []}',
    '{"event": "join_chatroom", "data": {}}',
    '{"event": "join_chatroom", "data": {"chatroom_id": null}}',
    '{"event": "join_chatroom", "data": {"chatroom_id": 5}}',
    '{"event": "leave_chatroom", "data": {"chatroom_id": [""]}}',
    '{"event": "typing_start", "data": {"chatroom_id": {}}}',
    '{"event": "typing_stop", "data": {}}',
    '{"event": "message_read", "data": {"chatroom_id": "ROOM"}}',
    '{"event": "message_read", "data": {"chatroom_id": "ROOM", "message_id": 1}}',
    '{"event": "add_reaction", "data": {"chatroom_id": "ROOM", "message_id": "x"}}',
    *(json.dumps({"event": "send_message", "data": {"chatroom_id": "ROOM"} | data}) for data in _MESSAGES),
]


async def test_whatever_a_client_sends_is_answered_with_an_error_and_the_socket_stays_open(
    chatrooms: Chatrooms,
) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann)
    before = await chatrooms.history(ann, room)
    async with chatrooms.socket(ann, room) as socket:
        for frame in MALFORMED:
            await socket.ws.send_message(frame.replace("ROOM", room))
            error = await socket.refused()
            assert error["code"] not in ("INTERNAL_ERROR", "SERVICE_UNAVAILABLE"), (frame[:200], error)
        for binary in (b"", b"{}", b"\xff\x00", json.dumps({"event": "typing_start"}).encode()):
            await socket.ws.send_message(binary)
            assert (await socket.refused())["code"] == "VALIDATION_INVALID_FORMAT"
        assert await chatrooms.history(ann, room) == before
        await socket.say(room, "still here")
        assert [each["content"] for each in await socket.messages(1)] == [plain("still here")]


async def test_an_error_says_what_was_wrong_and_what_it_is_about(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann)
    async with chatrooms.socket(ann, room) as socket:
        about = {"chatroom_id": room, "client_id": "c"}
        for content, code in (
            ({"encrypted_data": "x" * 4001}, "MESSAGE_TOO_LONG"),
            ({"iv": "x"}, "VALIDATION_REQUIRED_FIELD"),
            ({"encrypted_data": 7}, "VALIDATION_INVALID_FORMAT"),
            ({"encrypted_data": "x", "key_version": -1}, "VALIDATION_INVALID_VALUE"),
        ):
            await socket.send("send_message", **about, content=content)
            error = await socket.refused()
            assert error["code"] == code, error
            assert {name: error["details"][name] for name in about} == about
            assert error["details"]["fields"], error


async def test_a_frame_beyond_the_limit_ends_the_socket(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann)
    async with chatrooms.socket(ann, room) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.ws.send_message("x" * (4 * 1024 * 1024))
            await socket.next()
