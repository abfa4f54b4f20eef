"""A server without sockets for tests: the real engine over the in-memory store, asked through `HttpService.handle`."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec

from chinwag.engine.accounts.deployment import deployment_of
from chinwag.engine.connections.wires import LINES, Wire
from chinwag.engine.encryption.room_crypto import MasterKey
from chinwag.engine.engine import Engine, EngineConfig, open_engine
from chinwag.engine.files.blobs import Blobs
from chinwag.engine.model.errors import EngineError
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import PlainPasswords
from chinwag.http.api.cors import Cors
from chinwag.http.api.front import Front, SocketEndpoint, SocketRequest, Visitor
from chinwag.http.api.mounts import Mounts
from chinwag.http.api.pacing import Pacer
from chinwag.http.api.proxies import TrustedProxies
from chinwag.http.api.rate_limits import RateLimiter
from chinwag.http.api.service import HttpService
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.fronts.chatterstack import FRONT
from chinwag.http.operations.statistics import EngineStats
from chinwag.http.security.tokens import AccessTokens
from tests.http.api.contract import Contract, contract_of

BOUNDARY = "a-boundary"
SECRET = b"a secret for tests, of 32 bytes or more"


class Answer:
    """What a client sees of a response."""

    def __init__(self, response: HttpResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = dict([*response.fixed.headers, *response.headers])
        assert len(self.headers) == len(response.fixed.headers) + len(response.headers), "a header came twice"
        self.body = body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """The words of an error in ChatterStack's shape, which has nothing else."""
        assert list(self.json) == ["error"]
        return str(self.json["error"])


class Part(msgspec.Struct, frozen=True):
    """A part of a form: with `filename` a file, else a text field."""

    name: str
    content: bytes | str
    filename: str | None = None


def form(parts: Sequence[Part]) -> bytes:
    """The parts as multipart/form-data between `BOUNDARY`s."""
    body = b""
    for part in parts:
        filename = "" if part.filename is None else f'; filename="{part.filename}"'
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{part.name}"{filename}\r\n\r\n'.encode()
        body += (part.content.encode() if isinstance(part.content, str) else part.content) + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


class Person(msgspec.Struct, frozen=True):
    """Somebody who has registered and logged in."""

    id: str
    username: str
    token: str
    refresh_token: str


class Api:
    """One server."""

    def __init__(
        self,
        service: HttpService,
        engine: Engine,
        store: MemoryStore,
        tokens: AccessTokens,
        contracts: Mapping[str, Contract] | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        """Every answer is held to the contract of its front, if that has one."""
        self.service = service
        self.contracts = contracts or {}
        self._mounts = mounts
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
        parts: Sequence[Part] | None = None,
        client: str = "127.0.0.1",
    ) -> Answer:
        """One request; `as_` sends that person's token. The body is `body`, or `json`, or a form of `parts`."""
        sent = {"authorization": f"Bearer {as_.token}"} if as_ is not None else {}
        if parts is not None:
            sent["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
            body = form(parts)
        request = HttpRequest(
            method=method,
            path=path,
            query=query if isinstance(query, str) else urlencode(query),
            headers={**sent, **(headers or {})},
            body=body if json is msgspec.UNSET else msgspec.json.encode(json),
            host=host,
            client=client,
        )
        response = await self.service.handle(request)
        self._check(request, response)
        if response.content is None:
            return Answer(response, response.body)
        async with aclosing(response.content.chunks()) as chunks:
            return Answer(response, b"".join([chunk async for chunk in chunks]))

    def refuse(self, method: str, path: str, error: EngineError) -> Answer:
        """What a request is answered that the server refuses before it is handled."""
        request = HttpRequest(method=method, path=path, host="127.0.0.1:8000")
        response = self.service.refuse(request, error)
        self._check(request, response)
        return Answer(response, response.body)

    def socket_request(
        self, endpoint: SocketEndpoint, token: str, *, query: str = "", source: str = ""
    ) -> SocketRequest:
        """What an endpoint is asked by the gateway for whoever has this token."""
        wire = Wire(endpoint.dialect, LINES)
        return Visitor(query=query, wire=wire, tokens=self.tokens, source=source).with_token(token)

    def _check(self, request: HttpRequest, response: HttpResponse) -> None:
        if self._mounts is None:
            return
        where = self._mounts.locate(request.host, request.path)
        contract = None if where.mount is None else self.contracts.get(where.mount.front.name)
        if contract is not None:
            contract.check(where, request, response)

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
    fronts: Sequence[Front] = (FRONT,),
    *,
    cors: Cors | None = None,
    lifetime_s: float = 1800.0,
    clock: Callable[[], float] = time.time,
    blobs: Blobs | None = None,
    master_key: MasterKey | None = None,
    limiters: Mapping[str, RateLimiter] | None = None,
    public_url: str | None = None,
    metrics_token: str | None = None,
    kind: type[HttpService] = HttpService,
    proxies: TrustedProxies | None = None,
    pacer: Pacer | None = None,
    config: EngineConfig | None = None,
    checked: bool = False,
) -> AsyncIterator[Api]:
    """Run a server within the block. `checked`: each answer has to be one that the front's OpenAPI document has."""
    store = MemoryStore()

    def clock_us() -> int:
        return int(clock() * 1_000_000)

    deployment = await deployment_of(store, clock_us)
    tokens = AccessTokens(SECRET, deployment=deployment, lifetime_s=lifetime_s, clock=clock)
    contracts = {front.name: contract_of(front) for front in fronts} if checked else {}
    async with open_engine(
        store,
        passwords=PlainPasswords(),
        blobs=blobs,
        master_key=master_key,
        config=config,
        refresh_key=tokens.derived_key("refresh tokens"),
        clock=clock_us,
    ) as engine:
        service = kind(
            engine,
            tokens,
            fronts,
            cors=cors,
            limiters=limiters,
            public_url=public_url,
            metrics_token=metrics_token,
            proxies=proxies,
            pacer=pacer,
            stats=[EngineStats(engine)],
        )
        yield Api(service, engine, store, tokens, contracts, Mounts(fronts))
