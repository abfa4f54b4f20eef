"""Groups of commands that tell of a user's mistake in one line, and what was probably meant."""

import importlib
import re
import sys
from typing import Any, Final

import click

INSTEAD: Final = {
    "--port": "use --bind HOST:PORT, or --bind PORT",
    "-p": "use --bind HOST:PORT, or --bind PORT",
    "--host": "use --bind HOST:PORT",
    "--address": "use --bind HOST:PORT",
    "--data-dir": "use --data DIR",
    "--dir": "use --data DIR",
    "-d": "use --data DIR",
    "--db": "use --data DIR, the folder that the database is in",
    "--database": "use --data DIR, the folder that the database is in",
    "--ssl-cert": "use --tls-cert FILE",
    "--ssl-certfile": "use --tls-cert FILE",
    "--certfile": "use --tls-cert FILE",
    "--cert": "use --tls-cert FILE",
    "--ssl-key": "use --tls-key FILE",
    "--ssl-keyfile": "use --tls-key FILE",
    "--keyfile": "use --tls-key FILE",
    "--key": "use --tls-key FILE",
    "--api": "use --front NAME",
    "--fronts": "use --front NAME, once for each",
    "--cors": "use --cors-origin ORIGIN",
    "--cors-origins": "use --cors-origin ORIGIN, once for each",
    "--allowed-origins": "use --cors-origin ORIGIN, once for each",
    "--base-url": "use --public-url URL",
    "--root-path": "use --public-url URL",
    "--secret": "set CHINWAG_SECRET, which no process list shows",
    "--no-rate-limits": "use --rate-limits off",
    "--verbose": "use --log-level debug",
    "-v": "use --log-level debug",
    "--debug": "use --log-level debug",
    "--quiet": "use --log-level error",
    "-q": "use --log-level error",
    "--json": "use --log-format json",
    "--reload": "there is none: stop it with Ctrl-C and start it again, nothing acknowledged is lost",
    "--url": "use --target URL",
    "--output": "use --html FILE or --json FILE",
    "-o": "use --html FILE or --json FILE",
    "--workers": "there are none: one process serves a data folder, on one core",
    "-w": "there are none: one process serves a data folder, on one core",
}
"""Options that others have, and what does the same here."""
_OPTION: Final = re.compile(r"--[a-z-]+")
COMMANDS: Final = dict.fromkeys(("start", "run", "server", "up", "listen", "daemon"), "serve") | {
    "benchmark": "bench",
    "benchmarks": "bench",
    "version": "--version",
    "help": "--help",
}


class OneLineErrors(click.Group):
    """Tells of a user's mistake in one line, without the usage: that line is all a service's log will show."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """See `click.Command.main`; always ends the process."""
        try:
            outcome = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.ClickException as error:
            hint = ""
            if isinstance(error, click.UsageError) and error.ctx is not None:
                hint = f" (see {error.ctx.command_path} --help)"
            click.echo(f"Error: {_words(error)}{hint}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("Aborted!", err=True)
            sys.exit(1)
        sys.exit(outcome if isinstance(outcome, int) else 0)


class MainGroup(OneLineErrors):
    """Knows `bench` by its name: it is a package of its own, which a server never loads."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group.list_commands`."""
        return sorted([*super().list_commands(ctx), "bench"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See `click.Group.get_command`."""
        if cmd_name != "bench":
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module("chinwag.benchmarks.cli").bench
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group.resolve_command`."""
        meant = COMMANDS.get(args[0])
        if meant is not None:
            raise click.UsageError(f"No such command {args[0]!r}: use chinwag {meant}", ctx)
        return super().resolve_command(ctx, args)


def _words(error: click.ClickException) -> str:
    """What is wrong, and of an option that there is not, what there is instead."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error.format_message()
    command, name = error.ctx.command, error.option_name
    instead = INSTEAD.get(name)
    if isinstance(command, MainGroup) and (instead is not None or name in _options(command.commands["serve"])):
        return f"No such option: {name}: say chinwag serve first; {instead or f'{name} is an option of that'}"
    if instead is None:
        return error.format_message()
    named = _OPTION.search(instead)
    fits = error.ctx.info_name == "serve" if named is None else named[0] in _options(command)
    return f"No such option: {name}: {instead}" if fits else error.format_message()


def _options(command: click.Command) -> set[str]:
    return {name for option in command.params for name in option.opts}
