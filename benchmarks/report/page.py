"""Results as one HTML page: everything inline, no script, nothing loaded from anywhere."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.compare.compare import Comparison, Row
from chinwag.benchmarks.compare.contestants import Chinwag
from chinwag.benchmarks.report import svg
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.tables import PAIR_HEADS, number, pair_cells, spread

_STYLE: Final = """
:root { color-scheme: light dark; --bg: #fbfaf8; --card: #fff; --ink: #1d2129; --dim: #6b7280; --line: #e4e4e0;
  --good: #15803d; --bad: #b91c1c;
  --c0: #d9480f; --c1: #5b7083; --c2: #2f7fd1; --c3: #7a5cc4; --c4: #1c9a8a; --c5: #b98a12; --c6: #a24a7c;
  --c7: #7d8a3c; --c8: #9aa1ab; --c9: #c3c7cd; }
@media (prefers-color-scheme: dark) { :root { --bg: #15171c; --card: #1d2027; --ink: #e8e8e6; --dim: #9aa1ad;
  --line: #30343d; --good: #4ade80; --bad: #f87171; --c0: #ff7a3d; --c1: #8fa6bb; --c2: #64a9ee; --c3: #a78bea;
  --c4: #4cc9b8; --c5: #dfb541; --c6: #d07cab; --c7: #abb866; --c8: #7d8592; --c9: #565c66; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 0 0 12px; }
h3 { font-size: 14px; margin: 18px 0 4px; color: var(--dim); font-weight: 600; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px 22px; margin-top: 22px; }
.dim { color: var(--dim); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 8px 28px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 8px; font-size: 14px;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tr.own td { font-weight: 700; } .good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; max-width: 660px; height: auto; display: block; font-size: 13px; } svg text { fill: var(--ink); }
svg .grid { stroke: var(--line); } svg .tick, svg .axis, svg .note { fill: var(--dim); }
svg .value { font-weight: 600; }
svg .note { font-weight: 400; }
.legend span { display: inline-flex; align-items: center; margin-right: 16px; font-size: 13px; }
.legend i { width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; }
.pairs { margin-top: 14px; } .pairs td:first-child, .scroll td:last-child { white-space: normal; }
@media (max-width: 40rem) { main { padding: 16px 12px 48px; } section { padding: 14px 12px; } h1 { font-size: 22px; }
  h2 { font-size: 17px; } svg { font-size: 15px; } .scroll thead { display: none; }
  .scroll tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--line); }
  .scroll td { display: flex; justify-content: space-between; gap: 12px; border: 0; padding: 2px 0; }
  .scroll td { white-space: normal; }
  .scroll td:empty { display: none; } .scroll td:first-child { font-weight: 600; }
  .scroll td:not(:first-child)::before { content: attr(data-head); color: var(--dim); font-weight: 400; } }
"""


def of_results(title: str, results: Sequence[Result], ceiling: Result | None) -> str:
    """The page of one scenario's runs."""
    named = [(f"run {turn}", result) for turn, result in enumerate(results, 1)]
    if results[0].scenario.startswith("scale"):
        named = [(f"{each.scenario}, {each.parameters['size']:,}", each) for each in results]
    shown = [*named, ("generator ceiling", ceiling)] if ceiling is not None else named
    colours = {name: turn % (svg.COLOURS - 1) for turn, (name, _) in enumerate(shown)}
    colours["generator ceiling"] = svg.COLOURS - 1
    bars = [svg.Bar(name=name, value=each.rate, colour=colours[name]) for name, each in shown]
    body = [f"<section><h2>{escape(_parameters(results))}</h2>", svg.bars(bars, results[0].unit), "</section>"]
    body.append(f"<section><h2>Measured</h2>{_result_table(shown)}{_more(results)}</section>")
    if plots := _plots(named, colours):
        body.append(f"<section>{plots}</section>")
    return _page(title, body)


def of_comparisons(comparisons: Sequence[Comparison]) -> str:
    """The page of `chinwag bench compare`."""
    names = list(dict.fromkeys(row.name for comparison in comparisons for row in comparison.rows))
    colours = {name: min(turn, svg.COLOURS - 1) for turn, name in enumerate(names)}
    body = []
    beside = [("", [escape(cell) for cell in cells]) for cells in pair_cells(comparisons)]
    if beside:
        body.append(f"<section><h2>Server CPU, beside the baseline</h2>{_table(PAIR_HEADS, beside)}</section>")
    if any(comparison.verdicts() for comparison in comparisons):
        body.append(f"<section><h2>To reach</h2>{_goals(comparisons)}</section>")
    for comparison in comparisons:
        measured = [row for row in comparison.rows if row.results]
        body.append(f"<section><h2>{escape(comparison.work.title)}</h2>")
        body.append(svg.bars([_bar(row, comparison, colours) for row in measured], comparison.work.unit))
        body.append(_plots([(row.name, row.middle) for row in measured], colours))
        body.append(_result_table([(row.name, row.middle) for row in measured]))
        skipped = [f"{row.name} was skipped: {row.skipped}" for row in comparison.rows if row.skipped is not None]
        body += [f'<p class="dim">{escape(text)}</p>' for text in skipped]
        body.append("</section>")
    return _page("Chinwag and its baseline" if beside else "Chinwag and its peers", body)


def _parameters(results: Sequence[Result]) -> str:
    """What was asked for, in a line: of a parameter that differs between the runs, all its values."""
    told = []
    for name in results[0].parameters:
        values = dict.fromkeys(_parameter(result.parameters.get(name)) for result in results)
        if shown := " and ".join(filter(None, values)):
            told.append(f"{name} {shown}")
    return ", ".join(told)


def _parameter(value: object) -> str:
    """A value in words; "" for what was left out."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={share}" for name, share in value.items() if share)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}".removesuffix(".0") if value else ""
    return str(value) if value else ""


def _bar(row: Row, comparison: Comparison, colours: dict[str, int]) -> svg.Bar:
    own = comparison.own
    note = "" if own is None or own is row or not row.figure else f"Chinwag is {own.figure / row.figure:.2f} x"
    return svg.Bar(name=row.name, value=row.figure, colour=colours[row.name], note=note)


def _plots(named: Sequence[tuple[str, Result]], colours: dict[str, int]) -> str:
    latencies = [
        svg.Series(
            name=name,
            points=[(bound, count / result.latency.count * 100) for bound, count in result.latency.histogram],
            colour=colours[name],
        )
        for name, result in named
        if result.latency is not None
    ]
    rates = [
        svg.Series(name=name, points=result.over_time, colour=colours[name])
        for name, result in named
        if result.over_time
    ]
    if not latencies and not rates:
        return ""
    plots = []
    if latencies:
        plots.append(("Latency, from send to last delivery", svg.distribution(latencies, y_unit="% of messages")))
    if rates:
        plots.append(("Throughput over time", svg.lines(rates, x_unit="seconds", y_unit=named[0][1].unit)))
    shown = "".join(f"<div><h3>{head}</h3>{plot}</div>" for head, plot in plots)
    return f'<div class="plots">{shown}</div>{svg.legend([(name, colours[name]) for name, _ in named])}'


def _result_table(named: Sequence[tuple[str, Result]]) -> str:
    head = (
        "",
        named[0][1].unit,
        "deliveries/s",
        "p50",
        "p95",
        "p99",
        "max",
        "server CPU",
        "peak memory",
        "faults",
    )
    rows = []
    for name, result in named:
        used = (
            "" if result.server_cpu_s is None or not result.seconds else f"{result.server_cpu_s / result.seconds:.0%}"
        )
        peak = "" if result.server_peak_bytes is None else f"{result.server_peak_bytes / 1e6:,.0f} MB"
        faults = result.faults
        cells = [
            escape(name),
            number(result.rate),
            number(result.delivery_rate) if result.deliveries else "",
            *spread(result),
            used,
            peak,
            f'<span class="{"bad" if faults else "good"}">{escape(str(faults)) if faults else "none"}</span>',
        ]
        own = ' class="own"' if name == Chinwag().name else ""
        rows.append((own, cells))
    return _table(head, rows)


def _goals(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for comparison in comparisons:
        own = comparison.own
        for goal in comparison.verdicts():
            cells = [
                escape(comparison.work.title),
                "" if own is None else f"{number(own.figure)} {escape(comparison.work.unit)}",
                escape(goal.against),
                goal.value,
                goal.to_reach,
                {True: '<span class="good">reached</span>', False: '<span class="bad">not reached</span>', None: ""}[
                    goal.reached
                ],
                goal.per_cpu,
            ]
            rows.append(("", cells))
    return _table(("work", Chinwag().name, "against", "is", "to reach", "", "per CPU second"), rows)


def _more(results: Sequence[Result]) -> str:
    """What only this scenario measures."""
    rows = [
        f"<tr><td>run {turn}: {escape(name)}</td><td>{number(value)}</td></tr>"
        for turn, result in enumerate(results, 1)
        for name, value in result.more.items()
    ]
    return f'<table class="pairs">{"".join(rows)}</table>' if rows else ""


def _table(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table of rows of cells, each with its attributes; the cells are HTML. A column in which nothing stands is left
    out. On a narrow screen each row becomes a block, in which each cell says what it is."""
    kept = [at for at in range(len(heads)) if at == 0 or any(cells[at] for _, cells in rows)]
    head = "".join(f"<th>{escape(heads[at])}</th>" for at in kept)
    body = ""
    for attributes, cells in rows:
        shown = "".join(f'<td data-head="{escape(heads[at])}">{cells[at]}</td>' for at in kept)
        body += f"<tr{attributes}>{shown}</tr>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _page(title: str, body: Sequence[str]) -> str:
    described = machine.description()
    kind = f"{described['cores']} cores of {described['cpu']}, {described['memory_gb']} GB, {described['system']}"
    versions = ", ".join(
        f"{name} {value}" for name, value in described.items() if name in ("chinwag", "python", "trio")
    )
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f'<p class="dim">{escape(when)} · {escape(kind)} · {escape(versions)}</p>{"".join(body)}</main></body></html>\n'
    )
