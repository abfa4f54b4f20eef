"""Two versions of Chinwag: each run by its own command, on data folders that it made itself.

A version may not be able to read what another one stored, so people and rooms are made over HTTP, by a server of the
version that will serve them. That goes for this version as well: both begin with rooms that were made the same way.
"""

import contextlib
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.compare.contestants import BASELINE, OWN_COMMAND, Chinwag, Site
from chinwag.benchmarks.compare.processes import ServerProcess, output_of, running
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.generator.http_client import HttpClient
from chinwag.benchmarks.generator.world import Plan, World, register

FRONT: Final = "chatterstack"
NEEDED: Final = ("--front", "--bind", "--data")
"""Options without which no version can be measured."""
WANTED: Final = {"--log-level": "warning", "--rate-limits": "off", "--access-token-minutes": "1440"}
"""Options that a version is given when it knows them; one that does not know them has nothing to switch."""

Tell = Callable[[str, float], None]
"""Told what is being done, and which share of it is done."""


class Version:
    """A contestant that a command runs: what is said to it is only what its `serve --help` names."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        """`folder` holds the prepared data folders, as long as the version is used."""
        self.name = name
        self._command = command
        self._folder = folder
        self._options: list[str] = []
        self._prepared: list[tuple[Plan, Path, World]] = []

    def prepare(self, plans: Iterable[Plan], *, cpu: int | None, tell: Tell) -> None:
        """Make a data folder for each plan, whose log-ins are good for a day where the version has an option for that.
        Raises BenchError when the command cannot be run, or is no Chinwag."""
        tell(f"starting {self.name}", 0.0)
        try:
            self._options = self._known_options()
            for plan in plans:
                if all(plan != known for known, _, _ in self._prepared):
                    self._prepare(plan, cpu, tell)
        except BenchError as error:
            raise BenchError(f"{self.name} ({shlex.join(self._command)}): {error}") from error

    @contextlib.contextmanager
    def open(self, plan: Plan, cpu: int | None) -> Iterator[Site]:
        """See `Contestant`. Serves a copy of what was prepared, so that no work finds what another one left."""
        prepared, world = next((folder, world) for known, folder, world in self._prepared if known == plan)
        with tempfile.TemporaryDirectory(prefix="chinwag-bench-") as name:
            folder = Path(name) / "data"
            shutil.copytree(prepared, folder)
            with self._serving(folder, cpu) as process:
                yield Site(name=self.name, host="127.0.0.1", port=process.port, world=world, process=process)

    def _known_options(self) -> list[str]:
        """What of `WANTED` it takes, with the values."""
        named = set(re.findall(r"--[a-z][a-z-]*", output_of([*self._command, "serve", "--help"])))
        if missing := [option for option in NEEDED if option not in named]:
            raise BenchError(f"is no Chinwag: its `serve --help` does not name {', '.join(missing)}")
        return [word for option, value in WANTED.items() if option in named for word in (option, value)]

    def _prepare(self, plan: Plan, cpu: int | None, tell: Tell) -> None:
        folder = self._folder / f"{len(self._prepared)}"
        folder.parent.mkdir(parents=True, exist_ok=True)

        def registered(count: int) -> None:
            tell(f"{self.name}, registering people: {count} of {plan.people}", count / plan.people)

        with self._serving(folder, cpu) as process, contextlib.closing(HttpClient("127.0.0.1", process.port)) as client:
            world = register(client, plan, registered)
        self._prepared.append((plan, folder, world))

    def _serving(self, folder: Path, cpu: int | None) -> "contextlib.AbstractContextManager[ServerProcess]":
        port = machine.free_port()
        command = [*self._command, "serve", "--front", FRONT, "--bind", f"127.0.0.1:{port}", "--data", str(folder)]
        return running([*command, *self._options], port=port, cpu=cpu)


@contextlib.contextmanager
def prepared_versions(
    baseline: Sequence[str], plans: Sequence[Plan], *, cpu: int | None, tell: Tell
) -> Iterator[tuple[Version, Version]]:
    """This version and the baseline, which can be opened for these plans within the block. Raises BenchError when one
    of them cannot be run: the baseline at once, before anything is made for this one."""
    with tempfile.TemporaryDirectory(prefix="chinwag-bench-") as name:
        own = Version(Chinwag().name, OWN_COMMAND, Path(name) / "own")
        other = Version(BASELINE, baseline, Path(name) / "baseline")
        for version in (other, own):
            version.prepare(plans, cpu=cpu, tell=tell)
        yield own, other
