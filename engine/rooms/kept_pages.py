"""Pages of history that were read from rooms that sleep, kept until they wake.

Everything that changes a room goes through its actor. So what was read while a room has none stays true until it gets
one, but for its authors' names and avatars: only changed profiles have to be watched. It is for clients that look again
and again, and for a room that nobody writes in.
"""

import sys
from collections.abc import Sequence

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.values import ViewedMessage

KEPT_BYTES = 32 << 20
"""About how much memory the pages may take. Beyond it the rooms that were read first are dropped."""
MESSAGE_BYTES = 512
"""What a message takes besides its text; also what is counted for a page as such, and for a viewer."""
REACTION_BYTES = 200
"""What a reaction takes with its texts."""


class _Room:
    """What is known of one room. `viewers` are members for sure; of others nothing is known. `authors` are those of
    the messages in the pages."""

    __slots__ = ("authors", "pages", "size_bytes", "viewers")

    def __init__(self) -> None:
        self.authors: set[UserId] = set()
        self.viewers: set[UserId] = set()
        self.pages: dict[tuple[int, int], Sequence[ViewedMessage]] = {}
        self.size_bytes = 0


class KeptPages:
    """Kept pages, by room and by how many messages they leave out and hold at most."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._rooms: dict[RoomId, _Room] = {}
        self._most_bytes = kept_bytes
        self._bytes = 0
        self.generation = 0
        """How often a room woke, or a profile changed. To be noted before a page is read, and handed over with it."""

    def find(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> Sequence[ViewedMessage] | None:
        """A kept page, None when it has to be read."""
        room = self._rooms.get(room_id)
        if room is None or viewer not in room.viewers:
            return None
        return room.pages.get((skip, limit))

    def keep(
        self,
        room_id: RoomId,
        viewer: UserId,
        page: Sequence[ViewedMessage],
        *,
        skip: int,
        limit: int,
        generation: int,
    ) -> None:
        """Keep what a member read, unless a room woke meanwhile: it may have been this one, and the page be old."""
        if generation != self.generation:
            return
        room = self._rooms.setdefault(room_id, _Room())
        added_bytes = 0
        if viewer not in room.viewers:
            room.viewers.add(viewer)
            added_bytes += MESSAGE_BYTES
        if (skip, limit) not in room.pages:
            room.pages[skip, limit] = page
            room.authors.update([viewed.message.author_id for viewed in page])
            added_bytes += MESSAGE_BYTES + sum(map(_size_bytes, page))
        room.size_bytes += added_bytes
        self._bytes += added_bytes
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._rooms)))

    def wake(self, room_id: RoomId) -> None:
        """The room gets an actor: what was read of it holds no longer."""
        self.generation += 1
        if room_id in self._rooms:
            self._drop(room_id)

    def forget_author(self, user_id: UserId) -> None:
        """A user has another name or avatar: pages with messages of theirs hold no longer."""
        self.generation += 1
        for room_id in [room_id for room_id, room in self._rooms.items() if user_id in room.authors]:
            self._drop(room_id)

    @property
    def size_bytes(self) -> int:
        """About how much memory the pages take."""
        return self._bytes

    def _drop(self, room_id: RoomId) -> None:
        self._bytes -= self._rooms.pop(room_id).size_bytes


def _size_bytes(viewed: ViewedMessage) -> int:
    message = viewed.message
    files = sum(
        sys.getsizeof(file.url) + sys.getsizeof(file.mime_type) + sys.getsizeof(file.name)
        for file in message.attachments
    )
    sealed = 0 if message.sealed is None else MESSAGE_BYTES + sys.getsizeof(message.sealed.data)
    return MESSAGE_BYTES + sys.getsizeof(message.text) + files + sealed + REACTION_BYTES * len(message.reactions)
