"""A front under test: the real engine and service in this process, over a store in memory.

    async with open_front(FRONT) as server:
        answer = await server.ask("POST", "/rooms", json={"name": "tea"}, token=token)
        assert answer.status == 201

`ask` needs no network. `url` and `ports` are real ones of this machine, for whatever client a test likes: WebSockets,
and what a front's own listeners speak.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from chinwag.engine.accounts.deployment import deployment_of
from chinwag.engine.engine import Engine, EngineConfig, open_engine
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import PlainPasswords
from chinwag.http.api.front import Front
from chinwag.http.api.service import HttpService
from chinwag.http.api.values import HttpRequest
from chinwag.http.carriers.lobby import Lobby
from chinwag.http.listener.front_connections import FrontConnections
from chinwag.http.listener.listener import ListenerConfig, open_listeners
from chinwag.http.security.tokens import AccessTokens
from chinwag.http.server import listening

__all__ = ["Answer", "FrontServer", "open_front"]

_SECRET = b"a secret for tests, of 32 bytes or more"


class Answer(msgspec.Struct, frozen=True):
    """What a client sees of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class FrontServer:
    """A server of the fronts under test. One front alone is at its own paths, as with `chinwag serve`.

    `url` is where HTTP is listened on ("http://127.0.0.1:PORT"), `ports` are those of the fronts' own listeners by
    their names, and `connections` who serves these.
    """

    def __init__(
        self, engine: Engine, service: HttpService, port: int, ports: Mapping[str, int], own: Sequence[FrontConnections]
    ) -> None:
        self.engine = engine
        self.service = service
        self.url = f"http://127.0.0.1:{port}"
        self.ports = ports
        self.connections = {each.listener.name: each for each in own}

    async def ask(
        self, method: str, path: str, *, json: object = msgspec.UNSET, token: str | None = None, query: str = ""
    ) -> Answer:
        """One request, and its answer."""
        request = HttpRequest(
            method=method,
            path=path,
            query=query,
            headers={} if token is None else {"authorization": f"Bearer {token}"},
            body=b"" if json is msgspec.UNSET else msgspec.json.encode(json),
            host=self.url.removeprefix("http://"),
            client="127.0.0.1",
        )
        response = await self.service.handle(request)
        return Answer(response.status, dict([*response.fixed.headers, *response.headers]), response.body)


@asynccontextmanager
async def open_front(
    *fronts: Front, config: EngineConfig | None = None, lobby: Lobby | None = None
) -> AsyncIterator[FrontServer]:
    """Serve fronts within the block, with all of their own listeners. The data are gone afterwards.

    Without a `config` the shutdown does not spread the closing of connections, which takes a second. `lobby` bounds
    connections that have not logged in.
    """
    store = MemoryStore()
    tokens = AccessTokens(_SECRET, deployment=await deployment_of(store, wall_clock), lifetime_s=1800)
    limits = ListenerConfig()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            open_engine(store, passwords=PlainPasswords(), config=config or EngineConfig(shutdown_spread_s=0))
        )
        service = HttpService(engine, tokens, fronts)
        lobby = Lobby() if lobby is None else lobby  # an empty one is false
        own = [FrontConnections(each, engine, lobby) for front in fronts for each in front.listeners]
        opened = [(await open_listeners("127.0.0.1", 0), each) for each in own]
        http = await open_listeners("127.0.0.1", 0)
        ports = {each.listener.name: sockets[0].socket.getsockname()[1] for sockets, each in opened}
        async with listening(engine, service, http, limits, lobby=lobby, more=opened) as shutdown:
            yield FrontServer(engine, service, http[0].socket.getsockname()[1], ports, own)
            shutdown.set()
            await engine.close_sessions()
