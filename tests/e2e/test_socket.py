"""ChatterStack's WebSocket, by trio-websocket: who gets in, every event both ways, and how it ends."""

import json
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import trio
from trio_websocket import ConnectionClosed

from chinwag.http.carriers.asgi_transport import server_frames
from chinwag.http.carriers.websocket import Opcode, frame
from tests.e2e.client import MESSAGE_FIELDS, ROOM_FIELDS, Api, Person, api_of
from tests.e2e.hostile import handshake, head_of_answer, raw, raw_websocket, read_to_the_end
from tests.e2e.listeners import OVER_TLS_TOO, Listener
from tests.e2e.processes import LIMIT_S, Server, serving
from tests.e2e.test_rooms import NOBODY
from tests.e2e.test_users import NO_IDS
from tests.http.peers import client_frame, text

pytestmark = OVER_TLS_TOO
TOKEN_INVALID = 4401


# --- who gets in ------------------------------------------------------------------------------------------------------


async def test_without_a_valid_token_the_upgrade_is_401(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    for query, headers in (
        ("", []),
        ("", [("Authorization", "Bearer x")]),
        ("", [("Authorization", f"Basic {ann.token}")]),
        ("", [("X-Auth-Token", ann.token[:-3])]),
        ("&access_token=", []),
        ("&access_token=x", []),
        (f"&access_token={ann.refresh_token}", []),
        (f"&token={ann.token}", []),
    ):
        status, words = await api.refused(f"/ws?room_id={room}{query}", headers)
        assert (status, bool(words)) == (401, True), (query, headers)


async def test_the_token_comes_in_either_header_or_in_the_query(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    for query, headers in (
        ("", [("Authorization", f"Bearer {ann.token}")]),
        ("", [("X-Auth-Token", ann.token)]),
        (f"&access_token={ann.token}", []),
    ):
        async with api.open_socket(f"/ws?room_id={room}{query}", headers) as socket:
            assert await socket.fence() == []


async def test_without_a_room_the_upgrade_is_400(api: Api, ann: Person) -> None:
    headers = [("Authorization", f"Bearer {ann.token}")]
    for query in ("", "?", "?room_id=", "?room_id=&room_id=", "?room=1", "?room_id=%ff", "?room_id=%00"):
        status, words = await api.refused(f"/ws{query}", headers)
        assert (status, bool(words)) == (400, True), query
    assert (await api.refused("/ws"))[0] == 401  # who asks comes first


async def test_with_no_room_of_the_callers_the_upgrade_is_403(api: Api, ann: Person, eve: Person) -> None:
    rooms = [await api.room(ann), await api.room(ann)]
    headers = [("Authorization", f"Bearer {eve.token}")]
    for asked in ([rooms[0]], rooms, [NOBODY], *([no_id] for no_id in NO_IDS if no_id not in ("%00", "%ff"))):
        status, words = await api.refused("/ws?" + "&".join(f"room_id={room}" for room in asked), headers)
        assert (status, bool(words)) == (403, True), asked


async def test_rooms_that_are_not_the_callers_are_refused_one_by_one(api: Api, ann: Person, bob: Person) -> None:
    mine, his = await api.room(ann, bob), await api.room(bob)
    async with api.socket(ann, his, mine, NOBODY, mine) as socket:
        refused = [await socket.expect("error") for _ in range(2)]
        assert {error["room_id"] for error in refused} == {his, NOBODY}
        assert {error["code"] for error in refused} == {"forbidden"}
        secret, open_to_all = await api.post(bob, his, "not for ann"), await api.post(bob, mine, "for all")
        assert await socket.fence() == [{"event": "receive_message", "data": open_to_all}]
        assert secret["id"] != open_to_all["id"]


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_a_message_reaches_every_socket_of_every_member_the_senders_own_included(
    api: Api, ann: Person, bob: Person
) -> None:
    room = await api.room(ann, bob)
    files = [{"url": "https://h.example/f", "mime_type": "text/plain", "size_bytes": 0}]
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(api.socket(each, room)) for each in (ann, ann, bob, bob)]
        await sockets[0].send("send_message", room_id=room, content=" by socket ", attachments=files, client_id="c")
        received = [await socket.expect("receive_message") for socket in sockets]
        assert received == [received[0]] * 4
        assert set(received[0]) == {*MESSAGE_FIELDS, "client_id"}
        assert (received[0]["content"], received[0]["attachments"], received[0]["client_id"]) == (
            "by socket",
            files,
            "c",
        )
        assert (received[0]["sender_id"], received[0]["username"]) == (ann.id, ann.username)
        assert await api.history(bob, room) == [received[0]]
        by_http = await api.post(bob, room, "by HTTP")
        assert [await socket.fence() for socket in sockets] == [[{"event": "receive_message", "data": by_http}]] * 4


async def test_messages_of_several_rooms_come_with_rising_ids(api: Api, ann: Person, bob: Person) -> None:
    rooms = [await api.room(ann, bob) for _ in range(3)]
    async with api.socket(ann, *rooms) as listening, api.socket(bob, *rooms) as sending:

        async def send() -> None:
            for number in range(60):
                await sending.send("send_message", room_id=rooms[number % 3], content=str(number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            received = await listening.messages(60)
        ids = [int(message["id"]) for message in received]
        assert ids == sorted(set(ids))
        for number, room in enumerate(rooms):
            texts = [message["content"] for message in received if message["room_id"] == room]
            assert texts == [str(n) for n in range(number, 60, 3)]


async def test_a_message_to_a_room_that_the_socket_does_not_follow_is_answered_to_its_sender(
    api: Api, ann: Person, eve: Person
) -> None:
    followed, other = await api.room(ann), await api.room(ann)
    async with api.socket(ann, followed) as socket:
        await socket.send("send_message", room_id=other, content="there", client_id="x")
        assert (await socket.expect("receive_message"))["room_id"] == other
        assert await api.texts(ann, other) == ["there"]
        await api.post(ann, other, "again")
        assert await socket.fence() == []


async def test_the_others_see_who_is_typing_and_the_typist_does_not(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    async with api.socket(ann, room) as typist, api.socket(ann, room) as second, api.socket(bob, room) as other:
        for event in ("typing_start", "typing_stop"):
            await typist.send(event, room_id=room)
            assert await other.expect(event) == {"room_id": room, "user_id": ann.id, "username": ann.username}
        assert await typist.fence() == await second.fence() == []


async def test_the_author_hears_how_far_a_message_got(api: Api, ann: Person, bob: Person) -> None:
    carl = await api.person("carl")
    room = await api.room(ann, bob, carl)
    async with api.socket(ann, room) as author, api.socket(bob, room) as reader:
        message = (await api.post(ann, room, "x"))["id"]
        for socket in (author, reader):
            await socket.expect("receive_message")
        for who, how, statuses in (
            (bob, "deliver", []),
            (carl, "deliver", ["DELIVERED"]),
            (carl, "read", []),
            (bob, "read", ["READ"]),
            (bob, "read", []),
        ):
            assert (await api.ask("POST", f"/rooms/{room}/messages/{message}/{how}", as_=who)).status_code == 204
            expected = [{"room_id": room, "message_id": message, "status": status} for status in statuses]
            assert await author.fence() == [{"event": "message.status", "data": data} for data in expected]
        assert await reader.fence() == []


async def test_edits_and_deletions_reach_every_socket(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    message = await api.post(bob, room, "frist")
    path = f"/rooms/{room}/messages/{message['id']}"
    async with api.socket(ann, room) as socket, api.socket(bob, room) as own:
        edited = (await api.ask("PATCH", path, as_=bob, json={"content": "first"})).json()
        assert (await api.ask("DELETE", path, as_=ann)).status_code == 204
        for each in (socket, own):
            updated = await each.expect("message.updated")
            assert updated == edited
            assert updated["updated_at"] > updated["created_at"]
            gone = await each.expect("message.deleted")
            assert gone == {"room_id": room, "message_id": message["id"], "id": message["id"]}


# --- rooms ------------------------------------------------------------------------------------------------------------


async def test_whoever_is_added_to_a_room_hears_of_it_on_every_socket(api: Api, ann: Person) -> None:
    newcomer = await api.person()
    own = await api.room(newcomer)
    async with api.socket(newcomer, own) as first, api.socket(newcomer, own) as second:
        added = await api.room(ann)
        assert (
            await api.ask("POST", f"/rooms/{added}/members", as_=ann, json={"user_id": newcomer.id})
        ).status_code == 201
        founded = await api.room(ann, newcomer, name="with a newcomer")
        direct = (await api.ask("POST", "/rooms/direct", as_=ann, json={"peer_user_id": newcomer.id})).json()
        for socket in (first, second):
            rooms = [await socket.expect("room_added") for _ in range(3)]
            assert [room["id"] for room in rooms] == [added, founded, direct["id"]]
            assert all(set(room) == ROOM_FIELDS for room in rooms)
            assert rooms[2] == direct


@pytest.mark.parametrize("how", ["removed", "leaves", "room deleted"])
async def test_who_is_no_member_any_more_hears_nothing_on_any_socket(
    api: Api, ann: Person, bob: Person, how: str
) -> None:
    carl = await api.person("carl")
    room, other = await api.room(ann, bob, carl), await api.room(ann, carl)
    async with (
        api.socket(carl, room, other) as first,
        api.socket(carl, room) as second,
        api.socket(bob, room) as witness,
    ):
        before = await api.post(ann, room, "before")
        path = f"/rooms/{room}" if how == "room deleted" else f"/rooms/{room}/members/{carl.id}"
        answer = await api.ask("DELETE", path, as_=carl if how == "leaves" else ann)
        assert answer.status_code == 204
        if how != "room deleted":
            await api.post(ann, room, "after")
        elsewhere = await api.post(ann, other, "elsewhere")
        goodbye = [{"event": "receive_message", "data": before}, {"event": "room_removed", "data": {"room_id": room}}]
        assert await first.fence() == [*goodbye, {"event": "receive_message", "data": elsewhere}]
        assert await second.fence() == goodbye
        await first.send("send_message", room_id=room, content="still there?")
        assert (await first.expect("error"))["code"] == ("not_found" if how == "room deleted" else "forbidden")
        await first.send("typing_start", room_id=room)
        assert (await first.expect("error"))["room_id"] == room
        assert "elsewhere" not in [event["data"].get("content") for event in await witness.fence()]
    assert (await api.refused(f"/ws?room_id={room}&access_token={carl.token}"))[0] == 403


async def test_logging_out_closes_every_socket_of_the_user_and_no_other(api: Api, bob: Person) -> None:
    leaver = await api.person()
    room = await api.room(leaver, bob)
    async with api.socket(leaver, room) as first, api.socket(leaver, room) as second, api.socket(bob, room) as other:
        assert (await api.ask("POST", "/auth/logout", as_=leaver, json={"user_id": leaver.id})).status_code == 204
        after = await api.post(bob, room, "after")
        for socket in (first, second):
            with pytest.raises(ConnectionClosed) as closed:  # with not a single event before
                await socket.next()
            assert closed.value.reason is not None and closed.value.reason.code == TOKEN_INVALID
        assert await other.fence() == [{"event": "receive_message", "data": after}]
    assert (await api.refused(f"/ws?room_id={room}&access_token={leaver.token}"))[0] == 401


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.listeners("lane", reason="JSON is judged behind the listener")
@pytest.mark.parametrize(
    "frame",
    [
        *(
            "",
            " ",
            "x",
            "null",
            "17",
            '"send_message"',
            "[]",
            "{}",
            "[" * 50_000,
            '{"event":' * 10_000,
            "\u0000",
            "{'a': 1}",
        ),
        '{"event": "nonsense", "data": {}}',
        '{"event": "receive_message", "data": {"room_id": "ROOM", "content": "x"}}',
        '{"event": 5, "data": {"room_id": "ROOM", "content": "x"}}',
        '{"event": "send_message"}',
        '{"event": "send_message", "data": null}',
        '{"event": "send_message", "data": []}',
        '{"event": "send_message", "data": {"room_id": "ROOM"}}',
        '{"event": "send_message", "data": {"content": "x"}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "  "}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": 5}}',
        '{"event": "send_message", "data": {"room_id": 5, "content": "x"}}',
        '{"event": "send_message", "data": {"room_id": "abc", "content": "x"}}',
        '{"event": "send_message", "data": {"room_id": "9007199254740991", "content": "x"}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "\\ud800"}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "a\\u0000"}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "x", "attachments": [{"url": "x"}]}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "x", "client_id": ""}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "x", "client_id": 5}}',
        '{"event": "send_message", "data": {"room_id": "ROOM", "content": "' + "x" * 4001 + '"}}',
        '{"event": "typing_start", "data": {}}',
        '{"event": "typing_stop", "data": {"room_id": ""}}',
        '{"event": "typing_start", "data": {"room_id": "9007199254740991"}}',
    ],
    ids=lambda frame: frame[:60],
)
async def test_a_frame_that_makes_no_sense_is_an_error_event_and_the_socket_stays_open(
    api: Api, ann: Person, frame: str
) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        await socket.ws.send_message(frame.replace("ROOM", room))
        error = await socket.expect("error")
        assert set(error) <= {"message", "code", "room_id", "client_id"}
        assert error["message"] and error["code"]
        assert await socket.fence() == []
    assert await api.history(ann, room) == []


async def test_a_refusal_says_which_message_it_is_about(api: Api, ann: Person, eve: Person) -> None:
    room, his = await api.room(eve), await api.room(ann)
    async with api.socket(eve, room) as socket:
        await socket.send("send_message", room_id=his, content="x", client_id="c-17")
        error = await socket.expect("error")
        assert (error["code"], error["room_id"], error["client_id"]) == ("forbidden", his, "c-17")
    assert await api.history(ann, his) == []


async def test_a_binary_frame_is_an_error_event_and_the_socket_stays_open(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        good = json.dumps({"event": "send_message", "data": {"room_id": room, "content": "x"}}).encode()
        for payload in (b"", b"\xff\x00", good):
            await socket.ws.send_message(payload)
            assert (await socket.expect("error"))["code"] == "invalid"
        assert await socket.fence() == []


async def test_a_ping_is_answered(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        with trio.fail_after(LIMIT_S):
            await socket.ws.ping(b"are you there?")
        await socket.ws.pong(b"nobody asked")
        assert await socket.fence() == []


async def test_a_client_that_closes_hears_its_own_code(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        with trio.fail_after(LIMIT_S):
            await socket.ws.aclose(4999, "that is all")
        assert socket.ws.closed is not None and socket.ws.closed.code == 4999


@pytest.mark.parametrize(
    "code", [None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 4000, 4999]
)
async def test_a_close_by_hand_is_answered_with_the_same_code_and_no_words(
    api: Api, ann: Person, code: int | None
) -> None:
    """In bytes, as no client of ours would show an empty one. A ping may come before the answer."""
    room = await api.room(ann)
    number = b"" if code is None else struct.pack("!H", code)
    async with raw_websocket(api, ann, room) as stream:
        await stream.send_all(client_frame(Opcode.CLOSE, number and number + b"goodbye"))
        assert (await read_to_the_end(stream)).endswith(frame(Opcode.CLOSE, number))


LIMIT_BYTES = 1024 * 1024
FAULTS: dict[str, tuple[bytes, int]] = {
    "a reserved bit": (client_frame(Opcode.TEXT, b"x", reserved=4), 1002),
    "a reserved opcode": (client_frame(3, b"x"), 1002),
    "no mask": (client_frame(Opcode.TEXT, b"x", masked=False), 1002),
    "a fragmented ping": (client_frame(Opcode.PING, b"x", fin=False), 1002),
    "a ping too long": (client_frame(Opcode.PING, b"x" * 126), 1002),
    "continuation of nothing": (client_frame(Opcode.CONTINUATION, b"x"), 1002),
    "a message inside another": (client_frame(Opcode.TEXT, b"x", fin=False) + text("y"), 1002),
    "half a close code": (client_frame(Opcode.CLOSE, b"\x03"), 1002),
    "a close code that may not be sent": (client_frame(Opcode.CLOSE, struct.pack("!H", 1005)), 1002),
    "a close reason that is not UTF-8": (client_frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
    "text that is not UTF-8": (client_frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007),
    "bad text in a fragment": (client_frame(Opcode.TEXT, b"\xff", fin=False), 1007),
    "a message too big": (client_frame(Opcode.TEXT, b"x" * (LIMIT_BYTES + 1)), 1009),
    "fragments too big": (
        client_frame(Opcode.TEXT, b"x" * LIMIT_BYTES, fin=False) + client_frame(Opcode.CONTINUATION, b"x"),
        1009,
    ),
}


async def test_who_breaks_the_protocol_is_told_how_and_what_came_before_counts(api: Api, ann: Person) -> None:
    """All at once: each connection lingers for a while."""
    told: dict[str, int] = {}

    async def break_it(name: str, sent: bytes) -> None:
        room = await api.room(ann)
        said = json.dumps({"event": "send_message", "data": {"room_id": room, "content": "before"}})
        async with raw_websocket(api, ann, room) as stream:
            await stream.send_all(text(said) + sent + text(said.replace("before", "after")))
            received = await read_to_the_end(stream)
        *_, (opcode, payload) = server_frames(received)
        assert opcode == Opcode.CLOSE, name
        [told[name]] = struct.unpack("!H", payload[:2])
        with trio.fail_after(LIMIT_S):  # a close does not wait for what was said before it to be stored
            while await api.texts(ann, room) == []:  # noqa: ASYNC110 - in another process
                await trio.sleep(0.02)
        assert await api.texts(ann, room) == ["before"], name

    async with trio.open_nursery() as nursery:
        for name, (sent, _) in FAULTS.items():
            nursery.start_soon(break_it, name, sent)
    assert told == {name: code for name, (_, code) in FAULTS.items()}


async def test_a_message_as_big_as_may_be_is_taken_and_one_byte_more_closes_with_1009(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        await socket.ws.send_message("ä" * (LIMIT_BYTES // 2))
        assert (await socket.expect("error"))["code"] == "invalid"
        await socket.ws.send_message("ä" * (LIMIT_BYTES // 2) + "x")
        assert await socket.closed() == 1009
    assert await api.healthy()


async def test_no_compression_is_agreed_on(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with raw(api.server) as stream:
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        await stream.send_all(handshake(ann, room, more=offer))
        assert b"extensions" not in (await head_of_answer(stream)).lower()


async def test_a_websocket_may_be_a_connections_second_request(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with raw(api.server) as stream:
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        received = b""
        while not received.endswith(b'{"status":"ok"}'):
            received += await stream.receive_some()
        await stream.send_all(handshake(ann, room))
        await head_of_answer(stream)


async def test_frames_that_come_with_the_handshake_are_answered(api: Api, ann: Person) -> None:
    """RFC 6455 has clients wait; that they did not is no reason to lose what they said."""
    room = await api.room(ann)
    async with raw(api.server) as stream:
        pings = [client_frame(Opcode.PING, b"%d" % number) for number in range(20)]
        close = client_frame(Opcode.CLOSE, struct.pack("!H", 4000))
        await stream.send_all(handshake(ann, room) + b"".join(pings) + close)
        await head_of_answer(stream)
        answers = list(server_frames(await read_to_the_end(stream)))
        assert [payload for opcode, payload in answers if opcode == Opcode.PONG] == [b"%d" % n for n in range(20)]
        assert answers[-1] == (Opcode.CLOSE, struct.pack("!H", 4000))


# --- tokens that expire -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hasty(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose access tokens are good for three seconds."""
    data = tmp_path_factory.mktemp("hasty") / "data"
    with serving(data, "--access-token-minutes", "0.05", listener=listener) as server:
        yield server


@pytest.mark.listeners("lane", reason="a log-out closes with 4401 over each listener, and this takes its time")
async def test_a_token_that_expires_closes_the_socket_with_4401(hasty: Server) -> None:
    async with api_of(hasty) as api:
        person = await api.person()
        room = await api.room(person)
        async with api.socket(person, room) as socket, api.socket(person, room, in_query=True) as second:
            assert await socket.closed() == TOKEN_INVALID
            assert await second.closed() == TOKEN_INVALID
        assert (await api.ask("GET", "/rooms", as_=person)).status_code == 401
        assert (await api.refused(f"/ws?room_id={room}&access_token={person.token}"))[0] == 401
        renewed = await api.ask("POST", "/auth/refresh", json={"refresh_token": person.refresh_token})
        fresh = renewed.json()["access_token"]
        async with api.open_socket(f"/ws?room_id={room}&access_token={fresh}") as again:
            assert await again.fence() == []
