"""The rows of invitations that ended go, and not before a month has passed by the engine's clock."""

import trio
from trio.testing import MockClock

from chinwag.engine.life.jobs import MOST_RETRY_S
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.rooms.ended_invitations import EVERY_S, FIRST_S, KEPT_US
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import open_harness

DAY_S = 86_400


async def test_invitations_are_deleted_a_month_after_they_expired(autojump_clock: MockClock) -> None:
    now = [wall_clock()]
    store = MemoryStore()
    async with open_harness(store, clock=lambda: now[0]) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        create = h.engine.invitations.create
        kept, _ = await create(room.id, ann.id, lifetime_s=20 * DAY_S, max_uses=1)
        expired, _ = await create(room.id, ann.id, lifetime_s=10 * DAY_S, max_uses=1)
        now[0] = expired.expires_us + KEPT_US - 1
        await trio.sleep(FIRST_S + 1)
        assert await store.invitation(expired.digest) is not None
        now[0] += 1
        store.unavailable = True
        await trio.sleep(EVERY_S)
        store.unavailable = False
        await trio.sleep(MOST_RETRY_S)
        assert await store.invitation(expired.digest) is None
        assert await store.invitation(kept.digest) is not None
