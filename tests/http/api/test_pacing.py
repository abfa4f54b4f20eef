"""Refusals are answered at a pace, which slows down who is refused and nobody else."""

import pytest

from chinwag.http.api.pacing import Pacer


def test_one_refusal_is_answered_at_once_and_a_crowds_one_after_the_other() -> None:
    pacer = Pacer(apart_s=0.25, longest_s=10.0)
    assert [pacer.delay_s("a", 100.0) for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert pacer.delay_s("b", 100.0) == 0.0
    assert pacer.delay_s("a", 100.75) == 0.25
    assert pacer.delay_s("a", 200.0) == 0.0


def test_no_refusal_waits_longer_than_the_longest() -> None:
    pacer = Pacer(apart_s=1.0, longest_s=3.0)
    assert [pacer.delay_s("a", 0.0) for _ in range(6)] == [0.0, 1.0, 2.0, 3.0, 3.0, 3.0]
    assert pacer.delay_s("a", 1.0) == 3.0


@pytest.mark.parametrize("kept", [1, 2])
def test_what_is_remembered_is_bounded_and_the_least_recent_go(kept: int) -> None:
    pacer = Pacer(apart_s=1.0, longest_s=9.0, kept=kept)
    for address in ("a", "b", "c", "b"):
        pacer.delay_s(address, 0.0)
    assert len(pacer) == kept
    assert pacer.delay_s("a", 0.0) == 0.0
