"""The scenario `mixed`: a day in a busy office. People type, read, send, scroll back and search, in given proportions.

Everybody has a socket, on which they type and hear the others, and an HTTP connection for the rest, with one request
under way at a time. Of every sender all members of the room have to hear every message once, in order.
"""

import random
import re
import select
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.accounting import Faults, Member, RoomBooks
from chinwag.benchmarks.generator.frames import CLOSE, PING, PONG, TEXT, masked_frame, server_frame
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.requests import Caller, Request, hang_up, request, run_calls
from chinwag.benchmarks.generator.sockets import Wire, allow_files, opened
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, percentile, rate_over_time

KINDS: Final = ("typing", "read", "send", "history", "search")
OFFICE: Final = {"typing": 40, "read": 25, "send": 20, "history": 12, "search": 3}
"""What people do, in percent."""
HISTORY: Final = 50
DRAIN_S: Final = 5.0
_MESSAGE: Final = re.compile(rb'"content": ?"(\d{8}) by (\d+) ')
_ID: Final = re.compile(rb'"id": ?"([^"]+)"')
_BUFFER_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedWork:
    """`rooms` rooms of `members`; `mix` is how often each kind of thing is done, in any unit."""

    rooms: int = 10
    members: int = 10
    size: int = 40
    seconds: float = 5.0
    mix: Mapping[str, int] = field(default_factory=lambda: dict(OFFICE))

    @property
    def plan(self) -> Plan:
        return Plan(rooms=[self.members] * self.rooms, history=HISTORY)


class _Actor:
    """Somebody: their socket, what they heard, what they sent."""

    def __init__(self, number: int, room: int, wire: Wire) -> None:
        self.number = number
        self.room = room
        self.wire = wire
        self.sent = 0
        self.heard: dict[int, Member] = {}  # by sender
        self.latest = ""
        """The id of the last message heard."""
        self.complaints: list[str] = []

    def listen(self) -> None:
        """Take what came."""
        try:
            data = self.wire.socket.recv(_BUFFER_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise BenchError("the server closed a socket")
        data = self.wire.rest + data
        start = 0
        while (found := server_frame(data, start)) is not None:
            opcode, begin, start = found
            self._take(opcode, data[begin:start])
        self.wire.rest = data[start:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.wire.send(masked_frame(payload, PONG))
        elif opcode == CLOSE:
            raise BenchError(f"the server closed a socket: {payload[2:].decode('utf-8', 'replace')}")
        elif opcode == TEXT:
            message = _MESSAGE.search(payload) if b'"receive_message"' in payload else None
            if message is None:
                if b'"error"' in payload:
                    self.complaints.append(payload[:200].decode("utf-8", "replace"))
                return
            self.heard[int(message[2])].take(int(message[1]), 10**8)
            named = _ID.search(payload)
            if named is not None:
                self.latest = named[1].decode()


class _Office:
    def __init__(self, site: Site, work: MixedWork, wires: list[Wire]) -> None:
        self._site = site
        self._random = random.Random(1)  # the same day for every server
        self._kinds = [kind for kind in KINDS if work.mix.get(kind)]
        self._weights = [work.mix[kind] for kind in self._kinds]
        self._host = f"{site.host}:{site.port}"
        self._padding = b" " + b"x" * max(1, work.size - 18)
        self.typed = 0
        self.times: dict[str, list[float]] = defaultdict(list)
        self.actors = [_Actor(number, number // work.members, wire) for number, wire in enumerate(wires)]
        books = RoomBooks(lambda *_: None)
        for actor in self.actors:
            actor.heard = {each.number: Member(books) for each in self.roommates(actor)}

    def roommates(self, actor: _Actor) -> list[_Actor]:
        """Everybody in an actor's room, themselves included."""
        return [each for each in self.actors if each.room == actor.room]

    def next(self, caller: Caller) -> Request:
        """What an actor does next. Typing needs no answer, so that something else follows at once."""
        actor = self.actors[caller.name]
        while True:
            [kind] = self._random.choices(self._kinds, self._weights)
            if kind == "typing":
                room = self._site.world.rooms[actor.room].id
                event = self._random.choice(("typing_start", "typing_stop"))
                actor.wire.send(
                    masked_frame(b'{"event":"%s","data":{"room_id":"%s"}}' % (event.encode(), room.encode()))
                )
                self.typed += 1
                if len(self._kinds) > 1:
                    continue
            if kind != "read" or actor.latest:
                return self._request(actor, kind)
            if len(self._kinds) == 1:
                kind = "history"  # nothing to mark as read yet
                return self._request(actor, kind)

    def _request(self, actor: _Actor, kind: str) -> Request:
        room = self._site.world.rooms[actor.room]
        index = actor.number - actor.room * len(room.members)
        token = room.members[index].token
        path = f"{self._site.base}/v1/rooms/{room.id}/messages"
        if kind == "send":
            content = b"%08d by %d%s" % (actor.sent, actor.number, self._padding)
            actor.sent += 1
            body = b'{"content":"%s"}' % content
            return Request(data=request("POST", path, host=self._host, token=token, body=body), status=201, kind=kind)
        if kind == "read":
            path = f"{path}/{actor.latest}/read"
            return Request(data=request("POST", path, host=self._host, token=token), status=204, kind=kind)
        if kind == "search":
            path = f"{self._site.base}/v1/messages/search?q=nothing&limit=20&room_id={room.id}"
        else:
            kind, path = "history", f"{path}?limit={HISTORY}"
        return Request(data=request("GET", path, host=self._host, token=token), status=200, kind=kind)

    def answered(self, _caller: Caller, asked: Request, _body: bytes, seconds: float) -> None:
        """Note down how long it took."""
        self.times[asked.kind].append(seconds)

    def drain(self) -> None:
        """Listen until everybody has heard everything, or for so long."""
        by_fd = {actor.wire.socket.fileno(): actor for actor in self.actors}
        deadline = time.perf_counter() + DRAIN_S
        with select.epoll() as poll:
            for fd in by_fd:
                poll.register(fd, select.EPOLLIN)
            while time.perf_counter() < deadline and self.faults().lost:
                for fd, _ in poll.poll(0.1):
                    by_fd[fd].listen()

    def faults(self) -> Faults:
        """Everybody's accounts."""
        total = Faults()
        for actor in self.actors:
            for number, member in actor.heard.items():
                total.add(member.faults(self.actors[number].sent))
        return total


def run(site: Site, work: MixedWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Connect everybody, let them work, and look what they heard."""
    people = work.rooms * work.members
    allow_files(2 * people)
    with opened([dial for room in range(work.rooms) for dial in site.dials(room)]) as wires:
        office = _Office(site, work, wires)
        callers = [Caller(site.host, site.port, office.next, name) for name in range(people)]
        try:
            with Meter(site) as meter:
                answers = run_calls(
                    callers,
                    seconds=work.seconds,
                    on_answer=office.answered,
                    on_progress=on_progress,
                    readers={actor.wire.socket.fileno(): actor.listen for actor in office.actors},
                )
            office.drain()
        finally:
            hang_up(callers)
    heard = sum(member.level for actor in office.actors for member in actor.heard.values())
    more = {"typing/s": office.typed / answers.seconds}
    for kind, times in sorted(office.times.items()):
        ordered = sorted(times)
        more[f"{kind}/s"] = len(ordered) / answers.seconds
        more[f"{kind} p50, ms"] = percentile(ordered, 0.50) * 1000
        more[f"{kind} p99, ms"] = percentile(ordered, 0.99) * 1000
    return meter.result(
        scenario="mixed",
        parameters={"rooms": work.rooms, "members": work.members, "seconds": work.seconds, "mix": dict(work.mix)},
        unit="actions/s",
        rate=(answers.count + office.typed) / answers.seconds,
        seconds=answers.seconds,
        messages=sum(actor.sent for actor in office.actors),
        deliveries=heard,
        latency=latency(answers.latencies_s),
        over_time=rate_over_time(answers.moments_s, answers.seconds),
        faults=office.faults(),
        complaints=[*answers.complaints, *(each for actor in office.actors for each in actor.complaints)][:5],
        more=more,
    )
