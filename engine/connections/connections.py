"""Connections: who is admitted to which rooms, from which moment on, and how all of them end."""

import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from chinwag.engine.accounts.accounts import Accounts
from chinwag.engine.connections.fanout import Fanout, WireFormat
from chinwag.engine.connections.limits import SessionLimits, SessionStats
from chinwag.engine.connections.presence import PresenceRegistry
from chinwag.engine.connections.session import Session, Spawn
from chinwag.engine.connections.transport import CloseReason, Transport
from chinwag.engine.messages.resume import ALL_RESUMES_BYTES, RESUME_BYTES, RESUME_LIMIT, Replay, build_replay
from chinwag.engine.model.access import admit
from chinwag.engine.model.errors import ActorStopped, Forbidden, TooManyConnections
from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model.store import Missed, Store
from chinwag.engine.model.values import Presence, Record, User

MOST_LISTED = 1_000
"""Peers whose rows are read for the list of who is present: beyond that a crowd that reconnects would read millions."""
CLOSING_BATCHES = 20
"""In how many portions the connections are told to go away."""


class Connected(Record):
    """An admitted connection: its session, what to tell it first, and which of the rooms asked for are refused.

    `present` are those who share a room with the user and are online, where that was asked for. `greeting` is written
    before anything else.
    """

    session: Session
    user: User
    replay: Replay
    refused: tuple[RoomId, ...] = ()
    present: tuple[UserId, ...] = ()
    greeting: bytes = b""


class Connections:
    """Every session of an engine, from its admission to its end."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        fanout: Fanout[Session],
        presence: PresenceRegistry,
        limits: SessionLimits,
        stats: SessionStats,
        spawn: Spawn,
        on_ended: Callable[[UserId], None],
    ) -> None:
        """`on_ended` hears of the end of each connection. It must not wait."""
        self.closing = False
        """True as soon as the engine shuts down: nobody is admitted any more."""
        self._store = store
        self._accounts = accounts
        self._fanout = fanout
        self._presence = presence
        self._limits = limits
        self._stats = stats
        self._spawn = spawn
        self._on_ended = on_ended

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
        """See `Engine.connect`."""
        self._refuse_when_closing()
        await self._accounts.authenticate(family_id, user_id)
        self._refuse_when_closing()  # the shutdown may have begun, and would not find a session that is added now
        self._refuse_too_many(user_id, source, wire, most)
        session = Session(
            user_id=user_id,
            family_id=family_id,
            expires_at=expires_at,
            wire=wire,
            fanout=self._fanout,
            limits=self._limits,
            stats=self._stats,
            spawn=self._spawn,
            follows=follow,
            source=source,
        )
        # Subscribed before anything is checked: what happens in between is held, so nothing falls into a gap, and a
        # removal or log-out in between finds the session. A room that is joined after the session was added, and that
        # the list of all rooms therefore may lack, is for the fan-out to follow.
        self._fanout.add(session)
        try:
            wanted = await self._store.room_ids_of(user_id) if room_ids is None else list(dict.fromkeys(room_ids))
            if session.open:  # it was not, if the user was logged out meanwhile
                for room_id in wanted:
                    self._fanout.subscribe(session, room_id)
            user = await self._accounts.authenticate(family_id, user_id)
            present = await self._present_peers(user_id) if list_present else ()
            missed: Mapping[RoomId, Missed] = {}
            if room_ids is None and not resume:
                still = set(await self._store.room_ids_of(user_id))
                strange = [room_id for room_id in wanted if room_id not in still]
            else:
                missed = await self._store.missed(wanted, user_id, since=since, limit=RESUME_LIMIT)
                strange = [room_id for room_id in wanted if missed[room_id].access.member is None]
            if room_ids and len(strange) == len(wanted):
                raise Forbidden("not a member of any of these rooms")
            for room_id in strange:
                # Who left before this was read may be back since: then the subscription is the new membership's.
                if not (follow and session.joined_while_held(room_id)):
                    self._fanout.unsubscribe(session, room_id)
            session.forget_absences()
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            session.abandon()
            raise
        refused = () if room_ids is None else tuple(strange)
        if not resume:
            return Connected(session=session, user=user, replay=Replay(), refused=refused, present=present)
        mine = {room_id: found for room_id, found in missed.items() if found.access.member is not None}
        left = ALL_RESUMES_BYTES - self._stats.replaying_bytes
        replay = build_replay(mine, published=self._fanout.published, most_bytes=max(0, min(RESUME_BYTES, left)))
        session.expect_replay(replay.size_bytes)
        return Connected(session=session, user=user, replay=replay, refused=refused, present=present)

    async def serve(self, connected: Connected, transport: Transport, pump: Callable[[], Awaitable[None]]) -> None:
        """See `Engine.serve_session`."""
        session = connected.session
        self._presence.arrive(session.user_id)
        try:
            running = session.run(transport, pump, connected.replay, connected.greeting)
            del connected, transport, pump  # this frame lives as long as the connection, and a replay can be megabytes
            await running
        finally:
            self._presence.depart(session.user_id, trio.current_time())
            self._on_ended(session.user_id)

    async def follow_room(self, session: Session, room_id: RoomId) -> None:
        """See `Engine.follow_room`.

        A live session cannot hold back what it may turn out not to hear, so it is subscribed after the check, in the
        same step: what is delivered from then on comes after the membership that was seen. That is true unless a
        departure was published meanwhile, which may have been this one; then it is looked at again.
        """
        if self._fanout.is_subscribed(session, room_id):
            return
        while True:
            endings = self._fanout.endings
            admit(await self._store.access(room_id, session.user_id))
            if not session.open:
                return
            if endings == self._fanout.endings:
                self._fanout.subscribe(session, room_id)
                return

    async def close_all(self, *, spread_s: float) -> None:
        """Admit nobody any more and tell all sessions to go away, over `spread_s` seconds. Bounded in time."""
        self.closing = True
        sessions = list(self._fanout)
        if not sessions:
            return
        random.shuffle(sessions)
        batches = min(len(sessions), CLOSING_BATCHES)
        for start in range(batches):
            for session in sessions[start::batches]:
                session.close(CloseReason.GOING_AWAY)
            await trio.sleep(spread_s / batches)
        with trio.move_on_after(self._limits.closing_s):
            while len(self._fanout):  # noqa: ASYNC110 - at shutdown only, and bounded
                await trio.sleep(0.02)
        for session in self._fanout:
            session.abandon()

    def _refuse_too_many(self, user_id: UserId, source: str, wire: WireFormat, most: int | None) -> None:
        """What is counted here is added by `connect` in the same step."""
        mine = [each for each in self._fanout.sessions_of(user_id) if each.open]
        if most is not None and sum(each.wire is wire for each in mine) >= most:
            raise TooManyConnections(f"only {most} connections at a time")
        limits = self._limits
        if limits.per_user is not None and len(mine) >= limits.per_user:
            raise TooManyConnections(f"only {limits.per_user} connections at a time")
        if source and limits.per_source is not None and self._stats.by_source.get(source, 0) >= limits.per_source:
            raise TooManyConnections("too many connections from the same address")

    async def _present_peers(self, user_id: UserId) -> tuple[UserId, ...]:
        """Those who share a room with a user and are seen as online, by rising id.

        Who comes or goes from now on is told to the session, which is there already. Of more peers than `MOST_LISTED`
        only those are looked at who are connected: who declared to be online without it is then not among them.
        """
        peers = await self._store.peers_of(user_id)
        if len(peers) > MOST_LISTED:
            peers = {peer for peer in peers if self._presence.connected(peer) is Presence.ONLINE}
        users = await self._store.users(sorted(peers))
        return tuple(sorted(user.id for user in users if self._presence.of(user) is Presence.ONLINE))

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise ActorStopped("the server is shutting down")
