"""The job that deletes the rows of invitations that ended long ago."""

from typing import Final

from chinwag.engine.life.jobs import Job, More
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.store import Store
from chinwag.engine.model.store_jobs import DeleteInvitations

KEPT_US: Final = 30 * 86_400 * 1_000_000
"""How long an invitation is kept after its time: until then a member who accepts again is told that they are one. What
was revoked has no such time, and goes at the next run."""
AT_ONCE: Final = 500
EVERY_S: Final = 3_600.0
FIRST_S: Final = 60.0
"""After the start, which has enough to do."""


def ended_invitations(store: Store, commits: Commits, clock: Clock) -> Job:
    """The job. It needs no cursor: what is done is gone."""

    async def step() -> More:
        ended = await store.ended_invitations(by_us=clock() - KEPT_US, limit=AT_ONCE)
        if ended:
            await commits.commit([DeleteInvitations(invitation_ids=tuple(ended))])
        return More.NOW if len(ended) == AT_ONCE else More.LATER

    return Job("ended_invitations", step, every_s=EVERY_S, first_s=FIRST_S)
