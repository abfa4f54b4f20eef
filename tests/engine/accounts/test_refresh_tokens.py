"""Refresh tokens and the log-ins they belong to: one line of tokens, a grace for who lost an answer, and an end."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.accounts import refresh_tokens
from chinwag.engine.accounts.log_ins import LogIn
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.engine import open_engine
from chinwag.engine.model.errors import StoreUnavailable, Unauthenticated
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.clock import SetClock
from chinwag.engine.testing.harness import PASSWORD, EngineHarness, Person, PlainPasswords, open_harness

SECOND = 1_000_000
DAY = 86_400 * SECOND
GRACE = refresh_tokens.GRACE_US


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def h(autojump_clock: MockClock, clock: SetClock) -> AsyncIterator[EngineHarness]:
    async with open_harness(clock=clock) as harness:
        yield harness


async def ended(h: EngineHarness, person: Person) -> bool:
    """Whether this log-in is refused."""
    try:
        await h.engine.accounts.authenticate(person.family_id, person.id)
    except Unauthenticated:
        return True
    return False


async def refused(use: Callable[[str], Awaitable[object]], token: str) -> None:
    with pytest.raises(Unauthenticated):
        await use(token)


# --- one line of tokens ---


async def test_a_refresh_token_is_traded_for_the_next_one_of_the_same_log_in(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    seen = {ann.refresh_token}
    token = ann.refresh_token
    for _ in range(5):
        log_in = await h.engine.accounts.refresh(token)
        assert (log_in.family_id, log_in.user) == (ann.family_id, ann.user)
        token = log_in.refresh_token
        assert token not in seen
        seen.add(token)


async def test_the_secrets_themselves_are_not_stored(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    newer = await h.engine.accounts.refresh(ann.refresh_token)
    stored = str(h.store._tables.refresh_tokens)
    assert ann.refresh_token not in stored
    assert newer.refresh_token not in stored


async def test_an_unknown_and_an_expired_token_are_refused_and_end_nothing(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    for token in ("never issued", "", "\udc80"):
        await refused(h.engine.accounts.refresh, token)
    clock.now_us += 7 * DAY
    for use in (h.engine.accounts.refresh, h.engine.accounts.renew):
        await refused(use, ann.refresh_token)
    assert not await ended(h, ann)


async def test_a_store_in_trouble_spends_no_token(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    h.store.fail_next_commits(1, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await h.engine.accounts.refresh(ann.refresh_token)
    await h.engine.accounts.refresh(ann.refresh_token)


# --- the grace ---


async def test_uses_of_one_token_at_once_are_all_given_the_same_successor(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    client = await h.connect(ann)
    given: list[LogIn] = []

    async def refresh() -> None:
        given.append(await h.engine.accounts.refresh(ann.refresh_token))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(refresh)
    assert len({each.refresh_token for each in given}) == 1
    assert {each.family_id for each in given} == {ann.family_id}
    assert client.closed_with is None
    await h.engine.accounts.refresh(given[0].refresh_token)
    assert not await ended(h, ann)


@pytest.mark.parametrize("later_us", [0, GRACE, -GRACE])
async def test_who_lost_the_answer_is_given_the_same_successor_again_for_a_while(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock, later_us: int
) -> None:
    ann = await h.join("ann")
    first = await h.engine.accounts.refresh(ann.refresh_token)
    clock.now_us += later_us  # the clock may be set back, too
    again = await h.engine.accounts.refresh(ann.refresh_token)
    assert again == first
    assert (await h.engine.accounts.renew(ann.refresh_token)).family_id == ann.family_id


async def test_the_grace_gives_no_more_time_than_the_first_use_did(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.refresh(ann.refresh_token)
    clock.now_us += GRACE
    again = await h.engine.accounts.refresh(ann.refresh_token)
    clock.now_us += 7 * DAY - GRACE
    await refused(h.engine.accounts.refresh, again.refresh_token)


async def test_the_grace_outlives_a_restart(autojump_clock: MockClock, clock: SetClock) -> None:
    store = MemoryStore()
    async with open_harness(store, clock=clock) as h:
        ann = await h.join("ann")
        first = await h.engine.accounts.refresh(ann.refresh_token)
    async with open_harness(store, clock=clock) as h:
        assert (await h.engine.accounts.refresh(ann.refresh_token)).refresh_token == first.refresh_token


async def test_the_slower_of_two_tabs_catches_up_with_the_faster_one(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    second = await h.engine.accounts.refresh(ann.refresh_token)
    clock.now_us += 10 * SECOND
    third = await h.engine.accounts.refresh(second.refresh_token)
    clock.now_us += 10 * SECOND
    assert (await h.engine.accounts.refresh(ann.refresh_token)).refresh_token == second.refresh_token
    assert (await h.engine.accounts.refresh(second.refresh_token)).refresh_token == third.refresh_token


@pytest.mark.parametrize("later_us", [GRACE + 1, 6 * DAY, -GRACE - 1])
async def test_using_a_spent_token_after_the_grace_ends_the_log_in_and_its_connections_and_no_other(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock, later_us: int
) -> None:
    ann = await h.join("ann")
    phone = await h.log_in("ann")
    on_laptop, on_phone = await h.connect(ann), await h.connect(phone)
    newer = await h.engine.accounts.refresh(ann.refresh_token)
    clock.now_us += later_us
    for token in (ann.refresh_token, newer.refresh_token, newer.refresh_token):
        await refused(h.engine.accounts.refresh, token)
    assert on_laptop.closed_with is CloseReason.TOKEN_INVALID
    assert on_phone.closed_with is None
    assert await ended(h, ann)
    assert not await ended(h, phone)
    await h.engine.accounts.refresh(phone.refresh_token)


async def test_renewing_by_a_spent_token_after_the_grace_ends_the_log_in_too(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    newer = await h.engine.accounts.refresh(ann.refresh_token)
    await h.engine.accounts.renew(newer.refresh_token)
    clock.now_us += GRACE + 1
    await refused(h.engine.accounts.renew, ann.refresh_token)
    await refused(h.engine.accounts.renew, newer.refresh_token)


async def test_the_grace_of_a_log_in_that_has_ended_is_over(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.refresh(ann.refresh_token)
    await h.engine.accounts.log_out(ann.id, ann.family_id)
    for use in (h.engine.accounts.refresh, h.engine.accounts.renew):
        await refused(use, ann.refresh_token)


async def test_a_successor_that_cannot_be_told_again_is_not_made_anew(
    autojump_clock: MockClock, clock: SetClock
) -> None:
    store = MemoryStore()
    async with open_harness(store, clock=clock) as h:
        ann = await h.join("ann")
        newer = await h.engine.accounts.refresh(ann.refresh_token)
    async with open_engine(store, passwords=PlainPasswords(), clock=clock) as engine:  # by another key
        await refused(engine.accounts.refresh, ann.refresh_token)
        await refused(engine.accounts.refresh, newer.refresh_token)


async def test_a_reuse_whose_caller_hangs_up_ends_the_log_in_all_the_same(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.refresh(ann.refresh_token)
    assert not await ended(h, ann)
    clock.now_us += GRACE + 1
    h.store.delay_s = 5.0
    with trio.move_on_after(1):
        await h.engine.accounts.refresh(ann.refresh_token)
    await trio.sleep(10)
    assert await ended(h, ann)


def test_a_successor_is_told_by_nothing_but_the_key() -> None:
    key, other = bytes(32), bytes(31) + b"\x01"
    made = refresh_tokens.successor(key, "token")
    assert made == refresh_tokens.successor(key, "token")
    others = {refresh_tokens.successor(other, "token"), refresh_tokens.successor(key, "token2"), "token"}
    assert made not in others
    assert len(others) == 3
    assert len(made) == len(refresh_tokens.new_secret()) == 43


# --- the end ---


async def test_a_log_in_ends_after_ninety_days_whatever_is_refreshed(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    start, token = clock.now_us, ann.refresh_token
    for _ in range(15):
        clock.now_us += 6 * DAY - 1
        log_in = await h.engine.accounts.refresh(token)
        token = log_in.refresh_token
        assert log_in.ends_us == start + 90 * DAY
    assert not await ended(h, ann)
    clock.now_us = start + 90 * DAY
    assert await ended(h, ann)
    for use in (h.engine.accounts.refresh, h.engine.accounts.renew):
        await refused(use, token)
    again = await h.log_in("ann")
    assert not await ended(h, again)


async def test_a_refresh_token_is_good_for_no_longer_than_its_log_in(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    start, token = clock.now_us, ann.refresh_token
    for _ in range(14):
        clock.now_us += 6 * DAY
        token = (await h.engine.accounts.refresh(token)).refresh_token
    stored = h.store._tables.refresh_tokens[refresh_tokens.digest(token)]
    assert stored.expires_us == start + 90 * DAY


async def test_a_client_that_keeps_its_first_token_renews_by_it_as_long_as_it_is_good(
    h: EngineHarness, autojump_clock: MockClock, clock: SetClock
) -> None:
    ann = await h.join("ann")
    for _ in range(6):
        clock.now_us += DAY
        renewed = await h.engine.accounts.renew(ann.refresh_token)
        assert (renewed.family_id, renewed.refresh_token) == (ann.family_id, ann.refresh_token)
    clock.now_us += DAY
    await refused(h.engine.accounts.renew, ann.refresh_token)
    await h.engine.accounts.log_in("ann", PASSWORD)
