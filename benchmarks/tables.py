"""Results as tables for a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from chinwag.benchmarks.compare import Comparison, Row, Verdict
from chinwag.benchmarks.contestants import Chinwag
from chinwag.benchmarks.results import Result


def number(value: float) -> str:
    """Short, with as many digits as make sense."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{number(seconds * 1000)} ms"


def megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f} MB"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def show_results(console: Console, results: Sequence[Result], ceiling: Result | None = None) -> None:
    """One scenario's runs, and what the generator could at most have measured."""
    first = results[0]
    table = Table(title=f"{first.scenario} on {first.server}", title_justify="left", title_style="bold")
    for name in ("run", first.unit, "deliveries/s", "p50", "p95", "p99", "max", "server CPU", "server peak", "generator"):
        table.add_column(name, justify="right")
    for turn, result in enumerate(results, 1):
        table.add_row(f"{turn}", *_cells(result))
    if ceiling is not None:
        table.add_section()
        table.add_row("ceiling", *_cells(ceiling), style="dim")
    console.print(table)
    for result in results:
        for name, value in result.more.items():
            console.print(f"{name}: {number(value)}")
    faults = [str(result.faults) for result in results if result.faults]
    console.print("[red]" + "; ".join(faults) + "[/red]" if faults else f"{first.faults}")
    if first.start_s is not None:
        console.print(f"from the server's start to its first answer: {first.start_s:.2f} s")
    for complaint in dict.fromkeys(each for result in results for each in result.complaints):
        console.print(f"[red]the server said: {complaint}[/red]", markup=True, highlight=False)


def _cells(result: Result) -> list[str]:
    spread = result.latency
    used = None if result.server_cpu_s is None or not result.seconds else result.server_cpu_s / result.seconds
    return [
        number(result.rate),
        number(result.delivery_rate) if result.deliveries else "",
        milliseconds(spread and spread.p50_s),
        milliseconds(spread and spread.p95_s),
        milliseconds(spread and spread.p99_s),
        milliseconds(spread and spread.max_s),
        share(used),
        megabytes(result.server_peak_bytes),
        share(result.client_share),
    ]


def show_comparison(console: Console, comparison: Comparison) -> None:
    """One work: everybody's median, and what is to be reached."""
    work = comparison.work
    table = Table(title=work.title, title_justify="left", title_style="bold")
    for name in ("server", work.unit, "Chinwag is", "to reach", "p50", "p99", "server CPU", "server peak", "generator"):
        table.add_column(name, justify="left" if name == "server" else "right")
    verdicts = {verdict.goal.against: verdict for verdict in comparison.verdicts()}
    own = comparison.own
    for row in comparison.rows:
        table.add_row(*_row(row, own, verdicts.get(row.name)), style="bold" if row is own else None)
    console.print(table)
    if work.limit is not None and own is not None:
        reached = own.figure <= work.limit if work.less_is_better else own.figure >= work.limit
        console.print(f"to reach: {number(work.limit)} {work.unit}: {_mark(reached)}")
    for row in comparison.rows:
        if row.skipped is not None:
            console.print(f"[yellow]skipped {row.name}: {row.skipped}[/yellow]", highlight=False)
        if row.faults:
            console.print(f"[red]{row.name}: {row.faults}[/red]")
    console.print()


def _row(row: Row, own: Row | None, verdict: Verdict | None) -> list[str]:
    if not row.results:
        return [row.name, "skipped", "", "", "", "", "", "", ""]
    middle = sorted(row.results, key=lambda result: result.rate)[len(row.results) // 2]
    ratio = "" if own is None or own is row or not row.figure else f"{own.figure / row.figure:.2f} x"
    to_reach = "" if verdict is None else f"{verdict.goal.factor:g} x {_mark(verdict.reached)}"
    _rate, _deliveries, p50, _p95, p99, _max, *costs = _cells(middle)
    return [row.name, number(row.figure), ratio, to_reach, p50, p99, *costs]


def _mark(reached: bool | None) -> str:
    return {True: "[green]✓[/green]", False: "[red]✗[/red]", None: ""}[reached]


def summary(console: Console, comparisons: Sequence[Comparison]) -> None:
    """All goals of all works in one table."""
    table = Table(title="To reach", title_justify="left", title_style="bold")
    for name in ("work", Chinwag().name, "against", "is", "to reach", ""):
        table.add_column(name, justify="left" if name in ("work", "against") else "right")
    for comparison in comparisons:
        own = comparison.own
        for verdict in comparison.verdicts():
            table.add_row(
                comparison.work.title,
                "" if own is None else number(own.figure),
                verdict.goal.against,
                "" if verdict.ratio is None else f"{verdict.ratio:.2f} x",
                f"{verdict.goal.factor:g} x",
                _mark(verdict.reached),
            )
    console.print(table)
