"""The scenario `scale`: the same work on stores of very different size. What it costs has to stay flat.

A store of size N has N rooms of two with one message each, and N / 10 users with 20 rooms each. The work touches rooms
all over the store: sending, history, listing one's rooms, searching, connecting.
"""

import contextlib
import random
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from chinwag.benchmarks.compare.contestants import Chinwag, Site, serving
from chinwag.benchmarks.generator.http_client import HttpClient
from chinwag.benchmarks.generator.meter import Meter
from chinwag.benchmarks.generator.requests import Answers, Caller, Request, hang_up, request, run_calls
from chinwag.benchmarks.generator.sockets import close_all, open_all
from chinwag.benchmarks.generator.world import (
    Party,
    Person,
    World,
    fill,
    folder_tokens,
    new_member,
    new_message,
    new_room,
    new_user,
)
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, rate_over_time
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.model.ids import IdSource
from chinwag.engine.model.store import InsertFamily, InsertMember, InsertMessage, InsertRoom, InsertUser, Write
from chinwag.http.security.tokens import AccessTokens

SIZES: Final = (1_000, 100_000, 1_000_000)
ROOMS_PER_USER: Final = 10
"""Of which a user is the first member; they are the second one in as many others."""
SAMPLE: Final = 64
"""People who do the work."""
WARM_UP_S: Final = 0.3
INDEX_S: Final = 600.0
"""What the search index may take to catch up with a store that was filled at once."""
KINDS: Final = ("send", "history", "rooms", "search own", "search common")
"""`search own` is for words that only the caller's room has, `search common` for one that every message has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleWork:
    """`connections` of as many people, for so long with each kind of request."""

    sizes: Sequence[int] = SIZES
    connections: int = 16
    seconds: float = 2.0


def run(work: ScaleWork, *, cpu: int | None, tell: Callable[[str, float], None]) -> list[Result]:
    """A result per kind of request and size, in the order of the sizes."""
    results: list[Result] = []
    for number, size in enumerate(work.sizes):

        def stage(text: str, number: int = number, size: int = size) -> None:
            tell(f"{size:,} messages and rooms: {text}", number / len(work.sizes))

        with _store(size, cpu, stage) as site:
            for kind in KINDS:
                stage(kind)
                results.append(_measure(site, work, kind, size))
            stage("connect")
            results.append(_connect(site, work, size))
    return results


@contextlib.contextmanager
def _store(size: int, cpu: int | None, stage: Callable[[str], None]) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="chinwag-bench-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        stage("filling the store")
        tokens = folder_tokens(folder)
        world = World()
        fill(folder, _writes(size, tokens, world))
        stage("starting")
        with serving(folder, front="chatterstack", cpu=cpu) as process:
            site = Site(name=Chinwag().name, host="127.0.0.1", port=process.port, world=world, process=process)
            stage("indexing for search")
            _index(site)
            yield site


def _writes(size: int, tokens: AccessTokens, world: World) -> Iterator[Write]:
    """The store's content, in the order in which it could have come about; `world` gets a sample of it."""
    new_id = IdSource(clock=wall_clock)
    count = max(2, size // ROOMS_PER_USER)
    users = []
    families = []
    for _ in range(count):
        user, family = new_user(new_id)
        yield InsertUser(user=user, password_hash="!")
        yield InsertFamily(family=family)
        users.append(user)
        families.append(family)
    chosen = set(random.Random(size).sample(range(count), min(SAMPLE, count)))
    for number in range(size):
        first, second = number % count, (number * 7 + 1) % count
        if first == second:
            second = (second + 1) % count
        room = new_room(new_id, users[first], f"room {number}")
        yield InsertRoom(room=room)
        yield InsertMember(room_id=room.id, member=new_member(users[first], admin=True))
        yield InsertMember(room_id=room.id, member=new_member(users[second]))
        yield InsertMessage(message=new_message(new_id, room, 1, users[first]))
        if first in chosen:
            token = tokens.issue(users[first].id, families[first].id)
            world.rooms.append(
                Party(id=str(room.id), name=room.name, members=[Person(id=str(users[first].id), token=token)])
            )


def _measure(site: Site, work: ScaleWork, kind: str, size: int) -> Result:
    _call(site, kind, work.connections, WARM_UP_S)
    with Meter(site) as meter:
        answers = _call(site, kind, work.connections, work.seconds)
    return _with_cost(
        meter.result(
            scenario=f"scale {kind}",
            parameters={"size": size, "connections": work.connections, "seconds": work.seconds},
            unit="requests/s",
            rate=answers.count / answers.seconds,
            seconds=answers.seconds,
            messages=answers.count,
            latency=latency(answers.latencies_s),
            over_time=rate_over_time(answers.moments_s, answers.seconds),
            complaints=answers.complaints,
        )
    )


def _index(site: Site) -> None:
    """Search once: that waits until everything is in the index."""
    party = site.world.rooms[0]
    client = HttpClient(site.host, site.port, timeout_s=INDEX_S)
    try:
        client.expect("GET", "/v1/messages/search?q=nothing&limit=1", token=party.members[0].token)
    finally:
        client.close()


def _call(site: Site, kind: str, connections: int, seconds: float) -> Answers:
    """Ask for one kind of thing for so long, all over the store."""
    chance = random.Random(1)
    host = f"{site.host}:{site.port}"
    body = b'{"content":"hello, everybody"}'
    requests: list[Request] = []
    for party in site.world.rooms:
        [person] = party.members
        path = f"/v1/rooms/{party.id}/messages"
        match kind:
            case "send":
                data = request("POST", path, host=host, token=person.token, body=body)
            case "history":
                data = request("GET", f"{path}?limit=50", host=host, token=person.token)
            case "rooms":
                data = request("GET", "/v1/rooms?limit=20", host=host, token=person.token)
            case "search own":
                words = quote(f"of {party.name}:")
                data = request("GET", f"/v1/messages/search?q={words}&limit=20", host=host, token=person.token)
            case _:
                data = request("GET", "/v1/messages/search?q=nothing&limit=20", host=host, token=person.token)
        requests.append(Request(data=data, status=201 if kind == "send" else 200))
    callers = [Caller(site.host, site.port, lambda _: chance.choice(requests), name) for name in range(connections)]
    try:
        return run_calls(callers, seconds=seconds)
    finally:
        hang_up(callers)


def _connect(site: Site, work: ScaleWork, size: int) -> Result:
    """Sockets opened and closed."""
    times, moments = array("d"), array("d")
    dials = [site.dial(room, 0) for room in range(len(site.world.rooms))]
    turn = random.Random(1)
    started = time.perf_counter()
    with Meter(site) as meter:
        while (begun := time.perf_counter()) - started < work.seconds:
            close_all(open_all(turn.sample(dials, work.connections)))
            now = time.perf_counter()
            times.extend([now - begun] * work.connections)
            moments.extend([now - started] * work.connections)
        seconds = time.perf_counter() - started
    return _with_cost(
        meter.result(
            scenario="scale connect",
            parameters={"size": size, "connections": work.connections, "seconds": work.seconds},
            unit="connections/s",
            rate=len(times) / seconds,
            seconds=seconds,
            messages=len(times),
            latency=latency(times),
            over_time=rate_over_time(moments, seconds),
        )
    )


def _with_cost(result: Result) -> Result:
    if result.server_cpu_s is not None and result.messages:
        result.more["server CPU, µs each"] = result.server_cpu_s / result.messages * 1e6
    return result


def flatness(results: Sequence[Result]) -> dict[str, float]:
    """By kind, what a request costs the server on the largest store, compared with the smallest: 1 is flat."""
    found: dict[str, float] = {}
    for kind in dict.fromkeys(result.scenario for result in results):
        costs = [each.more.get("server CPU, µs each", 0.0) for each in results if each.scenario == kind]
        if len(costs) > 1 and costs[0]:
            found[kind] = costs[-1] / costs[0]
    return found
