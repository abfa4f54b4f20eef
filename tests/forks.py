"""`chinwag` commands as forks of the process in `fork_server`, of which each test process has one.

A `Fork` is to its user what a `subprocess.Popen` is.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

FORK_SERVER: Final = Path(__file__).with_name("fork_server.py")
MAX_ANSWER_BYTES: Final = 100


LIMIT_S: Final = 120.0
"""No command that `run_forked` is for takes nearly as long, also on a busy machine."""


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of Chinwag's, and with those given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHINWAG_")} | more


class Fork:
    """A running `chinwag`, that writes to `stdout` as a pipe. Its end is awaited when the block is left."""

    def __init__(
        self, arguments: Sequence[str], *, stderr: IO[str], env: Mapping[str, str], folder: Path | None = None
    ) -> None:
        output, stdout = os.pipe()
        self._exits, exit_pipe = os.pipe()
        self.returncode: int | None = None
        self.stdout: IO[str] = os.fdopen(output)
        request = {"arguments": list(arguments), "folder": str(folder or Path.cwd()), "environment": dict(env)}
        try:
            self.pid = _fork_server().ask(request, stdout, stderr.fileno(), exit_pipe)
        finally:
            os.close(stdout)
            os.close(exit_pipe)

    def poll(self) -> int | None:
        """The exit code, None as long as it runs; minus the signal that ended it, if one did."""
        if self.returncode is None and select.select([self._exits], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit code. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._exits], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["chinwag"], timeout or 0.0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it now, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        told = os.read(self._exits, MAX_ANSWER_BYTES)
        assert told, "the fork server has ended"
        self.returncode = int(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stdout.close()
        self.wait()
        os.close(self._exits)


def run_forked(
    *arguments: str, env: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a `chinwag` command to its end, which comes soon."""
    with tempfile.TemporaryFile("w+") as stderr:
        with Fork(arguments, stderr=stderr, env=env if env is not None else environment(), folder=folder) as process:
            too_late = threading.Timer(LIMIT_S, process.kill)
            too_late.start()
            try:
                stdout = process.stdout.read()
                returncode = process.wait()
            finally:
                too_late.cancel()
                too_late.join()
        stderr.seek(0)
        return subprocess.CompletedProcess(["chinwag", *arguments], returncode, stdout, stderr.read())


class _ForkServer:
    """The process that is forked. It ends with this one, whatever way that goes: then its socket is closed."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(FORK_SERVER), str(other.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def ask(self, request: Mapping[str, object], *descriptors: int) -> int:
        """Start a command; its process id."""
        socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
        pid = self._socket.recv(MAX_ANSWER_BYTES)
        assert pid, "the fork server has ended"
        return int(pid)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _fork_server() -> _ForkServer:
    """This process's own, started when it is first needed."""
    server = _ForkServer()
    atexit.register(server.close)
    return server
