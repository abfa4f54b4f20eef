"""What the engine's room and message methods have in common."""

from collections.abc import Callable

from chinwag.engine.commands import RoomCommand
from chinwag.engine.errors import Invalid
from chinwag.engine.fanout import Fanout
from chinwag.engine.files import Files
from chinwag.engine.ids import RoomId
from chinwag.engine.room_keys import RoomKeys
from chinwag.engine.room_registry import RoomRegistry
from chinwag.engine.searches import SearchLane
from chinwag.engine.session import Session
from chinwag.engine.store import Store


class RoomCalls:
    """Base of the parts of `Engine`, which sets these."""

    fanout: Fanout[Session]
    keys: RoomKeys
    files: Files
    _store: Store
    _searches: SearchLane
    _registry: RoomRegistry
    _new_id: Callable[[], int]

    async def _ask(self, room_id: RoomId, command: RoomCommand) -> object:
        return await self._registry.ask(room_id, command)


def refuse_unstorable(text: str, field: str = "text") -> None:
    """Raise `Invalid` for what no store takes: the NUL character, and lone surrogates."""
    if "\0" in text:
        raise Invalid(field, "must not contain the NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid(field, "is not valid Unicode") from None
