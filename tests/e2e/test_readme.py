"""The README does what it says: its tour is run, its example is run, and its table has every option."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chinwag.http.cli import serve
from chinwag.http.security.secret_files import MASTER_KEY_VARIABLE
from chinwag.http.security.tokens import SECRET_VARIABLE
from tests.e2e.client import MESSAGE_FIELDS, USER_FIELDS
from tests.e2e.processes import LIMIT_S, ROOT, Server, run, serving
from tests.forks import environment

README = (ROOT / "README.md").read_text()


def tour(server: Server) -> str:
    """The commands of the tour, for a server at another port and this environment's Python."""
    blocks = re.findall(r"<!-- tour.*?-->\n```sh\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    script = "\n".join(blocks)
    assert "127.0.0.1:8000" in script and ".venv/bin/python" in script
    return script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace(".venv/bin/python", sys.executable)


def test_the_tour_works(tmp_path: Path) -> None:
    for needed in ("bash", "curl"):
        if shutil.which(needed) is None:
            pytest.skip(f"the tour needs {needed}")
    with serving(tmp_path / "data", fronts=()) as server:
        ended = run(["bash", "-euo", "pipefail", "-c", tour(server)], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    outputs = list(map(json.loads, ended.stdout.splitlines()))
    ann, bob, posted, again, listed, found, missed, resumed, said = outputs[:9]
    reacted, coming, group, ranked = outputs[9:]
    assert set(ann) == set(bob) == USER_FIELDS
    assert (ann["username"], bob["username"]) == ("ann", "bob")
    assert set(posted) >= MESSAGE_FIELDS
    assert again == posted  # posted once
    assert listed == found == {"messages": [posted]}
    assert (missed["event"], missed["data"]["content"]) == ("receive_message", "Milk or lemon?")
    assert (resumed["event"], resumed["data"]["recovered"]) == ("resumed", True)
    assert (said["event"], said["data"]["content"], said["data"]["sender_id"]) == (
        "receive_message",
        "Lemon!",
        bob["id"],
    )
    message = reacted["data"]["message"]
    assert message["content"]["encrypted_data"] == "Lemon!"
    assert [(each["username"], each["emoji"]) for each in message["reactions"]] == [("bob", "🍋")]
    texts = [each["content"] for each in group["messages"]]
    assert coming["message"]["content"] == texts[0] == "Coming!"
    assert sorted(texts) == ["Coming!", "Lemon!", "Milk or lemon?", "Shall we?"]
    matched = [result["message"]["content"]["encrypted_data"] for result in ranked["data"]["results"]]
    assert matched == ["Milk or lemon?", "Lemon!"]


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("at", "says"), [(0, "ann: hello\n"), (1, "open\n")])
def test_an_embedding_example_works_and_works_again(tmp_path: Path, at: int, says: str) -> None:
    assert len(EXAMPLES) == 2
    for _ in range(2):
        ended = run([sys.executable, "-W", "error", "-c", EXAMPLES[at]], cwd=tmp_path)
        assert (ended.stdout, ended.stderr, ended.returncode) == (says, "", 0)


def test_the_embedding_example_opens_the_folder_of_a_server(tmp_path: Path) -> None:
    with serving(tmp_path / "chinwag-data"):
        pass
    ended = run([sys.executable, "-c", EXAMPLES[1]], cwd=tmp_path)
    assert (ended.stdout, ended.returncode) == ("open\n", 0), ended.stderr


def commands() -> list[str]:
    """What stands in the shell blocks that are not of the tour, without comments."""
    blocks = re.findall(r"^(<!-- tour.*?-->)?\n```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0].strip() for tour, block in blocks if not tour for line in block.splitlines()]
    return list(filter(None, lines))


def test_every_make_target_that_is_named_does_what_is_said_of_it() -> None:
    assert commands()[:3] == ["make serve", "make test", "make check"]
    said = {
        "serve": "chinwag serve",
        "test": "pytest",
        "check": "mypy",
        "bench": "bench compare",
        "test-services": "-m",
    }
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named == set(said)
    for target in named:
        planned = run(["make", "--dry-run", target, "ARGS=--bind 0.0.0.0:9000"])
        assert planned.returncode == 0, planned.stderr
        assert said[target] in planned.stdout
        assert "--bind 0.0.0.0:9000" in planned.stdout or target == "check"


def test_the_line_chat_starts_and_takes_what_is_said_to_it(tmp_path: Path) -> None:
    chat, netcat = commands()[3:]
    assert netcat == "nc 127.0.0.1 7000"
    [say] = re.findall(r"then say: (.*)", README)
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


def test_every_option_is_in_the_table_with_its_variable_and_default() -> None:
    rows = {row.split("|")[1].strip(): row for row in README.splitlines() if row.startswith("| ")}
    for option in serve.params:
        name = option.opts[0]
        [row] = [row for cell, row in rows.items() if re.match(rf"`{name}[ `]", cell)]
        assert isinstance(option.envvar, str)
        assert f"`{option.envvar}`" in row
    assert SECRET_VARIABLE in README
    assert MASTER_KEY_VARIABLE in README
    documented = {name for cell in rows for name in re.findall(r"`(--[a-z-]+)", cell)}
    assert documented == {option.opts[0] for option in serve.params}


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in link:
            assert (ROOT / link).exists(), link
