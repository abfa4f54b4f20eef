"""What the tests of the store contract share: one suite for all stores, the in-memory fake and the drivers.

The fixtures `empty` and `store` are in conftest.
"""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model.store import InsertMember, InsertMessage, InsertRoom, InsertUser, Store, UpdateMessage, Write
from chinwag.engine.model.values import Family, MemberKey, Message, Reaction, RefreshToken, Role, RoomKey
from chinwag.engine.testing import make_member, make_message, make_room, make_user

MEMORY, SQLITE, JOURNAL = "memory", "sqlite", "sqlite, commits of messages through the journal"
WITHOUT_MESSAGES = pytest.mark.parametrize("empty", [MEMORY, SQLITE], indirect=True)
"""The journal passes on what has no message in it: there it is no store of its own."""

ANN, BOB, CAT = UserId(1), UserId(2), UserId(3)
ROOM, OTHER = RoomId(10), RoomId(11)
NOWHERE = RoomId(99)
NOBODY = UserId(98)


PEOPLE = ((ANN, "ann"), (BOB, "bob"), (CAT, "cat"))

DIRECT = make_room(30, ANN, direct_key="dm:1:2")
TOKEN = RefreshToken(digest=b"d" * 32, family_id=FamilyId(40), user_id=ANN, expires_us=500)
FAMILY = Family(id=FamilyId(40), user_id=ANN, created_us=5)

THUMB = Reaction(user_id=BOB, username="bob", emoji="👍", created_us=8)
ROOM_KEY = RoomKey(room_id=ROOM, version=1, sealed=b"\x00\xffsealed", created_us=6)
MEMBER_KEY = MemberKey(room_id=ROOM, version=1, user_id=BOB, sealed="for Bob", sealed_by=ANN, created_us=7)


def world() -> list[Write]:
    """Ann and Bob are in ROOM; Ann and Cat are in OTHER."""
    return [
        *(InsertUser(user=make_user(n, name), password_hash=f"hash-{n}") for n, name in PEOPLE),
        InsertRoom(room=make_room(ROOM, ANN)),
        InsertRoom(room=make_room(OTHER, ANN)),
        InsertMember(room_id=ROOM, member=make_member(ANN, role=Role.ADMIN)),
        InsertMember(room_id=ROOM, member=make_member(BOB, joined_us=2)),
        InsertMember(room_id=OTHER, member=make_member(ANN)),
        InsertMember(room_id=OTHER, member=make_member(CAT)),
    ]


def post(n: int, room: RoomId, seq: int, text: str = "hello", *, author: UserId = ANN) -> InsertMessage:
    return InsertMessage(message=make_message(n, room, seq, author, text))


def edit(room: RoomId, message_id: MessageId, text: str, *, edited_us: int = 1) -> UpdateMessage:
    """Another text for a message of Ann's."""
    return UpdateMessage(message=replace(make_message(message_id, room, 1, ANN, text), edited_us=edited_us))


async def fill(store: Store, room: RoomId, count: int, *, first_id: int = 1001) -> None:
    """Messages 1..count of a room, with ids from `first_id`."""
    await store.commit([post(first_id + n, room, n + 1) for n in range(count)])


def ids(messages: Sequence[Message] | None) -> list[int] | None:
    return None if messages is None else [message.id for message in messages]
