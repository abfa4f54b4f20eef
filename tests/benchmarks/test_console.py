"""Where results are shown: on a terminal, or in a file or pipe that tells no width."""

import io

import pytest

from chinwag.benchmarks.commands import PLAIN_WIDTH, console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_no_terminal_gets_wide_lines() -> None:
    assert console(io.StringIO()).width == PLAIN_WIDTH


def test_a_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "91")
    assert console(Terminal()).width == 91
