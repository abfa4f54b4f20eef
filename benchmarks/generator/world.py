"""The people and rooms of a run: in a data folder that no server has open (fast), or over HTTP on any server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import trio

from chinwag.benchmarks.generator.http_client import HttpClient
from chinwag.engine.accounts.deployment import deployment_of
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.model.ids import FamilyId, IdSource, MessageId, RoomId, UserId
from chinwag.engine.model.store import InsertFamily, InsertMember, InsertMessage, InsertRoom, InsertUser, Write
from chinwag.engine.model.values import Deployment, Family, Member, Message, Role, Room, RoomKind, User
from chinwag.http.security.tokens import AccessTokens, load_secret
from chinwag.http.server import DATABASE_NAME
from chinwag.persistence import open_sqlite_store

TOKEN_LIFETIME_S: Final = 24 * 3600.0
_WRITES_AT_ONCE: Final = 20_000
_PASSWORD: Final = "correct-horse-battery"
_MEMBERS_AT_ONCE: Final = 1000  # what one request may name


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user with an access token; empty for a server that asks for none."""

    id: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A room with its members."""

    id: str
    members: Sequence[Person]
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted: for each room how many members, all different people, and how many messages it holds."""

    rooms: Sequence[int]
    history: int = 0

    @property
    def people(self) -> int:
        return sum(self.rooms)


@dataclass(slots=True)
class World:
    """What there is."""

    rooms: list[Party] = field(default_factory=list)


def nameless(plan: Plan) -> World:
    """Rooms for servers that know no users: any name makes a room."""
    nobody = Person(id="", token="")
    return World([Party(id=f"room-{number}", members=[nobody] * size) for number, size in enumerate(plan.rooms)])


def numbered(plan: Plan, token: Callable[[int], str]) -> World:
    """Rooms and users that count from 1."""
    numbers = count(1)
    rooms = []
    for number, size in enumerate(plan.rooms, 1):
        members = [Person(id=str(user), token=token(user)) for user in (next(numbers) for _ in range(size))]
        rooms.append(Party(id=str(number), members=members))
    return World(rooms)


# --- directly ---


def prepare(folder: Path, plan: Plan) -> World:
    """Write a world into a data folder, with log-ins that the server of that folder accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder_tokens(folder)
    new_id = IdSource(clock=wall_clock)
    world = World()
    fill(folder, _writes(plan, new_id, tokens, world))
    return world


def folder_tokens(folder: Path) -> AccessTokens:
    """What signs log-ins that the server of a data folder accepts."""

    async def named() -> Deployment:
        async with open_sqlite_store(folder / DATABASE_NAME) as store:
            return await deployment_of(store, wall_clock)

    return AccessTokens(load_secret(folder), deployment=trio.run(named), lifetime_s=TOKEN_LIFETIME_S)


def fill(folder: Path, writes: Iterator[Write]) -> None:
    """Commit writes to the store of a data folder."""

    async def run() -> None:
        async with open_sqlite_store(folder / DATABASE_NAME) as store:
            batch: list[Write] = []
            for write in writes:
                batch.append(write)
                if len(batch) >= _WRITES_AT_ONCE:
                    await store.commit(batch)
                    batch = []
            if batch:
                await store.commit(batch)

    trio.run(run)


def _writes(plan: Plan, new_id: IdSource, tokens: AccessTokens, world: World) -> Iterator[Write]:
    for number, size in enumerate(plan.rooms):
        people: list[Person] = []
        users: list[User] = []
        for _ in range(size):
            user, family = new_user(new_id)
            yield InsertUser(user=user, password_hash="!")  # nobody logs in with a password
            yield InsertFamily(family=family)
            users.append(user)
            people.append(Person(id=str(user.id), token=tokens.issue(user.id, family.id)))
        room = new_room(new_id, users[0], f"bench {number}")
        yield InsertRoom(room=room)
        for user in users:
            yield InsertMember(room_id=room.id, member=new_member(user, admin=user is users[0]))
        for seq in range(1, plan.history + 1):
            yield InsertMessage(message=new_message(new_id, room, seq, users[seq % size]))
        world.rooms.append(Party(id=str(room.id), members=people))


def new_user(new_id: IdSource) -> tuple[User, Family]:
    """A user that nobody else has the name of, and one log-in."""
    now = wall_clock()
    user_id = UserId(new_id())
    user = User(id=user_id, username=f"user{user_id}", email=f"user{user_id}@example.org", created_us=now)
    return user, Family(id=FamilyId(new_id()), user_id=user_id, created_us=now)


def new_room(new_id: IdSource, creator: User, name: str) -> Room:
    """A group."""
    return Room(
        id=RoomId(new_id()),
        kind=RoomKind.GROUP,
        name=name,
        description="",
        created_by=creator.id,
        created_us=wall_clock(),
    )


def new_member(user: User, *, admin: bool = False) -> Member:
    """Somebody's place in a room."""
    role = Role.ADMIN if admin else Role.MEMBER
    return Member(user_id=user.id, username=user.username, role=role, joined_us=wall_clock())


def new_message(new_id: IdSource, room: Room, seq: int, author: User) -> Message:
    """An old message, of the usual length."""
    return Message(
        id=MessageId(new_id()),
        room_id=room.id,
        seq=seq,
        author_id=author.id,
        author_name=author.username,
        text=f"message {seq} of {room.name}: nothing to see here",
        created_us=wall_clock(),
    )


# --- over HTTP ---


def register(client: HttpClient, plan: Plan, progress: Callable[[int], None] | None = None) -> World:
    """Make the world by the API of a ChatterStack server."""
    made = 0
    world = World()
    for number, size in enumerate(plan.rooms):
        people: list[Person] = []
        for _ in range(size):
            people.append(_register_one(client))
            made += 1
            if progress is not None:
                progress(made)
        others = [person.id for person in people[1:_MEMBERS_AT_ONCE]]
        body = {"name": f"bench {number}", "is_group": True, "member_ids": others}
        room = str(client.expect("POST", "/v1/rooms", body, token=people[0].token, status=201)["id"])
        for person in people[_MEMBERS_AT_ONCE:]:
            member = {"user_id": person.id, "role": "MEMBER"}
            client.expect("POST", f"/v1/rooms/{room}/members", member, token=people[0].token, status=201)
        for seq in range(1, plan.history + 1):
            content = {"content": f"message {seq}: nothing to see here"}
            client.expect("POST", f"/v1/rooms/{room}/messages", content, token=people[0].token, status=201)
        world.rooms.append(Party(id=room, members=people))
    return world


def _register_one(client: HttpClient) -> Person:
    name = f"bench{wall_clock():x}"
    account = {"username": name, "email": f"{name}@example.com", "password": _PASSWORD}
    user = client.expect("POST", "/v1/auth/register", account, status=201)
    opened = client.expect("POST", "/v1/auth/login", {"email": account["email"], "password": _PASSWORD}, status=200)
    return Person(id=str(user["id"]), token=str(opened["access_token"]))
