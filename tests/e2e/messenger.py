"""A messenger client for the end-to-end tests, written from the API's documentation."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import trio

from tests.e2e.client import PASSWORD, Api, Json, Socket, api_of, unique
from tests.e2e.processes import LIMIT_S, Server

MESSAGE_FIELDS: Final = ["id", "sender_id", "conversation_id", "group_id", "content", "created_at"]


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody who has registered by the messenger's API, and is logged in. `id` is a UUID."""

    id: str
    username: str
    email: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class MessengerSocket(Socket):
    """A client's WebSocket. Who comes and goes is passed over: people share rooms with other tests."""

    async def say(self, content: str, **where: object) -> None:
        """Send a message to `conversation_id` or `group_id`."""
        await self.ws.send_message(json.dumps({"type": "message", "content": content, **where}))

    async def next(self) -> Json:
        while True:
            with trio.fail_after(LIMIT_S):
                frame: Json = json.loads(await self.ws.get_message())
            if frame["type"] not in ("presence", "presence_list"):
                return frame

    async def error(self) -> str:
        """The words of the next frame, which is an error."""
        frame = await self.next()
        assert frame["type"] == "error", frame
        return str(frame["message"])

    async def message(self) -> Json:
        """The next frame's data, which is a message."""
        frame = await self.next()
        assert list(frame) == ["type", "data"]
        assert frame["type"] == "message", frame
        data: Json = frame["data"]
        assert list(data)[:6] == MESSAGE_FIELDS
        return data

    async def texts(self, count: int) -> list[str]:
        """The contents of the next frames, which are messages."""
        return [(await self.message())["content"] for _ in range(count)]

    async def fence(self) -> list[Json]:
        """All that was sent to this socket up to now: an error of one's own making comes after it."""
        mark = unique("fence")
        await self.say("-", group_id="nowhere", client_id=mark)
        frames: list[Json] = []
        while (frame := await self.next()).get("client_id") != mark:
            frames.append(frame)
        return frames


class Messenger:
    """One server, as the messenger API's clients use it."""

    def __init__(self, server: Server, http: httpx2.AsyncClient, api: Api) -> None:
        self.server = server
        self.http = http
        self._api = api

    async def ask(self, method: str, path: str, *, as_: Contact | None = None, **more: Any) -> httpx2.Response:
        """One request below `/api`; `as_` sends that person's token."""
        headers = {} if as_ is None else as_.headers
        return await self.http.request(method, path, headers=headers, **more)

    async def do(self, method: str, path: str, as_: Contact | None = None, **more: Any) -> Json:
        """The same, of which the answer is a success."""
        answer = await self.ask(method, path, as_=as_, **more)
        assert answer.status_code in (200, 201), answer.text
        body: Json = answer.json()
        return body

    async def contact(self, word: str = "someone") -> Contact:
        """Register somebody new."""
        username = unique(word)
        sent = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        made = await self.do("POST", "/auth/register", json=sent)
        return Contact(made["user"]["id"], username, sent["email"], made["access_token"], made["refresh_token"])

    async def contacts(self, *words: str) -> list[Contact]:
        """Several."""
        return [await self.contact(word) for word in words]

    async def conversation(self, one: Contact, other: Contact) -> str:
        """The conversation of two; its id."""
        opened = await self.do("POST", "/conversations", one, json={"user_id": other.id})
        return str(opened["conversation"]["id"])

    async def group(self, creator: Contact, *others: Contact) -> str:
        """A new group; its id."""
        group_id = str((await self.do("POST", "/groups", creator, json={"name": "Team Chat"}))["group"]["id"])
        for other in others:
            await self.add(creator, group_id, other)
        return group_id

    async def add(self, creator: Contact, group_id: str, other: Contact) -> None:
        """Make somebody a member."""
        await self.do("POST", f"/groups/{group_id}/members", creator, json={"user_id": other.id})

    async def remove(self, caller: Contact, group_id: str, other: Contact) -> None:
        """Let somebody be a member no longer."""
        await self.do("DELETE", f"/groups/{group_id}/members/{other.id}", caller)

    async def post(self, author: Contact, where: str, content: str) -> Json:
        """Post to "/groups/ID" or "/conversations/ID"; the message as it is answered."""
        message: Json = (await self.do("POST", f"{where}/messages", author, json={"content": content}))["message"]
        return message

    @asynccontextmanager
    async def socket(self, person: Contact, **query: str) -> AsyncIterator[MessengerSocket]:
        """A WebSocket."""
        parameters = urlencode({"token": person.token, **query})
        async with self._api.open_socket(f"/messenger/ws?{parameters}") as socket:
            yield MessengerSocket(socket.ws)

    async def refused(self, query: Mapping[str, str]) -> tuple[int, str]:
        """Status and words with which a WebSocket is refused."""
        return await self._api.refused(f"/messenger/ws?{urlencode(query)}")


@asynccontextmanager
async def messenger_of(server: Server) -> AsyncIterator[Messenger]:
    """A client of a server."""
    base = f"{server.url}/messenger/api"
    options = server.listener.http_options
    async with (
        api_of(server) as api,
        httpx2.AsyncClient(base_url=base, timeout=LIMIT_S, **options) as http,
    ):
        yield Messenger(server, http, api)
