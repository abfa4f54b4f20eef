"""The engine: opens over a store, finds or starts room actors, admits sessions, and shuts everything down in order.

    async with open_engine(store) as engine:
        room = await engine.create_room(ann.id, name="tea", member_ids=[bob.id])
        await engine.post_message(room.id, ann.id, text="hello")

Everything that changes a room goes through its actor. Reads go to the store and wake no actor; a page of history may
come from what is in memory anyway. Who may see what is decided here, in `_admit`, and in the rules of `room_state`.
"""

import contextlib
import hashlib
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog
import trio

from chinwag.engine.accounts import REFRESH_TOKEN_DAYS, Accounts
from chinwag.engine.asleep import AsleepPages
from chinwag.engine.commands import (
    AddMember,
    AdvanceReceipts,
    DeleteMessage,
    DeleteRoom,
    EditMessage,
    Posted,
    PostMessage,
    RemoveMember,
    RestoreMember,
    RoomCommand,
)
from chinwag.engine.errors import ActorStopped, Forbidden, Invalid, NotFound
from chinwag.engine.events import RoomJoined
from chinwag.engine.fanout import Fanout, WireFormat
from chinwag.engine.ids import FamilyId, IdSource, MessageId, RoomId, UserId, now_us
from chinwag.engine.mailbox import Ask, ReplyTo
from chinwag.engine.model import (
    Attachment,
    Member,
    Presence,
    Record,
    Role,
    Room,
    RoomKind,
    User,
    ViewedMessage,
)
from chinwag.engine.passwords import Argon2Passwords, Passwords
from chinwag.engine.presence import GRACE_S, PresenceRegistry
from chinwag.engine.pump import TurnPump
from chinwag.engine.resume import ALL_RESUMES_BYTES, RESUME_BYTES, RESUME_LIMIT, Replay, build_replay
from chinwag.engine.room_actor import RoomActor, RoomStats
from chinwag.engine.session import Session, SessionLimits, SessionStats
from chinwag.engine.store import Access, DuplicateKey, InsertMember, InsertRoom, Store, Write
from chinwag.engine.transport import CloseReason, Transport

log = structlog.get_logger("chinwag.engine")

CLOSING_BATCHES = 20
"""In how many portions the connections are told to go away."""
ROOMS_DRAIN_S = 4.0
"""How long the rooms may take at shutdown to finish what is queued."""
SWEEP_S = 1.0
"""How often time is looked at: token expiry, pings, blocked clients, presence, idle rooms."""


class EngineConfig(Record):
    """What an embedder may tune. The defaults are what `chinwag serve` uses."""

    room_idle_s: float = 60.0
    """A room without commands for so long gives up its memory; the next command loads it again."""
    presence_grace_s: float = GRACE_S
    refresh_token_days: float = REFRESH_TOKEN_DAYS
    limits: SessionLimits = SessionLimits()
    shutdown_spread_s: float = 1.0
    """Over how long connections are told to go away, so that their clients do not all come back at once."""


class Connected(Record):
    """An admitted connection: its session, what to tell it first, and which of the rooms asked for are refused."""

    session: Session
    replay: Replay
    refused: tuple[RoomId, ...] = ()


class Engine:
    """One node's chat. Make it with `open_engine`."""

    def __init__(
        self, store: Store, *, nursery: trio.Nursery, ids: IdSource, passwords: Passwords, config: EngineConfig
    ) -> None:
        self.config = config
        self.fanout: Fanout[Session] = Fanout(published=ids.last)
        self.session_stats = SessionStats()
        self.room_stats = RoomStats()
        self.pump = TurnPump()
        self.accounts = Accounts(
            store=store,
            passwords=passwords,
            new_id=ids,
            on_revoked=self._end_sessions,
            refresh_days=config.refresh_token_days,
        )
        self.presence = PresenceRegistry(on_change=self._came_or_went, grace_s=config.presence_grace_s)
        self._store = store
        self._nursery = nursery
        self._new_id = ids
        self._rooms: dict[RoomId, RoomActor] = {}
        self._asleep = AsleepPages()
        self._ended_restarts = 0
        self._closing = False

    # --- rooms ---

    async def create_room(
        self, creator: UserId, *, name: str, description: str = "", member_ids: Sequence[UserId] = ()
    ) -> Room:
        """Make a group; its creator is ADMIN, the others are members (repeated ones count once).

        Raises `Invalid("member_ids")`, naming those that do not exist.
        """
        others = [user_id for user_id in dict.fromkeys(member_ids) if user_id != creator]
        users = await self._users([creator, *others], field="member_ids")
        room = Room(
            id=RoomId(self._new_id()),
            kind=RoomKind.GROUP,
            name=name,
            description=description,
            created_by=creator,
            created_us=now_us(),
        )
        await self._insert_room(room, users)
        return room

    async def direct_room(self, caller: UserId, peer: UserId) -> Room:
        """The room of two users, made when there is none. A side that had left is a member again.

        Raises `Invalid("user_id")` for oneself, `NotFound("user")` for an unknown peer.
        """
        if caller == peer:
            raise Invalid("user_id", "a direct room needs somebody else")
        lower, higher = sorted((caller, peer))
        key = f"dm:{lower}:{higher}"
        users = {user.id: user for user in await self._store.users([caller, peer])}
        if len(users) != 2:
            raise NotFound("user")
        room = await self._store.direct_room(key)
        if room is None:
            room = Room(
                id=RoomId(self._new_id()),
                kind=RoomKind.DIRECT,
                name=key,
                description="",
                created_by=caller,
                created_us=now_us(),
                direct_key=key,
            )
            try:
                await self._insert_room(room, [users[caller], users[peer]])
                return room
            except DuplicateKey:
                made_meanwhile = await self._store.direct_room(key)
                if made_meanwhile is None:
                    raise
                room = made_meanwhile
        for user in users.values():
            await self._ask(room.id, RestoreMember(user_id=user.id, username=user.username))
        return room

    async def room(self, room_id: RoomId, viewer: UserId) -> Room:
        """A room that the viewer is a member of. Raises `NotFound` or `Forbidden`."""
        return _admit(await self._store.access(room_id, viewer))

    async def rooms_of(self, viewer: UserId, *, name_contains: str = "", limit: int) -> list[Room]:
        """The viewer's rooms, latest activity first."""
        return await self._store.rooms_of(viewer, name_contains=name_contains, limit=limit)

    async def members(self, room_id: RoomId, viewer: UserId) -> tuple[Member, ...]:
        """All members, in the order of joining. Raises `NotFound` or `Forbidden`."""
        found = await self._store.members(room_id, viewer)
        _admit(found.access)
        return found.members

    async def add_member(self, room_id: RoomId, caller: UserId, user_id: UserId, role: Role) -> Member:
        """Only an ADMIN may. Raises `Invalid("user_id")` for an unknown user, `Conflict` for a member, and `NotFound`
        or `Forbidden`."""
        await self.room(room_id, caller)  # a stranger learns nothing about users either
        [user] = await self._users([user_id], field="user_id")
        command = AddMember(caller=caller, user_id=user.id, username=user.username, role=role)
        member = await self._ask(room_id, command)
        assert isinstance(member, Member)
        return member

    async def remove_member(self, room_id: RoomId, caller: UserId, user_id: UserId) -> None:
        """Leave, or as an ADMIN remove somebody. Raises `NotFound` (room or member) or `Forbidden`."""
        await self._ask(room_id, RemoveMember(caller=caller, user_id=user_id))

    async def delete_room(self, room_id: RoomId, caller: UserId) -> None:
        """Delete a room with everything in it. Only an ADMIN may. Raises `NotFound` or `Forbidden`."""
        await self._ask(room_id, DeleteRoom(caller=caller))

    # --- messages ---

    async def post_message(
        self,
        room_id: RoomId,
        caller: UserId,
        *,
        text: str,
        attachments: tuple[Attachment, ...] = (),
        key: str | None = None,
    ) -> ViewedMessage:
        """Store a message and send it to everyone; returns once it is durable.

        With an idempotency `key` a repeated call returns the first message; raises `Conflict("idempotency_key")` when
        the content differs. Raises `NotFound`, `Forbidden`, or `TryLater` errors (then retry with the same key).
        """
        return _viewed(await self._ask(room_id, post_command(caller, text=text, attachments=attachments, key=key)))

    async def edit_message(self, room_id: RoomId, caller: UserId, message_id: MessageId, *, text: str) -> ViewedMessage:
        """Change one's own message. Raises `NotFound` (room or message) or `Forbidden`."""
        refuse_unstorable(text)
        return _viewed(await self._ask(room_id, EditMessage(caller=caller, message_id=message_id, text=text)))

    async def delete_message(self, room_id: RoomId, caller: UserId, message_id: MessageId) -> None:
        """Delete one's own message, or as an ADMIN anyone's. Raises `NotFound` or `Forbidden`."""
        await self._ask(room_id, DeleteMessage(caller=caller, message_id=message_id))

    async def mark_delivered(self, room_id: RoomId, caller: UserId, message_id: MessageId) -> None:
        """The caller has got all messages up to this one. Raises `NotFound` or `Forbidden`."""
        await self._ask(room_id, AdvanceReceipts(caller=caller, message_id=message_id, read=False))

    async def mark_read(self, room_id: RoomId, caller: UserId, message_id: MessageId) -> None:
        """The caller has read all messages up to this one. Raises `NotFound` or `Forbidden`."""
        await self._ask(room_id, AdvanceReceipts(caller=caller, message_id=message_id, read=True))

    async def history(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> list[ViewedMessage]:
        """One page, newest first, leaving out the `skip` newest. Raises `NotFound` or `Forbidden`.

        From memory, without a checkpoint and even while the store is away, where that is what the store would say: of
        a room that is awake and between two turns, or of one that sleeps as it was read before. Reading wakes no room.
        """
        actor = self._rooms.get(room_id)
        if actor is None:
            known = self._asleep.find(room_id, viewer, skip=skip, limit=limit)
        else:
            known = None if actor.settled is None else actor.settled.page(viewer, skip=skip, limit=limit)
        if known is not None:
            return list(known)
        wakings = self._asleep.wakings
        page = await self._store.history(room_id, viewer, skip=skip, limit=limit)
        _admit(page.access)
        assert page.receipts is not None
        viewed = [ViewedMessage(message=each, status=page.receipts.status_of(each)) for each in page.messages]
        if actor is None:
            self._asleep.keep(room_id, viewer, viewed, skip=skip, limit=limit, wakings=wakings)
        return viewed

    async def window(self, room_id: RoomId, viewer: UserId, *, around: MessageId, limit: int) -> list[ViewedMessage]:
        """Up to `limit` messages, oldest first: at most half of them before `around`, the rest it and what follows.

        Raises `NotFound("message")` when the room has no such message, `NotFound("room")` or `Forbidden`.
        """
        page = await self._store.window(room_id, viewer, around=around, limit=limit)
        _admit(page.access)
        if not page.messages:
            raise NotFound("message")
        assert page.receipts is not None
        return [ViewedMessage(message=each, status=page.receipts.status_of(each)) for each in page.messages]

    async def search(
        self, viewer: UserId, *, text: str, room_id: RoomId | None = None, limit: int
    ) -> list[ViewedMessage]:
        """Messages that contain `text`, ignoring case, newest first, in one room or all of the viewer's rooms.

        Raises `NotFound` or `Forbidden` for a room that is not the viewer's.
        """
        access, found = await self._store.search(viewer, text=text, room_id=room_id, limit=limit)
        if access is not None:
            _admit(access)
        return [ViewedMessage(message=each.message, status=each.receipts.status_of(each.message)) for each in found]

    # --- connections ---

    async def connect(
        self,
        *,
        user_id: UserId,
        family_id: FamilyId,
        expires_at: float = math.inf,
        wire: WireFormat,
        room_ids: Sequence[RoomId],
        resume: bool = False,
        since: MessageId | None = None,
    ) -> Connected:
        """Admit a connection to those of the rooms that the user is a member of, from this moment on.

        `expires_at` is in `trio.current_time()` seconds. With `resume` the replay holds what came after `since` (None:
        a position that makes no sense) and a `Resumed` event per room. The session is subscribed already, with its
        events held back: pass it to `Session.run` with a transport, or `abandon` it.
        Raises `Unauthenticated`; `Forbidden` when none of the rooms is the user's; `StoreUnavailable`.
        """
        if self._closing:
            raise ActorStopped("the server is shutting down")
        user = await self.accounts.authenticate(family_id, user_id)
        if self._closing:  # the shutdown began meanwhile, and would not find a session that is added now
            raise ActorStopped("the server is shutting down")
        session = Session(
            user_id=user_id,
            username=user.username,
            family_id=family_id,
            expires_at=expires_at,
            wire=wire,
            fanout=self.fanout,
            limits=self.config.limits,
            stats=self.session_stats,
            spawn=self.spawn,
        )
        wanted = tuple(dict.fromkeys(room_ids))
        # Subscribed before anything is checked: what happens in between is held, so nothing falls into a gap, and a
        # removal or log-out in between finds the session.
        self.fanout.add(session)
        for room_id in wanted:
            self.fanout.subscribe(session, room_id)
        try:
            await self.accounts.authenticate(family_id, user_id)
            missed = await self._store.missed(wanted, user_id, since=since, limit=RESUME_LIMIT)
            refused = tuple(room_id for room_id in wanted if missed[room_id].access.member is None)
            if wanted and len(refused) == len(wanted):
                raise Forbidden("not a member of any of these rooms")
            for room_id in refused:
                self.fanout.unsubscribe(session, room_id)
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            session.abandon()
            raise
        if not resume:
            return Connected(session=session, replay=Replay(), refused=refused)
        mine = {each: missed[each] for each in wanted if each not in refused}
        left = ALL_RESUMES_BYTES - self.session_stats.replaying_bytes
        replay = build_replay(mine, published=self.fanout.published, most_bytes=max(0, min(RESUME_BYTES, left)))
        session.expect_replay(replay.size_bytes)
        return Connected(session=session, replay=replay, refused=refused)

    async def serve_session(
        self, connected: Connected, transport: Transport, pump: Callable[[], Awaitable[None]]
    ) -> None:
        """Run an admitted session until its connection ends, and count its user as present meanwhile."""
        session = connected.session
        self.presence.arrive(session.user_id)
        try:
            running = session.run(transport, pump, connected.replay)
            del connected, transport, pump  # this frame lives as long as the connection, and a replay can be megabytes
            await running
        finally:
            self.presence.depart(session.user_id, trio.current_time())

    def tell_room(self, room_id: RoomId, command: RoomCommand, reply: ReplyTo | None = None) -> None:
        """Send a room a command without waiting. Raises `Overloaded` (then `wait_for_room`) or `ActorStopped`."""
        self._room(room_id).tell(command, reply)

    def room_is_full(self, room_id: RoomId) -> bool:
        """Whether a room's mailbox takes nothing more at the moment."""
        return self._room(room_id).full

    async def wait_for_room(self, room_id: RoomId) -> None:
        """Backpressure: return when the room's mailbox takes commands again."""
        await self._room(room_id).wait_space()

    # --- health ---

    async def check(self) -> None:
        """Raises `StoreUnavailable` when the store does not answer."""
        await self._store.check()

    def rooms_active(self) -> int:
        """How many room actors are in memory."""
        return len(self._rooms)

    def mailbox_depths(self) -> list[int]:
        """Commands queued, per active room."""
        return [actor.queued for actor in self._rooms.values()]

    def room_restarts(self) -> int:
        """How often room actors were restarted after a crash."""
        return self._ended_restarts + sum(actor.restarts for actor in self._rooms.values())

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
        self._closing = True
        sessions = list(self.fanout)
        if not sessions:
            return
        random.shuffle(sessions)
        batches = min(len(sessions), CLOSING_BATCHES)
        for start in range(batches):
            for session in sessions[start::batches]:
                session.close(CloseReason.GOING_AWAY)
            await trio.sleep(self.config.shutdown_spread_s / batches)
        with trio.move_on_after(self.config.limits.closing_s):
            while len(self.fanout):  # noqa: ASYNC110 - at shutdown only, and bounded
                await trio.sleep(0.02)
        for session in self.fanout:
            session.abandon()

    async def shut_down(self) -> None:
        """Close the sessions, then let every room finish what is queued."""
        await self.close_sessions()
        for actor in tuple(self._rooms.values()):
            actor.stop()
        with trio.move_on_after(ROOMS_DRAIN_S) as drain:
            while self._rooms:  # noqa: ASYNC110 - at shutdown only, and bounded
                await trio.sleep(0.005)
        if drain.cancelled_caught:
            log.error("rooms did not finish in time", rooms=len(self._rooms))

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
        self._passivate_idle_rooms()

    async def _guarded(self, task: Callable[..., Awaitable[None]], args: tuple[object, ...]) -> None:
        try:
            await task(*args)
        except Exception:
            # The nursery is shared by all rooms and sessions: what escapes into it would end them all.
            log.exception("task failed", task=getattr(task, "__qualname__", repr(task)))

    def _room(self, room_id: RoomId) -> RoomActor:
        actor = self._rooms.get(room_id)
        if actor is None or actor.stopped:
            if self._closing:
                raise ActorStopped("the server is shutting down")
            actor = RoomActor(
                room_id,
                store=self._store,
                publisher=self.fanout,
                new_id=self._new_id,
                spawn=self.spawn,
                stats=self.room_stats,
                pump=self.pump,
            )
            self._rooms[room_id] = actor
            self._asleep.wake(room_id)
            self._nursery.start_soon(self._run_room, actor)
        return actor

    async def _run_room(self, actor: RoomActor) -> None:
        try:
            await actor.run()
        except Exception:
            # Likewise. Its askers have been refused on the way out, and the next command starts a new actor.
            log.exception("room ended by a bug outside its turns", room=actor.room_id)
        finally:
            self._ended_restarts += actor.restarts
            if self._rooms.get(actor.room_id) is actor:
                del self._rooms[actor.room_id]

    def _passivate_idle_rooms(self) -> None:
        for actor in tuple(self._rooms.values()):
            if actor.idle(self.config.room_idle_s):
                # Out of the registry in the same step: no command can slip in between.
                actor.stop()
                del self._rooms[actor.room_id]

    async def _ask(self, room_id: RoomId, command: RoomCommand) -> object:
        slot = Ask()
        self._room(room_id).tell(command, slot)
        return await slot.result()

    async def _users(self, user_ids: Sequence[UserId], *, field: str) -> list[User]:
        found = {user.id: user for user in await self._store.users(user_ids)}
        unknown = [str(user_id) for user_id in user_ids if user_id not in found]
        if unknown:
            raise Invalid(field, f"unknown user: {', '.join(unknown)}")
        return [found[user_id] for user_id in user_ids]

    async def _insert_room(self, room: Room, users: Sequence[User]) -> None:
        """Store a new room, its creator first, and tell the others' sessions."""
        writes: list[Write] = [InsertRoom(room=room)]
        for user in users:
            role = Role.ADMIN if user.id == room.created_by else Role.MEMBER
            member = Member(user_id=user.id, username=user.username, role=role, joined_us=room.created_us)
            writes.append(InsertMember(room_id=room.id, member=member))
        events = [RoomJoined(room_id=room.id, user_id=user.id, room=room) for user in users]
        await self._store.commit(writes, lambda: self.fanout.publish(room.id, events))

    def _end_sessions(self, user_id: UserId, family_id: FamilyId | None) -> None:
        for session in self.fanout.sessions_of(user_id):
            if family_id is None or session.family_id == family_id:
                session.close(CloseReason.TOKEN_INVALID)

    def _came_or_went(self, user_id: UserId, _now: Presence) -> None:
        if self.accounts.may_have_declared(user_id):
            self.spawn(self.accounts.follow_connections, user_id)


@contextlib.asynccontextmanager
async def open_engine(
    store: Store, *, passwords: Passwords | None = None, config: EngineConfig | None = None
) -> AsyncIterator[Engine]:
    """Run an engine over an open store. On the way out sessions are told to go away and every room finishes.

    Raises `StoreUnavailable` when the store does not answer.
    """
    ids = IdSource(above=await store.highest_id())
    async with trio.open_nursery() as nursery:
        engine = Engine(
            store,
            nursery=nursery,
            ids=ids,
            passwords=passwords or Argon2Passwords(),
            config=config or EngineConfig(),
        )
        await engine.accounts.prepare()
        nursery.start_soon(engine.sweep_forever)
        nursery.start_soon(engine.pump.run)
        try:
            yield engine
        finally:
            with trio.CancelScope(shield=True):
                await engine.shut_down()
            nursery.cancel_scope.cancel()


def post_command(
    author: UserId, *, text: str, attachments: tuple[Attachment, ...] = (), key: str | None = None
) -> PostMessage:
    """A `PostMessage` whose fingerprint tells, for every front alike, whether a retry has the same content."""
    refuse_unstorable(text)
    if key is None:
        return PostMessage(author=author, text=text, attachments=attachments)
    content = hashlib.blake2b(text.encode(), digest_size=16)
    for each in attachments:
        content.update(f"\0{each.url}\0{each.mime_type}\0{each.size_bytes}".encode())
    return PostMessage(author=author, text=text, attachments=attachments, key=key, digest=content.digest())


def refuse_unstorable(text: str) -> None:
    """Raise `Invalid("text")` for what no store takes: the NUL character, and lone surrogates."""
    if "\0" in text:
        raise Invalid("text", "must not contain the NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid("text", "is not valid Unicode") from None


def _admit(access: Access) -> Room:
    """The one place that decides whether a viewer may read a room."""
    if access.room is None:
        raise NotFound("room")
    if access.member is None:
        raise Forbidden("not a member of this room")
    return access.room


def _viewed(answer: object) -> ViewedMessage:
    assert isinstance(answer, Posted)
    return ViewedMessage(message=answer.message, status=answer.receipts.status_of(answer.message))
