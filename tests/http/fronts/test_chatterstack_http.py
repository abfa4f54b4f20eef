"""ChatterStack's endpoints, each with every status its spec gives, over the real engine and the in-memory store."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.api.front import Front
from chinwag.http.fronts.chatterstack import FRONT, wire
from chinwag.http.fronts.chatterstack.wire import REMEMBERED_TEXT
from tests.examples import examples
from tests.http.service_api import Answer, Api, Person, open_api

NOBODY = "4096"
"""The wire form of an id that nobody has."""


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api(checked=True) as opened:
        yield opened


@pytest.fixture
async def ann(api: Api) -> Person:
    return await api.person("ann")


@pytest.fixture
async def bob(api: Api) -> Person:
    return await api.person("bob")


@pytest.fixture
async def eve(api: Api) -> Person:
    """A stranger to every room in these tests."""
    return await api.person("eve")


def refused(answer: Answer, status: int, error: str | None = None) -> None:
    """The answer has this status and exactly the error shape."""
    assert answer.status == status, answer.body
    assert answer.error if error is None else answer.error == error


# --- registration -------------------------------------------------------------------------------------------------

REGISTRATION = {"username": "ann", "email": "Ann@Example.org", "password": "secret"}


async def test_register_answers_with_the_user_and_never_the_password(api: Api) -> None:
    answer = await api.ask("POST", "/v1/auth/register", json={**REGISTRATION, "username": "  ann "})
    assert answer.status == 201
    assert set(answer.json) == {"id", "username", "email", "status", "created_at"}
    assert (answer.json["username"], answer.json["email"]) == ("ann", "Ann@example.org")
    assert answer.json["status"] == "OFFLINE"
    assert b"secret" not in answer.body


@pytest.mark.parametrize("field", list(REGISTRATION))
async def test_register_names_the_missing_field(api: Api, field: str) -> None:
    body = {name: value for name, value in REGISTRATION.items() if name != field}
    refused(await api.ask("POST", "/v1/auth/register", json=body), 400, f"{field}: is required")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", " ab "),
        ("username", "a" * 51),
        ("username", "a\nb c"),
        ("username", "abc\x00"),
        ("username", 5),
        ("email", ""),
        ("email", "ann"),
        ("email", "ann@"),
        ("email", "ann@exam ple"),
        ("email", "ann@example.org, bob@example.org"),
        ("email", "a" * 10_000 + "@example.org"),
        ("email", None),
        ("password", "12345"),
        ("password", "x" * 129),
        ("password", ["secret"]),
    ],
)
async def test_register_names_the_wrong_field(api: Api, field: str, value: object) -> None:
    answer = await api.ask("POST", "/v1/auth/register", json={**REGISTRATION, field: value})
    refused(answer, 400)
    assert answer.error.startswith(f"{field}: ")


@pytest.mark.parametrize("username", ["abc", "a" * 50, "日本語", "ann o'neill"])
async def test_register_takes_names_of_3_to_50_characters(api: Api, username: str) -> None:
    answer = await api.ask("POST", "/v1/auth/register", json={**REGISTRATION, "username": username})
    assert (answer.status, answer.json["username"]) == (201, username)


async def test_register_refuses_what_is_taken_whatever_its_case(api: Api, ann: Person) -> None:
    same_email = {"username": "other", "email": "ANN@EXAMPLE.ORG", "password": "secret"}
    same_name = {"username": "ANN", "email": "other@example.org", "password": "secret"}
    refused(await api.ask("POST", "/v1/auth/register", json=same_email), 409, "email is already in use")
    refused(await api.ask("POST", "/v1/auth/register", json=same_name), 409, "username is already in use")


# --- tokens -------------------------------------------------------------------------------------------------------


async def test_login_answers_with_a_token_pair(api: Api, ann: Person) -> None:
    answer = await api.ask("POST", "/v1/auth/login", json={"email": " ANN@example.org", "password": "secret"})
    assert answer.status == 200
    assert list(answer.json) == ["access_token", "refresh_token"]


@pytest.mark.parametrize(
    ("email", "password"),
    [("ann@example.org", "wrong!"), ("nobody@example.org", "secret"), ("", ""), ("not an address", "x" * 10_000)],
)
async def test_login_failures_are_one_401(api: Api, ann: Person, email: str, password: str) -> None:
    answer = await api.ask("POST", "/v1/auth/login", json={"email": email, "password": password})
    refused(answer, 401, "invalid credentials")


@pytest.mark.parametrize("body", [{}, {"email": "ann@example.org"}, {"email": 1, "password": "secret"}, []])
async def test_login_without_credentials_is_400(api: Api, body: object) -> None:
    refused(await api.ask("POST", "/v1/auth/login", json=body), 400)


async def test_refresh_trades_the_pair_for_a_new_one(api: Api, ann: Person) -> None:
    answer = await api.ask("POST", "/v1/auth/refresh", json={"refresh_token": ann.refresh_token})
    assert answer.status == 200
    assert list(answer.json) == ["access_token", "refresh_token"]
    assert answer.json["access_token"] != ann.token
    assert answer.json["refresh_token"] != ann.refresh_token
    assert (await api.ask("GET", "/v1/rooms", headers={"x-auth-token": answer.json["access_token"]})).status == 200


async def test_refresh_refuses_anything_else(api: Api, ann: Person) -> None:
    for token in ("", "nonsense", ann.token):
        refused(await api.ask("POST", "/v1/auth/refresh", json={"refresh_token": token}), 401)
    for body in ({}, {"refresh_token": None}):
        refused(await api.ask("POST", "/v1/auth/refresh", json=body), 400)


async def test_logout_ends_every_login_of_the_caller(api: Api, ann: Person) -> None:
    second = await api.ask("POST", "/v1/auth/login", json={"email": "ann@example.org", "password": "secret"})
    answer = await api.ask("POST", "/v1/auth/logout", as_=ann, json={"user_id": ann.id})
    assert (answer.status, answer.body) == (204, b"")
    refused(await api.ask("GET", "/v1/rooms", as_=ann), 401)
    refused(await api.ask("GET", "/v1/rooms", headers={"x-auth-token": second.json["access_token"]}), 401)
    for token in (ann.refresh_token, second.json["refresh_token"]):
        refused(await api.ask("POST", "/v1/auth/refresh", json={"refresh_token": token}), 401)


async def test_logout_needs_ones_own_id_and_token(api: Api, ann: Person, bob: Person) -> None:
    refused(await api.ask("POST", "/v1/auth/logout", json={"user_id": ann.id}), 401)
    refused(await api.ask("POST", "/v1/auth/logout", as_=ann, json={}), 400, "user_id: is required")
    refused(await api.ask("POST", "/v1/auth/logout", as_=ann), 400)
    refused(await api.ask("POST", "/v1/auth/logout", as_=ann, json={"user_id": ""}), 400)
    refused(await api.ask("POST", "/v1/auth/logout", as_=ann, json={"user_id": "me"}), 400)
    refused(await api.ask("POST", "/v1/auth/logout", as_=ann, json={"user_id": bob.id}), 403)
    assert (await api.ask("GET", "/v1/rooms", as_=bob)).status == 200


# --- users --------------------------------------------------------------------------------------------------------


async def test_a_user_is_found_by_id_and_by_email(api: Api, ann: Person, bob: Person) -> None:
    by_id = await api.ask("GET", f"/v1/users/{bob.id}", as_=ann)
    by_email = await api.ask("GET", "/v1/users", as_=ann, query={"email": " BOB@EXAMPLE.ORG "})
    assert by_id.status == by_email.status == 200
    assert by_id.json == by_email.json
    assert (by_id.json["id"], by_id.json["username"], by_id.json["email"]) == (bob.id, "bob", "bob@example.org")


async def test_a_user_who_is_missing_is_404(api: Api, ann: Person) -> None:
    for path in (NOBODY, "me", "0", "%20", str(MAX_ID + 1), "9" * 1000):
        refused(await api.ask("GET", f"/v1/users/{path}", as_=ann), 404, "user not found")
    refused(await api.ask("GET", "/v1/users", as_=ann, query={"email": "nobody@example.org"}), 404)
    refused(await api.ask("GET", "/v1/users", as_=ann, query={"email": "nonsense"}), 404)


async def test_the_email_to_look_for_is_required(api: Api, ann: Person) -> None:
    refused(await api.ask("GET", "/v1/users", as_=ann), 400, "email: is required")
    refused(await api.ask("GET", "/v1/users", as_=ann, query="email="), 400)


async def test_one_sets_ones_own_status(api: Api, ann: Person, bob: Person) -> None:
    for status in ("ONLINE", "OFFLINE", "ONLINE"):
        answer = await api.ask("PATCH", f"/v1/users/{ann.id}/status", as_=ann, json={"status": status})
        assert (answer.status, answer.body) == (204, b"")
        assert (await api.ask("GET", f"/v1/users/{ann.id}", as_=bob)).json["status"] == status


async def test_nobody_elses_status(api: Api, ann: Person, bob: Person) -> None:
    refused(await api.ask("PATCH", f"/v1/users/{bob.id}/status", as_=ann, json={"status": "ONLINE"}), 403)
    refused(await api.ask("PATCH", f"/v1/users/{NOBODY}/status", as_=ann, json={"status": "ONLINE"}), 404)
    refused(await api.ask("PATCH", "/v1/users/bob/status", as_=ann, json={"status": "ONLINE"}), 404)


@pytest.mark.parametrize("body", [{}, {"status": "online"}, {"status": "AWAY"}, {"status": 1}, {"status": None}])
async def test_other_statuses_are_400(api: Api, ann: Person, body: object) -> None:
    answer = await api.ask("PATCH", f"/v1/users/{ann.id}/status", as_=ann, json=body)
    refused(answer, 400)
    assert answer.error.startswith("status: ")


# --- rooms --------------------------------------------------------------------------------------------------------


async def test_the_creator_of_a_room_is_its_admin(api: Api, ann: Person, bob: Person) -> None:
    wanted = {
        "name": " tea ",
        "description": " for two ",
        "is_group": True,
        "member_ids": [bob.id, ann.id, bob.id],
        "creator_id": ann.id,
    }
    made = await api.ask("POST", "/v1/rooms", as_=ann, json=wanted)
    assert made.status == 201
    assert list(made.json) == ["id", "name", "is_group", "description", "created_by", "created_at"]
    assert (made.json["name"], made.json["description"], made.json["is_group"]) == ("tea", "for two", True)
    assert made.json["created_by"] == ann.id
    members = (await api.ask("GET", f"/v1/rooms/{made.json['id']}/members", as_=bob)).json
    assert {member["username"]: member["role"] for member in members} == {"ann": "ADMIN", "bob": "MEMBER"}
    assert [list(member) for member in members] == [["user_id", "username", "role", "joined_at"]] * 2


async def test_a_room_needs_only_a_name(api: Api, ann: Person) -> None:
    made = await api.ask("POST", "/v1/rooms", as_=ann, json={"name": "x" * 100})
    assert (made.status, made.json["is_group"]) == (201, True)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, "name: is empty"),
        ({"name": "  "}, "name: is empty"),
        ({"name": "x" * 101}, "name: must have at most 100 characters"),
        ({"name": "a\tb"}, "name: must not contain control characters"),
        ({"name": 1}, "name: must be text, not a whole number"),
        ({"is_group": "yes"}, "is_group: must be true or false, not text"),
        ({"description": "x" * 1001}, "description: must have at most 1000 characters"),
        ({"member_ids": "1"}, "member_ids: must be a list, not text"),
        ({"member_ids": [1]}, "member_ids[0]: must be text, not a whole number"),
        ({"member_ids": ["bob"]}, "member_ids[0]: is not the id of a user"),
        ({"member_ids": ["1"] * 1001}, "member_ids: must have at most 1000 items"),
        ({"creator_id": NOBODY}, "creator_id: must be your own id"),
        ({"creator_id": "me"}, "creator_id: is not the id of a user"),
    ],
)
async def test_a_room_with_wrong_fields_is_400(api: Api, ann: Person, change: dict[str, Any], error: str) -> None:
    refused(await api.ask("POST", "/v1/rooms", as_=ann, json={"name": "tea", **change}), 400, error)


async def test_unknown_members_are_named(api: Api, ann: Person, bob: Person) -> None:
    wanted = {"name": "tea", "member_ids": [bob.id, NOBODY, "4097"]}
    answer = await api.ask("POST", "/v1/rooms", as_=ann, json=wanted)
    refused(answer, 400)
    assert answer.error.startswith("member_ids: ")
    assert NOBODY in answer.error
    assert "4097" in answer.error
    assert bob.id not in answer.error
    assert (await api.ask("GET", "/v1/rooms", as_=ann)).json == {"rooms": []}


async def test_a_room_of_two_that_is_no_group_is_their_direct_room(api: Api, ann: Person, bob: Person) -> None:
    lower, higher = sorted((ann.id, bob.id), key=int)
    made = await api.ask("POST", "/v1/rooms", as_=ann, json={"is_group": False, "member_ids": [bob.id, ann.id]})
    assert made.status == 201
    assert (made.json["name"], made.json["is_group"]) == (f"dm:{lower}:{higher}", False)
    again = await api.ask("POST", "/v1/rooms", as_=bob, json={"is_group": False, "member_ids": [ann.id], "name": "x"})
    assert (again.status, again.json) == (201, made.json)
    direct = await api.ask("POST", "/v1/rooms/direct", as_=bob, json={"peer_user_id": ann.id})
    assert (direct.status, direct.json) == (201, made.json)


async def test_a_direct_room_is_for_exactly_two(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    for member_ids in ([], [ann.id], [bob.id, eve.id]):
        answer = await api.ask("POST", "/v1/rooms", as_=ann, json={"is_group": False, "member_ids": member_ids})
        refused(answer, 400, "member_ids: a direct room needs exactly one other member")
    answer = await api.ask("POST", "/v1/rooms", as_=ann, json={"is_group": False, "member_ids": [NOBODY]})
    refused(answer, 400, f"member_ids: unknown user {NOBODY}")


async def test_a_direct_room_needs_somebody_else(api: Api, ann: Person) -> None:
    for body in ({}, {"peer_user_id": "bob"}, {"peer_user_id": ann.id}, {"peer_user_id": 5}):
        answer = await api.ask("POST", "/v1/rooms/direct", as_=ann, json=body)
        refused(answer, 400)
        assert answer.error.startswith("peer_user_id: ")
    refused(await api.ask("POST", "/v1/rooms/direct", as_=ann, json={"peer_user_id": NOBODY}), 404, "user not found")


async def test_one_lists_ones_own_rooms(api: Api, ann: Person, bob: Person) -> None:
    tea, coffee = [await api.room(ann, bob, name=name) for name in ("Green Tea", "coffee")]
    await api.room(bob, name="bob's")
    await api.post(bob, tea, "hello")
    listed = await api.ask("GET", "/v1/rooms", as_=ann)
    assert listed.status == 200
    assert [room["id"] for room in listed.json["rooms"]] == [tea, coffee]
    found = await api.ask("GET", "/v1/rooms", as_=ann, query={"q": "tEA"})
    assert [room["name"] for room in found.json["rooms"]] == ["Green Tea"]
    assert (await api.ask("GET", "/v1/rooms", as_=ann, query={"q": "%"})).json == {"rooms": []}
    assert len((await api.ask("GET", "/v1/rooms", as_=ann, query={"limit": 1})).json["rooms"]) == 1


async def test_the_list_of_rooms_has_20_by_default_and_100_at_most(api: Api, ann: Person) -> None:
    for number in range(101):
        await api.room(ann, name=f"room {number}")
    assert len((await api.ask("GET", "/v1/rooms", as_=ann)).json["rooms"]) == 20
    assert len((await api.ask("GET", "/v1/rooms", as_=ann, query={"limit": 100})).json["rooms"]) == 100


@pytest.mark.parametrize("limit", ["0", "-1", "101", "ten", "", "1.5", "9" * 100])
async def test_a_wrong_limit_is_400(api: Api, ann: Person, limit: str) -> None:
    for path, query in (("/v1/rooms", {}), ("/v1/messages/search", {"q": "x"})):
        answer = await api.ask("GET", path, as_=ann, query={**query, "limit": limit})
        refused(answer, 400)
        assert answer.error.startswith("limit: ")


async def test_a_room_by_id(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob)
    answer = await api.ask("GET", f"/v1/rooms/{room_id}", as_=bob)
    assert (answer.status, answer.json["id"], answer.json["name"]) == (200, room_id, "tea")
    refused(await api.ask("GET", f"/v1/rooms/{room_id}", as_=eve), 403)
    refused(await api.ask("GET", f"/v1/rooms/{NOBODY}", as_=bob), 404, "room not found")


async def test_an_admin_deletes_a_room(api: Api, ann: Person, bob: Person) -> None:
    room_id = await api.room(ann, bob)
    refused(await api.ask("DELETE", f"/v1/rooms/{room_id}", as_=bob), 403)
    assert (await api.ask("DELETE", f"/v1/rooms/{room_id}", as_=ann)).status == 204
    refused(await api.ask("GET", f"/v1/rooms/{room_id}", as_=ann), 404)
    refused(await api.ask("DELETE", f"/v1/rooms/{room_id}", as_=ann), 404)
    assert (await api.ask("GET", "/v1/rooms", as_=bob)).json == {"rooms": []}


# --- members ------------------------------------------------------------------------------------------------------


async def test_an_admin_adds_members(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann)
    path = f"/v1/rooms/{room_id}/members"
    added = await api.ask("POST", path, as_=ann, json={"user_id": bob.id, "role": "ADMIN"})
    assert added.status == 201
    assert list(added.json) == ["user_id", "username", "role", "joined_at"]
    assert (added.json["user_id"], added.json["username"], added.json["role"]) == (bob.id, "bob", "ADMIN")
    plain = await api.ask("POST", path, as_=bob, json={"user_id": eve.id})
    assert (plain.status, plain.json["role"]) == (201, "MEMBER")


async def test_adding_a_member_can_fail(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    path = f"/v1/rooms/{await api.room(ann, bob)}/members"
    refused(await api.ask("POST", path, as_=ann, json={}), 400, "user_id: is required")
    refused(await api.ask("POST", path, as_=ann, json={"user_id": "eve"}), 400, "user_id: is not the id of a user")
    answer = await api.ask("POST", path, as_=ann, json={"user_id": NOBODY})
    refused(answer, 400)
    assert answer.error.startswith("user_id: unknown user")
    answer = await api.ask("POST", path, as_=ann, json={"user_id": eve.id, "role": "OWNER"})
    refused(answer, 400, "role: must be one of ADMIN, MEMBER")
    refused(await api.ask("POST", path, as_=ann, json={"user_id": bob.id, "role": "MEMBER"}), 409)
    refused(await api.ask("POST", path, as_=bob, json={"user_id": eve.id, "role": "MEMBER"}), 403)
    refused(await api.ask("POST", path, as_=eve, json={"user_id": eve.id, "role": "MEMBER"}), 403)
    missing = f"/v1/rooms/{NOBODY}/members"
    refused(await api.ask("POST", missing, as_=ann, json={"user_id": eve.id, "role": "MEMBER"}), 404)


async def test_members_are_removed_by_an_admin_or_leave(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob, eve)
    path = f"/v1/rooms/{room_id}/members"
    refused(await api.ask("DELETE", f"{path}/{eve.id}", as_=bob), 403)
    assert (await api.ask("DELETE", f"{path}/{eve.id}", as_=ann)).status == 204
    refused(await api.ask("DELETE", f"{path}/{eve.id}", as_=ann), 404, "member not found")
    refused(await api.ask("DELETE", f"{path}/{NOBODY}", as_=ann), 404)
    refused(await api.ask("DELETE", f"{path}/eve", as_=ann), 404)
    refused(await api.ask("DELETE", f"/v1/rooms/{NOBODY}/members/{bob.id}", as_=ann), 404)
    assert (await api.ask("DELETE", f"{path}/{ann.id}", as_=ann)).status == 204
    [left] = (await api.ask("GET", path, as_=bob)).json
    assert (left["username"], left["role"]) == ("bob", "ADMIN")
    refused(await api.ask("GET", path, as_=ann), 403)


async def test_the_members_of_a_missing_room(api: Api, ann: Person, eve: Person) -> None:
    for room_id in (NOBODY, "tea"):
        refused(await api.ask("GET", f"/v1/rooms/{room_id}/members", as_=ann), 404, "room not found")
    refused(await api.ask("GET", f"/v1/rooms/{await api.room(ann)}/members", as_=eve), 403)


# --- messages -----------------------------------------------------------------------------------------------------

ATTACHMENT = {"url": "https://example.org/a.png", "mime_type": "image/png", "size_bytes": 123}


async def test_a_message_is_stored_and_returned(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    body = {"content": "  hello  ", "attachments": [ATTACHMENT]}
    sent = await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, json=body)
    assert sent.status == 201
    expected = [
        "id",
        "room_id",
        "sender_id",
        "content",
        "attachments",
        "status",
        "created_at",
        "updated_at",
        "username",
    ]
    assert list(sent.json) == expected
    assert (sent.json["room_id"], sent.json["sender_id"], sent.json["username"]) == (room_id, ann.id, "ann")
    assert (sent.json["content"], sent.json["attachments"], sent.json["status"]) == ("hello", [ATTACHMENT], "SENT")
    assert sent.json["updated_at"] == sent.json["created_at"]
    listed = await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)
    assert listed.json == {"messages": [sent.json]}


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x"},
        {"content": "日" * 4000},
        {"content": " " * 100 + "x" * 4000 + "\n"},
        {"content": "", "attachments": [ATTACHMENT]},
        {"attachments": [ATTACHMENT] * 10},
        {"content": "x", "attachments": []},
        {"attachments": [{**ATTACHMENT, "mime_type": "audio/webm;codecs=opus", "size_bytes": 0}]},
        {"attachments": [{**ATTACHMENT, "url": "http://example.org:8080/" + "a" * 2024}]},
    ],
)
async def test_messages_that_are_taken(api: Api, ann: Person, body: object) -> None:
    room_id = await api.room(ann)
    assert (await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, json=body)).status == 201


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "content: is empty"),
        ({"content": ""}, "content: is empty"),
        ({"content": " \n\t\u3000"}, "content: is empty"),
        ({"content": "x" * 4001}, "content: must have at most 4000 characters"),
        ({"content": None}, "content: is empty"),
        ({"content": "a\x00b"}, "content: must not contain the NUL character"),
        ({"attachments": [ATTACHMENT] * 11}, "attachments: must have at most 10 items"),
        (
            {"attachments": [{}]},
            "attachments[0].url: is required; attachments[0].mime_type: is required; "
            "attachments[0].size_bytes: is required",
        ),
        (
            {"attachments": [ATTACHMENT, {**ATTACHMENT, "size_bytes": -1}]},
            "attachments[1].size_bytes: must be at least 0",
        ),
        (
            {"attachments": [{**ATTACHMENT, "size_bytes": MAX_ID + 1}]},
            f"attachments[0].size_bytes: must be at most {MAX_ID}",
        ),
        (
            {"attachments": [{**ATTACHMENT, "url": "https://example.org/" + "a" * 2029}]},
            "attachments[0].url: must have at most 2048 characters",
        ),
        *[
            ({"attachments": [{**ATTACHMENT, "url": url}]}, "attachments[0].url: must be an absolute http or https URL")
            for url in (
                "",
                "a.png",
                "/a.png",
                "//example.org/a.png",
                "ftp://example.org/a.png",
                "javascript:alert(1)",
                "https://",
                "https:///a.png",
                "https://exa mple.org/",
                "https://example.org/\n",
                "https://[::1/",
                "https://example.org:99999/",
            )
        ],
        *[
            (
                {"attachments": [{**ATTACHMENT, "mime_type": kind}]},
                "attachments[0].mime_type: must have the form type/subtype",
            )
            for kind in ("", "png", "image/", "/png", "image/png/x", "image /png", "image/png\n")
        ],
    ],
)
async def test_messages_that_are_400(api: Api, ann: Person, body: object, error: str) -> None:
    room_id = await api.room(ann)
    refused(await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, json=body), 400, error)
    assert (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json == {"messages": []}


async def test_a_stranger_gets_403_on_everything_about_a_room(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob)
    message_id = await api.post(ann, room_id, "hidden")
    room = f"/v1/rooms/{room_id}"
    message = f"{room}/messages/{message_id}"
    for method, path, body in (
        ("GET", room, None),
        ("DELETE", room, None),
        ("GET", f"{room}/members", None),
        ("POST", f"{room}/members", {"user_id": eve.id, "role": "MEMBER"}),
        ("DELETE", f"{room}/members/{bob.id}", None),
        ("DELETE", f"{room}/members/{eve.id}", None),
        ("GET", f"{room}/messages", None),
        ("POST", f"{room}/messages", {"content": "hi"}),
        ("PATCH", message, {"content": "hi"}),
        ("DELETE", message, None),
        ("POST", f"{message}/deliver", None),
        ("POST", f"{message}/read", None),
        ("POST", f"{room}/messages/{NOBODY}/read", None),
    ):
        refused(await api.ask(method, path, as_=eve, json=body), 403)
    refused(await api.ask("GET", f"{room}/messages", as_=eve, query={"around_message_id": message_id}), 403)
    refused(await api.ask("GET", f"{room}/messages", as_=eve, query={"around_message_id": NOBODY}), 403)
    refused(await api.ask("GET", "/v1/messages/search", as_=eve, query={"q": "hidden", "room_id": room_id}), 403)
    assert (await api.ask("GET", "/v1/messages/search", as_=eve, query={"q": "hidden"})).json == {"messages": []}


async def test_a_room_that_is_missing_is_404(api: Api, ann: Person) -> None:
    for room_id in (NOBODY, "tea", "0"):
        messages = f"/v1/rooms/{room_id}/messages"
        for method, path, body in (
            ("GET", messages, None),
            ("POST", messages, {"content": "hi"}),
            ("PATCH", f"{messages}/5", {"content": "hi"}),
            ("DELETE", f"{messages}/5", None),
            ("POST", f"{messages}/5/deliver", None),
            ("POST", f"{messages}/5/read", None),
        ):
            refused(await api.ask(method, path, as_=ann, json=body), 404, "room not found")


async def contents(api: Api, reader: Person, room_id: str, **query: object) -> list[str]:
    answer = await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=reader, query=query)
    assert answer.status == 200, answer.body
    return [message["content"] for message in answer.json["messages"]]


async def test_pages_hold_the_newest_first(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    for number in range(55):
        await api.post(ann, room_id, f"{number}")
    newest_first = [f"{number}" for number in reversed(range(55))]
    assert await contents(api, ann, room_id) == newest_first[:50]
    assert await contents(api, ann, room_id, page=2) == newest_first[50:]
    assert await contents(api, ann, room_id, page=3) == []
    assert await contents(api, ann, room_id, limit=20, page=2) == newest_first[20:40]
    assert await contents(api, ann, room_id, limit=1000) == newest_first
    assert await contents(api, ann, room_id, limit=1000, page=MAX_ID // 1000) == []


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "page=9007199254741", "page=" + "9" * 100, "limit=0", "limit=1001", "limit=x"],
)
async def test_wrong_pages_are_400(api: Api, ann: Person, query: str) -> None:
    room_id = await api.room(ann)
    refused(await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann, query=query), 400)


async def test_the_window_around_a_message_is_chronological(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    ids = [await api.post(ann, room_id, f"{number}") for number in range(10)]

    async def window(around: int, **query: object) -> list[int]:
        return [int(text) for text in await contents(api, ann, room_id, around_message_id=ids[around], **query)]

    assert await window(5, limit=4) == [3, 4, 5, 6]
    assert await window(5, limit=5) == [3, 4, 5, 6, 7]
    assert await window(5, limit=1) == [5]
    assert await window(5, limit=4, page=7) == [3, 4, 5, 6]
    assert await window(0, limit=4) == [0, 1, 2, 3]
    assert await window(1, limit=4) == [0, 1, 2, 3]
    assert await window(9, limit=4) == [7, 8, 9]
    assert await window(5) == list(range(10))


async def test_the_window_around_what_is_no_message_of_the_room_is_400(api: Api, ann: Person) -> None:
    room_id, other = await api.room(ann), await api.room(ann)
    deleted = await api.post(ann, room_id, "gone")
    assert (await api.ask("DELETE", f"/v1/rooms/{room_id}/messages/{deleted}", as_=ann)).status == 204
    for around in ("", "x", "0", NOBODY, await api.post(ann, other, "elsewhere"), deleted):
        answer = await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann, query={"around_message_id": around})
        refused(answer, 400)
        assert answer.error.startswith("around_message_id: ")


async def test_receipts_raise_the_status_once_all_others_did(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob, eve)
    message_id = await api.post(ann, room_id, "hello")
    path = f"/v1/rooms/{room_id}/messages/{message_id}"

    async def status() -> str:
        [message] = (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json["messages"]
        return str(message["status"])

    steps = [(bob, "deliver", "SENT"), (eve, "deliver", "DELIVERED"), (bob, "read", "DELIVERED"), (eve, "read", "READ")]
    for who, what, after in steps:
        answer = await api.ask("POST", f"{path}/{what}", as_=who)
        assert (answer.status, answer.body) == (204, b"")
        assert await status() == after
    assert (await api.ask("POST", f"{path}/deliver", as_=eve)).status == 204
    assert await status() == "READ"


async def test_a_receipt_for_what_is_no_message_of_the_room_is_400(api: Api, ann: Person) -> None:
    room_id, other = await api.room(ann), await api.room(ann)
    elsewhere = await api.post(ann, other, "elsewhere")
    for message_id in ("x", NOBODY, elsewhere):
        for what in ("deliver", "read"):
            answer = await api.ask("POST", f"/v1/rooms/{room_id}/messages/{message_id}/{what}", as_=ann)
            refused(answer, 400, "message_id: is not a message of this room")


async def test_an_author_edits_a_message(api: Api, ann: Person, bob: Person) -> None:
    room_id = await api.room(ann, bob)
    path = f"/v1/rooms/{room_id}/messages/{await api.post(bob, room_id, 'helo')}"
    edited = await api.ask("PATCH", path, as_=bob, json={"content": " hello "})
    assert (edited.status, edited.json["content"]) == (200, "hello")
    assert edited.json["updated_at"] > edited.json["created_at"]
    assert (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json == {"messages": [edited.json]}
    refused(await api.ask("PATCH", path, as_=ann, json={"content": "mine"}), 403)
    for body in ({}, {"content": ""}, {"content": " "}, {"content": "x" * 4001}):
        refused(await api.ask("PATCH", path, as_=bob, json=body), 400)


async def test_an_author_or_an_admin_deletes_a_message(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob, eve)
    messages = f"/v1/rooms/{room_id}/messages"
    first, second = [await api.post(bob, room_id, text) for text in ("one", "two")]
    refused(await api.ask("DELETE", f"{messages}/{first}", as_=eve), 403)
    assert (await api.ask("DELETE", f"{messages}/{first}", as_=bob)).status == 204
    assert (await api.ask("DELETE", f"{messages}/{second}", as_=ann)).status == 204
    assert (await api.ask("GET", messages, as_=ann)).json == {"messages": []}
    for method, body in (("DELETE", None), ("PATCH", {"content": "x"})):
        for message_id in (first, NOBODY, "x"):
            refused(await api.ask(method, f"{messages}/{message_id}", as_=bob, json=body), 404, "message not found")


async def test_a_retry_under_an_idempotency_key_answers_with_the_first_message(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    path = f"/v1/rooms/{room_id}/messages"
    key = {"idempotency-key": "k-1"}
    first, retry = [await api.ask("POST", path, as_=ann, json={"content": "hi"}, headers=key) for _ in range(2)]
    assert first.status == retry.status == 201
    assert first.json == retry.json
    assert first.json["client_id"] == "k-1"
    refused(await api.ask("POST", path, as_=ann, json={"content": "other"}, headers=key), 409)
    assert len((await api.ask("GET", path, as_=ann)).json["messages"]) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "a\tb", "é"])
async def test_a_strange_idempotency_key_is_400(api: Api, ann: Person, key: str) -> None:
    path = f"/v1/rooms/{await api.room(ann)}/messages"
    answer = await api.ask("POST", path, as_=ann, json={"content": "hi"}, headers={"idempotency-key": key})
    refused(answer, 400)
    assert answer.error.startswith("Idempotency-Key: ")


async def test_search_is_a_substring_in_any_case_and_script(api: Api, ann: Person, bob: Person) -> None:
    tea, work = await api.room(ann, bob, name="tea"), await api.room(ann, name="work")
    for room_id, text in ((tea, "Grüner Tee"), (tea, "東京でお茶"), (work, "100% TEE"), (tea, "b_c")):
        await api.post(ann, room_id, text)

    async def search(who: Person, **query: object) -> list[str]:
        answer = await api.ask("GET", "/v1/messages/search", as_=who, query=query)
        assert answer.status == 200, answer.body
        return [message["content"] for message in answer.json["messages"]]

    assert await search(ann, q="tee") == ["100% TEE", "Grüner Tee"]
    assert await search(bob, q="tee") == ["Grüner Tee"]
    assert await search(ann, q="GRÜNER") == ["Grüner Tee"]
    assert await search(ann, q="茶") == ["東京でお茶"]
    assert await search(ann, q="%") == ["100% TEE"]
    assert await search(ann, q="_") == ["b_c"]
    assert await search(ann, q="tee", room_id=work) == ["100% TEE"]
    assert await search(ann, q="tee", limit=1) == ["100% TEE"]
    assert await search(ann, q="'\"; --") == []


async def test_search_needs_a_text(api: Api, ann: Person) -> None:
    refused(await api.ask("GET", "/v1/messages/search", as_=ann), 400, "q: is required")
    for query in ("q=", "q=%00", "q=%ff", "q=x&room_id=tea", "q=x&room_id="):
        refused(await api.ask("GET", "/v1/messages/search", as_=ann, query=query), 400)
    refused(await api.ask("GET", "/v1/messages/search", as_=ann, query=f"q=x&room_id={NOBODY}"), 404)


# --- the whole table ----------------------------------------------------------------------------------------------


def filled(path: str) -> str:
    for name in ("room_id", "user_id", "message_id"):
        path = path.replace(f"{{{name}}}", NOBODY)
    return FRONT.base + path


@pytest.mark.parametrize("route", FRONT.routes, ids=lambda route: f"{route.method} {route.path}")
async def test_every_endpoint_but_three_needs_a_token(api: Api, route: Any) -> None:
    answer = await api.ask(route.method, filled(route.path), json={})
    assert answer.status == (401 if route.auth else 400)
    assert route.auth is (route.path not in ("/auth/register", "/auth/login", "/auth/refresh"))


@pytest.mark.parametrize("route", FRONT.routes, ids=lambda route: f"{route.method} {route.path}")
async def test_every_endpoint_says_so_when_the_store_is_away(api: Api, ann: Person, route: Any) -> None:
    room_id = await api.room(ann)
    message_id = await api.post(ann, room_id, "hello")
    values = {"room_id": room_id, "user_id": ann.id, "message_id": message_id}
    path = FRONT.base + route.path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    body = {
        "username": "carol",
        "email": "carol@example.org",
        "password": "secret",
        "refresh_token": "x",
        "user_id": ann.id,
        "status": "ONLINE",
        "name": "x",
        "peer_user_id": NOBODY,
        "content": "x",
    }
    # Around a message, since the newest page is answered from memory.
    query = {"q": "x", "email": "a@example.org", "around_message_id": message_id}
    api.store.unavailable = True
    answer = await api.ask(route.method, path, as_=ann, json=body, query=query)
    refused(answer, 503)
    assert answer.headers["retry-after"] == "1"


async def test_the_newest_page_is_the_same_from_memory_and_from_the_store(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    for text in ("plain", '"q" \\ é 東 \u2028', "x" * (REMEMBERED_TEXT + 1)):
        await api.post(ann, room_id, text)
    path = f"/v1/rooms/{room_id}/messages"
    first = await api.ask("GET", path, as_=ann)
    around = await api.ask("GET", path, as_=ann, query={"around_message_id": first.json["messages"][1]["id"]})
    assert first.json["messages"] == around.json["messages"][::-1]
    whole = msgspec.json.decode(first.body, type=wire.Messages)
    assert msgspec.json.encode(whole) == first.body
    api.store.unavailable = True
    assert (await api.ask("GET", path, as_=ann)).body == first.body


def bodies() -> st.SearchStrategy[object]:
    texts = st.text(max_size=20) | st.sampled_from([NOBODY, "0", "ADMIN", "ONLINE", "a@example.org", "https://a.b/c"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
    names = ["username", "email", "password", "user_id", "status", "name", "is_group", "member_ids", "creator_id"]
    names += ["description", "peer_user_id", "role", "content", "attachments", "refresh_token"]
    return st.dictionaries(st.sampled_from(names), values) | values


def paths(front: Front) -> st.SearchStrategy[tuple[str, str]]:
    segments = st.sampled_from([NOBODY, "1", "0", "-1", "x", "%00", "%ff", "%2F", "é", "9" * 30]) | st.text(
        st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="/?#"), min_size=1, max_size=5
    )

    def fill(route: Any) -> st.SearchStrategy[tuple[str, str]]:
        parts = [segments if part.startswith("{") else st.just(part) for part in (front.base + route.path).split("/")]
        return st.tuples(st.just(route.method), st.tuples(*parts).map("/".join))

    return st.sampled_from(front.routes).flatmap(fill)


@settings(max_examples=examples(100))
@given(st.data())
def test_no_request_gets_a_5xx(data: st.DataObject) -> None:
    async def run() -> None:
        async with open_api() as api:
            ann = await api.person("ann")
            for _ in range(5):
                method, path = data.draw(paths(FRONT))
                query = data.draw(
                    st.text(st.characters(max_codepoint=255)) | st.sampled_from(["q=x", "limit=5", "page=2"])
                )
                if data.draw(st.booleans()):
                    answer = await api.ask(method, path, as_=ann, json=data.draw(bodies()), query=query)
                else:
                    answer = await api.ask(method, path, as_=ann, body=data.draw(st.binary()), query=query)
                assert answer.status < 500, answer.body
                assert answer.status < 400 or answer.error

    trio.run(run)
