"""The rooms that are in memory: finds or starts their actors, passivates idle ones, ends them all at shutdown."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import structlog
import trio

from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commands import RoomCommand, StopTyping
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import ActorStopped, TryLater
from chinwag.engine.model.ids import NewId, RoomId, UserId
from chinwag.engine.model.store import Store
from chinwag.engine.model.tasks import Spawn
from chinwag.engine.rooms.actor import RoomActor, RoomStats
from chinwag.engine.rooms.kept_pages import KeptPages
from chinwag.engine.rooms.typists import Typists

log = structlog.get_logger("chinwag.engine")

ROOMS_DRAIN_S = 4.0
"""How long the rooms may take at shutdown to finish what is queued."""


class RoomRegistry:
    """One actor per room that is awake, and the kept pages of those that sleep."""

    def __init__(
        self,
        *,
        store: Store,
        commits: Commits,
        new_id: NewId,
        clock: Clock,
        spawn: Spawn,
        start: Callable[[Callable[[RoomActor], Awaitable[None]], RoomActor], None],
        stats: RoomStats,
        turns: TurnLoop,
    ) -> None:
        """`spawn` starts a task whose failure is logged; `start` starts an actor's own task; `turns` begins turns."""
        self.typists = Typists()
        self.kept_pages = KeptPages()
        self.closing = False
        """Set at shutdown: no room is started any more."""
        self.stats = stats
        """What all rooms together did."""
        self._store = store
        self._commits = commits
        self._new_id = new_id
        self._clock = clock
        self._spawn = spawn
        self._start = start
        self._turns = turns
        self._actors: dict[RoomId, RoomActor] = {}
        self._ended_restarts = 0

    def awake(self, room_id: RoomId) -> RoomActor | None:
        """The room's actor when there is one. Starts none."""
        return self._actors.get(room_id)

    def actor(self, room_id: RoomId) -> RoomActor:
        """The room's actor, started when there is none. Raises `ActorStopped` during the shutdown."""
        actor = self._actors.get(room_id)
        if actor is None or actor.stopped:
            if self.closing:
                raise ActorStopped("the server is shutting down")
            actor = RoomActor(
                room_id,
                store=self._store,
                commits=self._commits,
                new_id=self._new_id,
                clock=self._clock,
                spawn=self._spawn,
                stats=self.stats,
                turns=self._turns,
                typists=self.typists,
            )
            self._actors[room_id] = actor
            self.kept_pages.wake(room_id)
            self._start(self._run, actor)
        return actor

    async def ask(self, room_id: RoomId, command: RoomCommand) -> object:
        """Send a room a command and wait for its answer. Raises as `actor` and `Actor.ask` do."""
        return await self.actor(room_id).ask(command)

    def end_typing(self, user_id: UserId) -> None:
        """Let somebody be typing nowhere any more. Never waits."""
        for room_id in self.typists.rooms_of(user_id):
            actor = self._actors.get(room_id)
            if actor is not None:
                with suppress(TryLater):  # then the room's own timer ends it in some seconds
                    actor.tell(StopTyping(user_id=user_id))

    def passivate_idle(self, idle_s: float) -> None:
        """Let rooms that have been idle for so long give up their memory."""
        for actor in tuple(self._actors.values()):
            if actor.idle(idle_s):
                # Out of the registry in the same step: no command can slip in between.
                actor.stop()
                del self._actors[actor.room_id]

    async def shut_down(self) -> None:
        """Let every room finish what is queued. Bounded in time."""
        self.closing = True
        for actor in tuple(self._actors.values()):
            actor.stop()
        with trio.move_on_after(ROOMS_DRAIN_S) as drain:
            while self._actors:  # noqa: ASYNC110 - at shutdown only, and bounded
                await trio.sleep(0.005)
        if drain.cancelled_caught:
            log.error("rooms did not finish in time", rooms=len(self._actors))

    def __iter__(self) -> Iterator[RoomActor]:
        """The actors of all rooms that are awake, as they are at this moment."""
        return iter(tuple(self._actors.values()))

    def __len__(self) -> int:
        return len(self._actors)

    @property
    def restarts(self) -> int:
        """How often room actors were restarted after a crash."""
        return self._ended_restarts + sum(actor.restarts for actor in self._actors.values())

    async def _run(self, actor: RoomActor) -> None:
        try:
            await actor.run()
        except Exception:
            # The nursery is shared by all rooms and sessions: what escapes into it would end them all. The askers have
            # been refused on the way out, and the next command starts a new actor.
            log.exception("room ended by a bug outside its turns", room=actor.room_id)
        finally:
            self._ended_restarts += actor.restarts
            if self._actors.get(actor.room_id) is actor:
                del self._actors[actor.room_id]
