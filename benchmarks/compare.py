"""`chinwag bench compare`: the same work on Chinwag and its peers, in interleaved rounds, next to what is to be reached.

All servers of a work are up at the same time and share one core, but only one has anything to do at any moment. Rounds
go A B C, A B C, ..., so that a machine that gets slower or faster in between does so for everybody.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chinwag.benchmarks.accounting import Faults
from chinwag.benchmarks.contestants import CEILING, Chinwag, Contestant, Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.results import Result
from chinwag.benchmarks.stats import median
from chinwag.benchmarks.works import Goal, Work

Tell = Callable[[str, float], None]
"""Told what is being done, and which share of everything is done."""


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """One server's results in one work."""

    name: str
    results: list[Result] = field(default_factory=list)
    skipped: str | None = None
    """Why it was not measured."""
    figure: float = 0.0
    """The median."""

    @property
    def faults(self) -> Faults:
        """Of all rounds."""
        total = Faults()
        for result in self.results:
            total.add(result.faults)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One goal, and what was reached. `reached` is None when the peer was skipped."""

    goal: Goal
    ratio: float | None
    reached: bool | None


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One work's outcome."""

    work: Work
    rows: list[Row]

    def row(self, name: str) -> Row | None:
        """The row of a server that was measured."""
        return next((row for row in self.rows if row.name == name and row.results), None)

    @property
    def own(self) -> Row | None:
        """Chinwag's row."""
        return self.row(Chinwag().name)

    def verdicts(self) -> list[Verdict]:
        """Each goal with its ratio."""
        own = self.own
        verdicts = []
        for goal in self.work.goals:
            other = self.row(goal.against)
            if own is None or other is None or not other.figure:
                verdicts.append(Verdict(goal=goal, ratio=None, reached=None))
                continue
            ratio = own.figure / other.figure
            reached = ratio <= goal.factor if self.work.less_is_better else ratio >= goal.factor
            verdicts.append(Verdict(goal=goal, ratio=ratio, reached=reached and not own.faults))
        return verdicts


def compare(works: Sequence[Work], *, repeat: int, cpu: int | None, tell: Tell) -> list[Comparison]:
    """Measure all works, one after the other."""
    done = []
    for number, work in enumerate(works):

        def tell_share(what: str, share: float, number: int = number, work: Work = work) -> None:
            tell(f"{work.title}: {what}", (number + share) / len(works))

        done.append(_compare_one(work, repeat=repeat, cpu=cpu, tell=tell_share))
    return done


def _compare_one(work: Work, *, repeat: int, cpu: int | None, tell: Tell) -> Comparison:
    with contextlib.ExitStack() as stack:
        rows: list[Row] = []
        running: list[tuple[Row, Site]] = []
        for contestant in work.contestants:
            tell(f"starting {contestant.name}", 0)
            row = Row(name=contestant.name)
            site = _open(stack, contestant, work, cpu, row)
            rows.append(row)
            if site is not None:
                running.append((row, site))
        running = _warm(work, rows, running, tell)
        for turn in range(repeat):
            for number, (row, site) in enumerate(running):
                if row.skipped is not None:
                    continue
                tell(f"{row.name}, round {turn + 1} of {repeat}", (turn + number / len(running)) / repeat)
                try:
                    row.results.append(work.measure(site))
                except (BenchError, OSError) as error:
                    row.skipped = f"failed: {error}"
                    row.results.clear()
    for row in rows:
        if row.results:
            row.figure = median([work.figure(result) for result in row.results])
    return Comparison(work=work, rows=rows)


def _open(stack: contextlib.ExitStack, contestant: Contestant, work: Work, cpu: int | None, row: Row) -> Site | None:
    try:
        return stack.enter_context(contestant.open(work.plan, cpu))
    except (BenchError, OSError) as error:
        row.skipped = str(error)
        return None


def _warm(work: Work, rows: list[Row], running: list[tuple[Row, Site]], tell: Tell) -> list[tuple[Row, Site]]:
    """Run everybody for a moment. Of several variants of one server only the fastest goes on."""
    if work.warm_up is None:
        return running
    best: dict[str, tuple[float, Row, Site]] = {}
    for row, site in running:
        tell(f"warming up {row.name}", 0)
        try:
            rate = work.warm_up(site)
        except (BenchError, OSError) as error:
            row.skipped = f"failed: {error}"
            continue
        known = best.get(row.name)
        if known is None or rate > known[0]:
            best[row.name] = (rate, row, site)
            row, known = (row if known is None else known[1]), known
        if known is not None:
            rows.remove(row)  # the slower of the two
    return [(row, site) for _, row, site in best.values()]


def is_reference(row: Row) -> bool:
    """Whether a row is no peer but the generator itself."""
    return row.name == CEILING
