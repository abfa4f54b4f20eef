"""Who may know whom, and what every folder has: `docs/design.md` says why. And the top level shadows nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STORAGE = ("sqlite3", "apsw", "asyncpg", "aiosqlite", "psycopg")
WEB = (
    "quart",
    "quart_trio",
    "hypercorn",
    "httptools",
    "h11",
    "wsproto",
    "trio_websocket",
    "websockets",
    "httpx",
    "httpx2",
)
TRIO_SOCKETS = (
    "trio.socket",
    "trio.SocketStream",
    "trio.SocketListener",
    "trio.open_tcp_stream",
    "trio.open_tcp_listeners",
)
WALL_CLOCKS = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime"}
SQL_STARTS = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA ")

PACKAGES = ("engine", "http", "persistence", "benchmarks")
SHIPPED = (*PACKAGES, "examples")
SHORT_TESTS = ("tests/benchmarks", "tests/e2e", "tests/persistence")
"""Tests that are held to the length of modules as well."""
MOST_LINES = 500

TOOLS = ("actors", "workers", "model")
"""What every service of the engine may use."""
SERVICES: Mapping[str, Mapping[str, str]] = {
    "accounts": {"encryption": "a profile's key is one that room keys can be sealed with"},
    "files": {"life": "bytes that a crash left behind are found by a job"},
    "summaries": {},
    "life": {},
    "encryption": {},
    "rooms": {
        "encryption": "who is taken out of a room has its key no longer: one commit",
        "files": "a room that is deleted takes its files with it",
        "life": "invitations that ended long ago are deleted by a job",
    },
    "messages": {
        "encryption": "what clients encrypted is read with the room's key",
        "rooms": "whatever changes a room is a command of its actor",
    },
    "connections": {
        "accounts": "who connects has a log-in that stands",
        "messages": "what was missed is told before what happens",
    },
}
"""Which services know which others, and why."""
WHOLE = ("chinwag.engine", "chinwag.engine.engine")
"""The modules that put services together: no service knows them."""

BELOW_FRONTS = (
    "api",
    "asgi",
    "carriers",
    "http2",
    "kit",
    "lane",
    "listener",
    "operations",
    "outgoing",
    "security",
    "web",
)
KNOWN_TO_FRONTS = ("chinwag.engine.model", "chinwag.http.api", "chinwag.http.kit")
"""Beside the engine's face (`chinwag.engine`), and the front itself."""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, parsed(path)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    """The dotted name that a file is imported by."""
    parts = ("chinwag", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def is_module(name: str) -> bool:
    """Whether a dotted name is one of our modules, or a package of them."""
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


@cache
def modules(path: Path) -> frozenset[str]:
    """Every module of ours that a file imports: `from chinwag.engine import model` imports `chinwag.engine.model`."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = origin(path, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if base.startswith("chinwag") and is_module(inner) else base)
    return frozenset(each for each in found if each.startswith("chinwag"))


def origin(path: Path, node: ast.ImportFrom) -> str:
    """The module that names are taken from."""
    base = node.module or ""
    if not node.level:
        return base
    package = module_of(path).split(".")
    keep = len(package) - node.level + (path.name == "__init__.py")
    return ".".join([*package[:keep], *([base] if base else [])])


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, and `module.name` for each name it takes from one."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = origin(path, node)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(found)


def uses(tree: ast.Module) -> set[str]:
    """Every dotted name of two parts that a file spells out, as `trio.socket`."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def within(name: str, *packages: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in packages)


def offending(found: set[str] | frozenset[str], forbidden: tuple[str, ...]) -> list[str]:
    return sorted(name for name in found if within(name, *forbidden))


def importers(folders: tuple[str, ...], *forbidden: str) -> dict[str, list[str]]:
    """Which files of these folders import what they must not, and what it is."""
    return {name_of(path): bad for path, _ in sources(*folders) if (bad := offending(imports(path), forbidden))}


def part_of(module: str) -> str:
    """The folder of the engine that a module is in, "" for those above all folders."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and module not in WHOLE else ""


def engine_imports(folder: str) -> Iterator[tuple[str, str]]:
    """Each file of a folder of the engine, with each module of the engine that it imports."""
    for path, _ in sources(f"engine/{folder}"):
        for module in sorted(modules(path)):
            if within(module, "chinwag.engine"):
                yield name_of(path), module


# --- the engine ---


def test_the_engine_knows_no_http_and_no_sql() -> None:
    forbidden = ("chinwag.http", "chinwag.persistence", "chinwag.benchmarks", *STORAGE, *WEB)
    assert importers(("engine",), *forbidden) == {}


def test_positions_are_opaque_outside_the_engine() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in sources("http", "persistence", "benchmarks", "examples")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "newest_id")
        or (isinstance(node, ast.keyword) and node.arg == "newest_id")
    ]
    assert wrong == []


def test_the_wall_clock_is_handed_in() -> None:
    """Every service and actor gets it from the engine; only `open_engine` knows the real one."""
    readings = {f"{module}.{name}" for module in ("time", "datetime", "date") for name in WALL_CLOCKS}
    reading = [path for path, tree in sources("engine", "persistence") if (imports(path) | uses(tree)) & readings]
    assert list(map(name_of, reading)) == ["engine/model/clock.py"]
    real = "chinwag.engine.model.clock.wall_clock"
    knowing = [path for path, _ in sources("engine", "persistence") if real in imports(path)]
    assert list(map(name_of, knowing)) == ["engine/engine.py"]
    tree = parsed(ROOT / "engine/engine.py")
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "wall_clock"]
    [opens] = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.name == "open_engine"]
    assert named == [each for each in opens.args.kw_defaults if isinstance(each, ast.Name)]


def test_the_engine_opens_no_sockets() -> None:
    wrong = {
        name_of(path): bad
        for path, tree in sources("engine")
        if (bad := offending(imports(path) | uses(tree), (*TRIO_SOCKETS, "socket")))
    }
    assert wrong == {}


def test_every_folder_of_the_engine_is_a_tool_or_a_service_or_for_tests() -> None:
    folders = {path.parent.name for path in (ROOT / "engine").glob("*/__init__.py")}
    assert folders == {*TOOLS, *SERVICES, "testing"}
    assert {path.stem for path in (ROOT / "engine").glob("*.py")} == {"__init__", "engine"}


@pytest.mark.parametrize("tool", ["actors", "workers"])
def test_actors_and_workers_know_no_chat(tool: str) -> None:
    """Of the model they know the errors that say "not now", and the base of all values."""
    allowed = (f"chinwag.engine.{tool}", "chinwag.engine.model.errors", "chinwag.engine.model.values")
    assert [each for each in engine_imports(tool) if not within(each[1], *allowed)] == []
    taken = {
        name
        for path, _ in sources(f"engine/{tool}")
        for name in imports(path)
        if name.startswith("chinwag.engine.model.values.")
    }
    assert taken <= {"chinwag.engine.model.values.Record"}


def test_the_model_knows_nothing_of_the_engine_but_itself() -> None:
    assert [each for each in engine_imports("model") if part_of(each[1]) != "model"] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_another_only_where_the_table_says_so(service: str) -> None:
    known = {part_of(module): f"{path}: {module}" for path, module in engine_imports(service)}
    known = {part: where for part, where in known.items() if part not in (*TOOLS, service)}
    assert {part: known[part] for part in known.keys() - SERVICES[service].keys()} == {}
    assert SERVICES[service].keys() - known.keys() == set(), "not needed any more"


def test_no_services_know_each_other_in_a_ring() -> None:
    left = {service: set(others) for service, others in SERVICES.items()}
    while free := {service for service, others in left.items() if not others}:
        left = {service: others - free for service, others in left.items() if service not in free}
    assert left == {}


def test_only_connections_touch_the_fan_out() -> None:
    """Who has something to say publishes through `model.publishing`. The engine makes the one fan-out there is."""
    found = importers((*SHIPPED, "tests"), "chinwag.engine.connections.fanout")
    outside = {name for name in found if not name.startswith(("engine/connections/", "tests/engine/connections/"))}
    assert outside == {"engine/engine.py"}


def test_whatever_the_engine_changes_it_commits_in_the_one_way_that_is_observed() -> None:
    exempt = {"engine/life/commits.py", "engine/accounts/deployment.py"}  # the way itself; before there is an engine
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in sources("engine")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("commit", "commit_soon")
        and ast.unparse(node.value).endswith("store")
        and name_of(path) not in exempt
    ]
    assert wrong == []


# --- persistence ---


def test_persistence_knows_no_http() -> None:
    assert importers(("persistence",), "chinwag.http", "chinwag.benchmarks", *WEB) == {}


def test_persistence_knows_of_the_engine_only_its_model_and_its_workers() -> None:
    allowed = ("chinwag.persistence", "chinwag.engine.model", "chinwag.engine.workers")
    wrong = {
        name_of(path): bad
        for path, _ in sources("persistence")
        if (bad := sorted(each for each in modules(path) if not within(each, *allowed)))
    }
    assert wrong == {}


def test_storage_libraries_are_used_in_persistence_alone() -> None:
    assert importers(("engine", "http", "examples"), *STORAGE) == {}


def test_sql_is_written_in_persistence_alone() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in sources("engine", "http", "examples")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lstrip().startswith(SQL_STARTS)
    ]
    assert wrong == []


# --- http ---


def test_every_folder_of_http_is_below_the_fronts_or_holds_them() -> None:
    assert {path.parent.name for path in (ROOT / "http").glob("*/__init__.py")} == {*BELOW_FRONTS, "fronts"}


@pytest.mark.parametrize("folder", BELOW_FRONTS)
def test_what_carries_fronts_knows_none(folder: str) -> None:
    assert importers((f"http/{folder}",), "chinwag.http.fronts", "chinwag.http.registry") == {}


def fronts() -> list[str]:
    found = sorted(path.parent.name for path in (ROOT / "http/fronts").glob("*/__init__.py"))
    assert "chatterstack" in found
    return found


@pytest.mark.parametrize("front", fronts())
def test_a_front_knows_what_all_fronts_share_the_engines_face_and_its_model(front: str) -> None:
    allowed = (*KNOWN_TO_FRONTS, f"chinwag.http.fronts.{front}")
    wrong = {
        name_of(path): bad
        for path, _ in sources(f"http/fronts/{front}")
        if (bad := sorted(each for each in modules(path) if each != "chinwag.engine" and not within(each, *allowed)))
    }
    assert wrong == {}


@pytest.mark.parametrize("front", fronts())
def test_a_front_knows_no_framework_no_socket_and_no_database(front: str) -> None:
    forbidden = (*WEB, *STORAGE, *TRIO_SOCKETS, "socket")
    wrong = {
        name_of(path): bad
        for path, tree in sources(f"http/fronts/{front}")
        if (bad := offending(imports(path) | uses(tree), forbidden))
    }
    assert wrong == {}


def test_nothing_imports_the_app_but_what_puts_the_server_together() -> None:
    found = importers(PACKAGES, "chinwag.http.asgi.app")
    assert found.keys() == {"http/server.py"}


def test_http_is_no_package_of_its_own() -> None:
    assert not (ROOT / "http/__init__.py").exists()


def test_the_standard_librarys_http_is_found_from_the_root() -> None:
    code = "import http.client, http.cookies; print(http.client.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT / "http")


# --- everywhere ---


def test_every_folder_says_what_lives_in_it() -> None:
    folders = {path.parent for path, _ in sources(*PACKAGES)} - {ROOT / "http"}
    silent = [
        name_of(folder)
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists() or not ast.get_docstring(parsed(folder / "__init__.py"))
    ]
    assert silent == []


def test_no_module_is_longer_than_one_can_hold_in_mind() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path, _ in sources(*SHIPPED, *SHORT_TESTS)}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def names_of_modules(path: Path) -> set[str]:
    """What a file calls the modules of ours that it imports."""
    return {
        alias.asname or alias.name
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (base := origin(path, node)).startswith("chinwag") and is_module(f"{base}.{alias.name}")
    }


def test_no_private_name_is_imported() -> None:
    """Neither by name nor through its module, and by tests neither."""
    wrong = []
    for path, tree in sources(*SHIPPED, "tests"):
        ours = {name for name in imports(path) if within(name, "chinwag", "tests")}
        wrong += [f"{name_of(path)}: {name}" for name in sorted(ours) if any(map(is_private, name.split(".")))]
        known = names_of_modules(path)
        wrong += [
            f"{name_of(path)}:{node.lineno}: {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if is_private(node.attr) and node.value.id in known
        ]
    assert wrong == []


def test_what_is_private_is_used_in_its_own_module_alone() -> None:
    """Of an object as well: but for what a library has a subclass override, and what a named tuple has."""
    wrong = []
    for path, tree in sources(*SHIPPED):
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
        wrong += [
            f"{name_of(path)}:{node.lineno}: {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_self(node.value)
            if node.attr not in {*own, "_replace"}
        ]
    assert wrong == []


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
