"""Fan-out: encoded once per format, written once per session and turn, in order, and only to those concerned."""

from collections import Counter

import pytest

from chinwag.engine.connections.fanout import Fanout
from chinwag.engine.model.events import (
    Event,
    MemberRemoved,
    MessagePosted,
    PresenceChanged,
    RoomDeleted,
    RoomJoined,
    RoomLeft,
    StatusAdvanced,
    TypingStarted,
    UserEvent,
)
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import Message, Presence, Room, RoomKind, Status

ANN, BOB = UserId(1), UserId(2)
ROOM, OTHER = RoomId(10), RoomId(11)
A_ROOM = Room(id=ROOM, kind=RoomKind.GROUP, name="", description="", created_by=BOB, created_us=0)


class Wire:
    """Says the class of each event, and counts how often it was asked."""

    def __init__(
        self,
        name: str,
        *,
        silent_about: type[Event] | None = None,
        bug_in: type[Event] | None = None,
        user_events: tuple[type[UserEvent], ...] = (),
    ) -> None:
        self.name = name
        self.user_events = user_events
        self.encoded: Counter[str] = Counter()
        self._silent_about = silent_about
        self._bug_in = bug_in

    def encode(self, event: Event) -> bytes:
        self.encoded[type(event).__name__] += 1
        if self._bug_in is not None and isinstance(event, self._bug_in):
            raise ValueError("a bug in this format")
        if self._silent_about is not None and isinstance(event, self._silent_about):
            return b""
        text = event.message.text if isinstance(event, MessagePosted) else type(event).__name__
        return f"{self.name}:{text} ".encode()


class Listener:
    """A session that keeps its writes."""

    def __init__(self, user_id: UserId, wire: Wire, *, follows: bool = False) -> None:
        self.user_id = user_id
        self.follows = follows
        self.wire = wire
        self.writes: list[bytes] = []

    def deliver(self, data: bytes, events: list[Event]) -> None:  # noqa: ARG002
        self.writes.append(data)


def said(text: str, room: RoomId = ROOM) -> MessagePosted:
    message = Message(id=MessageId(1), room_id=room, seq=1, author_id=ANN, author_name="ann", text=text, created_us=0)
    return MessagePosted(room_id=room, message=message)


@pytest.fixture
def fanout() -> Fanout[Listener]:
    return Fanout()


def listen(fanout: Fanout[Listener], user: UserId, wire: Wire, *rooms: RoomId, follows: bool = False) -> Listener:
    listener = Listener(user, wire, follows=follows)
    fanout.add(listener)
    for room in rooms:
        fanout.subscribe(listener, room)
    return listener


def test_an_event_is_encoded_once_per_format_and_written_once_per_session(fanout: Fanout[Listener]) -> None:
    json, text = Wire("json"), Wire("text")
    listeners = [listen(fanout, UserId(n), json if n % 2 else text, ROOM) for n in range(10)]
    fanout.publish(ROOM, [said("a"), said("b"), said("c")])
    assert json.encoded == text.encoded == {"MessagePosted": 3}
    for n, listener in enumerate(listeners):
        name = "json" if n % 2 else "text"
        assert listener.writes == [f"{name}:a {name}:b {name}:c ".encode()]
    assert fanout.deliveries == 10
    assert fanout.events == 3


def test_only_the_rooms_subscribers_hear_of_it(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    ann = listen(fanout, ANN, wire, ROOM)
    bob = listen(fanout, BOB, wire, OTHER)
    both = listen(fanout, BOB, wire, ROOM, OTHER)
    fanout.publish(ROOM, [said("a")])
    fanout.publish(RoomId(99), [said("nobody")])
    assert (ann.writes, bob.writes, both.writes) == ([b"w:a "], [], [b"w:a "])


def test_order_is_kept_around_events_for_some(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    ann, bob = listen(fanout, ANN, wire, ROOM), listen(fanout, BOB, wire, ROOM)
    typing = TypingStarted(room_id=ROOM, user_id=ANN, username="ann")
    fanout.publish(ROOM, [said("a"), typing, said("b")])
    assert b"".join(bob.writes) == b"w:a w:TypingStarted w:b "
    assert b"".join(ann.writes) == b"w:a w:b "


def test_a_status_goes_to_the_authors_sessions_that_are_in_the_room(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    here, elsewhere, bob = (
        listen(fanout, ANN, wire, ROOM),
        listen(fanout, ANN, wire, OTHER),
        listen(fanout, BOB, wire, ROOM),
    )
    fanout.publish(ROOM, [StatusAdvanced(room_id=ROOM, author_id=ANN, message_id=MessageId(1), status=Status.READ)])
    assert (here.writes, elsewhere.writes, bob.writes) == ([b"w:StatusAdvanced "], [], [])


def test_a_user_is_told_of_a_new_room_on_every_session(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    sessions = [listen(fanout, ANN, wire), listen(fanout, ANN, wire, OTHER)]
    bob = listen(fanout, BOB, wire, ROOM)
    room = A_ROOM
    fanout.publish(ROOM, [RoomJoined(room_id=ROOM, user_id=ANN, room=room)])
    assert [each.writes for each in sessions] == [[b"w:RoomJoined "]] * 2
    assert bob.writes == []
    assert wire.encoded == {"RoomJoined": 1}


def test_who_is_removed_gets_nothing_that_follows_in_the_same_turn(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    ann, bob, bobs_phone = (listen(fanout, user, wire, ROOM) for user in (ANN, BOB, BOB))
    removed = MemberRemoved(room_id=ROOM, user_id=BOB, username="bob")
    fanout.publish(ROOM, [said("a"), removed, RoomLeft(room_id=ROOM, user_id=BOB), said("secret")])
    for session in (bob, bobs_phone):
        assert b"".join(session.writes) == b"w:a w:MemberRemoved w:RoomLeft "
        assert not fanout.is_subscribed(session, ROOM)
    assert b"".join(ann.writes) == b"w:a w:MemberRemoved w:secret "


def test_a_deleted_room_has_no_subscribers_any_more(fanout: Fanout[Listener]) -> None:
    ann, bob = listen(fanout, ANN, Wire("v"), ROOM, OTHER), listen(fanout, BOB, Wire("w"), ROOM)
    fanout.publish(ROOM, [RoomDeleted(room_id=ROOM), said("ghost")])
    assert (ann.writes, bob.writes) == ([b"v:RoomDeleted "], [b"w:RoomDeleted "])
    assert fanout.is_subscribed(ann, OTHER)
    assert not fanout.is_subscribed(ann, ROOM)


def test_what_a_format_leaves_out_is_not_written(fanout: Fanout[Listener]) -> None:
    silent = Wire("w", silent_about=TypingStarted)
    bob = listen(fanout, BOB, silent, ROOM)
    fanout.publish(ROOM, [TypingStarted(room_id=ROOM, user_id=ANN, username="ann")])
    assert bob.writes == []
    assert fanout.deliveries == 0


def test_a_bug_in_one_format_costs_the_others_nothing_and_keeps_nobody_subscribed(fanout: Fanout[Listener]) -> None:
    broken, sound = Wire("b", bug_in=MemberRemoved), Wire("s")
    ann, bob = listen(fanout, ANN, sound, ROOM), listen(fanout, BOB, broken, ROOM)
    fanout.publish(ROOM, [MemberRemoved(room_id=ROOM, user_id=BOB, username="bob"), said("secret")])
    assert b"".join(ann.writes) == b"s:MemberRemoved s:secret "
    assert bob.writes == []
    assert not fanout.is_subscribed(bob, ROOM)


def test_a_discarded_session_leaves_no_trace(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    ann, bob = listen(fanout, ANN, wire, ROOM, OTHER), listen(fanout, BOB, wire, ROOM)
    fanout.discard(ann)
    fanout.discard(ann)
    fanout.publish(ROOM, [said("a")])
    assert ann.writes == []
    assert fanout.sessions_of(ANN) == ()
    assert list(fanout) == [bob]
    fanout.discard(bob)
    assert len(fanout) == 0
    assert (fanout._by_room, fanout._by_user, fanout._rooms_of) == ({}, {}, {})


def test_unsubscribing_is_no_more_than_that_and_twice_is_fine(fanout: Fanout[Listener]) -> None:
    ann = listen(fanout, ANN, Wire("w"), ROOM)
    fanout.unsubscribe(ann, ROOM)
    fanout.unsubscribe(ann, ROOM)
    fanout.unsubscribe(ann, OTHER)
    fanout.publish(ROOM, [said("a")])
    assert ann.writes == []
    assert fanout.sessions_of(ANN) == (ann,)
    fanout.subscribe(ann, ROOM)
    fanout.publish(ROOM, [said("b")])
    assert ann.writes == [b"w:b "]


def test_who_follows_hears_of_a_room_from_the_joining_on_within_the_same_turn(fanout: Fanout[Listener]) -> None:
    wire = Wire("w")
    follower, other = listen(fanout, BOB, wire, follows=True), listen(fanout, BOB, wire)
    joined = RoomJoined(room_id=ROOM, user_id=BOB, room=A_ROOM)
    fanout.publish(ROOM, [said("before"), joined, said("after")])
    fanout.publish(ROOM, [said("later")])
    assert follower.writes == [b"w:RoomJoined ", b"w:after ", b"w:later "]
    assert other.writes == [b"w:RoomJoined "]
    fanout.publish(ROOM, [MemberRemoved(room_id=ROOM, user_id=BOB, username="bob"), said("gone")])
    assert follower.writes[3:] == [b"w:MemberRemoved "]
    assert fanout.endings == 1
    fanout.publish(ROOM, [joined, said("back")])
    assert follower.writes[4:] == [b"w:RoomJoined ", b"w:back "]


def test_one_users_joining_subscribes_nobody_else(fanout: Fanout[Listener]) -> None:
    ann = listen(fanout, ANN, Wire("w"), follows=True)
    fanout.publish(ROOM, [RoomJoined(room_id=ROOM, user_id=BOB, room=A_ROOM), said("hello")])
    assert ann.writes == []


@pytest.mark.parametrize("strangers", [0, 50])
def test_what_is_published_to_people_goes_to_theirs_whose_format_has_it_encoded_once(
    fanout: Fanout[Listener], strangers: int
) -> None:
    wire, deaf = Wire("w", user_events=(PresenceChanged,)), Wire("deaf")
    assert fanout.is_heard(PresenceChanged) is False
    peers = [listen(fanout, UserId(n), wire) for n in range(10, 13)]
    unheard = [listen(fanout, UserId(99), wire), listen(fanout, UserId(10), deaf)]
    assert fanout.is_heard(PresenceChanged) is True
    event = PresenceChanged(user_id=ANN, username="ann", presence=Presence.ONLINE)
    fanout.publish_to({UserId(n) for n in (10, 11, 12, 13, *range(1000, 1000 + strangers))}, event)
    assert [peer.writes for peer in peers] == [[b"w:PresenceChanged "]] * 3
    assert [each.writes for each in unheard] == [[], []]
    assert wire.encoded == {"PresenceChanged": 1}
    assert not deaf.encoded
    for each in (*peers, *unheard):
        fanout.discard(each)
    assert fanout.is_heard(PresenceChanged) is False
