"""`chinwag` as its users meet it: the banner, `--help`, and one clear line for each of their mistakes."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import trio
from trio_websocket import open_websocket_url

from chinwag.http.cli import main, serve
from tests.e2e.client import api_of
from tests.e2e.listeners import OVER_TLS_TOO, Listener
from tests.e2e.processes import CHINWAG, LIMIT_S, Server, run, serving
from tests.forks import environment, run_forked


def refused(*options: str, env: dict[str, str] | None = None) -> str:
    """Serve in vain; the one line that says why."""
    ended = run_forked("serve", *options, env=env)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    [line] = ended.stderr.splitlines()
    return line


# --- what it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fronts", [(), ("chatrooms",)], ids=["all fronts", "one front"])
def test_the_banner_tells_the_addresses_to_try(tmp_path: Path, fronts: tuple[str, ...]) -> None:
    with serving(tmp_path / "data", fronts=fronts) as server:
        lines = "\n".join(server.banner)
        for address in re.findall(r"https?://\S+", lines):
            page = address if address.endswith("/docs") else f"{server.url}/healthz"
            assert httpx2.get(page, timeout=LIMIT_S).status_code == 200
        assert f"http://127.0.0.1:{server.port}" in server.banner[0]
        assert f"ws://127.0.0.1:{server.port}" in lines
        assert str(tmp_path / "data") in server.banner[-1]
        assert {path.name for path in (tmp_path / "data").iterdir()} >= {"chinwag.db", "token-secret"}


@pytest.mark.parametrize(
    "command", [[], ["--help"], ["-h"], ["serve", "--help"], ["debug"], ["debug", "ws-echo", "--help"]]
)
def test_help_is_no_mistake(command: list[str]) -> None:
    ended = run_forked(*command)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage: chinwag" in ended.stdout


def test_the_help_of_serve_shows_every_option_with_its_variable() -> None:
    text = run([CHINWAG, "serve", "--help"]).stdout
    for option in serve.params:
        assert option.opts[0] in text
        assert f"CHINWAG_{option.opts[0].removeprefix('--').replace('-', '_').upper()}" in text
    assert "Examples:" in text


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"chinwag, version \d+\.\d+\S*\n", run([CHINWAG, "--version"]).stdout)


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-such-option"], "no-such-option"),
        (["--front", "nonsense"], "nonsense"),
        (["--bind", "127.0.0.1"], "127.0.0.1"),
        (["--bind", "127.0.0.1:port"], "127.0.0.1:port"),
        (["--bind", ":8000"], ":8000"),
        (["--bind", "[::1"], "[::1"),
        (["--bind", "127.0.0.1:65536"], "65536"),
        (["--bind", "127.0.0.1:-1"], "-1"),
        (["--rate-limits", "some"], "some"),
        (["--access-token-minutes", "0"], "0"),
        (["--access-token-minutes", "-3"], "-3"),
        (["--access-token-minutes", "x"], "x"),
        (["--access-token-minutes", "nan"], "nan"),
        (["--cors-origin", "chat.example.org"], "chat.example.org"),
        (["--cors-origin", "https://chat.example.org/path"], "path"),
        (["--log-format", "xml"], "xml"),
        (["--log-level", "loud"], "loud"),
        (["stray"], "stray"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_a_bad_option_is_one_line(capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    """In this process, which spares a start for each: options are read before anything else is done."""
    with pytest.raises(SystemExit) as ended:
        main(["serve", *options])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    "options", [["--bind", "127.0.0.1"], ["--no-such-option"], ["--log-level", "loud"]], ids=" ".join
)
def test_a_bad_option_ends_the_program(tmp_path: Path, options: list[str]) -> None:
    assert options[-1] in refused("--data", str(tmp_path / "data"), *options)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machines_is_one_line(tmp_path: Path, host: str) -> None:
    assert host in refused("--data", str(tmp_path / "data"), "--bind", f"{host}:0")


@pytest.mark.parametrize("command", [["nonsense"], ["debug", "nonsense"], ["debug", "ws-echo", "--bind", "x"]])
def test_a_bad_command_is_one_line(command: list[str]) -> None:
    ended = run([CHINWAG, *command])
    assert ended.returncode == 2
    assert (ended.stdout, len(ended.stderr.splitlines())) == ("", 1)


def test_a_data_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(tmp_path / "file") in refused("--bind", "127.0.0.1:0", "--data", str(data))


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/chinwag-data")  # where not even root may make anything
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        folder = tmp_path / "locked" / "data"
    assert str(folder) in refused("--bind", "127.0.0.1:0", "--data", str(folder))


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("--bind", f"127.0.0.1:{port}", "--data", str(tmp_path / "data"))
    assert f"127.0.0.1:{port}" in line and "in use" in line


def test_a_folder_that_another_server_uses_is_one_line(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        line = refused("--bind", "127.0.0.1:0", "--data", str(tmp_path / "data"))
        assert str(tmp_path / "data") in line and str(server.process.pid) in line
        assert httpx2.get(f"{server.url}/healthz", timeout=LIMIT_S).status_code == 200


def test_a_database_that_is_newer_than_the_code_is_one_line_and_unharmed(tmp_path: Path) -> None:
    with serving(tmp_path / "data"):
        pass
    path = tmp_path / "data" / "chinwag.db"
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO schema_versions (version, name) VALUES (9999, 'from_the_future')")
    database.close()
    line = refused("--bind", "127.0.0.1:0", "--data", str(tmp_path / "data"))
    assert "newer" in line and "9999" in line


def test_a_file_that_is_no_database_is_one_line_and_unharmed(tmp_path: Path) -> None:
    path = tmp_path / "data" / "chinwag.db"
    path.parent.mkdir()
    path.write_bytes(b"a diary, and no database at all. " * 500)
    before = path.read_bytes()
    assert str(path) in refused("--bind", "127.0.0.1:0", "--data", str(path.parent))
    assert path.read_bytes() == before


@pytest.mark.parametrize("secret", ["short", "é" * 15])
def test_a_secret_that_is_too_short_is_one_line(tmp_path: Path, secret: str) -> None:
    line = refused("--bind", "127.0.0.1:0", "--data", str(tmp_path / "data"), env=environment(CHINWAG_SECRET=secret))
    assert "CHINWAG_SECRET" in line and "32" in line and secret not in line


# --- settings ---------------------------------------------------------------------------------------------------------


async def test_every_option_can_come_from_the_environment(tmp_path: Path) -> None:
    env = environment(
        CHINWAG_FRONT="chatterstack",
        CHINWAG_BIND="127.0.0.1:0",
        CHINWAG_RATE_LIMITS="off",
        CHINWAG_ADMIN_TOKEN="an-admin-token",
        CHINWAG_CORS_ORIGIN="https://a.example https://b.example",
        CHINWAG_ACCESS_TOKEN_MINUTES="5",
        CHINWAG_LOG_FORMAT="json",
        CHINWAG_LOG_LEVEL="debug",
        CHINWAG_SECRET="0123456789abcdef" * 2,
    )
    with serving(tmp_path / "data", env=env, bind=None, fronts=(), fresh=True) as server:
        async with api_of(server) as api:
            for origin in ("https://a.example", "https://b.example"):
                answer = await api.ask("GET", "/rooms", headers={"Origin": origin})
                assert answer.headers["access-control-allow-origin"] == origin
            person = await api.person()
            assert (await api.ask("GET", "/rooms", as_=person)).status_code == 200
            async with api.socket(person, await api.room(person)) as socket_there:
                await socket_there.fence()
        assert not (tmp_path / "data" / "token-secret").exists()
        server.terminate()
        assert await server.ended() == 0
        assert all(line.startswith("{") and line.endswith("}") for line in server.log.splitlines())
        assert '"level":"debug"' in server.log.replace(" ", "")


def test_an_option_wins_over_the_environment(tmp_path: Path) -> None:
    env = environment(CHINWAG_LOG_FORMAT="xml", CHINWAG_LOG_LEVEL="error")
    with serving(tmp_path / "data", "--log-format", "json", env=env, fresh=True) as server:
        server.terminate()
        assert server.process.wait(timeout=LIMIT_S) == 0
        assert server.log == ""


def test_the_default_data_folder_is_in_the_current_one(tmp_path: Path) -> None:
    command = [CHINWAG, "serve", "--bind", "127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as one:
        assert one.stdout is not None
        for line in one.stdout:
            if b"data in" in line:
                break
        one.send_signal(signal.SIGINT)
        assert one.wait(timeout=LIMIT_S) == 0
    assert (tmp_path / "chinwag-data" / "chinwag.db").exists()


# --- where fronts are -------------------------------------------------------------------------------------------------


async def status(server: Server, path: str, host: str | None = None) -> int:
    async with httpx2.AsyncClient(timeout=LIMIT_S, **server.listener.http_options) as http:
        headers = {} if host is None else {"Host": host}
        return (await http.get(f"{server.url}{path}", headers=headers)).status_code


@pytest.mark.parametrize("fronts", [(), ("chatterstack",)], ids=["all fronts", "one front"])
@OVER_TLS_TOO
async def test_a_front_is_at_its_host_name_and_its_prefix(
    listener: Listener, tmp_path: Path, fronts: tuple[str, ...]
) -> None:
    with serving(tmp_path / "data", listener=listener, fronts=fronts) as server:
        for path, host in (
            ("/v1/rooms", f"chatterstack.localhost:{server.port}"),
            ("/v1/rooms", "ChatterStack.example.org"),
            ("/chatterstack/v1/rooms", None),
            ("/chatterstack/v1/rooms", "anything.example.org"),
        ):
            assert await status(server, path, host) == 401, (path, host)
        for path in (
            "/chatterstack",
            "/chatterstack/",
            "/chatterstack/docs",
            "/chatterstack/openapi.json",
            "/healthz",
            "/",
        ):
            assert await status(server, path) == 200, path
        for path in ("/nonsense/v1/rooms", "/v1", "/v1/nonsense", "/chatterstack/nonsense", "/chatterstackv1/rooms"):
            assert await status(server, path) == 404, path
        if fronts:
            assert await status(server, "/v1/rooms") == 401  # its own paths, under any name

        async with api_of(server) as api:
            ann = await api.person("ann")
            room = await api.room(ann)
            for prefix, host in (
                ("", f"chatterstack.localhost:{server.port}"),
                ("/chatterstack", f"127.0.0.1:{server.port}"),
            ):
                target = f"{prefix}/ws?room_id={room}&access_token={ann.token}"
                async with api.open_socket(target, host=host) as socket_there:
                    assert await socket_there.fence() == []


# --- tools ------------------------------------------------------------------------------------------------------------


@contextmanager
def echoing() -> Iterator[str]:
    """The address of `chinwag debug ws-echo`."""
    with subprocess.Popen(
        [CHINWAG, "debug", "ws-echo", "--bind", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=LIMIT_S) in (0, 1)


async def test_ws_echo_sends_back_what_it_gets() -> None:
    with echoing() as address, trio.fail_after(LIMIT_S):
        async with open_websocket_url(address) as socket_there:
            for message in ("text", b"binary", "", "é" * 70_000):
                await socket_there.send_message(message)
                assert await socket_there.get_message() == message
            await socket_there.ping()


def test_the_module_can_be_run_without_the_script() -> None:
    ended = run([sys.executable, "-c", "from chinwag.http.cli import main; main()", "--version"])
    assert ended.returncode == 0
