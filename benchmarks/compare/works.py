"""The works that `chinwag bench compare` compares by, and what is to be reached in each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from chinwag.benchmarks.compare import contestants
from chinwag.benchmarks.compare.contestants import Chinwag, Contestant, FastapiChat, Site
from chinwag.benchmarks.compare.installs import Installs
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.scenarios import http_work, idle, rooms
from chinwag.benchmarks.scenarios.http_work import HttpWork
from chinwag.benchmarks.scenarios.idle import IdleWork
from chinwag.benchmarks.scenarios.rooms import RoomsWork

T = TypeVar("T")

CHAT_GOAL = 5.0
"""What every scenario has to reach against `fastapi_chat`."""
IDLE_GOAL_BYTES = 8_000
CROWD_GOAL = 2.0
HELLO = "FastAPI hello-world"
ALONE = "Chinwag, none idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Chinwag's figure divided by `against`'s has to be at least `factor`, or at most where less is better."""

    against: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One row of the comparison."""

    key: str
    title: str
    unit: str
    plan: Plan
    measure: Callable[[Site], Result]
    contestants: Sequence[Contestant]
    warm_up: Callable[[Site], float] | None = None
    """Runs for a moment and gives a rate: of two variants of one server the faster goes on."""
    goals: Sequence[Goal] = ()
    figure: Callable[[Result], float] = lambda result: result.rate
    less_is_better: bool = False
    limit: float | None = None
    """What Chinwag's own figure has to reach."""
    fresh: bool = False
    """Whether each round starts the server anew: what it remembers of the last one would falsify the next."""

    @property
    def each(self) -> str:
        """What a rate counts, one of them."""
        return self.unit.removesuffix("s/s")


def all_works(installs: Installs, seconds: float, *, idle_connections: int, crowd: int) -> list[Work]:
    """Everything, each measurement `seconds` long; `crowd` is how many connections are open in the crowded one."""
    return [
        *room_works(installs, seconds),
        *http_works(installs, seconds),
        _idle_work(installs, idle_connections),
        _crowd_work(seconds, crowd),
    ]


def room_works(installs: Installs, seconds: float) -> list[Work]:
    """Messages through WebSockets."""
    table = (
        (1, 500, 64, (("node ws", 10), ("Bun", 0.6))),
        (1, 500, 8, (("node ws", 5), ("FastAPI", 6), ("Bun", 0.6))),
        (1, 2, 64, (("node ws", 0.8), ("FastAPI", 1))),
        (250, 2, 4, (("node ws", 0.8), ("FastAPI", 1.2))),
        (250, 2, 1, (("FastAPI", 0.7),)),
    )
    made = []
    for count, members, window, goals in table:
        work = RoomsWork(rooms=count, members=members, window=window, seconds=seconds)
        if count == 1 and members > 2:
            key, title = f"fanout-{members}x{window}", f"fanout, {members} members, {window} in flight"
        else:
            key = f"rooms-{count}x{members}x{window}"
            title = f"rooms, {count} of {members}, {window} in flight" + (" each" if count > 1 else "")
        made.append(
            Work(
                key=key,
                title=title,
                unit="messages/s",
                plan=work.plan,
                measure=partial(rooms.measure, work=work),
                warm_up=partial(rooms.warm_up, work=work),
                contestants=[
                    *everybody(installs),
                    contestants.reflector(each=True),
                    contestants.reflector(),
                ],
                goals=[
                    *(Goal(against=name, factor=factor) for name, factor in goals),
                    Goal(against="fastapi_chat", factor=CHAT_GOAL),
                ],
            )
        )
    return made


def everybody(installs: Installs, *, variants: bool = True) -> list[Contestant]:
    """Who broadcasts. Of `variants`, which have the same name, the faster goes on after the warm-up."""
    return [
        Chinwag(),
        contestants.node_ws(installs),
        *([contestants.node_ws(installs, bufferutil=True)] if variants else []),
        contestants.bun(installs),
        contestants.socket_io(installs),
        contestants.fastapi(installs),
        contestants.websockets(installs),
        FastapiChat(installs),
    ]


def http_works(installs: Installs, seconds: float) -> list[Work]:
    """Requests over kept-alive connections. FastAPI only says hello, and neither authenticates nor stores."""
    hello = replace(contestants.fastapi(installs), name=HELLO)
    made = []
    for work, title in (
        (HttpWork(kind="send", seconds=seconds), "HTTP send, durable, 32 connections"),
        (HttpWork(kind="history", seconds=seconds), "HTTP history of 50, 32 connections"),
    ):
        made.append(
            Work(
                key=f"http-{work.kind}",
                title=title,
                unit="requests/s",
                plan=work.plan,
                measure=partial(_http, http_work.measure, work),
                warm_up=partial(_http, http_work.warm_up, work),
                contestants=[Chinwag(), hello, FastapiChat(installs)],
                goals=[Goal(against=HELLO, factor=0.6), Goal(against="fastapi_chat", factor=CHAT_GOAL)],
            )
        )
    return made


def between_versions(work: Work, versions: Sequence[Contestant], *, peers: bool) -> Work:
    """A work on versions of Chinwag; with `peers` on them too, and with what is to be reached against them."""
    others = [each for each in work.contestants if each.name != Chinwag().name]
    return replace(work, contestants=[*versions, *(others if peers else ())], goals=work.goals if peers else ())


def _http(do: Callable[[Site, HttpWork], T], work: HttpWork, site: Site) -> T:
    return do(site, replace(work, kind="hello") if site.name == HELLO else work)


def _idle_work(installs: Installs, connections: int) -> Work:
    work = IdleWork(connections=connections, seconds=1.0)
    return Work(
        key="idle",
        title=f"idle, {connections:,} connections",
        unit="bytes/connection",
        plan=work.plan,
        measure=partial(idle.run, work=work),
        contestants=everybody(installs, variants=False),
        less_is_better=True,
        limit=IDLE_GOAL_BYTES,
        fresh=True,
    )


def _crowd_work(seconds: float, crowd: int) -> Work:
    crowded = RoomsWork(members=500, window=8, seconds=seconds, idle=crowd - 500)
    alone = replace(crowded, idle=0)

    def measure(site: Site) -> Result:
        return rooms.measure(site, alone if site.name == ALONE else crowded)

    return Work(
        key="crowd",
        title=f"{crowd:,} connections open, one room of 500 busy (8 in flight)",
        unit="ms, p99",
        plan=crowded.plan,
        measure=measure,
        warm_up=partial(rooms.warm_up, work=alone),
        contestants=[Chinwag(), Chinwag(name=ALONE)],
        goals=[Goal(against=ALONE, factor=CROWD_GOAL)],
        figure=lambda result: result.latency.p99_s * 1000 if result.latency else float("inf"),
        less_is_better=True,
    )
