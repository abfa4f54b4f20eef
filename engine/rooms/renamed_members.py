"""Changed profiles, on their way to the rooms that are awake: those keep their members' names in memory."""

from collections.abc import Sequence

from chinwag.engine.model.commands import UpdateProfile
from chinwag.engine.model.errors import ActorStopped, Overloaded
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.tasks import Spawn
from chinwag.engine.model.values import User
from chinwag.engine.rooms.actor import RoomActor


def tell_profile(user: User, rooms: Sequence[RoomActor], *, spawn: Spawn) -> None:
    """Tell rooms how a user shows themselves from now on: before anything that is asked of them later. Never waits.

    A room whose mailbox is full is told as soon as it has space, and then of the newest profile alone.
    """
    command = UpdateProfile(user=user)
    for room in rooms:
        if user.id in room.late_profiles:
            room.late_profiles[user.id] = command
            continue
        try:
            room.tell(command)
        except ActorStopped:
            continue  # it will be loaded anew, with the new profile
        except Overloaded:
            room.late_profiles[user.id] = command
            spawn(_tell_later, room, user.id)


async def _tell_later(room: RoomActor, user_id: UserId) -> None:
    try:
        while not room.stopped:
            await room.wait_space()
            try:
                room.tell(room.late_profiles[user_id])
                return
            except ActorStopped:
                return
            except Overloaded:
                if not room.full:
                    return  # parked after crashes: it has thrown its state away
    finally:
        del room.late_profiles[user_id]
