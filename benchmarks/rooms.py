"""The scenarios `fanout` and `rooms`: messages through WebSockets, in one room or many."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from chinwag.benchmarks.contestants import Site
from chinwag.benchmarks.load import Load, Outcome, insist
from chinwag.benchmarks.results import Result
from chinwag.benchmarks.sockets import Dial, allow_files, opened
from chinwag.benchmarks.stats import latency, rate_over_time
from chinwag.benchmarks.world import Plan

WARM_UP_S = 0.3
"""Before every measurement, unmeasured: compilers that compile while running get their chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsWork:
    """`rooms` rooms of `members`, in each of which one keeps `window` messages in flight."""

    rooms: int = 1
    members: int = 2
    window: int = 64
    size: int = 40
    seconds: float | None = 3.0
    messages: int | None = None
    """In each room; then `seconds` does not count."""
    idle: int = 0
    """Connections besides, each in a room of its own kind, that hear nothing."""

    @property
    def scenario(self) -> str:
        return "fanout" if self.rooms == 1 else "rooms"

    @property
    def plan(self) -> Plan:
        """The busy rooms, then those of the idle connections."""
        crowds, left = divmod(self.idle, IDLE_ROOM)
        return Plan(rooms=[self.members] * self.rooms + [IDLE_ROOM] * crowds + [left] * bool(left))

    @property
    def parameters(self) -> dict[str, int | float | None]:
        return {
            "rooms": self.rooms,
            "members": self.members,
            "window": self.window,
            "size": self.size,
            "idle": self.idle,
            "seconds": None if self.messages else self.seconds,
            "messages": self.messages,
        }


IDLE_ROOM = 10
"""Members of a room in which nothing happens."""


def run(site: Site, work: RoomsWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Connect everybody, warm up, measure, hang up. Raises BenchError when nothing can be measured."""
    allow_files(work.rooms * work.members + work.idle)
    quiet = [dial for room in range(work.rooms, len(site.world.rooms)) for dial in site.dials(room)]
    with opened(quiet):
        if work.messages is None:
            _once(site, work, seconds=WARM_UP_S, messages=None)
        return measure(site, work, on_progress)


def measure(site: Site, work: RoomsWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """The measurement itself, on fresh connections."""
    before, client_before = site.usage, _own_cpu_s()
    outcome = _once(site, work, seconds=work.seconds, messages=work.messages, on_progress=on_progress)
    after, client_after = site.usage, _own_cpu_s()
    return Result(
        scenario=work.scenario,
        server=site.name,
        parameters=work.parameters,
        unit="messages/s",
        rate=outcome.messages / outcome.seconds,
        seconds=outcome.seconds,
        messages=outcome.messages,
        deliveries=outcome.deliveries,
        latency=latency(outcome.latencies_s),
        over_time=rate_over_time(outcome.moments_s, outcome.seconds),
        faults=outcome.faults,
        complaints=outcome.complaints,
        server_cpu_s=after.cpu_s - before.cpu_s if after and before else None,
        server_peak_bytes=after.peak_bytes if after else None,
        client_cpu_s=client_after - client_before,
        start_s=site.process.start_s if site.process else None,
    )


def _once(
    site: Site,
    work: RoomsWork,
    *,
    seconds: float | None,
    messages: int | None,
    on_progress: Callable[[float, int], None] | None = None,
) -> Outcome:
    dials: list[Dial] = [dial for room in range(work.rooms) for dial in site.dials(room)]
    with opened(dials) as wires:
        load = Load(on_progress)
        for room in range(work.rooms):
            own = wires[room * work.members : (room + 1) * work.members]
            load.add_room(own, site.frames(room, work.size), work.window)
        outcome = load.run(seconds=None if messages else seconds, messages=messages)
    insist(outcome)
    return outcome


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def settle() -> None:
    """Let a server that was just left alone finish what it is doing."""
    time.sleep(0.05)
