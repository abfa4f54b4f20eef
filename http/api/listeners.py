"""Listeners of a front's own: ports for what is not HTTP (IRC, for one), in the same process and rooms as all fronts.

A front declares them (`Front.listeners`), an operator opens them (`chinwag serve --listen NAME`). What is accepted
there is handed to the front's function with the engine. Until the front says whose a connection is, it is nobody's:
there may be so many of those, for so long. From then on what counts is the engine's session, which the front opens.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from chinwag.engine.engine import Engine


class FrontConnection(Protocol):
    """A connection that was accepted for a front."""

    @property
    def stream(self) -> trio.abc.HalfCloseableStream:
        """Its bytes. Sends end by themselves when the client takes nothing; nobody but the front closes it before the
        front's function returns, and then it is closed."""
        ...

    @property
    def source(self) -> str:
        """Where it comes from, as the engine counts it: for `register`, `log_in` and `Admission`."""
        ...

    def logged_in(self) -> None:
        """It is somebody's now: the time to log in counts no longer, nor does it for the number of visitors."""
        ...

    def broke_rules(self, reason: str) -> None:
        """Write down, within bounds, that the client does not keep to the protocol. `reason` is in our words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontListener:
    """A port that a front serves itself. `name` is what an operator opens it by, `title` what it speaks, `port` where
    clients look for it. `log_in_s` is how long a client may take until the front calls `logged_in`.

    `serve` is called for each connection, and has until it returns; then the connection is closed in order. What it
    raises costs that connection alone. At shutdown those that have not logged in are cancelled, the others hear of it
    by the end of their session, and are cancelled when they stay.
    """

    name: str
    title: str
    port: int
    log_in_s: float = 30.0
    serve: Callable[[Engine, FrontConnection], Awaitable[None]]
