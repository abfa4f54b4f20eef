"""A message is posted once under one key, which comes as a header or in the body, on every front."""

from typing import Any

import pytest

from tests.http.fronts.every_front import FRONTS, World

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chatterstack": ("/rooms/{room}/messages", {"content": "hello"}),
    "chatrooms": ("/chatrooms/{room}/messages", {"content": {"encrypted_data": "hello"}}),
    "messenger group": ("/groups/{room}/messages", {"content": "hello"}),
    "messenger conversation": ("/conversations/{conversation}/messages", {"content": "hello"}),
}
MOST = {"chatterstack": 200, "chatrooms": 255, "messenger": 200}


@pytest.mark.parametrize("place", list(BODIES))
async def test_the_header_posts_once_and_the_body_may_say_the_same(world: World, place: str) -> None:
    front = place.partition(" ")[0]
    path, body = BODIES[place]
    ids = []
    for headers, sent in (
        ({"idempotency-key": "k-1"}, body),
        ({"idempotency-key": " k-1 "}, body),
        ({"idempotency-key": "k-1"}, {**body, "client_id": "k-1"}),
        ({"idempotency-key": "k-1"}, {**body, "client_id": None}),
        ({}, {**body, "client_id": "k-1"}),
    ):
        if front == "chatterstack" and not headers:
            continue  # its body has no key: there `client_id` is the socket's
        answer = await world.ask(front, "POST", path, json=sent, headers=headers)
        assert answer.status == 201, answer.body
        message = answer.json
        for envelope in ("data", "message"):
            message = message.get(envelope, message)
        assert message["client_id"] == "k-1"
        ids.append(message["id"])
    assert len(set(ids)) == 1
    other = await world.ask(front, "POST", path, json=body, headers={"idempotency-key": "k-2"})
    assert other.status == 201


@pytest.mark.parametrize("place", list(BODIES))
async def test_a_header_that_is_no_key_or_another_one_is_refused_and_nothing_posted(world: World, place: str) -> None:
    front = place.partition(" ")[0]
    path, body = BODIES[place]
    refused = 422 if front == "chatrooms" else 400
    for key in ("", " ", "x" * (MOST[front] + 1), "a\tb", "\u00e9"):
        answer = await world.ask(front, "POST", path, json=body, headers={"idempotency-key": key})
        assert answer.status == refused, key
        assert b"Idempotency-Key: must have" in answer.body
    if front != "chatterstack":
        sent = {**body, "client_id": "one"}
        answer = await world.ask(front, "POST", path, json=sent, headers={"idempotency-key": "another"})
        assert answer.status == refused
        assert b"Idempotency-Key: is not the same as client_id" in answer.body
    assert await world.texts() == []
    longest = {"idempotency-key": "x" * MOST[front]}
    assert (await world.ask(front, "POST", path, json=body, headers=longest)).status == 201


async def test_a_key_is_the_same_on_every_front_and_socket(world: World) -> None:
    headers = {"idempotency-key": "k"}
    for place in ("messenger group", "chatterstack", "chatrooms"):
        path, body = BODIES[place]
        assert (await world.ask(place.partition(" ")[0], "POST", path, json=body, headers=headers)).status == 201
    async with world.socket(FRONTS[2]) as socket:
        await socket.heard()
        [again] = await socket.say({"type": "message", "group_id": "{room}", "content": "hello", "client_id": "k"})
        assert again["data"]["client_id"] == "k"
    assert await world.texts() == ["hello"]


def test_the_header_is_documented_wherever_messages_are_posted() -> None:
    for front in FRONTS:
        posting = [route for route in front.routes if route.method == "POST" and route.path.endswith("/messages")]
        assert posting
        for route in posting:
            assert [each.name for each in route.headers] == ["Idempotency-Key"]
