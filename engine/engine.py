"""The engine: a record of services over one store, opened and shut down in order.

    async with open_engine(store) as engine:
        room = await engine.rooms.create(ann.id, name="tea", member_ids=[bob.id])
        await engine.messages.post(room.id, ann.id, text="hello")

Everything that changes a room goes through its actor. Reads go to the store and wake no actor; a page of history may
come from what is in memory anyway. Who may see what is decided in `model.access`, and in the rules of `rooms.state`.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

import trio

from chinwag.engine.accounts.accounts import Accounts
from chinwag.engine.accounts.guesses import GuessRules
from chinwag.engine.accounts.log_ins import LOG_IN_DAYS, REFRESH_TOKEN_DAYS
from chinwag.engine.accounts.passwords import Argon2Passwords, Passwords
from chinwag.engine.accounts.tries import Tries
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.connections.connections import Connections
from chinwag.engine.connections.fanout import Fanout
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.connections.presence import GRACE_S, PresenceService
from chinwag.engine.connections.session import Session
from chinwag.engine.encryption.room_crypto import MasterKey
from chinwag.engine.encryption.room_keys import RoomKeys, check_master_key
from chinwag.engine.files.blob_sweep import BlobSweep
from chinwag.engine.files.blobs import Blobs
from chinwag.engine.files.files import Files
from chinwag.engine.files.pictures import Pictures, open_pictures
from chinwag.engine.life.background import Background
from chinwag.engine.life.commits import ObservedCommits
from chinwag.engine.life.jobs import Job, JobRunner
from chinwag.engine.life.sweep import sweep_forever
from chinwag.engine.messages.messages import Messages
from chinwag.engine.messages.searches import search_lane
from chinwag.engine.model.clock import Clock, wall_clock
from chinwag.engine.model.commits import Observer
from chinwag.engine.model.ids import IdSource
from chinwag.engine.model.store import Store
from chinwag.engine.model.values import Record, StoredFile, User
from chinwag.engine.rooms.actor import RoomStats
from chinwag.engine.rooms.bans import Bans
from chinwag.engine.rooms.ended_invitations import ended_invitations
from chinwag.engine.rooms.invitations import Invitations
from chinwag.engine.rooms.registry import RoomRegistry
from chinwag.engine.rooms.renamed_members import tell_profile
from chinwag.engine.rooms.rooms import Rooms
from chinwag.engine.summaries.extractive import open_extractive_summarizer
from chinwag.engine.summaries.summaries import Summaries, Summarizer
from chinwag.engine.workers.lanes import FairLane

__all__ = ["Engine", "EngineConfig", "open_engine"]


class EngineConfig(Record):
    """What an embedder may tune. The defaults are what `chinwag serve` uses."""

    room_idle_s: float = 60.0
    """A room without commands for so long gives up its memory; the next command loads it again."""
    presence_grace_s: float = GRACE_S
    refresh_token_days: float = REFRESH_TOKEN_DAYS
    log_in_days: float = LOG_IN_DAYS
    """After so long a log-in ends, whatever was refreshed."""
    limits: SessionLimits = SessionLimits()
    guessing: GuessRules | None = GuessRules()
    """What failed log-ins cost; None: nothing."""
    shutdown_spread_s: float = 1.0
    """Over how long connections are told of a restart, so that their clients do not all come back at once."""


class Engine:
    """One node's chat. Made by `open_engine`."""

    def __init__(
        self,
        store: Store,
        *,
        nursery: trio.Nursery,
        ids: IdSource,
        clock: Clock,
        passwords: Passwords,
        config: EngineConfig,
        summarizer: Summarizer,
        pictures: Pictures,
        master_key: MasterKey | None = None,
        blobs: Blobs | None = None,
        refresh_key: bytes | None = None,
        observers: Sequence[Observer] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        self.config = config
        self.clock = clock
        """What time it is, for all that belongs to the engine."""
        background = Background(nursery)
        self.spawn = background.spawn
        """Start a task of the engine's: see `Background.spawn`."""
        fanout: Fanout[Session] = Fanout(published=ids.last)
        commits = ObservedCommits(store, fanout, observers)
        self.commits = commits
        """How rows of one's own are made durable, in the order of everything else."""
        self._store = store
        self._nursery = nursery
        self._pictures = pictures
        self._searches = search_lane()
        self._turns = TurnLoop()
        self._tries = Tries(config.guessing)
        self.accounts = Accounts(
            store=store,
            commits=commits,
            passwords=passwords,
            tries=self._tries,
            new_id=ids,
            on_revoked=lambda user_id, family_id: self.connections.end_log_in(user_id, family_id),
            on_deactivated=lambda user_id: self.connections.shut_out(user_id),
            on_profile=self._profile_changed,
            on_dropped=self._avatars_dropped,
            refresh_days=config.refresh_token_days,
            log_in_days=config.log_in_days,
            refresh_key=refresh_key,
            clock=clock,
        )
        self.keys = RoomKeys(store=store, commits=commits, master=master_key, clock=clock)
        self.summaries = Summaries(store, summarizer, commits=commits, new_id=ids, clock=clock, spawn=background.spawn)
        self.files = Files(store=store, commits=commits, new_id=ids, clock=clock, blobs=blobs, pictures=pictures)
        self.presence = PresenceService(
            store=store,
            accounts=self.accounts,
            publisher=fanout,
            spawn=background.spawn,
            grace_s=config.presence_grace_s,
        )
        self._registry = RoomRegistry(
            store=store,
            commits=commits,
            new_id=ids,
            clock=clock,
            spawn=background.spawn,
            start=nursery.start_soon,
            stats=RoomStats(),
            turns=self._turns,
        )
        self.rooms = Rooms(
            store=store,
            registry=self._registry,
            commits=commits,
            new_id=ids,
            keys=self.keys,
            files=self.files,
            searches=self._searches,
            clock=clock,
        )
        self.invitations = Invitations(store=store, registry=self._registry, clock=clock)
        self.bans = Bans(store=store, registry=self._registry, keys=self.keys)
        self.messages = Messages(store=store, registry=self._registry, keys=self.keys, searches=self._searches)
        self.connections = Connections(
            store=store,
            accounts=self.accounts,
            fanout=fanout,
            presence=self.presence,
            limits=config.limits,
            spawn=background.spawn,
            end_typing=self._registry.end_typing,
            clock=clock,
        )
        own = [ended_invitations(store, commits, clock)]
        if blobs is not None:
            own.append(BlobSweep(store, commits, blobs, under_way=self.files.under_way, clock=clock).job())
        self.jobs = JobRunner([*own, *jobs])
        """The jobs that run behind it all, to be looked at."""

    # --- health ---

    async def check(self) -> None:
        """Raises `StoreUnavailable` when the store does not answer."""
        await self._store.check()

    def lanes(self) -> tuple[FairLane, ...]:
        """The lanes of work that must not crowd out other work."""
        return (*self._tries.lanes, self._searches.lane, self._pictures.lane)

    def failed_tries(self) -> int:
        """How many log-ins and registrations failed and were counted."""
        return self._tries.failed

    def observer_failures(self) -> Mapping[str, int]:
        """How often each observer of the commits raised, by its name."""
        return self.commits.failures

    # --- life ---

    def start(self) -> None:
        """Begin to take turns and to look at the time."""
        self._nursery.start_soon(self._turns.run)
        self._nursery.start_soon(self.jobs.run)
        self._nursery.start_soon(
            sweep_forever, (self.connections.check, self.presence.sweep, self._sweep_summaries, self._passivate)
        )

    async def close_sessions(self) -> None:
        """Admit nobody any more and tell all sessions of a restart, spread over a moment. Bounded in time."""
        self._registry.closing = True
        self.jobs.stop()
        await self.connections.close_all(spread_s=self.config.shutdown_spread_s)

    async def shut_down(self) -> None:
        """Close the sessions, then let every room finish what is queued, and every job its step."""
        await self.close_sessions()
        await self._registry.shut_down()
        await self.jobs.ended()

    # --- what one service has to tell another ---

    def _sweep_summaries(self, _: float) -> None:
        self.summaries.sweep(actor.working_state for actor in self._registry if not self.connections.closing)

    def _passivate(self, _: float) -> None:
        self._registry.passivate_idle(self.config.room_idle_s)

    def _profile_changed(self, user: User) -> None:
        """Rooms have members' names in memory; so have kept pages, of their authors."""
        self._registry.kept_pages.forget_author(user.id)
        tell_profile(user, [room for room in self._registry if room.may_know(user.id)], spawn=self.spawn)

    def _avatars_dropped(self, files: Sequence[StoredFile]) -> None:
        if files:
            self.spawn(self.files.forget, files)


@contextlib.asynccontextmanager
async def open_engine(
    store: Store,
    *,
    passwords: Passwords | None = None,
    config: EngineConfig | None = None,
    summarizer: Summarizer | None = None,
    master_key: MasterKey | None = None,
    blobs: Blobs | None = None,
    refresh_key: bytes | None = None,
    clock: Clock = wall_clock,
    observers: Sequence[Observer] = (),
    jobs: Sequence[Job] = (),
) -> AsyncIterator[Engine]:
    """Run an engine over an open store, and a blob store if it is to take files. On the way out sessions are told to go
    away and every room finishes.

    The first image that is uploaded starts a worker process (`pictures`), and so does the first extractive summary;
    they end with the engine or before. Without a `summarizer` summaries are extractive; without a `master_key` no room
    can be made whose keys the server holds; without a `refresh_key` (32 secret bytes, the same ones at the next start)
    a refresh token that was traded cannot be traded again after a restart. `clock` gives microseconds since 1970: every
    time that is stored, or compared with one that is. `observers` add rows to the commits of rooms and services
    (`model.commits`), `jobs` run beside the engine's own (`life.jobs`).

    Raises `StoreUnavailable` when the store does not answer, `WrongMasterKey` when its keys need another one.
    """
    await check_master_key(store, master_key)
    ids = IdSource(clock=clock, above=await store.highest_id())
    async with (
        open_pictures() as pictures,
        open_extractive_summarizer() as extractive,
        trio.open_nursery() as nursery,
    ):
        engine = Engine(
            store,
            nursery=nursery,
            ids=ids,
            clock=clock,
            passwords=passwords or Argon2Passwords(),
            config=config or EngineConfig(),
            summarizer=summarizer or extractive,
            pictures=pictures,
            master_key=master_key,
            blobs=blobs,
            refresh_key=refresh_key,
            observers=observers,
            jobs=jobs,
        )
        await engine.accounts.prepare()
        engine.start()
        try:
            yield engine
        finally:
            with trio.CancelScope(shield=True):
                await engine.shut_down()
            nursery.cancel_scope.cancel()
