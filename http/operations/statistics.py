"""What the engine and the store have to show at `/metrics`, read from their own plain counters."""

from bisect import bisect_left
from collections.abc import Iterator

from chinwag.engine.engine import Engine
from chinwag.engine.life.jobs import Job
from chinwag.engine.workers.lanes import FairLane
from chinwag.http.operations.metrics import Distribution, Reading
from chinwag.persistence.sqlite.store import SqliteStore

COMMIT_WRITES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
COMMIT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
DEPTHS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4096)


class Histogram:
    """Counts values by upper bound. Costs a binary search per value."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def reading(self, name: str, text: str) -> Distribution:
        """As it stands."""
        return Distribution(name=name, help=text, bounds=self.bounds, counts=tuple(self.counts), total=self.total)


class CommitTimes:
    """Size and duration of every commit. A `StatsSource`."""

    def __init__(self) -> None:
        self._writes = Histogram(COMMIT_WRITES)
        self._seconds = Histogram(COMMIT_SECONDS)

    def observe(self, writes: int, seconds: float) -> None:
        """The store's hook."""
        self._writes.add(writes)
        self._seconds.add(seconds)

    def readings(self) -> Iterator[Distribution]:
        """See `StatsSource`."""
        yield self._writes.reading("commit_writes", "Rows written per commit")
        yield self._seconds.reading("commit_seconds", "Time from the start of a commit until it was durable")


class EngineStats:
    """Connections, messages, mailboxes, fan-out. A `StatsSource`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def readings(self) -> Iterator[Reading | Distribution]:
        """See `StatsSource`."""
        engine = self._engine
        yield _gauge("connections", "Open sessions", len(engine.connections))
        yield _counter("messages", "Messages stored and sent", engine.rooms.stats.messages)
        yield _counter("room_commands", "Commands handled by rooms", engine.rooms.stats.commands)
        yield _counter("room_turns", "Turns taken by rooms", engine.rooms.stats.turns)
        yield _gauge("rooms_active", "Room actors in memory", engine.rooms.active_count())
        yield _counter("room_restarts", "Restarts of room actors after a crash", engine.rooms.restarts())
        depths = Histogram(DEPTHS)
        for depth in engine.rooms.mailbox_depths():
            depths.add(depth)
        yield depths.reading("mailbox_depth", "Commands queued, over the active rooms at this moment")
        yield _counter("fanout_events", "Events published", engine.connections.events)
        yield _counter(
            "fanout_deliveries", "Writes to sessions, one per session and turn", engine.connections.deliveries
        )
        yield _gauge(
            "outbox_bytes", "Bytes that wait for slow clients", sum(each.outbox_bytes for each in engine.connections)
        )
        yield _counter("slow_consumers_closed", "Sessions closed as slow", engine.connections.stats.slow_consumers)
        yield _counter("failed_tries", "Log-ins and registrations that failed, and were counted", engine.failed_tries())
        for lane in engine.lanes():
            yield from _of_lane(lane)
        for job in engine.jobs:
            yield from _of_job(job)
        for observer, failures in engine.observer_failures().items():
            yield Reading(
                name="observer_failures",
                help="Commits that an observer failed to add its rows to",
                kind="counter",
                value=failures,
                labels={"observer": observer},
            )
        for reason, count in engine.connections.stats.closed_by_reason.items():
            yield Reading(
                name="sessions_closed",
                help="Sessions that the server closed, by reason",
                kind="counter",
                value=count,
                labels={"reason": reason.name.lower()},
            )


class StoreStats:
    """What the persistence actor and the search indexer have done. A `StatsSource`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        statistics = self._store.statistics()
        yield _counter("store_commits", "Transactions committed", statistics.commits)
        yield _counter("store_units", "Groups of writes, of one turn or request each, committed", statistics.units)
        yield _counter("store_writes", "Single writes in them", statistics.writes)
        yield _counter("store_failed_units", "Groups of writes that were refused or failed", statistics.failed_units)
        yield _counter(
            "store_refused_savepoints", "Parts of groups that were refused on their own", self._store.refused_savepoints
        )
        yield _gauge("store_queued_units", "Groups of writes that wait for their commit", statistics.queued_units)
        yield _gauge("store_journal_messages", "Committed messages not in their table yet", self._store.journaled)
        yield _gauge("search_backlog", "Messages that the search index is behind", self._store.search_backlog)


def _of_lane(lane: FairLane) -> Iterator[Reading]:
    labels = {"lane": lane.name}
    yield Reading(name="lane_running", help="Work under way", kind="gauge", value=lane.running, labels=labels)
    yield Reading(name="lane_waiting", help="Work that waits its turn", kind="gauge", value=lane.waiting, labels=labels)
    yield Reading(name="lane_refused", help="Work turned away", kind="counter", value=lane.refused, labels=labels)


def _of_job(job: Job) -> Iterator[Reading]:
    labels = {"job": job.name}
    yield Reading(name="job_steps", help="Steps of jobs that were done", kind="counter", value=job.steps, labels=labels)
    yield Reading(
        name="job_failures", help="Steps of jobs that failed", kind="counter", value=job.failures, labels=labels
    )
    yield Reading(
        name="job_failing", help="Whether a job's last step failed", kind="gauge", value=job.failing, labels=labels
    )


def _gauge(name: str, text: str, value: float) -> Reading:
    return Reading(name=name, help=text, kind="gauge", value=value)


def _counter(name: str, text: str, value: float) -> Reading:
    return Reading(name=name, help=text, kind="counter", value=value)
