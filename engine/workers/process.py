"""A function in a process of its own: for C code over bytes that strangers sent, and for what takes long.

    async with open_worker("chinwag.engine.files.picture_rendering:render", limits) as worker:
        answer = await worker.call(request)

The process is a clean interpreter (`workers.main`), started by the first call: nothing of this one's memory, files or
environment is in it, so no secret is either. It has limits of memory, processor time and output, and a low priority.
One that crashes, takes too long or answers nonsense is killed, and so is one that has answered `calls` calls or had
nothing to do for `idle_s` seconds or somewhat longer; the next call starts another.

On Linux the kernel enforces the limits; elsewhere only the deadline is sure.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
import trio

from chinwag.engine.model.values import Record
from chinwag.engine.workers.protocol import ANSWER, CALL, Outcome

log = structlog.get_logger("chinwag.engine")

_KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR", "LANG", "LC_ALL")
"""What an interpreter needs to start. Everything else, secrets above all, stays out."""
_NICENESS: Final = 10
"""Whoever waits for the server goes first."""
_LOGGED_LINES: Final = 50
"""Of what one process prints: hostile input may make a library talk for ever."""
_LOGGED_CHARACTERS: Final = 500
_LAST_WORDS_S: Final = 1.0
"""For reading what a process printed before its end."""


class WorkerLimits(Record):
    """What a worker process may have. `memory_bytes` is all of its data, the interpreter's (about 30 MB) included."""

    memory_bytes: int
    cpu_s: float
    """Of processor time, for one call."""
    deadline_s: float
    """For one call, the start of the process included."""
    answer_bytes: int
    calls: int = 200
    idle_s: float = 60.0


class WorkerFailed(Exception):
    """A call ended the process, or took too long or too much. The same call would do so again."""


class WorkerRefused(Exception):
    """The function says that it cannot do what was asked, and why."""


class WorkerUnavailable(Exception):
    """No process can be started: there is no interpreter (as in a frozen application), or no memory."""


class WorkerProcess:
    """Calls one function in a process. Make it with `open_worker`."""

    def __init__(self, function: str, limits: WorkerLimits, *, nursery: trio.Nursery) -> None:
        self._function = function
        self._limits = limits
        self._nursery = nursery
        self._lock = trio.Lock()
        self._running: _Running | None = None

    @property
    def pid(self) -> int | None:
        """The process that is there now, if there is one."""
        return None if self._running is None else self._running.process.pid

    async def call(self, *parts: bytes) -> bytes:
        """Call the function with the parts, joined. One call runs at a time, the others wait.

        Raises `WorkerFailed`, `WorkerRefused`, `WorkerUnavailable`. Who is cancelled ends the process as well.
        """
        async with self._lock:
            running = self._running
            self._running = None  # until it has answered: whatever happens instead is its end
            try:
                with trio.fail_after(self._limits.deadline_s):
                    if running is None or running.process.poll() is not None:
                        running = await self._start()
                    outcome, answer = await running.ask(parts, self._limits.answer_bytes)
            except trio.TooSlowError:
                log.warning("worker process too slow", function=self._function, limit_s=self._limits.deadline_s)
                raise WorkerFailed(f"took more than {self._limits.deadline_s:g} s") from None
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise WorkerFailed("ended the process that worked on it") from error
            else:
                if running.calls < self._limits.calls:
                    self._running, running = running, None
            finally:
                if running is not None:
                    running.over.set()
        match outcome:
            case Outcome.ANSWERED:
                return answer
            case Outcome.REFUSED:
                raise WorkerRefused(answer.decode(errors="replace"))
            case Outcome.OUT_OF_MEMORY:
                raise WorkerFailed("needs more memory than it may have")

    async def _start(self) -> "_Running":
        if not sys.executable or getattr(sys, "frozen", False):
            raise WorkerUnavailable("there is no Python interpreter to start a worker process with")
        limits = self._limits
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "chinwag.engine.workers.main", self._function]
        command += [str(limits.memory_bytes), str(limits.cpu_s)]
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))  # finds what is found here
        try:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerUnavailable(f"a worker process cannot be started: {error.strerror or error}") from error
        if sys.platform != "win32":
            with suppress(OSError):  # it has ended already
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        running = _Running(process)
        self._nursery.start_soon(self._attend, running)
        self._nursery.start_soon(self._end_when_idle, running)
        log.debug("worker process started", function=self._function, pid=process.pid)
        return running

    async def _attend(self, running: "_Running") -> None:
        """Log what a process prints, until it is over; then end it and wait for its end."""
        process = running.process
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._log_output, running)
                await running.over.wait()
                running.kill()
                nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_S
        finally:
            with trio.CancelScope(shield=True):
                await running.end()
            if process.returncode not in (0, -9):
                log.warning("worker process ended", function=self._function, pid=process.pid, status=process.returncode)

    async def _end_when_idle(self, running: "_Running") -> None:
        while not running.over.is_set():
            with trio.move_on_after(self._limits.idle_s):
                await running.over.wait()
            if running is self._running and trio.current_time() - running.idle_since >= self._limits.idle_s:
                self._running = None
                running.over.set()

    async def _log_output(self, running: "_Running") -> None:
        """A line of the log for each of the first lines, whole or as much as is logged of one."""
        assert running.process.stderr is not None
        left = _LOGGED_LINES
        pending = b""
        async for data in running.process.stderr:
            *lines, pending = (pending + data)[: left * _LOGGED_CHARACTERS].split(b"\n")
            for line in lines[:left]:
                self._log_line(running, line)
            left = max(0, left - len(lines))
        if pending and left:
            self._log_line(running, pending)

    def _log_line(self, running: "_Running", line: bytes) -> None:
        text = line[:_LOGGED_CHARACTERS].decode(errors="backslashreplace")
        log.warning("worker process says", function=self._function, pid=running.process.pid, line=text)


class _Running:
    """One process. `over` is set when nobody will ask it any more."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.calls = 0
        self.idle_since = trio.current_time()
        self.over = trio.Event()

    async def ask(self, parts: Sequence[bytes], most_bytes: int) -> tuple[Outcome, bytes]:
        """Raises `trio.BrokenResourceError` when the process ends instead of answering, or answers nonsense."""
        assert self.process.stdin is not None
        self.calls += 1
        await self.process.stdin.send_all(CALL.pack(sum(map(len, parts))))
        for part in parts:
            await self.process.stdin.send_all(part)
        outcome, length = ANSWER.unpack(await self._receive(ANSWER.size))
        if length > most_bytes or outcome not in set(Outcome):
            raise trio.BrokenResourceError("this is no answer")
        answer = await self._receive(length)
        self.idle_since = trio.current_time()
        return Outcome(outcome), answer

    async def _receive(self, size: int) -> bytes:
        assert self.process.stdout is not None
        received = bytearray()
        while len(received) < size:
            data = await self.process.stdout.receive_some(size - len(received))
            if not data:
                raise trio.BrokenResourceError("the process has ended")
            received += data
        return bytes(received)

    async def end(self) -> None:
        """Kill the process and wait for its end."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                await pipe.aclose()
        self.kill()
        await self.process.wait()

    def kill(self) -> None:
        """End the process, if it has not ended by itself."""
        with suppress(ProcessLookupError):
            self.process.kill()


@asynccontextmanager
async def open_worker(function: str, limits: WorkerLimits) -> AsyncIterator[WorkerProcess]:
    """A worker for `function`, "module:name" of a function from bytes to bytes that raises `CallRefused`.

    Its process is ended with the block. Nothing is started before the first call.
    """
    async with trio.open_nursery() as nursery:
        try:
            yield WorkerProcess(function, limits, nursery=nursery)
        finally:
            nursery.cancel_scope.cancel()
