"""The scenario `http`: sending messages and reading history over kept-alive connections."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.accounting import Faults
from chinwag.benchmarks.generator.http_client import HttpClient
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.requests import Answers, Caller, Request, hang_up, request, run_calls
from chinwag.benchmarks.generator.world import Person, Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, rate_over_time

Kind = Literal["send", "history", "hello"]
HISTORY: Final = 50
"""Messages that a page of history holds."""
ROOM: Final = 2
"""Members of a room: each of them has a connection."""
WARM_UP_S: Final = 0.3
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpWork:
    """`connections` of as many users, two to a room, do one thing over and over."""

    kind: Kind
    connections: int = 32
    size: int = 40
    seconds: float | None = 3.0
    messages: int | None = None
    """Requests altogether; then `seconds` does not count."""

    @property
    def plan(self) -> Plan:
        rooms, odd = divmod(self.connections, ROOM)
        return Plan(rooms=[ROOM] * rooms + [1] * odd, history=HISTORY if self.kind == "history" else 0)

    @property
    def parameters(self) -> dict[str, str | int | float | None]:
        return {
            "kind": self.kind,
            "connections": self.connections,
            "size": self.size,
            "seconds": None if self.messages else self.seconds,
            "messages": self.messages,
        }


def run(site: Site, work: HttpWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Warm up if there is time, then measure."""
    if work.messages is None:
        warm_up(site, work)
    return measure(site, work, on_progress)


def measure(site: Site, work: HttpWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Ask, then for what was sent look whether all of it is there, once and in order."""
    job = _Job(site, work)
    with Meter(site) as meter:
        answers = job.run(seconds=None if work.messages else work.seconds, on_progress=on_progress)
    return meter.result(
        scenario=f"http {work.kind}",
        parameters=work.parameters,
        unit="requests/s",
        rate=answers.count / answers.seconds,
        seconds=answers.seconds,
        messages=answers.count,
        latency=latency(answers.latencies_s),
        over_time=rate_over_time(answers.moments_s, answers.seconds),
        faults=job.verify(),
        complaints=answers.complaints,
    )


def warm_up(site: Site, work: HttpWork) -> float:
    """Ask for a moment; returns the rate."""
    answers = _Job(site, work).run(seconds=WARM_UP_S)
    return answers.count / answers.seconds


class _Job:
    def __init__(self, site: Site, work: HttpWork) -> None:
        self._site = site
        self._work = work
        self._tag = secrets.token_hex(4)
        self._numbers = count()
        self._acknowledged: dict[int, list[int]] = {}  # by room, in the order of acknowledgement
        self._people: list[tuple[int, Person]] = [
            (number, member) for number, room in enumerate(site.world.rooms) for member in room.members
        ][: work.connections]
        self._senders: dict[int, int] = {}  # by number
        self._foreign = 0
        self._left = work.messages
        host = f"{site.host}:{site.port}"
        padding = " " + self._tag + " " + "x" * max(1, work.size - 18)
        self._halves: list[tuple[bytes, bytes]] = []
        for room, person in self._people:
            path = f"{site.base}/v1/rooms/{site.world.rooms[room].id}/messages"
            if work.kind == "send":
                body = b'{"content":"%08d%s"}' % (0, padding.encode())
                whole = request("POST", path, host=host, token=person.token, body=body)
                before, _, after = whole.rpartition(b"00000000" + padding.encode())
                self._halves.append((before, padding.encode() + after))
            elif work.kind == "history":
                self._halves.append((request("GET", f"{path}?limit={HISTORY}", host=host, token=person.token), b""))
            else:
                self._halves.append((request("GET", "/hello", host=host), b""))

    def run(self, *, seconds: float | None, on_progress: Callable[[float, int], None] | None = None) -> Answers:
        site = self._site
        callers = [Caller(site.host, site.port, self._next, name) for name in range(len(self._people))]
        try:
            answers = run_calls(callers, seconds=seconds, on_answer=self._check, on_progress=on_progress)
        finally:
            hang_up(callers)
        if not answers.count:
            raise BenchError(f"no request succeeded: {'; '.join(answers.complaints)}")
        return answers

    def _next(self, caller: Caller) -> Request | None:
        if self._left is not None:
            if not self._left:
                return None
            self._left -= 1
        before, after = self._halves[caller.name]
        if self._work.kind == "send":
            number = next(self._numbers)
            self._senders[number] = caller.name
            return Request(data=before + b"%08d" % number + after, status=201, number=number)
        return Request(data=before, status=200)

    def _check(self, caller: Caller, asked: Request, body: bytes, _seconds: float) -> None:
        if self._work.kind == "send":
            if b"%08d %s" % (asked.number, self._tag.encode()) not in body:
                self._foreign += 1
            self._acknowledged.setdefault(self._people[caller.name][0], []).append(asked.number)
        elif self._work.kind == "history" and body.count(b'"content"') != HISTORY:
            self._foreign += 1

    def verify(self) -> Faults:
        """Compare what was acknowledged with what the rooms hold: all of it, once, each connection's in its order."""
        total = Faults(foreign=self._foreign)
        client = HttpClient(self._site.host, self._site.port, self._site.base)
        try:
            for room, acknowledged in self._acknowledged.items():
                stored = self._stored(client, room)
                total.lost += len(set(acknowledged) - set(stored))
                total.duplicated += len(stored) - len(set(stored))
                last: dict[int, int] = {}
                for number in stored:
                    sender = self._senders[number]
                    total.reordered += number < last.get(sender, -1)
                    last[sender] = number
        finally:
            client.close()
        return total

    def _stored(self, client: HttpClient, room: int) -> list[int]:
        """The numbers of this run that a room holds, oldest first."""
        party = self._site.world.rooms[room]
        numbers: list[int] = []
        for page in count(1):
            path = f"/v1/rooms/{party.id}/messages?limit={_PAGE}&page={page}"
            messages = client.expect("GET", path, token=party.members[0].token)["messages"]
            words = [each["content"].split(" ", 2) for each in messages]
            found = [int(each[0]) for each in words if each[1:2] == [self._tag]]
            numbers += found
            if len(messages) < _PAGE or not found:
                break
        return numbers[::-1]
