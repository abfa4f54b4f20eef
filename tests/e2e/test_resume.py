"""Resuming over the wire: `since=` replays what was missed, then goes on live with no gap and no duplicate."""

import random

import pytest
import trio

from chinwag.engine.messages.resume import RESUME_LIMIT
from tests.e2e.client import Api, Json, Person, Socket
from tests.e2e.listeners import OVER_TLS_TOO
from tests.e2e.processes import LIMIT_S
from tests.e2e.test_rooms import NOBODY
from tests.e2e.test_users import NO_IDS

pytestmark = OVER_TLS_TOO
behind_the_listener = pytest.mark.listeners("lane", reason="positions are judged behind the listener")


async def fill(api: Api, author: Person, room: str, count: int) -> list[Json]:
    """Post this many messages, fast."""
    async with api.socket(author, room) as socket, trio.open_nursery() as nursery:

        async def send() -> None:
            for number in range(count):
                await socket.send("send_message", room_id=room, content=f"{number}")

        nursery.start_soon(send)
        return await socket.messages(count)


async def resumed(socket: Socket, *rooms: str) -> tuple[list[Json], dict[str, Json]]:
    """The replayed messages, and how each room was resumed."""
    replayed: list[Json] = []
    outcomes: dict[str, Json] = {}
    while len(outcomes) < len(rooms):
        event = await socket.next()
        if event["event"] == "receive_message":
            assert not outcomes, "nothing is replayed after the first `resumed`"
            replayed.append(event["data"])
        else:
            assert event["event"] == "resumed"
            assert set(event["data"]) == {"room_id", "recovered", "replayed"}
            outcomes[event["data"]["room_id"]] = event["data"]
    assert set(outcomes) == set(rooms)
    return replayed, outcomes


async def test_nothing_new_is_recovered_with_nothing(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    newest = (await fill(api, ann, room, 3))[-1]["id"]
    async with api.socket(ann, room, since=newest) as socket:
        replayed, outcomes = await resumed(socket, room)
        assert (replayed, outcomes[room]) == ([], {"room_id": room, "recovered": True, "replayed": 0})
        live = await api.post(ann, room, "live")
        assert await socket.fence() == [{"event": "receive_message", "data": live}]


async def test_what_was_missed_comes_in_order_as_it_is_now(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    messages = await fill(api, ann, room, 10)
    path = f"/rooms/{room}/messages"
    messages[5] = (await api.ask("PATCH", f"{path}/{messages[5]['id']}", as_=ann, json={"content": "edited"})).json()
    assert (await api.ask("DELETE", f"{path}/{messages[7]['id']}", as_=ann)).status_code == 204
    assert (await api.ask("POST", f"{path}/{messages[4]['id']}/read", as_=bob)).status_code == 204
    messages[4]["status"] = "READ"
    async with api.socket(bob, room, since=messages[3]["id"]) as socket:
        replayed, outcomes = await resumed(socket, room)
        assert replayed == [messages[4], messages[5], messages[6], messages[8], messages[9]]
        assert outcomes[room] == {"room_id": room, "recovered": True, "replayed": 5}


async def test_without_since_nothing_is_said_of_resuming(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    await api.post(ann, room, "x")
    async with api.socket(ann, room) as socket:
        assert await socket.fence() == []


async def test_up_to_a_thousand_missed_messages_are_recovered_and_beyond_nothing_partial(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    messages = await fill(api, ann, room, RESUME_LIMIT + 2)
    async with api.socket(ann, room, since=messages[1]["id"]) as socket:
        replayed, outcomes = await resumed(socket, room)
        assert replayed == messages[2:]
        assert outcomes[room]["recovered"] is True
    async with api.socket(ann, room, since=messages[0]["id"]) as socket:
        replayed, outcomes = await resumed(socket, room)
        assert (replayed, outcomes[room]) == ([], {"room_id": room, "recovered": False, "replayed": 0})
        live = await api.post(ann, room, "live all the same")
        assert await socket.fence() == [{"event": "receive_message", "data": live}]


@behind_the_listener
@pytest.mark.parametrize("since", ["", NOBODY, "1", *(text for text in NO_IDS if text not in ("%00", "%ff"))])
async def test_a_position_that_is_no_message_is_not_recovered(api: Api, ann: Person, since: str) -> None:
    room = await api.room(ann)
    await fill(api, ann, room, 2)
    async with api.open_socket(f"/ws?room_id={room}&since={since}&access_token={ann.token}") as socket:
        replayed, outcomes = await resumed(socket, room)
        assert (replayed, outcomes[room]["recovered"]) == ([], False)


@behind_the_listener
async def test_a_position_of_the_future_is_not_recovered(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    [message] = await fill(api, ann, room, 1)
    async with api.socket(ann, room, since=str(int(message["id"]) + 10**9)) as socket:
        assert (await resumed(socket, room))[1][room]["recovered"] is False


@behind_the_listener
async def test_a_position_in_a_strangers_room_is_not_recovered(api: Api, ann: Person, eve: Person) -> None:
    room, foreign = await api.room(eve), await api.room(ann)
    await fill(api, eve, room, 1)
    message = await api.post(ann, foreign, "secret")
    await api.post(eve, room, "later")
    async with api.socket(eve, room, since=message["id"]) as socket:
        replayed, outcomes = await resumed(socket, room)
        assert (replayed, outcomes[room]["recovered"]) == ([], False)


async def test_one_position_counts_for_all_rooms_of_the_caller(api: Api, ann: Person) -> None:
    """The last id that a connection got is its position in each of its rooms: ids rise over all of them."""
    rooms = [await api.room(ann) for _ in range(3)]
    posted = [await api.post(ann, rooms[number % 3], f"{number}") for number in range(12)]
    async with api.socket(ann, *rooms, since=posted[4]["id"]) as socket:
        replayed, outcomes = await resumed(socket, *rooms)
        assert replayed == posted[5:]
        assert [outcomes[room]["replayed"] for room in rooms] == [2, 2, 3]
    async with api.socket(ann, rooms[0], since=posted[4]["id"]) as socket:  # a message of another room of hers
        assert (await resumed(socket, rooms[0]))[0] == [posted[6], posted[9]]


async def test_rooms_that_are_refused_are_not_resumed(api: Api, ann: Person, eve: Person) -> None:
    room, foreign = await api.room(eve), await api.room(ann)
    first = await api.post(eve, room, "first")
    await api.post(ann, foreign, "secret")
    second = await api.post(eve, room, "second")
    async with api.socket(eve, foreign, room, since=first["id"]) as socket:
        events = [await socket.next() for _ in range(3)]
        assert [event["event"] for event in events].count("error") == 1
        assert [event["data"] for event in events if event["event"] == "receive_message"] == [second]
        assert [event["data"]["room_id"] for event in events if event["event"] == "resumed"] == [room]


async def test_ten_resumes_in_a_row_lose_and_repeat_nothing(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    posted = [await api.post(ann, room, "start")]
    received = [posted[0]]
    for number in range(10):
        posted.append(await api.post(ann, room, f"between {number}"))
        async with api.socket(ann, room, since=received[-1]["id"]) as socket:
            replayed, outcomes = await resumed(socket, room)
            assert outcomes[room]["recovered"] is True
            received += replayed
            if number % 2:
                posted.append(await api.post(ann, room, f"live {number}"))
                received.append(await socket.expect("receive_message"))
    assert received == posted


@pytest.mark.parametrize("seed", range(3))
async def test_resuming_again_and_again_while_others_post_gives_each_message_once_in_order(
    api: Api, ann: Person, bob: Person, seed: int
) -> None:
    """Two rooms, four senders by HTTP and socket, and a listener who keeps hanging up at random moments."""
    chance = random.Random(seed)
    rooms = [await api.room(ann, bob) for _ in range(2)]
    start = await api.post(ann, rooms[0], "start")
    each = 60
    total = 4 * each

    async def post(author: Person, room: str, name: str) -> None:
        for number in range(each):
            await api.post(author, room, f"{name} {number}")

    async def send(author: Person, room: str, name: str) -> None:
        async with api.socket(author, room) as socket:
            for number in range(each):
                await socket.send("send_message", room_id=room, content=f"{name} {number}")
                if chance.random() < 0.2:
                    await socket.fence()
            await socket.fence()

    received = [start]
    with trio.fail_after(2 * LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, ann, rooms[0], "ann")
            nursery.start_soon(post, bob, rooms[1], "bob")
            nursery.start_soon(send, ann, rooms[1], "ann's socket")
            nursery.start_soon(send, bob, rooms[0], "bob's socket")
            while len(received) < 1 + total:
                async with api.socket(bob, *rooms, since=received[-1]["id"]) as socket:
                    for _ in range(chance.randrange(2, 25)):  # a resume may be cut off in its middle, too
                        if len(received) == 1 + total:
                            break
                        event = await socket.next()
                        if event["event"] == "receive_message":
                            received.append(event["data"])
                        else:
                            assert (event["event"], event["data"]["recovered"]) == ("resumed", True)
    for room in rooms:
        assert [message for message in received if message["room_id"] == room] == (await api.history(bob, room))[::-1]
    ids = [int(message["id"]) for message in received]
    assert ids == sorted(set(ids))
