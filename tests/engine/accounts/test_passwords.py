"""Passwords are hashed in threads that leave the processor to others."""

import os
import sys
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.accounts.passwords import Argon2Passwords
from chinwag.engine.workers.low_priority import LowPriorityThreads


async def test_a_password_is_verified_by_its_hash_and_no_other_is() -> None:
    passwords = Argon2Passwords()
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "correct horse")
    assert not await passwords.verify(hashed, "Correct horse")
    assert not await passwords.verify("!", "!")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
async def test_the_work_is_done_with_less_priority_than_the_event_loop_has() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    assert await LowPriorityThreads(1, name="test").run(priority) == min(19, before + 5)
    assert priority() == before


async def test_no_more_is_done_at_once_than_there_are_threads_and_what_fails_tells_its_caller() -> None:
    threads = LowPriorityThreads(2, name="test")
    both, release = threading.Barrier(3), threading.Event()

    def work() -> str:
        both.wait(5)
        release.wait(5)
        return threading.current_thread().name

    names: list[str] = []

    async def run() -> None:
        names.append(await threads.run(work))

    def fail() -> None:
        raise ValueError("broken")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run)
        await trio.to_thread.run_sync(both.wait, 5)
        nursery.start_soon(_expect_value_error, threads, fail)
        await wait_all_tasks_blocked()
        release.set()
    assert len(set(names)) == 2


async def _expect_value_error(threads: LowPriorityThreads, fail: object) -> None:
    assert callable(fail)
    with pytest.raises(ValueError, match="broken"):
        await threads.run(fail)


async def test_who_is_cancelled_waits_no_longer_and_what_has_not_begun_is_not_done() -> None:
    threads = LowPriorityThreads(1, name="test")
    begun, release = threading.Event(), threading.Event()
    done: list[str] = []

    def hold() -> None:
        begun.set()
        release.wait(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(threads.run, hold)
        await trio.to_thread.run_sync(begun.wait, 5)
        with trio.move_on_after(0) as scope:
            await threads.run(done.append, "unwanted")
        assert scope.cancelled_caught
        release.set()
    await threads.run(done.append, "wanted")
    assert done == ["wanted"]
