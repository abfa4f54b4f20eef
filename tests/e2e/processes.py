"""Real processes for the end-to-end tests: `chinwag serve` in a folder of its own, and what can be asked of it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final, Protocol

import trio

from tests.e2e.listeners import LANE, Listener, Stream
from tests.forks import Fork, environment

ROOT: Final = Path(__file__).parents[2]
CHINWAG: Final = str(Path(sys.executable).with_name("chinwag"))
LIMIT_S: Final = 30.0
"""No single thing that a test waits for takes nearly as long, also on a busy machine."""
EXIT_LIMIT_S: Final = 10.0
"""What is promised about the time from SIGTERM to the end."""


class Process(Protocol):
    """What is asked of a `Fork`, or a `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def kill(self) -> None: ...


class Server:
    """One `chinwag serve` that is listening."""

    def __init__(self, process: Process, banner: list[str], data: Path, log_path: Path, listener: Listener) -> None:
        self.process = process
        self.listener = listener
        self.banner = banner
        self.data = data
        self.port = int(banner[0].rpartition(":")[2])
        self.has_several_fronts = sum(line.startswith("    API ") for line in banner) > 1
        self._log_path = log_path

    @property
    def url(self) -> str:
        return f"{self.listener.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log_path.read_text()

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    async def connect(self, *, receive_buffer_bytes: int | None = None) -> Stream:
        """A connection by this server's listener, for HTTP/1.1."""
        return await self.listener.connect(self.port, receive_buffer_bytes=receive_buffer_bytes)

    async def ended(self, limit_s: float = EXIT_LIMIT_S) -> int:
        """Wait for its end; the exit code. Raises `subprocess.TimeoutExpired`."""
        return await trio.to_thread.run_sync(partial(self.process.wait, timeout=limit_s))

    def terminate(self) -> None:
        """What an operator does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """What the kernel does when memory is short. Waits for the end."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(
    data: Path,
    *options: str,
    listener: Listener = LANE,
    env: Mapping[str, str] | None = None,
    bind: str | None = "127.0.0.1:0",
    fronts: Sequence[str] = ("chatterstack",),
    fresh: bool = False,
) -> Iterator[Server]:
    """Serve a data folder within the block. The log must show no traceback, and the end must be orderly.

    Without other `fronts` (none for all) ChatterStack is at its own paths. `fresh` is for tests of the start itself:
    a process that the installed command starts anew, not one forked from a process that has imported everything.
    A test that ends the server itself does so within the block.
    """
    where = [] if bind is None else ["--bind", bind]
    which = [f"--front={name}" for name in fronts]
    log_path = data.with_name(f"{data.name}.log")
    arguments = ["serve", *where, *which, "--data", str(data), *listener.options, *options]
    with (
        log_path.open("a") as log,
        _started(arguments, log, env if env is not None else environment(), fresh=fresh) as process,
    ):
        try:
            assert process.stdout is not None
            server = Server(process, _banner(process, process.stdout, log_path), data, log_path, listener)
            yield server
            if process.poll() is None:
                server.terminate()
                assert process.wait(timeout=EXIT_LIMIT_S) == 0, server.log
            assert "Traceback" not in server.log, server.log
        finally:
            process.kill()


def _started(
    arguments: Sequence[str], log: IO[str], env: Mapping[str, str], *, fresh: bool
) -> "subprocess.Popen[str] | Fork":
    if not fresh:
        return Fork(arguments, stderr=log, env=env)
    return subprocess.Popen([CHINWAG, *arguments], stdout=subprocess.PIPE, stderr=log, text=True, env=dict(env))


def _banner(process: Process, stdout: IO[str], log_path: Path) -> list[str]:
    too_late = threading.Timer(LIMIT_S, process.kill)
    too_late.start()
    lines: list[str] = []
    try:
        while not (lines and lines[-1].startswith("  data in ")):
            line = stdout.readline()
            assert line, f"ended before it was listening: {log_path.read_text()}"
            lines.append(line.rstrip("\n"))
    finally:
        too_late.cancel()
        too_late.join()
    return lines


def run(
    command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, which comes soon."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=dict(env) if env is not None else environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
