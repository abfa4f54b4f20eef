"""Fronts of other packages, over `chinwag serve`: found, asked for, refused, and the ports that they bring."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest
import trio
from trio_websocket import open_websocket_url

from tests.e2e.processes import CHINWAG, LIMIT_S, ROOT, run, serving
from tests.forks import environment
from tests.http.plugins import ECHO, install

HELLO = ROOT / "examples" / "hello"
BROKEN = "from chinwag.http.api.front import Nothing\n"


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed, as pip does it."""
    folder = tmp_path_factory.mktemp("hello")
    source = shutil.copytree(HELLO, folder / "source")  # pip builds in place
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder / "site"


def having(*folders: Path) -> Mapping[str, str]:
    """The environment of a process that has packages from these folders."""
    return environment(PYTHONPATH=":".join(map(str, folders)))


def test_the_example_takes_less_than_a_hundred_lines() -> None:
    assert len((HELLO / "chinwag_hello.py").read_text().splitlines()) < 100


async def test_the_example_is_found_and_serves_the_same_people_as_all_others(hello: Path, tmp_path: Path) -> None:
    ann = {"name": "ann", "password": "correct-horse"}
    with serving(tmp_path / "data", fronts=(), env=having(hello), fresh=True) as server:
        assert "  Hello" in server.banner
        async with httpx2.AsyncClient(base_url=f"{server.url}/hello", timeout=LIMIT_S) as http:
            token = (await http.post("/hello", json=ann)).json()["token"]
            http.headers["authorization"] = f"Bearer {token}"
            room = (await http.put("/rooms/tea")).json()["room"]
            async with open_websocket_url(f"{server.url.replace('http', 'ws')}/hello/live?token={token}") as live:
                with trio.fail_after(LIMIT_S):
                    assert json.loads(await live.get_message()) == {"hello": "ann"}
                    await live.send_message(json.dumps({"room": room, "text": "Shall we?"}))
                    said = {"room": room, "author": "ann", "text": "Shall we?"}
                    assert json.loads(await live.get_message()) == said
            wrong = await http.post("/say", json={"room": room, "text": ""})
            assert (wrong.status_code, list(wrong.json())) == (400, ["error"])
            assert "Hello" in (await http.get("/docs")).text
            assert {"/hello", "/rooms/{name}", "/say"} <= set((await http.get("/openapi.json")).json()["paths"])
            other = await http.post(f"{server.url}/messenger/api/auth/login", json={"username": "ann"} | ann)
            assert other.status_code == 200
            groups = await http.get(
                f"{server.url}/messenger/api/groups",
                headers={"authorization": f"Bearer {other.json()['access_token']}"},
            )
            assert "tea" in groups.text
    with serving(tmp_path / "data", fronts=("hello",), env=having(hello), fresh=True) as server:
        assert httpx2.post(f"{server.url}/hello", json=ann).status_code == 200


def test_help_lists_it_and_a_server_without_it_knows_it_not(hello: Path) -> None:
    assert "hello" in run([CHINWAG, "serve", "--help"], env=having(hello)).stdout
    assert "hello" not in run([CHINWAG, "serve", "--help"]).stdout
    assert run([CHINWAG, "serve", "--front", "hello"]).returncode == 2


def test_a_broken_package_stops_the_server_only_when_it_was_asked_for(hello: Path, tmp_path: Path) -> None:
    install(tmp_path / "site", "broken_front", BROKEN, broken="broken_front:FRONT")
    env = having(hello, tmp_path / "site")
    refused = run(
        [CHINWAG, "serve", "--bind", "127.0.0.1:0", "--front", "broken", "--data", str(tmp_path / "data")], env=env
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    assert line.startswith("Error: the front 'broken' of broken-front 1.0 cannot be served: ")
    assert "ImportError" in line
    with serving(tmp_path / "data", fronts=(), env=env, fresh=True) as server:
        assert "  Hello" in server.banner
        [warning] = [each for each in server.log.splitlines() if "front left out" in each]
        assert "broken-front 1.0" in warning


DOCUMENT = (ROOT / "docs/fronts.md").read_text()
SOURCES = [path.read_text() for path in (ROOT / "examples").rglob("*") if path.suffix in (".py", ".toml")]


@pytest.mark.parametrize("block", re.findall(r"```(?:python|toml)\n(.*?)```", DOCUMENT, re.DOTALL))
def test_a_block_of_the_document_stands_in_an_example_that_is_tested(block: str) -> None:
    assert any(block in source for source in SOURCES)


async def test_the_commands_of_the_document_work(hello: Path, tmp_path: Path) -> None:
    start, *others = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    install, serve = start.splitlines()
    assert install == f"pip install ./{HELLO.relative_to(ROOT)}"  # which is what the fixture does, elsewhere
    assert serve == "chinwag serve --front hello"
    with serving(tmp_path / "data", fronts=("hello",), env=having(hello), fresh=True) as server:
        [script] = others
        assert "127.0.0.1:8000" in script
        script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(json.loads(ended.stdout)) == ["room"]


def port_of(banner: list[str], title: str) -> int:
    [line] = [line for line in banner if line.strip().startswith(f"{title} ")]
    return int(line.rpartition(":")[2])


async def test_a_port_of_its_own_is_opened_when_it_is_asked_for(tmp_path: Path) -> None:
    install(tmp_path / "site", "echo_lines", ECHO, echo="echo_lines:FRONT")
    env = having(tmp_path / "site")
    with serving(tmp_path / "data", fronts=(), env=env, fresh=True) as server:
        assert "    Echo       closed: --listen echo opens it at 127.0.0.1:7" in server.banner
    options = ["--front=echo", "--listen", "echo=127.0.0.1:0", "--metrics-token", "t"]
    with serving(tmp_path / "data", *options, env=env, fresh=True) as server:
        port = port_of(server.banner, "Echo")
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for line in (b"hello", b"in"):
                await stream.send_all(line)
                with trio.fail_after(LIMIT_S):
                    assert await stream.receive_some() == line
            async with await trio.open_tcp_stream("127.0.0.1", port) as other:
                await other.send_all(b"bug")
                with trio.fail_after(LIMIT_S):
                    assert await other.receive_some() == b""
            metrics = httpx2.get(f"{server.url}/metrics", headers={"authorization": "Bearer t"}).text
            assert 'chinwag_listener_connections{listener="echo"} 1.0' in metrics
            assert 'chinwag_listener_failed_total{listener="echo"} 1.0' in metrics
            # ChatterStack is the only one that speaks HTTP, and so at its own paths.
            assert httpx2.get(f"{server.url}/v1/rooms").status_code == 401
            server.terminate()
            with trio.fail_after(LIMIT_S), pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()  # this front does not say goodbye, and is cut off
            assert await server.ended() == 0
        assert "a bug in a front" in server.log
        server._log_path.write_text("")  # the traceback was wanted


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "irc"], "no front has a listener named 'irc': there is echo"),
        (["--listen", "echo", "--front", "messenger"], "no front that is served has one"),
        (["--listen", "127.0.0.1:7"], "NAME=HOST:PORT"),
        (["--listen", "8000"], "--bind"),
        (["--listen", "echo=:7"], "0.0.0.0:7"),
        (["--listen", "echo="], "HOST:PORT"),
    ],
)
def test_a_mistake_about_a_port_is_told_in_one_line(tmp_path: Path, options: list[str], told: str) -> None:
    install(tmp_path / "site", "echo_lines", ECHO, echo="echo_lines:FRONT")
    refused = run([CHINWAG, "serve", "--data", str(tmp_path / "data"), *options], env=having(tmp_path / "site"))
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    assert told in line


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    install(tmp_path / "site", "echo_lines", ECHO, echo="echo_lines:FRONT")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [
            CHINWAG,
            "serve",
            "--bind",
            "127.0.0.1:0",
            "--data",
            str(tmp_path / "data"),
            "--listen",
            f"echo={where}",
        ]
        refused = run(command, env=having(tmp_path / "site"))
    assert refused.returncode == 1
    assert refused.stderr == f"Error: cannot listen on {where}: Address already in use\n"
