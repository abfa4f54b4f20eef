"""Results as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chinwag.benchmarks.compare.compare import Comparison, Row, Verdict
from chinwag.benchmarks.compare.contestants import BASELINE, Chinwag
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import median


def number(value: float) -> str:
    """Short, with as many digits as make sense."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(result: Result) -> list[str]:
    """p50, p95, p99 and the longest time."""
    found = result.latency
    if found is None:
        return ["", "", "", ""]
    return [f"{number(each * 1000)} ms" for each in (found.p50_s, found.p95_s, found.p99_s, found.max_s)]


def megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f} MB"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def show_results(console: Console, results: Sequence[Result], ceiling: Result | None = None) -> None:
    """One scenario's runs, and what the generator could at most have measured."""
    first = results[0]
    table = Table(title=f"{first.scenario} on {first.server}", title_justify="left", title_style="bold")
    for name in (
        "run",
        first.unit,
        "deliveries/s",
        "p50",
        "p95",
        "p99",
        "max",
        "server CPU",
        "server peak",
        "generator",
    ):
        table.add_column(name, justify="right")
    for turn, result in enumerate(results, 1):
        table.add_row(f"{turn}", *_cells(result))
    if ceiling is not None:
        table.add_section()
        table.add_row("ceiling", *_cells(ceiling), style="dim")
    console.print(table)
    for name in dict.fromkeys(name for result in results for name in result.more):
        values = [result.more[name] for result in results if name in result.more]
        of = "" if len(values) == 1 else f" (median of {', '.join(map(number, values))})"
        console.print(f"{name}: {number(median(values))}{of}")
    faults = [str(result.faults) for result in results if result.faults]
    console.print("[red]" + "; ".join(faults) + "[/red]" if faults else f"{first.faults}")
    if first.start_s is not None:
        console.print(f"from the server's start to its first answer: {first.start_s:.2f} s")
    for complaint in dict.fromkeys(each for result in results for each in result.complaints):
        console.print(f"[red]the server said:[/red] {escape(complaint)}", highlight=False)


def show_scale(console: Console, results: Sequence[Result], flatness: Mapping[str, float]) -> None:
    """What a request costs the server, by kind and size of the store."""
    table = Table(
        title="scale: server CPU per request, and how many a second", title_justify="left", title_style="bold"
    )
    sizes = list(dict.fromkeys(result.parameters["size"] for result in results))
    table.add_column("")
    for size in sizes:
        table.add_column(f"{size:,} messages", justify="right")
    table.add_column("largest / smallest", justify="right")
    for kind in dict.fromkeys(result.scenario for result in results):
        found = {result.parameters["size"]: result for result in results if result.scenario == kind}
        cells = [
            f"{number(each.more.get('server CPU, µs each', 0))} µs, {number(each.rate)}/s, p99 " + spread(each)[2]
            for each in (found[size] for size in sizes)
        ]
        table.add_row(kind, *cells, f"{flatness[kind]:.2f} x" if kind in flatness else "")
    console.print(table)
    for complaint in dict.fromkeys(each for result in results for each in result.complaints):
        console.print(f"[red]the server said:[/red] {escape(complaint)}", highlight=False)


def _cells(result: Result) -> list[str]:
    used = None if result.server_cpu_s is None or not result.seconds else result.server_cpu_s / result.seconds
    return [
        number(result.rate),
        number(result.delivery_rate) if result.deliveries else "",
        *spread(result),
        share(used),
        megabytes(result.server_peak_bytes),
        share(result.client_share),
    ]


def show_comparison(console: Console, comparison: Comparison) -> None:
    """One work: everybody's median, and what is to be reached."""
    work = comparison.work
    table = Table(title=work.title, title_justify="left", title_style="bold")
    heads = (
        "server",
        work.unit,
        "Chinwag is",
        "to reach",
        "per CPU s",
        "p50",
        "p99",
        "server CPU",
        "peak",
        "generator",
    )
    for name in heads:
        table.add_column(name, justify="left" if name == "server" else "right")
    verdicts = {verdict.against: verdict for verdict in comparison.verdicts()}
    own = comparison.own
    for row in comparison.rows:
        verdict = verdicts.get("" if row is own else row.name)
        table.add_row(*_row(row, own, verdict), style="bold" if row is own else None)
    console.print(table)
    for row in comparison.rows:
        if row.skipped is not None:
            console.print(f"[yellow]skipped {row.name}:[/yellow] {escape(row.skipped)}", highlight=False)
        if row.faults:
            console.print(f"[red]{row.name}: {row.faults}[/red]")
    console.print()


def _row(row: Row, own: Row | None, verdict: Verdict | None) -> list[str]:
    if not row.results:
        return [row.name, "skipped"]
    middle = row.middle
    ratio = "" if own is None or own is row or not row.figure else f"{own.figure / row.figure:.2f} x"
    to_reach = "" if verdict is None else f"{verdict.to_reach} {_mark(verdict.reached)}"
    per_cpu = "" if row.per_cpu_s is None else number(row.per_cpu_s)
    _rate, _deliveries, p50, _p95, p99, _max, *costs = _cells(middle)
    return [row.name, number(row.figure), ratio, to_reach, per_cpu, p50, p99, *costs]


def _mark(reached: bool | None) -> str:
    return {True: "[green]✓[/green]", False: "[red]✗[/red]", None: ""}[reached]


PAIR_HEADS: Final = (
    "work",
    "per",
    Chinwag().name,
    BASELINE,
    "ratio of medians",
    "median of ratios",
    "least and most",
    "pairs",
    "faults",
)


def pair_cells(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """What a message or request costs this version and the baseline, a row for each work, below `PAIR_HEADS`."""
    rows = []
    for comparison in comparisons:
        pairs = comparison.pairs
        if pairs is not None:
            faulty = [row.name for row in comparison.rows if row.name in (Chinwag().name, BASELINE) and row.faults]
            rows.append(
                [
                    comparison.work.title,
                    comparison.work.each,
                    f"{number(pairs.own_median_s * 1e6)} µs",
                    f"{number(pairs.baseline_median_s * 1e6)} µs",
                    f"{pairs.ratio_of_medians:.3f} x",
                    f"{pairs.median_of_ratios:.3f} x",
                    f"{min(pairs.ratios):.3f} x, {max(pairs.ratios):.3f} x",
                    f"{len(pairs.ratios)}",
                    ", ".join(faulty),
                ]
            )
    return rows


def show_pairs(console: Console, comparisons: Sequence[Comparison]) -> None:
    """This version beside the baseline; nothing when there is none."""
    rows = pair_cells(comparisons)
    if not rows:
        return
    table = Table(title="Server CPU, beside the baseline", title_justify="left", title_style="bold")
    for name in PAIR_HEADS:
        table.add_column(name, justify="left" if name in ("work", "per") else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def summary(console: Console, comparisons: Sequence[Comparison]) -> None:
    """All goals of all works in one table; nothing when there are none."""
    if not any(comparison.verdicts() for comparison in comparisons):
        return
    table = Table(title="To reach", title_justify="left", title_style="bold")
    for name in ("work", Chinwag().name, "against", "is", "to reach", "", "per CPU second"):
        table.add_column(name, justify="left" if name in ("work", "against") else "right")
    for comparison in comparisons:
        own = comparison.own
        for verdict in comparison.verdicts():
            table.add_row(
                comparison.work.title,
                "" if own is None else number(own.figure),
                verdict.against,
                verdict.value,
                verdict.to_reach,
                _mark(verdict.reached),
                verdict.per_cpu,
            )
    console.print(table)
