"""Who is there, who is typing, and what was missed: over chatrooms sockets."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.in_process import InProcessClient
from chinwag.engine.connections.wires import LINES, Wire
from chinwag.engine.rooms.state import TYPING_TTL_S
from chinwag.engine.testing.harness import open_harness
from chinwag.http.fronts.chatrooms import FRONT
from chinwag.http.fronts.chatrooms.socket import ChatroomsSocket as Endpoint
from chinwag.http.kit.links import Links
from tests.e2e.chatrooms import Chatrooms, ChatroomsSocket, Guest, plain
from tests.e2e.client import Json

pytestmark = pytest.mark.listeners("lane", reason="presence is judged behind the listener")


def about(guest: Guest) -> Json:
    return {"user_id": guest.id, "username": guest.username}


async def online(chatrooms: Chatrooms, room: str, viewer: Guest) -> set[str]:
    """The names of the members that are shown as online."""
    members = (await chatrooms.get(f"/chatrooms/{room}", viewer))["members"]
    return {member["username"] for member in members if member["is_online"]}


async def test_who_comes_and_goes_is_told_to_those_who_share_a_chatroom_and_to_nobody_else(
    chatrooms: Chatrooms,
) -> None:
    ann, bob, eve = await chatrooms.guests("ann", "bob", "eve")
    room, elsewhere = await chatrooms.room(ann, bob), await chatrooms.room(eve)
    async with chatrooms.socket(bob, presence=True) as his, chatrooms.socket(eve, elsewhere, presence=True) as hers:
        assert await online(chatrooms, room, ann) == {bob.username}
        async with chatrooms.socket(ann, room) as first, chatrooms.socket(ann) as second:
            assert await his.expect("user_online") == about(ann)
            assert await online(chatrooms, room, bob) == {ann.username, bob.username}
            assert (await first.fence(), await second.fence(), await his.fence()) == ([], [], [])
        async with chatrooms.socket(ann):  # a reconnect is no news
            assert await his.fence() == []
        assert await his.expect("user_offline") == about(ann)  # after the grace period
        assert await online(chatrooms, room, bob) == {bob.username}
        assert await hers.fence() == []


async def test_whoever_is_there_by_another_api_is_there(chatrooms: Chatrooms) -> None:
    ann, bob, cleo = await chatrooms.guests("ann", "bob", "cleo")
    room = await chatrooms.room(ann, bob, cleo)
    person = await chatrooms.elsewhere(ann)
    async with chatrooms.socket(bob, presence=True) as his:
        async with chatrooms.chatterstack.socket(person, await chatrooms.number(room, ann)):
            assert await his.expect("user_online") == about(ann)
            assert await online(chatrooms, room, ann) == {ann.username, bob.username}
        async with chatrooms.chatterstack.open_socket(f"/messenger/ws?token={cleo.token}"):
            assert await his.expect("user_online") == about(cleo)
        assert await his.fence() == []


def frames(client: InProcessClient) -> list[Any]:
    """What a client was sent, read as a browser would."""
    sent = bytes(client.transport.written)
    client.transport.written.clear()
    return [json.loads(line) for line in sent.splitlines()]


async def test_six_seconds_of_silence_end_the_typing(autojump_clock: MockClock) -> None:
    endpoint = Endpoint(Links())
    wire = Wire(endpoint.dialect, LINES)
    async with open_harness() as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        room = await h.room("tea", ann, bob)
        typist, other = await h.connect(ann, room, wire=wire), await h.connect(bob, room, wire=wire)
        chatroom_id = FRONT.ids.encode(room.id)

        async def type_on() -> None:
            frame = json.dumps({"event": "typing_start", "data": {"chatroom_id": chatroom_id}})
            waiting = endpoint.receive(h.engine, typist.session, frame)
            if waiting is not None:
                await waiting
            await wait_all_tasks_blocked()

        await type_on()
        await trio.sleep(TYPING_TTL_S - 1)
        await type_on()
        await trio.sleep(TYPING_TTL_S - 1)
        typing = [each for each in frames(other) if each["event"] == "typing_indicator"]
        assert [each["data"]["is_typing"] for each in typing] == [True, True]
        await trio.sleep(1.001)
        [ended] = frames(other)
        assert ended == {
            "event": "typing_indicator",
            "data": {
                "chatroom_id": chatroom_id,
                "user_id": FRONT.ids.encode(ann.id),
                "username": "ann",
                "is_typing": False,
            },
        }
        assert "typing_indicator" not in {each["event"] for each in frames(typist)}


# --- resuming ---------------------------------------------------------------------------------------------------------


async def replayed(socket: ChatroomsSocket, *rooms: str) -> tuple[list[Json], dict[str, Json]]:
    """The messages that were missed, and how each chatroom was resumed."""
    messages: list[Json] = []
    outcomes: dict[str, Json] = {}
    while len(outcomes) < len(rooms):
        event = await socket.next()
        if event["event"] == "message_received":
            messages.append(event["data"]["message"])
        else:
            assert event["event"] == "resumed"
            assert set(event["data"]) == {"chatroom_id", "recovered", "replayed"}
            outcomes[event["data"]["chatroom_id"]] = event["data"]
    assert set(outcomes) == set(rooms)
    return messages, outcomes


async def test_what_was_missed_comes_as_it_is_now_and_then_everything_live(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    rooms = [await chatrooms.room(ann, bob) for _ in range(2)]
    seen = await chatrooms.post(ann, rooms[0], "seen")
    missed = [await chatrooms.post(ann, rooms[number % 2], f"{number}") for number in range(6)]
    path = f"/chatrooms/{rooms[1]}/messages"
    edited = await chatrooms.do("PUT", f"{path}/{missed[1]['id']}", ann, {"content": plain("edited")})
    missed[1] = edited["message"]
    reacted = await chatrooms.do("POST", f"{path}/{missed[3]['id']}/reactions", bob, {"emoji": "🎉"})
    missed[3] = reacted["message"]
    await chatrooms.do("DELETE", f"{path}/{missed[5]['id']}", ann)
    async with chatrooms.socket(bob, since=seen["id"]) as socket:
        messages, outcomes = await replayed(socket, *rooms)
        assert sorted(messages, key=lambda message: str(message["id"])) == missed[:5]
        for room in rooms:
            mine = [message for message in messages if message["chatroom_id"] == room]
            assert mine == [message for message in missed[:5] if message["chatroom_id"] == room]
            assert outcomes[room] == {"chatroom_id": room, "recovered": True, "replayed": len(mine)}
        live = await chatrooms.post(ann, rooms[1], "live")
        assert await socket.messages(1) == [live]
        assert await socket.fence() == []


@pytest.mark.parametrize("since", ["", "x", "1", "00000000-0000-4000-8000-000000000001"])
async def test_a_position_that_is_no_message_is_not_recovered(chatrooms: Chatrooms, since: str) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann)
    await chatrooms.post(ann, room, "x")
    async with chatrooms.socket(ann, since=since) as socket:
        messages, outcomes = await replayed(socket, room)
        assert messages == []
        assert outcomes[room] == {"chatroom_id": room, "recovered": False, "replayed": 0}
        live = await chatrooms.post(ann, room, "live all the same")
        assert await socket.messages(1) == [live]
