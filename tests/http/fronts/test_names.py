"""Names, addresses and passwords on every front: what the rules in `engine/` say, few of each, through each door."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from chinwag.engine.model.store import InsertUser
from chinwag.engine.testing import make_user
from chinwag.http.fronts import chatrooms, chatterstack, messenger
from tests.http.service_api import Answer, Api, open_api

PASSWORD = "correct-horse"
FRONTS = ("chatterstack", "chatrooms", "messenger")
BASE = {"chatterstack": "/chatterstack/v1", "chatrooms": "/chatrooms", "messenger": "/messenger/api"}
LOGIN_FIELD = {"chatterstack": "email", "chatrooms": "username", "messenger": "username"}
CREATED = {"chatterstack": 201, "chatrooms": 201, "messenger": 200}
REFUSED = {"chatterstack": 400, "chatrooms": 422, "messenger": 400}
TAKEN = {"chatterstack": 409, "chatrooms": 409, "messenger": 400}
ROOMS = {"chatterstack": "/rooms", "chatrooms": "/chatrooms", "messenger": "/groups"}


class Doors:
    """One server, asked by each front's API in the same words."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def register(self, front: str, **fields: str) -> Answer:
        sent = {"username": "ann", "email": "ann@example.org", "password": PASSWORD, **fields}
        if front == "chatrooms":
            sent.setdefault("display_name", "Ann")
        return await self.api.ask("POST", f"{BASE[front]}/auth/register", json=sent)

    async def log_in(self, front: str, identifier: str, password: str = PASSWORD) -> Answer:
        sent = {LOGIN_FIELD[front]: identifier, "password": password}
        return await self.api.ask("POST", f"{BASE[front]}/auth/login", json=sent)

    async def token(self, front: str, identifier: str) -> Mapping[str, str]:
        answer = await self.log_in(front, identifier)
        assert answer.status == 200, answer.body
        opened = answer.json["data"] if front == "chatrooms" else answer.json
        return {"authorization": f"Bearer {opened['access_token']}"}

    async def make_room(self, front: str, headers: Mapping[str, str], name: str) -> Answer:
        sent: dict[str, object] = {"name": name, "is_private": True} if front == "chatrooms" else {"name": name}
        return await self.api.ask("POST", f"{BASE[front]}{ROOMS[front]}", headers=headers, json=sent)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with open_api((chatterstack.FRONT, chatrooms.FRONT, messenger.FRONT), checked=True) as api:
        yield Doors(api)


def room_name(front: str, answer: Answer) -> Any:
    body = answer.json
    return {
        "chatterstack": lambda: body["name"],
        "chatrooms": lambda: body["data"]["chatroom"]["name"],
        "messenger": lambda: body["group"]["name"],
    }[front]()


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("username", "\u3164\u3164\u3164"),
        ("username", "dora1\u200d"),
        ("username", "ann@example.org"),
        ("username", "+61412345678"),
        ("username", "0123456789abcdef01234567"),
        ("username", "\u202eann"),
        ("username", "  "),
        ("password", "correct\x07horse"),
        ("email", "ann"),
    ],
)
async def test_no_front_takes_a_name_that_is_not_its_own(doors: Doors, front: str, field: str, wrong: str) -> None:
    answer = await doors.register(front, **{field: wrong})
    assert answer.status == REFUSED[front], answer.body
    assert field in answer.body.decode()


@pytest.mark.parametrize("front", FRONTS)
async def test_a_name_is_one_however_it_is_composed_and_shown_as_it_was_typed(doors: Doors, front: str) -> None:
    first = await doors.register(front, username="Zo\u00e91", password="caf\u00e9 au lait")
    assert first.status == CREATED[front]
    for each in FRONTS:
        again = await doors.register(each, username="zoe\u03011", email="other@example.org")
        assert again.status == TAKEN[each]
        assert (await doors.log_in(each, "Zoe\u03011", "cafe\u0301 au\u00a0lait")).status == 200
    assert "Zo\u00e91" in first.body.decode()


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    "address",
    [
        "ann@localhost",
        "a@b.test",
        "x@printer.local",
        "u@nas.home.arpa",
        "ann@example",
        "ann@x.invalid",
        "ann@chat.internal",
        "ann@[192.168.0.7]",
    ],
)
async def test_addresses_of_a_local_network_register_and_log_in(doors: Doors, front: str, address: str) -> None:
    answer = await doors.register(front, email=address)
    assert answer.status == CREATED[front], answer.body
    assert (await doors.log_in(front, address.upper())).status == 200


@pytest.mark.parametrize("front", FRONTS)
async def test_domains_that_are_two_are_two_people(doors: Doors, front: str) -> None:
    for username, email in (("sharp", "ann@faß.de"), ("double", "ann@fass.de")):
        assert (await doors.register(front, username=username, email=email)).status == CREATED[front]
    assert (await doors.register(front, username="third", email="Ann@XN--FA-HIA.de")).status == TAKEN[front]
    for username, email in (("sharp", "ANN@FAß.de"), ("double", "ann@FASS.DE")):
        by = await doors.token("chatterstack", "double")
        found = await doors.api.ask("GET", "/chatterstack/v1/users", query={"email": email}, headers=by)
        assert found.json["username"] == username


@pytest.mark.parametrize("front", FRONTS)
async def test_a_username_with_an_at_sign_of_a_former_release_is_not_locked_out(doors: Doors, front: str) -> None:
    old = make_user(1, "ann@example.com", email="old@example.com")
    await doors.api.store.commit([InsertUser(user=old, password_hash="plain:old password")])
    assert (await doors.register(front, username="new", email="ann@example.com")).status == CREATED[front]
    for password, status in (("old password", 200), (PASSWORD, 200), ("wrong password", 401)):
        assert (await doors.log_in(front, "ann@example.com", password)).status == status


@pytest.mark.parametrize("front", FRONTS)
async def test_a_room_is_named_visibly_in_any_direction(doors: Doors, front: str) -> None:
    assert (await doors.register(front)).status == CREATED[front]
    headers = await doors.token(front, "ann")
    for name in ("שלום\u200f!", "\u2067abc\u2069", "می\u200cخواهم", "👨\u200d👩\u200d👧"):
        made = await doors.make_room(front, headers, name)
        assert made.status == 201, made.body
        assert room_name(front, made) == name
    for name in ("\u3164", "\u202eabc", "\u2067abc", "\u200b", "\u2800"):
        assert (await doors.make_room(front, headers, name)).status == REFUSED[front]


async def test_rooms_are_found_by_part_of_their_name_however_it_is_composed(doors: Doors) -> None:
    await doors.register("chatterstack")
    headers = await doors.token("chatterstack", "ann")
    for name in ("Re\u0301sume\u0301", "\u0130stanbul", "שלום\u200f!", "tea"):
        assert (await doors.make_room("chatterstack", headers, name)).status == 201
    for part, found in (("r\u00e9SUM", "R\u00e9sum\u00e9"), ("istanbul", "\u0130stanbul"), ("שלום!", "שלום\u200f!")):
        rooms = await doors.api.ask("GET", "/chatterstack/v1/rooms", query={"q": part}, headers=headers)
        listed = await doors.api.ask("GET", "/chatrooms/chatrooms", query={"search": part}, headers=headers)
        assert [each["name"] for each in rooms.json["rooms"]] == [found]
        assert [each["name"] for each in listed.json["data"]["chatrooms"]] == [found]
