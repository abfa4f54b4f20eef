"""Profiles, renewal and deactivation: everybody sees the new names, and who is deactivated can do nothing any more."""

from collections.abc import Awaitable

import pytest
import trio
from msgspec import UNSET
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.engine import EngineConfig
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.commands import StartTyping, StopTyping
from chinwag.engine.model.errors import AccountInactive, NotFound, StoreUnavailable, Unauthenticated
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import Presence, Room
from chinwag.engine.rooms.renamed_members import tell_profile
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import PASSWORD, EngineHarness, Person, RoomHarness, open_harness
from tests.engine.encryption.key_holders import device

KEY = device("ann").public_pem


async def shown(h: EngineHarness, room: Room, viewer: Person) -> list[tuple[str | None, str | None]]:
    """How the authors of a page are shown, newest message first."""
    page = await h.engine.messages.history(room.id, viewer.id, skip=0, limit=50)
    return [(each.message.author_display_name, each.message.author_avatar_url) for each in page]


# --- profiles ---


async def test_a_profile_is_what_was_registered_and_changes_in_what_is_given(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    accounts = h.engine.accounts
    ann = await accounts.register(username="ann", email=None, password="secret", display_name="Ann", public_key=KEY)
    assert await accounts.user(ann.id) == ann
    assert (ann.display_name, ann.public_key, ann.avatar_url, ann.active) == ("Ann", KEY, None, True)
    changed = await accounts.update_profile(ann.id, avatar_url="https://a.example/a.png")
    assert (changed.display_name, changed.avatar_url, changed.public_key) == (
        "Ann",
        "https://a.example/a.png",
        KEY,
    )
    cleared = await accounts.update_profile(ann.id, display_name=UNSET, avatar_url=None, public_key=None)
    assert (cleared.display_name, cleared.avatar_url, cleared.public_key) == ("Ann", None, None)
    assert await accounts.users([ann.id, UserId(1)]) == {ann.id: cleared}
    with pytest.raises(NotFound):
        await accounts.update_profile(UserId(1), display_name="nobody")


async def test_the_cache_follows_and_what_changes_nothing_is_not_stored(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.authenticate(ann.family_id, ann.id)
    await h.engine.presence.declare(ann.id, Presence.OFFLINE)
    await h.engine.accounts.update_profile(ann.id, display_name="Ann")
    commits = h.store.commits
    await h.engine.accounts.update_profile(ann.id, display_name="Ann")
    assert h.store.commits == commits
    known = await h.engine.accounts.authenticate(ann.family_id, ann.id)
    assert (known.display_name, known.declared) == ("Ann", Presence.OFFLINE)
    assert known == h.engine.accounts.known(ann.id) == await h.engine.accounts.user(ann.id)


async def test_changes_of_one_profile_at_once_all_last(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    accounts = h.engine.accounts
    h.store.delay_s = 0.1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: accounts.update_profile(ann.id, display_name="Ann"))
        nursery.start_soon(lambda: accounts.update_profile(ann.id, avatar_url="https://a.example/a.png"))
        nursery.start_soon(h.log_in, "ann")
        nursery.start_soon(lambda: accounts.update_profile(ann.id, public_key=KEY))
        nursery.start_soon(h.engine.presence.declare, ann.id, Presence.ONLINE)
    user = await accounts.user(ann.id)
    assert (user.display_name, user.avatar_url, user.public_key) == ("Ann", "https://a.example/a.png", KEY)
    assert user.declared is Presence.ONLINE
    assert not accounts._changing


async def test_a_change_whose_caller_hangs_up_is_not_undone_by_the_next(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    h.store.delay_s = 1.0
    with trio.move_on_after(0.5):
        await h.engine.accounts.update_profile(ann.id, display_name="Ann")
    user = await h.engine.accounts.update_profile(ann.id, avatar_url="https://a.example/a.png")
    assert (user.display_name, user.avatar_url) == ("Ann", "https://a.example/a.png")


async def test_a_store_in_trouble_changes_nothing(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.authenticate(ann.family_id, ann.id)
    h.store.fail_next_commits(1, StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await h.engine.accounts.update_profile(ann.id, display_name="Ann")
    assert (await h.engine.accounts.authenticate(ann.family_id, ann.id)).display_name is None
    assert (await h.engine.accounts.update_profile(ann.id, display_name="Ann")).display_name == "Ann"


# --- in rooms ---


async def test_a_room_that_is_awake_shows_the_new_profile_at_once(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    await h.post(room, ann, "before")
    await h.engine.accounts.update_profile(ann.id, display_name="Ann", avatar_url="https://a.example/a.png")
    message = await h.post(room, ann, "after")
    assert (message.author_display_name, message.author_avatar_url) == ("Ann", "https://a.example/a.png")
    assert await shown(h, room, bob) == [("Ann", "https://a.example/a.png")] * 2
    assert await shown(h, room, bob) == [
        (each.message.author_display_name, each.message.author_avatar_url)
        for each in await h.engine.messages.window(room.id, bob.id, around=message.id, limit=3)
    ]


async def test_kept_pages_of_a_sleeping_room_do_not_show_the_old_profile(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=1.0)) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        rooms = [await h.room(name, ann, bob) for name in ("of ann", "of bob")]
        for room, author in zip(rooms, (ann, bob), strict=True):
            await h.post(room, author, "hello")
        await trio.sleep(5.0)
        assert h.engine.rooms.active_count() == 0
        for room in rooms:
            assert await shown(h, room, bob) == [(None, None)]
        await h.engine.accounts.update_profile(ann.id, display_name="Ann")
        h.store.unavailable = True
        assert await shown(h, rooms[1], bob) == [(None, None)]  # nothing of ann's in it: kept
        with pytest.raises(StoreUnavailable):
            await shown(h, rooms[0], bob)
        h.store.unavailable = False
        assert await shown(h, rooms[0], bob) == [("Ann", None)]
        assert h.engine.rooms.active_count() == 0


async def test_a_page_that_is_being_read_while_a_profile_changes_is_not_kept(autojump_clock: MockClock) -> None:
    gate: list[trio.Event] = []

    class GatedStore(MemoryStore):
        async def history(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            found = await super().history(*args, **kwargs)  # type: ignore[arg-type]
            if gate:
                await gate[0].wait()
            return found

    async with open_harness(GatedStore(), config=EngineConfig(room_idle_s=1.0)) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        await h.post(room, ann, "hello")
        await trio.sleep(5.0)
        assert h.engine.rooms.active_count() == 0
        gate.append(trio.Event())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown, h, room, ann)
            await wait_all_tasks_blocked()
            await h.engine.accounts.update_profile(ann.id, display_name="Ann")
            gate.pop().set()
        assert await shown(h, room, ann) == [("Ann", None)]


# --- log-in, renewal ---


async def test_a_log_in_notes_its_time(h: EngineHarness, autojump_clock: MockClock) -> None:
    user = await h.engine.accounts.register(username="ann", email=None, password=PASSWORD)
    assert user.last_login_us is None
    log_in = await h.engine.accounts.log_in("ann", PASSWORD)
    assert log_in.user.last_login_us == h.engine.clock()
    assert await h.engine.accounts.user(user.id) == log_in.user


async def test_renewing_spends_nothing(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    for _ in range(3):
        renewed = await h.engine.accounts.renew(ann.refresh_token)
        assert (renewed.user.id, renewed.family_id) == (ann.id, ann.family_id)
        assert renewed.refresh_token == ann.refresh_token


async def test_renewing_needs_a_good_token_of_a_log_in_that_goes_on(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.renew("nonsense")
    await h.engine.accounts.log_out(ann.id, ann.family_id)
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.renew(ann.refresh_token)


# --- deactivation ---


async def test_who_is_deactivated_is_refused_everywhere_and_their_connections_end(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    clients = [await h.connect(each, room) for each in (ann, ann, bob)]
    await h.engine.accounts.set_active(ann.id, False)
    await wait_all_tasks_blocked()
    assert [client.closed_with for client in clients] == [CloseReason.NOT_ALLOWED, CloseReason.NOT_ALLOWED, None]
    with pytest.raises(AccountInactive):
        await h.engine.accounts.authenticate(ann.family_id, ann.id)
    with pytest.raises(AccountInactive):
        await h.connect(ann, room)
    for use in (h.engine.accounts.refresh, h.engine.accounts.renew):
        with pytest.raises(AccountInactive):
            await use(ann.refresh_token)
    with pytest.raises(AccountInactive):
        await h.log_in("ann")
    with pytest.raises(Unauthenticated) as refused:
        await h.engine.accounts.log_in("ann", "wrong")
    assert not isinstance(refused.value, AccountInactive)  # only who knows the password is told
    await h.engine.accounts.authenticate(bob.family_id, bob.id)


async def test_who_is_active_again_logs_in_anew(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    await h.engine.accounts.set_active(ann.id, False)
    await h.engine.accounts.set_active(ann.id, True)
    with pytest.raises(Unauthenticated) as ended:
        await h.engine.accounts.authenticate(ann.family_id, ann.id)
    assert not isinstance(ended.value, AccountInactive)
    again = await h.log_in("ann")
    await h.engine.accounts.authenticate(again.family_id, ann.id)


async def test_a_log_in_at_the_moment_of_a_deactivation_ends_with_it(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    h.store.delay_s = 0.1
    opened: list[Person] = []

    async def log_in() -> None:
        try:
            opened.append(await h.log_in("ann"))
        except AccountInactive:
            return

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(log_in)
        nursery.start_soon(h.engine.accounts.set_active, ann.id, False)
        for _ in range(5):
            nursery.start_soon(log_in)
    assert not (await h.engine.accounts.user(ann.id)).active
    for each in opened:
        with pytest.raises(AccountInactive):
            await h.engine.accounts.authenticate(each.family_id, each.id)


async def test_of_two_profiles_that_a_full_room_was_not_told_in_time_the_newer_one_lasts(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=ann.user))
    actor = room.h.engine._registry.actor(room.id)
    room.h.store.delay_s = 3.0
    slow = room.tell(post_command(ann.user, text="slow"))
    await wait_all_tasks_blocked()
    while not actor.full:
        room.tell(StopTyping(user_id=ann.user))
    late: list[Awaitable[None]] = []
    for name in ("first", "second"):
        user = replace(bob.person.user, display_name=name)
        tell_profile(user, [actor], spawn=lambda task, *args: late.append(task(*args)))
        await slow.result()
        await trio.sleep(10.0)  # there is space again
    for task in late:
        await task
    assert actor.late_profiles == {}
    posted = await room.h.engine.messages.post(room.id, bob.user, text="hello")
    assert posted.message.author_display_name == "second"
