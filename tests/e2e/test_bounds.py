"""Bounds that hold on every listener: sockets per user and address, and whose address it is behind a proxy."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.client import Api, Person, api_of
from tests.e2e.hostile import handshake, head_of_answer, raw
from tests.e2e.listeners import OVER_TLS_TOO, Listener
from tests.e2e.processes import serving

pytestmark = OVER_TLS_TOO
OPTIONS = ("--sockets-per-user", "2", "--sockets-per-address", "3", "--trusted-proxy", "127.0.0.1")
GUEST = "192.0.2.7"
"""An address from which the tests' proxy says that somebody comes."""


@pytest.fixture
async def bounded(listener: Listener, tmp_path: Path) -> AsyncIterator[Api]:
    """Two sockets of a user, three from an address, and whoever is on this machine is a proxy."""
    with serving(tmp_path / "data", *OPTIONS, listener=listener) as server:
        async with api_of(server) as api:
            yield api


def upgrade(person: Person, room: str, client: str = GUEST) -> tuple[str, list[tuple[str, str]]]:
    return f"/ws?room_id={room}&access_token={person.token}", [("X-Forwarded-For", client)]


async def refused(api: Api, person: Person, room: str, client: str = GUEST) -> bool:
    """Whether one socket more is too many."""
    target, headers = upgrade(person, room, client)
    status, words = await api.refused(target, headers)
    assert (status, "connections" in words) == (429, True)
    return True


async def test_sockets_are_bounded_and_a_place_is_free_after_every_end(bounded: Api) -> None:
    ann, bob, cat = [await bounded.person(name) for name in ("ann", "bob", "cat")]
    room = await bounded.room(ann, bob, cat)
    async with AsyncExitStack() as stack:
        for person in (ann, ann, bob):
            await stack.enter_async_context(bounded.open_socket(*upgrade(person, room)))
        assert await refused(bounded, ann, room, "192.0.2.8")  # of the user
        assert await refused(bounded, cat, room)  # from the address
        async with bounded.open_socket(*upgrade(cat, room, "192.0.2.8")) as elsewhere:
            assert await elsewhere.fence() == []
    await bounded.all_gone()  # said goodbye
    for end in ("reset", "nonsense", "log out"):
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(raw(bounded.server)) for _ in range(2)]
            for stream in streams:
                await stream.send_all(handshake(bob, room, more=f"X-Forwarded-For: {GUEST}\r\n"))
                await head_of_answer(stream)
            assert await refused(bounded, bob, room)
            if end == "log out":
                await bounded.ask("POST", "/auth/logout", as_=bob, json={"user_id": bob.id})
            elif end == "nonsense":
                for stream in streams:
                    await stream.send_all(b"\xff" * 8)
            if end != "reset":
                for stream in streams:
                    await stream.receive_some()  # the goodbye; who never leaves after it is the slow readers' matter
        await bounded.all_gone()
        bob = await log_in(bounded, bob)
    async with bounded.open_socket(*upgrade(bob, room)) as first, bounded.open_socket(*upgrade(bob, room)) as second:
        assert [await first.fence(), await second.fence()] == [[], []]


async def log_in(api: Api, person: Person) -> Person:
    opened = await api.ask("POST", "/auth/login", json={"email": person.email, "password": "correct-horse"})
    assert opened.status_code == 200
    return Person(person.id, person.username, person.email, opened.json()["access_token"], "")
