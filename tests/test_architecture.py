"""Imports point one way: app, fronts, engine; app, persistence, engine. And the top level does not shadow anything."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
SQL_STARTS = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA ")


def sources(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, ast.parse(path.read_text(), str(path))


def module_of(path: Path) -> str:
    """The dotted name that a file is imported by."""
    parts = ("chinwag", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, tree: ast.Module) -> set[str]:
    """Every module that a file imports, and `module.name` for each name it takes from one."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    package = module_of(path).split(".")
                    keep = len(package) - node.level + (path.name == "__init__.py")
                    base = ".".join([*package[:keep], *([base] if base else [])])
                found.add(base)
                found.update(f"{base}.{alias.name}" for alias in node.names)
            case _:
                pass
    return found


def uses(tree: ast.Module) -> set[str]:
    """Every dotted name of two parts that a file spells out, as `trio.socket`."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def offending(found: set[str], forbidden: tuple[str, ...]) -> list[str]:
    return sorted(name for name in found if any(name == each or name.startswith(f"{each}.") for each in forbidden))


def test_the_engine_knows_no_http_and_no_sql() -> None:
    forbidden = ("chinwag.http", "chinwag.persistence", "chinwag.benchmarks", *STORAGE, *WEB)
    wrong = {str(path): bad for path, tree in sources("engine") if (bad := offending(imports(path, tree), forbidden))}
    assert wrong == {}


def test_only_connections_know_the_fan_out_and_all_others_publish_through_a_protocol() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for folder in ("engine", "http", "persistence", "benchmarks", "examples")
        for path, tree in sources(folder)
        if "chinwag.engine.connections.fanout.Fanout" in imports(path, tree)
        and not path.is_relative_to(ROOT / "engine/connections")
    ]
    assert wrong == ["engine/engine.py"]  # which makes it and hands it out


def test_positions_are_opaque_outside_the_engine() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("http", "persistence", "benchmarks", "examples")
        for path, tree in sources(folder)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "newest_id")
        or (isinstance(node, ast.keyword) and node.arg == "newest_id")
    ]
    assert wrong == []


def test_the_engine_opens_no_sockets() -> None:
    wrong = {
        str(path): bad
        for path, tree in sources("engine")
        if (bad := offending(imports(path, tree) | uses(tree), (*TRIO_SOCKETS, "socket")))
    }
    assert wrong == {}


def test_persistence_knows_no_http() -> None:
    forbidden = ("chinwag.http", "chinwag.benchmarks", *WEB)
    wrong = {
        str(path): bad for path, tree in sources("persistence") if (bad := offending(imports(path, tree), forbidden))
    }
    assert wrong == {}


def test_persistence_needs_only_the_engines_values_and_not_its_actors() -> None:
    forbidden = (
        "chinwag.engine.engine",
        "chinwag.engine.rooms.actor",
        "chinwag.engine.connections.session",
        "chinwag.engine.connections.fanout",
    )
    wrong = {
        str(path): bad for path, tree in sources("persistence") if (bad := offending(imports(path, tree), forbidden))
    }
    assert wrong == {}


def test_no_front_imports_another_front_or_quart_or_a_socket() -> None:
    fronts = sorted(path.name for path in (ROOT / "http/fronts").iterdir() if (path / "__init__.py").exists())
    assert "chatterstack" in fronts
    wrong: dict[str, list[str]] = {}
    for front in fronts:
        others = tuple(f"chinwag.http.fronts.{other}" for other in fronts if other != front)
        forbidden = (*others, *WEB, *STORAGE, *TRIO_SOCKETS, "socket", "chinwag.persistence", "chinwag.http.asgi.app")
        for path, tree in sources(f"http/fronts/{front}"):
            if bad := offending(imports(path, tree) | uses(tree), forbidden):
                wrong[str(path)] = bad
    assert wrong == {}


def test_storage_libraries_are_used_in_persistence_alone() -> None:
    wrong = {
        str(path): bad
        for folder in ("engine", "http", "examples")
        for path, tree in sources(folder)
        if (bad := offending(imports(path, tree), STORAGE))
    }
    assert wrong == {}


def test_sql_is_written_in_persistence_alone() -> None:
    wrong = [
        f"{path}:{node.lineno}"
        for folder in ("engine", "http", "examples")
        for path, tree in sources(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lstrip().startswith(SQL_STARTS)
    ]
    assert wrong == []


def test_nothing_imports_the_app_but_the_command_line() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for folder in ("engine", "persistence", "http")
        for path, tree in sources(folder)
        if offending(imports(path, tree), ("chinwag.http.asgi.app",))
    }
    assert importers <= {"http/cli.py", "http/server.py", "http/__main__.py"}


def test_http_is_no_package_of_its_own() -> None:
    assert not (ROOT / "http/__init__.py").exists()


def test_the_standard_librarys_http_is_found_from_the_root() -> None:
    code = "import http.client, http.cookies; print(http.client.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT / "http")
