"""Log-ins as all fronts have them: what a refresh gives, what ends a log-in, and what ends with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chinwag.http.fronts import chatrooms, chatterstack, messenger
from chinwag.http.kit.uuid_ids import IDS
from chinwag.persistence import open_folder_blobs
from tests.http.fronts.chatrooms_api import Clock, picture
from tests.http.service_api import Api, Part, Person, open_api

FRONTS = (chatterstack.FRONT, chatrooms.FRONT, messenger.FRONT)
REFRESH = {
    "chatterstack": "/chatterstack/v1/auth/refresh",
    "chatrooms": "/chatrooms/auth/refresh",
    "messenger": "/messenger/api/auth/refresh",
}
PROTECTED = {
    "chatterstack": "/chatterstack/v1/rooms",
    "chatrooms": "/chatrooms/users/me",
    "messenger": "/messenger/api/groups",
}
DAY = 86_400
GRACE_S = 30


class Server:
    """All fronts over one engine, on a clock that stands still until it is moved."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.api = api
        self.clock = clock

    async def register(self, username: str = "ann") -> Person:
        """Somebody new, by the chatrooms front."""
        body = {"username": username, "email": f"{username}@example.org", "password": "secret-password"}
        made = await self.api.ask("POST", "/chatrooms/auth/register", json={**body, "display_name": "A"})
        assert made.status == 201, made.body
        data = made.json["data"]
        return Person(data["user"]["id"], username, data["access_token"], data["refresh_token"])

    async def refresh(self, front: str, token: str) -> dict[str, Any] | None:
        """What a refresh gives: None when it is refused."""
        answer = await self.api.ask("POST", REFRESH[front], json={"refresh_token": token})
        if answer.status == 401:
            return None
        assert answer.status == 200, answer.body
        given: dict[str, Any] = answer.json["data"] if front == "chatrooms" else answer.json
        return given

    async def good(self, front: str, access_token: str) -> bool:
        """Whether an access token is taken."""
        answer = await self.api.ask("GET", PROTECTED[front], headers={"authorization": f"Bearer {access_token}"})
        assert answer.status in (200, 401), answer.body
        return answer.status == 200

    async def link(self, person: Person) -> str:
        """A signed link to a file of that person's."""
        body = {"name": "tea", "is_private": True}
        room = (await self.api.ask("POST", "/chatrooms/chatrooms", as_=person, json=body)).json["data"]["chatroom"]
        parts = [Part("file", b"hello", "a.txt"), Part("chatroom_id", room["id"])]
        file = await self.api.ask("POST", "/chatrooms/upload/file", as_=person, parts=parts)
        return str(file.json["data"]["file"]["encrypted_url"])

    async def open(self, link: str) -> int:
        """The status of a link that is followed without a token."""
        path, _, query = link.partition("?")
        return (await self.api.ask("GET", path, query=query)).status


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    clock = Clock()
    blobs = await open_folder_blobs(tmp_path / "blobs")
    async with open_api(FRONTS, clock=clock, blobs=blobs, checked=True) as api:
        yield Server(api, clock)


# --- refreshing ---


async def test_a_token_used_again_within_half_a_minute_gives_the_same_successor_and_then_ends_its_log_in(
    server: Server,
) -> None:
    ann = await server.register()
    first = await server.refresh("chatterstack", ann.refresh_token)
    server.clock.now += GRACE_S
    again = await server.refresh("chatterstack", ann.refresh_token)
    assert first is not None
    assert again is not None
    assert again["refresh_token"] == first["refresh_token"] != ann.refresh_token
    for token in (ann.token, first["access_token"], again["access_token"]):
        assert await server.good("chatterstack", token)
    server.clock.now += 1
    assert await server.refresh("chatterstack", ann.refresh_token) is None
    assert await server.refresh("chatterstack", first["refresh_token"]) is None
    for token in (ann.token, first["access_token"], again["access_token"]):
        assert not await server.good("chatterstack", token)


@pytest.mark.parametrize("front", ["chatrooms", "messenger"])
async def test_where_a_refresh_gives_no_new_token_the_old_one_stays_good_for_its_seven_days(
    server: Server, front: str
) -> None:
    ann = await server.register()
    for _ in range(6):
        given = await server.refresh(front, ann.refresh_token)
        assert given is not None
        assert "refresh_token" not in given
        assert await server.good(front, given["access_token"])
        server.clock.now += DAY
    assert await server.refresh(front, ann.refresh_token) is not None
    server.clock.now += DAY
    assert await server.refresh(front, ann.refresh_token) is None


async def test_a_log_in_ends_after_ninety_days_on_every_front_and_its_last_access_token_with_it(server: Server) -> None:
    ann = await server.register()
    end, token = server.clock.now + 90 * DAY, ann.refresh_token
    for _ in range(14):
        server.clock.now += 6 * DAY
        given = await server.refresh("chatterstack", token)
        assert given is not None
        token = given["refresh_token"]
    server.clock.now = end - 600
    access_tokens = {}
    for front in FRONTS:
        given = await server.refresh(front.name, token)
        assert given is not None
        if front.name == "chatrooms":
            assert given["expires_in"] == 600
        if front.name == "chatterstack":
            token = given["refresh_token"]
        access_tokens[front.name] = given["access_token"]
    link = await server.link(Person(ann.id, "ann", access_tokens["chatrooms"], token))
    server.clock.now = end - 1
    for front_name, access_token in access_tokens.items():
        assert await server.good(front_name, access_token)
    assert await server.open(link) == 200
    server.clock.now = end
    for front_name, access_token in access_tokens.items():
        assert not await server.good(front_name, access_token)
        assert await server.refresh(front_name, token) is None
    assert await server.open(link) == 401


# --- signed links ---


async def test_a_signed_link_ends_with_the_log_in_that_asked_for_it(server: Server) -> None:
    ann = await server.register()
    body = {"username": "ann", "password": "secret-password"}
    opened = (await server.api.ask("POST", "/chatrooms/auth/login", json=body)).json["data"]
    phone = Person(ann.id, "ann", opened["access_token"], opened["refresh_token"])
    by_laptop, by_phone = await server.link(ann), await server.link(phone)
    assert [await server.open(link) for link in (by_laptop, by_phone)] == [200, 200]
    await server.api.ask("POST", "/chatrooms/auth/logout", as_=ann)
    assert [await server.open(link) for link in (by_laptop, by_phone)] == [401, 200]


async def test_every_way_to_end_a_log_in_ends_its_links_at_once(server: Server) -> None:
    accounts = server.api.engine.accounts
    for number, way in enumerate(("everywhere", "deactivated", "reuse", "messenger")):
        person = await server.register(f"person{number}")
        link = await server.link(person)
        user_id = server.api.tokens.verify(person.token).user_id
        assert await server.open(link) == 200
        if way == "everywhere":
            body = {"user_id": str(user_id)}
            await server.api.ask("POST", "/chatterstack/v1/auth/logout", as_=person, json=body)
        elif way == "deactivated":
            await accounts.set_active(user_id, False)
        elif way == "messenger":
            await server.api.ask("POST", "/messenger/api/auth/logout", as_=person)
        else:
            await server.refresh("chatterstack", person.refresh_token)
            server.clock.now += GRACE_S + 1
            await server.refresh("chatterstack", person.refresh_token)
        assert await server.open(link) == 401, way
        await accounts.set_active(user_id, True)
        assert await server.open(link) == 401, way


async def test_a_link_goes_on_when_its_log_in_is_refreshed(server: Server) -> None:
    ann = await server.register()
    link = await server.link(ann)
    await server.refresh("chatterstack", ann.refresh_token)
    server.clock.now += 1801  # the access token that asked for it is over
    assert not await server.good("chatrooms", ann.token)
    assert await server.open(link) == 200


async def test_a_link_cannot_be_moved_to_another_log_in(server: Server) -> None:
    ann, bob = await server.register(), await server.register("bob")
    link = await server.link(ann)
    claims, other = server.api.tokens.verify(ann.token), server.api.tokens.verify(bob.token)
    mine = f"login={IDS.encode(claims.family_id)}"
    assert mine in link
    for instead in (f"login={IDS.encode(other.family_id)}", "login=", "login=x", "log=in"):
        assert await server.open(link.replace(mine, instead)) == 401


async def test_an_avatar_stays_when_its_owner_logs_out(server: Server) -> None:
    ann = await server.register()
    parts = [Part("file", picture(), "a.png")]
    made = await server.api.ask("POST", "/chatrooms/users/me/avatar", as_=ann, parts=parts)
    url = made.json["data"]["avatar_url"]
    await server.api.ask("POST", "/chatrooms/auth/logout", as_=ann)
    assert await server.open(url) == 200
