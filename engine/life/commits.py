"""`model.commits.Commits` over a store: asks observers, commits, publishes, nudges them."""

from collections.abc import Callable, Sequence
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
_Numbered = tuple[int, Observer]
"""An observer, by its place among all of them: two may have one name."""


class ObservedCommits:
    """The commits of one engine. Who observes them is given when it is made: every commit is observed alike."""

    def __init__(self, store: Store, publisher: Publisher, observers: Sequence[Observer] = ()) -> None:
        self._store = store
        self._publish = publisher.publish
        self._names = [each.name for each in observers]
        self._observers: dict[type[Event], list[_Numbered]] = {}
        """By what they are asked about."""
        for number, observer in enumerate(observers):
            for kind in observer.events:
                self._observers.setdefault(kind, []).append((number, observer))
        self.failures = dict.fromkeys(self._names, 0)
        """How often each observer raised."""

    async def commit(
        self, writes: Sequence[Write], events: Sequence[Event] = (), then: Callable[[], None] | None = None
    ) -> None:
        """See `Commits`."""
        added: Sequence[_Numbered] = ()
        if self._observers:
            writes, added = self._observed(writes, events)
        if writes:
            await self._store.commit(writes, partial(self._release, events, then, added))
        else:
            self._release(events, then, added)

    def commit_soon(
        self,
        writes: Sequence[Write],
        events: Sequence[Event],
        then: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """See `Commits`."""
        if not self._observers and writes:  # every message comes this way
            self._store.commit_soon(writes, partial(self._release_unobserved, events, then), failed)
            return
        added: Sequence[_Numbered] = ()
        if self._observers:
            writes, added = self._observed(writes, events)
        if writes:
            self._store.commit_soon(writes, partial(self._release, events, then, added), failed)
        else:
            self._release(events, then, added)

    def _observed(
        self, writes: Sequence[Write], events: Sequence[Event]
    ) -> tuple[Sequence[Write], Sequence[_Numbered]]:
        """The writes with those that observers add, and these observers."""
        asked: dict[int, tuple[Observer, list[Event]]] = {}
        for event in events:
            for number, observer in self._observers.get(type(event), ()):
                asked.setdefault(number, (observer, []))[1].append(event)
        parts: list[Write] = []
        added: list[_Numbered] = []
        for number, (observer, about) in asked.items():
            try:
                more = tuple(observer.writes(about))
            except Exception:  # noqa: BLE001 - a bug in an observer must not cost the room its turn
                self._failed(number)
                continue
            if more:
                parts.append(Savepoint(writes=more))
                added.append((number, observer))
        return ([*writes, *parts], added) if parts else (writes, ())

    def _release_unobserved(self, events: Sequence[Event], then: Callable[[], None]) -> None:
        """`_release` without anybody to nudge."""
        if events:
            self._publish(events[0].room_id, events)  # type: ignore[union-attr]  # as below
        then()

    def _release(self, events: Sequence[Event], then: Callable[[], None] | None, added: Sequence[_Numbered]) -> None:
        """It is durable."""
        if events:
            first = events[0]
            assert isinstance(first, _OF_ROOMS), "what is told to people alone is for `Publisher.publish_to`"
            self._publish(first.room_id, events)
        for number, observer in added:
            try:
                observer.committed()
            except Exception:  # noqa: BLE001 - it is durable, and whoever waits for it is to hear so
                self._failed(number)
        if then is not None:
            then()

    def _failed(self, number: int) -> None:
        name = self._names[number]
        self.failures[name] += 1
        log.exception("observer failed", observer=name)
