"""The messenger's accounts: each endpoint's success and its refusals."""

from collections.abc import Mapping

import pytest

from chinwag.engine.model.ids import UserId
from chinwag.http.kit.uuid_ids import IDS
from tests.http.fronts.messenger_api import Messenger, refused
from tests.http.service_api import Person


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
