"""docs/embedding.md has the whole of the interface, and what it shows works."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chinwag.engine
from chinwag.engine import Engine, EngineConfig, open_engine
from chinwag.engine.accounts.accounts import Accounts
from chinwag.engine.connections.connections import Connections
from chinwag.engine.connections.presence import PresenceService
from chinwag.engine.encryption.room_crypto import MasterKey, make_key
from chinwag.engine.encryption.room_keys import RoomKeys
from chinwag.engine.files.files import Files
from chinwag.engine.messages.messages import Messages
from chinwag.engine.rooms.bans import Bans
from chinwag.engine.rooms.invitations import Invitations
from chinwag.engine.rooms.rooms import Rooms
from chinwag.engine.summaries.summaries import Summaries
from chinwag.engine.testing import MemoryStore
from chinwag.persistence import open_folder_blobs

PAGE = (Path(__file__).parents[2] / "docs/embedding.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = [block for block in BLOCKS if "trio.run(" in block]
"""Those that run by themselves (tests/e2e/test_embedding.py)."""
EXAMPLES = [block for block in BLOCKS if block not in PROGRAMS]

SERVICES: dict[str, type] = {
    "accounts": Accounts,
    "bans": Bans,
    "connections": Connections,
    "files": Files,
    "invitations": Invitations,
    "keys": RoomKeys,
    "messages": Messages,
    "presence": PresenceService,
    "rooms": Rooms,
    "summaries": Summaries,
}
INTERNAL = {
    "engine": "start shut_down: `open_engine` calls them",
    "accounts": "prepare set_declared: for an engine's start, and for `presence`",
    "connections": "end_log_in shut_out end_typing_unless_connected check close_all: an engine ends them",
    "files": "keep of_room forget: for `Incoming`, and for rooms that are deleted",
    "keys": "content_of for_new_room take_out: for rooms and messages, which commit with them",
    "presence": "arrive depart sweep: what connections tell it, and the clock",
    "summaries": "sweep: the engine's look at the time",
}
"""What other parts of the engine call and nobody else, with the reason after the names."""


def methods(name: str, service: type) -> list[str]:
    internal = INTERNAL.get(name, ":").partition(":")[0].split()
    assert set(internal) <= set(dir(service)), "not there any more"
    return [each for each in dir(service) if not each.startswith("_") and each not in internal]


def called(tree: ast.AST) -> Iterator[str]:
    """`rooms.create` for `engine.rooms.create` and for `rooms.create`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ".".join(ast.unparse(node).split(".")[-2:])


USED = {name for block in BLOCKS for name in called(ast.parse(block))}


@pytest.mark.parametrize(("name", "service"), [("engine", Engine), *SERVICES.items()])
def test_every_method_is_documented_described_and_shown(name: str, service: type) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    for method in methods(name, service):
        assert inspect.getdoc(getattr(service, method)), method
        assert f"{name}.{method}" in USED, f"{name}.{method} is in no example"
        named = rf"`(?:{name}\.)?{method}(?:\(.*?\))?`"
        assert any(re.search(named, line) for line in lines), f"{name}.{method} is in no table"


def test_an_engine_has_these_services_and_no_others() -> None:
    found = re.findall(r"^        self\.([a-z]+) = ", inspect.getsource(Engine.__init__), re.MULTILINE)
    assert {*found} == {*SERVICES, "clock", "commits", "config", "jobs", "spawn"}
    assert {"engine.clock", "observed.commits", "engine.config", "engine.jobs", "engine.spawn"} <= USED


@pytest.mark.parametrize("name", chinwag.engine.__all__)
def test_whatever_the_engine_exports_is_named_and_shown(name: str) -> None:
    assert f"`{name}" in PAGE
    assert any(re.search(rf"\b{name}\b", block) for block in BLOCKS)
    assert inspect.getdoc(getattr(chinwag.engine, name)) or not inspect.isclass(getattr(chinwag.engine, name))


async def test_the_examples_work_from_top_to_bottom(tmp_path: Path) -> None:
    source = tmp_path / "examples.py"  # where a traceback finds its lines
    source.write_text("\n".join(EXAMPLES))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    program = compile(source.read_text(), str(source), "exec", flags=flags, dont_inherit=True)
    blobs = await open_folder_blobs(tmp_path / "blobs")
    config = EngineConfig(shutdown_spread_s=0.1)
    async with open_engine(MemoryStore(), blobs=blobs, master_key=MasterKey(make_key()), config=config) as engine:
        running = eval(program, {"engine": engine, "__name__": "embedding"})
        await running
