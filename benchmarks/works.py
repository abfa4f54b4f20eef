"""The works that `chinwag bench compare` compares by, and what is to be reached in each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from chinwag.benchmarks import contestants, rooms
from chinwag.benchmarks.contestants import Chinwag, Contestant, FastapiChat, Site
from chinwag.benchmarks.installs import Installs
from chinwag.benchmarks.results import Result
from chinwag.benchmarks.rooms import RoomsWork
from chinwag.benchmarks.world import Plan

CHAT_GOAL = 5.0
"""What every scenario has to reach against `fastapi_chat`."""


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
    """What the figure itself has to reach."""


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
                contestants=everybody(installs),
                goals=[
                    *(Goal(against=name, factor=factor) for name, factor in goals),
                    Goal(against="fastapi_chat", factor=CHAT_GOAL),
                ],
            )
        )
    return made


def everybody(installs: Installs) -> list[Contestant]:
    """Who broadcasts. Of contestants with the same name the faster goes on after the warm-up."""
    return [
        Chinwag(),
        contestants.node_ws(installs),
        contestants.node_ws(installs, bufferutil=True),
        contestants.bun(installs),
        contestants.socket_io(installs),
        contestants.fastapi(installs),
        contestants.websockets(installs),
        FastapiChat(installs),
        contestants.reflector(each=True),
        contestants.reflector(),
    ]
