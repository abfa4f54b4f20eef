"""A ChatterStack client for the end-to-end tests: HTTP by httpx2, WebSockets by trio-websocket, raw sockets."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlencode

import httpx2
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.e2e.listeners import Stream
from tests.e2e.processes import LIMIT_S, Server

PASSWORD: Final = "correct-horse"
USER_FIELDS: Final = {"id", "username", "email", "status", "created_at"}
ROOM_FIELDS: Final = {"id", "name", "is_group", "description", "created_by", "created_at"}
MEMBER_FIELDS: Final = {"user_id", "username", "role", "joined_at"}
MESSAGE_FIELDS: Final = {
    *("id", "room_id", "sender_id", "username", "content", "attachments", "status", "created_at", "updated_at")
}

Json = dict[str, Any]
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has registered and logged in."""

    id: str
    username: str
    email: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def unique(word: str) -> str:
    """A name that no other test has used."""
    return f"{word}{next(_numbers)}"


def prefix_of(server: Server) -> str:
    """Where ChatterStack's own paths begin."""
    return "/chatterstack" if server.has_several_fronts else ""


def base_url_of(server: Server) -> str:
    """Of ChatterStack's endpoints."""
    return f"{server.url}{prefix_of(server)}/v1"


def join(server: Server, word: str) -> Person:
    """Register and log in, from code that is not async."""
    username = unique(word)
    email = f"{username}@example.org"
    with httpx2.Client(base_url=base_url_of(server), timeout=LIMIT_S, **server.listener.http_options) as http:
        registered = http.post("/auth/register", json={"username": username, "email": email, "password": PASSWORD})
        assert registered.status_code == 201, registered.text
        opened = http.post("/auth/login", json={"email": email, "password": PASSWORD})
        assert opened.status_code == 200, opened.text
    return Person(
        registered.json()["id"], username, email, opened.json()["access_token"], opened.json()["refresh_token"]
    )


class Socket:
    """A client's WebSocket."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws

    async def send(self, event: str, **data: object) -> None:
        """Send an event."""
        await self.ws.send_message(json.dumps({"event": event, "data": data}))

    async def next(self) -> Json:
        """The next event, whatever it is. Raises ConnectionClosed."""
        with trio.fail_after(LIMIT_S):
            text = await self.ws.get_message()
        event: Json = json.loads(text)
        assert set(event) == {"event", "data"}
        return event

    async def expect(self, name: str) -> Json:
        """The data of the next event, which has this name."""
        event = await self.next()
        assert event["event"] == name, event
        data: Json = event["data"]
        return data

    async def messages(self, count: int) -> list[Json]:
        """The next events, which are this many messages."""
        return [await self.expect("receive_message") for _ in range(count)]

    async def fence(self) -> list[Json]:
        """All that was sent to this socket up to now: an error of one's own making comes after it."""
        mark = unique("fence")
        await self.send("send_message", room_id="0", content="-", client_id=mark)
        events: list[Json] = []
        while (event := await self.next())["data"].get("client_id") != mark:
            events.append(event)
        return events

    async def closed(self) -> int:
        """Read on until the server closes; the close code."""
        try:
            while True:
                await self.next()
        except ConnectionClosed as closed:
            assert closed.reason is not None
            code: int = closed.reason.code
            return code


class WatchedStream(trio.abc.Stream):
    """A stream that cancels a scope at its end: trio-websocket waits for ever for an answer that breaks off."""

    def __init__(self, stream: Stream) -> None:
        self.until_it_ends = trio.CancelScope()
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = b""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        finally:
            if not data:
                self.until_it_ends.cancel()
        return data

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


@asynccontextmanager
async def closing(stream: Stream) -> AsyncIterator[Stream]:
    """Close a connection at the end, at once: TLS would say goodbye first, also to who does not read any more."""
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


class Api:
    """One server, as ChatterStack's clients use it."""

    def __init__(self, server: Server, http: httpx2.AsyncClient) -> None:
        self.server = server
        self.http = http
        self.prefix = prefix_of(server)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        as_: Person | None = None,
        json: object = None,
        content: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """One request below `/v1`; `as_` sends that person's token."""
        sent = {**(as_.headers if as_ is not None else {}), **(headers or {})}
        return await self.http.request(method, path, json=json, content=content, params=params, headers=sent)

    async def person(self, word: str = "someone") -> Person:
        """Register and log in somebody new."""
        return await trio.to_thread.run_sync(join, self.server, word)

    async def room(self, admin: Person, *others: Person, name: str = "tea") -> str:
        """Make a group; its id."""
        members = [other.id for other in others]
        made = await self.ask("POST", "/rooms", as_=admin, json={"name": name, "is_group": True, "member_ids": members})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def post(self, author: Person, room: str, content: str, *, key: str | None = None) -> Json:
        """Post a message; its wire form."""
        headers = {} if key is None else {"Idempotency-Key": key}
        posted = await self.ask(
            "POST", f"/rooms/{room}/messages", as_=author, json={"content": content}, headers=headers
        )
        assert posted.status_code == 201, posted.text
        message: Json = posted.json()
        return message

    async def history(self, reader: Person, room: str, **params: str | int) -> list[Json]:
        """One page, newest first, of up to a thousand messages."""
        answer = await self.ask("GET", f"/rooms/{room}/messages", as_=reader, params={"limit": 1000, **params})
        assert answer.status_code == 200, answer.text
        messages: list[Json] = answer.json()["messages"]
        return messages

    async def texts(self, reader: Person, room: str, **params: str | int) -> list[str]:
        """The same, contents alone."""
        return [message["content"] for message in await self.history(reader, room, **params)]

    async def metric(self, name: str) -> float:
        """A number of `/metrics` without labels, 0 when it is not there."""
        answer = await self.http.get(f"{self.server.url}/metrics")
        lines = [line.split() for line in answer.text.splitlines()]
        return next((float(line[1]) for line in lines if line and line[0] == name), 0.0)

    async def metric_reaches(self, name: str, least: float) -> float:
        """Wait for a metric to be at least so much; what it is then."""
        with trio.fail_after(LIMIT_S):
            while (value := await self.metric(name)) < least:  # noqa: ASYNC110 - in another process
                await trio.sleep(0.02)
        return value

    async def all_gone(self) -> None:
        """Wait until no session is left. Nothing waits for one then, either."""
        with trio.fail_after(LIMIT_S):
            while await self.metric("chinwag_connections"):  # noqa: ASYNC110 - in another process
                await trio.sleep(0.02)
        assert await self.metric("chinwag_outbox_bytes") == 0

    async def healthy(self) -> bool:
        """Whether the server says that all is well."""
        return (await self.http.get(f"{self.server.url}/healthz")).status_code == 200

    @asynccontextmanager
    async def socket(
        self, person: Person, *rooms: str, since: str | None = None, in_query: bool = False
    ) -> AsyncIterator[Socket]:
        """A WebSocket in some rooms."""
        query = [("room_id", room) for room in rooms]
        if since is not None:
            query.append(("since", since))
        if in_query:
            query.append(("access_token", person.token))
        headers = [] if in_query else [("Authorization", f"Bearer {person.token}")]
        async with self.open_socket(f"{self.prefix}/ws?{urlencode(query)}", headers) as socket:
            yield socket

    @asynccontextmanager
    async def open_socket(
        self, target: str, headers: Sequence[tuple[str, str]] = (), *, host: str | None = None
    ) -> AsyncIterator[Socket]:
        """A WebSocket at any target of the server."""
        # The stream is ours, since trio-websocket leaves it open when the server was the one to close.
        async with closing(await self.server.connect()) as stream, trio.open_nursery() as nursery:
            watched = WatchedStream(stream)
            with trio.fail_after(LIMIT_S), watched.until_it_ends:
                ws = await wrap_client_stream(
                    nursery,
                    cast("trio.SocketStream", watched),  # any stream will do
                    host or f"127.0.0.1:{self.server.port}",
                    target,
                    extra_headers=[(name.encode(), value.encode()) for name, value in headers],
                )
            if watched.until_it_ends.cancelled_caught:
                raise trio.BrokenResourceError("the server left in the middle of the handshake")
            try:
                yield Socket(ws)
            finally:
                with trio.move_on_after(LIMIT_S):
                    await ws.aclose()
                nursery.cancel_scope.cancel()

    async def refused(self, target: str, headers: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
        """Status and words with which a WebSocket is refused."""
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        # On a connection of its own.
        async with httpx2.AsyncClient(timeout=LIMIT_S, **self.server.listener.http1_options) as http:
            answer = await http.get(self.server.url + target, headers={**handshake, **dict(headers)})
        return answer.status_code, error_of(answer)


@asynccontextmanager
async def api_of(server: Server) -> AsyncIterator[Api]:
    """A client of a server."""
    async with httpx2.AsyncClient(
        base_url=base_url_of(server), timeout=LIMIT_S, **server.listener.http_options
    ) as http:
        yield Api(server, http)


def error_of(answer: httpx2.Response) -> str:
    """The words of an error; ChatterStack's errors have nothing else."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"], body
    return str(body["error"])
