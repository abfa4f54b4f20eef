"""All fronts over one engine, and a room that each of them knows: for what is promised of every front."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.connections.in_process import InProcessTransport
from chinwag.engine.connections.session import Session
from chinwag.engine.testing.harness import keep_open
from chinwag.http.api.front import Front, SocketEndpoint
from chinwag.http.fronts import chatrooms, chatterstack, messenger
from chinwag.http.kit.links import Links
from chinwag.http.kit.uuid_ids import IDS
from chinwag.persistence import open_folder_blobs
from tests.http.fronts.chatrooms_api import Clock
from tests.http.service_api import Answer, Api, Part, Person, open_api

FRONTS = (chatterstack.FRONT, chatrooms.FRONT, messenger.FRONT)
BASES = {"chatterstack": "/chatterstack/v1", "chatrooms": "/chatrooms", "messenger": "/messenger/api"}
PASSWORD = "secret-password"


def decimal(uuid: str) -> str:
    """An id of the other fronts as ChatterStack has it."""
    return str(IDS.decode(uuid))


class World:
    """Ann and Bob are in a room; Ann owns it. Carol is a stranger."""

    def __init__(self, api: Api, clock: Clock, people: dict[str, Person], room: str, conversation: str) -> None:
        self.api = api
        self.clock = clock
        self.ann, self.bob, self.carol = people["ann"], people["bob"], people["carol"]
        self.room = room
        """A UUID, as all ids of people and rooms here."""
        self.conversation = conversation
        """Of Ann and Bob."""
        self._endpoints = {front.name: front.socket(Links()) for front in FRONTS if front.socket is not None}

    async def ask(self, front: str, method: str, path: str, *, as_: Person | None = None, **more: Any) -> Answer:
        """A request below a front's base, by Ann. `{room}` and the like in the path and in JSON are filled in."""
        if "json" in more:
            more["json"] = self.filled(front, more["json"])
        below = self.filled(front, path)
        return await self.api.ask(method, BASES[front] + below, as_=as_ or self.ann, **more)

    def ids(self, front: str) -> dict[str, str]:
        """What stands for names in braces."""
        ids = {
            "room": self.room,
            "conversation": self.conversation,
            "ann": self.ann.id,
            "bob": self.bob.id,
            "carol": self.carol.id,
        }
        return {name: decimal(each) for name, each in ids.items()} if front == "chatterstack" else ids

    def filled(self, front: str, value: Any) -> Any:
        """JSON with the front's ids in place of their names."""
        if isinstance(value, str):
            for name, each in self.ids(front).items():
                value = value.replace(f"{{{name}}}", each)
            return value
        if isinstance(value, list):
            return [self.filled(front, each) for each in value]
        if isinstance(value, dict):
            return {self.filled(front, key): self.filled(front, each) for key, each in value.items()}
        return value

    async def texts(self) -> list[str]:
        """What was posted to the room, oldest first, as ChatterStack shows it."""
        answer = await self.ask("chatterstack", "GET", "/rooms/{room}/messages", query="limit=1000")
        return [message["content"] for message in reversed(answer.json["messages"])]

    async def upload(self, name: str = "tea.txt") -> str:
        """A file of Ann's for the room; its id."""
        parts = [Part("file", b"hello", name), Part("chatroom_id", self.room)]
        answer = await self.ask("chatrooms", "POST", "/upload/file", parts=parts)
        assert answer.status == 201, answer.body
        return str(answer.json["data"]["file"]["id"])

    @asynccontextmanager
    async def socket(self, front: Front, *, as_: Person | None = None, query: str = "") -> AsyncIterator["FrontSocket"]:
        """A socket of a front, without a network. ChatterStack's hears of the room."""
        endpoint = self._endpoints[front.name]
        if front.name == "chatterstack":
            query = f"room_id={decimal(self.room)}&{query}"
        request = self.api.socket_request(endpoint, (as_ or self.ann).token, query=query)
        admitted = await endpoint.admit(self.api.engine, request)
        transport = InProcessTransport()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_open, self.api.engine, admitted, transport, endpoint.greeting(admitted))
            opened = FrontSocket(self, front.name, endpoint, admitted.session, transport)
            await wait_all_tasks_blocked()
            yield opened
            transport.abort()


class FrontSocket:
    """What a client sees of a socket."""

    def __init__(
        self, world: World, front: str, endpoint: SocketEndpoint, session: Session, transport: InProcessTransport
    ) -> None:
        self._world = world
        self._front = front
        self._endpoint = endpoint
        self._session = session
        self._transport = transport

    async def say(self, frame: Any) -> list[Any]:
        """Send a frame (JSON, or a text as it is); all that came until nothing more happens."""
        if not isinstance(frame, str):
            frame = msgspec.json.encode(self._world.filled(self._front, frame)).decode()
        waiting = self._endpoint.receive(self._world.api.engine, self._session, frame)
        if waiting is not None:
            await waiting
        return await self.heard()

    async def heard(self) -> list[Any]:
        """The frames that came since the last look."""
        await wait_all_tasks_blocked()
        return [msgspec.json.decode(line) for line in self._transport.take().splitlines()]


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """Run a server within the block."""
    clock = Clock()
    blobs = await open_folder_blobs(folder / "blobs")
    async with open_api(FRONTS, clock=clock, blobs=blobs, checked=True) as api:
        people = {}
        for name in ("ann", "bob", "carol"):
            body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "display_name": name}
            made = await api.ask("POST", "/chatrooms/auth/register", json=body)
            data = made.json["data"]
            people[name] = Person(data["user"]["id"], name, data["access_token"], data["refresh_token"])
        ann, bob = people["ann"], people["bob"]
        group = await api.ask("POST", "/messenger/api/groups", as_=ann, json={"name": "tea", "members": [bob.id]})
        opened = await api.ask("POST", "/messenger/api/conversations", as_=ann, json={"user_id": bob.id})
        yield World(api, clock, people, group.json["group"]["id"], opened.json["conversation"]["id"])
