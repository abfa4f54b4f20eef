"""The engine: opens over a store, finds or starts room actors, admits sessions, and shuts everything down in order.

    async with open_engine(store) as engine:
        room = await engine.create_room(ann.id, name="tea", member_ids=[bob.id])
        await engine.post_message(room.id, ann.id, text="hello")

Everything that changes a room goes through its actor. Reads go to the store and wake no actor; a page of history may
come from what is in memory anyway. Who may see what is decided in `access`, and in the rules of `rooms.state`. The
methods about rooms are in `rooms`, those about invitations and bans in `admissions`, those about messages in
`messages`, connections in `connections`.
"""

import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog
import trio

from chinwag.engine.accounts.accounts import Accounts
from chinwag.engine.accounts.guesses import GuessRules
from chinwag.engine.accounts.log_ins import LOG_IN_DAYS, REFRESH_TOKEN_DAYS
from chinwag.engine.accounts.passwords import Argon2Passwords, Passwords
from chinwag.engine.accounts.tries import Tries
from chinwag.engine.actors.mailbox import ReplyTo
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.connections.connections import Connected, Connections
from chinwag.engine.connections.fanout import Fanout, WireFormat
from chinwag.engine.connections.limits import SessionLimits, SessionStats
from chinwag.engine.connections.presence import GRACE_S, PresenceNews, PresenceRegistry
from chinwag.engine.connections.session import Session
from chinwag.engine.connections.transport import CloseReason, Transport
from chinwag.engine.encryption.room_crypto import MasterKey
from chinwag.engine.encryption.room_keys import RoomKeys, check_master_key
from chinwag.engine.files.blobs import Blobs
from chinwag.engine.files.files import Files
from chinwag.engine.files.pictures import Pictures, open_pictures
from chinwag.engine.messages.messages import Messages, post_command
from chinwag.engine.messages.ranked_search import RankedSearcher
from chinwag.engine.messages.searches import SearchLane
from chinwag.engine.model.commands import RoomCommand
from chinwag.engine.model.ids import FamilyId, IdSource, MessageId, RoomId, UserId, now_us
from chinwag.engine.model.store import Store
from chinwag.engine.model.values import Presence, Record, StoredFile, User
from chinwag.engine.rooms.actor import RoomStats
from chinwag.engine.rooms.admissions import Admissions
from chinwag.engine.rooms.registry import RoomRegistry
from chinwag.engine.rooms.renamed_members import tell_profile
from chinwag.engine.rooms.rooms import Rooms
from chinwag.engine.summaries.extractive import open_extractive_summarizer
from chinwag.engine.summaries.summaries import Summaries, Summarizer
from chinwag.engine.workers.lanes import FairLane

__all__ = ["Connected", "Engine", "EngineConfig", "open_engine", "post_command"]

log = structlog.get_logger("chinwag.engine")

SWEEP_S = 1.0
"""How often time is looked at: token expiry, pings, blocked clients, presence, idle rooms."""


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
    """Over how long connections are told to go away, so that their clients do not all come back at once."""


class Engine(Rooms, Admissions, Messages):
    """One node's chat. Make it with `open_engine`."""

    def __init__(
        self,
        store: Store,
        *,
        nursery: trio.Nursery,
        ids: IdSource,
        passwords: Passwords,
        config: EngineConfig,
        summarizer: Summarizer,
        pictures: Pictures,
        master_key: MasterKey | None = None,
        blobs: Blobs | None = None,
        refresh_key: bytes | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.config = config
        self.fanout: Fanout[Session] = Fanout(published=ids.last)
        self.session_stats = SessionStats()
        self.room_stats = RoomStats()
        self.turns = TurnLoop()
        self.tries = Tries(config.guessing)
        self.accounts = Accounts(
            store=store,
            passwords=passwords,
            tries=self.tries,
            new_id=ids,
            on_revoked=self._end_sessions,
            on_profile=self._profile_changed,
            on_declared=self._declared_presence,
            on_dropped=self._avatars_dropped,
            refresh_days=config.refresh_token_days,
            log_in_days=config.log_in_days,
            refresh_key=refresh_key,
            clock=clock,
        )
        self.keys = RoomKeys(store=store, master=master_key, publish=self.fanout.publish)
        self.summaries = Summaries(store, summarizer, new_id=ids, spawn=self.spawn)
        self._searches = SearchLane()
        self.ranked_search = RankedSearcher(store, self._searches)
        self._pictures = pictures
        self.files = Files(store=store, new_id=ids, blobs=blobs, pictures=pictures)
        self.presence = PresenceRegistry(on_change=self._came_or_went, grace_s=config.presence_grace_s)
        self._store = store
        self._nursery = nursery
        self._new_id = ids
        self._registry = RoomRegistry(
            store=store,
            publisher=self.fanout,
            new_id=ids,
            spawn=self.spawn,
            start=nursery.start_soon,
            stats=self.room_stats,
            turns=self.turns,
        )
        self._connections = Connections(
            store=store,
            accounts=self.accounts,
            fanout=self.fanout,
            presence=self.presence,
            limits=config.limits,
            stats=self.session_stats,
            spawn=self.spawn,
            on_ended=self.end_typing_unless_connected,
        )
        self._presence_news = PresenceNews(store=store, fanout=self.fanout, spawn=self.spawn)

    # --- connections ---

    async def connect(
        self,
        *,
        user_id: UserId,
        family_id: FamilyId,
        expires_at: float = math.inf,
        wire: WireFormat,
        room_ids: Sequence[RoomId] | None,
        resume: bool = False,
        since: MessageId | None = None,
        follow: bool = False,
        most: int | None = None,
        source: str = "",
        list_present: bool = False,
    ) -> Connected:
        """Admit a connection to those of the rooms that the user is a member of, from this moment on; None: all.

        With `follow` it hears of rooms that the user joins later, too, from the joining on. `most`: how many
        connections with this wire format the user may have, this one included; how many in all, and from one `source`
        (where the caller is, in any words; "" is unknown), is in the configuration. `list_present`: find out who of
        those who share a room with the user is online. `expires_at` is in `trio.current_time()` seconds. With `resume`
        the replay holds what came after `since` (None: a position that makes no sense) and a `Resumed` event per room.
        The session is subscribed already, with its events held back: pass it to `serve_session` with a transport, or
        `abandon` it.
        Raises `Unauthenticated`; `TooManyConnections`; `Forbidden` when none of the rooms asked for is the
        user's; `StoreUnavailable`.
        """
        return await self._connections.connect(
            user_id=user_id,
            family_id=family_id,
            expires_at=expires_at,
            wire=wire,
            room_ids=room_ids,
            resume=resume,
            since=since,
            follow=follow,
            most=most,
            source=source,
            list_present=list_present,
        )

    def serve_session(
        self, connected: Connected, transport: Transport, pump: Callable[[], Awaitable[None]]
    ) -> Awaitable[None]:
        """Run an admitted session until its connection ends, and count its user as present meanwhile."""
        return self._connections.serve(connected, transport, pump)

    async def follow_room(self, session: Session, room_id: RoomId) -> None:
        """Let an open session hear of one more room from now on, as long as its user is a member.

        Raises `NotFound("room")` or `NotAMember`.
        """
        await self._connections.follow_room(session, room_id)

    def unfollow_room(self, session: Session, room_id: RoomId) -> None:
        """Let a session hear no more of a room. No-op when it does not."""
        self.fanout.unsubscribe(session, room_id)

    def tell_room(self, room_id: RoomId, command: RoomCommand, reply: ReplyTo | None = None) -> None:
        """Send a room a command without waiting. Raises `Overloaded` (then `wait_for_room`) or `ActorStopped`."""
        self._registry.actor(room_id).tell(command, reply)

    def end_typing_unless_connected(self, user_id: UserId) -> None:
        """Who has no connection any more types nowhere: the others are told at once. Never waits."""
        if not any(session.open for session in self.fanout.sessions_of(user_id)):
            self._registry.end_typing(user_id)

    def room_is_full(self, room_id: RoomId) -> bool:
        """Whether a room's mailbox takes nothing more at the moment."""
        return self._registry.actor(room_id).full

    async def wait_for_room(self, room_id: RoomId) -> None:
        """Backpressure: return when the room's mailbox takes commands again."""
        await self._registry.actor(room_id).wait_space()

    # --- health ---

    async def check(self) -> None:
        """Raises `StoreUnavailable` when the store does not answer."""
        await self._store.check()

    def rooms_active(self) -> int:
        """How many room actors are in memory."""
        return len(self._registry)

    def mailbox_depths(self) -> list[int]:
        """Commands queued, per active room."""
        return [actor.queued for actor in self._registry]

    def lanes(self) -> tuple[FairLane, ...]:
        """The lanes of work that must not crowd out other work."""
        return (*self.tries.lanes, self._searches.lane, self._pictures.lane)

    def room_restarts(self) -> int:
        """How often room actors were restarted after a crash."""
        return self._registry.restarts

    # --- life ---

    async def sweep_forever(self) -> None:
        """Look at the time for everybody, so that nobody needs a timer of their own."""
        while True:
            await trio.sleep(SWEEP_S)
            try:
                self._sweep(trio.current_time())
            except Exception:
                # A bug in one of its duties must not end time for everybody: the next second tries again.
                log.exception("sweep failed")

    def spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a task of the engine's. What it raises is logged, and costs nobody else anything."""
        self._nursery.start_soon(self._guarded, task, args)

    async def close_sessions(self) -> None:
        """Admit nobody any more and tell all sessions to go away, spread over a moment. Bounded in time."""
        self._registry.closing = True
        await self._connections.close_all(spread_s=self.config.shutdown_spread_s)

    async def shut_down(self) -> None:
        """Close the sessions, then let every room finish what is queued."""
        await self.close_sessions()
        await self._registry.shut_down()

    # --- pieces ---

    def _sweep(self, now: float) -> None:
        for session in self.fanout:
            try:
                session.check(now)
            except Exception:
                # It costs the session it happened in, and not those that come after it in this sweep.
                log.exception("session check failed", user=session.user_id)
                session.abandon()
        self.presence.sweep(now)
        self.summaries.sweep(actor.working_state for actor in self._registry if not self._connections.closing)
        self._registry.passivate_idle(self.config.room_idle_s)

    async def _guarded(self, task: Callable[..., Awaitable[None]], args: tuple[object, ...]) -> None:
        try:
            await task(*args)
        except Exception:
            # The nursery is shared by all rooms and sessions: what escapes into it would end them all.
            log.exception("task failed", task=getattr(task, "__qualname__", repr(task)))

    def _end_sessions(self, user_id: UserId, family_id: FamilyId | None) -> None:
        for session in self.fanout.sessions_of(user_id):
            if family_id is None or session.family_id == family_id:
                session.close(CloseReason.TOKEN_INVALID)
        self.end_typing_unless_connected(user_id)

    def _profile_changed(self, user: User) -> None:
        """Rooms have members' names in memory; so have kept pages, of their authors."""
        self._registry.kept_pages.forget_author(user.id)
        tell_profile(user, [room for room in self._registry if room.may_know(user.id)], spawn=self.spawn)

    def _avatars_dropped(self, files: Sequence[StoredFile]) -> None:
        if files:
            self.spawn(self.files.forget, files)

    def _came_or_went(self, user_id: UserId, now: Presence) -> None:
        if self.accounts.may_have_declared(user_id):
            self.spawn(self._follow_connections, user_id, now)
        else:
            self._presence_news.announce(user_id, now)

    async def _follow_connections(self, user_id: UserId, now: Presence) -> None:
        declared = await self.accounts.follow_connections(user_id)
        if declared is not now:
            self._presence_news.announce(user_id, now)

    def _declared_presence(self, before: User | None, user_id: UserId, declared: Presence | None) -> None:
        now = declared if declared is not None else self.presence.connected(user_id)
        if before is None or self.presence.of(before) is not now:
            self._presence_news.announce(user_id, now)


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
    clock: Callable[[], int] = now_us,
) -> AsyncIterator[Engine]:
    """Run an engine over an open store, and a blob store if it is to take files. On the way out sessions are told to go
    away and every room finishes.

    The first image that is uploaded starts a worker process (`pictures`), and so does the first extractive summary;
    they end with the engine or before. Without a `summarizer` summaries are extractive; without a `master_key` no room
    can be made whose keys the server holds; without a `refresh_key` (32 secret bytes, the same ones at the next start)
    a refresh token that was traded cannot be traded again after a restart. `clock` gives microseconds since 1970, and
    is what log-ins go by. Raises `StoreUnavailable` when the store does not answer, `WrongMasterKey` when its keys need
    another one.
    """
    await check_master_key(store, master_key)
    ids = IdSource(above=await store.highest_id())
    async with (
        open_pictures() as pictures,
        open_extractive_summarizer() as extractive,
        trio.open_nursery() as nursery,
    ):
        engine = Engine(
            store,
            nursery=nursery,
            ids=ids,
            passwords=passwords or Argon2Passwords(),
            config=config or EngineConfig(),
            summarizer=summarizer or extractive,
            pictures=pictures,
            master_key=master_key,
            blobs=blobs,
            refresh_key=refresh_key,
            clock=clock,
        )
        await engine.accounts.prepare()
        nursery.start_soon(engine.sweep_forever)
        nursery.start_soon(engine.turns.run)
        try:
            yield engine
        finally:
            with trio.CancelScope(shield=True):
                await engine.shut_down()
            nursery.cancel_scope.cancel()
