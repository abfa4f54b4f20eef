"""The peers' own dependencies: a folder with node's modules and a Python environment, made once."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from chinwag.benchmarks.errors import PeerMissing

SOURCES: Final = Path(__file__).parents[1] / "peers"
FOLDER_VARIABLE: Final = "CHINWAG_BENCH_PEERS"
_INSTALL_S: Final = 600.0
_MARK: Final = ".complete"


class Installs:
    """Where the peers are installed, and how to run them."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: CHINWAG_BENCH_PEERS or `.installed` beside the peers when None."""
        self.folder = folder or Path(os.environ.get(FOLDER_VARIABLE) or SOURCES / ".installed")

    @property
    def node_folder(self) -> Path:
        return self.folder / "node"

    @property
    def python(self) -> Path:
        return self.folder / "python" / "bin" / "python"

    def install(self, tell: Callable[[str], None] = lambda _: None) -> dict[str, str]:
        """Install whatever is missing; returns why not, by kind ("node", "python")."""
        failures: dict[str, str] = {}
        for kind, step in (("node", self.node), ("python", self.python_packages)):
            try:
                step(tell)
            except PeerMissing as missing:
                failures[kind] = str(missing)
        return failures

    def node(self, tell: Callable[[str], None] = lambda _: None) -> Path:
        """Node's modules; returns the folder to run in. Raises PeerMissing."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise PeerMissing("node and npm are not installed")
        folder = self.node_folder
        manifest = SOURCES / "package.json"
        if not _is_complete(folder, manifest):
            tell("installing the node peers")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(manifest, folder)
            _run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"], cwd=folder)
            _complete(folder, manifest)
        for source in SOURCES.glob("*.mjs"):  # where they find their modules
            shutil.copy(source, folder)
        return folder

    def bun(self, tell: Callable[[str], None] = lambda _: None) -> Path:
        """Bun's program. Raises PeerMissing."""
        program = self.node(tell) / "node_modules" / ".bin" / "bun"
        if not program.exists():
            raise PeerMissing("npm did not install bun for this platform")
        return program

    def python_packages(self, tell: Callable[[str], None] = lambda _: None) -> Path:
        """A Python with the peers' packages. Raises PeerMissing."""
        folder = self.folder / "python"
        wanted = SOURCES / "requirements.txt"
        if not _is_complete(folder, wanted):
            tell("installing the Python peers")
            _run([sys.executable, "-m", "venv", str(folder)])
            _run(
                [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)]
            )
            _complete(folder, wanted)
        return self.python


def _is_complete(folder: Path, wanted: Path) -> bool:
    mark = folder / _MARK
    return mark.exists() and mark.read_text() == _digest(wanted)


def _complete(folder: Path, wanted: Path) -> None:
    (folder / _MARK).write_text(_digest(wanted))


def _digest(wanted: Path) -> str:
    return hashlib.sha256(wanted.read_bytes()).hexdigest()


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"cannot be installed: {error}") from error
    if done.returncode:
        words = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise PeerMissing(f"cannot be installed: {words[-1][:200] if words else f'exit code {done.returncode}'}")
