"""The rules of direct rooms: two users who are equals, leave as they like, and are both back with the next message.

Who comes back starts where the room is: what was there before counts as seen, since they had left it. So of a message
that brings somebody back exactly that message is unread.
"""

from msgspec.structs import replace

from chinwag.engine.model.errors import NotAMember
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import Member
from chinwag.engine.rooms.memory import Outcome, RoomMemory


class PairRules(RoomMemory):
    """A part of `RoomState`."""

    def _absent_author(self, user_id: UserId) -> Member:
        """Who writes to a direct room that they have left. Raises `NotAMember` for everybody else."""
        absent = self._absent.get(user_id)
        if absent is None:
            raise NotAMember
        return absent

    def _bring_back(self, now_us: int) -> Outcome:
        """Let in whoever has left this direct room and was recalled."""
        outcome = Outcome()
        for user_id in self._pair:
            absent = self._absent.get(user_id)
            if absent is not None and user_id not in self._members:
                outcome = outcome.then(self._return(absent, now_us))
        return outcome

    def _return(self, absent: Member, now_us: int) -> Outcome:
        """Let one of the two in again."""
        place = self._last_seq
        return self._enter(replace(absent, joined_us=now_us, delivered_seq=place, read_seq=place, read_us=None))
