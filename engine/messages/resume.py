"""Resume: what a connection missed, as it will be told, and what it cannot be told.

A room is replayed completely or not at all. What cannot be replayed is said (`Resumed.recovered` False), and the client
loads the room anew.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from chinwag.engine.model.events import MessageReplayed, Resumed
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.store import Missed
from chinwag.engine.model.values import Message, Record, RoomKind, Status

RESUME_LIMIT = 1_000
"""Missed messages of one room beyond which a client has to reload it."""
RESUME_TOTAL = 10_000
"""The same for one connection, over all its rooms: the replay is held in memory."""
RESUME_BYTES = 8 * 1024 * 1024
"""And the most text that one connection's replay holds: two rooms full of long messages."""
ALL_RESUMES_BYTES = 256 * 1024 * 1024
"""The same for all connections that are being replayed to at one time."""
MESSAGE_BYTES = 512
"""What a message takes besides its text."""


class Replay(Record):
    """What a session missed, ready to be told before anything live."""

    messages: tuple[MessageReplayed, ...] = ()
    """Rising by id, over all rooms: a connection that breaks in the middle can go on from the last one it got."""
    results: tuple[Resumed, ...] = ()
    known_seq: dict[RoomId, int] = msgspec.field(default_factory=dict)
    """Up to which sequence the replay, or the reload it asks for, covers each room."""
    size_bytes: int = 0
    """About how much memory the messages take."""


def build_replay(missed: Mapping[RoomId, Missed], *, published: int, most_bytes: int = RESUME_BYTES) -> Replay:
    """Everything missed in all rooms, rising by id, and how each room was resumed.

    A message above `published` is durable and not yet released: it is left to the live events, which will bring it to
    this session, perhaps when the replay is long over. `most_bytes` is how much the messages may take.
    """
    messages: list[MessageReplayed] = []
    results: list[Resumed] = []
    known_seq: dict[RoomId, int] = {}
    taken = 0
    for room_id, room in missed.items():
        size = sum(map(message_bytes, room.messages or ()))
        fits = len(messages) + len(room.messages or ()) <= RESUME_TOTAL and taken + size <= most_bytes
        complete = room.messages is not None and fits
        found: tuple[Message, ...] = (room.messages or ()) if complete else ()
        replayed = [each for each in found if each.id <= published]
        known_seq[room_id] = found[len(replayed)].seq - 1 if len(replayed) < len(found) else room.last_seq
        taken += size if complete else 0
        kind = room.access.room.kind if room.access.room is not None else RoomKind.GROUP
        for each in replayed:
            status = room.receipts.status_of(each) if room.receipts is not None else Status.SENT
            messages.append(MessageReplayed(room_id=room_id, message=each, status=status, room_kind=kind))
        ending = Resumed(room_id=room_id, recovered=complete, replayed=len(replayed), room_kind=kind)
        results.append(ending)
    if results:
        # On none but the last: a client that was cut off before it heard of all its rooms has to ask for all again.
        results[-1] = replace(results[-1], reached=Position.at(published))
    messages.sort(key=lambda each: each.message.id)
    return Replay(messages=tuple(messages), results=tuple(results), known_seq=known_seq, size_bytes=taken)


def message_bytes(message: Message) -> int:
    """About how much memory a message takes. Python keeps a text with a character beyond Latin at 2 or 4 bytes each."""
    text = len(message.text) if message.text.isascii() else 4 * len(message.text)
    return MESSAGE_BYTES + text + sum(MESSAGE_BYTES + len(each.url) for each in message.attachments)
