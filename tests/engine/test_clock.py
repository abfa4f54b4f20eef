"""The engine's clock is everybody's: what is stored bears its time, and what expires goes by it."""

import pytest
from trio.testing import MockClock

from chinwag.engine.model.errors import NotFound
from chinwag.engine.model.values import KeyCustody
from chinwag.engine.testing.clock import SetClock
from chinwag.engine.testing.harness import PASSWORD, open_harness


async def test_what_is_made_bears_the_time_of_the_engines_clock(autojump_clock: MockClock) -> None:
    clock = SetClock()
    async with open_harness(clock=clock) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        clock.advance(7)
        now = clock()
        log_in = await h.engine.accounts.log_in("ann", PASSWORD)
        room = await h.engine.rooms.create(ann.id, name="tea", member_ids=[bob.id], custody=KeyCustody.SERVER)
        direct = await h.engine.rooms.direct(ann.id, bob.id)
        message = await h.post(room, ann, "hello")
        invitation, _code = await h.engine.invitations.create(room.id, ann.id, max_uses=1, lifetime_s=60)
        [key] = await h.store.room_keys(room.id)
        admitted = await h.admit(ann, room)
        members = await h.engine.rooms.members(room.id, ann.id)
        assert (log_in.user.last_login_us, room.created_us, direct.created_us, message.created_us) == (now,) * 4
        assert (invitation.created_us, invitation.expires_us) == (now, now + 60_000_000)
        assert (key.created_us, admitted.at_us) == (now, now)
        assert {each.joined_us for each in members} == {now}
        admitted.session.abandon()


async def test_ids_follow_the_engines_clock(autojump_clock: MockClock) -> None:
    clock = SetClock()
    async with open_harness(clock=clock) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        first = await h.post(room, ann, "first")
        clock.advance(1)
        second = await h.post(room, ann, "second")
        assert (second.id >> 12) - (first.id >> 12) == 1_000
        clock.advance(-100)
        assert (await h.post(room, ann, "after it was set back")).id == second.id + 1


async def test_an_invitation_ends_with_its_last_microsecond(autojump_clock: MockClock) -> None:
    clock = SetClock()
    async with open_harness(clock=clock) as h:
        ann, bob, cat = await h.join("ann"), await h.join("bob"), await h.join("cat")
        room = await h.room("tea", ann)
        invitation, code = await h.engine.invitations.create(room.id, ann.id, max_uses=9, lifetime_s=60)
        clock.now_us += 59_999_999
        assert await h.engine.invitations.get(code) == (room, invitation)
        await h.engine.invitations.accept(code, bob.id)
        assert len((await h.engine.invitations.of_room(room.id, ann.id, limit=9)).invitations) == 1
        clock.now_us += 1
        for refused in (
            h.engine.invitations.get(code),
            h.engine.invitations.accept(code, cat.id),
            h.engine.invitations.revoke(room.id, ann.id, invitation.id),
        ):
            with pytest.raises(NotFound, match="invitation"):
                await refused
        assert (await h.engine.invitations.of_room(room.id, ann.id, limit=9)).invitations == ()
