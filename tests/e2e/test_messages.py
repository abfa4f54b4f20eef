"""ChatterStack's message endpoints, by real HTTP: posting, reading, receipts, edits, and retries that post once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
import trio

from tests.e2e.client import MESSAGE_FIELDS, Api, Json, Person, api_of, error_of, unique
from tests.e2e.processes import serving
from tests.e2e.test_rooms import NOBODY

pytestmark = pytest.mark.listeners("lane", reason="test_tour asks each endpoint over every listener")

FILE = {"url": "https://files.example.org/a%20b.png?x=1#y", "mime_type": "image/png", "size_bytes": 123}


def time_of(text: str) -> datetime:
    """A time as RFC 3339 has it, in UTC."""
    time = datetime.fromisoformat(text)
    assert time.utcoffset() == timedelta(0)
    return time


async def history_of_ten(api: Api, author: Person, room: str) -> list[Json]:
    """Ten messages, oldest first."""
    return [await api.post(author, room, str(number)) for number in range(10)]


async def status_of(api: Api, viewer: Person, room: str) -> list[str]:
    return [message["status"] for message in reversed(await api.history(viewer, room))]


# --- posting ----------------------------------------------------------------------------------------------------------


async def test_a_posted_message_is_answered_and_listed_in_the_same_form(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    body = {
        "content": "  Grüße, 世界! \u202e\n ",
        "attachments": [FILE, {**FILE, "mime_type": "text/plain; charset=utf-8"}],
    }
    answer = await api.ask("POST", f"/rooms/{room}/messages", as_=ann, json=body)
    assert answer.status_code == 201
    message = answer.json()
    assert set(message) == MESSAGE_FIELDS
    assert message["id"].isdecimal()
    assert (message["room_id"], message["sender_id"], message["username"]) == (room, ann.id, ann.username)
    assert message["content"] == "Grüße, 世界! \u202e"
    assert message["attachments"] == body["attachments"]
    assert message["status"] == "SENT"
    assert message["created_at"] == message["updated_at"]
    assert abs(time_of(message["created_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert await api.history(bob, room) == [message]


@pytest.mark.parametrize(
    "content", ["x" * 4000, "😀" * 4000, " " * 5000 + "x" + "\n" * 5000, "字", "a\tb", "\ufeffx\u200b"]
)
async def test_contents_at_the_limits_are_accepted(api: Api, ann: Person, content: str) -> None:
    room = await api.room(ann)
    posted = await api.post(ann, room, content)
    assert posted["content"] == content.strip()
    assert await api.texts(ann, room) == [posted["content"]]


async def test_attachments_need_no_content(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    for body in ({"attachments": [FILE]}, {"content": "  ", "attachments": [FILE] * 10}):
        answer = await api.ask("POST", f"/rooms/{room}/messages", as_=ann, json=body)
        assert (answer.status_code, answer.json()["content"]) == (201, "")


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_history_comes_newest_first_by_page(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    ids = [message["id"] for message in await history_of_ten(api, ann, room)][::-1]
    for params, expected in (
        ({}, ids),
        ({"page": 1, "limit": 4}, ids[:4]),
        ({"page": 2, "limit": 4}, ids[4:8]),
        ({"page": 3, "limit": 4}, ids[8:]),
        ({"page": 4, "limit": 4}, []),
        ({"page": 9_000_000_000_000, "limit": 1000}, []),
        ({"page": 10, "limit": 1}, ids[9:]),
    ):
        answer = await api.ask("GET", f"/rooms/{room}/messages", as_=ann, params=params)
        assert answer.status_code == 200
        assert list(answer.json()) == ["messages"]
        assert [message["id"] for message in answer.json()["messages"]] == expected, params


async def test_a_page_has_50_messages_unless_another_limit_is_given(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        for number in range(55):
            await socket.send("send_message", room_id=room, content=str(number))
        await socket.messages(55)
    answer = await api.ask("GET", f"/rooms/{room}/messages", as_=ann)
    assert [message["content"] for message in answer.json()["messages"]] == [str(n) for n in range(54, 4, -1)]
    assert len(await api.history(ann, room, limit=55)) == 55


async def test_the_window_is_of_50_messages_unless_another_limit_is_given(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        for number in range(70):
            await socket.send("send_message", room_id=room, content=str(number))
        middle = (await socket.messages(70))[40]
    answer = await api.ask("GET", f"/rooms/{room}/messages", as_=ann, params={"around_message_id": middle["id"]})
    assert [message["content"] for message in answer.json()["messages"]] == [str(number) for number in range(15, 65)]


async def test_there_is_no_window_around_a_message_of_another_room_or_a_deleted_one(api: Api, ann: Person) -> None:
    room, other = await api.room(ann), await api.room(ann)
    elsewhere, deleted = await api.post(ann, other, "x"), await api.post(ann, room, "y")
    assert (await api.ask("DELETE", f"/rooms/{room}/messages/{deleted['id']}", as_=ann)).status_code == 204
    for message in (elsewhere, deleted):
        answer = await api.ask("GET", f"/rooms/{room}/messages", as_=ann, params={"around_message_id": message["id"]})
        assert answer.status_code == 400


# --- receipts ---------------------------------------------------------------------------------------------------------


async def mark(api: Api, reader: Person, room: str, message: str, how: str) -> httpx2.Response:
    return await api.ask("POST", f"/rooms/{room}/messages/{message}/{how}", as_=reader)


async def test_a_status_is_what_all_other_members_have_done(api: Api, ann: Person, bob: Person) -> None:
    carl = await api.person("carl")
    room = await api.room(ann, bob, carl)
    first, second = [(await api.post(ann, room, text))["id"] for text in ("one", "two")]
    steps: list[tuple[Person, str, str, list[str]]] = [
        (ann, "read", second, ["SENT", "SENT"]),  # the author's own counts for nothing
        (bob, "deliver", second, ["SENT", "SENT"]),
        (carl, "deliver", first, ["DELIVERED", "SENT"]),
        (carl, "read", second, ["DELIVERED", "DELIVERED"]),
        (bob, "read", first, ["READ", "DELIVERED"]),
        (bob, "deliver", first, ["READ", "DELIVERED"]),  # late and repeated ones take nothing back
        (bob, "read", second, ["READ", "READ"]),
        (carl, "read", first, ["READ", "READ"]),
    ]
    for reader, how, message, expected in steps:
        answer = await mark(api, reader, room, message, how)
        assert (answer.status_code, answer.content) == (204, b"")
        assert await status_of(api, ann, room) == await status_of(api, bob, room) == expected, (reader.username, how)


@pytest.mark.parametrize("how", ["deliver", "read"])
async def test_a_receipt_for_what_is_no_message_of_the_room_is_refused(
    api: Api, ann: Person, bob: Person, how: str
) -> None:
    room, other = await api.room(ann), await api.room(ann, bob)
    elsewhere = await api.post(ann, other, "x")
    for caller, where, message, status in (
        (ann, room, elsewhere["id"], 400),
        (ann, room, NOBODY, 400),
        (ann, room, "abc", 400),
        (ann, NOBODY, NOBODY, 404),
        (bob, room, elsewhere["id"], 403),
    ):
        answer = await mark(api, caller, where, message, how)
        assert answer.status_code == status, (where, message)
        assert error_of(answer)


# --- editing and deleting ---------------------------------------------------------------------------------------------


async def test_an_author_edits_and_everyone_reads_the_new_text(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    message = await api.post(bob, room, "frist")
    path = f"/rooms/{room}/messages/{message['id']}"
    edited = await api.ask("PATCH", path, as_=bob, json={"content": " first "})
    assert edited.status_code == 200
    assert edited.json() == {**message, "content": "first", "updated_at": edited.json()["updated_at"]}
    assert time_of(edited.json()["updated_at"]) > time_of(message["created_at"])
    assert await api.history(ann, room) == [edited.json()]


async def test_editing_is_for_the_author_and_deleting_for_admins_too(api: Api, ann: Person, bob: Person) -> None:
    carl = await api.person("carl")
    room = await api.room(ann, bob, carl)
    by_ann, by_bob, by_carl = [(await api.post(author, room, "x"))["id"] for author in (ann, bob, carl)]
    for caller, method, message, body, status in (
        (ann, "PATCH", by_bob, {"content": "y"}, 403),  # an admin, too
        (bob, "PATCH", by_ann, {"content": "y"}, 403),
        (bob, "PATCH", by_bob, {"content": " "}, 400),
        (bob, "PATCH", by_bob, {"content": "y" * 4001}, 400),
        (bob, "PATCH", by_bob, {}, 400),
        (bob, "PATCH", NOBODY, {"content": "y"}, 404),
        (bob, "PATCH", "abc", {"content": "y"}, 404),
        (bob, "DELETE", by_ann, None, 403),
        (bob, "DELETE", by_carl, None, 403),
        (bob, "DELETE", NOBODY, None, 404),
        (bob, "DELETE", by_bob, None, 204),
        (bob, "DELETE", by_bob, None, 404),
        (bob, "PATCH", by_bob, {"content": "y"}, 404),
        (ann, "DELETE", by_carl, None, 204),
    ):
        answer = await api.ask(method, f"/rooms/{room}/messages/{message}", as_=caller, json=body)
        assert answer.status_code == status, (caller.username, method, message)
        assert status == 204 or error_of(answer)
    assert [message["id"] for message in await api.history(bob, room)] == [by_ann]


# --- retries ----------------------------------------------------------------------------------------------------------


async def test_a_retry_under_the_same_key_answers_with_the_first_message(api: Api, ann: Person, bob: Person) -> None:
    room, other = await api.room(ann, bob), await api.room(ann)
    first = await api.post(ann, room, "once", key="k 1")
    assert set(first) == {*MESSAGE_FIELDS, "client_id"}
    assert await api.post(ann, room, "once", key="k 1") == first
    assert await api.post(ann, room, " once\n", key="k 1") == first
    for body in ({"content": "twice"}, {"content": "once", "attachments": [FILE]}):
        answer = await api.ask(
            "POST", f"/rooms/{room}/messages", as_=ann, json=body, headers={"Idempotency-Key": "k 1"}
        )
        assert answer.status_code == 409
        assert error_of(answer)
    assert (await api.post(bob, room, "mine", key="k 1"))["id"] != first["id"]  # a key is its author's own
    assert (await api.post(ann, other, "there", key="k 1"))["id"] != first["id"]  # and one room's
    assert await api.texts(bob, room) == ["mine", "once"]


async def test_many_retries_at_once_post_once(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    answers: list[Json] = []

    async def post() -> None:
        answers.append(await api.post(ann, room, "once", key="storm"))

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(post)
    assert answers == [answers[0]] * 30
    assert len(await api.history(ann, room)) == 1


async def test_a_key_is_the_same_over_http_and_over_a_socket(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        by_http = await api.post(ann, room, "over http", key="h")
        assert await socket.expect("receive_message") == by_http
        await socket.send("send_message", room_id=room, content="over http", client_id="h")
        assert await socket.expect("receive_message") == by_http
        await socket.send("send_message", room_id=room, content="changed", client_id="h")
        refusal = await socket.expect("error")
        assert (refusal["code"], refusal["client_id"], refusal["room_id"]) == ("conflict", "h", room)

        await socket.send("send_message", room_id=room, content="over a socket", client_id="s")
        by_socket = await socket.expect("receive_message")
        assert await api.post(ann, room, "over a socket", key="s") == by_socket
        answer = await api.ask(
            "POST", f"/rooms/{room}/messages", as_=ann, json={"content": "changed"}, headers={"Idempotency-Key": "s"}
        )
        assert answer.status_code == 409
    assert await api.texts(ann, room) == ["over a socket", "over http"]


async def test_a_key_outlives_a_restart_and_hundreds_of_messages(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first_server:
        async with api_of(first_server) as api:
            ann = await api.person("ann")
            room = await api.room(ann)
            first = await api.post(ann, room, "once", key="k")
            async with api.socket(ann, room) as socket:
                for number in range(300):
                    await socket.send("send_message", room_id=room, content=str(number), client_id=f"n{number}")
                await socket.messages(300)
            assert await api.post(ann, room, "once", key="k") == first  # no longer in memory
    with serving(tmp_path / "data") as second_server:
        async with api_of(second_server) as api:
            assert await api.post(ann, room, "once", key="k") == first
            answer = await api.ask(
                "POST", f"/rooms/{room}/messages", as_=ann, json={"content": "twice"}, headers={"Idempotency-Key": "k"}
            )
            assert answer.status_code == 409
            async with api.socket(ann, room) as socket:
                await socket.send("send_message", room_id=room, content="once", client_id="k")
                assert await socket.expect("receive_message") == first
            newest = await api.post(ann, room, unique("new"))
            history = await api.history(ann, room)
            assert len(history) == 302 and history[0] == newest
            assert int(newest["id"]) > int(history[1]["id"])
