"""`model.commits.Commits` over a store: asks observers, commits, publishes, nudges them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import structlog

from chinwag.engine.model.commits import Observer
from chinwag.engine.model.events import Event, MembershipEvent, RoomEvent
from chinwag.engine.model.publishing import Publisher
from chinwag.engine.model.store import Store, Write
from chinwag.engine.model.store_jobs import Savepoint

log = structlog.get_logger("chinwag.engine")

_OF_ROOMS: Final = (RoomEvent, MembershipEvent)


class ObservedCommits:
    """The commits of one engine. Who observes them is settled when it is made: every commit is observed alike."""

    def __init__(self, store: Store, publisher: Publisher, observers: Sequence[Observer] = ()) -> None:
        self._store = store
        self._publisher = publisher
        self._observers = {kind: [each for each in observers if kind in each.events] for kind in _kinds(observers)}
        self.failures = dict.fromkeys((each.name for each in observers), 0)
        """How often each observer raised."""

    async def commit(
        self, writes: Sequence[Write], events: Sequence[Event] = (), then: Callable[[], None] | None = None
    ) -> None:
        """See `Commits`."""
        asked: Sequence[Observer] = ()
        if self._observers:
            writes, asked = self._observed(writes, events)
        if writes:
            await self._store.commit(writes, partial(self._release, events, then, asked))
        else:
            self._release(events, then, asked)

    def commit_soon(
        self,
        writes: Sequence[Write],
        events: Sequence[Event],
        then: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """See `Commits`."""
        asked: Sequence[Observer] = ()
        if self._observers:
            writes, asked = self._observed(writes, events)
        if writes:
            self._store.commit_soon(writes, partial(self._release, events, then, asked), failed)
        else:
            self._release(events, then, asked)

    def _observed(self, writes: Sequence[Write], events: Sequence[Event]) -> tuple[Sequence[Write], Sequence[Observer]]:
        """The writes with those that observers add, and these observers."""
        asked: dict[Observer, list[Event]] = {}
        for event in events:
            for observer in self._observers.get(type(event), ()):
                asked.setdefault(observer, []).append(event)
        added: list[Write] = []
        adding: list[Observer] = []
        for observer, seen in asked.items():
            try:
                more = tuple(observer.writes(seen))
            except Exception:
                # A bug in an observer must not cost the room its turn, or its caller the answer.
                self.failures[observer.name] += 1
                log.exception("observer failed", observer=observer.name, events=len(seen))
                continue
            if more:
                added.append(Savepoint(writes=more))
                adding.append(observer)
        return ([*writes, *added], adding) if added else (writes, ())

    def _release(self, events: Sequence[Event], then: Callable[[], None] | None, asked: Sequence[Observer]) -> None:
        """It is durable."""
        if events:
            first = events[0]
            assert isinstance(first, _OF_ROOMS), "what is told to people alone is for `Publisher.publish_to`"
            self._publisher.publish(first.room_id, events)
        for observer in asked:
            try:
                observer.committed()
            except Exception:
                self.failures[observer.name] += 1
                log.exception("observer failed", observer=observer.name)
        if then is not None:
            then()


def _kinds(observers: Sequence[Observer]) -> Iterator[type[Event]]:
    for observer in observers:
        yield from observer.events
