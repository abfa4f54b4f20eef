"""The turn loop: one task that takes the turns of many actors.

An actor's own task would have to be woken for its mail, and once more for its commit; both cost several times what a
turn of one small message does. So an actor whose task waits for mail is stepped from here instead (`Actor.step`), and
its task is woken only for what has to wait, and when something went wrong.
"""

from typing import Protocol

import structlog
import trio

log = structlog.get_logger("chinwag.engine")


class Steps(Protocol):
    """An actor, as the loop sees it."""

    def step(self) -> None:
        """Take a turn, if there is one to take. Does not wait, and does not raise."""
        ...


class TurnLoop:
    """Steps each actor that was added since the last round, once per round of the event loop."""

    def __init__(self) -> None:
        self._ready: list[Steps] = []
        self._sleeper: trio.lowlevel.Task | None = None

    def add(self, actor: Steps) -> None:
        """See to it that the actor is stepped soon. What else is queued in it until then is part of the same turn."""
        self._ready.append(actor)
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None

    async def run(self) -> None:
        """Step, for ever."""
        while True:
            if self._ready:
                await trio.lowlevel.checkpoint()  # everybody else first
            else:
                self._sleeper = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._give_up)
            ready, self._ready = self._ready, []
            for actor in ready:
                try:
                    actor.step()
                except Exception:
                    # A bug in one actor. The others' turns are none of its business.
                    log.exception("an actor's step failed")

    def _give_up(self, _: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED
