"""The scenario `flood`: what honest people notice while somebody floods the server from the same address.

People send messages without a pause, one logs in four times a second, one asks for the server's health ten times a
second: first alone, then beside the flood. It is of wrong log-ins, each connection at an account of its own, or of
searches that find nothing in long texts of one letter. Whatever the flood is answered with, it asks again at once.
"""

import json
import secrets
import select
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.http_client import HttpClient
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.requests import STALL_S, Caller, Request, hang_up, request
from chinwag.benchmarks.generator.sockets import allow_files
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, percentile, rate_over_time

Kind = Literal["log-in", "search"]
LOG_IN_EVERY_S: Final = 0.25
HEALTH_EVERY_S: Final = 0.1
PAUSE_S: Final = 1.0
"""Between one measurement and the next."""
TEXTS: Final = 1000
"""Messages of the room that is searched."""
TEXT: Final = "a" * 4000
QUERIES: Final = ("a" * 3990 + "b", "a" * 199 + "b")
"""What is searched for: the first that the server takes."""
_PASSWORD: Final = "correct-horse-battery"
_SCENARIOS: Final[Mapping[Kind, str]] = {"log-in": "flood of log-ins", "search": "flood of searches"}
_POST, _LOG_IN, _HEALTH, _FLOOD = "post", "log-in", "healthz", "flood"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodWork:
    """`connections` flood, `senders` send messages."""

    kind: Kind = "log-in"
    connections: int = 400
    senders: int = 16
    size: int = 40
    seconds: float = 10.0

    @property
    def plan(self) -> Plan:
        """The room that is searched, and one for each sender."""
        return Plan(rooms=[1] * (1 + self.senders))


@dataclass(slots=True)
class _Seen:
    """What one measurement saw, by kind of request."""

    times_s: dict[str, "array[float]"] = field(default_factory=dict)
    moments_s: "array[float]" = field(default_factory=lambda: array("d"))
    """When messages were answered."""
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def ms(self, kind: str, share: float) -> float:
        """A percentile of one kind's times in ms; 1.0 is the longest."""
        times = sorted(self.times_s.get(kind, ()))
        if not times:
            raise BenchError(f"no {kind} was answered: {'; '.join(self.complaints)}")
        return percentile(times, share) * 1000


@dataclass(slots=True)
class _Client:
    """One connection, what it asks for, and how often: None is at once."""

    caller: Caller
    every_s: float | None = None
    due: float = 0.0


def run(site: Site, work: FloodWork, on_progress: Callable[[float, int], None] | None = None) -> Result:
    """Measure without the flood, then with it."""
    allow_files(work.connections + work.senders)
    flood = _log_ins(site, work.connections) if work.kind == "log-in" else _searches(site, work.connections)
    honest = _honest(site)
    clients = [_client(site, [each]) for each in _posts(site, work)]
    clients += [_client(site, honest[:1], LOG_IN_EVERY_S), _client(site, honest[1:], HEALTH_EVERY_S)]
    try:
        _measure(clients, min(PAUSE_S, work.seconds))
        alone = _measure(clients, work.seconds)
        clients += [_client(site, [each]) for each in flood]
        time.sleep(PAUSE_S)
        with Meter(site) as meter:
            flooded = _measure(clients, work.seconds, on_progress)
    finally:
        hang_up([each.caller for each in clients])
    return _result(meter, work, alone, flooded)


def _result(meter: Meter, work: FloodWork, alone: _Seen, flooded: _Seen) -> Result:
    more: dict[str, float] = {}
    for name, seen in (("alone", alone), ("flooded", flooded)):
        more[f"{name}: posts/s"] = len(seen.moments_s) / seen.seconds
        more[f"{name}: post p50, ms"] = seen.ms(_POST, 0.50)
        more[f"{name}: post p99, ms"] = seen.ms(_POST, 0.99)
        more[f"{name}: log-in p50, ms"] = seen.ms(_LOG_IN, 0.50)
        more[f"{name}: log-in longest, ms"] = seen.ms(_LOG_IN, 1.0)
        more[f"{name}: healthz p50, ms"] = seen.ms(_HEALTH, 0.50)
        more[f"{name}: healthz longest, ms"] = seen.ms(_HEALTH, 1.0)
    more["post p99, flooded / alone"] = more["flooded: post p99, ms"] / more["alone: post p99, ms"]
    for (kind, status), count in sorted(flooded.statuses.items()):
        if kind == _FLOOD:
            more[f"flood answered {status}, /s"] = count / flooded.seconds
    return meter.result(
        scenario=_SCENARIOS[work.kind],
        parameters={
            "kind": work.kind,
            "connections": work.connections,
            "senders": work.senders,
            "size": work.size,
            "seconds": work.seconds,
        },
        unit="posts/s",
        rate=len(flooded.moments_s) / flooded.seconds,
        seconds=flooded.seconds,
        messages=len(flooded.moments_s),
        latency=latency(flooded.times_s[_POST]),
        over_time=rate_over_time(flooded.moments_s, flooded.seconds),
        complaints=[*alone.complaints, *flooded.complaints][:5],
        more=more,
    )


def _measure(
    clients: Sequence[_Client], seconds: float, on_progress: Callable[[float, int], None] | None = None
) -> _Seen:
    """Let all clients ask for so long, and wait for the last answers but the flood's."""
    seen = _Seen()
    clock = time.perf_counter
    by_fd = {each.caller.socket.fileno(): each for each in clients}
    timed = [each for each in clients if each.every_s is not None]
    waiting: set[int] = set()
    with select.epoll() as poll:
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        started = last = clock()
        deadline = started + seconds
        for fd, each in by_fd.items():
            each.due = started
            each.caller.ask(started)
            waiting.add(fd)
        while True:
            now = clock()
            if now >= deadline and not any(by_fd[fd].caller.current for fd in waiting if not _floods(by_fd[fd])):
                break
            if now - last > STALL_S:
                raise BenchError(f"no answer for {STALL_S:.0f} s")
            if on_progress is not None:
                on_progress(now - started, len(seen.moments_s))
            for each in timed:
                fd = each.caller.socket.fileno()
                if fd not in waiting and each.due <= now < deadline:
                    each.caller.ask(now)
                    waiting.add(fd)
            for fd, _ in poll.poll(0.005):
                each = by_fd[fd]
                answer = each.caller.read()
                if answer is None:
                    continue
                last = now = clock()
                waiting.discard(fd)
                _note(seen, each.caller, answer, now, started)
                if each.every_s is not None:
                    each.due = max(now, each.due + each.every_s)
                elif now < deadline:
                    each.caller.ask(now)
                    waiting.add(fd)
        seen.seconds = min(clock(), deadline) - started
        _settle(poll, by_fd, waiting)
    return seen


def _note(seen: _Seen, caller: Caller, answer: tuple[int, bytes], now: float, started: float) -> None:
    asked = caller.current
    assert asked is not None
    status, body = answer
    seen.statuses[asked.kind, status] += 1
    if asked.kind == _FLOOD:
        return
    if status != asked.status:
        if len(seen.complaints) < 5:
            seen.complaints.append(f"{asked.kind}: {status}: {body[:200].decode('utf-8', 'replace')}")
        return
    seen.times_s.setdefault(asked.kind, array("d")).append(now - caller.asked_at)
    if asked.kind == _POST:
        seen.moments_s.append(now - started)


def _settle(poll: select.epoll, by_fd: dict[int, _Client], waiting: set[int]) -> None:
    """Take the flood's last answers, so that its connections can be asked anew."""
    end = time.perf_counter() + STALL_S
    while waiting and time.perf_counter() < end:
        for fd, _ in poll.poll(0.1):
            if by_fd[fd].caller.read() is not None:
                waiting.discard(fd)


def _floods(client: _Client) -> bool:
    return client.caller.current is not None and client.caller.current.kind == _FLOOD


def _client(site: Site, requests: Sequence[Request], every_s: float | None = None) -> _Client:
    [only] = requests
    return _Client(Caller(site.host, site.port, lambda _: only), every_s)


# --- what is asked for ---


def _posts(site: Site, work: FloodWork) -> list[Request]:
    body = json.dumps({"content": "x" * work.size}).encode()
    host = f"{site.host}:{site.port}"
    return [
        Request(
            data=request(
                "POST",
                f"{site.base}/v1/rooms/{room.id}/messages",
                host=host,
                token=room.members[0].token,
                body=body,
            ),
            status=201,
            kind=_POST,
        )
        for room in site.world.rooms[1:]
    ]


def _honest(site: Site) -> tuple[Request, Request]:
    """A log-in of somebody who registers now, and a look at the server's health."""
    name = f"honest{secrets.token_hex(4)}"
    account = {"username": name, "email": f"{name}@example.com", "password": _PASSWORD}
    client = HttpClient(site.host, site.port, site.base)
    try:
        client.expect("POST", "/v1/auth/register", account, status=201)
    finally:
        client.close()
    host = f"{site.host}:{site.port}"
    log_in = json.dumps({"email": name, "password": _PASSWORD}).encode()
    return (
        Request(data=request("POST", f"{site.base}/v1/auth/login", host=host, body=log_in), status=200, kind=_LOG_IN),
        Request(data=request("GET", "/healthz", host=host), status=200, kind=_HEALTH),
    )


def _log_ins(site: Site, connections: int) -> list[Request]:
    host = f"{site.host}:{site.port}"
    bodies = (
        json.dumps({"email": f"victim{number}@example.com", "password": "wrong-horse-battery"}).encode()
        for number in range(connections)
    )
    return [
        Request(data=request("POST", f"{site.base}/v1/auth/login", host=host, body=body), status=401, kind=_FLOOD)
        for body in bodies
    ]


def _searches(site: Site, connections: int) -> list[Request]:
    """Fill the room that is searched, and find the longest text that may be searched for."""
    room = site.world.rooms[0]
    token = room.members[0].token
    client = HttpClient(site.host, site.port, site.base)
    try:
        for _ in range(TEXTS):
            client.expect("POST", f"/v1/rooms/{room.id}/messages", {"content": TEXT}, token=token, status=201)
        for query in QUERIES:
            path = f"/v1/messages/search?room_id={room.id}&q={query}"
            try:
                client.expect("GET", path, token=token)
                break
            except BenchError as refused:
                if "answered 400" not in str(refused):
                    raise
    finally:
        client.close()
    data = request("GET", site.base + path, host=f"{site.host}:{site.port}", token=token)
    return [Request(data=data, status=200, kind=_FLOOD) for _ in range(connections)]
