"""How whatever changes is committed: rows and what is said of them, in one call. And who adds to a commit.

Rooms and services commit through `Commits`. Nothing that they say is heard before its rows are durable, and all is
heard in the order of the commits. An observer is asked before the commit, by its events, for rows that are to be
durable with them, or not at all: a notification, a delivery that is due. What it delivers it delivers later, out of the
store, behind a cursor (`life.jobs`).
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from chinwag.engine.model.events import Event
from chinwag.engine.model.store import Write


class Observer(Protocol):
    """Adds rows to the commits of others. None of its methods may wait.

    It is no part of what it observes: should it raise, or the store refuse its rows, these rows alone are missing, and
    that is logged and counted.
    """

    @property
    def name(self) -> str:
        """For logs and metrics."""
        ...

    @property
    def events(self) -> Collection[type[Event]]:
        """The kinds that it is asked about. Always the same."""
        ...

    def writes(self, events: Sequence[Event]) -> Sequence[Write]:
        """What is to be durable together with these events of one commit, in order: all those of its kinds.

        No messages and no deletions of rooms. The commit may still fail; then nothing of it happened, and what is tried
        again is asked about again.
        """
        ...

    def committed(self) -> None:
        """What it added is durable, if the store did not refuse it: the moment to nudge the job that delivers."""
        ...


class Commits(Protocol):
    """One way to the store for whatever changes anything."""

    async def commit(
        self, writes: Sequence[Write], events: Sequence[Event] = (), then: Callable[[], None] | None = None
    ) -> None:
        """Make `writes` durable, publish `events`, run `then`, return. All events are of one room.

        The place in the order is taken at the call. Raises as `Store.commit` does, and then nothing was published.
        Without anything to write it does not wait.
        """
        ...

    def commit_soon(
        self,
        writes: Sequence[Write],
        events: Sequence[Event],
        then: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """`commit` for who does not wait: see `Store.commit_soon`. Without anything to write, `then` is called at once,
        and what it raises comes out here."""
        ...
