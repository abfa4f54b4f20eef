"""A chatrooms client for the end-to-end tests, written from the API's documentation."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import trio

from tests.e2e.client import PASSWORD, Api, Json, Person, Socket, base_url_of, unique
from tests.e2e.processes import LIMIT_S, Server

CONTENT_FIELDS: Final = {"encrypted_data", "iv", "key_version"}
MESSAGE_FIELDS: Final = {
    *("id", "chatroom_id", "user_id", "username", "display_name", "avatar_url", "content", "message_type"),
    *("reply_to", "attachments", "reactions", "edited_at", "created_at"),
}
PRESENCE: Final = ("user_online", "user_offline")


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who has registered by the chatrooms API, and is logged in. `id` is a UUID."""

    id: str
    username: str
    email: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def plain(text: str) -> Json:
    """A message's content, not encrypted."""
    return {"encrypted_data": text, "iv": "", "key_version": 0}


class ChatroomsSocket(Socket):
    """A client's WebSocket. Who comes and goes is passed over unless asked for: people share rooms with other tests."""

    presence = False

    async def next(self) -> Json:
        while (event := await super().next())["event"] in PRESENCE and not self.presence:
            pass
        return event

    async def join(self, *rooms: str) -> None:
        """Hear of chatrooms from now on."""
        for room in rooms:
            await self.send("join_chatroom", chatroom_id=room)
            assert await self.expect("chatroom_joined") == {"chatroom_id": room}

    async def say(self, room: str, text: str, **more: object) -> None:
        """Send plain text."""
        await self.send("send_message", chatroom_id=room, content=plain(text), **more)

    async def messages(self, count: int) -> list[Json]:
        received: list[Json] = [(await self.expect("message_received"))["message"] for _ in range(count)]
        return received

    async def refused(self) -> Json:
        """The next event, an error; the socket is still of use."""
        error = await self.expect("error")
        assert set(error) == {"code", "message", "details"} and error["message"], error
        return error

    async def fence(self) -> list[Json]:
        mark = unique("fence")
        await self.say("no chatroom", "-", client_id=mark)
        events: list[Json] = []
        while (event := await self.next())["data"].get("details", {}).get("client_id") != mark:
            events.append(event)
        return events


class Chatrooms:
    """One server, as the chatrooms API's clients use it."""

    def __init__(self, server: Server, http: httpx2.AsyncClient, chatterstack: Api) -> None:
        self.server = server
        self.http = http
        self.chatterstack = chatterstack

    async def ask(
        self,
        method: str,
        path: str,
        *,
        as_: Guest | None = None,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        """One request below the API's root; `as_` sends that guest's token, `more` is for the HTTP client."""
        sent = {**(as_.headers if as_ is not None else {}), **(headers or {})}
        return await self.http.request(method, path, json=json, params=params, headers=sent, **more)

    async def get(self, path: str, as_: Guest, **params: str | int) -> Any:
        """The data of a successful GET."""
        return data_of(await self.ask("GET", path, as_=as_, params=params))

    async def do(self, method: str, path: str, as_: Guest, json: object = None) -> Any:
        """The data of a successful request, None where there is none."""
        answer = await self.ask(method, path, as_=as_, json=json)
        return data_of(answer) if "data" in answer.json() else done(answer)

    async def guest(self, word: str = "guest", **profile: str) -> Guest:
        """Register somebody new."""
        username = unique(word)
        email = f"{username}@example.org"
        body = {"username": username, "email": email, "password": PASSWORD, "display_name": word.title(), **profile}
        data = data_of(await self.ask("POST", "/auth/register", json=body), 201)
        return Guest(data["user"]["id"], username, email, data["access_token"])

    async def guests(self, *words: str) -> list[Guest]:
        """Several, at once."""
        found: dict[int, Guest] = {}

        async def register(at: int, word: str) -> None:
            found[at] = await self.guest(word)

        async with trio.open_nursery() as nursery:
            for at, word in enumerate(words):
                nursery.start_soon(register, at, word)
        return [found[at] for at in range(len(words))]

    async def room(self, owner: Guest, *others: Guest, **settings: object) -> str:
        """Make a public chatroom that the others have joined; its id."""
        body = {"name": "tea", "is_private": False, **settings}
        room = data_of(await self.ask("POST", "/chatrooms", as_=owner, json=body), 201)["chatroom"]["id"]
        for other in others:
            data_of(await self.ask("POST", f"/chatrooms/{room}/join", as_=other))
        return str(room)

    async def post(self, author: Guest, room: str, text: str, **more: object) -> Json:
        """Post plain text; the message."""
        body = {"content": plain(text), **more}
        return message_of(await self.ask("POST", f"/chatrooms/{room}/messages", as_=author, json=body), 201)

    async def history(self, reader: Guest, room: str) -> list[Json]:
        """All messages of a chatroom, oldest first, those of type system included."""
        messages: list[Json] = []
        page = 1
        while True:
            data = await self.get(f"/chatrooms/{room}/messages", reader, page=page, limit=100)
            messages += data["messages"]
            if not data["pagination"]["has_more"]:
                return messages[::-1]
            page += 1

    async def elsewhere(self, guest: Guest) -> Person:
        """The same user with the same log-in, for ChatterStack's API."""
        found = await self.chatterstack.ask("GET", "/users", params={"email": guest.email}, headers=guest.headers)
        assert found.status_code == 200, found.text
        return Person(found.json()["id"], guest.username, guest.email, guest.token, "")

    async def number(self, room: str, member: Guest) -> str:
        """The id of a chatroom in ChatterStack's API, by its name, which no other has."""
        name = (await self.get(f"/chatrooms/{room}", member))["chatroom"]["name"]
        listed = await self.chatterstack.ask("GET", "/rooms", headers=member.headers)
        assert listed.status_code == 200, listed.text
        [number] = [each["id"] for each in listed.json()["rooms"] if each["name"] == name]
        return str(number)

    @asynccontextmanager
    async def socket(
        self, guest: Guest, *rooms: str, since: str | None = None, presence: bool = False
    ) -> AsyncIterator[ChatroomsSocket]:
        """A WebSocket that has joined some rooms."""
        query = {"token": guest.token} | ({} if since is None else {"since": since})
        async with self.chatterstack.open_socket(f"/chatrooms/ws?{urlencode(query)}") as opened:
            socket = ChatroomsSocket(opened.ws)
            connected = await socket.expect("connected")
            assert (connected["user_id"], connected["username"]) == (guest.id, guest.username)
            await socket.join(*rooms)
            socket.presence = presence
            yield socket


@asynccontextmanager
async def chatrooms_of(server: Server) -> AsyncIterator[Chatrooms]:
    """A client of a server."""
    options = server.listener.http_options
    async with (
        httpx2.AsyncClient(base_url=base_url_of(server), timeout=LIMIT_S, **options) as first,
        httpx2.AsyncClient(base_url=f"{server.url}/chatrooms", timeout=LIMIT_S, **options) as second,
    ):
        yield Chatrooms(server, second, Api(server, first))


def data_of(answer: httpx2.Response, status: int = 200) -> Any:
    """What a successful answer is about."""
    assert answer.status_code == status or (status == 200 and answer.status_code == 201), answer.text
    body = answer.json()
    assert set(body) == {"success", "data", "message"} and body["success"] is True, body
    return body["data"]


def done(answer: httpx2.Response) -> None:
    """It worked, and there is nothing to tell."""
    assert answer.status_code in (200, 201), answer.text
    body = answer.json()
    assert set(body) == {"success", "message"} and body["success"] is True, body


def message_of(answer: httpx2.Response, status: int = 200) -> Json:
    """The message that an answer holds."""
    message: Json = data_of(answer, status)["message"]
    assert set(message) - {"client_id"} == MESSAGE_FIELDS and set(message["content"]) == CONTENT_FIELDS, message
    return message


def code_of(answer: httpx2.Response) -> str:
    """The code of an error."""
    body = answer.json()
    assert set(body) == {"success", "error"} and body["success"] is False, body
    assert set(body["error"]) == {"code", "message", "details"} and body["error"]["message"], body
    return str(body["error"]["code"])
