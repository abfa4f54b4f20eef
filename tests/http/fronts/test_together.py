"""What one front does, the others show by the same rules: direct rooms, receipts and typing over HTTP and sockets."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.rooms.state import TYPING_TTL_S
from tests.http.fronts.together import FRONTS, Together, number, open_together
from tests.http.service_api import Person

ALL = sorted(FRONTS)
MESSAGE = {"chatterstack": "receive_message", "chatrooms": "message_received", "messenger": "message"}
"""What each front's socket calls a new message."""


@pytest.fixture
async def t() -> AsyncIterator[Together]:
    async with open_together() as opened:
        yield opened


async def leave(t: Together, front: str, leaver: Person, room: str) -> None:
    """Leave a direct room by one of the ways that there are."""
    match front:
        case "chatrooms":
            answer = await t.ask(front, "POST", f"/chatrooms/{room}/leave", as_=leaver)
        case "chatrooms, deleting":
            answer = await t.ask("chatrooms", "DELETE", f"/chatrooms/{room}", as_=leaver)
        case "chatterstack":
            path = f"/v1/rooms/{number(room)}/members/{number(leaver.id)}"
            answer = await t.ask(front, "DELETE", path, as_=leaver)
        case _:
            answer = await t.ask("chatterstack", "DELETE", f"/v1/rooms/{number(room)}", as_=leaver)
    assert answer.status == (200 if front.startswith("chatrooms") else 204), answer.body


# --- direct rooms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["HTTP", "a socket"])
@pytest.mark.parametrize("front", ALL)
@pytest.mark.parametrize("author", ["ann", "bob"])
async def test_a_message_by_any_front_brings_who_left_back_and_is_the_one_unread(
    t: Together, front: str, over: str, author: str
) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.direct(ann, bob)
    await t.post("messenger", ann, room, "first", direct=True)
    watching = {
        "chatterstack": await t.socket("chatterstack", bob, room),
        "chatrooms": await t.socket("chatrooms", bob, room),
        "messenger": await t.socket("messenger", bob),
    }
    person = {"ann": ann, "bob": bob}[author]
    sender = watching[front] if person is bob else await t.socket(front, ann, room)
    await leave(t, "chatrooms", bob, room)
    assert await t.unread(bob) == {}
    for socket in watching.values():
        await socket.heard()
    if over == "HTTP":
        await t.post(front, person, room, "back", direct=True)
    else:
        await t.say(front, sender, room, "back", direct=True)
    for name, socket in watching.items():
        assert [each for each in await socket.names() if each == MESSAGE[name]] == [MESSAGE[name]], name
    assert await t.unread(bob) == {room: 1 if author == "ann" else 0}
    history = await t.ask("messenger", "GET", f"/api/conversations/{room}/messages", as_=bob)
    assert [message["content"] for message in history.json["messages"]] == ["back", "first"]


@pytest.mark.parametrize("way", ["chatrooms", "chatrooms, deleting", "chatterstack", "chatterstack, deleting"])
@pytest.mark.parametrize("leaver", ["ann", "bob"])
async def test_leaving_a_direct_room_takes_it_from_ones_own_lists_alone(t: Together, way: str, leaver: str) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.direct(ann, bob)
    await t.post("messenger", ann, room, "kept", direct=True)
    gone, there = (ann, bob) if leaver == "ann" else (bob, ann)
    await leave(t, way, gone, room)
    for viewer, rooms in ((gone, []), (there, [room])):
        listed = await t.ask("messenger", "GET", "/api/conversations", as_=viewer)
        assert [each["id"] for each in listed.json["conversations"]] == rooms
        assert list(await t.unread(viewer)) == rooms
    shown = await t.ask("chatrooms", "GET", f"/chatrooms/{room}/messages", as_=there)
    assert [each["content"]["encrypted_data"] for each in shown.json["data"]["messages"]] == ["kept"]
    assert (await t.ask("chatrooms", "GET", f"/chatrooms/{room}/messages", as_=gone)).status == 403
    assert await t.direct(gone, there) == room
    assert list(await t.unread(gone)) == [room]


async def test_in_a_direct_room_each_deletes_and_edits_their_own_messages_alone(t: Together) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.direct(ann, bob)
    for opener, other in ((ann, bob), (bob, ann)):
        message = await t.post("messenger", other, room, "mine", direct=True)
        places = {
            "chatrooms": f"/chatrooms/{room}/messages/{message}",
            "chatterstack": f"/v1/rooms/{number(room)}/messages/{number(message)}",
        }
        for front, path in places.items():
            assert (await t.ask(front, "DELETE", path, as_=opener)).status == 403
        content = {"content": {"encrypted_data": "forged"}}
        assert (await t.ask("chatrooms", "PUT", places["chatrooms"], as_=opener, json=content)).status == 403
        assert (await t.ask("chatterstack", "DELETE", places["chatterstack"], as_=other)).status == 204


async def test_in_a_direct_room_nobody_stands_above_the_other(t: Together) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.direct(ann, bob)
    shown = (await t.ask("chatrooms", "GET", f"/chatrooms/{room}", as_=ann)).json["data"]
    assert ([each["role"] for each in shown["members"]], shown["user_role"]) == (["member", "member"], "member")
    members = await t.ask("chatterstack", "GET", f"/v1/rooms/{number(room)}/members", as_=ann)
    assert [each["role"] for each in members.json] == ["MEMBER", "MEMBER"]
    base = f"/chatrooms/{room}"
    attempts = [
        await t.ask("chatrooms", "DELETE", f"{base}/members/{bob.id}", as_=ann),
        await t.ask("chatrooms", "PUT", f"{base}/members/{bob.id}", as_=ann, json={"role": "moderator"}),
        await t.ask("chatrooms", "POST", f"{base}/bans", as_=ann, json={"user_id": bob.id}),
        await t.ask("chatrooms", "DELETE", f"{base}/bans/{bob.id}", as_=ann),
        await t.ask("chatrooms", "GET", f"{base}/bans", as_=ann),
        await t.ask("chatterstack", "DELETE", f"/v1/rooms/{number(room)}/members/{number(bob.id)}", as_=ann),
    ]
    assert [answer.status for answer in attempts] == [403] * len(attempts)
    assert (await t.ask("chatrooms", "PUT", base, as_=ann, json={"name": "mine"})).status == 422
    assert (await t.ask("chatrooms", "POST", f"{base}/invite", as_=ann, json={})).status == 422


async def test_a_stranger_does_not_get_into_a_direct_room_by_writing(t: Together) -> None:
    ann, bob, eve = await t.people("ann", "bob", "eve")
    room = await t.direct(ann, bob)
    await leave(t, "chatrooms", bob, room)
    paths = {
        "messenger": (f"/api/conversations/{room}/messages", {"content": "x"}),
        "chatrooms": (f"/chatrooms/{room}/messages", {"content": {"encrypted_data": "x"}}),
        "chatterstack": (f"/v1/rooms/{number(room)}/messages", {"content": "x"}),
    }
    for front, (path, body) in paths.items():
        assert (await t.ask(front, "POST", path, as_=eve, json=body)).status == 403
    assert await t.unread(eve) == {}


# --- who was removed stays out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["chatterstack", "messenger"])
async def test_a_removal_by_another_front_bans_and_being_added_there_lifts_it(t: Together, front: str) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.group(ann, bob)
    places = {
        "chatterstack": (f"/v1/rooms/{number(room)}/members", number(bob.id), 204, 201),
        "messenger": (f"/api/groups/{room}/members", bob.id, 200, 200),
    }
    path, user, removed, added = places[front]
    assert (await t.ask(front, "DELETE", f"{path}/{user}", as_=ann)).status == removed
    assert (await t.ask("chatrooms", "POST", f"/chatrooms/{room}/join", as_=bob)).status == 403
    bans = (await t.ask("chatrooms", "GET", f"/chatrooms/{room}/bans", as_=ann)).json["data"]["bans"]
    assert [each["user_id"] for each in bans] == [bob.id]
    assert (await t.ask(front, "POST", path, as_=ann, json={"user_id": user})).status == added
    assert (await t.ask("chatrooms", "GET", f"/chatrooms/{room}/bans", as_=ann)).json["data"]["bans"] == []
    assert (await t.ask("chatrooms", "POST", f"/chatrooms/{room}/leave", as_=bob)).status == 200
    assert (await t.ask("chatrooms", "POST", f"/chatrooms/{room}/join", as_=bob)).status == 200


# --- receipts and unread counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["chatrooms", "chatrooms socket", "chatterstack"])
async def test_acknowledging_a_deleted_message_reads_up_to_its_place(t: Together, way: str) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.group(ann, bob)
    messages = [await t.post("messenger", ann, room, f"{n}") for n in range(3)]
    gone = await t.ask("chatrooms", "DELETE", f"/chatrooms/{room}/messages/{messages[-1]}", as_=ann)
    assert gone.status == 200
    assert (await t.unread(bob))[room] == 2
    match way:
        case "chatrooms":
            path = f"/chatrooms/{room}/messages/{messages[-1]}/read"
            assert (await t.ask(way, "POST", path, as_=bob)).status == 200
        case "chatterstack":
            path = f"/v1/rooms/{number(room)}/messages/{number(messages[-1])}"
            assert (await t.ask(way, "POST", f"{path}/deliver", as_=bob)).status == 204
            assert (await t.unread(bob))[room] == 2
            assert (await t.ask(way, "POST", f"{path}/read", as_=bob)).status == 204
        case _:
            socket = await t.socket("chatrooms", bob, room)
            data = {"chatroom_id": room, "message_id": messages[-1]}
            await socket.send({"event": "message_read", "data": data})
            assert await socket.heard() == []
    assert (await t.unread(bob))[room] == 0


async def test_what_is_no_message_of_the_room_is_not_acknowledged(t: Together) -> None:
    ann, bob = await t.people("ann", "bob")
    room, other = await t.group(ann, bob), await t.group(ann, bob)
    elsewhere = await t.post("messenger", ann, other, "x")
    path = f"/chatrooms/{room}/messages/{elsewhere}/read"
    assert (await t.ask("chatrooms", "POST", path, as_=bob)).status == 404
    path = f"/v1/rooms/{number(room)}/messages/{number(elsewhere)}/read"
    assert (await t.ask("chatterstack", "POST", path, as_=bob)).status == 400


async def test_who_joins_leaves_or_is_removed_leaves_nothing_unread(t: Together) -> None:
    ann, bob, cat, dan = await t.people("ann", "bob", "cat", "dan")
    room = await t.group(ann, bob, cat, dan)
    assert (await t.ask("chatrooms", "POST", f"/chatrooms/{room}/leave", as_=cat)).status == 200
    assert (await t.ask("chatrooms", "DELETE", f"/chatrooms/{room}/members/{dan.id}", as_=ann)).status == 200
    for viewer in (ann, bob):
        assert await t.unread(viewer) == {room: 0}
    await t.post("messenger", ann, room, "hello")
    assert (await t.unread(ann), await t.unread(bob)) == ({room: 0}, {room: 1})


# --- typing -------------------------------------------------------------------------------------------------------

TYPING = {"chatterstack": ("typing_start", "typing_stop"), "chatrooms": ("typing_indicator", "typing_indicator")}


async def type_in(t: Together, front: str, typist: Person, room: str) -> None:
    """Connect by a front that has a word for it, and type."""
    socket = await t.socket(front, typist, room)
    place = {"room_id": number(room)} if front == "chatterstack" else {"chatroom_id": room}
    await socket.send({"event": "typing_start", "data": place})


@pytest.mark.parametrize("over", ["HTTP", "a socket"])
@pytest.mark.parametrize("front", ALL)
@pytest.mark.parametrize("typed_by", sorted(TYPING))
async def test_a_message_ends_typing_whichever_way_it_came(
    t: Together, autojump_clock: MockClock, front: str, over: str, typed_by: str
) -> None:
    ann, bob = await t.people("ann", "bob")
    room = await t.group(ann, bob)
    watching = {name: await t.socket(name, bob, room) for name in TYPING}
    sender = await t.socket(front, ann, room)
    await type_in(t, typed_by, ann, room)
    if over == "HTTP":
        await t.post(front, ann, room, "there")
    else:
        await t.say(front, sender, room, "there")
    for name, socket in watching.items():
        started, stopped = TYPING[name]
        assert [each for each in await socket.names() if each != "user_online"] == [started, stopped, MESSAGE[name]]
    await trio.sleep(2 * TYPING_TTL_S)
    assert [await socket.heard() for socket in watching.values()] == [[], []]


async def test_the_end_of_a_typists_last_connection_is_told_at_once_and_in_every_room(
    t: Together, autojump_clock: MockClock
) -> None:
    ann, bob = await t.people("ann", "bob")
    tea, coffee = await t.group(ann, bob), await t.group(ann, bob)
    watching = await t.socket("chatrooms", bob, tea, coffee)
    stack, rooms = await t.socket("chatterstack", ann, tea), await t.socket("chatrooms", ann, coffee)
    await stack.send({"event": "typing_start", "data": {"room_id": number(tea)}})
    await rooms.send({"event": "typing_start", "data": {"chatroom_id": coffee}})
    await watching.heard()
    await stack.leave()
    assert await watching.heard() == []
    await rooms.leave()
    ended = [frame["data"] for frame in await watching.heard() if frame["event"] == "typing_indicator"]
    assert sorted((each["chatroom_id"], each["user_id"], each["is_typing"]) for each in ended) == sorted(
        (room, ann.id, False) for room in (tea, coffee)
    )


# --- keys ---------------------------------------------------------------------------------------------------------


async def test_a_bad_key_for_a_newcomer_is_replaced_by_who_made_the_version_and_the_newcomer_is_told(
    t: Together,
) -> None:
    owner, maker, bad, newcomer = await t.people("owner", "maker", "bad", "newcomer")
    room = await t.group(owner, maker, bad, newcomer)

    async def store(by: Person, key: str, *holders: Person) -> int:
        body = {"version": 1, "sealed": {each.id: key for each in holders}}
        return (await t.ask("chatrooms", "POST", f"/chatrooms/{room}/keys", as_=by, json=body)).status

    assert await store(maker, "good", owner, maker, bad) == 201
    assert await store(bad, "bad", newcomer) == 201
    socket = await t.socket("chatrooms", newcomer, room)
    assert await store(maker, "good", newcomer) == 201
    assert await store(bad, "bad", newcomer) == 409
    held = (await t.ask("chatrooms", "GET", f"/chatrooms/{room}/keys", as_=newcomer)).json["data"]["keys"]
    assert [(each["sealed_key"], each["sealed_by"]) for each in held] == [("good", maker.id)]
    [told] = [frame for frame in await socket.heard() if frame["event"] != "user_online"]
    assert told == {"event": "key_replaced", "data": {"chatroom_id": room, "key_version": 1}}
    assert await store(owner, "better", newcomer) == 201
