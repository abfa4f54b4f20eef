"""Between two rounds of `compare` a server is left alone until it has done what it put off."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from chinwag.benchmarks.compare import compare
from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.compare.machine import Usage


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class BusyUntil:
    """A server that takes all of its core until a moment, and nothing afterwards."""

    clock: Clock
    moment: float
    ended: float = field(default=float("inf"))

    @property
    def usage(self) -> Usage | None:
        if self.clock.now >= self.ended:
            return None
        return Usage(cpu_s=min(self.clock.now, self.moment), memory_bytes=0, peak_bytes=0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(compare, "time", made)
    return made


@pytest.mark.parametrize("busy_s", [0.0, 1.0, 7.7])
def test_a_server_is_waited_for_until_it_rests_and_hardly_longer(clock: Clock, busy_s: float) -> None:
    compare.let_rest(cast("Site", BusyUntil(clock, busy_s)))
    assert busy_s <= clock.now <= busy_s + 2 * compare.REST_LOOK_S


def test_a_server_that_never_rests_is_not_waited_for_for_ever(clock: Clock) -> None:
    compare.let_rest(cast("Site", BusyUntil(clock, float("inf"))))
    assert compare.REST_S <= clock.now <= compare.REST_S + compare.REST_LOOK_S


def test_a_server_that_has_ended_is_not_waited_for(clock: Clock) -> None:
    compare.let_rest(cast("Site", BusyUntil(clock, float("inf"), ended=1.0)))
    assert clock.now <= 1.0 + compare.REST_LOOK_S
