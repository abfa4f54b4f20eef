"""The README and what it leads to do what they say: the tour is run, and the table of options has all of them."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from chinwag.http.cli import serve
from chinwag.http.security.secret_files import MASTER_KEY_VARIABLE
from chinwag.http.security.tokens import SECRET_VARIABLE
from tests.e2e.client import MESSAGE_FIELDS, USER_FIELDS
from tests.e2e.processes import ROOT, Server, run, serving

README = (ROOT / "README.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
TOUR = re.compile(r"<!-- tour.*?-->\n```sh\n(.*?)```", re.DOTALL)


def tour(server: Server) -> str:
    """The commands of the tour, for a server at another port and this environment's Python."""
    [begins] = TOUR.findall(README)
    live, others = TOUR.findall((ROOT / "docs/tour.md").read_text())
    script = "\n".join((begins, live, others))
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


def commands() -> list[str]:
    """What stands in the shell blocks that are not of the tour, without comments."""
    blocks = re.findall(r"^(<!-- tour.*?-->)?\n```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0].strip() for tour, block in blocks if not tour for line in block.splitlines()]
    return list(filter(None, lines))


def test_every_make_target_that_is_named_does_what_is_said_of_it() -> None:
    assert commands() == ["make serve", "make test"]
    said = {
        "serve": "chinwag serve",
        "test": "pytest",
        "bench": "bench compare",
    }
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README + CONFIGURATION, re.MULTILINE))
    assert named == set(said)
    for target in named:
        planned = run(["make", "--dry-run", target, "ARGS=--bind 0.0.0.0:9000"])
        assert planned.returncode == 0, planned.stderr
        assert said[target] in planned.stdout
        assert "--bind 0.0.0.0:9000" in planned.stdout


def test_every_option_is_in_the_table_with_its_variable_and_default() -> None:
    rows = {row.split("|")[1].strip(): row for row in CONFIGURATION.splitlines() if row.startswith("| ")}
    for option in serve.params:
        name = option.opts[0]
        [row] = [row for cell, row in rows.items() if re.match(rf"`{name}[ `]", cell)]
        assert isinstance(option.envvar, str)
        assert f"`{option.envvar}`" in row
    assert SECRET_VARIABLE in CONFIGURATION
    assert MASTER_KEY_VARIABLE in CONFIGURATION
    documented = {name for cell in rows for name in re.findall(r"`(--[a-z-]+)", cell)}
    assert documented == {option.opts[0] for option in serve.params}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_file_that_is_linked_to_is_there(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
        if "://" not in link:
            assert (ROOT / page).parent.joinpath(link).exists(), link


def test_the_readme_fits_two_screens() -> None:
    assert len(README.splitlines()) <= 100
    assert len(README) <= 6_000
