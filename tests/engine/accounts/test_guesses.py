"""Guessing costs waits, and keeps nobody from their own account."""

import pytest

from chinwag.engine.accounts.guesses import Failures, Guesses, GuessRules

RULES = GuessRules()
HOME, AWAY, ATTACKER = "home", "away", "attacker"


def fail(guesses: Guesses, account: str, source: str, now: float, times: int = 1) -> None:
    for _ in range(times):
        guesses.failed(account, source, now)


# --- counting -------------------------------------------------------------------------------------------------------


def test_ten_failures_cost_nothing_and_then_each_doubles_the_wait_up_to_the_longest() -> None:
    failures = Failures(RULES, forget_s=RULES.forget_s)
    now, waits = 0.0, []
    for _ in range(25):
        failures.add("ann", now)
        wait_s = failures.wait_s("ann", now)
        waits.append(wait_s)
        now += wait_s
    assert waits == [0.0] * 9 + [2.0**n for n in range(10)] + [900.0] * 6


def test_a_wait_is_over_when_its_time_is() -> None:
    failures = Failures(RULES, forget_s=RULES.forget_s)
    for _ in range(12):
        failures.add("ann", 100.0)
    assert failures.wait_s("ann", 100.0) == 4.0
    assert failures.wait_s("ann", 103.5) == 0.5
    assert failures.wait_s("ann", 104.0) == 0.0
    assert failures.wait_s("bob", 100.0) == 0.0


def test_time_without_failures_forgets_one_after_the_other() -> None:
    failures = Failures(RULES, forget_s=60.0)
    for _ in range(12):
        failures.add("ann", 0.0)
    assert [failures.count("ann", now) for now in (59.9, 60.0, 660.0, 720.0, 9e9)] == [12, 11, 1, 0, 0]
    failures.add("ann", 180.0)
    assert failures.count("ann", 180.0) == 10


def test_what_takes_the_longest_wait_already_takes_no_longer_to_be_forgotten() -> None:
    failures = Failures(RULES, forget_s=1.0)
    for _ in range(1000):
        failures.add("ann", 0.0)
    assert failures.count("ann", 0.0) == 20
    assert failures.count("ann", 20.0) == 0


def test_what_is_remembered_is_bounded_and_the_least_recent_and_the_forgotten_go() -> None:
    failures = Failures(GuessRules(kept=3), forget_s=60.0)
    for n, name in enumerate(("ann", "bob", "cat", "ann", "dan")):
        failures.add(name, float(n))
    assert [failures.count(name, 5.0) for name in ("ann", "bob", "cat", "dan")] == [2, 0, 1, 1]
    failures.add("eve", 1000.0)
    assert len(failures) == 1


# --- whom they bind -------------------------------------------------------------------------------------------------


def test_one_source_that_tries_many_accounts_has_to_wait_and_another_has_not() -> None:
    guesses = Guesses(RULES)
    for n in range(10):
        assert guesses.wait_s(f"account {n}", ATTACKER, 0.0) == 0.0
        fail(guesses, f"account {n}", ATTACKER, 0.0)
    assert guesses.wait_s("one more", ATTACKER, 0.0) == 1.0
    assert guesses.wait_s("one more", HOME, 0.0) == guesses.wait_s("account 1", HOME, 0.0) == 0.0


def test_a_known_source_has_the_count_of_its_account_alone() -> None:
    guesses = Guesses(RULES)
    guesses.proved("ann", HOME)
    fail(guesses, "bob", HOME, 0.0, times=50)
    for n in range(50):
        fail(guesses, "ann", f"elsewhere {n}", 0.0, times=5)
    assert guesses.wait_s("ann", HOME, 0.0) == 0.0
    fail(guesses, "ann", HOME, 0.0, times=9)
    assert guesses.wait_s("ann", HOME, 0.0) == 0.0
    fail(guesses, "ann", HOME, 0.0)
    assert guesses.wait_s("ann", HOME, 0.0) == 1.0


def test_what_fails_where_an_account_is_known_is_held_against_nobody_else() -> None:
    guesses = Guesses(RULES)
    guesses.proved("ann", HOME)
    fail(guesses, "ann", HOME, 0.0, times=50)
    assert guesses.wait_s("bob", HOME, 0.0) == 0.0
    fail(guesses, "ann", AWAY, 0.0)
    assert guesses.wait_s("ann", AWAY, 0.0) == 0.0


def test_an_account_that_is_tried_from_many_places_waits_where_it_has_failed_and_nowhere_else() -> None:
    guesses = Guesses(RULES)
    for n in range(14):
        fail(guesses, "ann", f"botnet {n}", 0.0)
    assert guesses.wait_s("ann", "botnet 3", 0.0) == 16.0
    assert guesses.wait_s("ann", AWAY, 0.0) == 0.0  # a hotel's: the owner may try
    fail(guesses, "ann", AWAY, 5.0)
    assert guesses.wait_s("ann", AWAY, 5.0) == 32.0


def test_others_failures_elsewhere_do_not_put_off_the_end_of_ones_own_wait() -> None:
    guesses = Guesses(RULES)
    for n in range(12):
        fail(guesses, "ann", f"botnet {n}", 0.0)
    fail(guesses, "ann", AWAY, 0.0)
    for second in range(1, 8):
        fail(guesses, "ann", f"later {second}", float(second))
    assert guesses.wait_s("ann", AWAY, 900.0) == 0.0


def test_a_success_clears_the_count_of_its_pair_and_makes_it_known() -> None:
    guesses = Guesses(RULES)
    fail(guesses, "ann", HOME, 0.0, times=12)
    assert guesses.wait_s("ann", HOME, 0.0) == 4.0
    guesses.proved("ann", HOME)
    assert guesses.knows("ann", HOME)
    assert not guesses.knows("ann", AWAY)
    assert guesses.wait_s("ann", HOME, 0.0) == 0.0


def test_the_unknown_source_is_not_one_source() -> None:
    guesses = Guesses(RULES)
    for n in range(50):
        fail(guesses, f"account {n}", "", 0.0)
    assert guesses.wait_s("ann", "", 0.0) == 0.0
    fail(guesses, "ann", "", 0.0, times=10)
    assert guesses.wait_s("ann", "", 0.0) == 1.0


@pytest.mark.parametrize("kept", [1, 3])
def test_known_sources_are_bounded_and_the_least_recent_go(kept: int) -> None:
    guesses = Guesses(GuessRules(kept=kept))
    for name in ("ann", "bob", "cat", "dan"):
        guesses.proved(name, HOME)
        guesses.proved("ann", HOME)
    known = [name for name in ("ann", "bob", "cat", "dan") if guesses.knows(name, HOME)]
    assert known == {1: ["ann"], 3: ["ann", "cat", "dan"]}[kept]
