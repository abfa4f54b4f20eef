"""Changed profiles, on their way to the rooms that are awake: those keep their members' names in memory."""

from collections.abc import Sequence

from chinwag.engine.commands import UpdateProfile
from chinwag.engine.errors import ActorStopped, Overloaded
from chinwag.engine.model import User
from chinwag.engine.room_actor import RoomActor
from chinwag.engine.session import Spawn


def tell_profile(user: User, rooms: Sequence[RoomActor], *, spawn: Spawn) -> None:
    """Tell rooms how a user shows themselves from now on: before anything that is asked of them later. Never waits.

    A room whose mailbox is full is told as soon as it has space.
    """
    command = UpdateProfile(user=user)
    for room in rooms:
        try:
            room.tell(command)
        except ActorStopped:
            continue  # it will be loaded anew, with the new profile
        except Overloaded:
            spawn(_tell_later, room, command)


async def _tell_later(room: RoomActor, command: UpdateProfile) -> None:
    while not room.stopped:
        await room.wait_space()
        try:
            room.tell(command)
            return
        except ActorStopped:
            return
        except Overloaded:
            if not room.full:
                return  # parked after crashes: it has thrown its state away
