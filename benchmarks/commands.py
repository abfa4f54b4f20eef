"""What the commands do: options in, tables and files out."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chinwag.benchmarks import machine, tables
from chinwag.benchmarks.compare import compare
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.installs import Installs
from chinwag.benchmarks.works import room_works


@contextlib.contextmanager
def _session(server_cpu: int | None, client_cpu: int | None) -> Iterator[tuple[int | None, Console]]:
    """The generator on its core; gives the server's. What the user can mend becomes one line."""
    first, second = machine.default_cpus()
    with machine.pinned(second if client_cpu is None else client_cpu):
        try:
            yield (first if server_cpu is None else server_cpu), Console()
        except BenchError as error:
            raise click.ClickException(str(error)) from error


def _progress(console: Console) -> Progress:
    """Drawn only when told to: a thread that does it by itself would take the generator's time."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, auto_refresh=False)


def compare_all(
    *,
    only: tuple[str, ...],
    repeat: int | None,
    seconds: float | None,
    quick: bool,
    peers_folder: Path | None,
    server_cpu: int | None,
    client_cpu: int | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """See `chinwag bench compare`."""
    installs = Installs(peers_folder)
    repeat = repeat or (3 if quick else 5)
    seconds = seconds or (1.0 if quick else 3.0)
    works = [work for work in room_works(installs, seconds) if not only or any(each in work.key for each in only)]
    with _session(server_cpu, client_cpu) as (cpu, console):
        installs.install(console.print)
        with _progress(console) as progress:
            task = progress.add_task("", total=1.0)

            def tell(what: str, done: float) -> None:
                progress.update(task, description=what, completed=done, refresh=True)

            comparisons = compare(works, repeat=repeat, cpu=cpu, tell=tell)
        for comparison in comparisons:
            tables.show_comparison(console, comparison)
        tables.summary(console, comparisons)
