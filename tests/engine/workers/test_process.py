"""Functions in a process of their own: whatever becomes of it, the caller hears of it and the next call works."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.workers.process import (
    WorkerFailed,
    WorkerLimits,
    WorkerProcess,
    WorkerRefused,
    WorkerUnavailable,
    open_worker,
)

MEMORY_BYTES = 128 * 1024 * 1024


@asynccontextmanager
async def worker(
    function: str = "act",
    *,
    deadline_s: float = 60.0,
    calls: int = 100,
    answer_bytes: int = 100_000,
) -> AsyncIterator[WorkerProcess]:
    limits = WorkerLimits(
        memory_bytes=MEMORY_BYTES, cpu_s=1.0, deadline_s=deadline_s, answer_bytes=answer_bytes, calls=calls
    )
    async with open_worker(f"tests.engine.workers.worker_functions:{function}", limits) as opened:
        yield opened


def pid_of(worker: WorkerProcess) -> int | None:
    return worker.pid


def is_there(pid: int) -> bool:
    """Whether there is such a process, if only as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_process_is_started_by_the_first_call_answers_all_and_ends_with_the_block() -> None:
    async with worker("echo") as echo:
        assert pid_of(echo) is None
        answers = [await echo.call(b"one ", b"call"), await echo.call(b"x" * 90_000), await echo.call()]
        pid = pid_of(echo)
        assert pid is not None and is_there(pid)
        assert answers == [each + f" {pid}".encode() for each in (b"one call", b"x" * 90_000, b"")]
    assert not is_there(pid)


async def test_calls_at_once_are_answered_one_after_the_other_each_with_its_own_answer() -> None:
    async with worker("echo") as echo, trio.open_nursery() as nursery:

        async def ask(n: int) -> None:
            assert (await echo.call(str(n).encode() * 5000)).split()[0] == str(n).encode() * 5000

        for n in range(8):
            nursery.start_soon(ask, n)


async def test_a_refusal_comes_back_with_its_reason_and_costs_no_process() -> None:
    async with worker() as act:
        for _ in range(2):
            with pytest.raises(WorkerRefused, match="is no good"):
                await act.call(b"refuse is no good")
            before = act.pid
        await act.call(b"print x")
        assert act.pid == before


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (b"crash", "ended"),
        (b"raise", "ended"),
        (b"leave", "ended"),
        (b"eat 300000000", "memory"),
        pytest.param(b"compute", "ended", marks=pytest.mark.services),  # some seconds, on a machine with other work
    ],
)
async def test_what_ends_the_process_or_wants_too_much_fails_and_the_next_call_works(call: bytes, reason: str) -> None:
    async with worker() as act:
        with pytest.raises(WorkerFailed, match=reason):
            await act.call(call)
        assert await act.call(b"eat 1000") == b"1000"


async def test_it_can_write_no_file(tmp_path: Path) -> None:
    async with worker() as act:
        with pytest.raises(WorkerFailed):
            await act.call(b"write ", str(tmp_path / "file").encode())
    assert not (tmp_path / "file").read_bytes()


async def test_who_takes_too_long_or_answers_too_much_is_killed() -> None:
    async with worker("echo", answer_bytes=10) as echo:
        with pytest.raises(WorkerFailed):
            await echo.call(b"more than may come back")
        assert pid_of(echo) is None
    async with worker(deadline_s=1.0) as act:
        with pytest.raises(WorkerFailed, match="more than 1 s"):
            await act.call(b"sleep")


async def test_a_process_that_died_between_two_calls_is_replaced_without_anybody_noticing() -> None:
    async with worker("echo") as echo:
        await echo.call(b"")
        assert echo.pid is not None
        os.kill(echo.pid, 9)
        await trio.to_thread.run_sync(os.waitid, os.P_PID, echo.pid, os.WEXITED | os.WNOWAIT)
        assert await echo.call(b"again") == f"again {echo.pid}".encode()


async def test_a_process_is_replaced_after_so_many_calls() -> None:
    async with worker("echo", calls=2) as echo:
        pids = [int(await echo.call(b"")) for _ in range(5)]
    assert len(set(pids)) == 3
    assert not any(map(is_there, pids))


async def test_a_process_with_nothing_to_do_is_ended(mock_clock: MockClock) -> None:
    async with worker("echo") as echo:
        pid = int(await echo.call(b""))
        mock_clock.jump(59)
        await wait_all_tasks_blocked()
        assert echo.pid == pid
        mock_clock.jump(2)
        await wait_all_tasks_blocked()
        assert pid_of(echo) is None
        assert int(await echo.call(b"")) != pid


async def test_who_is_cancelled_leaves_no_process_that_still_works_on_it() -> None:
    async with worker() as act:
        await act.call(b"eat 1")
        pid = act.pid
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act.call, b"sleep")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await act.call(b"eat 7") == b"7"
        assert act.pid != pid
    assert pid is not None and not is_there(pid)


async def test_nothing_of_the_servers_environment_is_in_it_but_what_an_interpreter_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHINWAG_SECRET", "the secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "the secret")
    async with worker() as act:
        environment = await act.call(b"environment")
    assert b"PATH" in environment
    assert b"the secret" not in environment


async def test_what_it_prints_goes_to_the_log_and_never_between_two_answers() -> None:
    with capture_logs() as logs:
        async with worker() as act:
            assert await act.call(b"print hello", b" there") == b"done"
            assert await act.call(b"eat 1") == b"1"
            while len(lines := [each["line"] for each in logs if "line" in each]) < 2:
                await trio.lowlevel.checkpoint()
    assert sorted(lines) == ["and to stderr", "hello there"]


async def test_what_a_process_says_without_end_is_logged_in_part() -> None:
    with capture_logs() as logs:
        async with worker() as act:
            for call in (b"print " + b"x" * 10_000, b"print", b"print " + b"y " * 50_000):
                for _ in range(30):
                    await act.call(call)
    lines = [each["line"] for each in logs if "line" in each]
    assert 0 < len(lines) <= 50
    assert max(map(len, lines)) <= 500


async def test_a_crash_is_in_the_log_with_its_signal_and_what_the_process_said_of_it() -> None:
    with capture_logs() as logs:
        async with worker() as act:
            with pytest.raises(WorkerFailed):
                await act.call(b"crash")
    assert [each["status"] for each in logs if each["event"] == "worker process ended"] == [-11]
    assert "Fatal Python error: Segmentation fault" in [each.get("line") for each in logs]


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("executable", "/nowhere/python"), ("frozen", True)])
async def test_without_an_interpreter_it_says_so(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    async with worker() as act:
        for _ in range(2):
            with pytest.raises(WorkerUnavailable, match="worker process"):
                await act.call(b"eat 1")


def test_it_works_in_a_server_whose_standard_streams_are_closed(tmp_path: Path) -> None:
    code = f"""
import os, trio
from pathlib import Path
from chinwag.engine.workers.process import WorkerLimits, open_worker
for descriptor in (0, 1, 2):
    os.close(descriptor)
async def main():
    limits = WorkerLimits(memory_bytes={MEMORY_BYTES}, cpu_s=9, deadline_s=60, answer_bytes=99)
    async with open_worker("tests.engine.workers.worker_functions:act", limits) as act:
        Path({str(tmp_path / "answer")!r}).write_bytes(await act.call(b"print x") + await act.call(b"eat 5"))
trio.run(main)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    assert (tmp_path / "answer").read_bytes() == b"done5"
