"""All fronts over one engine, in this process: requests as their clients make them, and their sockets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.connections.in_process import InProcessTransport
from chinwag.engine.connections.session import Session
from chinwag.engine.testing.harness import keep_open
from chinwag.http.api.front import Front, SocketEndpoint
from chinwag.http.fronts.chatrooms import FRONT as CHATROOMS
from chinwag.http.fronts.chatterstack import FRONT as CHATTERSTACK
from chinwag.http.fronts.messenger import FRONT as MESSENGER
from chinwag.http.kit.links import Links
from chinwag.http.kit.uuid_ids import IDS
from tests.http.service_api import Answer, Api, Person, open_api

FRONTS = {front.name: front for front in (CHATTERSTACK, CHATROOMS, MESSENGER)}


class SocketClient:
    """The far end of one front's socket."""

    def __init__(self, api: Api, endpoint: SocketEndpoint, session: Session, transport: InProcessTransport) -> None:
        self._api = api
        self._endpoint = endpoint
        self._session = session
        self._transport = transport

    async def send(self, message: object) -> None:
        """Send a frame, and let everything come of it."""
        waiting = self._endpoint.receive(self._api.engine, self._session, msgspec.json.encode(message).decode())
        if waiting is not None:
            await waiting
        await wait_all_tasks_blocked()

    async def heard(self) -> list[Any]:
        """The frames that came since the last look."""
        await wait_all_tasks_blocked()
        return [msgspec.json.decode(line) for line in self._transport.take().splitlines()]

    async def names(self) -> list[str]:
        """What those frames are called."""
        return [frame.get("event") or frame["type"] for frame in await self.heard()]

    async def leave(self) -> None:
        """Break the connection."""
        self._transport.abort()
        await wait_all_tasks_blocked()


class Together:
    """One server with all fronts. Ids are UUIDs where nothing else is said."""

    def __init__(self, api: Api, nursery: trio.Nursery) -> None:
        self.api = api
        self._nursery = nursery

    async def ask(self, front: str, method: str, path: str, *, as_: Person, json: Any = msgspec.UNSET) -> Answer:
        """A request to one of the fronts, at its own path."""
        return await self.api.ask(method, path, as_=as_, json=json, host=f"{front}.localhost")

    async def person(self, username: str) -> Person:
        """Somebody who has registered. Their token is good on every front."""
        body = {"username": username, "email": f"{username}@example.org", "password": "correct-horse"}
        made = await self.api.ask(
            "POST", "/auth/register", json={**body, "display_name": username}, host="chatrooms.localhost"
        )
        assert made.status == 201, made.body
        data = made.json["data"]
        return Person(data["user"]["id"], username, data["access_token"], data["refresh_token"])

    async def people(self, *usernames: str) -> list[Person]:
        """Several of them."""
        return [await self.person(username) for username in usernames]

    async def direct(self, one: Person, other: Person) -> str:
        """Open the direct room of two."""
        opened = await self.ask("messenger", "POST", "/api/conversations", as_=one, json={"user_id": other.id})
        assert opened.status == 200, opened.body
        return str(opened.json["conversation"]["id"])

    async def group(self, owner: Person, *others: Person, **settings: object) -> str:
        """A public chatroom that the others have joined."""
        body = {"name": "tea", "is_private": False, **settings}
        made = await self.ask("chatrooms", "POST", "/chatrooms", as_=owner, json=body)
        room = str(made.json["data"]["chatroom"]["id"])
        for other in others:
            joined = await self.ask("chatrooms", "POST", f"/chatrooms/{room}/join", as_=other)
            assert joined.status == 200, joined.body
        return room

    async def post(self, front: str, author: Person, room: str, text: str, *, direct: bool = False) -> str:
        """Post a message over HTTP; its id."""
        match front:
            case "chatterstack":
                made = await self.ask(
                    front, "POST", f"/v1/rooms/{number(room)}/messages", as_=author, json={"content": text}
                )
            case "chatrooms":
                content = {"content": {"encrypted_data": text}}
                made = await self.ask(front, "POST", f"/chatrooms/{room}/messages", as_=author, json=content)
            case _:
                kind = "conversations" if direct else "groups"
                made = await self.ask(front, "POST", f"/api/{kind}/{room}/messages", as_=author, json={"content": text})
        assert made.status == 201, made.body
        return str(made.json["data"]["message"]["id"] if front == "chatrooms" else _message(made)["id"])

    async def say(self, front: str, socket: SocketClient, room: str, text: str, *, direct: bool = False) -> None:
        """Post a message by a front's socket."""
        match front:
            case "chatterstack":
                await socket.send({"event": "send_message", "data": {"room_id": number(room), "content": text}})
            case "chatrooms":
                data = {"chatroom_id": room, "content": {"encrypted_data": text}}
                await socket.send({"event": "send_message", "data": data})
            case _:
                place = {"conversation_id": room} if direct else {"group_id": room}
                await socket.send({"type": "message", "content": text, **place})

    async def socket(self, front: str, person: Person, *rooms: str) -> SocketClient:
        """Connect somebody. The rooms are those that the front's socket has to be told of."""
        endpoint = _endpoint(FRONTS[front])
        query = "&".join(f"room_id={number(room)}" for room in rooms) if front == "chatterstack" else ""
        request = self.api.socket_request(endpoint, person.token, query=query)
        admitted = await endpoint.admit(self.api.engine, request)
        transport = InProcessTransport()
        self._nursery.start_soon(keep_open, self.api.engine, admitted, transport)
        client = SocketClient(self.api, endpoint, admitted.session, transport)
        await wait_all_tasks_blocked()
        if front == "chatrooms":
            for room in rooms:
                await client.send({"event": "join_chatroom", "data": {"chatroom_id": room}})
            await client.heard()
        return client

    async def unread(self, viewer: Person) -> dict[str, int]:
        """The viewer's rooms, and how many messages are unread in each, as chatrooms lists them."""
        listed = await self.ask("chatrooms", "GET", "/chatrooms", as_=viewer)
        return {each["id"]: each["unread_count"] for each in listed.json["data"]["chatrooms"]}


def number(uuid: str) -> str:
    """An id as ChatterStack writes it."""
    decoded = IDS.decode(uuid)
    assert decoded is not None
    return str(decoded)


def _message(answer: Answer) -> Any:
    """The message in an answer of ChatterStack or the messenger."""
    return answer.json.get("message", answer.json)


def _endpoint(front: Front) -> SocketEndpoint:
    assert front.socket is not None
    return front.socket(Links())


@asynccontextmanager
async def open_together(fronts: Sequence[Front] = tuple(FRONTS.values())) -> AsyncIterator[Together]:
    """Run a server with all fronts within the block; every answer is held to its front's document."""
    async with open_api(fronts, checked=True) as api, trio.open_nursery() as nursery:
        yield Together(api, nursery)
        nursery.cancel_scope.cancel()
