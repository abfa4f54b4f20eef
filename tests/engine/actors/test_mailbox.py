"""A mailbox is bounded, has one reader, and gives every envelope one outcome."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.actors.mailbox import Ask, Envelope, Mailbox
from chinwag.engine.model.errors import ActorStopped, EngineError, Overloaded


def taken(batch: list[Envelope[int]]) -> list[int]:
    return [envelope.command for envelope in batch]


async def test_the_reader_takes_everything_queued_at_once_and_in_order() -> None:
    mailbox = Mailbox[int]("m", 10)
    for n in range(5):
        mailbox.put(Envelope(n))
    assert len(mailbox) == 5
    assert taken(await mailbox.take(1000)) == [0, 1, 2, 3, 4]
    assert len(mailbox) == 0


async def test_a_waiting_reader_is_woken_by_the_first_envelope_and_gets_the_second_too() -> None:
    mailbox = Mailbox[int]("m", 10)
    got: list[int] = []

    async def read() -> None:
        got.extend(taken(await mailbox.take(1000)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        mailbox.put(Envelope(1))
        mailbox.put(Envelope(2))
    assert got == [1, 2]


async def test_a_full_mailbox_refuses_and_a_closed_one_too() -> None:
    mailbox = Mailbox[int]("m", 2)
    mailbox.put(Envelope(1))
    mailbox.put(Envelope(2))
    with pytest.raises(Overloaded):
        mailbox.put(Envelope(3))
    mailbox.close()
    with pytest.raises(ActorStopped):
        mailbox.put(Envelope(4))
    assert taken(await mailbox.take(1000)) == [1, 2]
    assert await mailbox.take(1000) == []


async def test_closing_wakes_a_waiting_reader_with_nothing() -> None:
    mailbox = Mailbox[int]("m", 2)
    got: list[list[Envelope[int]]] = []

    async def read() -> None:
        got.append(await mailbox.take(1000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        mailbox.close()
    assert got == [[]]


async def test_a_cancelled_reader_loses_nothing() -> None:
    mailbox = Mailbox[int]("m", 2)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.take(1000)
    mailbox.put(Envelope(1))
    assert taken(await mailbox.take(1000)) == [1]


async def test_who_waits_for_space_is_woken_by_the_reader() -> None:
    mailbox = Mailbox[int]("m", 1)
    mailbox.put(Envelope(1))
    order: list[str] = []

    async def wait(name: str) -> None:
        await mailbox.wait_space()
        order.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "a")
        nursery.start_soon(wait, "b")
        await wait_all_tasks_blocked()
        assert order == []
        await mailbox.take(1000)
    assert sorted(order) == ["a", "b"]


async def test_who_waits_for_space_is_woken_by_the_close() -> None:
    mailbox = Mailbox[int]("m", 1)
    mailbox.put(Envelope(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.wait_space)
        await wait_all_tasks_blocked()
        mailbox.close()


async def test_waiting_for_space_lets_other_tasks_run_even_when_there_is_space() -> None:
    mailbox = Mailbox[int]("m", 1)
    with trio.testing.assert_checkpoints():
        await mailbox.wait_space()


async def test_refuse_all_gives_everybody_queued_an_outcome() -> None:
    mailbox = Mailbox[int]("m", 5)
    slots = [Ask() for _ in range(3)]
    for n, slot in enumerate(slots):
        mailbox.put(Envelope(n, slot))
    mailbox.refuse_all(ActorStopped("over"))
    for slot in slots:
        with pytest.raises(ActorStopped):
            await slot.result()
    assert mailbox.closed


async def test_an_envelope_keeps_its_first_outcome() -> None:
    slot = Ask()
    envelope: Envelope[int] = Envelope(1, slot)
    envelope.answer("first")
    envelope.refuse(EngineError("late"))
    envelope.answer("later")
    assert await slot.result() == "first"
    nobody_waits: Envelope[int] = Envelope(2)
    nobody_waits.refuse(EngineError("nobody hears"))
    assert nobody_waits.done
