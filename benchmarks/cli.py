"""`chinwag bench`: the commands and their options. What they need is loaded when they run, so that help is quick."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _mix(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, int] | None:
    """KIND=WEIGHT,... with the kinds that `mixed` knows."""
    if value is None:
        return None
    kinds = ("typing", "read", "send", "history", "search")
    mix: dict[str, int] = {}
    for part in value.split(","):
        kind, _, weight = part.strip().partition("=")
        if kind not in kinds or not weight.isdecimal():
            raise click.BadParameter(f"{part.strip()!r} is not KIND=NUMBER with KIND one of {', '.join(kinds)}")
        mix[kind] = int(weight)
    if not any(mix.get(kind) for kind in kinds if kind != "typing"):
        raise click.BadParameter("something besides typing has to be done")
    return mix


def _command(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """A command line, as a shell splits it."""
    if value is None:
        return None
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no command: {error}") from None
    if not words:
        raise click.BadParameter("the command is empty")
    return words


def _sizes(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    parts = [part.strip().replace("_", "") for part in value.split(",")]
    if not all(part.isdecimal() and int(part) > 1 for part in parts):
        raise click.BadParameter("sizes are numbers with commas between them, such as 1000,100000")
    return tuple(map(int, parts))


def _report(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """A file that can be written: nobody wants to hear of it after the measuring."""
    if value is None or value.exists():  # of what is there, the option's type says whether it can be written
        return value
    if not value.parent.is_dir():
        raise click.BadParameter(f"{str(value)!r} cannot be written: {str(value.parent)!r} is no folder")
    try:
        value.touch()
        value.unlink()
    except OSError as error:
        raise click.BadParameter(f"{str(value)!r} cannot be written: {error.strerror}") from None
    return value


MEMBERS = click.option("--members", type=click.IntRange(2), default=500, show_default=True, help="Members of the room.")
FEW_MEMBERS = click.option("--members", type=click.IntRange(2), default=2, show_default=True, help="Members of a room.")
WINDOW = click.option(
    "--window",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Messages in flight in a room: sent, and not yet back at their sender.",
)
SIZE = click.option(
    "--size", type=click.IntRange(10, 4000), default=40, show_default=True, help="Characters of a message."
)
MESSAGES = click.option("--messages", type=click.IntRange(1), help="Send so many in each room, instead of --seconds.")
IDLE = click.option("--idle", type=click.IntRange(0), default=0, help="Connections besides, that hear nothing.")


def _seconds(default: float) -> Callable[[F], F]:
    return click.option(
        "--seconds", type=click.FloatRange(0.1), default=default, show_default=True, help="How long to measure."
    )


def _connections(default: int, text: str) -> Callable[[F], F]:
    return click.option("--connections", type=click.IntRange(1), default=default, show_default=True, help=text)


PROCESSORS = _options(
    click.option("--server-cpu", type=click.IntRange(0), help="Core of the server. [default: 0 of two or more]"),
    click.option("--client-cpu", type=click.IntRange(0), help="Core of the generator. [default: 1 of two or more]"),
)
REPORTS = _options(
    click.option(
        "--json",
        "json_path",
        callback=_report,
        type=click.Path(path_type=Path, dir_okay=False, writable=True),
        help="Write everything measured.",
    ),
    click.option(
        "--html",
        "html_path",
        callback=_report,
        type=click.Path(path_type=Path, dir_okay=False, writable=True),
        help="Write one page with plots that needs nothing else, also no internet.",
    ),
)
REPEAT = click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="How often to measure.")
WHERE = _options(
    click.option(
        "--target",
        metavar="URL",
        help="A running server with ChatterStack's API, such as http://127.0.0.1:8000/chatterstack; people and rooms "
        "are made over HTTP. Without it a server is started on a data folder of its own.",
    ),
    click.option(
        "--front",
        type=click.Choice(["chatterstack"]),
        default="chatterstack",
        show_default=True,
        help="The API to speak.",
    ),
)
COMMON = _options(REPEAT, WHERE, PROCESSORS, REPORTS)
PEERS = click.option(
    "--peers",
    "peers_folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="CHINWAG_BENCH_PEERS",
    show_envvar=True,
    help="Where peers are installed. [default: beside their sources]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure Chinwag, or any ChatterStack-compatible server, and compare it with others.

    \b
    Examples:
      chinwag bench fanout --members 500 --window 64 --messages 2000
      chinwag bench http --target http://127.0.0.1:8000/chatterstack
      chinwag bench compare --quick --only fanout

    Every scenario starts a server with everything on (tokens, membership, every message committed to disk) on one core,
    runs on another one, and checks that nothing was lost, came twice or out of order.
    """


@bench.command()
@_options(MEMBERS, WINDOW, MESSAGES, _seconds(3.0), SIZE, IDLE, COMMON)
def fanout(**options: Any) -> None:
    """One room: a member sends, everybody receives."""
    from chinwag.benchmarks import commands

    commands.fan_out(rooms=1, **options)


@bench.command()
@click.option("--rooms", type=click.IntRange(1), default=250, show_default=True, help="How many rooms.")
@_options(FEW_MEMBERS, WINDOW, MESSAGES, _seconds(3.0), SIZE, IDLE, COMMON)
def rooms(**options: Any) -> None:
    """Many rooms: in each of them a member sends, everybody receives."""
    from chinwag.benchmarks import commands

    commands.fan_out(**options)


@bench.command()
@click.option("--kind", type=click.Choice(["send", "history"]), multiple=True, help="Only this. [default: both]")
@click.option("--messages", type=click.IntRange(1), help="So many requests altogether, instead of --seconds.")
@_options(_connections(32, "Kept-alive connections, each of a user; two share a room."), _seconds(3.0), SIZE, COMMON)
def http(**options: Any) -> None:
    """HTTP: sending messages, and reading the last 50, one request under way per connection."""
    from chinwag.benchmarks import commands

    commands.http(**options)


@bench.command()
@_options(_connections(1000, "How many."), _seconds(5.0), REPEAT, WHERE, PROCESSORS, REPORTS)
def idle(**options: Any) -> None:
    """Open connections that do nothing: memory and processor time of each."""
    from chinwag.benchmarks import commands

    commands.idle(**options)


@bench.command()
@_options(_connections(32, "People who come and go at the same time."), _seconds(3.0), COMMON)
def churn(**options: Any) -> None:
    """People who join a room, connect, disconnect and leave it, over and over."""
    from chinwag.benchmarks import commands

    commands.churn(**options)


@bench.command()
@click.option("--rooms", type=click.IntRange(1), default=10, show_default=True, help="How many rooms.")
@click.option("--members", type=click.IntRange(2), default=10, show_default=True, help="Members of a room.")
@click.option(
    "--mix",
    callback=_mix,
    metavar="KIND=WEIGHT,...",
    help="What people do how often. [default: typing=40,read=25,send=20,history=12,search=3]",
)
@_options(_seconds(5.0), SIZE, COMMON)
def mixed(**options: Any) -> None:
    """A day in a busy office: typing, reading, sending, scrolling back, searching."""
    from chinwag.benchmarks import commands

    commands.mixed(**options)


@bench.command()
@click.option(
    "--kind",
    type=click.Choice(["log-in", "search"]),
    default="log-in",
    show_default=True,
    help="Wrong log-ins, or searches that find nothing in 1,000 messages of 4,000 letters.",
)
@click.option(
    "--connections", type=click.IntRange(1), help="Those that flood. [default: 400 that log in, 8 that search]"
)
@click.option("--senders", type=click.IntRange(1), default=16, show_default=True, help="Those that send messages.")
@_options(_seconds(10.0), SIZE, COMMON)
def flood(**options: Any) -> None:
    """What honest people notice of a flood of wrong log-ins, or of searches, from their own address.

    The server has its limits on. Measured without the flood and with it: sending messages, logging in, /healthz.
    """
    from chinwag.benchmarks import commands

    commands.flood(**options)


@bench.command()
@click.option(
    "--sizes",
    callback=_sizes,
    default="1000,100000,1000000",
    show_default=True,
    help="Messages, and as many rooms, in each store. A million takes about a minute to make.",
)
@_options(_connections(16, "Kept-alive connections."), _seconds(2.0), PROCESSORS, REPORTS)
def scale(**options: Any) -> None:
    """The same work on stores of different size: what a request costs has to stay flat."""
    from chinwag.benchmarks import commands

    commands.scale(**options)


@bench.command()
@click.option(
    "--baseline",
    callback=_command,
    metavar="COMMAND",
    help="Measure another version of Chinwag beside this one: the command that runs its `chinwag`. No peers then, and "
    "only the works fanout, rooms and http.",
)
@click.option("--with-peers", is_flag=True, help="With --baseline: measure the peers too.")
@click.option("--only", multiple=True, metavar="TEXT", help="Only works whose key contains this; repeat for several.")
@click.option(
    "--repeat",
    type=click.IntRange(1),
    help="Rounds, of which the median counts. [default: 5, with a baseline 9, quick 3]",
)
@click.option("--seconds", type=click.FloatRange(0.1), help="How long each measurement is. [default: 3, quick 1]")
@click.option("--quick", is_flag=True, help="A short run, with less certain figures and a smaller crowd.")
@click.option("--list", "list_only", is_flag=True, help="Show the works' keys and titles, and end.")
@_options(PEERS, PROCESSORS, REPORTS)
def compare(**options: Any) -> None:
    """Chinwag and its peers, or another version of it, on the same work, in interleaved rounds.

    Chinwag has everything on; the peers neither authenticate nor store, but for fastapi_chat, which does the same job.
    What is not installed yet is installed first; a peer that cannot be is named as skipped. With --baseline the server
    CPU per message or request of both versions is what counts.
    """
    from chinwag.benchmarks import commands

    commands.compare_all(**options)


@bench.group()
def peers() -> None:
    """The servers that Chinwag is compared with."""


@peers.command()
@PEERS
def install(peers_folder: Path | None) -> None:
    """Install what the peers need: node modules and a Python environment, in a folder of their own."""
    from chinwag.benchmarks import commands

    commands.install_peers(peers_folder)
