"""Log-ins and registrations: fair to everybody, and slow for who guesses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.errors import AccountInactive, Conflict, StoreUnavailable, TooManyTries, Unauthenticated
from chinwag.engine.model.store import InsertUser
from chinwag.engine.testing import make_user
from chinwag.engine.testing.harness import PASSWORD, EngineHarness, PlainPasswords, open_harness

HOME, AWAY, ATTACKER = "home", "away", "attacker"


async def guess(h: EngineHarness, identifier: str, source: str, times: int = 1) -> None:
    """Fail to log in, each try once its wait is over."""
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            await h.engine.accounts.log_in(identifier, "wrong", source=source)


async def refused(h: EngineHarness, identifier: str, source: str, password: str = PASSWORD) -> float:
    """For how long a try is refused."""
    with pytest.raises(TooManyTries) as told:
        await h.engine.accounts.log_in(identifier, password, source=source)
    return told.value.retry_after_s


async def log_in(h: EngineHarness, identifier: str, source: str) -> None:
    await h.engine.accounts.log_in(identifier, PASSWORD, source=source)


# --- waits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", ["ann", "nobody"])
async def test_after_ten_failures_the_next_try_waits_and_nothing_is_looked_at_for_it(
    h: EngineHarness, autojump_clock: MockClock, identifier: str
) -> None:
    await h.join("ann")
    await guess(h, identifier, ATTACKER, times=10)
    h.passwords.verified.clear()
    h.store.unavailable = True  # who looked at it would find out
    for password in (PASSWORD, "wrong", PASSWORD):
        assert await refused(h, identifier, ATTACKER, password) == pytest.approx(1.0)
    assert h.passwords.verified == []
    h.store.unavailable = False
    await trio.sleep(1.0)
    await guess(h, identifier, ATTACKER)
    assert await refused(h, identifier, ATTACKER) == pytest.approx(2.0)


async def test_the_right_password_is_taken_once_the_wait_is_over_and_ends_it(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    await h.join("ann")
    await guess(h, "ann", HOME, times=10)
    await trio.sleep(await refused(h, "ann", HOME))
    await log_in(h, "ann", HOME)
    await guess(h, "ann", HOME, times=10)
    await refused(h, "ann", HOME)


async def test_however_many_try_at_once_ten_are_looked_at(h: EngineHarness, autojump_clock: MockClock) -> None:
    await h.join("ann")
    h.passwords.verified.clear()
    waiting: list[float] = []

    async def attack(n: int) -> None:
        try:
            await h.engine.accounts.log_in(f"account {n % 7}", "wrong", source=ATTACKER)
        except TooManyTries as told:
            waiting.append(told.retry_after_s)
        except Unauthenticated:
            return

    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(attack, n)
    assert len(h.passwords.verified) == 10
    assert waiting == [pytest.approx(1.0)] * 90


async def test_an_account_is_one_however_its_name_is_written(h: EngineHarness, autojump_clock: MockClock) -> None:
    for n in range(10):
        await guess(h, ("Zo\u00e9", "zoe\u0301", "ZOE\u0301")[n % 3], "")
    assert await refused(h, "zo\u00e9", "") == pytest.approx(1.0)


async def test_who_registered_logged_in_or_refreshed_there_before_shares_nothing_with_a_flood_from_there(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    accounts = h.engine.accounts
    await accounts.register(username="ann", email="ann@example.org", password=PASSWORD, source=HOME)
    await h.join("bob")
    await log_in(h, "bob@example.org", HOME)
    cat, dan = await h.join("cat"), await h.join("dan")
    await accounts.refresh(cat.refresh_token, source=HOME)
    await accounts.renew(dan.refresh_token, source=HOME)
    await h.join("eve")
    await guess(h, "nobody", HOME, times=10)
    for name in ("ann", "bob", "cat", "dan"):
        for identifier in (name, f"{name}@example.org"):
            await log_in(h, identifier, HOME)
    await refused(h, "eve", HOME)
    await log_in(h, "eve", AWAY)


async def test_guessing_at_an_account_from_elsewhere_does_not_lock_its_owner_out(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    await h.join("ann")
    await log_in(h, "ann", HOME)
    for n in range(30):
        await guess(h, "ann", f"{ATTACKER} {n}")
    await refused(h, "ann", f"{ATTACKER} 0")
    await log_in(h, "ann", HOME)
    await log_in(h, "ann", AWAY)


async def test_who_shares_a_name_with_somebody_guesses_no_more_often_than_others(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    """A username of a former release is somebody's address now: both log in by it."""
    name = "ann@example.org"
    victim = make_user(1, name)
    await h.store.commit([InsertUser(user=victim, password_hash=f"plain:{PASSWORD}")])
    await h.engine.accounts.register(username="eve", email=name, password="it is eve's", source=ATTACKER)
    for _ in range(9):
        await guess(h, name, ATTACKER)
        await h.engine.accounts.log_in(name, "it is eve's", source=ATTACKER)
    await guess(h, name, ATTACKER)
    assert await refused(h, name, ATTACKER) == pytest.approx(1.0)
    assert (await h.engine.accounts.log_in(name, PASSWORD, source=HOME)).user.id == victim.id


async def test_what_the_store_could_not_answer_is_no_failure(h: EngineHarness, autojump_clock: MockClock) -> None:
    await h.join("ann")
    h.store.unavailable = True
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            await log_in(h, "ann", HOME)
    h.store.unavailable = False
    await log_in(h, "ann", HOME)


async def test_who_knows_the_password_of_a_deactivated_account_does_not_guess(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.set_active(ann.id, False)
    for _ in range(20):
        with pytest.raises(AccountInactive):
            await log_in(h, "ann", HOME)


async def test_without_rules_nobody_waits(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(guessing=None)) as h:
        await h.join("ann")
        await guess(h, "ann", ATTACKER, times=50)
        await log_in(h, "ann", ATTACKER)
        for _ in range(50):
            with pytest.raises(Conflict):
                await h.engine.accounts.register(username="ann", email=None, password="another", source=ATTACKER)


# --- registrations --------------------------------------------------------------------------------------------------


async def test_who_asks_for_names_that_are_taken_has_to_wait_and_nobody_else(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    register = h.engine.accounts.register
    for n in range(30):  # that many register is nothing bad
        await register(username=f"user{n}", email=None, password="another", source=ATTACKER)
    for n in range(10):
        with pytest.raises(Conflict):
            await register(username=f"user{n}", email=None, password="another", source=ATTACKER)
    with pytest.raises(TooManyTries):
        await register(username="new", email=None, password="another", source=ATTACKER)
    await register(username="new", email=None, password="another", source=HOME)
    await trio.sleep(1.0)
    await register(username="newer", email=None, password="another", source=ATTACKER)


async def test_wrong_log_ins_keep_nobody_from_registering_nor_taken_names_from_logging_in(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    await guess(h, "nobody", HOME, times=10)
    await h.engine.accounts.register(username="ann", email=None, password=PASSWORD, source=HOME)
    for _ in range(10):
        with pytest.raises(Conflict):
            await h.engine.accounts.register(username="ann", email=None, password="another", source=AWAY)
    await log_in(h, "ann", AWAY)


# --- turns ----------------------------------------------------------------------------------------------------------


class SlowPasswords(PlainPasswords):
    """Take a second each."""

    async def hash(self, password: str) -> str:
        await trio.sleep(1.0)
        return await super().hash(password)

    async def verify(self, hashed: str, password: str) -> bool:
        await trio.sleep(1.0)
        return await super().verify(hashed, password)


@asynccontextmanager
async def crowd(h: EngineHarness, names: list[tuple[str, str]]) -> AsyncIterator[None]:
    """Within the block all of these log in, each from a source."""
    async with trio.open_nursery() as nursery:
        for name, source in names:
            nursery.start_soon(log_in, h, name, source)
            await wait_all_tasks_blocked()
        yield


@pytest.fixture
async def slow(h: EngineHarness) -> EngineHarness:
    """Ann, Bob and Cat, whose log-ins take a second each from now on. Cat is known at home."""
    for name in ("ann", "bob", "cat"):
        await h.join(name)
    await log_in(h, "cat", HOME)
    h.engine.accounts._passwords = SlowPasswords()
    return h


async def test_a_crowd_from_one_source_waits_behind_itself(slow: EngineHarness, autojump_clock: MockClock) -> None:
    async with crowd(slow, [("ann", ATTACKER)] * 20):
        began = trio.current_time()
        await log_in(slow, "bob", AWAY)
        assert trio.current_time() - began <= 3.0  # who is being served, one of the crowd, and oneself


async def test_a_known_account_waits_for_nobody_who_is_not(slow: EngineHarness, autojump_clock: MockClock) -> None:
    async with crowd(slow, [("ann", HOME)] * 20):
        began = trio.current_time()
        await log_in(slow, "cat", HOME)
        assert trio.current_time() - began == 1.0


async def test_a_crowd_that_logs_in_keeps_nobody_from_registering(
    slow: EngineHarness, autojump_clock: MockClock
) -> None:
    async with crowd(slow, [("ann", HOME)] * 20):
        began = trio.current_time()
        await slow.engine.accounts.register(username="dan", email=None, password="another", source=HOME)
        assert trio.current_time() - began == 1.0


async def test_the_accounts_of_one_source_take_turns_and_are_one_to_other_sources(
    slow: EngineHarness, autojump_clock: MockClock
) -> None:
    for name in ("ann", "bob"):
        await log_in(slow, name, ATTACKER)
    async with crowd(slow, [("ann", ATTACKER)] * 10 + [("bob", ATTACKER)] * 10):
        began = trio.current_time()
        await log_in(slow, "cat", HOME)
        assert trio.current_time() - began <= 3.0  # who is being served, one of the crowd, and oneself
