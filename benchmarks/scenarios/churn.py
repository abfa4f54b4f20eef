"""The scenario `churn`: people are added to a room, connect, disconnect and leave it, over and over."""

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.requests import Answers, Caller, Request, hang_up, request, run_calls
from chinwag.benchmarks.generator.sockets import allow_files, close_all, open_all
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, rate_over_time


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnWork:
    """`connections` people at a time go through one room that has one member who stays."""

    connections: int = 32
    seconds: float = 3.0

    @property
    def plan(self) -> Plan:
        """The room that they go through, and one where they are at home."""
        return Plan(rooms=[1, self.connections])


def run(site: Site, work: ChurnWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Cycles of join, connect, disconnect, leave; each step for all of them before the next one."""
    allow_files(work.connections)
    churn = _Churn(site, work.connections)
    cycle_s, moments_s = array("d"), array("d")
    spent = {"joins/s": 0.0, "connects/s": 0.0, "leaves/s": 0.0}
    try:
        started = time.perf_counter()
        with Meter(site) as meter:
            while (begun := time.perf_counter()) - started < work.seconds:
                for name, step in (("joins/s", churn.join), ("connects/s", churn.connect), ("leaves/s", churn.leave)):
                    before = time.perf_counter()
                    step()
                    spent[name] += time.perf_counter() - before
                now = time.perf_counter()
                cycle_s.extend([now - begun] * work.connections)
                moments_s.extend([now - started] * work.connections)
                if on_progress is not None:
                    on_progress(now - started, len(cycle_s))
            seconds = time.perf_counter() - started
    finally:
        churn.close()
    return meter.result(
        scenario="churn",
        parameters={"connections": work.connections, "seconds": work.seconds},
        unit="cycles/s",
        rate=len(cycle_s) / seconds,
        seconds=seconds,
        messages=len(cycle_s),
        latency=latency(cycle_s),
        over_time=rate_over_time(moments_s, seconds),
        more={name: len(cycle_s) / each for name, each in spent.items()},
    )


class _Churn:
    def __init__(self, site: Site, connections: int) -> None:
        room, home = site.world.rooms
        [admin] = room.members
        host = f"{site.host}:{site.port}"
        path = f"{site.base}/v1/rooms/{room.id}/members"
        self._joins: list[Request] = []
        self._leaves: list[Request] = []
        for person in home.members:
            body = b'{"user_id":"%s","role":"MEMBER"}' % person.id.encode()
            self._joins.append(Request(data=request("POST", path, host=host, token=admin.token, body=body), status=201))
            leave = request("DELETE", f"{path}/{person.id}", host=host, token=person.token)
            self._leaves.append(Request(data=leave, status=204))
        socket_path = site.dial(0, 0).path
        self._dials = [
            type(dial)(host=dial.host, port=dial.port, path=socket_path, token=dial.token) for dial in site.dials(1)
        ]
        self._turn: Sequence[Request] = ()
        self._asked = [False] * connections
        self._callers = [Caller(site.host, site.port, self._next, name) for name in range(connections)]

    def join(self) -> None:
        """Everybody is added to the room."""
        self._all(self._joins)

    def connect(self) -> None:
        """Everybody opens a socket, and closes it once all are open."""
        close_all(open_all(self._dials))

    def leave(self) -> None:
        """Everybody leaves the room."""
        self._all(self._leaves)

    def close(self) -> None:
        """Hang up."""
        hang_up(self._callers)

    def _all(self, requests: Sequence[Request]) -> None:
        self._turn = requests
        self._asked = [False] * len(requests)
        answers: Answers = run_calls(self._callers)
        if answers.unexpected:
            raise BenchError(f"refused: {answers.complaints[0]}")

    def _next(self, caller: Caller) -> Request | None:
        if self._asked[caller.name]:
            return None
        self._asked[caller.name] = True
        return self._turn[caller.name]
