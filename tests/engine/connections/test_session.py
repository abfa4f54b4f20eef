"""Sessions: slow consumers, half frames, time limits, and an end for every one of them."""

import itertools

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import EVENT_LINES, UNBOUNDED, InProcessTransport
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.connections.phases import SessionPhase
from chinwag.engine.connections.session import Session
from chinwag.engine.connections.transport import ConnectionLost
from chinwag.engine.connections.wires import LINES, Wire
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.events import Event, MessagePosted
from chinwag.engine.model.values import Room
from chinwag.engine.testing.harness import EngineHarness, Person, RoomHarness, open_harness, texts

LIMITS = SessionLimits()


class Peer(InProcessTransport):
    """As a socket with a stubborn client: it says goodbye in bytes, and the client never answers it.

    Two tasks that wait at once for it to become writable are a mistake that costs the connection, as with a real one.
    """

    def __init__(self, *, take_bytes: int = UNBOUNDED) -> None:
        super().__init__(take_bytes=take_bytes)
        self.writes: list[bytes] = []
        self.pings = 0
        self.aborted = False
        self._ended = trio.Event()
        self._waiting = False
        self._false_alarm = trio.CancelScope()

    def try_send(self, data: bytes | memoryview) -> int:
        taken = super().try_send(data)
        if taken:
            self.writes.append(bytes(data[:taken]))
        return taken

    async def wait_writable(self) -> None:
        if self._waiting:
            raise ConnectionLost("another task waits for this socket already")
        self._waiting = True
        try:
            with trio.CancelScope() as self._false_alarm:
                await super().wait_writable()
        finally:
            self._waiting = False

    def wake_in_vain(self) -> None:
        """Let the writer believe that it can write."""
        self._false_alarm.cancel()

    def ping(self) -> bytes:
        self.pings += 1
        return b"<ping>"

    def goodbye(self, reason: CloseReason) -> bytes:
        return f"<{reason.code}>".encode()

    def abort(self) -> None:
        self.aborted = True
        super().abort()
        self._ended.set()

    async def until_aborted(self) -> None:
        await self._ended.wait()
        raise ConnectionLost


async def serve(h: EngineHarness, person: Person, room: Room, peer: Peer) -> Session:
    admitted = await h.admit(person, room)
    h.serve(admitted, peer, peer.until_aborted)
    await wait_all_tasks_blocked()
    return admitted.session


def lines(peer: Peer) -> list[bytes]:
    return bytes(peer.written).splitlines()


# --- slow consumers ---


async def test_a_client_that_takes_nothing_is_closed_when_its_outbox_is_full(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(limits=SessionLimits(outbox_bytes=5_000))) as h:
        room = RoomHarness(h)
        ann, bob = await room.join("ann"), await room.join("bob")
        slow = await room.join("slow", take_bytes=0)
        largest = 0
        started = trio.current_time()
        for n in range(100):
            await h.post(room.room, ann.person, f"{n}")
            largest = max(largest, slow.client.session.outbox_bytes)
        assert slow.closed_with is CloseReason.SLOW_CONSUMER
        assert slow.closed_with.code == 4408
        assert 4_000 < largest < 5_500  # the bound, and at most one write beyond it
        assert trio.current_time() == started  # nobody waited for it
        assert texts(bob.received()) == texts(ann.received()) == [f"{n}" for n in range(100)]
        await wait_all_tasks_blocked()
        assert slow.client.session not in list(h.engine.connections)
        assert slow.client.session.outbox_bytes == 0
        assert h.engine.connections.stats.slow_consumers == 1


async def test_a_client_that_takes_nothing_for_too_long_is_closed_however_little_waits(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    room = RoomHarness(h)
    ann = await room.join("ann")
    slow = await room.join("slow", take_bytes=0)
    await h.post(room.room, ann.person, "one")
    await trio.sleep(LIMITS.blocked_s - 1)
    assert slow.closed_with is None
    await trio.sleep(2.1)
    assert slow.closed_with is CloseReason.SLOW_CONSUMER


async def test_a_client_that_takes_a_little_now_and_then_is_served(h: EngineHarness, autojump_clock: MockClock) -> None:
    room = RoomHarness(h)
    ann = await room.join("ann")
    slow = await room.join("slow", take_bytes=0)
    for n in range(20):
        await h.post(room.room, ann.person, f"{n}")
    for _ in range(8):
        await trio.sleep(LIMITS.blocked_s - 2)
        slow.client.transport.unblock(100)
    assert slow.closed_with is None
    slow.client.transport.unblock()
    await wait_all_tasks_blocked()
    assert texts(slow.received()) == [f"{n}" for n in range(20)]
    await trio.sleep(2 * LIMITS.blocked_s)
    assert slow.closed_with is None


@pytest.mark.parametrize("portion", [1, 7, 100, 10_000])
async def test_every_byte_arrives_in_order_through_a_narrow_pipe(
    h: EngineHarness, autojump_clock: MockClock, portion: int
) -> None:
    room = RoomHarness(h)
    ann = await room.join("ann")
    slow = await room.join("slow", take_bytes=portion)
    for n in range(5):
        await h.post(room.room, ann.person, f"{n}")
        slow.client.transport.unblock(portion)
        await wait_all_tasks_blocked()
    while slow.client.session.outbox_bytes:
        slow.client.transport.unblock(portion)
        await wait_all_tasks_blocked()
    assert texts(slow.received()) == [f"{n}" for n in range(5)]


# --- the last words ---


async def test_a_closed_slow_client_gets_the_rest_of_its_half_frame_then_the_goodbye(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=40)  # in the middle of the first event
    session = await serve(h, ann, room, peer)
    for n in range(3):
        await h.post(room, ann, f"{n}")
    session.close(CloseReason.SLOW_CONSUMER)
    peer.unblock()
    await wait_all_tasks_blocked()
    first, goodbye = lines(peer)
    assert b'"text":"0"' in first
    assert goodbye == b"<4408>"


async def test_the_rest_of_a_half_frame_is_kept_although_the_writer_woke_in_vain(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=40)
    session = await serve(h, ann, room, peer)
    await h.post(room, ann, "0")
    await h.post(room, ann, "1")
    for _ in range(3):
        await wait_all_tasks_blocked()
        peer.wake_in_vain()
    await wait_all_tasks_blocked()
    session.close(CloseReason.SLOW_CONSUMER)
    peer.unblock()
    await wait_all_tasks_blocked()
    first, goodbye = lines(peer)
    assert b'"text":"0"' in first
    assert goodbye == b"<4408>"


async def test_a_client_blocked_between_two_frames_gets_the_goodbye_next_from_one_writer(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=0)
    session = await serve(h, ann, room, peer)
    for n in range(3):
        await h.post(room, ann, f"{n}")
    await wait_all_tasks_blocked()  # its writer waits; closing must not start a second one
    session.close(CloseReason.SLOW_CONSUMER)
    await wait_all_tasks_blocked()
    assert not peer.aborted
    peer.unblock()
    await wait_all_tasks_blocked()
    assert lines(peer) == [b"<4408>"]


async def test_a_restart_is_said_after_everything_that_waits(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=0)
    session = await serve(h, ann, room, peer)
    for n in range(3):
        await h.post(room, ann, f"{n}")
    session.close(CloseReason.RESTART)
    peer.unblock()
    await wait_all_tasks_blocked()
    assert len(lines(peer)) == 4
    assert lines(peer)[-1] == b"<1012>"


async def test_nothing_follows_a_goodbye(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer()
    session = await serve(h, ann, room, peer)
    session.close(CloseReason.TOKEN_INVALID)
    session.close(CloseReason.SLOW_CONSUMER)
    session.send(b"late")
    session.finish(b"late")
    await h.post(room, ann, "late")
    assert bytes(peer.written) == b"<4401>"
    assert session.close_reason is CloseReason.TOKEN_INVALID


async def test_finishing_writes_the_answer_to_the_peers_goodbye_and_delivers_nothing_more(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer()
    session = await serve(h, ann, room, peer)
    session.finish(b"<bye>")
    await h.post(room, ann, "late")
    assert bytes(peer.written) == b"<bye>"
    assert not session.open
    assert session.close_reason is None


# --- time ---


async def test_an_expired_token_closes_its_connection(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    client = await h.connect(ann, room, expires_at=trio.current_time() + 30)
    await trio.sleep(29)
    assert client.session.open
    await trio.sleep(2.1)
    assert client.closed_with is CloseReason.TOKEN_INVALID
    assert client.closed_with.code == 4401


async def test_a_silent_peer_is_pinged_then_closed_and_one_that_answers_is_not(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    silent, lively = Peer(), Peer()
    silent.last_received = lively.last_received = trio.current_time()
    silent_session, lively_session = await serve(h, ann, room, silent), await serve(h, ann, room, lively)
    for _ in range(10):
        pings = lively.pings
        await trio.sleep(LIMITS.ping_interval_s + 1)
        assert lively.pings > pings
        lively.last_received = trio.current_time()
    assert silent.pings >= 1
    assert silent_session.close_reason is CloseReason.PING_TIMEOUT
    assert silent.aborted
    assert lively_session.close_reason is None


async def test_a_silent_peer_lasts_two_intervals(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer()
    peer.last_received = trio.current_time()
    session = await serve(h, ann, room, peer)
    await trio.sleep(2 * LIMITS.ping_interval_s - 1)
    assert session.open
    await trio.sleep(3)
    assert session.close_reason is CloseReason.PING_TIMEOUT


async def test_a_peer_that_ignores_the_goodbye_is_dropped_at_the_deadline(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=0)
    session = await serve(h, ann, room, peer)
    session.close(CloseReason.TOKEN_INVALID)
    await trio.sleep(LIMITS.closing_s - 1)
    assert len(h.engine.connections) == 1
    await trio.sleep(2.1)
    assert peer.aborted
    assert session.phase is SessionPhase.CLOSED
    assert len(h.engine.connections) == 0


async def test_an_admitted_session_that_nobody_runs_is_forgotten(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    admitted = await h.admit(ann, room)
    closed_first = await h.admit(ann, room)
    closed_first.session.close(CloseReason.TOKEN_INVALID)
    await h.post(room, ann, "held")
    await trio.sleep(LIMITS.unclaimed_s + 2)
    assert len(h.engine.connections) == 0
    peer = Peer()
    async with h.engine.connections.attach(admitted, peer):  # too late: it ends at once
        await peer.until_aborted()
    assert peer.aborted
    assert peer.written == b""
    assert admitted.session.phase is SessionPhase.CLOSED


async def test_a_session_closed_before_it_runs_says_goodbye_and_nothing_else(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    admitted = await h.admit(ann, room)
    await h.post(room, ann, "held")
    await h.engine.accounts.log_out(ann.id, ann.family_id)
    peer = Peer()
    h.serve(admitted, peer, peer.until_aborted)
    await wait_all_tasks_blocked()
    assert bytes(peer.written) == b"<4401>"
    await trio.sleep(LIMITS.closing_s + 2)
    assert peer.aborted


# --- the ends of a connection ---


async def test_a_vanished_client_costs_the_others_nothing_and_leaves_no_trace(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    room = RoomHarness(h)
    ann, bob = await room.join("ann"), await room.join("bob")
    bob.client.transport.abort()
    await h.post(room.room, ann.person, "while it is noticed")
    await wait_all_tasks_blocked()
    await h.post(room.room, ann.person, "afterwards")
    assert texts(ann.received()) == ["while it is noticed", "afterwards"]
    assert [session.user_id for session in h.engine.connections] == [ann.user]


async def test_a_client_that_vanishes_while_blocked_ends_its_writer(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=0)
    session = await serve(h, ann, room, peer)
    await h.post(room, ann, "waits")
    drained = False

    async def wait_for_it() -> None:
        nonlocal drained
        await session.drained()
        drained = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_it)
        await wait_all_tasks_blocked()
        assert not drained
        peer.abort()
    assert session.phase is SessionPhase.CLOSED
    assert session.outbox_bytes == 0


async def test_a_cancelled_connection_leaves_no_trace(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer()
    admitted = await h.admit(ann, room)
    scope = h.serve(admitted, peer, trio.sleep_forever)
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    assert peer.aborted
    assert len(h.engine.connections) == 0
    await trio.sleep(10)
    assert h.engine.presence._sessions == h.engine.presence._leaving == {}


async def test_backpressure_ends_when_the_outbox_is_empty(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    peer = Peer(take_bytes=0)
    session = await serve(h, ann, room, peer)
    await session.drained()
    session.send(b"0123456789")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.drained)
        nursery.start_soon(session.drained)
        await wait_all_tasks_blocked()
        peer.unblock(9)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 2
        peer.unblock(1)
    assert bytes(peer.written) == b"0123456789"


async def test_connections_come_and_go_without_a_trace(h: EngineHarness, autojump_clock: MockClock) -> None:
    people = [await h.join(name) for name in ("ann", "bob", "cid")]
    rooms = [await h.room(f"{n}", *people) for n in range(3)]
    for person, _ in itertools.product(people, range(5)):
        client = await h.connect(person, *rooms)
        await h.post(rooms[0], person, "x")
        client.transport.abort()
    await trio.sleep(h.engine.config.room_idle_s + 10)
    fanout = h.engine.connections._fanout
    assert (fanout._by_room, fanout._by_user, fanout._rooms_of) == ({}, {}, {})
    assert h.engine.presence._sessions == h.engine.presence._leaving == {}
    assert h.engine.rooms.active_count() == 0


# --- shutdown ---


async def test_at_shutdown_everybody_is_told_and_stubborn_clients_do_not_hold_it_up(
    autojump_clock: MockClock,
) -> None:
    blocked, stubborn = Peer(take_bytes=0), Peer()
    async with open_harness() as h:
        room = RoomHarness(h)
        ann = await room.join("ann")
        await serve(h, ann.person, room.room, stubborn)
        await serve(h, ann.person, room.room, blocked)
        await h.post(room.room, ann.person, "last words")
        started = trio.current_time()
    assert trio.current_time() - started < 9
    assert ann.closed_with is CloseReason.RESTART
    assert texts(ann.received()) == ["last words"]
    assert stubborn.written.endswith(b"<1012>")
    assert blocked.aborted
    assert stubborn.aborted


class Breaking:
    """A dialect with a bug that shows in what is replayed."""

    user_events = ()

    def encode(self, event: Event) -> bytes:
        if not isinstance(event, MessagePosted):
            raise ValueError("a bug in this format")
        return EVENT_LINES.encode(event)


async def test_a_bug_in_a_replay_closes_the_session_instead_of_holding_it_for_ever(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    since = (await h.post(room, ann, "0")).id
    await h.post(room, ann, "1")
    admitted = await h.admit(ann, room, since=since, wire=Wire(Breaking(), LINES))
    peer = Peer()
    h.serve(admitted, peer, peer.until_aborted)
    await wait_all_tasks_blocked()
    assert admitted.session.close_reason is CloseReason.INTERNAL_ERROR
    assert bytes(peer.written) == b"<1011>"
