"""The command line: help that teaches, and mistakes told in one line."""

import errno
import re
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from chinwag.benchmarks.cli import bench
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.http import cli, cli_groups
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.cli_banner import banner
from chinwag.http.listener.listener import CannotListen, Ports
from chinwag.http.listener.tls import BadCertificate
from chinwag.http.registry import FRONTS
from chinwag.http.security.secret_files import BadSecret
from chinwag.http.settings import Settings
from chinwag.persistence.errors import CannotOpen


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=env, prog_name="chinwag")


def options(command: click.Command) -> Iterable[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def options_by_name(command: click.Command) -> list[str]:
    return [name for option in options(command) for name in option.opts]


def test_without_a_command_it_tells_where_to_start() -> None:
    for arguments in ((), ("--help",), ("-h",)):
        told = run(*arguments)
        assert told.exit_code == 0
        assert "chinwag serve" in told.output
        assert "http://127.0.0.1:8000" in told.output


def test_every_option_is_explained_with_its_environment_variable() -> None:
    told = " ".join(run("serve", "--help").output.split())
    for option in options(cli.serve):
        name = option.opts[-1]
        assert name in told
        assert option.help
        assert option.envvar == "CHINWAG_" + name.removeprefix("--").upper().replace("-", "_")
        assert f"env var: {option.envvar}" in told
    assert "CHINWAG_SECRET" in told
    assert "Examples:" in told


def test_the_documented_options_are_there() -> None:
    assert {option.opts[-1] for option in options(cli.serve)} == {
        "--front",
        "--bind",
        "--listen",
        "--data",
        "--rate-limits",
        "--admin-token",
        "--metrics-token",
        "--cors-origin",
        "--public-url",
        "--access-token-minutes",
        "--llm-url",
        "--llm-model",
        "--server",
        "--rate-limit",
        "--sockets-per-user",
        "--sockets-per-address",
        "--trusted-proxy",
        "--tls-cert",
        "--tls-key",
        "--log-format",
        "--log-level",
    }


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that a server would have been started with."""
    seen: list[Settings] = []

    def start(main_task: object) -> None:
        seen.append(main_task.args[0])  # type: ignore[attr-defined]  # a functools.partial

    monkeypatch.setattr(cli, "run_main", start)
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)
    return seen


def test_the_defaults_are_those_of_the_settings(started: list[Settings]) -> None:
    assert run("serve").exit_code == 0
    assert started == [Settings()]


def test_options_become_settings(started: list[Settings]) -> None:
    arguments = "--front chatterstack --front chatterstack --bind [::1]:0 --data d --rate-limits off --admin-token t"
    arguments += " --cors-origin https://a.example --cors-origin * --access-token-minutes 0.5"
    arguments += " --log-format json --log-level DEBUG --rate-limit chatterstack=3/0060"
    assert run("serve", *arguments.split()).exit_code == 0
    [settings] = started
    assert settings.fronts == ("chatterstack",)
    assert (settings.host, settings.port) == ("::1", 0)
    assert (settings.data_dir.name, settings.rate_limits, settings.admin_token) == ("d", "off", "t")
    assert settings.rate_limit == {"chatterstack": RateLimit(3, 60.0)}
    assert settings.cors_origins == ("https://a.example", "*")
    assert (settings.access_token_minutes, settings.log_format, settings.log_level) == (0.5, "json", "debug")


def test_the_environment_gives_options_and_the_command_line_wins(started: list[Settings]) -> None:
    env = {
        "CHINWAG_BIND": "0.0.0.0:9000",
        "CHINWAG_CORS_ORIGIN": "https://a.example https://b.example",
        "CHINWAG_LOG_LEVEL": "error",
        "CHINWAG_ADMIN_TOKEN": "",
        "CHINWAG_RATE_LIMIT": "chatterstack=off",
    }
    assert run("serve", "--log-level", "warning", env=env).exit_code == 0
    [settings] = started
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.log_level == "warning"
    assert settings.rate_limit == {"chatterstack": None}
    assert settings.admin_token is None


def test_a_language_model_has_a_url_and_a_name_and_a_key_that_can_be_sent(started: list[Settings]) -> None:
    env = {"CHINWAG_LLM_URL": "http://127.0.0.1:11434/v1", "CHINWAG_LLM_MODEL": "small", "CHINWAG_LLM_KEY": "sk-1"}
    assert run("serve", env=env).exit_code == 0
    [settings] = started
    assert (settings.llm_url, settings.llm_model) == ("http://127.0.0.1:11434/v1", "small")
    assert "sk-1" not in repr(settings)
    refused = run("serve", env={**env, "CHINWAG_LLM_KEY": "sk-1\n"})
    assert refused.exit_code != 0
    assert "CHINWAG_LLM_KEY" in refused.output
    assert "sk-1" not in refused.output


@pytest.mark.parametrize(
    "arguments",
    [
        "serve --bind 80000",
        "serve --bind :8000",
        "serve --bind host:",
        "serve --bind host:port",
        "serve --bind host:65536",
        "serve --bind host:-1",
        "serve --bind host:" + "9" * 5000,
        "serve --front nobody",
        "serve --rate-limits some",
        "serve --rate-limit chatterstack",
        "serve --rate-limit nobody=off",
        "serve --rate-limit chatterstack=",
        "serve --rate-limit chatterstack=1",
        "serve --rate-limit chatterstack=0/60",
        "serve --rate-limit chatterstack=60/0",
        "serve --rate-limit chatterstack=-1/60",
        "serve --rate-limit chatterstack=1.5/60",
        "serve --rate-limit chatterstack=1/" + "9" * 5000,
        "serve --cors-origin example.org",
        "serve --cors-origin https://example.org/path",
        "serve --access-token-minutes 0",
        "serve --access-token-minutes soon",
        "serve --server apache",
        "serve --tls-cert cert.pem",
        "serve --llm-url http://127.0.0.1:1/v1",
        "serve --llm-model small",
        "serve --llm-model small --llm-url 127.0.0.1:1",
        "serve --llm-model small --llm-url ftp://127.0.0.1/v1",
        "serve --llm-model small --llm-url http:///v1",
        "serve --llm-model small --llm-url http://key@127.0.0.1/v1",
        "serve --llm-model small --llm-url http://127.0.0.1/v1?key=1",
        "serve --llm-model small --llm-url http://127.0.0.1:99999/v1",
        "serve --tls-key key.pem",
        "serve --log-format xml",
        "serve --log-level loud",
        "serve --nonsense",
        "serve extra",
        "nonsense",
        "debug nonsense",
    ],
)
def test_a_mistake_is_told_in_one_line(started: list[Settings], arguments: str) -> None:
    told = run(*arguments.split())
    assert told.exit_code == 2
    assert told.stdout == ""
    [line] = told.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "--help)" in line
    assert not started


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("serve --port 9000", "use --bind HOST:PORT"),
        ("serve -p 9000", "use --bind HOST:PORT"),
        ("serve --host 0.0.0.0", "use --bind HOST:PORT"),
        ("serve --bind :9000", "0.0.0.0:9000"),
        ("serve --data-dir d", "use --data DIR"),
        ("serve --db chat.db", "use --data DIR"),
        ("serve --ssl-cert c", "use --tls-cert FILE"),
        ("serve --reload", "Ctrl-C"),
        ("serve --workers 4", "one process"),
        ("--port 9000", "chinwag serve"),
        ("--bind 9000", "chinwag serve"),
        ("start", "use chinwag serve"),
        ("run", "use chinwag serve"),
        ("serv", "'serve'"),
        ("debug ws-echo --port 9000", "use --bind HOST:PORT"),
        ("bench http --url http://127.0.0.1:8000", "use --target URL"),
    ],
)
def test_what_others_call_by_another_name_is_told_by_ours(started: list[Settings], arguments: str, hint: str) -> None:
    told = run(*arguments.split())
    assert told.exit_code == 2
    [line] = told.stderr.splitlines()
    assert hint in line
    assert "--front" not in line
    assert not started


def test_every_name_that_is_told_instead_of_another_exists() -> None:
    known = {name for command in (cli.serve, bench.commands["http"]) for name in options_by_name(command)}
    for words in cli_groups.INSTEAD.values():
        assert set(re.findall(r"--[a-z-]+", words)) <= known
    assert not set(cli_groups.INSTEAD) & set(options_by_name(cli.serve))


def test_a_port_alone_is_one_of_this_machine(started: list[Settings]) -> None:
    assert run("serve", "--bind", "9000").exit_code == 0
    [settings] = started
    assert (settings.host, settings.port) == ("127.0.0.1", 9000)


def test_a_secret_is_not_repeated_when_something_is_wrong_with_it() -> None:
    told = run("serve", "--metrics-token", "pass word")
    assert told.exit_code == 2
    assert "--metrics-token" in told.stderr
    assert "word" not in told.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CannotOpen("the database is newer than this chinwag"), "the database is newer than this chinwag"),
        (StoreUnavailable("disk full"), "disk full"),
        (BadSecret("too short"), "too short"),
        (BadCertificate("cert.pem: No such file or directory"), "cert.pem: No such file or directory"),
        (
            CannotListen("cannot listen on 127.0.0.1:80: Permission denied"),
            "cannot listen on 127.0.0.1:80: Permission denied",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), "/data: Permission denied"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "f/d"), "f/d: not a folder"),
        (FileExistsError(errno.EEXIST, "File exists", "file"), "file: not a folder"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def fail() -> None:
        raise ExceptionGroup("from a nursery", [error])

    with pytest.raises(click.ClickException) as told:
        cli.run_main(fail)
    assert told.value.message == line
    assert told.value.exit_code == 1


def test_a_bug_keeps_its_traceback() -> None:
    async def fail() -> None:
        raise ExceptionGroup("", [CannotOpen("one"), RuntimeError("a bug")])

    with pytest.raises(ExceptionGroup):
        cli.run_main(fail)


def test_an_interrupt_ends_quietly() -> None:
    async def fail() -> None:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])

    with pytest.raises(click.Abort):
        cli.run_main(fail)


def test_the_first_lines_tell_the_addresses_to_try() -> None:
    [front] = [front for front in FRONTS if front.name == "chatterstack"]
    lines = "\n".join(banner(Settings(host="0.0.0.0"), [front], Ports(8000)))
    assert "http://127.0.0.1:8000/v1" in lines
    assert "ws://127.0.0.1:8000/ws" in lines
    assert "http://127.0.0.1:8000/docs" in lines
    several = "\n".join(banner(Settings(host="::"), [front, front], Ports(81)))
    assert "http://[::1]:81/chatterstack/v1  or  http://chatterstack.localhost:81/v1" in several
    assert "ws://[::1]:81/chatterstack/ws" in several
    assert "http://[::1]:81/chatterstack/docs" in several
    secure = "\n".join(banner(Settings(tls_cert=Path("c"), tls_key=Path("k")), [front], Ports(8000)))
    assert "wss://127.0.0.1:8000/ws" in secure
    assert "http://" not in secure
