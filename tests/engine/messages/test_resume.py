"""Resume: what was missed, then what happens, with no gap and no duplicate; or an honest no."""

import random
from collections.abc import Sequence
from unittest.mock import ANY

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import EVENT_LINES, InProcessClient
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.engine import EngineConfig
from chinwag.engine.messages.messages import post_command
from chinwag.engine.messages.resume import RESUME_BYTES, RESUME_LIMIT, RESUME_TOTAL, build_replay
from chinwag.engine.model.events import Event, MessagePosted, MessageReplayed, Resumed, RoomLeft
from chinwag.engine.model.ids import MAX_ID, MessageId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.store import Access, Missed
from chinwag.engine.model.values import Message, Receipts, Room, Status, receipt_floor
from chinwag.engine.testing import MemoryStore, make_message
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness, texts


def last_id(events: list[Event]) -> MessageId:
    """The position a client resumes from: the last message id it got, on any room."""
    return [event.message.id for event in events if isinstance(event, MessagePosted | MessageReplayed)][-1]


def resumed(events: list[Event]) -> list[tuple[RoomId, bool, int]]:
    return [(event.room_id, event.recovered, event.replayed) for event in events if isinstance(event, Resumed)]


async def all_of(client: InProcessClient) -> list[Event]:
    await wait_all_tasks_blocked()
    return client.received()


async def post_many(h: EngineHarness, room: Room, author: Person, count: int) -> list[Message]:
    return [await h.post(room, author, f"{n}") for n in range(count)]


async def test_what_was_missed_comes_first_then_what_happens(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    client = await h.connect(bob, room)
    await h.post(room, ann, "seen")
    position = last_id(await all_of(client))
    client.transport.abort()
    await wait_all_tasks_blocked()
    await h.post(room, ann, "missed 1")
    await h.post(room, ann, "missed 2")
    client = await h.connect(bob, room, since=position)
    await wait_all_tasks_blocked()
    await h.post(room, ann, "live")
    events = await all_of(client)
    assert [type(event) for event in events] == [MessageReplayed, MessageReplayed, Resumed, MessagePosted]
    assert texts(events) == ["missed 1", "missed 2", "live"]
    assert resumed(events) == [(room.id, True, 2)]


async def test_without_resume_there_is_no_replay_and_no_word_about_it(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    await h.post(room, ann, "old")
    client = await h.connect(ann, room)
    assert await all_of(client) == []


async def test_nothing_new_since_is_recovered_with_nothing(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    [message] = await post_many(h, room, ann, 1)
    client = await h.connect(ann, room, since=message.id)
    assert await all_of(client) == [Resumed(room_id=room.id, recovered=True, replayed=0, reached=ANY)]


async def test_nothing_before_the_drop_leaves_no_position_and_is_not_recovered(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    await h.post(room, ann, "never seen")
    client = await h.connect(ann, room, resume=True)
    assert await all_of(client) == [Resumed(room_id=room.id, recovered=False, replayed=0, reached=ANY)]
    await h.post(room, ann, "live")
    assert texts(await all_of(client)) == ["live"]


async def test_ten_resumes_in_a_row_lose_and_double_nothing(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    position = (await h.post(room, ann, "start")).id
    heard: list[str] = []
    for n in range(10):
        await h.post(room, ann, f"missed {n}")
        client = await h.connect(bob, room, since=position)
        await wait_all_tasks_blocked()
        await h.post(room, ann, f"live {n}")
        events = await all_of(client)
        assert resumed(events) == [(room.id, True, 1)]
        heard += texts(events)
        position = last_id(events)
        client.transport.abort()
        await wait_all_tasks_blocked()
    assert heard == [f"{kind} {n}" for n in range(10) for kind in ("missed", "live")]


@pytest.mark.parametrize("missed", [RESUME_LIMIT, RESUME_LIMIT + 1])
async def test_a_position_that_is_too_old_gets_nothing_partial(
    h: EngineHarness, autojump_clock: MockClock, missed: int
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    position = (await h.post(room, ann, "start")).id
    for slot in [h.engine._registry.ask(room.id, post_command(ann.id, text=f"{n}")) for n in range(missed)]:
        await slot
    events = await all_of(await h.connect(ann, room, since=position))
    if missed <= RESUME_LIMIT:
        assert texts(events) == [f"{n}" for n in range(missed)]
        assert resumed(events) == [(room.id, True, missed)]
    else:
        assert events == [Resumed(room_id=room.id, recovered=False, replayed=0, reached=ANY)]


async def test_one_room_too_far_behind_does_not_spoil_the_others(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    busy, quiet = await h.room("busy", ann), await h.room("quiet", ann)
    position = (await h.post(quiet, ann, "start")).id
    for _ in range(RESUME_LIMIT + 1):
        await h.post(busy, ann, "much")
    await h.post(quiet, ann, "little")
    events = await all_of(await h.connect(ann, busy, quiet, since=position))
    assert texts(events) == ["little"]
    assert resumed(events) == [(busy.id, False, 0), (quiet.id, True, 1)]


async def test_a_connection_with_too_much_over_all_its_rooms_gets_whole_rooms_only(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    rooms = [await h.room(f"{n}", ann) for n in range(RESUME_TOTAL // RESUME_LIMIT + 1)]
    position = (await h.post(rooms[0], ann, "start")).id
    async with trio.open_nursery() as nursery:
        for room in rooms:
            for n in range(RESUME_LIMIT):
                nursery.start_soon(h.engine._registry.ask, room.id, post_command(ann.id, text=f"{n}"))
    events = await all_of(await h.connect(ann, *rooms, since=position))
    results = resumed(events)
    assert [recovered for _, recovered, _ in results] == [True] * (len(rooms) - 1) + [False]
    assert len(texts(events)) == RESUME_TOTAL
    assert rooms[-1].id not in {event.room_id for event in events if isinstance(event, MessageReplayed)}


async def test_a_position_in_another_room_counts_when_the_user_is_in_it_and_only_then(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, coffee, secret = await h.room("tea", ann, bob), await h.room("coffee", ann, bob), await h.room("s", ann)
    await h.post(tea, ann, "before")
    in_coffee = (await h.post(coffee, ann, "here")).id
    in_secret = (await h.post(secret, ann, "hidden")).id
    await h.post(tea, ann, "after")
    events = await all_of(await h.connect(bob, tea, since=in_coffee))
    assert texts(events) == ["after"]
    assert resumed(events) == [(tea.id, True, 1)]
    events = await all_of(await h.connect(bob, tea, since=in_secret))
    assert events == [Resumed(room_id=tea.id, recovered=False, replayed=0, reached=ANY)]


async def test_an_unknown_position_and_one_in_the_future_are_not_recovered(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    message = await h.post(room, ann, "x")
    for wrong in (message.id - 1, message.id + (1 << 40), 1, (1 << 53) - 1):
        events = await all_of(await h.connect(ann, room, since=MessageId(wrong)))
        assert events == [Resumed(room_id=room.id, recovered=False, replayed=0, reached=ANY)]


async def test_a_deleted_message_is_a_position_all_the_same_and_is_not_replayed(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    messages = await post_many(h, room, ann, 4)
    for gone in (0, 2):
        await h.engine.messages.delete(room.id, ann.id, messages[gone].id)
    events = await all_of(await h.connect(ann, room, since=messages[0].id))
    assert texts(events) == ["1", "3"]
    assert resumed(events) == [(room.id, True, 2)]


async def test_rooms_that_are_refused_are_neither_replayed_nor_reported(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, secret = await h.room("tea", ann, bob), await h.room("secret", ann)
    position = (await h.post(tea, ann, "start")).id
    await h.post(secret, ann, "hidden")
    await h.post(tea, ann, "open")
    client = await h.connect(bob, tea, secret, since=position)
    await h.post(secret, ann, "hidden too")
    events = await all_of(client)
    assert client.refused == (secret.id,)
    assert texts(events) == ["open"]
    assert resumed(events) == [(tea.id, True, 1)]


class GatedStore(MemoryStore):
    """Takes its snapshot of what was missed, and hands it over when the gate opens."""

    gate: trio.Event | None = None

    async def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int, moment: bool = False
    ) -> dict[RoomId, Missed]:
        answer = await super().missed(room_ids, viewer, since=since, limit=limit, moment=moment)
        if self.gate is not None:
            await self.gate.wait()
        return answer


@pytest.mark.parametrize("resume", [False, True])
async def test_what_a_refused_room_said_while_membership_was_looked_up_stays_unheard(
    autojump_clock: MockClock, resume: bool
) -> None:
    store = GatedStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea, secret = await h.room("tea", ann, bob), await h.room("secret", ann)
        clients: list[InProcessClient] = []

        async def connect() -> None:
            clients.append(await h.connect(bob, tea, secret, resume=resume))

        store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await wait_all_tasks_blocked()
            await h.post(secret, ann, "hidden")
            await h.post(tea, ann, "open")
            store.gate.set()
        [client] = clients
        await wait_all_tasks_blocked()
        assert b"hidden" not in client.transport.written
        assert texts(client.received()) == ["open"]


async def test_several_rooms_on_one_socket_resume_from_one_position(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms = [await h.room(f"{n}", ann, bob) for n in range(4)]
    dice = random.Random(7)
    position = (await h.post(rooms[0], ann, "start")).id
    sent: list[str] = []
    heard: list[str] = []
    for round_ in range(30):
        client = await h.connect(bob, *rooms, since=position)
        await wait_all_tasks_blocked()
        drop_after = dice.randrange(5)
        for n in range(10):
            # Several rooms at once: their commits travel together, and arrive in the order of their ids.
            sent.append(f"{round_}.{n}")
            h.engine.rooms.tell(dice.choice(rooms).id, post_command(ann.id, text=sent[-1]))
            if n == drop_after:
                events = await all_of(client)
                client.transport.abort()
                await wait_all_tasks_blocked()
                events += client.received()
                heard += texts(events)
                if texts(events):
                    position = last_id(events)
        await wait_all_tasks_blocked()
    events = await all_of(await h.connect(bob, *rooms, since=position))
    heard += texts(events)
    assert sorted(heard) == sorted(sent)
    assert len(heard) == len(set(heard))


async def test_a_connection_that_breaks_in_the_middle_of_its_replay_goes_on_from_there(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms = [await h.room(f"{n}", ann, bob) for n in range(3)]
    position = (await h.post(rooms[0], ann, "start")).id
    dice = random.Random(3)
    sent = [f"{n}" for n in range(300)]
    for text in sent:
        await h.post(dice.choice(rooms), ann, text)
    heard: list[str] = []
    while len(heard) < len(sent):
        client = await h.connect(bob, *rooms, since=position, take_bytes=dice.randrange(1_000, 20_000))
        events = await all_of(client)
        client.transport.abort()
        await wait_all_tasks_blocked()
        assert texts(events), "each connection gets a little further"
        heard += texts(events)
        position = last_id(events)
    assert heard == sent


async def test_live_events_wait_for_a_slow_replay_and_none_is_lost(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    position = (await h.post(room, ann, "start")).id
    missed = [(await h.post(room, ann, f"missed {n}")).text for n in range(350)]
    client = await h.connect(ann, room, since=position, take_bytes=5_000)
    live = [(await h.post(room, ann, f"live {n}")).text for n in range(50)]
    events: list[Event] = []
    while client.session.outbox_bytes or client.session._held:
        client.transport.unblock(5_000)
        events += await all_of(client)
    assert texts(events) == missed + live
    assert resumed(events) == [(room.id, True, 350)]
    assert [type(event) for event in events].index(Resumed) == 350


async def test_a_message_that_is_no_news_waits_for_the_replay_so_that_the_next_resume_has_no_gap(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    position = (await h.post(room, ann, "start")).id
    missed = [(await h.post(room, ann, f"missed {n}")).text for n in range(350)]
    mine = await h.post(room, ann, "mine", key="k")
    client = await h.connect(ann, room, since=position, take_bytes=5_000)
    await wait_all_tasks_blocked()
    again = MessageReplayed(room_id=room.id, message=mine, status=Status.SENT)
    client.session.say_message(EVENT_LINES.encode(again))  # the answer to a retry
    live = await h.post(room, ann, "live")
    events: list[Event] = []
    while client.session.outbox_bytes or client.session._held:
        client.transport.unblock(5_000)
        events += await all_of(client)
    assert texts(events) == [*missed, "mine", live.text, "mine"]
    client.session.say_message(EVENT_LINES.encode(again))
    assert texts(await all_of(client)) == ["mine"], "without a replay it does not wait"


async def test_a_client_that_asks_for_more_and_more_during_its_replay_is_a_slow_consumer(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(config=EngineConfig(limits=SessionLimits(outbox_bytes=1_000))) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        position = (await h.post(room, ann, "start")).id
        await post_many(h, room, ann, 5)
        client = await h.connect(ann, room, since=position, take_bytes=10)
        await wait_all_tasks_blocked()
        client.session.say_message(bytes(999))
        assert client.session.open
        client.session.say_message(b"one more")
        assert client.closed_with is CloseReason.SLOW_CONSUMER


async def test_too_much_that_is_held_back_makes_a_slow_consumer(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(limits=SessionLimits(held_events=20))) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        position = (await h.post(room, ann, "start")).id
        await post_many(h, room, ann, 5)
        client = await h.connect(ann, room, since=position, take_bytes=10)
        await wait_all_tasks_blocked()
        await post_many(h, room, ann, 20)
        assert client.session.open
        await h.post(room, ann, "one more")
        assert client.closed_with is CloseReason.SLOW_CONSUMER
        assert client.session._held == []


async def test_who_is_removed_during_the_replay_gets_no_more_of_that_room(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room, other = await h.room("tea", ann, bob), await h.room("other", ann, bob)
    position = (await h.post(room, ann, "start")).id
    for n in range(400):
        await h.post(room, ann, f"{n}")
    await h.post(other, ann, "in the other room")
    client = await h.connect(bob, room, other, since=position, take_bytes=5_000)
    await wait_all_tasks_blocked()  # a part of the replay is on its way
    await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
    await h.post(room, ann, "secret")
    client.transport.unblock()
    events = await all_of(client)
    of_room = [text for text in texts(events) if text != "in the other room"]
    assert of_room == [f"{n}" for n in range(len(of_room))]
    assert len(of_room) < 400
    assert texts(events)[-1] == "in the other room"
    assert resumed(events) == [(other.id, True, 1)]
    assert [event for event in events if isinstance(event, RoomLeft)] == [RoomLeft(room_id=room.id, user_id=bob.id)]


def test_a_replay_is_bounded_in_text_and_a_room_that_does_not_fit_is_left_to_a_reload() -> None:
    def missed(room_id: RoomId, length: int) -> Missed:
        message = make_message(100 + room_id, room_id, 1, 1, text="x" * length)
        receipt = receipt_floor([])
        receipts = Receipts(delivered=receipt, read=receipt)
        return Missed(access=Access(room=None, member=None), last_seq=1, receipts=receipts, messages=(message,))

    rooms = {RoomId(1): missed(RoomId(1), 10), RoomId(2): missed(RoomId(2), RESUME_BYTES)}
    replay = build_replay(rooms, published=MAX_ID)
    assert [(each.room_id, each.recovered) for each in replay.results] == [(1, True), (2, False)]
    assert [each.room_id for each in replay.messages] == [1]
    # Whoever is cut off before they heard of the second room has to ask for both again.
    assert [each.position for each in replay.results] == [None, Position.at(MAX_ID)]


async def test_replays_share_a_budget_and_give_it_back(
    h: EngineHarness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    first = await h.post(room, ann, "first")
    await post_many(h, room, ann, 10)
    waiting = await h.admit(bob, room, since=first.id)
    held = h.engine.connections.stats.replaying_bytes
    assert held > 0
    monkeypatch.setattr("chinwag.engine.connections.connections.ALL_RESUMES_BYTES", held)
    refused = await h.connect(bob, room, since=first.id)
    assert resumed(await all_of(refused)) == [(room.id, False, 0)], "the budget is taken"
    waiting.session.abandon()
    served = await h.connect(bob, room, since=first.id)
    assert resumed(await all_of(served)) == [(room.id, True, 10)]
    assert h.engine.connections.stats.replaying_bytes == 0
