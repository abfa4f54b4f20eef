"""The scenario `idle`: connections that are open and quiet. What each costs in memory and processor time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.load import Load
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.sockets import allow_files, opened
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result

ROOM = 10
"""Members of a room."""
FIRST = 10
"""One in so many connects before memory is first looked at: what only the very first brings is not counted."""
SETTLE_S = 0.5
"""What a server gets to put away what connecting took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleWork:
    """`connections` of as many users, ten to a room, watched for so long."""

    connections: int = 1000
    seconds: float = 5.0

    @property
    def plan(self) -> Plan:
        rooms, left = divmod(self.connections, ROOM)
        return Plan(rooms=[ROOM] * rooms + [left] * bool(left))


def run(site: Site, work: IdleWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Connect, let it settle, watch. Needs a server whose processes can be looked at."""
    if site.usage is None:
        raise BenchError("idle measures the server's memory: that takes a server of its own, not --target")
    allow_files(work.connections)
    dials = [dial for room in range(len(site.world.rooms)) for dial in site.dials(room)]
    first = max(1, work.connections // FIRST)
    load = Load()
    started = time.perf_counter()

    def connecting(count: int) -> None:
        if on_progress is not None:
            on_progress(time.perf_counter() - started, count)

    with opened(dials[:first]) as early:
        load.add_quiet(early)
        load.watch(SETTLE_S)
        before = site.usage
        started = time.perf_counter()
        with opened(dials[first:], connecting) as late:
            connected_s = time.perf_counter() - started
            load.add_quiet(late)
            closed = load.watch(SETTLE_S)
            settled = site.usage
            with Meter(site) as meter:
                closed += load.watch(work.seconds)
    if settled is None or before is None:
        raise BenchError("the server ended")
    result = meter.result(
        scenario="idle",
        parameters={"connections": work.connections, "seconds": work.seconds},
        unit="bytes/connection",
        rate=(settled.memory_bytes - before.memory_bytes) / (work.connections - first),
        seconds=work.seconds,
    )
    result.faults.lost = closed  # a connection that the server ended
    result.more = {
        "connections/s while connecting": (work.connections - first) / connected_s,
        "server CPU, µs per connection and second": (result.server_cpu_s or 0) / work.seconds / work.connections * 1e6,
        "server memory with a tenth of them, MB": before.memory_bytes / 1e6,
        "server memory with all, MB": settled.memory_bytes / 1e6,
    }
    return result
