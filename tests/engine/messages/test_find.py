"""A message is found by its id alone, by who may read it."""

import pytest
from trio.testing import MockClock

from chinwag.engine.model.errors import NotFound
from chinwag.engine.model.ids import MessageId
from chinwag.engine.model.values import Status
from chinwag.engine.testing.harness import EngineHarness, Person


async def test_a_member_finds_a_message_with_its_room_and_its_status(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, cake = await h.room("tea", ann, bob), await h.room("cake", ann, bob)
    in_tea, in_cake = await h.post(tea, ann, "hot"), await h.post(cake, ann, "sweet")
    await h.engine.messages.mark_read(cake.id, bob.id, in_cake.id)
    for message, room, status in ((in_tea, tea, Status.SENT), (in_cake, cake, Status.READ)):
        found = await h.engine.messages.find(bob.id, message.id)
        assert (found.message.room_id, found.message.text, found.status) == (room.id, message.text, status)
        assert found == await h.engine.messages.get(room.id, bob.id, message.id)


async def test_to_anybody_else_and_once_it_is_deleted_there_is_no_such_message(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, eve = await h.join("ann"), await h.join("bob"), await h.join("eve")
    tea = await h.room("tea", ann, bob)
    await h.room("other", eve)
    message = await h.post(tea, ann, "hot")

    async def hidden_from() -> list[Person]:
        """Those who are told that there is no such message."""
        told: list[Person] = []
        for person in (ann, bob, eve):
            try:
                await h.engine.messages.find(person.id, message.id)
            except NotFound as refused:
                assert refused.what == "message"
                told.append(person)
        return told

    assert await hidden_from() == [eve]
    await h.engine.rooms.remove_member(tea.id, ann.id, bob.id)
    assert await hidden_from() == [bob, eve]
    await h.engine.messages.delete(tea.id, ann.id, message.id)
    assert await hidden_from() == [ann, bob, eve]
    with pytest.raises(NotFound):
        await h.engine.messages.find(ann.id, MessageId(message.id + 1))
