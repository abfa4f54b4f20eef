"""`chinwag bench`: the commands and their options. What they need is loaded when they run, so that help is quick."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


PROCESSORS = _options(
    click.option("--server-cpu", type=click.IntRange(min=0), help="Core of the server. [default: the first of two]"),
    click.option("--client-cpu", type=click.IntRange(min=0), help="Core of the generator. [default: the second of two]"),
)
REPORTS = _options(
    click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write everything measured."),
    click.option(
        "--html",
        "html_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write one page with plots that needs nothing else, also no internet.",
    ),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure Chinwag, or any ChatterStack-compatible server, and compare it with others.

    \b
    Examples:
      chinwag bench fanout --members 500 --window 64 --messages 2000
      chinwag bench http --target http://127.0.0.1:8000/chatterstack
      chinwag bench compare --quick --only fanout
    """


@bench.command()
@click.option("--only", multiple=True, metavar="TEXT", help="Only works whose key contains this; repeat for several.")
@click.option("--repeat", type=click.IntRange(min=1), help="Rounds; medians are shown. [default: 5, quick 3]")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="How long each measurement sends. [default: 3, quick 1]")
@click.option("--quick", is_flag=True, help="A short run: less certain figures.")
@click.option("--peers", "peers_folder", type=click.Path(path_type=Path, file_okay=False), help="Where peers are installed.")
@PROCESSORS
@REPORTS
def compare(**options: Any) -> None:
    """Run Chinwag and its peers in turn on the same work, and show the ratios next to what is to be reached."""
    from chinwag.benchmarks import commands

    commands.compare_all(**options)
