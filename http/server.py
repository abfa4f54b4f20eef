"""Everything put together: store, engine, fronts, listener. Imported by nothing but the command line.

They are opened in the order in which they need each other, and on SIGTERM or SIGINT closed the other way round: no more
connections, sessions told of a restart, requests finished, rooms drained, the last commit done.
"""

import os
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
import trio

from chinwag.engine.accounts.deployment import deployment_of
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.engine import Engine, EngineConfig, open_engine
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.summaries.summaries import Summarizer
from chinwag.http.api.cors import Cors
from chinwag.http.api.front import Front
from chinwag.http.api.pacing import Pacer
from chinwag.http.api.proxies import TrustedProxies
from chinwag.http.api.rate_limits import RateLimiter
from chinwag.http.api.service import HttpService
from chinwag.http.carriers.gateway import Gateway
from chinwag.http.carriers.lobby import Lobby, LobbyLimits
from chinwag.http.carriers.poller import Poller
from chinwag.http.carriers.poller import available as poller_available
from chinwag.http.http2.connection import Http2Server
from chinwag.http.lane.lane import Lane
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.front_connections import FrontConnections
from chinwag.http.listener.listener import ConnectionServer, ListenerConfig, Ports, open_listeners
from chinwag.http.listener.listener import serve as serve_listeners
from chinwag.http.listener.secure_server import SecureServer
from chinwag.http.listener.tls import load_tls
from chinwag.http.operations.access_log import LoggedService
from chinwag.http.operations.statistics import CommitTimes, EngineStats, StoreStats
from chinwag.http.registry import OwnListener
from chinwag.http.security.secret_files import load_master_key
from chinwag.http.security.tokens import AccessTokens, load_secret
from chinwag.http.settings import ServerName, Settings
from chinwag.persistence import open_folder_blobs, open_sqlite_store

log = structlog.get_logger("chinwag.http")

DATABASE_NAME = "chinwag.db"
BLOBS_NAME = "blobs"


async def serve(
    settings: Settings,
    fronts: Sequence[Front],
    own_listeners: Sequence[OwnListener] = (),
    *,
    task_status: trio.TaskStatus[Ports] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve these fronts, and these of their own listeners, until SIGTERM or SIGINT, then return once everything
    acknowledged is on disk and everyone was told.

    Reports the ports as `started`. Raises `CannotListen`, `CannotOpen`, `BadSecret`, `WrongMasterKey`,
    `BadCertificate` and `OSError` for what the operator has to mend.
    """
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = load_tls(settings.tls_cert, settings.tls_key)
    async with AsyncExitStack() as stack:
        listeners = await _opened(settings.host, settings.port, stack)
        own = [(each, await _opened(each.host, each.port, stack)) for each in own_listeners]
        commit_times = CommitTimes()
        bad_clients = BadClients()
        lobby = Lobby(LobbyLimits(most_per_source=None) if settings.rate_limits == "off" else None)
        store = await stack.enter_async_context(
            open_sqlite_store(settings.data_dir / DATABASE_NAME, observe=commit_times.observe)
        )
        tokens = AccessTokens(
            load_secret(settings.data_dir),
            deployment=await deployment_of(store, wall_clock),
            lifetime_s=settings.access_token_minutes * 60,
        )
        blobs = await open_folder_blobs(settings.data_dir / BLOBS_NAME)
        master_key = load_master_key(settings.data_dir)
        engine = await stack.enter_async_context(
            open_engine(
                store,
                config=engine_config(settings),
                blobs=blobs,
                summarizer=await stack.enter_async_context(summarizer(settings)),
                master_key=master_key,
                refresh_key=tokens.derived_key("refresh tokens"),
            )
        )
        more = [
            (opened, FrontConnections(each.listener, engine, lobby, bad_clients=bad_clients)) for each, opened in own
        ]
        kind = LoggedService if settings.log_level == "debug" else HttpService
        service = kind(
            engine,
            tokens,
            fronts,
            cors=Cors(settings.cors_origins),
            stats=[
                EngineStats(engine),
                commit_times,
                StoreStats(store),
                bad_clients,
                lobby,
                *(each for _, each in more),
            ],
            limiters=limiters(fronts, settings),
            public_url=settings.public_url,
            metrics_token=settings.metrics_token,
            proxies=TrustedProxies(settings.trusted_proxies),
            pacer=None if settings.rate_limits == "off" else Pacer(),
        )
        async with listening(
            engine,
            service,
            listeners,
            server=settings.server,
            tls=tls,
            bad_clients=bad_clients,
            lobby=lobby,
            more=more,
        ) as shutdown:
            log.debug("serving", fronts=settings.fronts or "all", server=settings.server)
            task_status.started(
                Ports(_port(listeners), tuple((each.listener.name, each.host, _port(opened)) for each, opened in own))
            )
            await termination()
            log.info("shutting down", connections=len(engine.connections))
            shutdown.set()
            await engine.close_sessions()
    log.info("shut down")


async def _opened(host: str, port: int, stack: AsyncExitStack) -> list[trio.SocketListener]:
    """Listeners that are closed at the latest with the stack."""
    listeners = await open_listeners(host, port)
    for listener in listeners:
        await stack.enter_async_context(listener)
    return listeners


def _port(listeners: Sequence[trio.SocketListener]) -> int:
    port: int = listeners[0].socket.getsockname()[1]
    return port


@asynccontextmanager
async def summarizer(settings: Settings) -> AsyncIterator[Summarizer | None]:
    """Who writes the summaries: a language model if one is named, else (None) the engine itself."""
    if settings.llm_url is None or settings.llm_model is None:
        yield None
        return
    from chinwag.http.outgoing.language_models import KEY_VARIABLE, open_llm_summarizer  # what few servers need

    async with open_llm_summarizer(
        settings.llm_url, settings.llm_model, key=os.environ.get(KEY_VARIABLE)
    ) as language_model:
        yield language_model


def engine_config(settings: Settings) -> EngineConfig:
    """What the engine is told of the settings."""
    if settings.rate_limits == "off":
        return EngineConfig(guessing=None, limits=SessionLimits(per_user=None, per_source=None))
    limits = SessionLimits(per_user=settings.sockets_per_user, per_source=settings.sockets_per_address)
    return EngineConfig(limits=limits)


def limiters(fronts: Sequence[Front], settings: Settings) -> dict[str, RateLimiter]:
    """Who keeps count of which front's callers. A front without a limit has none."""
    if settings.rate_limits == "off":
        return {}
    made: dict[str, RateLimiter] = {}
    for front in fronts:
        if front.name in settings.rate_limit:
            instead = settings.rate_limit[front.name]
            if instead is not None:
                made[front.name] = RateLimiter(instead, front.rate_groups)
        elif front.rate_limit is not None or front.rate_groups:
            made[front.name] = RateLimiter(front.rate_limit, front.rate_groups)
    return made


@asynccontextmanager
async def listening(
    engine: Engine,
    service: HttpService,
    listeners: Sequence[trio.SocketListener],
    config: ListenerConfig | None = None,
    *,
    server: ServerName = "lane",
    tls: ssl.SSLContext | None = None,
    bad_clients: BadClients | None = None,
    lobby: Lobby | None = None,
    more: Sequence[tuple[Sequence[trio.SocketListener], ConnectionServer]] = (),
) -> AsyncIterator[trio.Event]:
    """Serve on listeners within the block. Set the event to stop; leaving the block waits for the end.

    `server` is who speaks HTTP/1.1. With `tls` that is inside TLS, and beside it there is HTTP/2. `more` are listeners
    for what is not HTTP, and who serves them. The limits hold for all.
    """
    config = config or ListenerConfig()
    bad_clients = bad_clients or BadClients()
    shutdown = trio.Event()
    poller = Poller() if poller_available else None
    gateway = Gateway(
        engine,
        service,
        poller=poller,
        config=config,
        bad_clients=bad_clients,
        access_log=service.access_log if isinstance(service, LoggedService) else None,
        lobby=lobby,
    )
    connections: ConnectionServer
    if server == "lane":
        connections = Lane(service, gateway.upgrade, config, on_events=gateway.events_on, bad_clients=bad_clients)
    else:
        # Quart and hypercorn take a third of a second to import.
        from chinwag.http.asgi.app import ChinwagApp
        from chinwag.http.asgi.hypercorn_adapter import HypercornServer

        app = ChinwagApp(
            service,
            gateway,
            max_body_bytes=config.max_body_bytes,
            body_timeout_s=config.body_timeout_s,
            send_timeout_s=config.send_timeout_s,
        )
        connections = HypercornServer(app, config, service=service, bad_clients=bad_clients)
    if tls is not None:
        http2 = Http2Server(service, gateway, config, bad_clients=bad_clients)
        connections = SecureServer(tls, connections, http2, config, bad_clients=bad_clients)
    async with trio.open_nursery() as readers:
        if poller is not None:
            readers.start_soon(poller.run)
        readers.start_soon(_empty_at, shutdown, gateway.lobby)
        async with trio.open_nursery() as nursery:
            for accepting, server_of in [(listeners, connections), *more]:
                await nursery.start(partial(serve_listeners, accepting, server_of, shutdown=shutdown, config=config))
            try:
                yield shutdown
            finally:
                shutdown.set()
        readers.cancel_scope.cancel()


async def _empty_at(shutdown: trio.Event, lobby: Lobby) -> None:
    """Nobody logs in any more once the shutdown begins."""
    await shutdown.wait()
    lobby.close()


async def termination() -> None:
    """Return at the first SIGTERM or SIGINT. A second one then acts as it would on any process."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return
