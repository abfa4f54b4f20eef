"""The chatrooms front's messages: sending, history, editing, deleting, reactions."""

from typing import Any
from urllib.parse import quote

import pytest

from chinwag.engine.rooms.message_rules import MOST_EMOJI
from chinwag.http.fronts.chatrooms.requests import MAX_SEALED
from tests.engine.rooms.states import emojis
from tests.http.fronts.chatrooms_api import NOBODY, NOT_IDS, STRANGE_UUID, Chatrooms, refused, succeeded, wrong_fields
from tests.http.service_api import Person

MESSAGE = [
    "id",
    "chatroom_id",
    "user_id",
    "username",
    "display_name",
    "avatar_url",
    "content",
    "message_type",
    "reply_to",
    "attachments",
    "reactions",
    "edited_at",
    "created_at",
]
PLAIN = {"content": {"encrypted_data": "hello"}}


async def history(chatrooms: Chatrooms, person: Person, room: str, **query: object) -> Any:
    return succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}/messages", as_=person, query=query))


# --- sending ------------------------------------------------------------------------------------------------------


async def test_a_message_has_the_specs_fields(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    content = {"encrypted_data": "hello", "iv": "", "key_version": 0}
    answer = await chatrooms.ask("POST", f"/chatrooms/{room}/messages", as_=ann, json={"content": content})
    data = succeeded(answer, 201)
    assert list(data) == ["message"]
    message = data["message"]
    assert list(message) == MESSAGE
    assert {name: message[name] for name in message if name not in ("id", "created_at")} == {
        "chatroom_id": room,
        "user_id": ann.id,
        "username": "ann",
        "display_name": "Ann",
        "avatar_url": None,
        "content": content,
        "message_type": "text",
        "reply_to": None,
        "attachments": [],
        "reactions": [],
        "edited_at": None,
    }
    assert list(message["content"]) == ["encrypted_data", "iv", "key_version"]
    shown = await chatrooms.ask("GET", f"/chatrooms/{room}/messages/{message['id']}", as_=ann)
    assert succeeded(shown) == {"message": message}
    assert (await history(chatrooms, ann, room))["messages"] == [message]


async def test_encrypted_content_comes_back_bit_for_bit(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    for content in (
        {"encrypted_data": "c2VhbGVk", "iv": "aXY=", "key_version": 1},
        {"encrypted_data": " not even Base64 🍵 ", "iv": "", "key_version": 2**31 - 1},
        {"encrypted_data": "x" * MAX_SEALED, "iv": "y" * 64, "key_version": 7},
        {"encrypted_data": "plain with an iv", "iv": "aXY=", "key_version": 0},
    ):
        sent = await chatrooms.send(ann, room, content=content)
        assert sent["content"] == content
        assert (await history(chatrooms, bob, room, limit=1))["messages"] == [sent]


@pytest.mark.parametrize("kind", ["text", "image", "file"])
async def test_a_message_is_of_a_type_and_may_be_a_reply(chatrooms: Chatrooms, kind: str) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    first = await chatrooms.send(ann, room, "first")
    sent = await chatrooms.send(ann, room, "second", message_type=kind, reply_to=first["id"])
    assert (sent["message_type"], sent["reply_to"]) == (kind, first["id"])


async def test_a_message_lists_every_wrong_field(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    path = f"/chatrooms/{await chatrooms.chatroom(ann)}/messages"
    wrong = {"message_type": "system", "reply_to": 5, "client_id": "", "attachments": ["x"] * 11}
    assert wrong_fields(await chatrooms.ask("POST", path, as_=ann, json=wrong)) == {
        "message_type": "VALIDATION_INVALID_VALUE",
        "reply_to": "VALIDATION_INVALID_FORMAT",
        "client_id": "VALIDATION_INVALID_VALUE",
        "attachments": "VALIDATION_LENGTH_EXCEEDED",
    }
    for content, field, code in (
        ("hello", "content", "INVALID_FORMAT"),
        ({}, "content.encrypted_data", "REQUIRED_FIELD"),
        (None, "content", "REQUIRED_FIELD"),
        ({"encrypted_data": None}, "content.encrypted_data", "REQUIRED_FIELD"),
        ({"encrypted_data": ""}, "content.encrypted_data", "INVALID_VALUE"),
        ({"encrypted_data": "x", "iv": "y" * 65}, "content.iv", "LENGTH_EXCEEDED"),
        ({"encrypted_data": "x", "key_version": -1}, "content.key_version", "INVALID_VALUE"),
        ({"encrypted_data": "x", "key_version": 2**31}, "content.key_version", "INVALID_VALUE"),
        ({"encrypted_data": "x", "key_version": "1"}, "content.key_version", "INVALID_FORMAT"),
    ):
        answer = await chatrooms.ask("POST", path, as_=ann, json={"content": content})
        assert wrong_fields(answer) == {field: f"VALIDATION_{code}"}
    answer = await chatrooms.ask("POST", path, as_=ann, json={**PLAIN, "client_id": "x" * 256})
    assert wrong_fields(answer) == {"client_id": "VALIDATION_LENGTH_EXCEEDED"}


async def test_a_content_that_is_too_long_is_told_so(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    message = await chatrooms.send(ann, room, "🍵" * 4000)
    for content in ({"encrypted_data": "x" * 4001}, {"encrypted_data": "x" * (MAX_SEALED + 1), "key_version": 1}):
        for method, path in (("POST", ""), ("PUT", f"/{message['id']}")):
            answer = await chatrooms.ask(
                method, f"/chatrooms/{room}/messages{path}", as_=ann, json={"content": content}
            )
            [(field, code)] = wrong_fields(answer).items()
            assert (field, code) == ("content", "VALIDATION_LENGTH_EXCEEDED")
            refused(answer, 422, "MESSAGE_TOO_LONG")


async def test_a_client_id_posts_once(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room, other = await chatrooms.chatroom(ann, bob), await chatrooms.chatroom(ann)
    first = await chatrooms.send(ann, room, "hello", client_id="k" * 255)
    assert list(first) == [*MESSAGE, "client_id"]
    assert first["client_id"] == "k" * 255
    assert await chatrooms.send(ann, room, "hello", client_id="k" * 255) == first
    for change in (
        {"content": {"encrypted_data": "other"}},
        {"content": {"encrypted_data": "hello", "iv": "aXY=", "key_version": 1}},
        {"message_type": "file"},
        {"reply_to": first["id"]},
    ):
        body = {**PLAIN, "client_id": "k" * 255, **change}
        answer = await chatrooms.ask("POST", f"/chatrooms/{room}/messages", as_=ann, json=body)
        assert refused(answer, 409, "RESOURCE_ALREADY_EXISTS") == {"what": "idempotency_key"}
    for author, there in ((bob, room), (ann, other)):
        assert (await chatrooms.send(author, there, "hello", client_id="k" * 255))["id"] != first["id"]
    assert (await history(chatrooms, ann, room))["pagination"]["total"] == 3  # with the one that tells of bob


async def test_a_reply_is_to_a_living_message_of_the_same_chatroom(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room, other = [await chatrooms.chatroom(ann) for _ in range(2)]
    elsewhere, gone = await chatrooms.send(ann, other), await chatrooms.send(ann, room)
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/messages/{gone['id']}", as_=ann))
    for wrong in (elsewhere["id"], gone["id"], NOBODY, ann.id, room, STRANGE_UUID):
        body = {**PLAIN, "reply_to": wrong}
        answer = await chatrooms.ask("POST", f"/chatrooms/{room}/messages", as_=ann, json=body)
        refused(answer, 404, "MESSAGE_NOT_FOUND")


# --- history ------------------------------------------------------------------------------------------------------


async def test_pages_count_from_the_newest_and_hold_each_message_once(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    sent = [(await chatrooms.send(ann, room, f"{n}"))["id"] for n in range(7)]
    found = []
    for page, count, more in ((1, 3, True), (2, 3, True), (3, 1, False), (4, 0, False)):
        data = await history(chatrooms, ann, room, page=page, limit=3)
        assert list(data) == ["messages", "pagination"]
        before = data["messages"][-1]["created_at"] if more else None
        assert data["pagination"] == {"page": page, "limit": 3, "total": 7, "has_more": more, "next_before": before}
        assert len(data["messages"]) == count
        found += [each["id"] for each in data["messages"]]
    assert found == sent[::-1]
    assert (await history(chatrooms, ann, room))["pagination"]["limit"] == 50


async def test_before_and_after_exclude_their_time_and_meet_without_a_gap(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    sent = [await chatrooms.send(ann, room, f"{n}") for n in range(9)]
    ids = [each["id"] for each in sent]

    async def between(**times: object) -> list[str]:
        data = await history(chatrooms, ann, room, **times)
        assert data["pagination"]["total"] == len(data["messages"])
        return [each["id"] for each in data["messages"]][::-1]

    for position, message in enumerate(sent):
        assert await between(before=message["created_at"]) == ids[:position]
        assert await between(after=message["created_at"]) == ids[position + 1 :]
    assert await between(after=sent[1]["created_at"], before=sent[5]["created_at"]) == ids[2:5]
    assert await between(after=sent[5]["created_at"], before=sent[1]["created_at"]) == []

    walked: list[str] = []  # backwards, three at a time, while others go on writing
    before: dict[str, object] = {}
    while True:
        data = await history(chatrooms, ann, room, limit=3, **before)
        if not data["messages"]:
            break
        walked += [each["id"] for each in data["messages"]]
        before = {"before": data["messages"][-1]["created_at"]}
        await chatrooms.send(ann, room, "meanwhile")
    assert walked == ids[::-1]


async def test_times_are_taken_in_any_zone_and_as_utc_without_one(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    await chatrooms.send(ann, room)
    for time, total in (
        ("2000-01-01T00:00:00Z", 1),
        ("2000-01-01T00:00:00", 1),
        ("2000-01-01T00:00:00+05:30", 1),
        ("2999-01-01T00:00:00.123456-08:00", 0),
        ("0001-01-01T00:00:00+14:00", 1),
        ("9999-12-31T23:59:59-14:00", 0),
    ):
        assert (await history(chatrooms, ann, room, after=time))["pagination"]["total"] == total, time
        assert (await history(chatrooms, ann, room, before=time))["pagination"]["total"] == 1 - total, time


async def test_wrong_parameters_of_the_history_are_all_named(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    path = f"/chatrooms/{await chatrooms.chatroom(ann)}/messages"
    query = {"page": -1, "limit": 0, "before": "yesterday", "after": "1700000000"}
    assert wrong_fields(await chatrooms.ask("GET", path, as_=ann, query=query)) == {
        "page": "VALIDATION_INVALID_VALUE",
        "limit": "VALIDATION_INVALID_VALUE",
        "before": "VALIDATION_INVALID_FORMAT",
        "after": "VALIDATION_INVALID_FORMAT",
    }


# --- editing and deleting -----------------------------------------------------------------------------------------


async def test_an_edit_replaces_the_content_alone(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    first = await chatrooms.send(ann, room, "first")
    message = await chatrooms.send(ann, room, "hello", message_type="file", reply_to=first["id"])
    path = f"/chatrooms/{room}/messages/{message['id']}"
    for content in (
        {"encrypted_data": "bye", "iv": "", "key_version": 0},
        {"encrypted_data": "c2VhbGVk", "iv": "aXY=", "key_version": 4},
    ):
        edited = succeeded(await chatrooms.ask("PUT", path, as_=ann, json={"content": content}))["message"]
        assert edited["edited_at"] > message["created_at"]
        assert {**edited, "edited_at": None} == {**message, "content": content}
        assert succeeded(await chatrooms.ask("GET", path, as_=bob))["message"] == edited
    answer = await chatrooms.ask("PUT", path, as_=ann, json={})
    assert wrong_fields(answer) == {"content": "VALIDATION_REQUIRED_FIELD"}


async def test_a_deleted_message_is_gone_for_good(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    message = await chatrooms.send(bob, room, "secret")
    path = f"/chatrooms/{room}/messages/{message['id']}"
    answer = await chatrooms.ask("DELETE", path, as_=ann)  # as the owner
    assert answer.json == {"success": True, "message": "Message deleted"}
    for method, below, body in (
        ("GET", "", None),
        ("PUT", "", PLAIN),
        ("DELETE", "", None),
        ("POST", "/reactions", {"emoji": "🍵"}),
        ("DELETE", "/reactions/x", None),
    ):
        refused(await chatrooms.ask(method, path + below, as_=bob, json=body), 404, "MESSAGE_NOT_FOUND")
    assert b"secret" not in (await chatrooms.ask("GET", f"/chatrooms/{room}/messages", as_=bob)).body


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("PUT", "", PLAIN),
        ("DELETE", "", None),
        ("POST", "/read", None),
        ("POST", "/reactions", {"emoji": "🍵"}),
        ("DELETE", "/reactions/x", None),
    ],
)
async def test_what_no_message_has_as_its_id_is_not_found(
    chatrooms: Chatrooms, method: str, below: str, body: object
) -> None:
    ann = await chatrooms.person("ann")
    room, other = [await chatrooms.chatroom(ann) for _ in range(2)]
    elsewhere = await chatrooms.send(ann, other)
    for wrong in (elsewhere["id"], NOBODY, ann.id, room, *NOT_IDS):
        answer = await chatrooms.ask(method, f"/chatrooms/{room}/messages/{wrong}{below}", as_=ann, json=body)
        refused(answer, 404, "MESSAGE_NOT_FOUND")


async def test_what_the_chatroom_said_itself_stays(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    [told] = (await history(chatrooms, bob, room))["messages"]
    path = f"/chatrooms/{room}/messages/{told['id']}"
    refused(await chatrooms.ask("PUT", path, as_=bob, json=PLAIN), 403, "MESSAGE_EDIT_DENIED")
    refused(await chatrooms.ask("DELETE", path, as_=bob), 403, "MESSAGE_DELETE_DENIED")
    succeeded(await chatrooms.ask("DELETE", path, as_=ann))


# --- reactions ----------------------------------------------------------------------------------------------------


async def test_reactions_come_and_go(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    message = await chatrooms.send(ann, room)
    path = f"/chatrooms/{room}/messages/{message['id']}/reactions"
    for person, emoji in ((bob, "🍵"), (ann, "🍵"), (bob, "👩‍👩‍👧"), (bob, "🍵")):
        answer = await chatrooms.ask("POST", path, as_=person, json={"emoji": emoji})
        reactions = succeeded(answer, 201)["message"]["reactions"]
    assert [list(each) for each in reactions] == [["user_id", "username", "emoji", "created_at"]] * 3
    given = [(each["user_id"], each["username"], each["emoji"]) for each in reactions]
    assert given == [(bob.id, "bob", "🍵"), (ann.id, "ann", "🍵"), (bob.id, "bob", "👩‍👩‍👧")]
    [shown, *_] = (await history(chatrooms, ann, room))["messages"]
    assert shown["reactions"] == reactions
    left = succeeded(await chatrooms.ask("DELETE", f"{path}/{quote('🍵')}", as_=bob))["message"]["reactions"]
    assert left == reactions[1:]
    refused(await chatrooms.ask("DELETE", f"{path}/{quote('🍵')}", as_=bob), 404, "RESOURCE_NOT_FOUND")


async def test_an_emoji_with_and_without_its_selector_is_one_reaction(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    path = f"/chatrooms/{room}/messages/{(await chatrooms.send(ann, room))['id']}/reactions"
    for emoji in ("❤", "❤\ufe0f"):
        answer = await chatrooms.ask("POST", path, as_=ann, json={"emoji": emoji})
        assert [each["emoji"] for each in succeeded(answer, 201)["message"]["reactions"]] == ["❤\ufe0f"]
    left = await chatrooms.ask("DELETE", f"{path}/{quote('❤')}", as_=ann)
    assert succeeded(left)["message"]["reactions"] == []


async def test_a_reaction_is_one_emoji(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    path = f"/chatrooms/{room}/messages/{(await chatrooms.send(ann, room))['id']}/reactions"
    for emoji, code in (
        ("", "INVALID_VALUE"),
        ("x" * 33, "LENGTH_EXCEEDED"),
        ("lol", "INVALID_VALUE"),
        ("\u200b", "INVALID_VALUE"),
        (1, "INVALID_FORMAT"),
    ):
        answer = await chatrooms.ask("POST", path, as_=ann, json={"emoji": emoji})
        assert wrong_fields(answer) == {"emoji": f"VALIDATION_{code}"}


async def test_a_message_takes_so_many_different_reactions(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    path = f"/chatrooms/{room}/messages/{(await chatrooms.send(ann, room))['id']}/reactions"
    *taken, last = emojis(MOST_EMOJI + 1)
    for each in taken:
        succeeded(await chatrooms.ask("POST", path, as_=ann, json={"emoji": each}), 201)
    answer = await chatrooms.ask("POST", path, as_=ann, json={"emoji": last})
    assert refused(answer, 409, "RESOURCE_LIMIT_EXCEEDED") == {"what": "reactions"}
