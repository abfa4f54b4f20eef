"""A client that was told nothing yet has a position too: the moment of its admission. From there nothing is missed."""

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.admission import Admission
from chinwag.engine.connections.in_process import EVENT_LINES, InProcessClient, InProcessTransport
from chinwag.engine.model.events import Event, Resumed
from chinwag.engine.model.ids import MAX_ID
from chinwag.engine.model.positions import Position
from chinwag.engine.testing.harness import EngineHarness, Person, texts


async def told(h: EngineHarness, person: Person, *, since: Position) -> list[Event]:
    """What somebody is told who comes back with a position, to all of their rooms."""
    admission = Admission(
        user_id=person.id,
        family_id=person.family_id,
        expires_at=float("inf"),
        wire=EVENT_LINES,
        follow=True,
        resume=True,
        since=since,
    )
    transport = InProcessTransport()
    async with h.engine.connections.open(admission, transport) as session:
        await wait_all_tasks_blocked()
        return InProcessClient(session, transport, ()).received()


async def moment(h: EngineHarness, person: Person) -> Position:
    """Where somebody is who is admitted now, and cut off before they are told anything."""
    admitted = await h.admit(person, everywhere=True)
    admitted.session.abandon()
    return admitted.position


def recovered(events: list[Event]) -> set[bool]:
    return {event.recovered for event in events if isinstance(event, Resumed)}


async def test_what_happened_since_a_moment_is_replayed_and_nothing_before_it(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann, bob)
    await h.post(tea, ann, "before")
    position = await moment(h, bob)
    again = await told(h, bob, since=position)
    assert (texts(again), recovered(again)) == ([], {True})
    await h.post(tea, ann, "one")
    cake = await h.room("cake", ann, bob)
    await h.post(cake, ann, "two")
    events = await told(h, bob, since=position)
    assert (texts(events), recovered(events)) == (["one", "two"], {True})


async def test_a_moment_may_be_anybodys_message(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, own = await h.room("tea", ann, bob), await h.room("own", ann)
    await h.post(tea, ann, "before")
    await h.post(own, ann, "not for bob")
    position = await moment(h, bob)
    await h.post(tea, ann, "after")
    events = await told(h, bob, since=position)
    assert (texts(events), recovered(events)) == (["after"], {True})


@pytest.mark.parametrize("ahead", [1, 1 << 40])
async def test_a_moment_that_is_still_to_come_is_of_another_server(
    h: EngineHarness, autojump_clock: MockClock, ahead: int
) -> None:
    ann = await h.join("ann")
    tea = await h.room("tea", ann)
    newest = await h.post(tea, ann, "missed")
    now = Position.at(newest.id)
    assert recovered(await told(h, ann, since=now)) == {True}
    events = await told(h, ann, since=Position.at(min(newest.id + ahead, MAX_ID)))
    assert (texts(events), recovered(events)) == ([], {False})


async def test_only_who_was_told_how_all_rooms_were_resumed_is_where_that_leads(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms = [await h.room(f"{n}", ann, bob) for n in range(3)]
    position = await moment(h, bob)
    newest = [await h.post(room, ann, "hello") for room in rooms][-1]
    events = await told(h, bob, since=position)
    ends = [event.position for event in events if isinstance(event, Resumed)]
    assert ends == [None, None, Position.at(newest.id)]
    assert texts(await told(h, bob, since=Position.at(newest.id))) == []
