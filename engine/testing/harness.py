"""A test kit for the engine: an engine on a `MemoryStore`, with users by name and clients without sockets.

    async with open_harness() as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        client = await h.connect(bob, tea)
        await h.post(tea, ann, "hello")
        assert texts(client.received()) == ["hello"]

Nothing in it waits for real time, so it works under trio's autojump clock. `RoomHarness` is the short form for tests of
one room. It ships with the engine for whoever writes a front or embeds the engine.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import trio

from chinwag.engine.actors.mailbox import Ask
from chinwag.engine.connections.admission import Admission, Admitted
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import EVENT_LINES, UNBOUNDED, InProcessClient, InProcessTransport
from chinwag.engine.connections.transport import Transport
from chinwag.engine.connections.wires import Wire
from chinwag.engine.encryption.room_crypto import MasterKey
from chinwag.engine.engine import Engine, EngineConfig, open_engine
from chinwag.engine.life.jobs import Job
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commands import RoomCommand
from chinwag.engine.model.commits import Observer
from chinwag.engine.model.events import Event, MessagePosted, MessageReplayed
from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.values import Message, Record, Role, Room, User
from chinwag.engine.summaries.summaries import Summarizer
from chinwag.engine.testing.clock import SetClock
from chinwag.engine.testing.memory_store import MemoryStore

__all__ = [
    "EngineHarness",
    "Participant",
    "Person",
    "PlainPasswords",
    "RoomHarness",
    "keep_open",
    "open_harness",
    "texts",
]

PASSWORD = "correct horse"
"""Everybody's password."""
MASTER_KEY = MasterKey(bytes(range(32)))
"""What room keys in server custody are sealed with."""


REFRESH_KEY = bytes(range(32, 64))
"""What the successors of refresh tokens are computed with."""


class PlainPasswords:
    """`Passwords` that hash nothing and take no time. `verified` lists the hashes that a password was compared with."""

    def __init__(self) -> None:
        self.verified: list[str] = []

    async def hash(self, password: str) -> str:
        """The password itself, marked."""
        await trio.lowlevel.checkpoint()
        return f"plain:{password}"

    async def verify(self, hashed: str, password: str) -> bool:
        """Whether `hashed` is what `hash` made of the password."""
        await trio.lowlevel.checkpoint()
        self.verified.append(hashed)
        return hashed == f"plain:{password}"


class Person(Record):
    """A user with one log-in."""

    user: User
    family_id: FamilyId
    refresh_token: str

    @property
    def id(self) -> UserId:
        """The user's id."""
        return self.user.id


class EngineHarness:
    """An engine on a `MemoryStore`, and short ways to do what tests do all the time."""

    def __init__(self, engine: Engine, store: MemoryStore, passwords: PlainPasswords, nursery: trio.Nursery) -> None:
        self.engine = engine
        self.store = store
        self.passwords = passwords
        self._nursery = nursery
        self._people: dict[str, Person] = {}

    async def join(self, name: str) -> Person:
        """The user of this name, registered and logged in on first use."""
        known = self._people.get(name)
        if known is None:
            await self.engine.accounts.register(username=name, email=f"{name}@example.org", password=PASSWORD)
            known = self._people[name] = await self.log_in(name)
        return known

    async def log_in(self, name: str) -> Person:
        """One more log-in of a registered user: a second device."""
        log_in = await self.engine.accounts.log_in(name, PASSWORD)
        return Person(user=log_in.user, family_id=log_in.family_id, refresh_token=log_in.refresh_token)

    async def room(self, name: str, creator: Person, *others: Person) -> Room:
        """A new group; `creator` is its OWNER."""
        return await self.engine.rooms.create(creator.id, name=name, member_ids=[each.id for each in others])

    async def post(self, room: Room, author: Person, text: str, *, key: str | None = None) -> Message:
        """Post a message and wait until it is durable."""
        return (await self.engine.messages.post(room.id, author.id, text=text, key=key)).message

    async def connect(
        self,
        person: Person,
        *rooms: Room,
        expires_at: float = float("inf"),
        resume: bool = False,
        since: MessageId | None = None,
        take_bytes: int = UNBOUNDED,
        everywhere: bool = False,
        follow: bool = False,
        most: int | None = None,
        wire: Wire = EVENT_LINES,
        source: str = "",
    ) -> InProcessClient:
        """Connect, and serve until the client's transport is aborted, the engine ends it, or the harness closes."""
        transport = InProcessTransport(take_bytes=take_bytes)
        admitted = await self.admit(
            person,
            *rooms,
            expires_at=expires_at,
            resume=resume,
            since=since,
            everywhere=everywhere,
            follow=follow,
            most=most,
            wire=wire,
            source=source,
        )
        self.serve(admitted, transport, transport.until_gone)
        return InProcessClient(admitted.session, transport, admitted.refused)

    async def admit(
        self,
        person: Person,
        *rooms: Room,
        expires_at: float = float("inf"),
        resume: bool = False,
        since: MessageId | None = None,
        wire: Wire = EVENT_LINES,
        everywhere: bool = False,
        follow: bool = False,
        most: int | None = None,
        source: str = "",
    ) -> Admitted:
        """`Connections.admit` without serving: for tests of what happens in between.

        `everywhere`: to all of the person's rooms, and those they join later. `since`: the last message that the client
        has.
        """
        return await self.engine.connections.admit(
            Admission(
                user_id=person.id,
                family_id=person.family_id,
                expires_at=expires_at,
                wire=wire,
                room_ids=None if everywhere else [room.id for room in rooms],
                resume=resume or since is not None,
                since=None if since is None else Position.of_message(since),
                follow=follow or everywhere,
                most=most,
                source=source,
            )
        )

    def serve(self, admitted: Admitted, transport: Transport, read: Callable[[], Awaitable[None]]) -> trio.CancelScope:
        """Run an admitted session in the background, on any transport, until `read` returns. Cancel the scope to end
        its task."""
        scope = trio.CancelScope()

        async def serve() -> None:
            with scope:
                async with self.engine.connections.attach(admitted, transport):
                    await read()

        self._nursery.start_soon(serve)
        return scope


class Participant:
    """Somebody in a `RoomHarness`: a member with a connection."""

    def __init__(self, person: Person, client: InProcessClient) -> None:
        self.person = person
        self.client = client

    @property
    def user(self) -> UserId:
        """The user's id."""
        return self.person.id

    @property
    def closed_with(self) -> CloseReason | None:
        """Why the engine ended the connection, None while it has not."""
        return self.client.closed_with

    def received(self) -> list[Event]:
        """What came since the last look. Never waits."""
        return self.client.received()


class RoomHarness:
    """One room. Who joins first makes it and is its OWNER."""

    def __init__(self, harness: EngineHarness) -> None:
        self.h = harness
        self._room: Room | None = None
        self._owner: Person | None = None

    @property
    def room(self) -> Room:
        """The room. There is one as soon as somebody has joined."""
        assert self._room is not None, "nobody has joined yet"
        return self._room

    @property
    def id(self) -> RoomId:
        """The room's id."""
        return self.room.id

    async def join(self, name: str, *, take_bytes: int = UNBOUNDED) -> Participant:
        """Make a user a member, and connect. `take_bytes` is what the client reads before it stops reading."""
        person = await self.h.join(name)
        if self._owner is None:
            self._owner = person
            self._room = await self.h.room("the room", person)
        else:
            await self.h.engine.rooms.add_member(self.id, self._owner.id, person.id, Role.MEMBER)
        return Participant(person, await self.h.connect(person, self.room, take_bytes=take_bytes))

    async def ask(self, command: RoomCommand) -> object:
        """Give the room a command and wait for its answer."""
        return await self.tell(command).result()

    def tell(self, command: RoomCommand) -> Ask:
        """Queue a command at once: those told without a checkpoint in between are one turn. Await the slot later."""
        slot = Ask()
        self.h.engine.rooms.tell(self.id, command, slot)
        return slot


@contextlib.asynccontextmanager
async def open_harness(
    store: MemoryStore | None = None,
    *,
    config: EngineConfig | None = None,
    summarizer: Summarizer | None = None,
    clock: Clock | None = None,
    observers: Sequence[Observer] = (),
    jobs: Sequence[Job] = (),
) -> AsyncIterator[EngineHarness]:
    """Run an engine for a test. Pass the `store` of an earlier harness to see what a restart makes of it.

    `clock` is the engine's; without one its time stands still. Pass a `SetClock` to move it. `observers` and `jobs` are
    as for `open_engine`.
    """
    store = store or MemoryStore()
    passwords = PlainPasswords()
    async with trio.open_nursery() as nursery:
        async with open_engine(
            store,
            passwords=passwords,
            config=config,
            summarizer=summarizer,
            master_key=MASTER_KEY,
            refresh_key=REFRESH_KEY,
            clock=clock or SetClock(),
            observers=observers,
            jobs=jobs,
        ) as engine:
            yield EngineHarness(engine, store, passwords, nursery)
        nursery.cancel_scope.cancel()


async def keep_open(
    engine: Engine, admitted: Admitted, transport: InProcessTransport, greeting: Sequence[bytes] = ()
) -> None:
    """Run an admitted session until its transport is aborted, or the engine ends it."""
    async with engine.connections.attach(admitted, transport, greeting):
        await transport.until_gone()


def texts(events: Iterable[Event]) -> list[str]:
    """The texts of the messages among the events, live or replayed, in order."""
    return [event.message.text for event in events if isinstance(event, MessagePosted | MessageReplayed)]
