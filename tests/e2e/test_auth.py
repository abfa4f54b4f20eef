"""ChatterStack's authentication endpoints, by real HTTP."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from chinwag.http.fronts.chatterstack.routes import ROUTES
from tests.e2e.client import PASSWORD, USER_FIELDS, Api, Person, api_of, error_of, unique
from tests.e2e.processes import serving

pytestmark = pytest.mark.listeners("lane", reason="test_tour asks each endpoint over every listener")


def registration(**changes: Any) -> dict[str, Any]:
    """A good registration with some fields changed; None leaves a field out."""
    name = unique("reg")
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **changes}
    return {field: value for field, value in body.items() if value is not None}


async def test_registering_answers_with_the_user_and_no_password(api: Api) -> None:
    wanted = registration()
    answer = await api.ask("POST", "/auth/register", json=wanted)
    assert answer.status_code == 201
    user = answer.json()
    assert set(user) == USER_FIELDS
    assert (user["username"], user["email"]) == (wanted["username"], wanted["email"])
    assert user["id"].isdecimal()
    assert PASSWORD not in answer.text and "argon2" not in answer.text


async def test_lengths_at_their_limits_are_accepted(api: Api) -> None:
    for username, password in ((unique("u")[:3].ljust(3, "q"), "123456"), (unique("u").ljust(50, "x"), "p" * 128)):
        answer = await api.ask("POST", "/auth/register", json=registration(username=username, password=password))
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("field", ["email", "username"])
async def test_an_email_or_username_that_is_taken_is_409_whatever_its_case(api: Api, ann: Person, field: str) -> None:
    taken = getattr(ann, field)
    for text in (taken, taken.upper() if field == "username" else taken.replace("ann", "ANN")):
        answer = await api.ask("POST", "/auth/register", json=registration(**{field: text}))
        assert answer.status_code == 409
        assert field in error_of(answer)


async def test_logging_in_answers_with_a_token_pair(api: Api, ann: Person) -> None:
    for email in (ann.email, f" {ann.email.upper()} "):
        answer = await api.ask("POST", "/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "refresh_token"}
        assert all(isinstance(token, str) for token in answer.json().values())


async def test_a_failed_log_in_does_not_tell_what_was_wrong(api: Api, ann: Person) -> None:
    answers = [
        await api.ask("POST", "/auth/login", json=body)
        for body in (
            {"email": ann.email, "password": "wrong-horse"},
            {"email": "nobody@example.org", "password": PASSWORD},
            {"email": "not an address", "password": ""},
            {"email": "😀@x", "password": "p" * 100_000},
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


async def test_refreshes_by_one_token_at_once_are_given_the_same_successor(api: Api) -> None:
    person = await api.person()
    answers: list[httpx2.Response] = []

    async def refresh() -> None:
        answers.append(await api.ask("POST", "/auth/refresh", json={"refresh_token": person.refresh_token}))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(refresh)
    assert {answer.status_code for answer in answers} == {200}
    pairs = [answer.json() for answer in answers]
    assert {frozenset(pair) for pair in pairs} == {frozenset({"access_token", "refresh_token"})}
    assert len({pair["refresh_token"] for pair in pairs} - {person.refresh_token}) == 1
    for pair in pairs:
        assert (await api.ask("GET", "/rooms", headers={"X-Auth-Token": pair["access_token"]})).status_code == 200


async def test_a_refresh_token_that_was_never_issued_is_401(api: Api, ann: Person) -> None:
    for token in ("", "x", ann.token, "\u4f60\u597d" * 1000):
        answer = await api.ask("POST", "/auth/refresh", json={"refresh_token": token})
        assert answer.status_code == 401, token
        assert error_of(answer)


async def test_logging_out_ends_every_log_in_of_the_caller(api: Api) -> None:
    person = await api.person()
    second = (await api.ask("POST", "/auth/login", json={"email": person.email, "password": PASSWORD})).json()
    answer = await api.ask("POST", "/auth/logout", as_=person, json={"user_id": person.id})
    assert (answer.status_code, answer.content) == (204, b"")
    for access, refresh in (
        (person.token, person.refresh_token),
        (second["access_token"], second["refresh_token"]),
    ):
        refused = await api.ask("GET", "/rooms", headers={"Authorization": f"Bearer {access}"})
        assert refused.status_code == 401
        assert (await api.ask("POST", "/auth/refresh", json={"refresh_token": refresh})).status_code == 401
    assert (await api.ask("POST", "/auth/login", json={"email": person.email, "password": PASSWORD})).status_code == 200


async def test_logging_out_needs_ones_own_id(api: Api, ann: Person, bob: Person) -> None:
    for body, status in (
        ({"user_id": bob.id}, 403),
        ({"user_id": "9007199254740991"}, 403),
        ({}, 400),
        ({"user_id": None}, 400),
        ({"user_id": ""}, 400),
        ({"user_id": "me"}, 400),
        ({"user_id": int(ann.id)}, 400),
    ):
        answer = await api.ask("POST", "/auth/logout", as_=ann, json=body)
        assert answer.status_code == status, body
        assert error_of(answer)
    assert (await api.ask("POST", "/auth/logout", json={"user_id": ann.id})).status_code == 401
    for unharmed in (ann, bob):
        assert (await api.ask("GET", "/rooms", as_=unharmed)).status_code == 200


async def test_the_token_is_accepted_in_either_header(api: Api, ann: Person) -> None:
    for headers in (
        {"Authorization": f"Bearer {ann.token}"},
        {"authorization": f"bearer {ann.token}"},
        {"X-Auth-Token": ann.token},
    ):
        assert (await api.ask("GET", f"/users/{ann.id}", headers=headers)).status_code == 200


def unsigned(token: str) -> str:
    """The same claims, in a token that says it needs no signature."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


async def test_any_other_token_is_401(api: Api, ann: Person) -> None:
    head, claims, signature = ann.token.split(".")
    for value in (
        "",
        "Bearer",
        f"Basic {ann.token}",
        ann.token,
        "Bearer x",
        "Bearer a.b.c",
        f"Bearer {ann.token[:-2]}",
        f"Bearer {head}.{claims[:-2]}.{signature}",
        f"Bearer {unsigned(ann.token)}",
        f"Bearer {ann.refresh_token}",
        f"Bearer {'x' * 20_000}",
    ):
        answer = await api.ask("GET", "/rooms", headers={"Authorization": value})
        assert answer.status_code == 401, value
        assert error_of(answer)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.auth], ids=lambda route: f"{route.method} {route.path}"
)
async def test_every_protected_endpoint_is_401_without_a_token(api: Api, route: Any) -> None:
    path = route.path.format(user_id="1", room_id="1", message_id="1")
    assert (await api.ask(route.method, path, content=b"{")).status_code == 401


async def test_tokens_survive_a_restart_and_a_new_secret_refuses_them(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first:
        async with api_of(first) as api:
            person, hasty = await api.person(), await api.person()
            trade = {"refresh_token": hasty.refresh_token}
            successor = (await api.ask("POST", "/auth/refresh", json=trade)).json()["refresh_token"]
    secret = tmp_path / "data" / "token-secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    with serving(tmp_path / "data") as second:
        async with api_of(second) as api:
            assert (await api.ask("GET", "/rooms", as_=person)).status_code == 200
            again = await api.ask("POST", "/auth/refresh", json=trade)  # the answer did not reach its client
            assert again.json()["refresh_token"] == successor
    secret.unlink()
    with serving(tmp_path / "data") as third:
        async with api_of(third) as api:
            assert (await api.ask("GET", "/rooms", as_=person)).status_code == 401
            renewed = await api.ask("POST", "/auth/refresh", json={"refresh_token": person.refresh_token})
            assert renewed.status_code == 200
