"""The machine: its kind (never its name), pinning to cores, free ports, what a process used."""

import contextlib
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("chinwag", "trio", "apsw", "msgspec", "websockets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process used so far."""

    cpu_s: float
    """User and system time of all its threads."""
    memory_bytes: int
    """Resident now."""
    peak_bytes: int


def usage(pid: int) -> Usage | None:
    """What a process and its children used, None when it is gone or this system does not tell."""
    try:
        pids = [pid, *_children(pid)]
        found = [_usage(each) for each in pids]
    except (OSError, ValueError, IndexError, KeyError):  # KeyError: it has just ended
        return None
    return Usage(
        cpu_s=sum(each.cpu_s for each in found),
        memory_bytes=sum(each.memory_bytes for each in found),
        peak_bytes=sum(each.peak_bytes for each in found),
    )


def _usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        memory_bytes=int(lines["VmRSS"].split()[0]) * 1024,
        peak_bytes=int(lines["VmHWM"].split()[0]) * 1024,
    )


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def default_cpus() -> tuple[int | None, int | None]:
    """For the server and for the generator: cores 0 and 1 of those we may use, none where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def pin(cpu: int | None) -> None:
    """Keep this process on a core, and what it starts. None, or a core that does not exist, changes nothing."""
    if cpu is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {cpu})


@contextlib.contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Keep this process on a core within the block."""
    before = os.sched_getaffinity(0)
    pin(cpu)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def description() -> dict[str, str | int]:
    """The kind of machine and the versions of what was measured: no names, no paths."""
    return {
        "cores": os.cpu_count() or 1,
        "cpu": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
