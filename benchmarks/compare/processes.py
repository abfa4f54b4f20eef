"""Servers as processes of their own, pinned to a core."""

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.errors import PeerMissing

START_S: Final = 60.0
STOP_S: Final = 15.0


@dataclass(slots=True)
class ServerProcess:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    port: int
    start_s: float
    """From its start to its first answer."""

    @property
    def usage(self) -> machine.Usage | None:
        """What it used so far."""
        return machine.usage(self.process.pid)


@contextlib.contextmanager
def running(
    command: Sequence[str], *, port: int, cpu: int | None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[ServerProcess]:
    """Run a server within the block; it listens on `port`. Raises PeerMissing when it does not get that far."""
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(env or {}),
                cwd=cwd,
                preexec_fn=partial(_prepare_child, cpu),
            )
        except OSError as error:
            raise PeerMissing(f"does not start: {error.strerror}") from error
        try:
            deadline = started + START_S
            while not _answers(port):
                if process.poll() is not None:
                    log.seek(0)
                    raise PeerMissing(f"ended at once: {_last_words(log.read())}")
                if time.perf_counter() > deadline:
                    raise PeerMissing(f"did not answer within {START_S:.0f} s")
                time.sleep(0.003)
            yield ServerProcess(process, port, time.perf_counter() - started)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def output_of(command: Sequence[str]) -> str:
    """What a command prints before it ends. Raises PeerMissing when it cannot be run, fails or does not end."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment({}),
            timeout=START_S,
            check=False,
        )
    except OSError as error:
        raise PeerMissing(f"does not start: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"did not answer within {START_S:.0f} s") from error
    if done.returncode:
        raise PeerMissing(f"ended at once: {_last_words(done.stderr or done.stdout)}")
    return done.stdout.decode("utf-8", "replace")


def _prepare_child(cpu: int | None) -> None:
    """A core of its own, and as many connections as the system allows."""
    machine.pin(cpu)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours, without settings of Chinwag's: a server under test has those that it is given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHINWAG_")} | dict(more)


def _answers(port: int) -> bool:
    """Whether it speaks HTTP there: any status will do."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            answer.read()
    except urllib.error.HTTPError as refusal:
        refusal.close()
    except OSError:
        return False
    return True


def _last_words(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no word on why"
