"""What the tests of searching share."""

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import InsertMember, InsertMessage, InsertRoom, InsertUser, Write
from chinwag.engine.testing import MemoryStore, make_member, make_message, make_room, make_user
from chinwag.persistence.sqlite.store import SqliteStore

ANN, BOB = UserId(1), UserId(2)
ROOMS = (RoomId(10), RoomId(11), RoomId(12))


def world() -> list[Write]:
    """Ann is in two of the three rooms, Bob in all."""
    places = [(ROOMS[0], ANN), (ROOMS[1], ANN), *((room, BOB) for room in ROOMS)]
    return [
        InsertUser(user=make_user(ANN), password_hash=""),
        InsertUser(user=make_user(BOB), password_hash=""),
        *(InsertRoom(room=make_room(room, ANN)) for room in ROOMS),
        *(InsertMember(room_id=room, member=make_member(user)) for room, user in places),
    ]


async def find(
    store: SqliteStore | MemoryStore, text: str, *, room: RoomId | None = None, limit: int = 99
) -> list[int]:
    found = (await store.search(ANN, text=text, room_id=room, limit=limit)).messages
    return [entry.message.id for entry in found]


def post(seq: int, text: str) -> InsertMessage:
    return InsertMessage(message=make_message(1000 + seq, ROOMS[0], seq, ANN, text))
