"""The command line: `chinwag serve`, `chinwag bench` (which is `chinwag.benchmarks`) and `chinwag debug`.

Options become `Settings`. What a user got wrong becomes one line on stderr and a non-zero exit; a traceback is a bug.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import click
import structlog
import trio

from chinwag.engine.encryption.room_crypto import WrongMasterKey
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.http import cli_values
from chinwag.http.api.front import Front
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.checked_fronts import UnusableFront
from chinwag.http.cli_banner import banner, installed_version
from chinwag.http.cli_groups import MainGroup
from chinwag.http.listener.listener import CannotListen, shown_address
from chinwag.http.listener.tls import BadCertificate
from chinwag.http.operations import garbage
from chinwag.http.operations.logs import configure_logging
from chinwag.http.registry import OwnListener, front_names, listeners_named, load_fronts
from chinwag.http.security.secret_files import MASTER_KEY_VARIABLE, BadSecret
from chinwag.http.settings import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_SOCKETS_PER_ADDRESS,
    DEFAULT_SOCKETS_PER_USER,
    ListenAt,
    LogFormat,
    LogLevel,
    RateLimits,
    ServerName,
    Settings,
)
from chinwag.persistence.errors import CannotOpen

log = structlog.get_logger("chinwag.http")


@click.group(cls=MainGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version(), prog_name="chinwag")
@click.pass_context
def main(context: click.Context) -> None:
    """A real-time chat engine with documented chat APIs over it.

    \b
    Start here:
      chinwag serve           then open http://127.0.0.1:8000 in a browser
      chinwag serve --help    every option, with examples
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@click.option(
    "--front",
    "fronts",
    multiple=True,
    type=click.Choice(front_names()),
    envvar="CHINWAG_FRONT",
    show_envvar=True,
    help="Serve this API; repeat for several. One alone is at the paths of its own documentation. "
    "Without this option all are served, those of other installed packages too.",
)
@click.option(
    "--bind",
    callback=cli_values.host_and_port,
    metavar="HOST:PORT",
    default=f"{DEFAULT_HOST}:{DEFAULT_PORT}",
    envvar="CHINWAG_BIND",
    show_envvar=True,
    show_default=True,
    help="Where to listen. 0.0.0.0:8000 is every interface, a port alone this machine; port 0 takes any that is free.",
)
@click.option(
    "--listen",
    "listen",
    multiple=True,
    callback=cli_values.listen_at,
    metavar="NAME[=HOST:PORT]",
    envvar="CHINWAG_LISTEN",
    show_envvar=True,
    help="Open a port that a front brings for what is not HTTP, by the name that the front has for it; without an "
    "address for this machine alone, at its usual port. Repeat for several.",
)
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    default=Path("chinwag-data"),
    envvar="CHINWAG_DATA",
    show_envvar=True,
    show_default=True,
    help="Folder for the database and the secrets; made if it is not there. One server at a time.",
)
@click.option(
    "--rate-limits",
    type=click.Choice(get_args(RateLimits)),
    default="documented",
    envvar="CHINWAG_RATE_LIMITS",
    show_envvar=True,
    show_default=True,
    help="Enforce the limits that the APIs document, those of sockets, and waits after wrong passwords; or none of "
    "them: for load tests.",
)
@click.option(
    "--rate-limit",
    "rate_limit",
    multiple=True,
    callback=cli_values.rate_limit,
    metavar="FRONT=REQUESTS/SECONDS",
    envvar="CHINWAG_RATE_LIMIT",
    show_envvar=True,
    help="How many requests each caller may make of one API in a time, instead of what it documents (a limit of its "
    "uploads stays); FRONT=off for any number, of uploads too. Repeat for several.",
)
@click.option(
    "--sockets-per-user",
    type=click.IntRange(min=0),
    metavar="N",
    default=DEFAULT_SOCKETS_PER_USER,
    envvar="CHINWAG_SOCKETS_PER_USER",
    show_envvar=True,
    show_default=True,
    help="How many WebSockets a user may have at a time, of all APIs together; 0 for any number.",
)
@click.option(
    "--sockets-per-address",
    type=click.IntRange(min=0),
    metavar="N",
    default=DEFAULT_SOCKETS_PER_ADDRESS,
    envvar="CHINWAG_SOCKETS_PER_ADDRESS",
    show_envvar=True,
    show_default=True,
    help="How many WebSockets may come from one address at a time; 0 for any number.",
)
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    callback=cli_values.proxies,
    metavar="CIDR",
    envvar="CHINWAG_TRUSTED_PROXY",
    show_envvar=True,
    help="Take from requests of this address or network, such as 10.0.0.0/8, whom they are for (X-Forwarded-For or "
    "Forwarded), and whether by https; repeat for several. Without it every address is that of the peer.",
)
@click.option(
    "--admin-token",
    metavar="TOKEN",
    envvar="CHINWAG_ADMIN_TOKEN",
    show_envvar=True,
    help="Opens the admin endpoints of the APIs that have them. Better given by the environment, where no process "
    "list shows it.",
)
@click.option(
    "--metrics-token",
    callback=cli_values.bearer_token,
    metavar="TOKEN",
    envvar="CHINWAG_METRICS_TOKEN",
    show_envvar=True,
    help="Show /metrics only to who sends this as a bearer token. Better given by the environment. Without it anybody "
    "may see them.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    callback=cli_values.origins,
    metavar="ORIGIN",
    envvar="CHINWAG_CORS_ORIGIN",
    show_envvar=True,
    help="Let only pages of this origin read answers and open sockets; repeat for several. Without this option any "
    "may.",
)
@click.option(
    "--public-url",
    callback=cli_values.public_url,
    metavar="URL",
    envvar="CHINWAG_PUBLIC_URL",
    show_envvar=True,
    help="The address that clients know this server by, such as https://example.org/chat: every link is below it. "
    "Without this option a link has the address that its caller used.",
)
@click.option(
    "--access-token-minutes",
    type=click.FloatRange(min=0, max=525_600, min_open=True),
    callback=cli_values.finite,
    metavar="MINUTES",
    default=30.0,
    envvar="CHINWAG_ACCESS_TOKEN_MINUTES",
    show_envvar=True,
    show_default=True,
    help="How long an access token is good.",
)
@click.option(
    "--llm-url",
    callback=cli_values.endpoint,
    metavar="URL",
    envvar="CHINWAG_LLM_URL",
    show_envvar=True,
    help="Have summaries written by a language model at this OpenAI-compatible endpoint, which is then sent what "
    "people wrote. Needs --llm-model. Without it they are made of key sentences, here.",
)
@click.option(
    "--llm-model",
    metavar="NAME",
    envvar="CHINWAG_LLM_MODEL",
    show_envvar=True,
    help="The model to ask for. Needs --llm-url; the key, if it takes one, is CHINWAG_LLM_KEY.",
)
@click.option(
    "--server",
    type=click.Choice(get_args(ServerName)),
    default="lane",
    envvar="CHINWAG_SERVER",
    show_envvar=True,
    show_default=True,
    help="What speaks HTTP/1.1: the fast lane, or hypercorn with quart-trio. HTTP/2 needs neither.",
)
@click.option(
    "--tls-cert",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="CHINWAG_TLS_CERT",
    show_envvar=True,
    help="Serve https and wss, with HTTP/2: the certificate and its chain in PEM. Needs --tls-key.",
)
@click.option(
    "--tls-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="CHINWAG_TLS_KEY",
    show_envvar=True,
    help="The certificate's private key in PEM, without passphrase. Needs --tls-cert.",
)
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    default="text",
    envvar="CHINWAG_LOG_FORMAT",
    show_envvar=True,
    show_default=True,
    help="Logs go to stderr: text for people, json for machines.",
)
@click.option(
    "--log-level",
    type=click.Choice(get_args(LogLevel), case_sensitive=False),
    default="info",
    envvar="CHINWAG_LOG_LEVEL",
    show_envvar=True,
    show_default=True,
    help="The least that is logged. debug has a line for each request, without its secrets.",
)
def serve(
    *,
    fronts: tuple[str, ...],
    bind: tuple[str, int],
    listen: tuple[ListenAt, ...],
    data_dir: Path,
    rate_limits: RateLimits,
    rate_limit: dict[str, RateLimit | None],
    sockets_per_user: int,
    sockets_per_address: int,
    trusted_proxies: tuple[str, ...],
    admin_token: str | None,
    metrics_token: str | None,
    cors_origins: tuple[str, ...],
    public_url: str | None,
    access_token_minutes: float,
    llm_url: str | None,
    llm_model: str | None,
    server: ServerName,
    tls_cert: Path | None,
    tls_key: Path | None,
    log_format: LogFormat,
    log_level: LogLevel,
) -> None:
    """Serve chat over HTTP and WebSockets until Ctrl-C or SIGTERM.

    \b
    Examples:
      chinwag serve
          everything at its defaults: http://127.0.0.1:8000, data in ./chinwag-data
      chinwag serve --front chatterstack --bind 0.0.0.0:80 --data /var/lib/chinwag
          one API at its own paths, for everybody who can reach this machine
      chinwag serve --listen irc=0.0.0.0:6667
          the port of an installed front for IRC too, in the same rooms
      chinwag serve --cors-origin https://chat.example.org --log-format json
          only that site's pages may use the API from a browser
      CHINWAG_BIND=127.0.0.1:9000 chinwag serve
          every option can also come from the environment

    An option given on the command line wins over the environment. Options that may be repeated take several values
    from the environment, with spaces between them. CHINWAG_SECRET (at least 32 characters) is the secret that signs
    access tokens, CHINWAG_MASTER_KEY (32 bytes in Base64 or hexadecimal digits) seals the keys of rooms whose keys the
    server holds; without them each is made and kept in the data folder. CHINWAG_LLM_KEY is the language model's key.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key are given together or not at all")
    if (llm_url is None) != (not llm_model):
        raise click.UsageError("--llm-url and --llm-model are given together or not at all")
    key = os.environ.get("CHINWAG_LLM_KEY", "")
    if not (key.isascii() and key.isprintable()):
        raise click.UsageError("CHINWAG_LLM_KEY has characters that no key can have")
    settings = Settings(
        fronts=tuple(dict.fromkeys(fronts)),
        host=bind[0],
        port=bind[1],
        listen=listen,
        data_dir=data_dir,
        rate_limits=rate_limits,
        rate_limit=rate_limit,
        sockets_per_user=sockets_per_user or None,
        sockets_per_address=sockets_per_address or None,
        trusted_proxies=trusted_proxies,
        admin_token=admin_token,
        metrics_token=metrics_token,
        cors_origins=cors_origins,
        public_url=public_url,
        access_token_minutes=access_token_minutes,
        llm_url=llm_url,
        llm_model=llm_model or None,
        server=server,
        tls_cert=tls_cert,
        tls_key=tls_key,
        log_format=log_format,
        log_level=log_level,
    )
    configure_logging(settings.log_format, settings.log_level)
    try:
        loaded = load_fronts(settings.fronts)
        opened = listeners_named(loaded.fronts, settings.listen)
    except UnusableFront as problem:
        raise click.UsageError(str(problem)) from None
    for line in loaded.left_out:
        log.warning("front left out", reason=line)
    run_main(partial(_serve, settings, loaded.fronts, opened))


@main.group(invoke_without_command=True)
@click.pass_context
def debug(context: click.Context) -> None:
    """Tools for working on Chinwag itself."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@debug.command("ws-echo")
@click.option(
    "--bind",
    callback=cli_values.host_and_port,
    metavar="HOST:PORT",
    default="127.0.0.1:9001",
    envvar="CHINWAG_BIND",
    show_envvar=True,
    show_default=True,
    help="Where to listen.",
)
def ws_echo(*, bind: tuple[str, int]) -> None:
    """Echo WebSocket messages by the bare gateway: for protocol conformance suites.

    \b
    Example:
      chinwag debug ws-echo --bind 127.0.0.1:9001
          then run the Autobahn fuzzing client against ws://127.0.0.1:9001
    """
    configure_logging("text", "info")
    run_main(partial(_echo, *bind))


async def _serve(settings: Settings, fronts: Sequence[Front], listen: Sequence[OwnListener]) -> None:
    from chinwag.http.server import serve as serve_settings  # what --help need not load

    os.umask(0o077)  # the data folder holds everybody's messages, and is nobody else's business
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(serve_settings, settings, fronts, listen)
        garbage.settle()
        for line in banner(settings, fronts, ports):
            click.echo(line)


async def _echo(host: str, port: int) -> None:
    from chinwag.http.echo import serve_echo

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(serve_echo, host, port)
        click.echo(f"echoing at ws://{shown_address(host, listeners[0].socket.getsockname()[1])}")


def run_main(main_task: Callable[[], Awaitable[None]]) -> None:
    """Run a server to its end. What its user can mend becomes a ClickException; anything else is raised as it is."""
    try:
        trio.run(main_task)
    except (Exception, BaseExceptionGroup) as error:
        leaves = list(_leaves(error))
        if all(isinstance(each, KeyboardInterrupt) for each in leaves):
            raise click.Abort from None
        words = [explain(each) for each in leaves]
        if not words or None in words:
            raise
        raise click.ClickException("; ".join(dict.fromkeys(filter(None, words)))) from None


def explain(error: BaseException) -> str | None:
    """One line about what the user can mend, None for a bug."""
    match error:
        case CannotOpen(message=message) | StoreUnavailable(message=message):
            return message
        case BadSecret() | BadCertificate() | CannotListen():
            return str(error)
        case WrongMasterKey():
            return f"the master key is not the one that this data was made with: {error} ({MASTER_KEY_VARIABLE})"
        case FileExistsError(filename=filename) | NotADirectoryError(filename=filename):
            return f"{filename}: not a folder"
        case OSError(filename=filename) if filename is not None:
            return f"{filename}: {error.strerror}"
        case _:
            return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
