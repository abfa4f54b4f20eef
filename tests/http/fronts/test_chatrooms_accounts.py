"""The chatrooms front's accounts: registration, log-in, tokens, profiles, avatars."""

import io
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from PIL import Image

from chinwag.engine.model.ids import UserId
from chinwag.engine.model.limits import MAX_AVATAR_BYTES
from chinwag.http.fronts.chatrooms import FRONT
from chinwag.http.kit.uuid_ids import IDS
from tests.http.fronts.chatrooms_api import PASSWORD, Chatrooms, picture, refused, succeeded, wrong_fields
from tests.http.service_api import Person

REGISTRATION = {"username": "ann", "email": "Ann@Example.org", "password": PASSWORD, "display_name": "Ann O."}
NEW_USER = ["id", "username", "email", "display_name", "avatar_url", "is_verified", "created_at"]
LOGGED_IN_USER = ["id", "username", "display_name", "avatar_url", "last_login"]
PROFILE = [
    "id",
    "username",
    "email",
    "display_name",
    "avatar_url",
    "public_key",
    "is_verified",
    "created_at",
    "last_login",
]


def public_key(bits: int = 2048) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


# --- registration -------------------------------------------------------------------------------------------------


async def test_registration_answers_with_the_user_and_a_log_in(chatrooms: Chatrooms) -> None:
    answer = await chatrooms.ask("POST", "/auth/register", json={**REGISTRATION, "username": " ann "})
    data = succeeded(answer, 201)
    assert list(data) == ["user", "access_token", "refresh_token", "expires_in"]
    assert list(data["user"]) == NEW_USER
    user = data["user"]
    assert (user["username"], user["email"], user["display_name"]) == ("ann", "Ann@example.org", "Ann O.")
    assert (user["avatar_url"], user["is_verified"], data["expires_in"]) == (None, False, 1800)
    assert PASSWORD.encode() not in answer.body
    ann = Person(user["id"], "ann", data["access_token"], data["refresh_token"])
    assert succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))["id"] == user["id"]


async def test_a_registration_may_bring_a_public_key(chatrooms: Chatrooms) -> None:
    key = public_key()
    ann = await chatrooms.person("ann", public_key=key)
    assert succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))["public_key"] == key


async def test_registration_lists_every_wrong_field(chatrooms: Chatrooms) -> None:
    answer = await chatrooms.ask("POST", "/auth/register", json={})
    assert wrong_fields(answer) == dict.fromkeys(REGISTRATION, "VALIDATION_REQUIRED_FIELD")
    wrong = {"username": 5, "email": "ann", "password": "short", "display_name": "x" * 101, "public_key": "no key"}
    assert wrong_fields(await chatrooms.ask("POST", "/auth/register", json=wrong)) == {
        "username": "VALIDATION_INVALID_FORMAT",
        "email": "VALIDATION_INVALID_FORMAT",
        "password": "VALIDATION_INVALID_VALUE",
        "display_name": "VALIDATION_LENGTH_EXCEEDED",
        "public_key": "VALIDATION_INVALID_FORMAT",
    }


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("username", "ab", "VALIDATION_INVALID_VALUE"),
        ("username", " ab ", "VALIDATION_INVALID_VALUE"),
        ("username", "   ", "VALIDATION_REQUIRED_FIELD"),
        ("username", "a" * 51, "VALIDATION_LENGTH_EXCEEDED"),
        ("username", "ann@home", "VALIDATION_INVALID_FORMAT"),
        ("username", "a\nbc", "VALIDATION_INVALID_FORMAT"),
        ("username", None, "VALIDATION_INVALID_FORMAT"),
        ("email", "ann@", "VALIDATION_INVALID_FORMAT"),
        ("email", "", "VALIDATION_INVALID_FORMAT"),
        ("email", "a" * 400 + "@example.org", "VALIDATION_LENGTH_EXCEEDED"),
        ("email", ["ann@example.org"], "VALIDATION_INVALID_FORMAT"),
        ("password", "1234567", "VALIDATION_INVALID_VALUE"),
        ("password", "x" * 129, "VALIDATION_LENGTH_EXCEEDED"),
        ("password", 12345678, "VALIDATION_INVALID_FORMAT"),
        ("display_name", "", "VALIDATION_REQUIRED_FIELD"),
        ("display_name", "a\x07", "VALIDATION_INVALID_FORMAT"),
        ("public_key", "", "VALIDATION_INVALID_FORMAT"),
        ("public_key", "x" * 4097, "VALIDATION_LENGTH_EXCEEDED"),
        ("public_key", public_key(1024), "VALIDATION_INVALID_FORMAT"),
    ],
)
async def test_registration_names_the_wrong_field(chatrooms: Chatrooms, field: str, value: object, code: str) -> None:
    answer = await chatrooms.ask("POST", "/auth/register", json={**REGISTRATION, field: value})
    assert wrong_fields(answer) == {field: code}


@pytest.mark.parametrize(("field", "value"), [("username", "abc"), ("username", "ü" * 50), ("display_name", "é" * 100)])
async def test_registration_takes_what_is_just_in_bounds(chatrooms: Chatrooms, field: str, value: str) -> None:
    data = succeeded(await chatrooms.ask("POST", "/auth/register", json={**REGISTRATION, field: value}), 201)
    assert data["user"][field] == value


async def test_a_name_or_address_that_is_taken_is_409_whatever_its_case(chatrooms: Chatrooms) -> None:
    succeeded(await chatrooms.ask("POST", "/auth/register", json=REGISTRATION), 201)
    for field, value in (("username", "ANN"), ("email", "ANN@EXAMPLE.ORG")):
        other = {**REGISTRATION, "username": "bob", "email": "bob@example.org", field: value}
        answer = await chatrooms.ask("POST", "/auth/register", json=other)
        assert refused(answer, 409, "RESOURCE_ALREADY_EXISTS") == {"what": field}


# --- log-in and tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann", "ANN", " ann ", "ann@example.org", " ANN@EXAMPLE.ORG "])
async def test_one_logs_in_by_username_or_address(chatrooms: Chatrooms, name: str) -> None:
    ann = await chatrooms.person("ann")
    data = succeeded(await chatrooms.ask("POST", "/auth/login", json={"username": name, "password": PASSWORD}))
    assert list(data) == ["user", "access_token", "refresh_token", "expires_in"]
    assert list(data["user"]) == LOGGED_IN_USER
    assert (data["user"]["id"], data["user"]["display_name"], data["expires_in"]) == (ann.id, "Ann", 1800)
    assert data["user"]["last_login"] is not None


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ann", "wrong-horse"),
        ("nobody", PASSWORD),
        ("", ""),
        ("ann@example.com", PASSWORD),
        ("x" * 10_000, "y" * 10_000),
    ],
)
async def test_a_failed_log_in_does_not_tell_what_was_wrong(chatrooms: Chatrooms, username: str, password: str) -> None:
    await chatrooms.person("ann")
    answer = await chatrooms.ask("POST", "/auth/login", json={"username": username, "password": password})
    assert refused(answer, 401, "AUTH_INVALID_CREDENTIALS") == {}
    assert answer.json["error"]["message"] == "invalid credentials"


async def test_a_log_in_lists_what_is_missing(chatrooms: Chatrooms) -> None:
    answer = await chatrooms.ask("POST", "/auth/login", json={})
    assert wrong_fields(answer) == dict.fromkeys(["username", "password"], "VALIDATION_REQUIRED_FIELD")


async def test_a_refresh_gives_an_access_token_and_the_refresh_token_stays_good(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    tokens = {ann.token}
    for _ in range(3):
        data = succeeded(await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token}))
        assert list(data) == ["access_token", "expires_in"]
        assert data["expires_in"] == 1800
        tokens.add(data["access_token"])
    assert len(tokens) == 4
    for token in tokens:
        succeeded(await chatrooms.ask("GET", "/users/me", headers={"authorization": f"Bearer {token}"}))


async def test_a_refresh_takes_no_other_token(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    for token in ("", "nonsense", ann.token, ann.refresh_token + "x"):
        answer = await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": token})
        refused(answer, 401, "AUTH_REFRESH_TOKEN_INVALID")
    answer = await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": None})
    assert wrong_fields(answer) == {"refresh_token": "VALIDATION_INVALID_FORMAT"}


async def test_a_log_out_ends_both_tokens_at_once_and_no_other_device(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    phone = await chatrooms.log_in("ann")
    renewed = succeeded(await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token}))
    answer = await chatrooms.ask("POST", "/auth/logout", as_=ann)
    assert answer.json == {"success": True, "message": "Logged out successfully"}
    for token in (ann.token, renewed["access_token"]):
        headers = {"authorization": f"Bearer {token}"}
        refused(await chatrooms.ask("GET", "/users/me", headers=headers), 401, "AUTH_TOKEN_INVALID")
    answer = await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token})
    refused(answer, 401, "AUTH_REFRESH_TOKEN_INVALID")
    refused(await chatrooms.ask("POST", "/auth/logout", as_=ann), 401, "AUTH_TOKEN_INVALID")
    succeeded(await chatrooms.ask("GET", "/users/me", as_=phone))
    succeeded(await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": phone.refresh_token}))


async def test_an_access_token_lasts_half_an_hour(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    chatrooms.clock.now += 1799
    succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))
    chatrooms.clock.now += 1
    answer = await chatrooms.ask("GET", "/users/me", as_=ann)
    refused(answer, 401, "AUTH_TOKEN_EXPIRED")
    assert answer.headers["www-authenticate"] == "Bearer"
    succeeded(await chatrooms.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token}))


NEEDS_A_TOKEN = [(route.method, route.path) for route in FRONT.routes if route.auth]


@pytest.mark.parametrize(("method", "path"), NEEDS_A_TOKEN, ids=" ".join)
async def test_every_endpoint_but_the_open_ones_needs_a_good_token(
    chatrooms: Chatrooms, method: str, path: str
) -> None:
    for headers in ({}, {"authorization": "Bearer x.y.z"}, {"authorization": "Basic YTpi"}, {"x-auth-token": "ö"}):
        answer = await chatrooms.ask(method, path.replace("{", "%7B").replace("}", "%7D"), headers=headers, json={})
        refused(answer, 401, "AUTH_TOKEN_INVALID")


def test_the_open_endpoints_are_these() -> None:
    assert {f"{route.method} {route.path}" for route in FRONT.routes if not route.auth} == {
        "POST /auth/register",
        "POST /auth/login",
        "POST /auth/refresh",
        "GET /chatrooms/join/{invite_code}",
        "GET /files/{file_id}",  # by a signature
        "GET /files/{file_id}/thumbnail",
        "GET /avatars/{file_id}",
        "GET /health",
    }


async def test_a_deactivated_account_is_told_so(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    await chatrooms.api.engine.accounts.set_active(UserId(IDS.decode(ann.id) or 0), False)
    refused(await chatrooms.ask("GET", "/users/me", as_=ann), 401, "AUTH_USER_INACTIVE")
    answer = await chatrooms.ask("POST", "/auth/login", json={"username": "ann", "password": PASSWORD})
    refused(answer, 401, "AUTH_USER_INACTIVE")
    answer = await chatrooms.ask("POST", "/auth/login", json={"username": "ann", "password": "a guess of it"})
    refused(answer, 401, "AUTH_INVALID_CREDENTIALS")


# --- profile ------------------------------------------------------------------------------------------------------


async def test_ones_profile(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    profile = succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))
    assert list(profile) == PROFILE
    assert (profile["id"], profile["email"], profile["public_key"]) == (ann.id, "ann@example.org", None)
    assert (profile["avatar_url"], profile["is_verified"]) == (None, False)
    assert profile["last_login"] >= profile["created_at"]


async def test_a_profile_changes_only_where_it_is_told_to(chatrooms: Chatrooms) -> None:
    ann, key = await chatrooms.person("ann"), public_key()
    changes: list[dict[str, Any]] = [
        {"display_name": "Ann the First"},
        {"avatar_url": "https://example.org/ann.png"},
        {"public_key": key},
        {},
        {"unknown": 1},
        {"avatar_url": None},
        {"public_key": None},
    ]
    profile = succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))
    for change in changes:
        profile |= {name: value for name, value in change.items() if name in profile}
        assert succeeded(await chatrooms.ask("PUT", "/users/me", as_=ann, json=change)) == profile
        assert succeeded(await chatrooms.ask("GET", "/users/me", as_=ann)) == profile


async def test_a_new_display_name_is_seen_by_others(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    await chatrooms.send(ann, room)
    succeeded(await chatrooms.ask("PUT", "/users/me", as_=ann, json={"display_name": "Queen Ann"}))
    members = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=bob))["members"]
    assert [each["display_name"] for each in members] == ["Queen Ann", "Bob"]
    [message, *_] = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}/messages", as_=bob))["messages"]
    assert message["display_name"] == "Queen Ann"


async def test_a_profile_lists_every_wrong_field(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    wrong = {"display_name": " ", "avatar_url": "javascript:alert(1)", "public_key": 5}
    assert wrong_fields(await chatrooms.ask("PUT", "/users/me", as_=ann, json=wrong)) == {
        "display_name": "VALIDATION_REQUIRED_FIELD",
        "avatar_url": "VALIDATION_INVALID_FORMAT",
        "public_key": "VALIDATION_INVALID_FORMAT",
    }
    for url in ("", "x", "//example.org/a", "http://", "http://a b", "ftp://example.org/a", "https://[", "http://a:b/"):
        answer = await chatrooms.ask("PUT", "/users/me", as_=ann, json={"avatar_url": url})
        assert wrong_fields(answer) == {"avatar_url": "VALIDATION_INVALID_FORMAT"}, url
    answer = await chatrooms.ask("PUT", "/users/me", as_=ann, json={"avatar_url": "https://a.example/" + "x" * 2048})
    assert wrong_fields(answer) == {"avatar_url": "VALIDATION_LENGTH_EXCEEDED"}
    answer = await chatrooms.ask("PUT", "/users/me", as_=ann, json={"display_name": None})
    assert wrong_fields(answer) == {"display_name": "VALIDATION_INVALID_FORMAT"}


# --- avatar -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
async def test_an_avatar_is_shown_to_whoever_knows_its_url(chatrooms: Chatrooms, kind: str) -> None:
    ann = await chatrooms.person("ann")
    data = succeeded(await chatrooms.upload(ann, None, picture(kind), name="me", path="/users/me/avatar"))
    assert list(data) == ["avatar_url"]
    assert succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))["avatar_url"] == data["avatar_url"]
    chatrooms.clock.now += 10 * 365 * 86_400
    got = await chatrooms.get(data["avatar_url"])
    assert (got.status, got.headers["content-type"]) == (200, f"image/{kind.lower()}")
    assert Image.open(io.BytesIO(got.body)).size == Image.open(io.BytesIO(picture(kind))).size


async def test_an_avatar_says_nothing_of_its_owner_and_the_one_before_is_gone(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    source = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(source, "JPEG", exif=exif)
    urls = [
        succeeded(await chatrooms.upload(ann, None, content, name="at home.jpg", path="/users/me/avatar"))["avatar_url"]
        for content in (picture(), source.getvalue())
    ]
    refused(await chatrooms.get(urls[0]), 404, "FILE_NOT_FOUND")
    got = await chatrooms.get(urls[1])
    assert got.status == 200
    assert "at home" not in str(got.headers)
    assert b"at home" in source.getvalue()
    assert b"at home" not in got.body


@pytest.mark.parametrize("instead", [None, "https://example.org/me.png"])
async def test_who_shows_no_uploaded_avatar_any_more_leaves_none_behind(
    chatrooms: Chatrooms, instead: str | None
) -> None:
    ann = await chatrooms.person("ann")
    url = succeeded(await chatrooms.upload(ann, None, picture(), path="/users/me/avatar"))["avatar_url"]
    succeeded(await chatrooms.ask("PUT", "/users/me", as_=ann, json={"avatar_url": f"https://chat.example{url}"}))
    assert (await chatrooms.get(url)).status == 200
    succeeded(await chatrooms.ask("PUT", "/users/me", as_=ann, json={"avatar_url": instead}))
    refused(await chatrooms.get(url), 404, "FILE_NOT_FOUND")


async def test_an_avatars_url_needs_its_signature(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    url = succeeded(await chatrooms.upload(ann, None, picture(), path="/users/me/avatar"))["avatar_url"]
    path = url.partition("?")[0]
    for query in ("", "?signature=", "?signature=x", "?signature=%F0%9F%8D%B5"):
        refused(await chatrooms.get(path + query, as_=ann), 401, "AUTH_TOKEN_INVALID")


@pytest.mark.parametrize(
    "content",
    [b"plain text", b"<svg xmlns='http://www.w3.org/2000/svg'/>", picture("WEBP"), picture("BMP"), picture()[:60]],
    ids=["text", "svg", "webp", "bmp", "cut off"],
)
async def test_an_avatar_of_another_type_is_refused(chatrooms: Chatrooms, content: bytes) -> None:
    ann = await chatrooms.person("ann")
    answer = await chatrooms.upload(ann, None, content, name="me.png", path="/users/me/avatar")
    refused(answer, 422, "FILE_TYPE_NOT_ALLOWED")
    assert succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))["avatar_url"] is None


async def test_an_avatar_has_at_most_5_mb(chatrooms: Chatrooms) -> None:
    ann, image = await chatrooms.person("ann"), picture()
    for size, fits in ((MAX_AVATAR_BYTES, True), (MAX_AVATAR_BYTES + 1, False), (3 * MAX_AVATAR_BYTES, False)):
        content = image + bytes(size - len(image))
        answer = await chatrooms.upload(ann, None, content, path="/users/me/avatar")
        if fits:
            succeeded(answer)
        else:
            refused(answer, 413, "FILE_TOO_LARGE")
    assert MAX_AVATAR_BYTES == 5 * 1024 * 1024


async def test_without_a_file_there_is_no_avatar(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    answer = await chatrooms.ask("POST", "/users/me/avatar", as_=ann, parts=[])
    assert wrong_fields(answer) == {"file": "VALIDATION_REQUIRED_FIELD"}
    answer = await chatrooms.ask("POST", "/users/me/avatar", as_=ann, json={"file": "x"})
    refused(answer, 400, "FILE_UPLOAD_FAILED")
    answer = await chatrooms.upload(ann, None, b"", path="/users/me/avatar")
    assert wrong_fields(answer) == {"file": "VALIDATION_INVALID_VALUE"}
