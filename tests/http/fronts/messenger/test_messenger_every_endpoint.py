"""What holds for every endpoint of the messenger."""

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.engine.model.store import DuplicateKey
from chinwag.http.api.rate_limits import RateLimiter
from chinwag.http.fronts import chatterstack
from tests.examples import examples
from tests.http.fronts.messenger_api import FRONT, NOBODY, STRANGE_UUID, Messenger, refused
from tests.http.service_api import Person, open_api


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
