"""How many connections there may be of a user and from a source, and that each counts until it has ended."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import EventDialect, InProcessTransport
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.connections.wires import LINES, Wire
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.errors import EngineError, Forbidden, LimitReached, StoreUnavailable, TooManyConnections
from chinwag.engine.testing.harness import EngineHarness, open_harness

HOME, AWAY = "home", "away"


@pytest.fixture
async def few(autojump_clock: MockClock) -> AsyncIterator[EngineHarness]:
    """Three connections of a user, four from a source."""
    async with open_harness(config=EngineConfig(limits=SessionLimits(per_user=3, per_source=4))) as harness:
        yield harness


async def test_a_user_has_so_many_connections_of_all_kinds_together(
    few: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await few.join("ann"), await few.join("bob")
    clients = [await few.connect(ann, wire=Wire(EventDialect(), LINES), source=f"{n}") for n in range(3)]
    for source in (HOME, ""):
        with pytest.raises(TooManyConnections) as refused:
            await few.connect(ann, source=source)
        assert isinstance(refused.value, LimitReached)
        assert refused.value.what == "connections"
    await few.connect(bob)
    clients[1].session.close(CloseReason.RESTART)  # it takes its time to end, and counts no more
    await few.connect(ann)


async def test_from_one_source_there_may_be_so_many_whoever_they_are(
    few: EngineHarness, autojump_clock: MockClock
) -> None:
    people = [await few.join(name) for name in ("ann", "bob", "cat")]
    for person in (*people, people[0]):
        await few.connect(person, source=HOME)
    for person in people:
        with pytest.raises(TooManyConnections):
            await few.connect(person, source=HOME)
        await few.connect(person, source=AWAY)


async def test_the_unknown_source_is_not_one_source(few: EngineHarness, autojump_clock: MockClock) -> None:
    people = [await few.join(name) for name in ("ann", "bob", "cat")]
    for person in people * 3:
        await few.connect(person)
    assert few.engine.connections.stats.by_source == {}


async def test_of_many_at_once_no_more_are_admitted_than_may_be(few: EngineHarness, autojump_clock: MockClock) -> None:
    people = [await few.join(name) for name in ("ann", "bob", "cat")]
    outcomes: list[bool] = []

    async def connect(n: int) -> None:
        try:
            await few.connect(people[n % 3], everywhere=True, source=HOME)
            outcomes.append(True)
        except TooManyConnections:
            outcomes.append(False)

    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(connect, n)
    assert outcomes.count(True) == 4
    assert few.engine.connections.stats.by_source == {HOME: 4}


async def test_without_bounds_there_may_be_any_number(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(limits=SessionLimits(per_user=None, per_source=None))) as h:
        ann = await h.join("ann")
        for _ in range(1100):
            await h.admit(ann, source=HOME)


# --- every end frees what was taken ---------------------------------------------------------------------------------

Ending = Callable[[EngineHarness], Awaitable[None]]


async def client_leaves(h: EngineHarness) -> None:
    client = await h.connect(await h.join("ann"), source=HOME)
    client.transport.abort()


async def server_closes(h: EngineHarness) -> None:
    client = await h.connect(await h.join("ann"), source=HOME)
    client.session.close(CloseReason.TOO_MANY)


async def handshake_fails(h: EngineHarness) -> None:
    admitted = await h.admit(await h.join("ann"), source=HOME)
    admitted.session.abandon()
    admitted.session.abandon()


async def nobody_claims_it(h: EngineHarness) -> None:
    await h.admit(await h.join("ann"), source=HOME)
    await trio.sleep(31.0)


async def its_task_is_cancelled(h: EngineHarness) -> None:
    transport = InProcessTransport()
    scope = h.serve(await h.admit(await h.join("ann"), source=HOME), transport, transport.until_gone)
    await wait_all_tasks_blocked()
    scope.cancel()


async def it_is_served_too_late(h: EngineHarness) -> None:
    admitted = await h.admit(await h.join("ann"), source=HOME)
    admitted.session.abandon()
    transport = InProcessTransport()
    h.serve(admitted, transport, transport.until_gone)


async def no_room_is_the_users(h: EngineHarness) -> None:
    strange = await h.room("strange", await h.join("bob"))
    with pytest.raises(Forbidden):
        await h.connect(await h.join("ann"), strange, source=HOME)


async def the_store_fails(h: EngineHarness) -> None:
    ann = await h.join("ann")
    await h.connect(ann, source=AWAY)  # the log-in is in memory from now on
    h.store.unavailable = True
    with pytest.raises(StoreUnavailable):
        await h.connect(ann, everywhere=True, source=HOME)


async def log_out(h: EngineHarness) -> None:
    ann = await h.join("ann")
    await h.connect(ann, source=HOME)
    await h.engine.accounts.log_out_everywhere(ann.id)


@pytest.mark.parametrize(
    "ending",
    [
        client_leaves,
        server_closes,
        handshake_fails,
        nobody_claims_it,
        its_task_is_cancelled,
        it_is_served_too_late,
        no_room_is_the_users,
        the_store_fails,
        log_out,
    ],
)
async def test_however_a_connection_ends_it_counts_no_more(
    h: EngineHarness, autojump_clock: MockClock, ending: Ending
) -> None:
    await ending(h)
    await trio.sleep(5.0)
    assert HOME not in h.engine.connections.stats.by_source


async def test_a_refused_connection_counts_for_nothing(few: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await few.join("ann")
    for _ in range(3):
        await few.connect(ann, source=HOME)
    for _ in range(5):
        with pytest.raises(EngineError):
            await few.connect(ann, source=HOME)
    assert few.engine.connections.stats.by_source == {HOME: 3}
