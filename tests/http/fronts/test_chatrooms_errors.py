"""The chatrooms front's errors: every code that its spec lists, and no bytes that bring a server error."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chinwag.engine.model.errors import LimitReached, StoreUnavailable
from chinwag.engine.model.ids import FamilyId, UserId
from chinwag.engine.rooms.message_rules import MOST_EMOJI
from chinwag.http.api.decoding import may_be_empty
from chinwag.http.api.rate_limits import RateLimit, RateLimiter
from chinwag.http.api.refusals import BodyTimeout, BodyTooLarge
from chinwag.http.api.routing import Route
from chinwag.http.api.values import HttpRequest
from chinwag.http.fronts.chatrooms import FRONT
from chinwag.http.fronts.chatrooms.files import MAX_FILE_BYTES
from chinwag.http.kit.links import Links
from chinwag.http.kit.uuid_ids import IDS
from tests.engine.rooms.states import emojis
from tests.examples import examples
from tests.http.fronts.chatrooms_api import NOBODY, PASSWORD, Chatrooms, open_chatrooms, refused, wrong_fields
from tests.http.service_api import Answer, Person

SPEC_CODES: Final = {
    "AUTH_INVALID_CREDENTIALS",
    "AUTH_TOKEN_EXPIRED",
    "AUTH_TOKEN_INVALID",
    "AUTH_REFRESH_TOKEN_INVALID",
    "AUTH_USER_NOT_FOUND",
    "AUTH_USER_INACTIVE",
    "VALIDATION_REQUIRED_FIELD",
    "VALIDATION_INVALID_FORMAT",
    "VALIDATION_LENGTH_EXCEEDED",
    "VALIDATION_INVALID_VALUE",
    "RESOURCE_NOT_FOUND",
    "RESOURCE_ACCESS_DENIED",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_LIMIT_EXCEEDED",
    "CHATROOM_NOT_FOUND",
    "CHATROOM_ACCESS_DENIED",
    "CHATROOM_FULL",
    "CHATROOM_INVITE_INVALID",
    "CHATROOM_OWNER_REQUIRED",
    "MESSAGE_NOT_FOUND",
    "MESSAGE_EDIT_DENIED",
    "MESSAGE_DELETE_DENIED",
    "MESSAGE_TOO_LONG",
    "MESSAGE_ENCRYPTION_FAILED",
    "FILE_TOO_LARGE",
    "FILE_TYPE_NOT_ALLOWED",
    "FILE_UPLOAD_FAILED",
    "FILE_NOT_FOUND",
    "RATE_LIMIT_EXCEEDED",
    "CONNECTION_LIMIT_EXCEEDED",
}
README_CODES: Final = {"METHOD_NOT_ALLOWED", "REQUEST_REFUSED", "SERVICE_UNAVAILABLE", "INTERNAL_ERROR"}


class Scene:
    """Ann owns a chatroom with Bob in it and a message of hers; Eve is in none."""

    def __init__(self, chatrooms: Chatrooms) -> None:
        self.chatrooms = chatrooms
        self.ask = chatrooms.ask

    async def prepare(self) -> None:
        self.ann, self.bob, self.eve = await self.chatrooms.people("ann", "bob", "eve")
        self.room = await self.chatrooms.chatroom(self.ann, self.bob, max_members=2)
        self.message = (await self.chatrooms.send(self.ann, self.room))["id"]

    async def post(self, content: object, *, room: str | None = None) -> Answer:
        return await self.ask(
            "POST", f"/chatrooms/{room or self.room}/messages", as_=self.ann, json={"content": content}
        )

    async def at_message(self, method: str, below: str, by: Person, body: object = msgspec.UNSET) -> Answer:
        return await self.ask(method, f"/chatrooms/{self.room}/messages/{self.message}{below}", as_=by, json=body)


Provoke = Callable[[Scene], Awaitable[Answer]]


async def wrong_password(s: Scene) -> Answer:
    return await s.ask("POST", "/auth/login", json={"username": "ann", "password": "wrong-horse"})


async def old_token(s: Scene) -> Answer:
    s.chatrooms.clock.now += 1800
    return await s.ask("GET", "/users/me", as_=s.ann)


async def someone_elses_token(s: Scene) -> Answer:
    return await s.ask("GET", "/users/me", headers={"authorization": "Bearer abc"})


async def wrong_refresh_token(s: Scene) -> Answer:
    return await s.ask("POST", "/auth/refresh", json={"refresh_token": "x"})


async def token_of_nobody(s: Scene) -> Answer:
    token = s.chatrooms.api.tokens.issue(UserId(4096), FamilyId(4097))
    return await s.ask("GET", "/users/me", headers={"authorization": f"Bearer {token}"})


async def deactivated(s: Scene) -> Answer:
    await s.chatrooms.api.engine.accounts.set_active(UserId(IDS.decode(s.ann.id) or 0), False)
    return await s.ask("POST", "/auth/login", json={"username": "ann", "password": PASSWORD})


async def missing_field(s: Scene) -> Answer:
    return await s.ask("POST", "/chatrooms", as_=s.ann, json={"is_private": True})


async def malformed_json(s: Scene) -> Answer:
    answer = await s.ask("POST", "/chatrooms", as_=s.ann, body=b'{"name": ')
    assert answer.status == 400
    return answer


async def field_of_another_type(s: Scene) -> Answer:
    return await s.ask("POST", "/chatrooms", as_=s.ann, json={"name": "tea", "is_private": 1})


async def long_name(s: Scene) -> Answer:
    return await s.ask("POST", "/chatrooms", as_=s.ann, json={"name": "x" * 101, "is_private": True})


async def value_out_of_range(s: Scene) -> Answer:
    return await s.ask("GET", "/chatrooms", as_=s.ann, query={"limit": 101})


async def no_endpoint(s: Scene) -> Answer:
    return await s.ask("GET", "/v2/chatrooms", as_=s.ann)


async def join_private(s: Scene) -> Answer:
    room = await s.chatrooms.chatroom(s.ann, is_private=True)
    return await s.ask("POST", f"/chatrooms/{room}/join", as_=s.eve)


async def name_taken(s: Scene) -> Answer:
    body = {"username": "Ann", "email": "other@example.org", "password": PASSWORD, "display_name": "A"}
    return await s.ask("POST", "/auth/register", json=body)


async def too_many_reactions(s: Scene) -> Answer:
    answers = [await s.at_message("POST", "/reactions", s.ann, {"emoji": each}) for each in emojis(MOST_EMOJI + 1)]
    return answers[-1]


async def no_chatroom(s: Scene) -> Answer:
    return await s.ask("GET", f"/chatrooms/{NOBODY}", as_=s.ann)


async def stranger(s: Scene) -> Answer:
    return await s.ask("GET", f"/chatrooms/{s.room}", as_=s.eve)


async def full(s: Scene) -> Answer:
    return await s.ask("POST", f"/chatrooms/{s.room}/join", as_=s.eve)


async def no_invitation(s: Scene) -> Answer:
    return await s.ask("POST", "/chatrooms/join/abc", as_=s.eve)


async def no_owner(s: Scene) -> Answer:
    return await s.ask("DELETE", f"/chatrooms/{s.room}", as_=s.bob)


async def no_message(s: Scene) -> Answer:
    return await s.ask("GET", f"/chatrooms/{s.room}/messages/{NOBODY}", as_=s.ann)


async def edit_anothers(s: Scene) -> Answer:
    return await s.at_message("PUT", "", s.bob, {"content": {"encrypted_data": "x"}})


async def delete_anothers(s: Scene) -> Answer:
    return await s.at_message("DELETE", "", s.bob)


async def long_text(s: Scene) -> Answer:
    return await s.post({"encrypted_data": "x" * 4001})


async def no_ciphertext(s: Scene) -> Answer:
    room = await s.chatrooms.chatroom(s.ann, key_custody="server")
    return await s.post({"encrypted_data": "eA==", "iv": "eA==", "key_version": 1}, room=room)


async def large_file(s: Scene) -> Answer:
    return await s.chatrooms.upload(s.ann, s.room, bytes(MAX_FILE_BYTES + 1))


async def executable(s: Scene) -> Answer:
    return await s.chatrooms.upload(s.ann, s.room, b"\x7fELF" + bytes(60))


async def no_form(s: Scene) -> Answer:
    return await s.ask("POST", "/upload/file", as_=s.ann, body=b"x")


async def no_file(s: Scene) -> Answer:
    return await s.ask("GET", f"/files/{NOBODY}", as_=s.ann)


async def too_often(s: Scene) -> Answer:
    async with open_chatrooms(
        s.chatrooms.folder,
        limiters=lambda clock: {FRONT.name: RateLimiter(RateLimit(1, 60.0), clock=clock, wall_clock=clock)},
    ) as limited:
        answers = [await limited.ask("GET", "/health") for _ in range(2)]
    return answers[-1]


async def sixth_socket(s: Scene) -> Answer:
    engine = s.chatrooms.api.engine
    assert FRONT.socket is not None
    endpoint = FRONT.socket(Links())
    request = s.chatrooms.api.socket_request(endpoint, s.ann.token)
    admitted = [await endpoint.admit(engine, request) for _ in range(5)]
    assert all(each.session.open for each in admitted)
    with pytest.raises(LimitReached) as refusal:
        await endpoint.admit(engine, request)
    response = s.chatrooms.api.service.refuse(HttpRequest(method="GET", path="/ws"), refusal.value)
    return Answer(response, response.body)


async def other_method(s: Scene) -> Answer:
    answer = await s.ask("PATCH", f"/chatrooms/{s.room}", as_=s.ann)
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT, OPTIONS"
    return answer


async def socket_without_upgrade(s: Scene) -> Answer:
    return await s.ask("GET", "/ws", as_=s.ann)


async def store_away(s: Scene) -> Answer:
    s.chatrooms.api.store.fail_next_commits(1, StoreUnavailable("the disk is full"))
    answer = await s.post({"encrypted_data": "x"})
    assert answer.headers["retry-after"] == "1"
    return answer


PROVOKED: Final[dict[str, tuple[int, Provoke]]] = {
    "AUTH_INVALID_CREDENTIALS": (401, wrong_password),
    "AUTH_TOKEN_EXPIRED": (401, old_token),
    "AUTH_TOKEN_INVALID": (401, someone_elses_token),
    "AUTH_REFRESH_TOKEN_INVALID": (401, wrong_refresh_token),
    "AUTH_USER_NOT_FOUND": (401, token_of_nobody),
    "AUTH_USER_INACTIVE": (401, deactivated),
    "VALIDATION_REQUIRED_FIELD": (422, missing_field),
    "VALIDATION_INVALID_FORMAT": (422, field_of_another_type),
    "VALIDATION_LENGTH_EXCEEDED": (422, long_name),
    "VALIDATION_INVALID_VALUE": (422, value_out_of_range),
    "RESOURCE_NOT_FOUND": (404, no_endpoint),
    "RESOURCE_ACCESS_DENIED": (403, join_private),
    "RESOURCE_ALREADY_EXISTS": (409, name_taken),
    "RESOURCE_LIMIT_EXCEEDED": (409, too_many_reactions),
    "CHATROOM_NOT_FOUND": (404, no_chatroom),
    "CHATROOM_ACCESS_DENIED": (403, stranger),
    "CHATROOM_FULL": (409, full),
    "CHATROOM_INVITE_INVALID": (404, no_invitation),
    "CHATROOM_OWNER_REQUIRED": (403, no_owner),
    "MESSAGE_NOT_FOUND": (404, no_message),
    "MESSAGE_EDIT_DENIED": (403, edit_anothers),
    "MESSAGE_DELETE_DENIED": (403, delete_anothers),
    "MESSAGE_TOO_LONG": (422, long_text),
    "MESSAGE_ENCRYPTION_FAILED": (422, no_ciphertext),
    "FILE_TOO_LARGE": (413, large_file),
    "FILE_TYPE_NOT_ALLOWED": (422, executable),
    "FILE_UPLOAD_FAILED": (400, no_form),
    "FILE_NOT_FOUND": (404, no_file),
    "RATE_LIMIT_EXCEEDED": (429, too_often),
    "CONNECTION_LIMIT_EXCEEDED": (429, sixth_socket),
    "METHOD_NOT_ALLOWED": (405, other_method),
    "REQUEST_REFUSED": (426, socket_without_upgrade),
    "SERVICE_UNAVAILABLE": (503, store_away),
}


@pytest.mark.parametrize("code", PROVOKED)
async def test_a_code_is_answered_where_it_belongs(chatrooms: Chatrooms, code: str) -> None:
    scene = Scene(chatrooms)
    await scene.prepare()
    status, provoke = PROVOKED[code]
    refused(await provoke(scene), status, code)


def test_every_code_of_the_spec_and_of_the_readme_is_provoked() -> None:
    assert set(PROVOKED) | {"INTERNAL_ERROR"} == SPEC_CODES | README_CODES


async def test_a_bug_is_an_internal_error_that_tells_nothing(
    chatrooms: Chatrooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(chatrooms.api.engine, "check", broken)
    request = HttpRequest(method="GET", path="/health")
    response = await chatrooms.api.service.handle(request)  # not held to the document, which knows no bugs
    refused(Answer(response, response.body), 500, "INTERNAL_ERROR")
    assert b"secret" not in response.body


async def test_what_may_succeed_later_says_when(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    body = {"content": {"encrypted_data": "x"}, "client_id": "k"}
    chatrooms.api.store.unavailable = True
    for method, path, sent in (("POST", f"/chatrooms/{room}/messages", body), ("GET", "/users/me", msgspec.UNSET)):
        answer = await chatrooms.ask(method, path, as_=ann, json=sent)
        refused(answer, 503, "SERVICE_UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
    chatrooms.api.store.unavailable = False
    await chatrooms.send(ann, room, "x", client_id="k")


async def test_what_http_refuses_is_in_the_envelope_too(chatrooms: Chatrooms) -> None:
    for error, status, code in (
        (BodyTooLarge(5), 413, "VALIDATION_LENGTH_EXCEEDED"),
        (BodyTimeout(), 408, "REQUEST_REFUSED"),
    ):
        response = chatrooms.api.service.refuse(HttpRequest(method="POST", path="/chatrooms"), error)
        refused(Answer(response, response.body), status, code)


# --- malformed and wrong ------------------------------------------------------------------------------------------

BODIES = [route for route in FRONT.routes if route.body is not None]
MALFORMED = (b"{", b"\xff", b'{"a": "\\ud800"}', b"[1,]", b"[" * 100_000, b"nul", b'{"a":1}x', b"\xef\xbb\xbf{}")


def path_of(route: Route, room: str = NOBODY) -> str:
    """A path of this route."""
    return route.path.replace("{chatroom_id}", room).replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", BODIES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_that_cannot_be_read_is_400(chatrooms: Chatrooms, route: Route) -> None:
    ann = await chatrooms.person("ann")
    for body in MALFORMED if may_be_empty(route.body) else (b"", b" \r\n", *MALFORMED):
        answer = await chatrooms.ask(route.method, path_of(route), as_=ann, body=body)
        refused(answer, 400, "VALIDATION_INVALID_FORMAT")


@pytest.mark.parametrize("route", BODIES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_of_another_kind_is_422(chatrooms: Chatrooms, route: Route) -> None:
    ann = await chatrooms.person("ann")
    others: tuple[object, ...] = ([], "text", 5, True)
    for body in others if may_be_empty(route.body) else (None, *others):
        answer = await chatrooms.ask(route.method, path_of(route), as_=ann, json=body)
        assert wrong_fields(answer) == {"body": "VALIDATION_INVALID_FORMAT"}
    nothing = await chatrooms.ask(route.method, path_of(route), as_=ann, json={})
    required = [each.encode_name for each in msgspec.structs.fields(route.body or type) if each.required]
    if required:
        assert wrong_fields(nothing) == dict.fromkeys(required, "VALIDATION_REQUIRED_FIELD")


async def test_nul_is_refused_wherever_it_stands(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    message = await chatrooms.send(ann, room)
    bodies: dict[str, tuple[str, object]] = {
        "/auth/login": ("username", {"username": "a\0", "password": PASSWORD}),
        "/auth/refresh": ("refresh_token", {"refresh_token": "\0"}),
        "/chatrooms": ("name", {"name": "a\0b", "is_private": True}),
        f"/chatrooms/{room}/messages": ("content.encrypted_data", {"content": {"encrypted_data": "a\0b"}}),
        f"/chatrooms/{room}/messages/{message['id']}/reactions": ("emoji", {"emoji": "\0"}),
        f"/chatrooms/{room}/search": ("query", {"query": "a\0b"}),
        f"/chatrooms/{room}/summary": ("custom_prompt", {"custom_prompt": "\0"}),
    }
    for path, (field, body) in bodies.items():
        assert list(wrong_fields(await chatrooms.ask("POST", path, as_=ann, json=body))) == [field], path
    assert list(wrong_fields(await chatrooms.ask("GET", "/chatrooms", as_=ann, query="search=%00"))) == ["search"]
    for path in (f"/chatrooms/{room}%00", "/chatrooms/%00", f"/chatrooms/{room}/messages/%00", "/chatrooms/join/%00"):
        assert (await chatrooms.ask("GET", path, as_=ann)).status == 404
    assert list(wrong_fields(await chatrooms.upload(ann, room + "\0", b"x"))) == ["chatroom_id"]


# --- whatever comes -----------------------------------------------------------------------------------------------

JSON_TEXT = st.text(max_size=20) | st.sampled_from(["\0", "\x7f", "🍵", "x" * 5000, "2026-01-01T00:00:00Z", PASSWORD])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | JSON_TEXT
NAMES = sorted(
    {each.encode_name for route in BODIES for each in msgspec.structs.fields(route.body or type)}
    | {"encrypted_data", "iv", "key_version"}
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | JSON_TEXT, inner, max_size=4),
    max_leaves=8,
)
BODY = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8) | VALUES
SEGMENT = st.sampled_from(
    ["room", "ann", "message", NOBODY, "%00", "%ff", "%2e%2e", "..", "a b", "%ED%A0%80"]
) | st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="/?"), min_size=1, max_size=8)
QUERY = st.dictionaries(
    st.sampled_from(["page", "limit", "before", "after", "search", "above", "date_from", "summary_type", "signature"]),
    JSON_TEXT | st.integers() | st.floats(),
    max_size=4,
)


@given(data=st.data())
@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_gets_the_envelope_and_never_a_server_error(tmp_path: Path, data: st.DataObject) -> None:
    async def main() -> None:
        async with open_chatrooms(tmp_path) as chatrooms:
            ann = await chatrooms.person("ann")
            room = await chatrooms.chatroom(ann)
            message = await chatrooms.send(ann, room)
            names: dict[str, str] = {"room": room, "ann": ann.id, "message": message["id"]}
            right: dict[str, str] = {"{chatroom_id}": room, "{message_id}": message["id"], "{user_id}": ann.id}

            def segment(template: str) -> str:
                if not template.startswith("{"):
                    return template
                if template in right and data.draw(st.booleans()):
                    return right[template]
                drawn: str = data.draw(SEGMENT)
                return names.get(drawn, drawn)

            for _ in range(10):
                route = data.draw(st.sampled_from(FRONT.routes))
                if (route.method, route.path) in (("POST", "/auth/logout"), ("DELETE", "/chatrooms/{chatroom_id}")):
                    continue
                if route.path.endswith("/leave"):
                    continue
                answer = await chatrooms.ask(
                    route.method,
                    "/".join(map(segment, route.path.split("/"))),
                    as_=ann,
                    json=data.draw(BODY),
                    query=data.draw(QUERY | st.text(st.characters(max_codepoint=255), max_size=20)),
                )
                assert answer.status < 500, answer.body
                if answer.headers.get("content-type") == "application/json":
                    assert answer.json["success"] is (answer.status < 400)

    trio.run(main)


@pytest.mark.parametrize("token", ["", " ", "x" * 5000, "a.b.c", "🍵", "null", "Bearer"])
async def test_whatever_comes_as_a_token_is_401(chatrooms: Chatrooms, token: str) -> None:
    sent = token.encode().decode("latin-1")
    for headers in ({"authorization": f"Bearer {sent}"}, {"authorization": sent}, {"x-auth-token": sent}):
        refused(await chatrooms.ask("GET", "/users/me", headers=headers), 401, "AUTH_TOKEN_INVALID")
    path = f"/files/{NOBODY}"
    refused(await chatrooms.ask("GET", path, query=f"token={quote(token)}"), 401, "AUTH_TOKEN_INVALID")
