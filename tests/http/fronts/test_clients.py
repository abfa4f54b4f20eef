"""What clients of the messenger and of chatrooms use beside the contracts."""

from typing import Any

import pytest

from chinwag.http.api.mounts import Mounts
from chinwag.http.api.values import HttpRequest
from tests.http.fronts.chatrooms_api import NOBODY, STRANGE_UUID
from tests.http.fronts.every_front import FRONTS, PASSWORD, World
from tests.http.service_api import open_api

CHATTERSTACK, CHATROOMS, MESSENGER = FRONTS

# --- messenger ----------------------------------------------------------------------------------------------------


async def test_a_conversation_is_opened_by_either_name_of_the_other_user(world: World) -> None:
    for body in (
        {"other_user_id": "{bob}"},
        {"user_id": "{bob}", "other_user_id": "{bob}"},
        {"user_id": world.bob.id.upper(), "other_user_id": "{bob}"},
    ):
        answer = await world.ask("messenger", "POST", "/conversations", json=body)
        assert (answer.status, answer.json["conversation"]["id"]) == (200, world.conversation)
    both = {"user_id": "{bob}", "other_user_id": "{carol}"}
    answer = await world.ask("messenger", "POST", "/conversations", json=both)
    assert (answer.status, answer.error) == (400, "other_user_id: is not the same as user_id")
    oneself = await world.ask("messenger", "POST", "/conversations", json={"other_user_id": "{ann}"})
    assert oneself.status == 400


async def test_a_group_is_made_with_its_members(world: World) -> None:
    sent = {"name": "tea", "members": ["{carol}", "{ann}", "{bob}", "{carol}"]}
    made = await world.ask("messenger", "POST", "/groups", json=sent)
    assert made.status == 201
    group = made.json["group"]
    assert group["members"] == [world.ann.id, world.carol.id, world.bob.id]
    for person in (world.bob, world.carol):
        seen = await world.ask("messenger", "GET", f"/groups/{group['id']}", as_=person)
        assert sorted(seen.json["group"]["members"]) == sorted(group["members"])
    for nobody in (NOBODY, STRANGE_UUID):
        refused = await world.ask("messenger", "POST", "/groups", json={"name": "x", "members": ["{bob}", nobody]})
        assert refused.status == 404
    assert len((await world.ask("messenger", "GET", "/groups")).json["groups"]) == 2


async def test_a_member_is_removed_by_a_body(world: World) -> None:
    path = "/groups/{room}/members"
    refused = await world.ask("messenger", "DELETE", path, as_=world.bob, json={"user_id": "{ann}"})
    assert refused.status == 403
    assert (await world.ask("messenger", "DELETE", path, json={"user_id": "{carol}"})).status == 404
    assert (await world.ask("messenger", "DELETE", path, json={})).error == "user_id: is required"
    removed = await world.ask("messenger", "DELETE", path, json={"user_id": "{bob}"})
    assert (removed.status, removed.json) == (200, {"message": "Member removed successfully"})
    assert (await world.ask("messenger", "GET", "/groups/{room}", as_=world.bob)).status == 403
    left = await world.ask("messenger", "DELETE", path, json={"user_id": "{ann}"})
    assert left.status == 200


async def test_users_are_listed_and_addresses_shown_to_who_shares_a_room(world: World) -> None:
    answer = await world.ask("messenger", "GET", "/users")
    assert answer.status == 200
    shown = {user["username"]: user for user in answer.json}
    assert list(shown) == ["ann", "bob", "carol"]
    assert all(list(user) == ["id", "username", "email", "created_at", "updated_at"] for user in shown.values())
    assert {name: user["email"] for name, user in shown.items()} == {
        "ann": "ann@example.org",
        "bob": "bob@example.org",
        "carol": "",
    }
    assert shown["bob"]["id"] == world.bob.id
    by_carol = await world.ask("messenger", "GET", "/users", as_=world.carol)
    assert [user["email"] for user in by_carol.json] == ["", "", "carol@example.org"]


async def test_users_are_listed_in_parts_and_without_who_is_gone(world: World) -> None:
    first = (await world.ask("messenger", "GET", "/users", query="limit=2")).json
    rest = (await world.ask("messenger", "GET", "/users", query={"after": first[-1]["id"], "limit": 2})).json
    assert [user["username"] for user in (*first, *rest)] == ["ann", "bob", "carol"]
    for query, status in (("limit=0", 400), ("limit=1001", 400), ("after=x", 400), (f"after={STRANGE_UUID}", 404)):
        assert (await world.ask("messenger", "GET", "/users", query=query)).status == status
    carol = world.api.tokens.verify(world.carol.token).user_id
    await world.api.engine.accounts.set_active(carol, False)
    assert [user["username"] for user in (await world.ask("messenger", "GET", "/users")).json] == ["ann", "bob"]


async def test_who_has_no_address_is_shown_with_an_empty_one(world: World) -> None:
    await world.api.engine.accounts.register(username="dora", email=None, password=PASSWORD)
    users = (await world.ask("messenger", "GET", "/users")).json
    assert users[-1]["email"] == ""


async def test_a_socket_first_tells_who_is_online_and_then_who_comes_and_goes(world: World) -> None:
    async with world.socket(MESSENGER) as ann:
        assert await ann.heard() == [{"type": "presence_list", "data": []}]
        async with world.socket(MESSENGER, as_=world.bob) as bob, world.socket(CHATROOMS, as_=world.carol):
            assert await bob.heard() == [{"type": "presence_list", "data": [world.ann.id]}]
            came = {"type": "presence", "data": {"user_id": world.bob.id, "status": "online"}}
            assert await ann.heard() == [came]
            [posted] = await bob.say({"type": "message", "group_id": "{room}", "content": "hello"})
            assert posted["data"]["sender_id"] == world.bob.id  # one's own message comes back
            assert [frame["type"] for frame in await ann.heard()] == ["message"]
        world.api.engine.presence.sweep(float("inf"))
        went = {"type": "presence", "data": {"user_id": world.bob.id, "status": "offline"}}
        assert await ann.heard() == [went]


async def test_who_is_online_on_any_front_is_in_the_list_but_for_who_declared_otherwise(world: World) -> None:
    async with world.socket(CHATTERSTACK, as_=world.bob):
        async with world.socket(MESSENGER) as ann:
            assert await ann.heard() == [{"type": "presence_list", "data": [world.bob.id]}]
        hidden = {"status": "OFFLINE"}
        await world.ask("chatterstack", "PATCH", "/users/{bob}/status", as_=world.bob, json=hidden)
        async with world.socket(MESSENGER) as ann:
            assert await ann.heard() == [{"type": "presence_list", "data": []}]


# --- chatrooms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", CHATROOMS.routes, ids=lambda route: f"{route.method} {route.path}")
def test_every_path_of_chatrooms_is_also_below_api_v1_and_with_a_slash_behind(route: Any) -> None:
    path = route.path.replace("{", "").replace("}", "")
    for fronts, host, before in (
        ((CHATROOMS,), "example.org", ""),
        (FRONTS, "chatrooms.localhost", ""),
        (FRONTS, "example.org", "/chatrooms"),
    ):
        mounts = Mounts(fronts)
        right = mounts.locate(host, before + path)
        assert right.found is not None
        for other in (f"/api/v1{path}", f"{path}/", f"/api/v1{path}/"):
            there = mounts.locate(host, before + other)
            assert (there.path, there.found) == (right.path, right.found), other
        for nowhere in (f"{path}//", f"/api/v2{path}", f"/api/v1/api/v1{path}", f"/api{path}"):
            found = mounts.locate(host, before + nowhere).found
            assert found is None or found.resource is not right.found.resource


async def test_requests_and_sockets_below_api_v1_are_answered_and_not_redirected(world: World) -> None:
    api = world.api
    for path in ("/chatrooms/users/me/", "/chatrooms/api/v1/users/me", "/chatrooms/api/v1/users/me/"):
        answer = await api.ask("GET", path, as_=world.ann)
        assert (answer.status, answer.json["data"]["username"]) == (200, "ann")
    made = await api.ask("POST", "/chatrooms/api/v1/chatrooms/", as_=world.ann, json={"name": "a", "is_private": True})
    assert made.status == 201
    for path in ("/chatrooms/ws", "/chatrooms/api/v1/ws", "/chatrooms/ws/"):
        assert api.service.socket_front(HttpRequest(method="GET", path=path)) is CHATROOMS
        assert (await api.ask("GET", path)).status == 426
    for path in ("/messenger/api/groups/", "/messenger/api/v1/groups", "/chatterstack/v1/rooms/"):
        assert (await api.ask("GET", path, as_=world.ann)).status == 404  # the other fronts' clients need none


async def test_the_only_front_takes_these_paths_too() -> None:
    async with open_api((CHATROOMS,)) as api:
        for path in ("/health", "/health/", "/api/v1/health", "/api/v1/health/", "/chatrooms/api/v1/health"):
            assert (await api.ask("GET", path)).status == 200
        for path in ("/ws/", "/api/v1/ws", "/chatrooms/api/v1/ws"):
            assert api.service.socket_front(HttpRequest(method="GET", path=path)) is CHATROOMS
        assert (await api.ask("GET", "/")).status == 200  # the start page is nobody's trailing slash


async def test_unknown_fields_are_ignored(world: World) -> None:
    body = {
        "username": "dora",
        "email": "dora@example.org",
        "password": PASSWORD,
        "confirmPassword": PASSWORD,
        "display_name": "Dora",
    }
    assert (await world.ask("chatrooms", "POST", "/auth/register", json=body)).status == 201
    log_in = {"username": "dora", "password": PASSWORD, "remember_me": True}
    assert (await world.ask("chatrooms", "POST", "/auth/login", json=log_in)).status == 200


@pytest.mark.parametrize("query", ["", "since=" + NOBODY])
async def test_the_first_event_says_connected_and_ping_gets_pong(world: World, query: str) -> None:
    async with world.socket(CHATROOMS, query=query) as socket:
        first, *others = await socket.heard()
        assert first["event"] == "connected"
        assert list(first["data"]) == ["user_id", "username", "timestamp"]
        assert (first["data"]["user_id"], first["data"]["username"]) == (world.ann.id, "ann")
        assert {other["event"] for other in others} == ({"resumed"} if query else set())
        pong = {"event": "pong", "data": {}}
        for ping in ({"event": "ping"}, {"event": "ping", "data": {}}, {"event": "ping", "data": None}):
            assert await socket.say(ping) == [pong]
        assert await socket.say({"event": "ping", "data": {"timestamp": 5}}) == [pong]


# --- paging while messages arrive ---------------------------------------------------------------------------------


async def test_next_before_goes_on_where_the_page_ended_while_messages_arrive(world: World) -> None:
    path = "/chatrooms/{room}/messages"

    async def post(text: str) -> None:
        sent = {"content": {"encrypted_data": text}}
        assert (await world.ask("chatrooms", "POST", path, json=sent)).status == 201

    for number in range(7):
        await post(f"{number}")
    found, query = [], {"limit": "3"}
    while True:
        data = (await world.ask("chatrooms", "GET", path, query=query)).json["data"]
        found += [message["content"]["encrypted_data"] for message in data["messages"]]
        pagination = data["pagination"]
        assert pagination["has_more"] is (pagination["next_before"] is not None)
        if not pagination["has_more"]:
            break
        assert pagination["next_before"] == data["messages"][-1]["created_at"]
        query = {"limit": "3", "before": pagination["next_before"]}
        await post("new")
    assert found == [*"6543210"]
