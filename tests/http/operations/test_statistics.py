"""What the engine shows of its jobs and observers."""

import trio
from trio.testing import MockClock

from chinwag.engine.life.jobs import Job, More
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.events import MessagePosted
from chinwag.engine.testing.harness import open_harness
from chinwag.http.operations.metrics import Metrics
from chinwag.http.operations.statistics import EngineStats
from tests.engine.life.test_commits import Notes, fail


async def test_jobs_and_observers_are_seen_by_name(autojump_clock: MockClock) -> None:
    async def away() -> More:
        raise StoreUnavailable("away")

    async def well() -> More:
        await trio.lowlevel.checkpoint()
        return More.LATER

    jobs = [Job("away", away), Job("well", well)]
    async with open_harness(jobs=jobs, observers=[Notes(MessagePosted, name="mail", write=fail)]) as h:
        ann = await h.join("ann")
        await h.post(await h.room("tea", ann), ann, "hello")
        await trio.sleep(0.5)
        text = Metrics([EngineStats(h.engine)]).text().decode()
    for line in (
        'chinwag_job_steps_total{job="well"} 1.0',
        'chinwag_job_failures_total{job="away"} 1.0',
        'chinwag_job_failing{job="away"} 1.0',
        'chinwag_job_failing{job="well"} 0.0',
        'chinwag_job_steps_total{job="ended_invitations"} 0.0',
        'chinwag_observer_failures_total{observer="mail"} 1.0',
    ):
        assert line in text.splitlines()
