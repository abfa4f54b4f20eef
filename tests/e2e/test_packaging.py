"""Installed, editable, or just the folder: the names work, and nothing hides the standard library's `http`."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from chinwag.persistence import migrations
from tests.e2e.processes import ROOT, run
from tests.forks import environment

IMPORTS = """
import http, http.client, pathlib, sys
import chinwag.engine, chinwag.http.cli, chinwag.http.server, chinwag.persistence.sqlite.store
from chinwag.http import registry
from chinwag.persistence import migrations
assert http.HTTPStatus.OK == 200
assert pathlib.Path(http.client.__file__).parent.name == "http"
assert "chinwag" not in http.__name__ and not hasattr(http, "gateway")
print(len(migrations.for_sqlite()), pathlib.Path(chinwag.engine.__file__).parent)
"""


def imported(python: str, cwd: Path) -> tuple[int, Path]:
    """How many migrations there are, and where the engine is, for a Python that starts in a folder."""
    ended = run([python, "-c", IMPORTS], cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    count, where = ended.stdout.split(maxsplit=1)
    return int(count), Path(where.strip())


def test_the_standard_librarys_http_is_not_hidden_from_the_root() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()
    for command in (["-c", "import http.client; print(http.client.__file__)"], ["-m", "http.server", "--help"]):
        ended = run([sys.executable, *command], cwd=ROOT)
        assert ended.returncode == 0, ended.stderr
        assert str(ROOT / "http") not in ended.stdout


def test_the_editable_install_works_in_any_folder(tmp_path: Path) -> None:
    for folder in (ROOT, tmp_path):
        count, where = imported(sys.executable, folder)
        assert count == len(migrations.for_sqlite())
        assert where == ROOT / "engine"


def test_every_dependency_is_documented_and_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[>=<\[]", each)[0].lower() for each in project["dependencies"]}
    pins = (line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert needed <= {each.replace("_", "-") for each in pins}
    documented = set(re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs/dependencies.md").read_text()))
    assert needed <= documented


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources: a build leaves things behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    kept = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "tests", "chinwag-data")
    shutil.copytree(ROOT, source, ignore=kept)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    ended = run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder / "dist"), str(source)], cwd=folder
    )
    assert ended.returncode == 0, ended.stderr
    [built] = (folder / "dist").glob("*.whl")
    return built


def test_the_wheel_has_every_module_the_migrations_and_what_pages_are_made_of(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    found = [path for folder in ("engine", "http", "persistence") for path in (ROOT / folder).rglob("*")]
    found += (ROOT / "benchmarks").glob("*")  # its peers are programs of their own
    for path in found:
        if path.suffix in (".py", ".sql", ".css", ".js") or path.name == "py.typed":
            assert f"chinwag/{path.relative_to(ROOT)}" in names
    assert "chinwag/http/__init__.py" not in names
    assert not [name for name in names if name.startswith(("http/", "engine/", "tests/"))]


def test_the_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    """It has the libraries of this one beside it, so that nothing needs to be downloaded."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip())
    # A path in a .pth file is searched, yet .pth files in there are not read: this one's editable install is not seen.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    ended = run([sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    count, where = imported(str(python), tmp_path)
    assert count == len(migrations.for_sqlite())
    assert where == site / "chinwag" / "engine"

    command = [
        str(tmp_path / "venv" / "bin" / "chinwag"),
        "serve",
        "--bind",
        "127.0.0.1:0",
        "--data",
        str(tmp_path / "data"),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as server:
        assert server.stdout is not None
        assert "listening" in server.stdout.readline()
        server.terminate()
        assert server.wait(timeout=10) == 0


def test_pytest_runs_from_the_root() -> None:
    ended = run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/engine/model"]
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "tests/engine/model" in ended.stdout
