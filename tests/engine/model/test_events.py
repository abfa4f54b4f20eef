"""What every event says of itself: whom it is for, and whether one can resume from it."""

import typing

import pytest

from chinwag.engine.model.events import (
    Audience,
    Event,
    MemberRemoved,
    MembershipEvent,
    MessagePosted,
    MessageReplayed,
    PresenceChanged,
    RoomDeleted,
    RoomEvent,
    RoomLeft,
    UserEvent,
)
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.values import Message, Presence, Status

ROOM, ANN = RoomId(1), UserId(2)
EVENTS = typing.get_args(Event)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_a_rooms_or_peoples(kind: type[RoomEvent | UserEvent]) -> None:
    assert issubclass(kind, RoomEvent) is not issubclass(kind, UserEvent)
    assert issubclass(kind, UserEvent) is (kind.audience is Audience.USER)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_has_a_room_unless_it_is_about_a_person_alone(kind: type[RoomEvent | UserEvent]) -> None:
    assert ("room_id" in kind.__struct_fields__) is issubclass(kind, RoomEvent | MembershipEvent)


def test_one_can_resume_from_messages_live_or_replayed_and_from_nothing_else() -> None:
    message = Message(id=MessageId(9), room_id=ROOM, seq=1, author_id=ANN, author_name="ann", text="", created_us=0)
    place = Position.of_message(message.id)
    assert MessagePosted(room_id=ROOM, message=message).position == place
    assert MessageReplayed(room_id=ROOM, message=message, status=Status.SENT).position == place
    assert RoomDeleted(room_id=ROOM).position is None
    assert RoomLeft(room_id=ROOM, user_id=ANN).position is None


def test_who_an_event_is_for_is_asked_of_those_only_that_are_for_one_person() -> None:
    assert RoomLeft(room_id=ROOM, user_id=ANN).addressee == ANN
    for event in (
        MemberRemoved(room_id=ROOM, user_id=ANN, username="ann"),
        PresenceChanged(user_id=ANN, username="ann", presence=Presence.ONLINE),
    ):
        with pytest.raises(TypeError, match=type(event).__name__):
            _ = event.addressee
