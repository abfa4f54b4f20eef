"""docs/embedding.md does what it says: its programs are run, and they leave a folder that a server opens, too."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.processes import LIMIT_S, ROOT, run, serving
from tests.forks import environment

PAGE = (ROOT / "docs/embedding.md").read_text()
PROGRAMS = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "trio.run(" in block]
"""The other examples are run by tests/engine/test_embedding.py, within one engine."""


@pytest.mark.parametrize(("at", "says"), [(0, "ann: hello\n"), (1, "open\n")])
def test_an_embedding_example_works_and_works_again(tmp_path: Path, at: int, says: str) -> None:
    assert len(PROGRAMS) == 2
    for _ in range(2):
        ended = run([sys.executable, "-W", "error", "-c", PROGRAMS[at]], cwd=tmp_path)
        assert (ended.stdout, ended.stderr, ended.returncode) == (says, "", 0)


def test_the_embedding_example_opens_the_folder_of_a_server(tmp_path: Path) -> None:
    with serving(tmp_path / "chinwag-data"):
        pass
    ended = run([sys.executable, "-c", PROGRAMS[1]], cwd=tmp_path)
    assert (ended.stdout, ended.returncode) == ("open\n", 0), ended.stderr


def commands() -> list[str]:
    """What stands in the shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return list(filter(None, (line.partition("#")[0].strip() for block in blocks for line in block.splitlines())))


def test_the_line_chat_starts_and_takes_what_is_said_to_it(tmp_path: Path) -> None:
    chat, netcat = commands()
    assert netcat == "nc 127.0.0.1 7000"
    [say] = re.findall(r"then say: (.*)", PAGE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = chat.replace(".venv/bin/python", sys.executable).replace("7000", port).split()
    command[1] = str(ROOT / command[1])
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            with connected(int(port), process) as client:
                client.sendall(f"{say}\nhello\n".encode())
                assert client.makefile().readline() == "ann: hello\n"
        finally:
            process.kill()
    (tmp_path / "file").write_text("")
    ended = run([*command[:2], str(tmp_path / "file"), port])
    [line] = ended.stderr.splitlines()
    assert ended.returncode == 1 and "is a file" in line


def connected(port: int, process: "subprocess.Popen[str]") -> socket.socket:
    """A connection to a program that says nothing when it is ready."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
