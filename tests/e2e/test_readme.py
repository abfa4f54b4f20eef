"""The README does what it says: its tour is run, its example is run, and its table has every option."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from chinwag.http.cli import serve
from chinwag.http.secret_files import MASTER_KEY_VARIABLE
from chinwag.http.tokens import SECRET_VARIABLE
from tests.e2e.client import MESSAGE_FIELDS, USER_FIELDS
from tests.e2e.processes import ROOT, Server, run, serving

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


def test_the_embedding_example_works(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    ended = run([sys.executable, "-c", example], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "hello" in ended.stdout


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
