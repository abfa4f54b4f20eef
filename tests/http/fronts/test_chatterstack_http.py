"""What holds for every endpoint of ChatterStack."""

from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.http.api.front import Front
from chinwag.http.fronts.chatterstack import FRONT, wire
from chinwag.http.fronts.chatterstack.wire import REMEMBERED_TEXT
from tests.examples import examples
from tests.http.fronts.chatterstack_api import NOBODY, refused
from tests.http.service_api import Api, Person, open_api


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
