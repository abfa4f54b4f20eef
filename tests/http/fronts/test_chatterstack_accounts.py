"""ChatterStack's accounts, each endpoint with every status its spec gives, over the real engine."""

import pytest

from chinwag.engine.model.ids import MAX_ID
from tests.http.fronts.chatterstack_api import NOBODY, REGISTRATION, refused
from tests.http.service_api import Api, Person

# --- registration -------------------------------------------------------------------------------------------------


async def test_register_answers_with_the_user_and_never_the_password(api: Api) -> None:
    answer = await api.ask("POST", "/v1/auth/register", json={**REGISTRATION, "username": "  ann "})
    assert answer.status == 201
    assert set(answer.json) == {"id", "username", "email", "status", "created_at"}
    assert (answer.json["username"], answer.json["email"]) == ("ann", "Ann@example.org")
    assert answer.json["status"] == "OFFLINE"
    assert b"secret" not in answer.body


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
