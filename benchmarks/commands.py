"""What the commands do: options in, tables and files out."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.compare.compare import compare
from chinwag.benchmarks.compare.contestants import Chinwag, Contestant, Site, Target, reflector
from chinwag.benchmarks.compare.installs import Installs
from chinwag.benchmarks.compare.versions import prepared_versions
from chinwag.benchmarks.compare.works import all_works, between_versions, http_works, room_works
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.world import Plan, nameless
from chinwag.benchmarks.report import files, page, tables
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.scenarios import churn as churn_work
from chinwag.benchmarks.scenarios import flood as flood_work
from chinwag.benchmarks.scenarios import http_work
from chinwag.benchmarks.scenarios import idle as idle_work
from chinwag.benchmarks.scenarios import mixed as mixed_work
from chinwag.benchmarks.scenarios import rooms as rooms_work
from chinwag.benchmarks.scenarios import scale as scale_work

CEILING_S = 1.0
"""How long the generator's own ceiling is measured, at most."""

FLOOD_CONNECTIONS: Final[Mapping[flood_work.Kind, int]] = {"log-in": 400, "search": 8}

OnProgress = Callable[[float, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What every scenario is told."""

    repeat: int
    target: str | None
    front: str
    server_cpu: int | None
    client_cpu: int | None
    json_path: Path | None
    html_path: Path | None


def fan_out(
    *,
    rooms: int,
    members: int,
    window: int,
    messages: int | None,
    seconds: float,
    size: int,
    idle: int,
    **common: Any,
) -> None:
    """See `chinwag bench fanout` and `rooms`."""
    work = rooms_work.RoomsWork(
        rooms=rooms, members=members, window=window, size=size, seconds=seconds, messages=messages, idle=idle
    )
    at_most = replace(work, idle=0, messages=None, seconds=min(CEILING_S, seconds))
    _scenario(
        Run(**common),
        plan=work.plan,
        expected=messages * rooms if messages else seconds,
        in_messages=messages is not None,
        measure=lambda site, tell: rooms_work.run(site, work, tell),
        ceiling=lambda site: rooms_work.run(site, at_most),
    )


def http(
    *,
    kind: tuple[http_work.Kind, ...],
    connections: int,
    messages: int | None,
    seconds: float,
    size: int,
    **common: Any,
) -> None:
    """See `chinwag bench http`."""
    for each in kind or ("send", "history"):
        work = http_work.HttpWork(kind=each, connections=connections, size=size, seconds=seconds, messages=messages)

        def measure(site: Site, tell: OnProgress, work: http_work.HttpWork = work) -> Result:
            return http_work.run(site, work, tell)

        _scenario(
            _for_kind(Run(**common), each, several=len(kind) != 1),
            plan=work.plan,
            expected=messages or seconds,
            in_messages=messages is not None,
            measure=measure,
            ceiling=_http_ceiling(connections, seconds),
        )


def idle(*, connections: int, seconds: float, **common: Any) -> None:
    """See `chinwag bench idle`."""
    work = idle_work.IdleWork(connections=connections, seconds=seconds)
    _scenario(
        Run(**common),
        plan=work.plan,
        expected=connections,
        in_messages=True,
        measure=lambda site, tell: idle_work.run(site, work, tell),
    )


def churn(*, connections: int, seconds: float, **common: Any) -> None:
    """See `chinwag bench churn`."""
    work = churn_work.ChurnWork(connections=connections, seconds=seconds)
    _scenario(
        Run(**common),
        plan=work.plan,
        expected=seconds,
        measure=lambda site, tell: churn_work.run(site, work, tell),
    )


def mixed(*, rooms: int, members: int, mix: Mapping[str, int] | None, seconds: float, size: int, **common: Any) -> None:
    """See `chinwag bench mixed`."""
    work = mixed_work.MixedWork(rooms=rooms, members=members, size=size, seconds=seconds, mix=mix or mixed_work.OFFICE)
    _scenario(
        Run(**common),
        plan=work.plan,
        expected=seconds,
        measure=lambda site, tell: mixed_work.run(site, work, tell),
        ceiling=_http_ceiling(rooms * members, seconds),
    )


def flood(
    *, kind: flood_work.Kind, connections: int | None, senders: int, seconds: float, size: int, **common: Any
) -> None:
    """See `chinwag bench flood`."""
    work = flood_work.FloodWork(
        kind=kind,
        connections=connections or FLOOD_CONNECTIONS[kind],
        senders=senders,
        size=size,
        seconds=seconds,
    )
    _scenario(
        Run(**common),
        plan=work.plan,
        expected=seconds,
        measure=lambda site, tell: flood_work.run(site, work, tell),
        limited=True,
    )


def scale(
    *,
    sizes: tuple[int, ...],
    connections: int,
    seconds: float,
    server_cpu: int | None,
    client_cpu: int | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """See `chinwag bench scale`."""
    work = scale_work.ScaleWork(sizes=sizes, connections=connections, seconds=seconds)
    with _session(server_cpu, client_cpu) as (cpu, console):
        with _progress(console) as tell:
            results = scale_work.run(work, cpu=cpu, tell=tell)
            tell("the generator's ceiling", 1.0)
            with reflector().open(Plan(rooms=[]), cpu) as site:
                ceiling = _http_ceiling(connections, seconds)(site)
        tables.show_scale(console, results, scale_work.flatness(results))
        _write(console, results, ceiling, "Chinwag: stores of different size", json_path, html_path)


def compare_all(
    *,
    baseline: Sequence[str] | None,
    with_peers: bool,
    only: tuple[str, ...],
    repeat: int | None,
    seconds: float | None,
    quick: bool,
    list_only: bool,
    peers_folder: Path | None,
    server_cpu: int | None,
    client_cpu: int | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """See `chinwag bench compare`."""
    installs = Installs(peers_folder)
    seconds = seconds or (1.0 if quick else 3.0)
    if baseline is None:
        works = all_works(installs, seconds, idle_connections=500 if quick else 2_000, crowd=3_000 if quick else 15_000)
    else:
        works = [*room_works(installs, seconds), *http_works(installs, seconds)]
    chosen = [work for work in works if not only or any(each in work.key for each in only)]
    if list_only or not chosen:
        for work in works:
            click.echo(f"{work.key:16} {work.title}")
        return
    rounds = repeat or (3 if quick else 5 if baseline is None else 9)
    with _session(server_cpu, client_cpu) as (cpu, console), contextlib.ExitStack() as stack:
        with _progress(console) as tell:
            if baseline is not None:
                plans = [work.plan for work in chosen]
                versions = stack.enter_context(prepared_versions(baseline, plans, cpu=cpu, tell=tell))
                chosen = [between_versions(work, versions, peers=with_peers) for work in chosen]
            if baseline is None or with_peers:
                installs.install(console.print)
            comparisons = compare(chosen, repeat=rounds, cpu=cpu, tell=tell)
        for comparison in comparisons:
            tables.show_comparison(console, comparison)
        tables.show_pairs(console, comparisons)
        tables.summary(console, comparisons)
        if json_path is not None:
            files.write(json_path, files.of_comparisons(comparisons))
        if html_path is not None:
            html_path.write_text(page.of_comparisons(comparisons))


def install_peers(peers_folder: Path | None) -> None:
    """See `chinwag bench peers install`."""
    failures = Installs(peers_folder).install(click.echo)
    for kind, why in failures.items():
        click.echo(f"{kind} peers are skipped: {why}", err=True)
    if not failures:
        click.echo("all peers are installed")


# --- what they share ---


PLAIN_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe, which tells no width: enough for all peers side by side."""


def console(out: TextIO | None = None) -> Console:
    """Where results are shown: as wide as the terminal, or `PLAIN_WIDTH`."""
    out = out or sys.stdout
    return Console(file=out, width=None if out.isatty() else PLAIN_WIDTH)


@contextlib.contextmanager
def _session(server_cpu: int | None, client_cpu: int | None) -> Iterator[tuple[int | None, Console]]:
    """The generator on its core; gives the server's. What the user can mend becomes one line."""
    if sys.platform != "linux":
        raise click.ClickException("chinwag bench needs Linux: it uses epoll, and reads /proc")
    first, second = machine.default_cpus()
    with machine.pinned(second if client_cpu is None else client_cpu):
        try:
            yield (first if server_cpu is None else server_cpu), console()
        except BenchError as error:
            raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, float], None]]:
    """A bar that is told what is being done and how much is done. It is drawn only then: a thread that drew it by
    itself would take the generator's time."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, done: progress.update(task, description=what, completed=done, refresh=True)


def _scenario(
    run: Run,
    *,
    plan: Plan,
    expected: float,
    in_messages: bool = False,
    measure: Callable[[Site, OnProgress], Result],
    ceiling: Callable[[Site], Result] | None = None,
    limited: bool = False,
) -> None:
    """Measure one scenario, and the generator's ceiling for it; `expected` seconds or messages make the bar full. A
    server with its limits on remembers who met them: each run has a server of its own."""
    with _session(run.server_cpu, run.client_cpu) as (cpu, console):
        results: list[Result] = []
        most = None
        with _progress(console) as tell:

            def registered(count: int) -> None:
                tell(f"registering people: {count} of {plan.people}", 0)

            contestant: Contestant = (
                Chinwag(run.front, limited=limited) if run.target is None else Target(run.target, registered)
            )
            turns = range(run.repeat)
            for of_one_server in ([turn] for turn in turns) if limited else [turns]:
                tell(f"starting {contestant.name}", 0)
                with contestant.open(plan, cpu) as site:
                    results += (
                        measure(site, _told(tell, turn, run.repeat, expected, in_messages)) for turn in of_one_server
                    )
            if ceiling is not None:
                tell("measuring the generator's ceiling", 1)
                with reflector().open(plan, cpu) as site:
                    most = ceiling(site)
        tables.show_results(console, results, most)
        _write(console, results, most, f"{results[0].scenario} on {results[0].server}", run.json_path, run.html_path)


def _told(tell: Callable[[str, float], None], turn: int, turns: int, expected: float, in_messages: bool) -> OnProgress:
    def progress(seconds: float, messages: int) -> None:
        share = min(1.0, (messages if in_messages else seconds) / expected)
        tell(f"run {turn + 1} of {turns}: {messages:,}", (turn + share) / turns)

    return progress


def _http_ceiling(connections: int, seconds: float) -> Callable[[Site], Result]:
    work = http_work.HttpWork(kind="hello", connections=connections, seconds=min(CEILING_S, seconds))
    return lambda site: http_work.run(_with_rooms(site, work.plan), work)


def _with_rooms(site: Site, plan: Plan) -> Site:
    return replace(site, world=nameless(plan))


def _for_kind(run: Run, kind: str, *, several: bool) -> Run:
    """Two kinds of requests are two reports: their files' names say which."""
    if not several:
        return run

    def named(path: Path | None) -> Path | None:
        return None if path is None else path.with_stem(f"{path.stem}-{kind}")

    return replace(run, json_path=named(run.json_path), html_path=named(run.html_path))


def _write(
    console: Console,
    results: Sequence[Result],
    ceiling: Result | None,
    title: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    if json_path is not None:
        files.write(json_path, files.of_results(results, ceiling))
        console.print(f"measurements in {json_path}")
    if html_path is not None:
        html_path.write_text(page.of_results(title, results, ceiling))
        console.print(f"plots in {html_path}")
