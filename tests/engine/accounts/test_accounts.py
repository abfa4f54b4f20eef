"""Accounts: names and passwords, and what is revoked is refused at once."""

import contextlib

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.accounts import accounts as accounts_module
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.model.errors import (
    AccountInactive,
    Conflict,
    EngineError,
    Invalid,
    NotFound,
    StoreUnavailable,
    Unauthenticated,
)
from chinwag.engine.model.ids import FamilyId, UserId
from chinwag.engine.model.store import InsertUser
from chinwag.engine.model.values import Family, Presence, User
from chinwag.engine.testing import MemoryStore, make_user
from chinwag.engine.testing.harness import PASSWORD, EngineHarness, Person, open_harness


async def ended(h: EngineHarness, person: Person) -> bool:
    """Whether this log-in is refused."""
    try:
        await h.engine.accounts.authenticate(person.family_id, person.id)
    except Unauthenticated:
        return True
    return False


# --- registration and log-in ---


async def test_names_and_addresses_are_taken_in_any_case(h: EngineHarness, autojump_clock: MockClock) -> None:
    register = h.engine.accounts.register
    ann = await register(username="Ann", email="Ann@Example.org", password="secret")
    for username, email, what in (("aNN", "new@example.org", "username"), ("new", "ann@example.ORG", "email")):
        with pytest.raises(Conflict) as conflict:
            await register(username=username, email=email, password="another")
        assert conflict.value.what == what
    assert (await h.engine.accounts.user(ann.id)).username == "Ann"
    assert (await h.engine.accounts.user_by_email("ANN@example.org")).id == ann.id
    assert (await h.engine.accounts.find("ANN")).id == ann.id


async def test_of_two_who_want_the_same_name_at_once_one_gets_it(h: EngineHarness, autojump_clock: MockClock) -> None:
    outcomes: list[object] = []

    async def register(n: int) -> None:
        try:
            outcomes.append(await h.engine.accounts.register(username="ann", email=f"{n}@x.org", password="another"))
        except Conflict as conflict:
            outcomes.append(conflict.what)

    async with trio.open_nursery() as nursery:
        for n in range(5):
            nursery.start_soon(register, n)
    assert outcomes.count("username") == 4


async def test_log_in_by_name_or_address(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    for identifier in ("ann", "ANN", "ann@example.org", "Ann@Example.ORG"):
        assert (await h.engine.accounts.log_in(identifier, PASSWORD)).user.id == ann.id


async def test_a_wrong_password_and_an_unknown_user_are_told_alike_and_cost_alike(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    await h.join("ann")
    messages = []
    for identifier in ("ann", "nobody"):
        h.passwords.verified.clear()
        with pytest.raises(Unauthenticated) as refused:
            await h.engine.accounts.log_in(identifier, "wrong")
        messages.append(refused.value.message)
        assert len(h.passwords.verified) == 1  # a hash was compared in either case: the time gives nothing away
    assert messages[0] == messages[1]


async def test_names_and_passwords_are_the_same_however_their_characters_are_composed(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    accounts = h.engine.accounts
    zoe = await accounts.register(username="Zoe\u03011", email=None, password="cafe\u0301 au\u00a0lait")
    assert zoe.username == "Zo\u00e91"
    for name, password in (("zoe\u03011", "cafe\u0301 au lait"), ("ZO\u00c91", "caf\u00e9 au\u3000lait")):
        assert (await accounts.log_in(name, password)).user.id == zoe.id
    with pytest.raises(Conflict):
        await accounts.register(username="Zo\u00e91\u200e", email=None, password="another")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("username", "ann@example.org"),
        ("username", "+61412345678"),
        ("username", "\u3164\u3164\u3164"),
        ("username", ""),
        ("display_name", "\u202eann"),
        ("password", "a\x07b"),
        ("password", ""),
    ],
)
async def test_an_account_that_cannot_be_is_refused_whoever_makes_it(
    h: EngineHarness, autojump_clock: MockClock, field: str, wrong: str
) -> None:
    good = {"username": "ann", "email": "ann@example.org", "password": "secret", "display_name": "Ann"}
    with pytest.raises(Invalid) as refused:
        await h.engine.accounts.register(**{**good, field: wrong})
    assert refused.value.field == field
    assert h.store.commits == 0


async def test_a_display_name_is_visible_also_when_it_is_changed(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    with pytest.raises(Invalid, match="display_name"):
        await h.engine.accounts.update_profile(ann.id, display_name="\u200b")
    assert (await h.engine.accounts.update_profile(ann.id, display_name=" Zoe\u0301 ")).display_name == "Zo\u00e9"


# --- accounts of former releases ---


async def stored(h: EngineHarness, user_id: int, username: str, email: str | None, password: str) -> User:
    """An account as a former release wrote it: any name, and the password as it was typed."""
    user = make_user(user_id, username, email=email)
    await h.store.commit([InsertUser(user=user, password_hash=f"plain:{password}")])
    return user


@pytest.mark.parametrize("old", ["cafe\u0301", "a\u00a0b", "a\u200bb", "a\x07b"], ids=ascii)
async def test_a_password_that_was_hashed_as_it_was_typed_still_logs_in(
    h: EngineHarness, autojump_clock: MockClock, old: str
) -> None:
    await stored(h, 1, "ann", None, old)
    for _ in range(2):
        assert (await h.engine.accounts.log_in("ann", old)).user.id == 1
        with pytest.raises(Unauthenticated):
            await h.engine.accounts.log_in("ann", f"{old}x")


async def test_such_a_password_is_hashed_anew_with_the_commit_of_the_log_in(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    await stored(h, 1, "ann", None, "cafe\u0301")
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.log_in("ann", "caf\u00e9")
    h.store.fail_next_commits(1, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await h.engine.accounts.log_in("ann", "cafe\u0301")
    [account] = await h.store.credentials("ann")
    assert account.password_hash == "plain:cafe\u0301"
    await h.engine.accounts.log_in("ann", "cafe\u0301")
    [account] = await h.store.credentials("ann")
    assert account.password_hash == "plain:caf\u00e9"
    await h.engine.accounts.log_in("ann", "caf\u00e9")


async def test_a_password_in_two_forms_costs_the_same_for_who_is_known_and_who_is_not(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    await h.join("ann")
    costs = []
    for identifier in ("ann", "ann@example.org", "nobody", "nobody@example.org"):
        h.passwords.verified.clear()
        with pytest.raises(Unauthenticated):
            await h.engine.accounts.log_in(identifier, "wrong\u00a0password")
        costs.append(len(h.passwords.verified))
    assert costs == [2, 2, 2, 2]


async def test_a_username_with_an_at_sign_is_not_locked_out_by_who_registers_that_address(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    accounts = h.engine.accounts
    named = await stored(h, 1, "ann@example.com", "other@example.com", "named")
    owner = await accounts.register(username="ann", email="Ann@example.com", password="owner's")
    for identifier in ("ann@example.com", "ANN@EXAMPLE.COM"):
        assert (await accounts.log_in(identifier, "named")).user.id == named.id
        assert (await accounts.log_in(identifier, "owner's")).user.id == owner.id
        with pytest.raises(Unauthenticated):
            await accounts.log_in(identifier, "neither")
        assert (await accounts.find(identifier)).id == named.id
        assert (await accounts.user_by_email(identifier)).id == owner.id


async def test_a_deactivated_account_does_not_hide_the_other_of_its_name(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    accounts = h.engine.accounts
    named = await stored(h, 1, "ann@example.com", None, "named")
    owner = await accounts.register(username="ann", email="ann@example.com", password="owner's")
    await accounts.set_active(named.id, False)
    assert (await accounts.log_in("ann@example.com", "owner's")).user.id == owner.id
    with pytest.raises(AccountInactive):
        await accounts.log_in("ann@example.com", "named")


async def test_nobody_logs_in_with_the_decoys_password(h: EngineHarness, autojump_clock: MockClock) -> None:
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.log_in("nobody", h.engine.accounts._decoy.removeprefix("plain:"))


async def test_unknown_users_are_not_found(h: EngineHarness, autojump_clock: MockClock) -> None:
    accounts = h.engine.accounts
    for attempt in (accounts.user(UserId(5)), accounts.user_by_email("no@x.org"), accounts.find("nobody")):
        with pytest.raises(NotFound):
            await attempt


# --- log-out ---


async def test_log_out_ends_one_log_in_its_tokens_and_its_connections(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    phone = await h.log_in("ann")
    on_laptop, on_phone = await h.connect(ann), await h.connect(phone)
    await h.engine.accounts.log_out(ann.id, ann.family_id)
    assert on_laptop.closed_with is CloseReason.TOKEN_INVALID
    assert on_phone.closed_with is None
    assert await ended(h, ann)
    assert not await ended(h, phone)
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.refresh(ann.refresh_token)
    with pytest.raises(Unauthenticated):
        await h.connect(ann)


async def test_log_out_everywhere_ends_all_of_a_users_log_ins_and_nobody_elses(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    phone = await h.log_in("ann")
    clients = [await h.connect(each) for each in (ann, phone, bob)]
    await h.engine.accounts.log_out_everywhere(ann.id)
    closed = [client.closed_with for client in clients]
    assert closed == [CloseReason.TOKEN_INVALID, CloseReason.TOKEN_INVALID, None]
    assert await ended(h, ann)
    assert await ended(h, phone)
    assert not await ended(h, bob)
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.refresh(phone.refresh_token)
    await h.log_in("ann")


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_log_out_whose_caller_hangs_up_is_a_log_out_all_the_same(
    h: EngineHarness, autojump_clock: MockClock, everywhere: bool
) -> None:
    ann = await h.join("ann")
    client = await h.connect(ann)
    assert not await ended(h, ann)  # it is cached now
    h.store.delay_s = 5.0
    accounts = h.engine.accounts
    with trio.move_on_after(1):
        await (accounts.log_out_everywhere(ann.id) if everywhere else accounts.log_out(ann.id, ann.family_id))
    await trio.sleep(10)
    assert await ended(h, ann)
    assert client.closed_with is CloseReason.TOKEN_INVALID


# --- authentication and its cache ---


async def test_a_log_in_belongs_to_its_user(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    for family_id, user_id in ((ann.family_id, bob.id), (FamilyId(1), ann.id), (ann.family_id, UserId(1))):
        with pytest.raises(Unauthenticated):
            await h.engine.accounts.authenticate(family_id, user_id)


async def test_only_the_first_look_costs_the_store_anything(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.authenticate(ann.family_id, ann.id)
    h.store.unavailable = True
    assert (await h.engine.accounts.authenticate(ann.family_id, ann.id)).id == ann.id


async def test_the_cache_keeps_up_with_a_declared_presence(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.authenticate(ann.family_id, ann.id)
    await h.engine.presence.declare(ann.id, Presence.OFFLINE)
    assert (await h.engine.accounts.authenticate(ann.family_id, ann.id)).declared is Presence.OFFLINE


async def test_the_cache_is_bounded_also_when_everybody_logs_out(
    h: EngineHarness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "CACHED_USERS", 5)
    for n in range(30):
        person = await h.join(f"user{n}")
        await h.engine.accounts.authenticate(person.family_id, person.id)
        if n % 2:
            await h.engine.accounts.log_out(person.id, person.family_id)
    assert len(h.engine.accounts._families) <= 5
    assert len(h.engine.accounts._users) <= 5


class SlowFamilies(MemoryStore):
    """A look-up of a log-in sees the rows of its beginning and takes its time to say so."""

    gate: trio.Event | None = None

    async def family(self, family_id: FamilyId) -> Family | None:
        found = await super().family(family_id)
        if self.gate is not None:
            await self.gate.wait()
        return found


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_log_out_during_a_look_up_is_not_forgotten(autojump_clock: MockClock, everywhere: bool) -> None:
    store = SlowFamilies()
    async with open_harness(store) as h:
        ann = await h.join("ann")
        store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ended, h, ann)
            await wait_all_tasks_blocked()
            if everywhere:
                await h.engine.accounts.log_out_everywhere(ann.id)
            else:
                await h.engine.accounts.log_out(ann.id, ann.family_id)
            store.gate.set()
        assert await ended(h, ann)


@pytest.mark.parametrize("moment", range(8))
async def test_a_log_out_at_any_moment_of_a_connect_leaves_no_open_connection(
    autojump_clock: MockClock, moment: int
) -> None:
    for _ in range(40):
        async with open_harness() as h:
            ann = await h.join("ann")
            room = await h.room("tea", ann)

            async def come(h: EngineHarness = h, ann: Person = ann) -> None:
                with contextlib.suppress(EngineError):
                    await h.connect(ann, room)  # noqa: B023

            async with trio.open_nursery() as nursery:
                nursery.start_soon(come)
                for _ in range(moment):
                    await trio.lowlevel.checkpoint()
                await h.engine.accounts.log_out(ann.id, ann.family_id)
            await wait_all_tasks_blocked()
            assert [session for session in h.engine.connections if session.open] == []
