"""Who wants to connect, and to what; and what became of it."""

import math
from collections.abc import Sequence

from chinwag.engine.connections.session import Session
from chinwag.engine.connections.wires import Wire
from chinwag.engine.messages.resume import Replay
from chinwag.engine.model.ids import FamilyId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.values import Record, User


class Admission(Record):
    """A connection that is asked for: whose it is, what it speaks, what it is to hear."""

    user_id: UserId
    family_id: FamilyId
    """The log-in that it belongs to; it ends with that."""
    wire: Wire
    """The dialect and the carrier that it speaks."""
    expires_at: float = math.inf
    """When its token ends, in `trio.current_time()` seconds."""
    room_ids: Sequence[RoomId] | None = None
    """Those of these rooms that the user is a member of; None: all of the user's."""
    follow: bool = False
    """Whether it hears of rooms that the user joins later, too, from the joining on."""
    resume: bool = False
    """Whether it is told first what came after `since`, and then how each room was resumed (`Resumed`)."""
    since: Position | None = None
    """Where the client is; None: it named a position that makes no sense, after which nothing is replayed."""
    most: int | None = None
    """How many connections with this wire the user may have, this one included; None: any number. How many in
    all, and from one source, is in `SessionLimits`."""
    source: str = ""
    """Where the caller is, in any words; "" is unknown, and counts for nobody."""
    list_present: bool = False
    """Whether to find out who of those that share a room with the user is online."""


class Admitted(Record):
    """An admission that was granted: the session is subscribed already, with its events held back.

    Somebody has to attach a transport to it (`Connections.attach`), or abandon the session. `refused` are those of the
    rooms asked for that are not the user's; `present` those who share a room with the user and are online, where that
    was asked for; `at_us` is when it was granted.
    """

    session: Session
    user: User
    at_us: int
    replay: Replay
    position: Position
    """Where a new client is that was told nothing yet: by this it misses nothing from its admission on. A client that
    resumes is where it was, until it is told something."""
    refused: tuple[RoomId, ...] = ()
    present: tuple[UserId, ...] = ()
