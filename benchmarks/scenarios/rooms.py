"""The scenarios `fanout` and `rooms`: messages through WebSockets, in one room or many."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.generator.load import Load, insist
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.sockets import allow_files, opened
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, rate_over_time

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
    """Warm up if there is time, then measure."""
    if work.messages is None:
        warm_up(site, work)
    return measure(site, work, on_progress)


def measure(site: Site, work: RoomsWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """The measurement itself, on fresh connections."""
    with _loaded(site, work, on_progress) as load, Meter(site) as meter:
        outcome = load.run(seconds=None if work.messages else work.seconds, messages=work.messages)
    insist(outcome)
    return meter.result(
        scenario=work.scenario,
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
    )


def warm_up(site: Site, work: RoomsWork) -> float:
    """Run for a moment, without the idle ones; returns the rate."""
    with _loaded(site, replace(work, idle=0)) as load:
        outcome = load.run(seconds=WARM_UP_S)
    insist(outcome)
    return outcome.messages / outcome.seconds


@contextlib.contextmanager
def _loaded(site: Site, work: RoomsWork, on_progress: Callable[[float, int], None] | None = None) -> Iterator[Load]:
    """Everybody connected, within the block."""
    allow_files(work.rooms * work.members + work.idle)
    busy = [dial for room in range(work.rooms) for dial in site.dials(room)]
    quiet = [dial for room in range(work.rooms, len(site.world.rooms)) for dial in site.dials(room)][: work.idle]
    with opened(quiet) as idle, opened(busy) as wires:
        load = Load(on_progress)
        load.add_quiet(idle)
        for room in range(work.rooms):
            own = wires[room * work.members : (room + 1) * work.members]
            load.add_room(own, site.frames(room, work.size), work.window)
        yield load
