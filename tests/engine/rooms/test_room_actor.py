"""A room's turns: one commit, then answers and events; nothing is lost by crashes, restarts and passivation."""

import gc
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.actors.actor import PARKED_S, RESTARTS_ALLOWED
from chinwag.engine.actors.mailbox import Ask, Envelope
from chinwag.engine.engine import EngineConfig
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.commands import (
    AddMember,
    AdvanceReceipts,
    DeleteRoom,
    EditMessage,
    Posted,
    RemoveMember,
    RoomCommand,
    StartTyping,
    StopTyping,
    UpdateProfile,
)
from chinwag.engine.model.errors import Conflict, Forbidden, InternalError, NotFound, Overloaded, StoreUnavailable
from chinwag.engine.model.events import (
    MemberAdded,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    StatusAdvanced,
    TypingStarted,
    TypingStopped,
)
from chinwag.engine.model.ids import MessageId, RoomId
from chinwag.engine.model.store import DuplicateKey, KeyedMessage, WriteRejected
from chinwag.engine.model.values import Role, Status
from chinwag.engine.rooms.actor import RoomActor
from chinwag.engine.rooms.memory import RECENT_MESSAGES
from chinwag.engine.rooms.state import TYPING_TTL_S
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, RoomHarness, open_harness, texts

BUG = cast("RoomCommand", object())
"""A command that no rule knows: handling it is a bug in the engine."""


async def fill(room: RoomHarness, author: str, count: int) -> None:
    """Push everything that was said so far out of the room's memory."""
    person = await room.h.join(author)
    slots = [room.tell(post_command(person.id, text=f"filler {n}")) for n in range(count)]
    for slot in slots:
        await slot.result()


async def test_everything_queued_is_one_turn_and_one_commit(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    ann.received()
    commits = room.h.store.commits
    slots = [room.tell(post_command(ann.user, text=f"{n}")) for n in range(10)]
    slots.append(room.tell(post_command(ann.user, text="again", key="k")))
    slots.append(room.tell(post_command(ann.user, text="again", key="k")))
    answers = [cast("Posted", await slot.result()) for slot in slots]
    assert room.h.store.commits == commits + 1
    assert [answer.message.seq for answer in answers] == [*range(1, 12), 11]
    assert texts(bob.received()) == [*map(str, range(10)), "again"]


async def test_nobody_hears_of_a_message_before_it_is_durable(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    room.h.store.delay_s = 5.0
    slot = room.tell(post_command(ann.user, text="soon"))
    with trio.move_on_after(4.9):
        await slot.result()
    assert bob.received() == []
    assert await room.h.engine.messages.history(room.id, bob.user, skip=0, limit=9) == []
    await slot.result()
    assert texts(bob.received()) == ["soon"]


async def test_a_refusal_is_one_commands_affair(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    stranger = await room.h.join("eve")
    first = room.tell(post_command(ann.user, text="1"))
    refused = room.tell(post_command(stranger.id, text="no"))
    last = room.tell(post_command(ann.user, text="2"))
    with pytest.raises(Forbidden):
        await refused.result()
    await first.result()
    await last.result()
    assert texts(bob.received()) == ["1", "2"]


async def test_refusals_leave_nothing_behind(room: RoomHarness, autojump_clock: MockClock) -> None:
    # What was raised refers to the frames that it went through, and so to the turn, whose slots refer to it: only the
    # collector undoes that, and only if it may look at every object on the way.
    def commands() -> int:
        gc.collect()
        return sum([isinstance(each, Ask | Envelope) for each in gc.get_objects()])

    before = commands()  # another test that failed may have left some, in its traceback
    ann = await room.join("ann")
    for _ in range(10):
        with pytest.raises(NotFound):
            await room.ask(EditMessage(message_id=MessageId(77), caller=ann.user, text="no"))
    room.h.store.unavailable = True
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await room.ask(post_command(ann.user, text="hello"))
    assert commands() <= before + 2, "more than the last command, which the room's task still has in its hands"


async def test_a_bug_in_one_command_leaves_the_rest_of_its_turn_done_once(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    first = room.tell(post_command(ann.user, text="1"))
    crashed = room.tell(BUG)
    last = room.tell(post_command(ann.user, text="2"))
    with pytest.raises(InternalError):
        await crashed.result()
    await first.result()
    await last.result()
    assert texts(bob.received()) == ["1", "2"]
    seqs = [each.message.seq for each in await room.h.engine.messages.history(room.id, ann.user, skip=0, limit=9)]
    assert seqs == [2, 1]
    assert room.h.engine.rooms.restarts() == 1


async def test_repeated_bugs_park_one_room_and_no_other(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann = await room.join("ann")
    other = await room.h.room("other", ann.person)
    for _ in range(RESTARTS_ALLOWED):
        with pytest.raises(InternalError):
            await room.ask(BUG)
    with pytest.raises(Overloaded):
        await room.ask(post_command(ann.user, text="x"))
    await room.h.post(other, ann.person, "unharmed")
    await trio.sleep(PARKED_S)
    await room.ask(post_command(ann.user, text="x"))
    assert texts(ann.received()) == ["x"]


# --- idempotency ---


async def test_a_retry_under_a_key_older_than_memory_answers_with_the_first_message(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    first = await room.h.post(room.room, ann.person, "hello", key="k")
    await fill(room, "bob", RECENT_MESSAGES)
    bob.received()
    before = room.tell(post_command(bob.user, text="before"))
    retry = room.tell(post_command(ann.user, text="hello", key="k"))
    other = room.tell(post_command(ann.user, text="other content", key="k"))
    after = room.tell(post_command(bob.user, text="after"))
    posted = cast("Posted", await retry.result())
    assert posted.message == first
    assert posted.is_retry
    with pytest.raises(Conflict) as conflict:
        await other.result()
    assert conflict.value.what == "idempotency_key"
    await before.result()
    await after.result()
    assert texts(bob.received()) == ["before", "after"]
    assert room.h.engine.rooms.restarts() == 0  # an old key is no bug


async def test_a_retry_after_a_restart_answers_with_the_first_message(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_harness(store) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        first = await h.post(room, ann, "hello", key="k")
    async with open_harness(store) as h:
        assert await h.post(room, ann, "hello", key="k") == first
        with pytest.raises(Conflict):
            await h.post(room, ann, "other", key="k")
        assert (await h.post(room, ann, "next")).seq == 2


async def test_a_retry_of_a_deleted_old_message_adds_nothing(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann = await room.join("ann")
    first = await room.h.post(room.room, ann.person, "hello", key="k")
    await room.h.engine.messages.delete(room.id, ann.user, first.id)
    await fill(room, "ann", RECENT_MESSAGES)
    again = await room.h.post(room.room, ann.person, "hello", key="k")
    assert again.id == first.id
    assert again.deleted_us is not None


async def test_a_removed_author_gets_no_answer_under_an_old_key(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.h.post(room.room, bob.person, "hello", key="k")
    await fill(room, "ann", RECENT_MESSAGES)
    await room.h.engine.rooms.remove_member(room.id, ann.user, bob.user)
    with pytest.raises(Forbidden):
        await room.h.post(room.room, bob.person, "hello", key="k")


async def test_a_retry_in_the_turn_that_pushes_its_first_message_out_of_memory_adds_nothing(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann = await room.join("ann")
    first = await room.h.post(room.room, ann.person, "hello", key="k")
    for n in range(RECENT_MESSAGES):
        room.tell(post_command(ann.user, text=f"{n}"))
    retry = room.tell(post_command(ann.user, text="hello", key="k"))
    edit = room.tell(EditMessage(caller=ann.user, message_id=first.id, text="edited"))
    assert cast("Posted", await retry.result()).message == first
    assert cast("Posted", await edit.result()).message.text == "edited"


# --- messages that are not in memory ---


async def test_commands_about_messages_older_than_memory_work(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    old = [await room.h.post(room.room, ann.person, f"old {n}") for n in range(3)]
    await fill(room, "ann", RECENT_MESSAGES)
    ann.received()
    bob.received()
    engine = room.h.engine
    await engine.messages.edit(room.id, ann.user, old[0].id, text="edited")
    await engine.messages.delete(room.id, ann.user, old[1].id)
    await engine.messages.mark_read(room.id, bob.user, old[2].id)
    assert [type(event) for event in bob.received()] == [MessageEdited, MessageDeleted]
    found = await engine.messages.history(room.id, ann.user, skip=RECENT_MESSAGES, limit=9)
    assert [(each.message.text, each.status) for each in found] == [("old 2", Status.READ), ("edited", Status.READ)]
    with pytest.raises(NotFound):
        await engine.messages.edit(room.id, ann.user, old[1].id, text="gone")


async def test_a_message_of_another_room_is_not_found(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    tea, coffee = await h.room("tea", ann), await h.room("coffee", ann)
    message = await h.post(tea, ann, "hello")
    for attempt in (
        h.engine.messages.edit(coffee.id, ann.id, message.id, text="x"),
        h.engine.messages.delete(coffee.id, ann.id, message.id),
        h.engine.messages.mark_read(coffee.id, ann.id, message.id),
    ):
        with pytest.raises(NotFound):
            await attempt


# --- a store in trouble ---


async def test_an_unavailable_store_refuses_and_the_room_recovers(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(post_command(ann.user, text="before"))
    room.h.store.unavailable = True
    slots = [room.tell(post_command(ann.user, text="lost")) for _ in range(3 * RESTARTS_ALLOWED)]
    for slot in slots:
        with pytest.raises(StoreUnavailable):
            await slot.result()
    for _ in range(3 * RESTARTS_ALLOWED):  # turn by turn too: a full disk is no bug, so nothing is parked
        with pytest.raises(StoreUnavailable):
            await room.ask(post_command(ann.user, text="lost"))
    room.h.store.unavailable = False
    answer = await room.ask(post_command(ann.user, text="after"))
    assert cast("Posted", answer).message.seq == 2
    assert texts(bob.received()) == ["before", "after"]
    assert room.h.engine.rooms.restarts() == 0


async def test_a_refusal_that_rests_on_what_was_not_stored_is_not_given(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    room.h.store.fail_next_commits(1, StoreUnavailable("full"))
    removal = room.tell(RemoveMember(caller=ann.user, user_id=bob.user))
    post = room.tell(post_command(bob.user, text="hello", key="k"))
    for slot in (removal, post):
        with pytest.raises(StoreUnavailable):
            await slot.result()
    await room.ask(post_command(bob.user, text="hello", key="k"))


async def test_a_write_that_fails_fails_alone(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    room.h.store.fail_next_commits(2, WriteRejected("a damaged row"))  # the batch, then its first command by itself
    slots = [room.tell(post_command(ann.user, text=f"{n}")) for n in range(3)]
    with pytest.raises(InternalError):
        await slots[0].result()
    assert [cast("Posted", await slot.result()).message.seq for slot in slots[1:]] == [1, 2]
    assert texts(bob.received()) == ["1", "2"]


class ForgetfulStore(MemoryStore):
    """Fails the look-up of old keys."""

    async def keyed_message(self, *_: object) -> KeyedMessage | None:
        raise StoreUnavailable("gone for a moment")


async def test_a_store_that_goes_away_during_a_key_look_up_is_no_bug_of_the_room(autojump_clock: MockClock) -> None:
    async with open_harness(ForgetfulStore()) as h:
        room = RoomHarness(h)
        ann = await room.join("ann")
        await h.post(room.room, ann.person, "hello", key="k")
        await fill(room, "ann", RECENT_MESSAGES)
        for _ in range(2 * RESTARTS_ALLOWED):
            retry = room.tell(post_command(ann.user, text="hello", key="k"))
            other = room.tell(post_command(ann.user, text="fine"))
            with pytest.raises(StoreUnavailable):
                await retry.result()
            await other.result()
        assert h.engine.rooms.restarts() == 0


# --- typing ---


async def test_typing_stops_by_itself(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    ann.received()
    await room.ask(StartTyping(user_id=ann.user))
    await trio.sleep(TYPING_TTL_S + 0.001)
    assert bob.received() == [
        TypingStarted(room_id=room.id, user_id=ann.user, username="ann"),
        TypingStopped(room_id=room.id, user_id=ann.user, username="ann"),
    ]
    assert ann.received() == []


async def test_typing_that_goes_on_stops_once(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    for _ in range(3):
        await room.ask(StartTyping(user_id=ann.user))
        await trio.sleep(TYPING_TTL_S / 2)
    await trio.sleep(TYPING_TTL_S)
    assert [type(event) for event in bob.received()] == [*[TypingStarted] * 3, TypingStopped]


async def test_who_stops_typing_is_not_stopped_again(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=ann.user))
    await room.ask(StopTyping(user_id=ann.user))
    await trio.sleep(2 * TYPING_TTL_S)
    assert [type(event) for event in bob.received()] == [TypingStarted, TypingStopped]


async def test_typing_stops_by_itself_also_when_the_room_was_loaded_anew_meanwhile(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=ann.user))
    with pytest.raises(InternalError):
        await room.ask(BUG)
    await trio.sleep(TYPING_TTL_S + 0.001)
    assert [type(event) for event in bob.received()] == [TypingStarted, TypingStopped]


async def test_typing_stops_by_itself_also_when_the_mailbox_was_full_at_that_moment(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=ann.user))
    await trio.sleep(TYPING_TTL_S - 1.0)
    room.h.store.delay_s = 3.0
    slow = room.tell(post_command(bob.user, text="slow"))
    await wait_all_tasks_blocked()  # the room waits for its store, and reads nothing
    for _ in range(RoomActor.mailbox_limit):
        room.tell(UpdateProfile(user=bob.person.user))
    await trio.sleep(2.0)
    with pytest.raises(Overloaded):
        room.tell(StopTyping(user_id=ann.user))
    await slow.result()
    await trio.sleep(2.0)
    assert [type(event) for event in bob.received()] == [TypingStarted, MessagePosted, TypingStopped]


# --- passivation and the end of a room ---


async def test_an_idle_room_gives_up_its_memory_and_loses_nothing(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    first = await room.h.post(room.room, ann.person, "one", key="k")
    await room.ask(AdvanceReceipts(caller=bob.user, message_id=first.id, read=False))
    await trio.sleep(room.h.engine.config.room_idle_s + 2)
    assert room.h.engine.rooms.active_count() == 0
    assert await room.h.post(room.room, ann.person, "one", key="k") == first
    second = await room.h.post(room.room, ann.person, "two")
    assert second.seq == 2
    await room.ask(AdvanceReceipts(caller=bob.user, message_id=first.id, read=True))
    assert texts(bob.received()) == ["one", "two"]
    advanced = [event.status for event in ann.received() if isinstance(event, StatusAdvanced)]
    assert advanced == [Status.DELIVERED, Status.READ]


async def test_commands_that_come_at_the_moment_of_passivation_are_answered(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=1.0)) as h:
        room = RoomHarness(h)
        ann = await room.join("ann")
        seqs: list[int] = []

        async def post_at(when: float) -> None:
            await trio.sleep_until(when)
            seqs.append((await h.post(room.room, ann.person, "x")).seq)

        async with trio.open_nursery() as nursery:
            start = trio.current_time() // 1 + 1
            for n in range(200):  # the sweep looks once a second; every second post arrives at that very instant
                nursery.start_soon(post_at, start + n * 1.5)
                nursery.start_soon(post_at, start + n * 1.5)
        assert sorted(seqs) == list(range(1, 401))
        assert texts(ann.received()) == ["x"] * 400


async def test_a_room_with_a_slow_commit_is_not_passivated(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=2.0)) as h:
        room = RoomHarness(h)
        ann = await room.join("ann")
        h.store.delay_s = 30.0
        slot = room.tell(post_command(ann.user, text="slow"))
        await slot.result()
        assert texts(ann.received()) == ["slow"]


async def test_a_deleted_room_and_a_room_that_never_was_are_not_found(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    deletion = room.tell(DeleteRoom(caller=ann.user))
    late = room.tell(post_command(bob.user, text="late"))
    await deletion.result()
    with pytest.raises(NotFound):
        await late.result()
    with pytest.raises(NotFound):
        await room.ask(post_command(ann.user, text="x"))
    with pytest.raises(NotFound):
        await room.h.engine.messages.post(RoomId(12345), ann.user, text="x")
    await trio.testing.wait_all_tasks_blocked()
    assert room.h.engine.rooms.active_count() == 0


async def test_a_deletion_that_the_store_refuses_leaves_the_room_as_it_was(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    room.h.store.fail_next_commits(1, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await room.ask(DeleteRoom(caller=ann.user))
    await room.ask(post_command(bob.user, text="still here"))
    assert texts(bob.received()) == ["still here"]


async def test_members_added_in_a_turn_hear_what_follows_only_once_they_connect(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann = await room.join("ann")
    cid = await room.h.join("cid")
    client = await room.h.connect(cid)
    await room.ask(AddMember(caller=ann.user, user=cid.user, role=Role.MEMBER))
    assert [type(event).__name__ for event in client.received()] == ["RoomJoined"]
    assert [type(event) for event in ann.received()] == [MemberAdded]


async def test_what_was_not_committed_is_never_answered_from_memory(autojump_clock: MockClock) -> None:
    """A turn that clashes is taken again; when that commit fails too, its new messages must not look like retries."""
    async with open_harness() as h:
        room = RoomHarness(h)
        ann = await room.join("ann")
        await h.post(room.room, ann.person, "hello", key="k")
        await fill(room, "ann", RECENT_MESSAGES)
        retry = room.tell(post_command(ann.user, text="hello", key="k"))
        fresh = room.tell(post_command(ann.user, text="new", key="n"))
        h.store.fail_next_commits(1, DuplicateKey("idempotency_key"))
        h.store.fail_next_commits(1, StoreUnavailable("full"))
        outcomes: list[object] = []
        for slot in (retry, fresh):
            try:
                outcomes.append(await slot.result())
            except StoreUnavailable as refusal:
                outcomes.append(refusal)
        stored = await h.engine.messages.history(room.id, ann.user, skip=0, limit=1)
        acknowledged = [each.message.id for each in outcomes if isinstance(each, Posted) and each.message.text == "new"]
        assert acknowledged in ([], [stored[0].message.id])


async def test_typing_floods_make_one_timer(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await wait_all_tasks_blocked()
    before = trio.lowlevel.current_statistics().tasks_living
    for _ in range(200):
        await room.ask(StartTyping(user_id=ann.user))
        await room.ask(StopTyping(user_id=ann.user))
    await room.ask(StartTyping(user_id=ann.user))
    assert trio.lowlevel.current_statistics().tasks_living == before + 1
    bob.received()
    await trio.sleep(TYPING_TTL_S + 0.001)
    assert [type(event) for event in bob.received()] == [TypingStopped]
