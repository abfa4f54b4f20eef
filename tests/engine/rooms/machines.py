"""What the state machines of a room share: a real actor, given one turn after the other, over a `MemoryStore`."""

from collections.abc import Awaitable, Callable, Iterable, Sequence, Set
from typing import TypeVar

import trio
from hypothesis.stateful import RuleBasedStateMachine

from chinwag.engine.actors.mailbox import Ask, Envelope
from chinwag.engine.actors.turns import TurnLoop
from chinwag.engine.life.commits import ObservedCommits
from chinwag.engine.model.commands import RoomCommand
from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.events import Event, UserEvent
from chinwag.engine.model.ids import IdSource, RoomId, UserId
from chinwag.engine.model.store import InsertUser, Write
from chinwag.engine.model.values import User
from chinwag.engine.rooms.actor import RoomActor, RoomStats
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.rooms.typists import Typists
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.clock import SetClock

ROOM = RoomId(1_000)
USERS = [UserId(n) for n in range(1, 5)]
WINDOW = 4
"""Messages in memory: few, so that many commands are about older ones."""

T = TypeVar("T")


def wait(task: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run something to its end."""
    return trio.run(task, *args)


def _no_timers(*_: object) -> None:
    raise AssertionError("nobody types here")


class ActorMachine(RuleBasedStateMachine):
    """A room's actor under test. A subclass says what the room begins with, what happens, and what always holds."""

    def open_store(self, writes: Sequence[Write]) -> None:
        """Begin with the users, and these rows."""
        self.new_id = IdSource(above=2_000, clock=lambda: 0)
        self.store = MemoryStore()
        users = [User(id=user, username=f"u{user}", email=None, created_us=0) for user in USERS]
        wait(self.store.commit, [*(InsertUser(user=user, password_hash="") for user in users), *writes])
        self.load()

    @property
    def state(self) -> RoomState:
        """What the actor has in memory, loaded when it has thrown it away."""
        state = self.actor._state or wait(self.actor._load)
        assert state is not None
        return state

    def load(self) -> None:
        """Start the room's actor, in place of the one before."""

        async def start() -> RoomActor:
            return RoomActor(
                ROOM,
                store=self.store,
                commits=ObservedCommits(self.store, self),
                new_id=self.new_id,
                clock=SetClock(),
                spawn=_no_timers,
                stats=RoomStats(),
                turns=TurnLoop(),
                typists=Typists(),
                recent_messages=WINDOW,
            )

        self.actor = wait(start)

    def publish(self, room_id: RoomId, events: Iterable[Event]) -> None:
        """The room's fan-out."""
        assert room_id == ROOM
        for event in events:
            self.see(event)

    def publish_to(self, user_ids: Set[UserId], event: UserEvent) -> None:
        """Rooms tell people of their own memberships alone, and these within their turns."""
        raise AssertionError(f"{event} was published to {user_ids}")

    def is_heard(self, kind: type[UserEvent]) -> bool:  # noqa: ARG002
        """A client hears everything."""
        return True

    def see(self, event: Event) -> None:
        """What a client that hears everything makes of an event."""

    def turn(self, *commands: RoomCommand) -> list[object]:
        """Give the actor commands as one turn; the outcomes are answers or refusals."""

        async def take() -> list[object]:
            slots = [Ask() for _ in commands]
            await self.actor.turn([Envelope(*each) for each in zip(commands, slots, strict=True)])
            outcomes: list[object] = []
            for slot in slots:
                try:
                    outcomes.append(await slot.result())
                except EngineError as refusal:
                    outcomes.append(refusal)
            return outcomes

        return wait(take)
