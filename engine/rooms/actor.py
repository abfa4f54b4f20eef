"""The room actor: owns a room's state, mailbox and timers, and decides nothing (the rules are in `rooms.state`)."""

from functools import partial

import trio

from chinwag.engine.actors.actor import Actor, CommandCrashed
from chinwag.engine.actors.mailbox import Envelope
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commands import ExpireTyping, PostMessage, RoomCommand, UpdateProfile
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import EngineError, InternalError, NotFound, Overloaded, StoreUnavailable
from chinwag.engine.model.events import Event, MessagePosted
from chinwag.engine.model.ids import NewId, RoomId, UserId
from chinwag.engine.model.store import DuplicateKey, Store, Write, WriteRejected
from chinwag.engine.model.tasks import Spawn
from chinwag.engine.rooms.memory import RECENT_MESSAGES, Outcome, Timer
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.rooms.typists import Typists


class RoomStats:
    """Counters that all rooms of an engine share."""

    __slots__ = ("commands", "messages", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self.commands = 0
        self.messages = 0


class _Turn:
    """What became of a batch: each command's outcome, and all their events and writes, in order."""

    __slots__ = ("batch", "events", "outcomes", "writes")

    def __init__(self, batch: list[Envelope[RoomCommand]]) -> None:
        self.batch = batch
        self.outcomes: list[Outcome | EngineError] = []
        self.events: list[Event] = []
        self.writes: list[Write] = []


class RoomActor(Actor[RoomCommand]):
    """One chat room. One turn at a time touches the state, so it needs no lock."""

    def __init__(
        self,
        room_id: RoomId,
        *,
        store: Store,
        commits: Commits,
        new_id: NewId,
        clock: Clock,
        spawn: Spawn,
        stats: RoomStats,
        turns: TurnLoop,
        typists: Typists,
        recent_messages: int = RECENT_MESSAGES,
    ) -> None:
        """`spawn` starts a task beside the actor (for timers). All rooms of an engine share `stats`, `turns` and
        `typists`. `recent_messages`: how many of the newest are kept in memory."""
        super().__init__(f"room {room_id}", turns)
        self.room_id = room_id
        self.busy = False
        self.last_turn = trio.current_time()
        self.late_profiles: dict[UserId, UpdateProfile] = {}
        """What `renamed_members` could not tell it yet: its mailbox was full."""
        self._store = store
        self._commits = commits
        self._new_id = new_id
        self._clock = clock
        self._spawn = spawn
        self._stats = stats
        self._typists = typists
        self._recent_messages = recent_messages
        self._state: RoomState | None = None
        self._timers: dict[UserId, tuple[float, ExpireTyping]] = {}
        self._typing: dict[UserId, int] = {}
        self._typing_before: dict[UserId, int] | None = None
        """As it was when the turn that is going on began."""

    def idle(self, seconds: float) -> bool:
        """True when nothing is queued or going on, and the last turn is at least so long ago."""
        return not self.busy and not self.queued and trio.current_time() - self.last_turn >= seconds

    @property
    def committed_state(self) -> RoomState | None:
        """The state, to look at and not to keep, when it is what is committed: not in a turn, nor before the first."""
        return None if self.busy else self._state

    def may_know(self, user_id: UserId) -> bool:
        """False when nothing about a user is in memory, or on its way into it, for sure."""
        return self.busy or self.queued > 0 or (self._state is not None and self._state.knows(user_id))

    @property
    def working_state(self) -> RoomState | None:
        """The state, to look at and not to keep, also in a turn, when it may be ahead of what is committed."""
        return self._state

    def reset(self) -> None:
        """Throw the state away; the next turn loads it from the store."""
        self._state = None
        if self._typing_before is not None:  # what the turn said of it was not told to anybody
            self._typing.clear()
            self._typing.update(self._typing_before)
            self._typing_before = None

    def begin(self, batch: list[Envelope[RoomCommand]]) -> bool:
        """Begin a turn without waiting, if everything that it needs is in memory. It ends when its commit does."""
        self.busy = True  # also when the task has to take it: until then nobody may think the room idle
        state = self._state
        if state is None or state.incomplete:
            return False
        for envelope in batch:
            command = envelope.command
            if type(command) is PostMessage and command.reply_to is None and command.sealed is None:
                continue  # plain text, as nearly all is, is about nothing else that would have to be in memory
            if state.lacks(command):
                return False
        turn = self._apply(state, batch)
        try:
            self._commits.commit_soon(turn.writes, turn.events, partial(self._end, state, turn), self._fail)
        except BaseException:  # whatever it is: as in `_take`
            self.reset()
            raise
        return True

    def _end(self, state: RoomState, turn: _Turn) -> None:
        self._release(turn)
        self._after(state)
        self.busy = False
        self.last_turn = trio.current_time()
        self.end()

    def _fail(self, failure: Exception) -> None:
        self.reset()  # the state is ahead of the store: nothing may be answered from it any more
        self.fail(failure)

    async def turn(self, batch: list[Envelope[RoomCommand]]) -> None:
        """Apply everything queued, commit once, and only then tell anyone.

        When the store blames one of the writes, the batch is taken again one command at a time, so that a bad command
        fails alone.
        """
        self.busy = True
        try:
            await self._attempt(batch)
        finally:
            self.busy = False
            self.last_turn = trio.current_time()

    async def _attempt(self, batch: list[Envelope[RoomCommand]]) -> None:
        try:
            try:
                if self._failure is not None:  # the turn was begun by the turn loop
                    failure, self._failure = self._failure, None
                    raise failure
                await self._take(batch)
            except (DuplicateKey, WriteRejected, InternalError) as clash:
                await self._after_clash(batch, clash)
        except StoreUnavailable as unavailable:
            for envelope in batch:
                envelope.refuse(unavailable)

    async def _after_clash(
        self, batch: list[Envelope[RoomCommand]], clash: DuplicateKey | WriteRejected | InternalError
    ) -> None:
        """The store refused the turn. Most likely one of its commands is a retry under a key that memory has let go of.

        With the first messages under all unknown keys at hand the turn is taken again; if that does not help, one
        command at a time.
        """
        try:
            if isinstance(clash, DuplicateKey) and await self._recall_keys(batch):
                return await self._take(batch)
        except (DuplicateKey, WriteRejected, InternalError) as again:
            clash = again
        except StoreUnavailable:
            if len(batch) == 1:
                raise
        if len(batch) == 1:
            raise CommandCrashed(batch[0]) from clash
        for envelope in batch:
            await self._attempt([envelope])
        return None

    async def _take(self, batch: list[Envelope[RoomCommand]]) -> None:
        state = self._state or await self._load()
        if state is None:
            for envelope in batch:
                envelope.refuse(NotFound("room"))
            self.stop()
            return
        await self._recall(state, batch)
        turn = self._apply(state, batch)
        try:
            # The store releases it in commit order over all rooms, which this task alone could not promise.
            await self._commits.commit(turn.writes, turn.events, partial(self._release, turn))
        except BaseException:
            self.reset()  # the state is ahead of the store: nothing may be answered from it any more
            raise
        self._after(state)

    def _apply(self, state: RoomState, batch: list[Envelope[RoomCommand]]) -> _Turn:
        """Have the rules applied to each command, in order."""
        turn = _Turn(batch)
        now = self._clock()
        self._typing_before = self._typing.copy()
        for envelope in batch:
            try:
                outcome = state.handle(envelope.command, now)
            except EngineError as refusal:
                turn.outcomes.append(refusal)
            except Exception as bug:
                raise CommandCrashed(envelope) from bug
            else:
                turn.outcomes.append(outcome)
                turn.events += outcome.events
                turn.writes += outcome.writes
        return turn

    def _release(self, turn: _Turn) -> None:
        """What the turn wrote is durable, and its events are published: answer everybody."""
        self._typing_before = None
        self._stats.turns += 1
        self._stats.commands += len(turn.batch)
        if turn.events:
            posted = len(turn.events) == 1 and type(turn.events[0]) is MessagePosted  # what most turns are
            self._stats.messages += posted or [type(event) for event in turn.events].count(MessagePosted)
        for envelope, outcome in zip(turn.batch, turn.outcomes, strict=True):
            if isinstance(outcome, Outcome):
                if outcome.timer is not None:
                    self._arm(outcome.timer)
                envelope.answer(outcome.answer)
            else:
                envelope.refuse(outcome)

    def _after(self, state: RoomState) -> None:
        state.end_turn()
        if state.deleted:
            self.stop()

    async def _load(self) -> RoomState | None:
        snapshot = await self._store.room_snapshot(self.room_id, recent=self._recent_messages)
        if snapshot is None:
            return None
        self._state = RoomState(
            snapshot, new_id=self._new_id, recent_messages=self._recent_messages, typing=self._typing
        )
        return self._state

    async def _recall(self, state: RoomState, batch: list[Envelope[RoomCommand]]) -> None:
        for envelope in batch:
            command = envelope.command
            wanted = state.unknown_message(command)
            if wanted is not None:
                state.recall(wanted, await self._store.message(self.room_id, wanted))
            key = state.unknown_key(command)
            if key is not None:
                first = await self._store.keyed_message(self.room_id, *key)
                if first is not None:
                    state.recall_key(first)
            digest = state.unknown_invitation(command)
            if digest is not None:
                state.recall_invitation(digest, await self._store.invitation(digest))
            user_id = state.unknown_ban(command)
            if user_id is not None:
                state.recall_ban(user_id, await self._store.ban(self.room_id, user_id))
            for absent in state.unknown_absent(command):
                state.recall_absent(absent, await self._store.user(absent))

    async def _recall_keys(self, batch: list[Envelope[RoomCommand]]) -> bool:
        """Load the state anew, and with it what was first posted under the batch's keys; False when nothing was."""
        state = await self._load()
        found = False
        for envelope in batch:
            command = envelope.command
            if state is not None and isinstance(command, PostMessage) and command.key is not None:
                first = await self._store.keyed_message(self.room_id, command.author, command.key)
                if first is not None:
                    state.recall_key(first)
                    found = True
        return found

    def _arm(self, timer: Timer) -> None:
        """One task per user that is typing, however often they say so: a client must not be able to make more."""
        user_id = timer.command.user_id
        armed = user_id in self._timers
        self._timers[user_id] = (trio.current_time() + timer.after_s, timer.command)
        if not armed:
            self._typists.began(user_id, self.room_id)
            self._spawn(self._tell_when_due, user_id)

    async def _tell_when_due(self, user_id: UserId) -> None:
        deadline, command = self._timers[user_id]
        while deadline > trio.current_time():
            await trio.sleep_until(deadline)
            deadline, command = self._timers[user_id]
        del self._timers[user_id]
        self._typists.ended(user_id, self.room_id)
        while not self.stopped:
            try:
                self.tell(command)
                return
            except Overloaded:
                await trio.sleep(1.0)
