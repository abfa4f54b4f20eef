"""`chinwag bench compare`: the same work on Chinwag and its peers, in interleaved rounds, beside the goals.

All servers of a work are up at the same time and share one core, but only one has anything to do at any moment: after
its round a server is left alone until it has done what it put off (Chinwag its search index), so that the next one has
the core for itself. Rounds go A B C, C B A, A B C, ..., so that a machine that gets slower or faster in between does so
for everybody, and nobody gains by a place in the round.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from chinwag.benchmarks.compare.contestants import BASELINE, Chinwag, Contestant, Site
from chinwag.benchmarks.compare.pairs import Pairs
from chinwag.benchmarks.compare.works import Goal, Work
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.accounting import Faults
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import median

REST_S: Final = 20.0
"""How long a server may go on after its round before the next one is measured all the same."""
REST_LOOK_S: Final = 0.4
REST_SHARE: Final = 0.05
"""It rests when it used no more of the processor between two looks."""

T = TypeVar("T")
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
    def middle(self) -> Result:
        """The round in the middle, by rate."""
        return sorted(self.results, key=lambda result: result.rate)[len(self.results) // 2]

    @property
    def per_cpu_s(self) -> float | None:
        """The median of what was done per second of processor time."""
        known = [result.per_cpu_s for result in self.results if result.per_cpu_s is not None]
        return median(known) if known else None

    @property
    def faults(self) -> Faults:
        """Of all rounds."""
        total = Faults()
        for result in self.results:
            total.add(result.faults)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One goal and what came of it, in words. `reached` is None when it could not be told."""

    against: str
    value: str
    to_reach: str
    reached: bool | None
    per_cpu: str = ""
    """The same ratio per second of the servers' processor time, which others on the machine hardly change."""


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

    @property
    def pairs(self) -> Pairs | None:
        """What this version and the baseline cost, None unless both were measured."""
        own, baseline = self.own, self.row(BASELINE)
        return None if own is None or baseline is None else Pairs.of(own.results, baseline.results)

    def verdicts(self) -> list[Verdict]:
        """Each goal, and whether it was reached: never with anything lost, doubled or out of order."""
        own = self.own
        work = self.work
        found = [self._judge(own, goal) for goal in work.goals]
        if work.limit is not None:
            reached = None if own is None else self._enough(own.figure, work.limit) and not own.faults
            value = "" if own is None else f"{own.figure:,.0f}"
            found.append(Verdict(against="", value=value, to_reach=f"{work.limit:,.0f}", reached=reached))
        return found

    def _judge(self, own: Row | None, goal: Goal) -> Verdict:
        other = self.row(goal.against)
        to_reach = f"{goal.factor:g} x"
        if own is None or other is None or not other.figure:
            return Verdict(against=goal.against, value="", to_reach=to_reach, reached=None)
        ratio = own.figure / other.figure
        reached = self._enough(ratio, goal.factor) and not own.faults
        per_cpu = ""
        if own.per_cpu_s is not None and other.per_cpu_s is not None and not self.work.less_is_better:
            per_cpu = f"{own.per_cpu_s / other.per_cpu_s:.2f} x"
        value = f"{ratio:.2f} x"
        return Verdict(against=goal.against, value=value, to_reach=to_reach, reached=reached, per_cpu=per_cpu)

    def _enough(self, value: float, goal: float) -> bool:
        return value <= goal if self.work.less_is_better else value >= goal


def compare(works: Sequence[Work], *, repeat: int, cpu: int | None, tell: Tell) -> list[Comparison]:
    """Measure all works, one after the other."""
    done = []
    for number, work in enumerate(works):

        def tell_share(what: str, share: float, number: int = number, work: Work = work) -> None:
            tell(f"{work.title}: {what}", (number + share) / len(works))

        done.append(_compare_one(work, repeat=repeat, cpu=cpu, tell=tell_share))
    return done


def _compare_one(work: Work, *, repeat: int, cpu: int | None, tell: Tell) -> Comparison:
    rows = [Row(name=contestant.name) for contestant in work.contestants]
    if work.fresh:
        _rounds_afresh(work, rows, repeat=repeat, cpu=cpu, tell=tell)
    else:
        with contextlib.ExitStack() as stack:
            running: list[tuple[Row, Site]] = []
            for row, contestant in zip(rows, work.contestants, strict=True):
                tell(f"starting {contestant.name}", 0)
                site = _open(stack, contestant, work, cpu, row)
                if site is not None:
                    running.append((row, site))
            running = _warm(work, rows, running, tell)
            for turn, share, (row, site) in _rounds(running, repeat):
                tell(f"{row.name}, round {turn + 1} of {repeat}", share)
                _measure(work, row, site)
                let_rest(site)
    for row in rows:
        if row.results:
            row.figure = median([work.figure(result) for result in row.results])
    return Comparison(work=work, rows=rows)


def _rounds_afresh(work: Work, rows: Sequence[Row], *, repeat: int, cpu: int | None, tell: Tell) -> None:
    everybody = list(zip(rows, work.contestants, strict=True))
    for turn, share, (row, contestant) in _rounds(everybody, repeat):
        tell(f"{row.name}, round {turn + 1} of {repeat}", share)
        if row.skipped is None:
            with contextlib.ExitStack() as stack:
                site = _open(stack, contestant, work, cpu, row)
                if site is not None:
                    _measure(work, row, site)


def _rounds(everybody: Sequence[T], repeat: int) -> Iterator[tuple[int, float, T]]:
    """Everybody in every round, each second one backwards, with the round's number and the share that is done."""
    for turn in range(repeat):
        for number, each in enumerate(everybody if turn % 2 == 0 else everybody[::-1]):
            yield turn, (turn + number / len(everybody)) / repeat, each


def _measure(work: Work, row: Row, site: Site) -> None:
    if row.skipped is not None:
        return
    try:
        row.results.append(work.measure(site))
    except (BenchError, OSError) as error:
        row.skipped = f"failed: {error}"
        row.results.clear()


def let_rest(site: Site) -> None:
    """Return when a server uses hardly any processor time, or after `REST_S`."""
    deadline = time.monotonic() + REST_S
    before = site.usage
    while before is not None and time.monotonic() < deadline:
        time.sleep(REST_LOOK_S)
        now = site.usage
        if now is None or now.cpu_s - before.cpu_s <= REST_SHARE * REST_LOOK_S:
            return
        before = now


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
        let_rest(site)
        known = best.get(row.name)
        if known is None or rate > known[0]:
            best[row.name] = (rate, row, site)
            row, known = (row if known is None else known[1]), known
        if known is not None:
            rows.remove(row)  # the slower of the two
    return [(row, site) for _, row, site in best.values()]
