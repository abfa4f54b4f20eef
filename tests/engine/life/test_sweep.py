"""The sweep looks at the time for everybody, and no duty's bug ends it for the others."""

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from chinwag.engine.life.sweep import SWEEP_S, sweep_forever


async def test_every_duty_is_told_the_time_again_and_again(autojump_clock: MockClock) -> None:
    one: list[float] = []
    other: list[float] = []
    start = trio.current_time()
    with trio.move_on_after(3.5 * SWEEP_S):
        await sweep_forever([one.append, other.append])
    assert one == other == pytest.approx([start + n * SWEEP_S for n in (1, 2, 3)])


async def test_a_bug_in_one_duty_costs_the_others_nothing_and_is_tried_again(autojump_clock: MockClock) -> None:
    before: list[float] = []
    after: list[float] = []

    def broken(now: float) -> None:
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as logs, trio.move_on_after(2.5 * SWEEP_S):
        await sweep_forever([before.append, broken, after.append])
    assert len(before) == len(after) == 2
    assert [each["duty"].rpartition(".")[2] for each in logs if each["event"] == "sweep failed"] == ["broken"] * 2
