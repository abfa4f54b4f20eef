"""The messenger over HTTP: each endpoint's success and its refusals, paging, and rooms shared with ChatterStack."""

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.engine.model.ids import MAX_ID, RoomId, UserId
from chinwag.engine.model.store import DuplicateKey
from chinwag.engine.model.values import Sealed
from chinwag.http.api.rate_limits import RateLimiter
from chinwag.http.fronts import chatterstack, messenger
from chinwag.http.fronts.messenger import wire
from chinwag.http.kit.uuid_ids import IDS
from tests.examples import examples
from tests.http.service_api import Answer, Api, Person, open_api

FRONT = messenger.FRONT
NOBODY = IDS.encode(MAX_ID)
STRANGE_UUID = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
WORDS = {
    401: "Invalid or expired token",
    403: "You don't have permission to access this resource",
    404: "Resource not found",
    429: "Rate limit exceeded",
    500: "Internal server error",
}


class Messenger:
    """A server with the messenger and ChatterStack, asked by the messenger's API."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def ask(self, method: str, path: str, *, as_: Person | None = None, **more: Any) -> Answer:
        """One request below `/api`."""
        return await self.api.ask(method, f"/messenger/api{path}", as_=as_, **more)

    async def person(self, username: str) -> Person:
        """Register, which logs in."""
        sent = {"username": username, "email": f"{username}@example.org", "password": "secret"}
        made = await self.ask("POST", "/auth/register", json=sent)
        assert made.status == 200, made.body
        return Person(made.json["user"]["id"], username, made.json["access_token"], made.json["refresh_token"])

    async def conversation(self, one: Person, other: Person) -> str:
        """The conversation of two; its id."""
        opened = await self.ask("POST", "/conversations", as_=one, json={"user_id": other.id})
        assert opened.status == 200, opened.body
        return str(opened.json["conversation"]["id"])

    async def group(self, creator: Person, *others: Person, name: str = "Team Chat") -> str:
        """A new group; its id."""
        made = await self.ask("POST", "/groups", as_=creator, json={"name": name})
        assert made.status == 201, made.body
        group_id = str(made.json["group"]["id"])
        for other in others:
            added = await self.ask("POST", f"/groups/{group_id}/members", as_=creator, json={"user_id": other.id})
            assert added.status == 200, added.body
        return group_id

    async def say(self, author: Person, where: str, content: str) -> dict[str, Any]:
        """Post to "/groups/ID" or "/conversations/ID"; the message as it is answered."""
        posted = await self.ask("POST", f"{where}/messages", as_=author, json={"content": content})
        assert posted.status == 201, posted.body
        message: dict[str, Any] = posted.json["message"]
        return message


@pytest.fixture
async def m() -> AsyncIterator[Messenger]:
    async with open_api((chatterstack.FRONT, FRONT), checked=True) as api:
        yield Messenger(api)


@pytest.fixture
async def ann(m: Messenger) -> Person:
    return await m.person("ann")


@pytest.fixture
async def bob(m: Messenger) -> Person:
    return await m.person("bob")


@pytest.fixture
async def eve(m: Messenger) -> Person:
    return await m.person("eve")


def refused(answer: Answer, status: int, error: str | None = None) -> None:
    """The spec's error shape, and its words where it has some."""
    assert answer.status == status, answer.body
    assert answer.error == (error or WORDS.get(status) or answer.error)
    assert answer.error


# --- authentication -----------------------------------------------------------------------------------------------


async def test_register_answers_with_the_user_and_both_tokens(m: Messenger) -> None:
    sent = {"username": " johndoe ", "email": "john@Example.com", "password": "securepassword123"}
    answer = await m.ask("POST", "/auth/register", json=sent)
    assert answer.status == 200
    assert list(answer.json) == ["user", "access_token", "refresh_token"]
    user = answer.json["user"]
    assert list(user) == ["id", "username", "email", "created_at"]
    assert (user["username"], user["email"]) == ("johndoe", "john@example.com")
    assert IDS.decode(user["id"]) is not None
    headers = {"authorization": f"Bearer {answer.json['access_token']}"}
    assert (await m.ask("GET", "/groups", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"username": "ab"}, "username: must have at least 3 characters"),
        ({"username": "a" * 51}, "username: must have at most 50 characters"),
        ({"username": "a\tb"}, "username: must not contain control characters"),
        ({"username": None}, "username: must be text, not null"),
        ({"email": "nowhere"}, None),
        ({"password": "short"}, "password: must have at least 6 characters"),
    ],
)
async def test_register_says_what_is_wrong(m: Messenger, change: Mapping[str, object], error: str | None) -> None:
    sent = {"username": "carol", "email": "carol@example.org", "password": "secret"}
    refused(await m.ask("POST", "/auth/register", json={**sent, **change}), 400, error)
    for field in sent:
        left = {name: value for name, value in sent.items() if name != field}
        refused(await m.ask("POST", "/auth/register", json=left), 400, f"{field}: is required")


async def test_register_refuses_what_is_taken(m: Messenger, ann: Person) -> None:
    for username, email, error in (
        ("ANN", "new@example.org", "username is already in use"),
        ("new", "Ann@example.org", "email is already in use"),
    ):
        sent = {"username": username, "email": email, "password": "secret"}
        refused(await m.ask("POST", "/auth/register", json=sent), 400, error)


@pytest.mark.parametrize("name", ["ann", "ANN", " ann ", "ann@example.org"])
async def test_log_in_by_username_or_address(m: Messenger, ann: Person, name: str) -> None:
    answer = await m.ask("POST", "/auth/login", json={"username": name, "password": "secret"})
    assert answer.status == 200
    assert list(answer.json) == ["user", "access_token", "refresh_token"]
    assert answer.json["user"] == {"id": ann.id, "username": "ann", "email": "ann@example.org"}


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", "secret"), ("", ""), ("ann", "")])
async def test_log_in_failures_are_one_401(m: Messenger, ann: Person, name: str, password: str) -> None:
    answer = await m.ask("POST", "/auth/login", json={"username": name, "password": password})
    refused(answer, 401, "Invalid username or password")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_log_in_without_its_fields_is_400(m: Messenger) -> None:
    bodies: list[object] = [{}, {"username": "ann"}, {"password": "secret"}, [], None]
    for body in (*bodies, {"username": 1, "password": "secret"}):
        refused(await m.ask("POST", "/auth/login", json=body), 400)
    for raw in (b"", b"{", b"\xff"):
        refused(await m.ask("POST", "/auth/login", body=raw), 400)


async def test_a_deactivated_account_is_told_so_to_who_knows_the_password(m: Messenger, ann: Person) -> None:
    number = IDS.decode(ann.id)
    assert number is not None
    await m.api.engine.accounts.set_active(UserId(number), False)
    sent = {"username": "ann", "password": "secret"}
    refused(await m.ask("POST", "/auth/login", json=sent), 401, "this account was deactivated")
    refused(await m.ask("GET", "/groups", as_=ann), 401, "this account was deactivated")
    refused(await m.ask("POST", "/auth/login", json={**sent, "password": "x"}), 401, "Invalid username or password")


async def test_refresh_answers_an_access_token_alone_as_often_as_it_is_asked(m: Messenger, ann: Person) -> None:
    tokens = {ann.token}
    for _ in range(3):
        answer = await m.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token})
        assert answer.status == 200
        assert list(answer.json) == ["access_token"]
        tokens.add(answer.json["access_token"])
        headers = {"authorization": f"Bearer {answer.json['access_token']}"}
        assert (await m.ask("GET", "/groups", headers=headers)).status == 200
    assert len(tokens) == 4


async def test_refresh_refuses_anything_else(m: Messenger, ann: Person) -> None:
    for token in ("", "x", ann.token):
        refused(await m.ask("POST", "/auth/refresh", json={"refresh_token": token}), 401)
    refused(await m.ask("POST", "/auth/refresh", json={}), 400, "refresh_token: is required")


async def test_log_out_ends_this_log_in_and_no_other(m: Messenger, ann: Person) -> None:
    other = await m.ask("POST", "/auth/login", json={"username": "ann", "password": "secret"})
    renewed = await m.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token})
    answer = await m.ask("POST", "/auth/logout", as_=ann)
    assert (answer.status, answer.json) == (200, {"message": "Logged out successfully"})
    for token in (ann.token, renewed.json["access_token"]):
        refused(await m.ask("GET", "/groups", headers={"authorization": f"Bearer {token}"}), 401)
    refused(await m.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token}), 401)
    headers = {"authorization": f"Bearer {other.json['access_token']}"}
    assert (await m.ask("GET", "/groups", headers=headers)).status == 200


# --- conversations ------------------------------------------------------------------------------------------------


async def test_a_conversation_is_the_same_from_either_side(m: Messenger, ann: Person, bob: Person) -> None:
    made = await m.ask("POST", "/conversations", as_=ann, json={"user_id": bob.id})
    assert made.status == 200
    conversation = made.json["conversation"]
    assert list(conversation) == ["id", "participants", "created_at", "updated_at"]
    assert conversation["participants"] == [ann.id, bob.id]
    assert conversation["updated_at"] == conversation["created_at"]
    again = (await m.ask("POST", "/conversations", as_=bob, json={"user_id": ann.id.upper()})).json["conversation"]
    assert again == {**conversation, "participants": [bob.id, ann.id]}
    said = await m.say(ann, f"/conversations/{conversation['id']}", "hello")
    later = (await m.ask("POST", "/conversations", as_=bob, json={"user_id": ann.id})).json["conversation"]
    assert later["updated_at"] == said["created_at"]


async def test_both_sides_asking_at_once_get_the_same_conversation(m: Messenger, ann: Person, bob: Person) -> None:
    found: list[str] = []

    async def ask(one: Person, other: Person) -> None:
        found.append(await m.conversation(one, other))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask, ann, bob)
            nursery.start_soon(ask, bob, ann)
    assert len(found) == 20
    assert len(set(found)) == 1


async def test_a_conversation_needs_somebody_else_who_exists(m: Messenger, ann: Person) -> None:
    refused(await m.ask("POST", "/conversations", as_=ann, json={"user_id": ann.id}), 400)
    for nobody in (NOBODY, STRANGE_UUID):
        refused(await m.ask("POST", "/conversations", as_=ann, json={"user_id": nobody}), 404)
    for no_id in ("", "1", "uuid", f"{{{NOBODY}}}"):
        refused(await m.ask("POST", "/conversations", as_=ann, json={"user_id": no_id}), 400)
    refused(await m.ask("POST", "/conversations", as_=ann, json={}), 400, "user_id: is required")


async def test_conversations_are_listed_latest_activity_first(m: Messenger, ann: Person, bob: Person) -> None:
    others = [await m.person(f"other{n}") for n in range(3)]
    ids = [await m.conversation(ann, other) for other in others]
    await m.group(ann)

    async def listed(reader: Person) -> list[dict[str, Any]]:
        answer = await m.ask("GET", "/conversations", as_=reader)
        assert answer.status == 200
        assert list(answer.json) == ["conversations"]
        found: list[dict[str, Any]] = answer.json["conversations"]
        return found

    assert [each["id"] for each in await listed(ann)] == ids[::-1]
    said = await m.say(others[0], f"/conversations/{ids[0]}", "me first")
    first, *rest = await listed(ann)
    assert (first["id"], first["updated_at"]) == (ids[0], said["created_at"])
    assert [each["id"] for each in rest] == [ids[2], ids[1]]
    assert first["participants"] == [ann.id, others[0].id]
    assert list(first) == ["id", "participants", "created_at", "updated_at"]
    assert await listed(bob) == []


async def test_a_conversation_by_id(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    conversation_id = await m.conversation(ann, bob)
    answer = await m.ask("GET", f"/conversations/{conversation_id}", as_=bob)
    assert answer.status == 200
    assert list(answer.json["conversation"]) == ["id", "participants", "created_at"]
    assert answer.json["conversation"]["participants"] == [bob.id, ann.id]
    refused(await m.ask("GET", f"/conversations/{conversation_id}", as_=eve), 403)
    for nowhere in (NOBODY, STRANGE_UUID, "1", await m.group(ann)):
        refused(await m.ask("GET", f"/conversations/{nowhere}", as_=ann), 404)


# --- groups -------------------------------------------------------------------------------------------------------


async def test_a_group_begins_with_its_creator(m: Messenger, ann: Person) -> None:
    answer = await m.ask("POST", "/groups", as_=ann, json={"name": " Team Chat "})
    assert answer.status == 201
    group = answer.json["group"]
    assert list(group) == ["id", "name", "created_by", "members", "created_at"]
    assert (group["name"], group["created_by"], group["members"]) == ("Team Chat", ann.id, [ann.id])


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "  "}, {"name": "x" * 101}, {"name": "a\nb"}, {"name": 1}])
async def test_a_group_needs_a_name(m: Messenger, ann: Person, body: object) -> None:
    refused(await m.ask("POST", "/groups", as_=ann, json=body), 400)


async def test_groups_are_listed_with_their_members(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    first, second = await m.group(ann, bob, name="first"), await m.group(bob, name="second")
    await m.conversation(ann, bob)
    of_bob = (await m.ask("GET", "/groups", as_=bob)).json["groups"]
    assert [(group["id"], group["name"]) for group in of_bob] == [(second, "second"), (first, "first")]
    assert set(of_bob[1]["members"]) == {ann.id, bob.id}
    assert list(of_bob[1]) == ["id", "name", "created_by", "members", "created_at"]
    assert (await m.ask("GET", "/groups", as_=eve)).json == {"groups": []}


async def test_a_group_by_id(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id = await m.group(ann, bob)
    group = (await m.ask("GET", f"/groups/{group_id}", as_=bob)).json["group"]
    assert (group["id"], group["members"], group["created_by"]) == (group_id, [ann.id, bob.id], ann.id)
    refused(await m.ask("GET", f"/groups/{group_id}", as_=eve), 403)
    for nowhere in (NOBODY, STRANGE_UUID, "1", await m.conversation(ann, bob)):
        refused(await m.ask("GET", f"/groups/{nowhere}", as_=ann), 404)


async def test_the_creator_adds_members(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id = await m.group(ann)
    path = f"/groups/{group_id}/members"
    added = await m.ask("POST", path, as_=ann, json={"user_id": bob.id})
    assert (added.status, added.json) == (200, {"message": "Member added successfully"})
    refused(await m.ask("POST", path, as_=ann, json={"user_id": bob.id}), 400, "already a member")
    refused(await m.ask("POST", path, as_=bob, json={"user_id": eve.id}), 403)
    refused(await m.ask("POST", path, as_=eve, json={"user_id": eve.id}), 403)
    for nobody in (NOBODY, STRANGE_UUID):
        refused(await m.ask("POST", path, as_=ann, json={"user_id": nobody}), 404)
    refused(await m.ask("POST", path, as_=ann, json={"user_id": "bob"}), 400, "user_id: is not a UUID")
    refused(await m.ask("POST", path, as_=ann, json={}), 400)
    refused(await m.ask("POST", f"/groups/{NOBODY}/members", as_=ann, json={"user_id": bob.id}), 404)
    direct = await m.conversation(ann, bob)
    refused(await m.ask("POST", f"/groups/{direct}/members", as_=ann, json={"user_id": eve.id}), 404)


async def test_members_are_removed_by_the_creator_or_leave(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id = await m.group(ann, bob, eve)
    path = f"/groups/{group_id}/members"
    refused(await m.ask("DELETE", f"{path}/{eve.id}", as_=bob), 403)
    removed = await m.ask("DELETE", f"{path}/{eve.id}", as_=ann)
    assert (removed.status, removed.json) == (200, {"message": "Member removed successfully"})
    refused(await m.ask("DELETE", f"{path}/{eve.id}", as_=ann), 404)
    refused(await m.ask("DELETE", f"{path}/{STRANGE_UUID}", as_=ann), 404)
    refused(await m.ask("DELETE", f"{path}/{bob.id}", as_=eve), 403)
    assert (await m.ask("DELETE", f"{path}/{ann.id}", as_=ann)).status == 200  # the creator leaves
    assert (await m.ask("GET", f"/groups/{group_id}", as_=bob)).json["group"]["members"] == [bob.id]
    assert (await m.ask("POST", path, as_=bob, json={"user_id": eve.id})).status == 200  # and bob has taken over
    direct = await m.conversation(ann, bob)
    refused(await m.ask("DELETE", f"/groups/{direct}/members/{ann.id}", as_=ann), 404)


# --- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conversation", "group"])
async def test_a_message_is_stored_and_returned(m: Messenger, ann: Person, bob: Person, kind: str) -> None:
    where_id = await m.conversation(ann, bob) if kind == "conversation" else await m.group(ann, bob)
    answer = await m.ask("POST", f"/{kind}s/{where_id}/messages", as_=ann, json={"content": " Hello! "})
    assert answer.status == 201
    message = answer.json["message"]
    assert list(message) == ["id", "sender_id", f"{kind}_id", "content", "created_at"]
    assert (message["sender_id"], message[f"{kind}_id"], message["content"]) == (ann.id, where_id, "Hello!")
    page = await m.ask("GET", f"/{kind}s/{where_id}/messages", as_=bob)
    assert page.json == {"messages": [message], "next_cursor": None}
    kinds = {"conversation": wire.ConversationMessages, "group": wire.GroupMessages}
    assert msgspec.json.encode(msgspec.json.decode(page.body, type=kinds[kind])) == page.body


@pytest.mark.parametrize(
    "body",
    [{}, {"content": ""}, {"content": " \n"}, {"content": "x" * 4001}, {"content": 5}, {"content": None}, [], "hello"],
)
async def test_messages_that_are_400(m: Messenger, ann: Person, body: object) -> None:
    group_id = await m.group(ann)
    refused(await m.ask("POST", f"/groups/{group_id}/messages", as_=ann, json=body), 400)
    assert (await m.ask("GET", f"/groups/{group_id}/messages", as_=ann)).json["messages"] == []


async def test_only_members_see_and_send(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id, conversation_id = await m.group(ann, bob), await m.conversation(ann, bob)
    for where, other in (("/groups/" + group_id, "/conversations/"), ("/conversations/" + conversation_id, "/groups/")):
        refused(await m.ask("GET", f"{where}/messages", as_=eve), 403)
        refused(await m.ask("POST", f"{where}/messages", as_=eve, json={"content": "x"}), 403)
        wrong = other + where.rpartition("/")[2]
        nowhere = f"{where.rpartition('/')[0]}/{NOBODY}"
        for path in (wrong, nowhere, nowhere.replace(NOBODY, STRANGE_UUID)):
            refused(await m.ask("GET", f"{path}/messages", as_=ann), 404)
            refused(await m.ask("POST", f"{path}/messages", as_=ann, json={"content": "x"}), 404)
    await m.ask("DELETE", f"/groups/{group_id}/members/{bob.id}", as_=ann)
    refused(await m.ask("GET", f"/groups/{group_id}/messages", as_=bob), 403)


async def test_a_retry_under_a_client_id_is_the_first_message(m: Messenger, ann: Person) -> None:
    path = f"/groups/{await m.group(ann)}/messages"
    first = await m.ask("POST", path, as_=ann, json={"content": "once", "client_id": "c-1"})
    assert first.json["message"]["client_id"] == "c-1"
    again = await m.ask("POST", path, as_=ann, json={"content": "once", "client_id": "c-1"})
    assert again.json == first.json
    refused(await m.ask("POST", path, as_=ann, json={"content": "other", "client_id": "c-1"}), 400)
    assert len((await m.ask("GET", path, as_=ann)).json["messages"]) == 1


# --- paging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_paging_shows_every_message_once_also_while_new_ones_arrive(
    m: Messenger, ann: Person, bob: Person, seed: int
) -> None:
    dice = random.Random(seed)
    where = f"/conversations/{await m.conversation(ann, bob)}"
    async with trio.open_nursery() as nursery:  # together: several of them in the same microsecond
        for n in range(60):
            nursery.start_soon(m.say, dice.choice((ann, bob)), where, f"{n}")
    before = [
        each["id"] for each in (await m.ask("GET", f"{where}/messages", as_=ann, query="limit=100")).json["messages"]
    ]
    assert len(before) == 60
    read: list[str] = []
    times: list[str] = []
    query: dict[str, object] = {}
    while True:
        page = await m.ask("GET", f"{where}/messages", as_=bob, query={**query, "limit": dice.randint(1, 9)})
        assert page.status == 200
        read += [message["id"] for message in page.json["messages"]]
        times += [message["created_at"] for message in page.json["messages"]]
        if page.json["next_cursor"] is None:
            break
        assert page.json["next_cursor"] == page.json["messages"][-1]["created_at"]
        query = {"cursor": page.json["next_cursor"]}
        for _ in range(dice.randrange(3)):
            await m.say(ann, where, "meanwhile")
    assert read == before
    assert times == sorted(set(times), reverse=True)


async def test_a_full_last_page_ends_with_null(m: Messenger, ann: Person) -> None:
    where = f"/groups/{await m.group(ann)}"
    for n in range(4):
        await m.say(ann, where, f"{n}")
    first = (await m.ask("GET", f"{where}/messages", as_=ann, query={"limit": 2})).json
    last = (await m.ask("GET", f"{where}/messages", as_=ann, query={"limit": 2, "cursor": first["next_cursor"]})).json
    assert [message["content"] for message in last["messages"]] == ["1", "0"]
    assert last["next_cursor"] is None
    past = {"cursor": last["messages"][-1]["created_at"]}
    assert (await m.ask("GET", f"{where}/messages", as_=ann, query=past)).json == {"messages": [], "next_cursor": None}


async def test_a_page_has_50_by_default_and_100_at_most(m: Messenger, ann: Person) -> None:
    where = f"/groups/{await m.group(ann)}"
    for n in range(101):
        await m.say(ann, where, f"{n}")
    for query, count in (("", 50), ("limit=100", 100), ("limit=1", 1)):
        assert len((await m.ask("GET", f"{where}/messages", as_=ann, query=query)).json["messages"]) == count


async def test_a_cursor_may_be_any_time_with_a_zone(m: Messenger, ann: Person) -> None:
    where = f"/groups/{await m.group(ann)}"
    await m.say(ann, where, "hello")
    for cursor, count in (
        ("2000-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999999Z", 1),
        ("2100-01-01T00:00:00+01:00", 1),
        ("0001-01-01T00:00:00Z", 0),
    ):
        page = await m.ask("GET", f"{where}/messages", as_=ann, query={"cursor": cursor})
        assert (page.status, len(page.json["messages"])) == (200, count), cursor


@pytest.mark.parametrize(
    "query",
    "limit=0 limit=101 limit=-1 limit=x limit= limit=1.5 cursor= cursor=x cursor=5 cursor=2024-01-01 "
    f"cursor=2024-01-01T00:00:00 cursor=2024-13-01T00:00:00Z cursor={NOBODY}".split(),
)
async def test_wrong_pages_are_400(m: Messenger, ann: Person, query: str) -> None:
    group_id = await m.group(ann)
    refused(await m.ask("GET", f"/groups/{group_id}/messages", as_=ann, query=query), 400)


# --- what other fronts made ---------------------------------------------------------------------------------------


async def test_rooms_and_messages_are_chatterstacks_too(m: Messenger, ann: Person, bob: Person) -> None:
    group_id = await m.group(ann, bob)
    number = IDS.decode(group_id)
    await m.say(ann, f"/groups/{group_id}", "from the messenger")
    path = f"/chatterstack/v1/rooms/{number}/messages"
    files = [{"url": "https://a.example/1.png", "mime_type": "image/png", "size_bytes": 1}]
    for sent in ({"content": "from ChatterStack"}, {"content": "", "attachments": files}):
        assert (await m.api.ask("POST", path, as_=bob, json=sent)).status == 201
    there = (await m.api.ask("GET", path, as_=ann)).json["messages"]
    here = (await m.ask("GET", f"/groups/{group_id}/messages", as_=bob)).json["messages"]
    assert [each["content"] for each in here] == ["https://a.example/1.png", "from ChatterStack", "from the messenger"]
    assert [IDS.decode(each["id"]) for each in here] == [int(each["id"]) for each in there]


async def test_who_left_a_conversation_is_still_a_participant(m: Messenger, ann: Person, bob: Person) -> None:
    conversation_id = await m.conversation(ann, bob)
    path = f"/chatterstack/v1/rooms/{IDS.decode(conversation_id)}/members/{IDS.decode(bob.id)}"
    assert (await m.api.ask("DELETE", path, as_=bob)).status == 204
    assert (await m.ask("GET", "/conversations", as_=bob)).json["conversations"] == []
    refused(await m.ask("GET", f"/conversations/{conversation_id}", as_=bob), 403)
    shown = (await m.ask("GET", f"/conversations/{conversation_id}", as_=ann)).json["conversation"]
    assert shown["participants"] == [ann.id, bob.id]
    assert await m.conversation(ann, bob) == conversation_id
    assert (await m.ask("GET", f"/conversations/{conversation_id}", as_=bob)).status == 200


async def test_what_the_server_cannot_read_has_a_placeholder(m: Messenger, ann: Person) -> None:
    group_id = await m.group(ann)
    room, user = IDS.decode(group_id), IDS.decode(ann.id)
    assert room is not None
    assert user is not None
    sealed = Sealed(data="c2VjcmV0", iv="aXY=", key_version=1)
    await m.api.engine.messages.post(RoomId(room), UserId(user), text="", sealed=sealed)
    [message] = (await m.ask("GET", f"/groups/{group_id}/messages", as_=ann)).json["messages"]
    assert message["content"] == "[encrypted message]"


# --- the whole table ----------------------------------------------------------------------------------------------


def filled(path: str, room: str = NOBODY) -> str:
    return path.replace("{id}", room).replace("{userId}", NOBODY)


@pytest.mark.parametrize("route", FRONT.routes, ids=lambda route: f"{route.method} {route.path}")
async def test_every_endpoint_but_three_needs_a_token(m: Messenger, route: Any) -> None:
    answer = await m.ask(route.method, filled(route.path), json={})
    refused(answer, 401 if route.auth else 400)
    assert route.auth is (route.path not in ("/auth/register", "/auth/login", "/auth/refresh"))


BODY = {
    "username": "carol",
    "email": "carol@example.org",
    "password": "secret",
    "refresh_token": "x",
    "user_id": NOBODY,
    "name": "x",
    "content": "x",
}


@pytest.mark.parametrize("route", FRONT.routes, ids=lambda route: f"{route.method} {route.path}")
async def test_every_endpoint_says_so_when_the_store_is_away(
    m: Messenger, ann: Person, bob: Person, route: Any
) -> None:
    direct = route.path.startswith("/conversations")
    room = await m.conversation(ann, bob) if direct else await m.group(ann)
    # With a cursor, since the newest page is answered from memory.
    query = {"cursor": "2100-01-01T00:00:00Z"}
    m.api.store.unavailable = True
    answer = await m.ask(route.method, filled(route.path, room), as_=ann, json=BODY, query=query)
    refused(answer, 503)
    assert answer.headers["retry-after"] == "1"


async def test_a_bug_is_500_in_the_specs_words() -> None:
    async with open_api((chatterstack.FRONT, FRONT)) as api:  # unchecked: no API promises its bugs
        m = Messenger(api)
        ann = await m.person("ann")
        api.store.fail_next_commits(10, DuplicateKey("id"))
        refused(await m.ask("POST", "/groups", as_=ann, json={"name": "x"}), 500)


async def test_too_many_requests_are_429_as_documented() -> None:
    assert FRONT.rate_limit is not None
    limiters = {FRONT.name: RateLimiter(FRONT.rate_limit, clock=lambda: 0.0)}
    async with open_api((chatterstack.FRONT, FRONT), checked=True, limiters=limiters) as api:
        m = Messenger(api)
        ann = await m.person("ann")
        for n in range(600):
            answer = await m.ask("GET", "/groups", as_=ann)
            assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (200, f"{599 - n}")
        answer = await m.ask("GET", "/groups", as_=ann)
        refused(answer, 429)
        assert answer.headers["retry-after"] == "60"


def bodies() -> st.SearchStrategy[object]:
    texts = st.text(max_size=20) | st.sampled_from([NOBODY, STRANGE_UUID, "a@example.org", "message"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
    return st.dictionaries(st.sampled_from([*BODY, "client_id"]), values) | values


@settings(max_examples=examples(50))
@given(st.data())
def test_no_request_gets_a_5xx(data: st.DataObject) -> None:
    async def run() -> None:
        async with open_api((chatterstack.FRONT, FRONT)) as api:
            m = Messenger(api)
            ann, bob = await m.person("ann"), await m.person("bob")
            rooms = [await m.conversation(ann, bob), await m.group(ann), NOBODY, "x", "%00", "%ff"]
            for _ in range(5):
                route = data.draw(st.sampled_from(FRONT.routes))
                path = filled(route.path, data.draw(st.sampled_from(rooms)))
                queries = st.sampled_from(["limit=5", "cursor=2024-01-01T00:00:00Z", "cursor=%00"])
                query = data.draw(st.text(st.characters(max_codepoint=255)) | queries)
                if data.draw(st.booleans()):
                    answer = await m.ask(route.method, path, as_=ann, json=data.draw(bodies()), query=query)
                else:
                    answer = await m.ask(route.method, path, as_=ann, body=data.draw(st.binary()), query=query)
                assert answer.status < 500, answer.body
                assert answer.status < 400 or answer.error

    trio.run(run)
