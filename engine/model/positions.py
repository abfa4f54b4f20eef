"""Where in what they were told a client is: what it hands back to go on from there."""

import re
from typing import Self

from chinwag.engine.model.ids import MAX_ID, MessageId
from chinwag.engine.model.values import Record

_TEXT = re.compile(r"([mt])(0|[1-9a-f][0-9a-f]{0,13})", re.ASCII)
"""The letter tells this kind of position from others that may come: a client may keep one over a release."""


class Position(Record):
    """A place in the order of all commits, from which a connection can be resumed.

    Outside the engine it is opaque: it comes with an event (`RoomEvent.position`), is handed out as text, and taken
    back into `Admission.since`. What it is made of may change from release to release; a text of an older one
    that cannot be understood any more is no position.
    """

    newest_id: MessageId
    """The newest message that the client has. For the engine alone."""
    of_moment: bool = False
    """Whether it is instead the newest that there was when the client began to listen, be it in whose room it may."""

    @classmethod
    def of_message(cls, message_id: MessageId) -> Self:
        """The place of a message: for APIs whose clients name the last message that they have."""
        return cls(newest_id=message_id)

    @classmethod
    def at(cls, published: int) -> Self:
        """The moment when all messages up to this one had been published, and none after it. For the engine alone."""
        return cls(newest_id=MessageId(published), of_moment=True)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What `str` made of a position; None for any other text, after which nothing can be resumed."""
        found = _TEXT.fullmatch(text)
        number = MAX_ID + 1 if found is None else int(found[2], 16)
        return cls(newest_id=MessageId(number), of_moment=found[1] == "t") if found and number <= MAX_ID else None

    def __str__(self) -> str:
        """A few ASCII letters and digits, good for a URL, a header or a line of an event stream."""
        return f"{'t' if self.of_moment else 'm'}{self.newest_id:x}"
