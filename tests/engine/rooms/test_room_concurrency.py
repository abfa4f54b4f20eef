"""Laws of a room that many use at once on a real engine, while the store now and then refuses a commit.

What the owner's connection hears is applied to a picture of the room; in the end it, the store, the room's memory and a
room loaded anew have to agree, and no limit may ever have been passed.
"""

import contextlib
from collections import Counter
from typing import Literal, NamedTuple

import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from chinwag.engine.model.errors import EngineError, InternalError, Refused, StoreUnavailable, TryLater
from chinwag.engine.model.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    MessageDeleted,
    MessagePosted,
    ReactionAdded,
    ReactionRemoved,
    RoleChanged,
)
from chinwag.engine.model.ids import MessageId, UserId
from chinwag.engine.model.store import DuplicateKey, WriteRejected
from chinwag.engine.model.values import Invitation, MessageKind, Role, Room
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness
from tests.examples import examples

NAMES = ("ann", "bob", "cat", "dan", "eve")
MOST_MEMBERS = 3

Verb = Literal["join", "accept", "leave", "post", "react", "unreact", "delete"]


class Action(NamedTuple):
    """What one user does. `pick` says which invitation, message or key, where there are several."""

    who: int
    verb: Verb
    pick: int


ACTIONS = st.builds(
    Action,
    st.integers(0, len(NAMES) - 1),
    st.sampled_from(["join", "accept", "accept", "leave", "post", "post", "react", "unreact", "delete"]),
    st.integers(0, 3),
)
FAILURES = st.lists(
    st.sampled_from([StoreUnavailable("full"), DuplicateKey("idempotency_key"), WriteRejected("a damaged row")]),
    max_size=2,
)
ROUNDS = st.lists(st.tuples(FAILURES, st.lists(ACTIONS, min_size=1, max_size=8)), min_size=1, max_size=6)


class Picture:
    """A room as who hears all of its events knows it."""

    def __init__(self, owner: UserId) -> None:
        self.roles = {owner: Role.OWNER}
        self.texts: dict[MessageId, str] = {}
        self.seqs: list[int] = []
        self.times: list[int] = []
        self.reactions: Counter[tuple[MessageId, UserId, str]] = Counter()
        self.joined = 0
        self.said = 0

    def see(self, event: Event) -> None:
        """Apply one event."""
        match event:
            case MemberAdded(member=member):
                assert member.user_id not in self.roles
                self.roles[member.user_id] = member.role
                self.joined += 1
                assert len(self.roles) <= MOST_MEMBERS, "the room was never fuller than it may be"
            case MemberRemoved():
                del self.roles[event.user_id]
            case RoleChanged():
                self.roles[event.user_id] = event.role
            case MessagePosted(message=message):
                assert message.author_id in self.roles
                self.texts[message.id] = message.text
                self.seqs.append(message.seq)
                self.times.append(message.created_us)
                self.said += message.kind is MessageKind.SYSTEM
            case MessageDeleted():
                del self.texts[event.message_id]
                for key in [key for key in self.reactions if key[0] == event.message_id]:
                    del self.reactions[key]
            case ReactionAdded(reaction=reaction):
                self.reactions[event.message_id, reaction.user_id, reaction.emoji] += 1
            case ReactionRemoved():
                del self.reactions[event.message_id, event.user_id, event.emoji]
            case _:
                pass


class World:
    """One room, its users, and what they try."""

    def __init__(self, h: EngineHarness, room: Room, people: list[Person]) -> None:
        self.h = h
        self.room = room
        self.people = people
        self.invitations: list[tuple[Invitation, str]] = []
        self.acknowledged: list[MessageId] = []

    async def invite(self) -> None:
        """Two invitations of the owner's: for one user, and for two."""
        for max_uses in (1, 2):
            made = await self.h.engine.invitations.create(
                self.room.id, self.people[0].id, max_uses=max_uses, lifetime_s=3600
            )
            self.invitations.append(made)

    async def attempt(self, action: Action) -> None:
        """What is refused, for whatever reason, must leave no trace."""
        with contextlib.suppress(Refused, TryLater, InternalError):
            await self.act(action, self.people[action.who].id)

    async def act(self, action: Action, user: UserId) -> None:
        engine, room_id = self.h.engine, self.room.id
        match action.verb:
            case "join":
                await engine.rooms.join(room_id, user)
            case "accept":
                _, code = self.invitations[action.pick % len(self.invitations)]
                await engine.invitations.accept(code, user)
            case "leave":
                if action.who:  # the owner stays: their connection is what is compared
                    await engine.rooms.remove_member(room_id, user, user)
            case "post":
                key = None if action.pick == 3 else f"k{action.pick}"
                viewed = await engine.messages.post(room_id, user, text=f"text of {key}", key=key)
                self.acknowledged.append(viewed.message.id)
            case "react" | "unreact" | "delete":
                if self.acknowledged:
                    message_id = self.acknowledged[action.pick % len(self.acknowledged)]
                    if action.verb == "react":
                        await engine.messages.add_reaction(room_id, user, message_id, "👍")
                    elif action.verb == "unreact":
                        await engine.messages.remove_reaction(room_id, user, message_id, "👍")
                    else:
                        await engine.messages.delete(room_id, user, message_id)


async def run(rounds: list[tuple[list[EngineError], list[Action]]], *, private: bool, announces: bool) -> None:
    async with open_harness() as h:
        people = [await h.join(name) for name in NAMES]
        owner = people[0].id
        room = await h.engine.rooms.create(
            owner, name="tea", private=private, announces=announces, max_members=MOST_MEMBERS
        )
        client = await h.connect(people[0], room)
        world = World(h, room, people)
        await world.invite()
        for failures, actions in rounds:
            for failure in failures:
                h.store.fail_next_commits(1, failure)
            async with trio.open_nursery() as nursery:
                for action in actions:
                    nursery.start_soon(world.attempt, action)
        h.store._failures.clear()  # those that no commit met
        picture = Picture(owner)
        for event in client.received():
            picture.see(event)
        await compare(world, picture, private=private, announces=announces)


async def compare(world: World, picture: Picture, *, private: bool, announces: bool) -> None:
    engine, store, room = world.h.engine, world.h.store, world.room
    owner = world.people[0].id
    assert picture.seqs == list(range(1, len(picture.seqs) + 1)), "no holes, no doubles, in order"
    assert picture.times == sorted(set(picture.times)), "times rise strictly"
    members = {member.user_id: member.role for member in await engine.rooms.members(room.id, owner)}
    assert members == picture.roles

    remembered = await engine.messages.history(room.id, owner, skip=0, limit=100)
    stored, total = await engine.messages.history_between(room.id, owner, limit=100)
    assert remembered == stored
    assert total == len(stored)
    assert {each.message.id: each.message.text for each in stored} == picture.texts
    reactions = Counter(
        (each.message.id, reaction.user_id, reaction.emoji) for each in stored for reaction in each.message.reactions
    )
    assert reactions == picture.reactions
    async with open_harness(store) as after_a_restart:
        assert await after_a_restart.engine.messages.history(room.id, owner, skip=0, limit=100) == remembered

    used = [await store.invitation(invitation.digest) for invitation, _ in world.invitations]
    uses = 0
    for now in used:
        assert now is not None
        assert now.uses <= now.max_uses
        uses += now.uses
    assert uses == picture.joined if private else uses <= picture.joined
    left = 1 + picture.joined - len(members)
    assert picture.said == (picture.joined + left if announces else 0)


@settings(max_examples=examples(300))
@given(rounds=ROUNDS, private=st.booleans(), announces=st.booleans())
def test_store_memory_and_what_was_heard_agree_and_no_limit_is_passed(
    rounds: list[tuple[list[EngineError], list[Action]]], private: bool, announces: bool
) -> None:
    async def main() -> None:
        # In virtual seconds: every ask ends. The log is not looked at, and its tracebacks would take most of the time.
        with trio.fail_after(3600), structlog.testing.capture_logs():
            await run(rounds, private=private, announces=announces)

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_an_invitation_lets_in_exactly_as_many_as_it_may_at_once(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    guests = [await h.join(f"guest{n}") for n in range(20)]
    invitation, code = await h.engine.invitations.create(room.id, ann.id, max_uses=7, lifetime_s=60)
    joined: list[UserId] = []

    async def accept(guest: Person) -> None:
        try:
            _, member = await h.engine.invitations.accept(code, guest.id)
        except Refused:
            return
        joined.append(member.user_id)

    async with trio.open_nursery() as nursery:
        for guest in guests:
            nursery.start_soon(accept, guest)
            nursery.start_soon(accept, guest)  # an impatient one: counted once
    assert len(set(joined)) == 7
    assert len(await h.engine.rooms.members(room.id, ann.id)) == 8
    after = await h.store.invitation(invitation.digest)
    assert after is not None
    assert after.uses == 7
