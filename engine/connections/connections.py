"""The service `engine.connections`: who is admitted to which rooms, from which moment on, and how all of them end."""

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
import trio

from chinwag.engine.accounts.accounts import Accounts
from chinwag.engine.connections.admission import Admission, Admitted
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.fanout import Fanout
from chinwag.engine.connections.limits import SessionLimits, SessionStats
from chinwag.engine.connections.presence import PresenceService
from chinwag.engine.connections.session import Session
from chinwag.engine.connections.transport import LOST, Transport
from chinwag.engine.messages.resume import ALL_RESUMES_BYTES, RESUME_BYTES, RESUME_LIMIT, Replay, build_replay
from chinwag.engine.model.access import require_member
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.errors import ActorStopped, Forbidden, TooManyConnections
from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.store import Missed, Store
from chinwag.engine.model.tasks import Spawn

log = structlog.get_logger("chinwag.engine")

CLOSING_BATCHES = 20
"""In how many portions the connections are told of a restart."""


class Connections:
    """Every session of an engine, from its admission to its end."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        fanout: Fanout[Session],
        presence: PresenceService,
        limits: SessionLimits,
        spawn: Spawn,
        end_typing: Callable[[UserId], None],
        clock: Clock,
    ) -> None:
        """`end_typing` ends what a user types in all rooms. It must not wait."""
        self.closing = False
        """True as soon as the engine shuts down: nobody is admitted any more."""
        self.stats = SessionStats()
        self._store = store
        self._accounts = accounts
        self._fanout = fanout
        self._presence = presence
        self._limits = limits
        self._spawn = spawn
        self._end_typing = end_typing
        self._clock = clock

    # --- opening ---

    @asynccontextmanager
    async def open(self, admission: Admission, transport: Transport) -> AsyncIterator[Session]:
        """A connection, live within the block: what was missed has been or is being written to `transport`, and so is
        whatever happens. The block reads what the client says; an end of the connection that it meets (`LOST`) ends it
        quietly, and leaving the block ends the connection.

        Raises as `admit` does, before the block is entered.
        """
        async with self.attach(await self.admit(admission), transport) as session:
            yield session

    def attach(
        self, admitted: Admitted, transport: Transport, greeting: Sequence[bytes] = ()
    ) -> AbstractAsyncContextManager[Session]:
        """The second half of `open`, where what carries the connection is made after it was admitted: an answer over
        HTTP tells a client beforehand that it is refused. `greeting`, bodies in the client's dialect, is said before
        anything else."""
        return _Attached(self, admitted, transport, greeting)

    async def admit(self, admission: Admission) -> Admitted:
        """Admit a connection to what it asks for, from this moment on. Attach a transport, or abandon its session.

        Raises `Unauthenticated`; `TooManyConnections`; `Forbidden` when none of the rooms asked for is the user's;
        `StoreUnavailable`; `ActorStopped` during the shutdown.
        """
        user_id, family_id, room_ids = admission.user_id, admission.family_id, admission.room_ids
        self._refuse_when_closing()
        await self._accounts.authenticate(family_id, user_id)
        self._refuse_when_closing()  # the shutdown may have begun, and would not find a session that is added now
        self._refuse_too_many(admission)
        session = Session(
            user_id=user_id,
            family_id=family_id,
            expires_at=admission.expires_at,
            wire=admission.wire,
            fanout=self._fanout,
            limits=self._limits,
            stats=self.stats,
            spawn=self._spawn,
            follows=admission.follow,
            source=admission.source,
        )
        # Subscribed before anything is checked: what happens in between is held, so nothing falls into a gap, and a
        # removal or log-out in between finds the session. A room that is joined after the session was added, and that
        # the list of all rooms therefore may lack, is for the fan-out to follow.
        self._fanout.add(session)
        position = Position.at(self._fanout.published)
        try:
            wanted = await self._store.room_ids_of(user_id) if room_ids is None else list(dict.fromkeys(room_ids))
            if session.open:  # it was not, if the user was logged out meanwhile
                for room_id in wanted:
                    self._fanout.subscribe(session, room_id)
            user = await self._accounts.authenticate(family_id, user_id)
            # Who comes or goes from now on is told to the session, which is there already.
            present = await self._presence.online_peers_of(user_id) if admission.list_present else ()
            missed: Mapping[RoomId, Missed] = {}
            if room_ids is None and not admission.resume:
                still = set(await self._store.room_ids_of(user_id))
                strange = [room_id for room_id in wanted if room_id not in still]
            else:
                since, of_moment = self._asked_since(admission.since)
                missed = await self._store.missed(wanted, user_id, since=since, limit=RESUME_LIMIT, moment=of_moment)
                strange = [room_id for room_id in wanted if missed[room_id].access.member is None]
            if room_ids and len(strange) == len(wanted):
                raise Forbidden("not a member of any of these rooms")
            for room_id in strange:
                # Who left before this was read may be back since: then the subscription is the new membership's.
                if not (admission.follow and session.joined_while_held(room_id)):
                    self._fanout.unsubscribe(session, room_id)
            session.forget_absences()
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            session.abandon()
            raise
        now_us = self._clock()
        refused = () if room_ids is None else tuple(strange)
        if not admission.resume:
            return Admitted(
                session=session,
                user=user,
                at_us=now_us,
                replay=Replay(),
                position=position,
                refused=refused,
                present=present,
            )
        mine = {room_id: found for room_id, found in missed.items() if found.access.member is not None}
        left = ALL_RESUMES_BYTES - self.stats.replaying_bytes
        replay = build_replay(mine, published=self._fanout.published, most_bytes=max(0, min(RESUME_BYTES, left)))
        session.expect_replay(replay.size_bytes)
        return Admitted(
            session=session,
            user=user,
            at_us=now_us,
            replay=replay,
            position=position,
            refused=refused,
            present=present,
        )

    # --- while they are open ---

    async def follow(self, session: Session, room_id: RoomId) -> None:
        """Let an open session hear of one more room from now on, as long as its user is a member.

        Raises `NotFound("room")` or `NotAMember`.
        """
        # A live session cannot hold back what it may turn out not to hear, so it is subscribed after the check, in the
        # same step: what is delivered from then on comes after the membership that was seen. That is true unless a
        # departure was published meanwhile, which may have been this one; then it is looked at again.
        if self._fanout.is_subscribed(session, room_id):
            return
        while True:
            endings = self._fanout.endings
            require_member(await self._store.access(room_id, session.user_id))
            if not session.open:
                return
            if endings == self._fanout.endings:
                self._fanout.subscribe(session, room_id)
                return

    def unfollow(self, session: Session, room_id: RoomId) -> None:
        """Let a session hear no more of a room. No-op when it does not."""
        self._fanout.unsubscribe(session, room_id)

    def hears_of(self, session: Session, room_id: RoomId) -> bool:
        """Whether a session is told what happens in a room."""
        return self._fanout.is_subscribed(session, room_id)

    def of(self, user_id: UserId) -> tuple[Session, ...]:
        """A user's sessions."""
        return self._fanout.sessions_of(user_id)

    def __iter__(self) -> Iterator[Session]:
        """All sessions, as they are at this moment."""
        return iter(self._fanout)

    def __len__(self) -> int:
        return len(self._fanout)

    @property
    def events(self) -> int:
        """Events published so far."""
        return self._fanout.events

    @property
    def deliveries(self) -> int:
        """Writes handed to sessions so far, one per session and turn."""
        return self._fanout.deliveries

    # --- ending ---

    def end_log_in(self, user_id: UserId, family_id: FamilyId | None) -> None:
        """Close the sessions of one log-in, with None all of the user's. Never waits."""
        self._close(user_id, family_id, CloseReason.TOKEN_INVALID)

    def shut_out(self, user_id: UserId) -> None:
        """Close all sessions of a user who may not come back. Never waits."""
        self._close(user_id, None, CloseReason.NOT_ALLOWED)

    def end_typing_unless_connected(self, user_id: UserId) -> None:
        """Who has no connection any more types nowhere: the others are told at once. Never waits."""
        if not any(session.open for session in self._fanout.sessions_of(user_id)):
            self._end_typing(user_id)

    def check(self, now: float) -> None:
        """Apply all rules about time. Called about once a second."""
        for session in self._fanout:
            try:
                session.check(now)
            except Exception:
                # It costs the session it happened in, and not those that come after it in this sweep.
                log.exception("session check failed", user=session.user_id)
                session.abandon()

    async def close_all(self, *, spread_s: float) -> None:
        """Admit nobody any more and tell all sessions of a restart, over `spread_s` seconds. Bounded in time."""
        self.closing = True
        sessions = list(self._fanout)
        if not sessions:
            return
        random.shuffle(sessions)
        batches = min(len(sessions), CLOSING_BATCHES)
        for start in range(batches):
            for session in sessions[start::batches]:
                session.close(CloseReason.RESTART)
            await trio.sleep(spread_s / batches)
        with trio.move_on_after(self._limits.closing_s):
            while len(self._fanout):  # noqa: ASYNC110 - at shutdown only, and bounded
                await trio.sleep(0.02)
        for session in self._fanout:
            session.abandon()

    # --- pieces ---

    def _close(self, user_id: UserId, family_id: FamilyId | None, reason: CloseReason) -> None:
        for session in self._fanout.sessions_of(user_id):
            if family_id is None or session.family_id == family_id:
                session.close(reason)
        self.end_typing_unless_connected(user_id)

    def _arrived(self, session: Session) -> None:
        """A session's connection is there: its user is present."""
        self._presence.arrive(session.user_id)

    def _ended(self, session: Session) -> None:
        """It is over."""
        self._presence.depart(session.user_id, trio.current_time())
        self.end_typing_unless_connected(session.user_id)

    def _asked_since(self, position: Position | None) -> tuple[MessageId | None, bool]:
        """What the store is asked for. A moment that is still to come is of another server, or of one that lost
        messages: nothing can be resumed from it."""
        if position is None or (position.of_moment and position.newest_id > self._fanout.published):
            return None, False
        return position.newest_id, position.of_moment

    def _refuse_too_many(self, admission: Admission) -> None:
        """What is counted here is added by `admit` in the same step."""
        mine = [each for each in self._fanout.sessions_of(admission.user_id) if each.open]
        most, limits, source = admission.most, self._limits, admission.source
        if most is not None and sum(each.wire is admission.wire for each in mine) >= most:
            raise TooManyConnections(f"only {most} connections at a time")
        if limits.per_user is not None and len(mine) >= limits.per_user:
            raise TooManyConnections(f"only {limits.per_user} connections at a time")
        if source and limits.per_source is not None and self.stats.by_source.get(source, 0) >= limits.per_source:
            raise TooManyConnections("too many connections from the same address")

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise ActorStopped("the server is shutting down")


class _Attached:
    """See `Connections.attach`. A class and not a generator: it lives as long as the connection, and there are many."""

    __slots__ = ("_connections", "_greeting", "_replay", "_session", "_transport")

    def __init__(
        self, connections: Connections, admitted: Admitted, transport: Transport, greeting: Sequence[bytes]
    ) -> None:
        self._connections = connections
        self._session = admitted.session
        self._replay: Replay | None = admitted.replay
        self._transport: Transport | None = transport
        self._greeting = greeting

    async def __aenter__(self) -> Session:
        transport, replay, greeting = self._transport, self._replay, self._greeting
        assert transport is not None and replay is not None, "a connection is entered once"
        self._transport = self._replay = None  # a replay can be megabytes
        self._greeting = ()
        self._connections._arrived(self._session)
        self._session.begin(transport, replay, greeting)
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        self._session.abandon()
        self._connections._ended(self._session)
        return isinstance(error, LOST)
