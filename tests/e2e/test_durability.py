"""Acknowledged means on disk: a real server is killed again and again while several clients send, by HTTP and socket.

After each restart every message that was acknowledged, or delivered to anybody, is there exactly once, in the order of
acknowledgement of its sender; and retrying all of them under the same keys, by the other transport, adds nothing.
"""

import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.e2e.client import Api, Json, Person, Socket, api_of
from tests.e2e.processes import CHINWAG, LIMIT_S, Server, serving
from tests.forks import environment

ROUNDS = 10
MOST_ACKNOWLEDGED = 120
"""Before a kill, by all senders together."""


@dataclass
class Sender:
    """One client, over all rounds. Its keys are numbered; its content is its key."""

    person: Person
    room: str
    by_socket: bool
    attempted: list[str] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Key and id, in the order of acknowledgement."""

    def next_key(self) -> str:
        key = f"{self.person.username}-{len(self.attempted)}"
        self.attempted.append(key)
        return key


class Doom:
    """Kills the server at a moment given by acknowledgements, and a little later."""

    def __init__(self, server: Server, after: int, delay_s: float) -> None:
        self.server = server
        self.left = after
        self.delay_s = delay_s
        self.time = trio.Event()

    def acknowledged(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.time.set()

    async def strike(self) -> None:
        await self.time.wait()
        await trio.sleep(self.delay_s)  # the clients go on meanwhile; a random moment is the point
        self.server.kill()


async def post_until_the_end(api: Api, sender: Sender, doom: Doom) -> None:
    """Post one message after the other."""
    async with api_of(api.server) as own:
        while True:
            key = sender.next_key()
            try:
                message = await own.post(sender.person, sender.room, key, key=key)
            except httpx2.TransportError:
                return
            sender.acknowledged[key] = message["id"]
            doom.acknowledged()


async def connect_and_send_until_the_end(
    api: Api, sender: Sender, delivered: dict[str, str], doom: Doom, seed: int
) -> None:
    """The end may also come before the connection, or in the middle of its handshake."""
    try:
        await send_until_the_end(api, sender, delivered, doom, seed)
    except* (ConnectionRefusedError, trio.BrokenResourceError):
        assert doom.time.is_set()


async def send_until_the_end(api: Api, sender: Sender, delivered: dict[str, str], doom: Doom, seed: int) -> None:
    """Send in bursts, without waiting for the answers, and note all that everybody in the room hears."""
    chance = random.Random(seed)
    async with api.socket(sender.person, sender.room) as socket:

        async def send() -> None:
            try:
                while True:
                    for _ in range(chance.randrange(1, 8)):
                        key = sender.next_key()
                        await socket.send("send_message", room_id=sender.room, content=key, client_id=key)
                    await socket.ws.ping()  # the server has read it all, and perhaps answered nothing yet
            except (ConnectionClosed, trio.BrokenResourceError):
                return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            try:
                while True:
                    message = await socket.expect("receive_message")
                    delivered[message["client_id"]] = message["id"]
                    if message["sender_id"] == sender.person.id:
                        sender.acknowledged[message["client_id"]] = message["id"]
                        doom.acknowledged()
            except ConnectionClosed:
                nursery.cancel_scope.cancel()


async def stored(api: Api, reader: Person, room: str) -> list[Json]:
    """A room's whole history, oldest first."""
    messages: list[Json] = []
    page = 1
    while chunk := await api.history(reader, room, page=page):
        messages += chunk
        page += 1
    return messages[::-1]


async def retry(api: Api, sender: Sender, keys: list[str], *, by_socket: bool) -> dict[str, str]:
    """Send messages again under their keys; the ids that are answered."""
    ids: dict[str, str] = {}
    if not by_socket:
        for key in keys:
            ids[key] = (await api.post(sender.person, sender.room, key, key=key))["id"]
        return ids
    async with api.socket(sender.person, sender.room) as socket, trio.open_nursery() as nursery:

        async def send(socket: Socket) -> None:
            for key in keys:
                await socket.send("send_message", room_id=sender.room, content=key, client_id=key)

        nursery.start_soon(send, socket)
        for _ in keys:
            message = await socket.expect("receive_message")
            ids[message["client_id"]] = message["id"]
    return ids


async def verify(api: Api, senders: list[Sender], delivered: dict[str, str], fresh: dict[str, list[str]]) -> None:
    """What must hold after a restart. `fresh` is each sender's keys of the last round: those are retried."""
    for room in {sender.room for sender in senders}:
        messages = await stored(api, senders[0].person, room)
        by_key = {message["client_id"]: message["id"] for message in messages}
        assert len(by_key) == len(messages), "a message is there twice"
        assert all(message["content"] == message["client_id"] for message in messages)
        ids = [int(message["id"]) for message in messages]
        assert ids == sorted(set(ids))
        for sender in (each for each in senders if each.room == room):
            mine = [message for message in messages if message["sender_id"] == sender.person.id]
            assert set(by_key) >= set(sender.acknowledged), "an acknowledged message is lost"
            found = {
                message["client_id"]: message["id"] for message in mine if message["client_id"] in sender.acknowledged
            }
            assert list(found.items()) == list(sender.acknowledged.items())
            keys = fresh[sender.person.id]
            answered = await retry(api, sender, keys, by_socket=not sender.by_socket)
            assert set(answered) == set(keys)
            assert all(answered[key] == by_key[key] for key in keys if key in by_key)
            sender.acknowledged.update(answered)
            sender.acknowledged = dict(sorted(sender.acknowledged.items(), key=lambda item: int(item[1])))
        again = await stored(api, senders[0].person, room)
        keys_there = [message["client_id"] for message in again]
        attempted = [key for sender in senders if sender.room == room for key in sender.attempted]
        assert sorted(keys_there) == sorted(attempted), "a retry added something, or nothing where nothing was"
        assert again[: len(messages)] == messages
        delivered_here = {key: found for key, found in delivered.items() if key in set(attempted)}
        assert delivered_here.items() <= {message["client_id"]: message["id"] for message in again}.items()


async def test_whatever_was_acknowledged_survives_kill_after_kill(tmp_path: Path) -> None:
    chance = random.Random(20250101)
    senders: list[Sender] = []
    delivered: dict[str, str] = {}
    fresh: dict[str, list[str]] = {}
    for number in range(ROUNDS + 1):
        with serving(tmp_path / "data") as server:
            async with api_of(server) as api:
                if number == 0:
                    people = [await api.person(name) for name in ("ann", "bob", "carl", "dora", "emil")]
                    rooms = [await api.room(*people, name=name) for name in ("one", "two")]
                    senders = [Sender(person, rooms[at % 2], at % 3 > 0) for at, person in enumerate(people)]
                else:
                    with trio.fail_after(LIMIT_S):
                        await verify(api, senders, delivered, fresh)
                if number == ROUNDS:
                    break
                before = {sender.person.id: len(sender.attempted) for sender in senders}
                doom = Doom(server, chance.randrange(1, MOST_ACKNOWLEDGED), chance.random() * 0.02)
                with trio.fail_after(LIMIT_S):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(doom.strike)
                        for sender in senders:
                            if sender.by_socket:
                                seed = chance.randrange(10**9)
                                nursery.start_soon(connect_and_send_until_the_end, api, sender, delivered, doom, seed)
                            else:
                                nursery.start_soon(post_until_the_end, api, sender, doom)
                fresh = {sender.person.id: sender.attempted[before[sender.person.id] :] for sender in senders}
    assert all(len(sender.acknowledged) > ROUNDS for sender in senders)
    assert any(sender.by_socket for sender in senders) and not all(sender.by_socket for sender in senders)


@pytest.mark.parametrize("seed", range(2))
async def test_a_server_that_is_killed_while_it_starts_starts_again(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    command = [CHINWAG, "serve", "--bind", "127.0.0.1:0", "--data", str(tmp_path / "data")]
    for _ in range(4):
        process = await trio.lowlevel.open_process(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        )
        await trio.sleep(0.25 + chance.random() * 0.4)
        process.kill()
        await process.wait()
    with serving(tmp_path / "data") as server:
        async with api_of(server) as api:
            ann = await api.person("ann")
            assert (await api.post(ann, await api.room(ann), "hello"))["content"] == "hello"
