"""The engine as its embedder sees it: rooms, who may see what, connections, and an orderly end."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.admission import Admission
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import EVENT_LINES, InProcessTransport, open_client
from chinwag.engine.engine import EngineConfig
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.errors import (
    ActorStopped,
    Conflict,
    EngineError,
    Forbidden,
    Invalid,
    NotFound,
    StoreUnavailable,
    TryLater,
)
from chinwag.engine.model.events import (
    MemberAdded,
    MemberRemoved,
    MessagePosted,
    RoleChanged,
    RoomDeleted,
    RoomJoined,
    RoomLeft,
)
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import Attachment, Role, Room, RoomKind, Status
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, Person, RoomHarness, open_harness, texts

# --- rooms and members ---


async def test_a_new_room_has_its_creator_as_owner_and_the_others_once(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    clients = [await h.connect(ann), await h.connect(bob)]
    room = await h.engine.rooms.create(ann.id, name="tea", description="hot", member_ids=[bob.id, ann.id, bob.id])
    members = await h.engine.rooms.members(room.id, bob.id)
    assert {(each.username, each.role) for each in members} == {("ann", Role.OWNER), ("bob", Role.MEMBER)}
    assert await h.engine.rooms.get(room.id, bob.id) == room
    assert (room.kind, room.name, room.description, room.created_by) == (RoomKind.GROUP, "tea", "hot", ann.id)
    for client, person in zip(clients, (ann, bob), strict=True):
        assert client.received() == [RoomJoined(room_id=room.id, user_id=person.id, room=room)]


async def test_unknown_members_are_named_and_no_room_is_made(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    with pytest.raises(Invalid) as invalid:
        await h.engine.rooms.create(ann.id, name="tea", member_ids=[UserId(77), UserId(78)])
    assert invalid.value.field == "member_ids"
    assert "77" in invalid.value.reason
    assert "78" in invalid.value.reason
    assert (await h.engine.rooms.of(ann.id, limit=9)).rooms == ()


async def test_rooms_are_listed_by_latest_activity_and_found_by_name(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, coffee = await h.room("Tea", ann), await h.room("Coffee", ann)
    await h.room("theirs", bob)
    assert (await h.engine.rooms.of(ann.id, limit=9)).rooms == (coffee, tea)
    await h.post(tea, ann, "x")
    assert (await h.engine.rooms.of(ann.id, limit=9)).rooms == (tea, coffee)
    assert (await h.engine.rooms.of(ann.id, name_contains="tE", limit=9)).rooms == (tea,)
    assert (await h.engine.rooms.of(ann.id, limit=1)).rooms == (tea,)


async def test_a_stranger_gets_nothing_of_a_room_and_nobody_anything_of_none(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, eve = await h.join("ann"), await h.join("eve")
    room = await h.room("tea", ann)
    message = await h.post(room, ann, "secret")
    for room_id, expected in ((room.id, Forbidden), (RoomId(5), NotFound)):
        engine, user = h.engine, eve.id
        for attempt in (
            engine.rooms.get(room_id, user),
            engine.rooms.members(room_id, user),
            engine.messages.history(room_id, user, skip=0, limit=9),
            engine.messages.window(room_id, user, around=message.id, limit=9),
            engine.messages.search(user, text="secret", room_id=room_id, limit=9),
            engine.messages.post(room_id, user, text="x"),
            engine.messages.edit(room_id, user, message.id, text="x"),
            engine.messages.delete(room_id, user, message.id),
            engine.messages.mark_read(room_id, user, message.id),
            engine.messages.mark_delivered(room_id, user, message.id),
            engine.rooms.add_member(room_id, user, user, Role.ADMIN),
            engine.rooms.remove_member(room_id, user, ann.id),
            engine.rooms.delete(room_id, user),
        ):
            with pytest.raises(expected):
                await attempt
    assert (await h.engine.messages.search(eve.id, text="secret", limit=9)).messages == ()
    with pytest.raises(Forbidden):
        await h.connect(eve, room)
    assert len(h.engine.connections) == 0


async def test_members_are_added_by_an_admin_and_told(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, cid = await h.join("ann"), await h.join("bob"), await h.join("cid")
    room = await h.room("tea", ann, bob)
    on_bob, on_cid = await h.connect(bob, room), await h.connect(cid)
    with pytest.raises(Forbidden):
        await h.engine.rooms.add_member(room.id, bob.id, cid.id, Role.MEMBER)
    with pytest.raises(Invalid) as invalid:
        await h.engine.rooms.add_member(room.id, ann.id, UserId(7), Role.MEMBER)
    assert invalid.value.field == "user_id"
    member = await h.engine.rooms.add_member(room.id, ann.id, cid.id, Role.MEMBER)
    assert on_bob.received() == [MemberAdded(room_id=room.id, member=member)]
    assert on_cid.received() == [RoomJoined(room_id=room.id, user_id=cid.id, room=room)]
    with pytest.raises(Conflict):
        await h.engine.rooms.add_member(room.id, ann.id, cid.id, Role.MEMBER)


async def test_who_is_removed_hears_that_and_nothing_more(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    on_bob, on_phone = await h.connect(bob, room), await h.connect(bob, room)
    await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
    await h.post(room, ann, "secret")
    expected = [
        MemberRemoved(room_id=room.id, user_id=bob.id, username="bob"),
        RoomLeft(room_id=room.id, user_id=bob.id),
    ]
    assert on_bob.received() == on_phone.received() == expected
    with pytest.raises(Forbidden):
        await h.engine.messages.history(room.id, bob.id, skip=0, limit=9)
    assert (await h.engine.messages.search(bob.id, text="secret", limit=9)).messages == ()


async def test_a_removal_and_the_words_after_it_in_one_turn(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    engine = room.h.engine
    async with trio.open_nursery() as nursery:
        before = room.tell(post_command(ann.user, text="before"))
        nursery.start_soon(engine.rooms.remove_member, room.id, ann.user, bob.user)
        await before.result()
    await room.ask(post_command(ann.user, text="after"))
    assert texts(bob.received()) == ["before"]
    assert texts(ann.received()) == ["before", "after"]


async def test_the_owner_leaves_the_role_behind(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    client = await h.connect(bob, room)
    await h.engine.rooms.remove_member(room.id, ann.id, ann.id)
    assert RoleChanged(room_id=room.id, user_id=bob.id, role=Role.OWNER) in client.received()
    await h.engine.rooms.delete(room.id, bob.id)
    assert client.received() == [RoomLeft(room_id=room.id, user_id=bob.id), RoomDeleted(room_id=room.id)]
    with pytest.raises(NotFound):
        await h.engine.rooms.get(room.id, bob.id)


# --- direct rooms ---


async def test_two_users_have_one_direct_room_whoever_asks(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.engine.rooms.direct(bob.id, ann.id)
    assert await h.engine.rooms.direct(ann.id, bob.id) == room
    assert room.kind is RoomKind.DIRECT
    assert room.name == f"dm:{ann.id}:{bob.id}"
    assert (room.peer_of(ann.id), room.peer_of(bob.id)) == (bob.id, ann.id)
    assert {each.user_id for each in await h.engine.rooms.members(room.id, ann.id)} == {ann.id, bob.id}


async def test_both_sides_asking_at_once_get_the_same_direct_room(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms: list[Room] = []

    async def ask(caller: Person, peer: Person) -> None:
        rooms.append(await h.engine.rooms.direct(caller.id, peer.id))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask, ann, bob)
            nursery.start_soon(ask, bob, ann)
    assert len(rooms) == 10
    assert len({room.id for room in rooms}) == 1


async def test_who_left_a_direct_room_is_back_when_it_is_asked_for_again(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.engine.rooms.direct(ann.id, bob.id)
    await h.engine.rooms.remove_member(room.id, bob.id, bob.id)
    with pytest.raises(Forbidden):
        await h.engine.messages.history(room.id, bob.id, skip=0, limit=9)
    client = await h.connect(bob)
    assert await h.engine.rooms.direct(ann.id, bob.id) == room
    assert client.received() == [RoomJoined(room_id=room.id, user_id=bob.id, room=room)]
    await h.post(room, bob, "back")


async def test_a_direct_room_needs_somebody_else_who_exists(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    with pytest.raises(Invalid):
        await h.engine.rooms.direct(ann.id, ann.id)
    with pytest.raises(NotFound):
        await h.engine.rooms.direct(ann.id, UserId(5))


async def test_nobody_is_added_to_or_removed_from_a_direct_room(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, cid = await h.join("ann"), await h.join("bob"), await h.join("cid")
    room = await h.engine.rooms.direct(ann.id, bob.id)
    with pytest.raises(Invalid):
        await h.engine.rooms.add_member(room.id, ann.id, cid.id, Role.MEMBER)
    with pytest.raises(Forbidden):
        await h.engine.rooms.remove_member(room.id, ann.id, bob.id)


# --- messages ---


async def test_history_and_window_show_the_status_of_every_message(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    messages = [await h.post(room, ann, f"{n}") for n in range(5)]
    await h.engine.messages.mark_read(room.id, bob.id, messages[1].id)
    await h.engine.messages.mark_delivered(room.id, bob.id, messages[3].id)
    history = await h.engine.messages.history(room.id, ann.id, skip=1, limit=3)
    assert [(each.message.text, each.status.name) for each in history] == [
        ("3", "DELIVERED"),
        ("2", "DELIVERED"),
        ("1", "READ"),
    ]
    window = await h.engine.messages.window(room.id, ann.id, around=messages[2].id, limit=4)
    assert [each.message.text for each in window] == ["0", "1", "2", "3"]
    with pytest.raises(NotFound) as missing:
        await h.engine.messages.window(room.id, ann.id, around=MessageId(5), limit=4)
    assert missing.value.what == "message"


async def test_the_author_hears_when_a_message_gets_further_and_nobody_else(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    message = await h.post(room, ann, "x")
    on_ann, on_bob = await h.connect(ann, room), await h.connect(bob, room)
    await h.engine.messages.mark_delivered(room.id, bob.id, message.id)
    await h.engine.messages.mark_read(room.id, bob.id, message.id)
    statuses = [getattr(event, "status", None) for event in on_ann.received()]
    assert statuses == [Status.DELIVERED, Status.READ]
    assert on_bob.received() == []


async def test_a_fingerprint_tells_other_text_and_other_attachments() -> None:
    one = Attachment(url="u", mime_type="m", size_bytes=1)
    two = Attachment(url="u", mime_type="m", size_bytes=2)
    digests = {
        post_command(UserId(1), text=text, attachments=attachments, key="k").digest
        for text in ("", "a", "b")
        for attachments in ((), (one,), (two,), (one, two), (two, one))
        if text or attachments
    }
    assert len(digests) == 14
    assert post_command(UserId(1), text="a").digest is None


async def test_many_rooms_at_once_keep_their_own_order(h: EngineHarness, autojump_clock: MockClock) -> None:
    people = [await h.join(f"peer{n}") for n in range(4)]
    rooms = [await h.room(f"{n}", *people) for n in range(5)]
    clients = [await h.connect(person, *rooms) for person in people]

    async def talk(person: Person, room: Room) -> None:
        for n in range(10):
            await h.post(room, person, f"{n}")

    async with trio.open_nursery() as nursery:
        for room in rooms:
            for person in people:
                nursery.start_soon(talk, person, room)
    for client in clients:
        posted = [event.message for event in client.received() if isinstance(event, MessagePosted)]
        assert len(posted) == 200
        assert [each.id for each in posted] == sorted(each.id for each in posted)
        for room in rooms:
            assert [each.seq for each in posted if each.room_id == room.id] == list(range(1, 41))


# --- connections ---


async def test_a_connection_opens_with_the_rooms_that_are_the_users_and_names_the_others(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    mine, theirs = await h.room("mine", bob, ann), await h.room("theirs", ann)
    admitted = await h.engine.connections.admit(
        Admission(
            user_id=bob.id,
            family_id=bob.family_id,
            wire=EVENT_LINES,
            room_ids=[mine.id, theirs.id, RoomId(5), mine.id],
        )
    )
    assert admitted.refused == (theirs.id, RoomId(5))
    transport = InProcessTransport()
    h.serve(admitted, transport, transport.until_gone)
    await h.post(theirs, ann, "hidden")
    await h.post(mine, ann, "open")
    assert b"hidden" not in transport.written
    assert transport.written.count(b"open") == 1


@pytest.mark.parametrize("moment", range(8))
async def test_a_removal_at_any_moment_of_a_connect_leaves_no_subscription(
    autojump_clock: MockClock, moment: int
) -> None:
    async with open_harness() as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        for _ in range(40):
            room, other = await h.room("tea", ann, bob), await h.room("other", ann, bob)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(h.connect, bob, room, other)
                for _ in range(moment):
                    await trio.lowlevel.checkpoint()
                await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
            await wait_all_tasks_blocked()
            for session in h.engine.connections:
                assert not h.engine.connections.hears_of(session, room.id)
                assert h.engine.connections.hears_of(session, other.id)
                session.abandon()


async def test_a_connect_that_is_given_up_leaves_no_session(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    for checkpoints in range(6):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(h.admit, ann, room)
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
                if len(nursery.child_tasks) == 0:
                    break
                scope.cancel()
        assert len(h.engine.connections) == 0


async def test_a_connect_with_a_store_in_trouble_leaves_no_session(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    await h.engine.accounts.authenticate(ann.family_id, ann.id)
    h.store.unavailable = True
    with pytest.raises(StoreUnavailable):
        await h.connect(ann, room)
    with pytest.raises(StoreUnavailable):
        await h.engine.check()
    assert len(h.engine.connections) == 0


async def test_a_memory_client_can_be_opened_and_read_by_an_embedder(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    async with open_client(h.engine, user_id=ann.id, family_id=ann.family_id, room_ids=[room.id]) as client:
        await h.post(room, ann, "hello")
        [posted] = await client.receive(1)
        assert texts([posted]) == ["hello"]
    assert len(h.engine.connections) == 0


# --- the end ---


async def test_shutdown_answers_everyone(autojump_clock: MockClock) -> None:
    outcomes: list[object] = []

    async def post(h: EngineHarness, room: Room, person: Person, n: int) -> None:
        await trio.sleep(n / 50)
        try:
            outcomes.append((await h.post(room, person, f"{n}")).seq)
        except EngineError as error:
            outcomes.append(type(error))

    store = MemoryStore()
    async with trio.open_nursery() as askers:
        async with open_harness(store) as h:
            ann = await h.join("ann")
            rooms = [await h.room(f"{n}", ann) for n in range(3)]
            client = await h.connect(ann, *rooms)
            store.delay_s = 0.05
            for n in range(300):
                askers.start_soon(post, h, rooms[n % 3], ann, n)
            await trio.sleep(2)
        assert client.closed_with is CloseReason.RESTART
    assert len(outcomes) == 300
    acknowledged = [each for each in outcomes if isinstance(each, int)]
    assert 0 < len(acknowledged) < 300
    assert {each for each in outcomes if not isinstance(each, int)} == {ActorStopped}
    async with open_harness(store) as h:
        stored = [len(await h.engine.messages.history(room.id, ann.id, skip=0, limit=999)) for room in rooms]
    assert sum(stored) == len(acknowledged)


async def test_shutdown_ends_although_the_store_hangs_and_every_ask_ends(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    ended: list[type] = []

    async def post(h: EngineHarness, room: Room, person: Person) -> None:
        try:
            await h.post(room, person, "never")
        except TryLater as error:
            ended.append(type(error))

    started = trio.current_time()
    async with trio.open_nursery() as askers:
        async with open_harness(store) as h:
            ann = await h.join("ann")
            room = await h.room("tea", ann)
            await h.connect(ann, room)
            store.delay_s = 1e6
            for _ in range(5):
                askers.start_soon(post, h, room, ann)
            await trio.sleep(1)
        assert trio.current_time() - started < 11
    assert ended == [ActorStopped] * 5


async def test_nobody_is_admitted_once_the_shutdown_has_begun(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    client = await h.connect(ann, room)
    await h.engine.close_sessions()
    assert client.closed_with is CloseReason.RESTART
    with pytest.raises(ActorStopped):
        await h.connect(ann, room)


@pytest.mark.parametrize("moment", range(8))
async def test_a_connect_that_overlaps_with_the_shutdown_is_refused_or_told_to_go(
    autojump_clock: MockClock, moment: int
) -> None:
    for _ in range(20):
        sessions = []
        async with trio.open_nursery() as nursery:
            async with open_harness() as h:
                ann = await h.join("ann")

                async def come(h: EngineHarness = h, ann: Person = ann) -> None:
                    try:
                        admitted = await h.admit(ann)
                    except ActorStopped:
                        return
                    sessions.append(admitted.session)  # noqa: B023

                nursery.start_soon(come)
                for _ in range(moment):
                    await trio.lowlevel.checkpoint()
            assert len(h.engine.connections) == 0
        assert not any(session.open for session in sessions)


async def test_an_error_in_the_body_still_ends_everything_in_order(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    with pytest.raises(BaseExceptionGroup) as group:
        async with open_harness(store) as h:
            ann = await h.join("ann")
            room = await h.room("tea", ann)
            client = await h.connect(ann, room)
            h.engine.rooms.tell(room.id, post_command(ann.id, text="queued"))
            raise ZeroDivisionError
    assert group.group_contains(ZeroDivisionError)
    assert client.closed_with is CloseReason.RESTART
    assert len(await store.missed([room.id], ann.id, since=None, limit=9)) == 1
    assert (await store.missed([room.id], ann.id, since=None, limit=9))[room.id].last_seq == 1


async def test_what_a_background_task_raises_costs_nobody_anything(h: EngineHarness, autojump_clock: MockClock) -> None:
    async def bug() -> None:
        raise ZeroDivisionError

    h.engine.spawn(bug)
    await wait_all_tasks_blocked()
    ann = await h.join("ann")
    await h.post(await h.room("tea", ann), ann, "fine")


async def test_a_room_that_ends_by_a_bug_outside_its_turns_is_started_again(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)

    class Broken:
        """A reply that breaks its promise never to raise."""

        def answer(self, value: object) -> None:  # noqa: ARG002
            raise ZeroDivisionError

        def refuse(self, error: EngineError) -> None:  # noqa: ARG002
            raise ZeroDivisionError

    stranger = await h.join("eve")
    h.engine.rooms.tell(room.id, post_command(stranger.id, text="x"), Broken())
    await wait_all_tasks_blocked()
    assert (await h.post(room, ann, "fine")).seq == 1


async def test_numbers_about_rooms(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=5)) as h:
        ann = await h.join("ann")
        rooms = [await h.room(f"{n}", ann) for n in range(3)]
        assert h.engine.rooms.active_count() == 0
        for room in rooms:
            await h.post(room, ann, "x")
        assert h.engine.rooms.active_count() == 3
        assert h.engine.rooms.mailbox_depths() == [0, 0, 0]
        assert h.engine.rooms.stats.messages == 3
        await trio.sleep(7)
        assert h.engine.rooms.active_count() == 0
