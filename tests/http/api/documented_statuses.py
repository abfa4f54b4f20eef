"""Every status that a front documents is provoked by some test of a whole run: here those that were not are found.

`Contract` notes what it compares. With several workers each hands its notes to the process that started it, which looks
when all have ended. A run of a part of the tests says nothing.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

import pytest

from chinwag.http.api.front import Front
from chinwag.http.api.openapi import describe

NOTES: Final = "documented_statuses"
NEVER_PROVOKED: Final = (500, 503)
"""A bug's, and a full server's or a failing disk's: any request can have them."""


class Provoked(NamedTuple):
    """One documented answer, and a request to which it was given."""

    front: str
    method: str
    path: str
    status: int

    def __str__(self) -> str:
        return f"{self.front}: {self.method} {self.path} never answered {self.status}"


provoked: set[Provoked] = set()
"""In this process so far."""


def documented(fronts: Iterable[Front]) -> Iterator[Provoked]:
    """What has to be provoked."""
    for front in fronts:
        for path, operations in describe(front)["paths"].items():
            for method, operation in operations.items():
                for status in map(int, operation["responses"]):
                    if status not in NEVER_PROVOKED:
                        yield Provoked(front.name, method.upper(), path, status)


class ProvokedStatuses:
    """The pytest plugin: fails a whole run in which a documented status was never provoked."""

    def __init__(self, config: pytest.Config, expected: Collection[Provoked]) -> None:
        self._config = config
        self._expected = expected
        self._missing: list[Provoked] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take a worker's notes; one that crashed has none."""
        provoked.update(Provoked(*each) for each in getattr(node, "workeroutput", {}).get(NOTES, ()))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Hand the notes over, or look at all of them."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[NOTES] = [tuple(each) for each in provoked]
        elif exitstatus == pytest.ExitCode.OK and _is_whole(self._config):
            self._missing = sorted(set(self._expected) - provoked)
            if self._missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is missing."""
        if self._missing:
            terminalreporter.section("documented, and never provoked")
            for each in self._missing:
                terminalreporter.line(str(each))


def _is_whole(config: pytest.Config) -> bool:
    """Whether nothing was left out but what is by default."""
    options = config.option
    return (
        config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and not (options.keyword or options.deselect or options.ignore or options.ignore_glob)
        and not (getattr(options, "lf", False) or getattr(options, "collectonly", False))
        and options.markexpr in " ".join(config.getini("addopts"))
    )
