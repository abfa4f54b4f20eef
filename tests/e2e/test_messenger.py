"""The messenger over real sockets: who gets in, every frame both ways, rooms joined later, resume, and other fronts."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
import trio
from trio_websocket import ConnectionClosed

from chinwag.http.kit.uuid_ids import IDS
from tests.e2e.client import Api
from tests.e2e.listeners import OVER_TLS_TOO, Listener
from tests.e2e.messenger import MESSAGE_FIELDS, Messenger, messenger_of
from tests.e2e.processes import LIMIT_S, Server, serving

pytestmark = OVER_TLS_TOO
NOBODY = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
"""A UUID, and no id of anything."""
TOKEN_INVALID = 4401
NOT_FOUND = "Resource not found"
NO_PERMISSION = "You don't have permission to access this resource"


# --- who gets in ------------------------------------------------------------------------------------------------------


async def test_without_a_valid_token_the_upgrade_is_refused(messenger: Messenger) -> None:
    ann = await messenger.contact("ann")
    for query in ({}, {"token": ""}, {"token": "x"}, {"token": ann.refresh_token}, {"access_token": ann.token}):
        assert await messenger.refused(query) == (401, "Invalid or expired token"), query


async def test_who_has_no_rooms_is_let_in(messenger: Messenger) -> None:
    ann = await messenger.contact("ann")
    async with messenger.socket(ann) as socket:
        assert await socket.fence() == []


async def test_log_out_closes_the_sockets_of_that_log_in(messenger: Messenger) -> None:
    ann = await messenger.contact("ann")
    again = await messenger.do("POST", "/auth/login", json={"username": ann.username, "password": "correct-horse"})
    other = type(ann)(ann.id, ann.username, ann.email, again["access_token"], again["refresh_token"])
    async with messenger.socket(ann) as socket, messenger.socket(other) as stays:
        await messenger.do("POST", "/auth/logout", ann)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.next()
        assert closed.value.reason is not None
        assert closed.value.reason.code == TOKEN_INVALID
        assert await stays.fence() == []
    assert (await messenger.refused({"token": ann.token}))[0] == 401
    answer = await messenger.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token})
    assert answer.status_code == 401


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_a_message_reaches_all_sockets_of_a_conversation(messenger: Messenger) -> None:
    ann, bob, eve = await messenger.contacts("ann", "bob", "eve")
    conversation = await messenger.conversation(ann, bob)
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(messenger.socket(each)) for each in (ann, ann, bob)]
        stranger = await stack.enter_async_context(messenger.socket(eve))
        await sockets[0].say("Hello! ☕", conversation_id=conversation, group_id=None)
        received = [await socket.message() for socket in sockets]
        assert received == [received[0]] * 3
        assert list(received[0]) == MESSAGE_FIELDS
        assert (received[0]["conversation_id"], received[0]["group_id"]) == (conversation, None)
        assert (received[0]["sender_id"], received[0]["content"]) == (ann.id, "Hello! ☕")
        [stored] = (await messenger.do("GET", f"/conversations/{conversation}/messages", bob))["messages"]
        assert stored == {name: value for name, value in received[0].items() if name != "group_id"}
        assert await stranger.fence() == []


async def test_a_message_reaches_a_group(messenger: Messenger) -> None:
    ann, bob = await messenger.contacts("ann", "bob")
    group = await messenger.group(ann, bob)
    async with messenger.socket(ann) as first, messenger.socket(bob) as second:
        await second.say("Hello team!", group_id=group)
        received = await first.message()
        assert (received["conversation_id"], received["group_id"]) == (None, group)
        assert await second.message() == received
        posted = await messenger.post(ann, f"/groups/{group}", "over HTTP")
        assert await second.message() == {**posted, "conversation_id": None}


async def test_what_is_joined_later_is_heard_of_and_what_is_left_is_not(messenger: Messenger) -> None:
    ann, bob = await messenger.contacts("ann", "bob")
    before = await messenger.group(ann)
    await messenger.post(ann, f"/groups/{before}", "before bob came")
    async with messenger.socket(bob) as socket:
        await messenger.add(ann, before, bob)
        await messenger.post(ann, f"/groups/{before}", "1")
        conversation = await messenger.conversation(ann, bob)
        await messenger.post(ann, f"/conversations/{conversation}", "2")
        made = await messenger.group(bob)
        await messenger.post(bob, f"/groups/{made}", "3")
        assert await socket.texts(3) == ["1", "2", "3"]
        await messenger.remove(ann, before, bob)
        await messenger.post(ann, f"/groups/{before}", "secret")
        assert await socket.fence() == []
        await socket.say("am I in?", group_id=before)
        assert await socket.error() == NO_PERMISSION
        await messenger.add(ann, before, bob)
        await messenger.post(ann, f"/groups/{before}", "welcome back")
        assert await socket.texts(1) == ["welcome back"]


async def test_frames_that_are_wrong_are_answered_with_an_error_and_the_socket_stays_open(
    messenger: Messenger,
) -> None:
    ann, bob = await messenger.contacts("ann", "bob")
    conversation, group = await messenger.conversation(ann, bob), await messenger.group(ann)
    one = "conversation_id: exactly one of conversation_id and group_id is needed"
    message = {"type": "message", "content": "x"}
    wrong: list[tuple[object, str]] = [
        (message, one),
        ({**message, "conversation_id": None, "group_id": None}, one),
        ({**message, "conversation_id": conversation, "group_id": group}, one),
        ({**message, "conversation_id": group}, NOT_FOUND),
        ({**message, "group_id": conversation}, NOT_FOUND),
        ({**message, "group_id": NOBODY}, NOT_FOUND),
        ({**message, "group_id": "x"}, "group_id: is not a UUID"),
        ({"type": "message", "group_id": group}, "content: is required"),
        ({"type": "message", "group_id": group, "content": " "}, "content: is empty"),
        ({"type": "message", "group_id": group, "content": "x" * 4001}, "content: must have at most 4000 characters"),
        ({"type": "typing", "group_id": group, "content": "x"}, "type: must be one of message"),
        ({"group_id": group, "content": "x"}, "type: is required"),
        ({**message, "group_id": 5}, "group_id: must be text, not a whole number"),
        ([], "frame: must be an object, not a list"),
    ]
    async with messenger.socket(ann) as socket:
        for frame, words in wrong:
            await socket.ws.send_message(json.dumps(frame))
            assert await socket.error() == words, frame
        for raw in ("", "{", "null", b"\x00"):
            await socket.ws.send_message(raw)
            assert await socket.error()
        await socket.say("still here", group_id=group)
        assert await socket.texts(1) == ["still here"]


async def test_a_stranger_cannot_send(messenger: Messenger) -> None:
    ann, bob, eve = await messenger.contacts("ann", "bob", "eve")
    conversation, group = await messenger.conversation(ann, bob), await messenger.group(ann)
    async with messenger.socket(eve) as socket:
        for _ in range(2):  # the rooms sleep at first, and are awake then
            await socket.say("let me in", group_id=group, client_id="e-1")
            assert await socket.next() == {"type": "error", "message": NO_PERMISSION, "client_id": "e-1"}
            await socket.say("let me in", conversation_id=conversation)
            assert await socket.error() == NO_PERMISSION
            await messenger.post(ann, f"/groups/{group}", "awake")
            await messenger.post(ann, f"/conversations/{conversation}", "awake")
        assert await socket.fence() == []


async def test_a_client_id_makes_a_retry_safe_on_any_transport(messenger: Messenger) -> None:
    ann, bob = await messenger.contacts("ann", "bob")
    group = await messenger.group(ann, bob)
    async with messenger.socket(ann) as first, messenger.socket(bob) as second:
        await first.say("once", group_id=group, client_id="a-1")
        sent = await first.message()
        assert sent["client_id"] == "a-1"
        await first.say("once", group_id=group, client_id="a-1")
        assert await first.message() == sent
        posted = await messenger.do(
            "POST", f"/groups/{group}/messages", ann, json={"content": "once", "client_id": "a-1"}
        )
        assert posted["message"]["id"] == sent["id"]
        await first.say("other", group_id=group, client_id="a-1")
        assert await first.error() == "this idempotency key was used for another message"
        assert await second.message() == sent
        assert await second.fence() == []


# --- resume -----------------------------------------------------------------------------------------------------------


async def test_what_was_missed_anywhere_comes_first_and_is_ended_for_each_room(messenger: Messenger) -> None:
    ann, bob = await messenger.contacts("ann", "bob")
    conversation, group = await messenger.conversation(ann, bob), await messenger.group(ann, bob)
    since = (await messenger.post(ann, f"/groups/{group}", "known"))["id"]
    await messenger.post(ann, f"/conversations/{conversation}", "missed 1")
    await messenger.post(ann, f"/groups/{group}", "missed 2")
    joined = await messenger.group(ann, bob)
    await messenger.post(ann, f"/groups/{joined}", "missed 3")
    async with messenger.socket(bob, since=since) as socket:
        assert await socket.texts(3) == ["missed 1", "missed 2", "missed 3"]
        ends = [await socket.next() for _ in range(3)]
        assert {frame["type"] for frame in ends} == {"resumed"}
        told = {(end["data"]["conversation_id"], end["data"]["group_id"]) for end in ends}
        assert told == {(conversation, None), (None, group), (None, joined)}
        assert {(end["data"]["recovered"], end["data"]["replayed"]) for end in ends} == {(True, 1)}
        await messenger.post(ann, f"/groups/{group}", "live")
        assert await socket.texts(1) == ["live"]


async def test_a_position_that_is_none_recovers_nothing(messenger: Messenger) -> None:
    ann = await messenger.contact("ann")
    group = await messenger.group(ann)
    await messenger.post(ann, f"/groups/{group}", "read me over HTTP")
    for since in ("x", "", NOBODY, IDS.encode(1)):
        async with messenger.socket(ann, since=since) as socket:
            data = {"conversation_id": None, "group_id": group, "recovered": False, "replayed": 0}
            assert await socket.next() == {"type": "resumed", "data": data}
            assert await socket.fence() == []


# --- other fronts -----------------------------------------------------------------------------------------------------


async def test_messages_cross_to_chatterstack_and_back(messenger: Messenger, every_front: Server) -> None:
    ann, bob = await messenger.contacts("ann", "bob")
    group = await messenger.group(ann, bob)
    room = str(IDS.decode(group))
    options = every_front.listener.http_options
    base = f"{every_front.url}/chatterstack/v1"
    async with httpx2.AsyncClient(base_url=base, timeout=LIMIT_S, **options) as http:
        opened = await http.post("/auth/login", json={"email": bob.email, "password": "correct-horse"})
        token = opened.json()["access_token"]
        api = Api(every_front, http)
        target = f"/chatterstack/ws?room_id={room}&access_token={token}"
        async with messenger.socket(ann) as here, api.open_socket(target) as there:
            await here.say("from the messenger", group_id=group)
            seen_there = await there.expect("receive_message")
            seen_here = await here.message()
            assert seen_there["content"] == seen_here["content"] == "from the messenger"
            assert int(seen_there["id"]) == IDS.decode(seen_here["id"])
            await there.send("send_message", room_id=room, content="from ChatterStack", client_id="c-1")
            seen_here, seen_there = await here.message(), await there.expect("receive_message")
            assert (seen_here["content"], seen_here["client_id"]) == ("from ChatterStack", "c-1")
            assert int(seen_there["sender_id"]) == IDS.decode(seen_here["sender_id"]) == IDS.decode(bob.id)
            posted = await http.post(
                f"/rooms/{room}/messages",
                json={"content": "over HTTP"},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert posted.status_code == 201
            assert (await here.message())["content"] == "over HTTP"


async def test_many_at_once_see_one_order(messenger: Messenger) -> None:
    people = await messenger.contacts(*["someone"] * 6)
    group = await messenger.group(people[0], *people[1:])
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(messenger.socket(each)) for each in people]

        async def talk(n: int) -> None:
            for k in range(20):
                await sockets[n].say(f"{n}.{k}", group_id=group)

        async with trio.open_nursery() as nursery:
            for n in range(len(people)):
                nursery.start_soon(talk, n)
        heard = [[await socket.message() for _ in range(120)] for socket in sockets]
    assert heard == [heard[0]] * len(people)
    ids = [message["id"] for message in heard[0]]
    assert ids == sorted(set(ids))
    assert {message["content"] for message in heard[0]} == {f"{n}.{k}" for n in range(6) for k in range(20)}


# --- limits and paths -------------------------------------------------------------------------------------------------


async def test_alone_it_is_at_the_documentations_paths_and_its_limit_can_be_set(
    listener: Listener, tmp_path: Path
) -> None:
    options = ("--rate-limit", "messenger=3/600")
    with serving(tmp_path / "data", *options, listener=listener, fronts=("messenger",)) as server:
        base = f"{server.url}/api"
        async with httpx2.AsyncClient(base_url=base, timeout=LIMIT_S, **listener.http_options) as http:
            left = []
            for _ in range(3):
                answer = await http.get("/groups")
                assert answer.status_code == 401
                left.append(answer.headers["x-ratelimit-remaining"])
            assert left == ["2", "1", "0"]
            answer = await http.get("/groups", headers={"X-Forwarded-For": "192.0.2.1"})
            assert (answer.status_code, answer.json()) == (429, {"error": "Rate limit exceeded"})
            assert int(answer.headers["retry-after"]) > 500
            async with messenger_of(server) as messenger:
                assert await messenger.refused({"token": "x"}) == (429, "Rate limit exceeded")
