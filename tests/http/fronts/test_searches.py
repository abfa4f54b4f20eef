"""What every search holds to, whatever the front: the text that it takes, and the time that it has."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.messages.searches import SEARCH_S, WAITING_PER_USER
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.engine.model.store_search import SEARCHES_AT_ONCE
from chinwag.http.api.front import Front
from chinwag.http.api.openapi import describe
from chinwag.http.api.routing import Route
from chinwag.http.fronts import chatrooms, chatterstack
from tests.http.fronts.chatrooms_api import open_chatrooms
from tests.http.service_api import Answer, Api, Person, open_api

TEXTS = ("tail lemon", "re\u0301sume\u0301", "\u0130stanbul", "x" * MOST_QUERY_CHARACTERS)


class Search(msgspec.Struct, frozen=True):
    """One way to search. Where `filters`, a blank text is no text."""

    front: str
    route: str
    filters: bool = False
    field: str = "q"


SEARCHES = (
    Search("chatterstack", "/messages/search"),
    Search("chatterstack", "/rooms", filters=True),
    Search("chatrooms", "/chatrooms/{chatroom_id}/search", field="query"),
    Search("chatrooms", "/chatrooms", filters=True, field="search"),
)
FRONTS: Mapping[str, Front] = {"chatterstack": chatterstack.FRONT, "chatrooms": chatrooms.FRONT}


class Searched:
    """Ann has rooms that are named after the beginnings of the texts, and has said each of these."""

    def __init__(self, api: Api, ann: Person, room: str, search: Search) -> None:
        self.api = api
        self.ann = ann
        self._room = room
        self.search = search

    async def ask(self, text: str) -> Answer:
        """Look for a text; in one room where there is no other way."""
        search = self.search
        path = search.route.replace("{chatroom_id}", self._room)
        if search.front == "chatterstack":
            return await self.api.ask("GET", f"/v1{path}", as_=self.ann, query={search.field: text})
        if search.filters:
            return await self.api.ask("GET", path, as_=self.ann, query={search.field: text})
        return await self.api.ask("POST", path, as_=self.ann, json={search.field: text})

    async def found(self, text: str) -> int:
        """How much was found."""
        answer = await self.ask(text)
        assert answer.status == 200, answer.body
        assert "x-search-complete" not in answer.headers
        return count(answer)


def count(answer: Answer) -> int:
    body: Any = answer.json.get("data", answer.json)
    [many] = [body[name] for name in ("messages", "rooms", "results", "chatrooms") if name in body]
    return len(many)


def name_of(text: str) -> str:
    return text[: max(8, len(text) // 2)]


@pytest.fixture(params=SEARCHES, ids=lambda search: f"{search.front}{search.route}")
async def searched(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Searched]:
    search: Search = request.param
    if search.front == "chatterstack":
        async with open_api() as api:
            ann = await api.person("ann")
            for text in TEXTS:
                made = await api.ask("POST", "/v1/rooms", as_=ann, json={"name": name_of(text)})
                path = f"/v1/rooms/{made.json['id']}/messages"
                assert (await api.ask("POST", path, as_=ann, json={"content": text})).status == 201
            yield Searched(api, ann, "", search)
    else:
        async with open_chatrooms(tmp_path) as opened:
            ann = await opened.person("ann")
            for text in TEXTS:
                room = await opened.chatroom(ann, name=name_of(text))
            for text in TEXTS:
                await opened.send(ann, room, text)
            yield Searched(opened.api, ann, room, search)


async def test_a_text_is_trimmed_and_compared_without_case_and_composition(
    searched: Searched, autojump_clock: MockClock
) -> None:
    for text in ("tail lem ", " \tTAIL LEM", "r\u00e9sum\u00e9", "RE\u0301SUME\u0301\n", "istanbul"):
        assert await searched.found(text) > 0, text
    assert await searched.found("nothing") == 0


async def test_a_blank_text_is_refused_where_it_has_to_be_there_and_else_none(
    searched: Searched, autojump_clock: MockClock
) -> None:
    for blank in ("", " ", "\u3000\t"):
        answer = await searched.ask(blank)
        if searched.search.filters:
            assert (answer.status, count(answer)) == (200, len(TEXTS))
        else:
            assert answer.status in (400, 422)
            assert searched.search.field in answer.body.decode()


async def test_a_longer_text_than_is_taken_is_refused_by_its_field(
    searched: Searched, autojump_clock: MockClock
) -> None:
    longest = "x" * MOST_QUERY_CHARACTERS
    assert (await searched.ask(f"  {longest}  ")).status == 200
    answer = await searched.ask(longest + "x")
    assert answer.status in (400, 422)
    assert searched.search.field in answer.body.decode()
    assert str(MOST_QUERY_CHARACTERS) in answer.body.decode()


async def test_what_was_found_in_time_is_said_to_be_partial(searched: Searched, autojump_clock: MockClock) -> None:
    searched.api.store.search_s = SEARCH_S + 1
    began = trio.current_time()
    answer = await searched.ask("a")
    assert trio.current_time() - began == pytest.approx(SEARCH_S)
    assert answer.status == 200
    assert count(answer) > 0
    assert answer.headers["x-search-complete"] == "false"
    assert answer.json.get("data", {}).get("complete", False) is False


async def test_who_searches_too_much_at_once_is_told_to_come_back(
    searched: Searched, autojump_clock: MockClock
) -> None:
    searched.api.store.search_s = SEARCH_S
    statuses: list[int] = []

    async def search() -> None:
        statuses.append((await searched.ask("lemon")).status)

    async with trio.open_nursery() as nursery:
        for _ in range(SEARCHES_AT_ONCE + WAITING_PER_USER):
            nursery.start_soon(search)
        await trio.testing.wait_all_tasks_blocked()
        refused = await searched.ask("lemon")
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) > 0
    assert statuses == [200] * (SEARCHES_AT_ONCE + WAITING_PER_USER)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: f"{search.front}{search.route}")
def test_the_document_tells_of_the_bound_and_of_the_header(search: Search) -> None:
    front = FRONTS[search.front]
    document = describe(front)
    [operation] = [
        each
        for method, each in document["paths"][search.route].items()
        if (method == "get") is (search.front == "chatterstack" or search.filters)
    ]
    assert "X-Search-Complete" in operation["responses"]["200"]["headers"]
    if "requestBody" in operation:
        schema = document["components"]["schemas"]["Search"]["properties"][search.field]
    else:
        [schema] = [each["schema"] for each in operation["parameters"] if each["name"] == search.field]
    assert schema["maxLength"] == MOST_QUERY_CHARACTERS


def test_every_route_that_searches_is_among_these() -> None:
    def searches(route: Route) -> bool:
        return any(header.name == "X-Search-Complete" for header in route.response_headers)

    found = {(name, route.path) for name, front in FRONTS.items() for route in front.routes if searches(route)}
    assert found == {(each.front, each.route) for each in SEARCHES}
