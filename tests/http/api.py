"""A server without sockets for tests: the real engine over the in-memory store, asked through `HttpService.handle`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec

from chinwag.engine.engine import Engine, open_engine
from chinwag.engine.testing import MemoryStore
from chinwag.http.cors import Cors
from chinwag.http.front import Front
from chinwag.http.fronts.chatterstack import FRONT
from chinwag.http.messages import HttpRequest, HttpResponse
from chinwag.http.service import HttpService
from chinwag.http.tokens import AccessTokens

SECRET = b"a secret for tests, of 32 bytes or more"


class InstantPasswords:
    """`Passwords` without the cost: what argon2 does is tested with the engine."""

    async def hash(self, password: str) -> str:
        return f"hash of {password}"

    async def verify(self, hashed: str, password: str) -> bool:
        return hashed == f"hash of {password}"


class Answer:
    """What a client sees of a response."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status
        self.headers = dict(response.headers)
        self.body = response.body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """The words of an error in ChatterStack's shape, which has nothing else."""
        assert list(self.json) == ["error"]
        return str(self.json["error"])


class Person(msgspec.Struct, frozen=True):
    """Somebody who has registered and logged in."""

    id: str
    username: str
    token: str
    refresh_token: str


class Api:
    """One server."""

    def __init__(self, service: HttpService, engine: Engine, store: MemoryStore, tokens: AccessTokens) -> None:
        self.service = service
        self.engine = engine
        self.store = store
        self.tokens = tokens

    async def ask(
        self,
        method: str,
        path: str,
        *,
        as_: Person | None = None,
        json: Any = msgspec.UNSET,
        body: bytes = b"",
        query: str | Mapping[str, object] | Sequence[tuple[str, object]] = "",
        headers: Mapping[str, str] | None = None,
        host: str = "127.0.0.1:8000",
    ) -> Answer:
        """One request; `as_` sends that person's token."""
        sent = {"authorization": f"Bearer {as_.token}"} if as_ is not None else {}
        request = HttpRequest(
            method=method,
            path=path,
            query=query if isinstance(query, str) else urlencode(query),
            headers={**sent, **(headers or {})},
            body=body if json is msgspec.UNSET else msgspec.json.encode(json),
            host=host,
            client="127.0.0.1",
        )
        return Answer(await self.service.handle(request))

    async def person(self, username: str) -> Person:
        """Register and log in by ChatterStack's API."""
        email = f"{username}@example.org"
        registration = {"username": username, "email": email, "password": "secret"}
        registered = await self.ask("POST", "/v1/auth/register", json=registration)
        assert registered.status == 201, registered.body
        opened = await self.ask("POST", "/v1/auth/login", json={"email": email, "password": "secret"})
        assert opened.status == 200, opened.body
        return Person(registered.json["id"], username, opened.json["access_token"], opened.json["refresh_token"])

    async def room(self, admin: Person, *others: Person, name: str = "tea") -> str:
        """Make a group by ChatterStack's API; its id."""
        wanted = {"name": name, "is_group": True, "member_ids": [other.id for other in others]}
        made = await self.ask("POST", "/v1/rooms", as_=admin, json=wanted)
        assert made.status == 201, made.body
        return str(made.json["id"])

    async def post(self, author: Person, room_id: str, content: str) -> str:
        """Post a message by ChatterStack's API; its id."""
        posted = await self.ask("POST", f"/v1/rooms/{room_id}/messages", as_=author, json={"content": content})
        assert posted.status == 201, posted.body
        return str(posted.json["id"])


@asynccontextmanager
async def open_api(
    fronts: Sequence[Front] = (FRONT,), *, cors: Cors | None = None, lifetime_s: float = 1800.0
) -> AsyncIterator[Api]:
    """Run a server within the block."""
    store = MemoryStore()
    tokens = AccessTokens(SECRET, lifetime_s=lifetime_s)
    async with open_engine(store, passwords=InstantPasswords()) as engine:
        yield Api(HttpService(engine, tokens, fronts, cors=cors), engine, store, tokens)
