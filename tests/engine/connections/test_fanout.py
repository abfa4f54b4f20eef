"""Fan-out: encoded once per dialect, framed once per wire and written once per turn, in order, to those concerned."""

from collections import Counter
from typing import cast

import pytest

from chinwag.engine.connections.fanout import Fanout
from chinwag.engine.connections.transport import Transport
from chinwag.engine.connections.wires import Wire
from chinwag.engine.model.events import (
    Event,
    MemberRemoved,
    MessagePosted,
    PresenceChanged,
    RoomDeleted,
    RoomEvent,
    RoomJoined,
    RoomLeft,
    StatusAdvanced,
    TypingStarted,
    UserEvent,
)
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import Message, Presence, Room, RoomKind, Status

ANN, BOB, CID = UserId(1), UserId(2), UserId(3)
ROOM, OTHER = RoomId(10), RoomId(11)
A_ROOM = Room(id=ROOM, kind=RoomKind.GROUP, name="", description="", created_by=BOB, created_us=0)


class Words:
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
        self.wire = Wire(self, Frames())
        self._silent_about = silent_about
        self._bug_in = bug_in

    def encode(self, event: Event) -> bytes:
        self.encoded[type(event).__name__] += 1
        if self._bug_in is not None and isinstance(event, self._bug_in):
            raise ValueError("a bug in this dialect")
        if self._silent_about is not None and isinstance(event, self._silent_about):
            return b""
        text = event.message.text if isinstance(event, MessagePosted) else type(event).__name__
        return f"{self.name}:{text}".encode()


class Frames:
    """Frames as they are counted in `framed`."""

    def __init__(self, mark: str = " ", *, per_session: bool = False) -> None:
        self.per_session = per_session
        self.framed = 0
        self._mark = mark.encode()

    def frame(self, body: bytes, event: Event | None, transport: Transport | None) -> bytes:  # noqa: ARG002
        self.framed += 1
        return body + self._mark


class Listener:
    """A session that keeps its writes."""

    def __init__(self, user_id: UserId, wire: Wire, *, follows: bool = False) -> None:
        self.user_id = user_id
        self.follows = follows
        self.wire = wire
        self.writes: list[bytes] = []

    def deliver(self, data: bytes, events: list[Event]) -> None:  # noqa: ARG002
        self.writes.append(data)

    def deliver_bodies(self, bodies: list[bytes], events: list[Event]) -> None:
        frames = [self.wire.frame(body, event, None) for body, event in zip(bodies, events, strict=True) if body]
        self.writes.append(b"".join(frames))


def said(text: str, room: RoomId = ROOM) -> MessagePosted:
    message = Message(id=MessageId(1), room_id=room, seq=1, author_id=ANN, author_name="ann", text=text, created_us=0)
    return MessagePosted(room_id=room, message=message)


@pytest.fixture
def fanout() -> Fanout[Listener]:
    return Fanout()


def listen(
    fanout: Fanout[Listener], user: UserId, wire: Wire | Words, *rooms: RoomId, follows: bool = False
) -> Listener:
    """A listener. Words alone travel by a wire of their own, the same for all who are given these words."""
    listener = Listener(user, wire if isinstance(wire, Wire) else wire.wire, follows=follows)
    fanout.add(listener)
    for room in rooms:
        fanout.subscribe(listener, room)
    return listener


def test_an_event_is_encoded_once_per_dialect_and_written_once_per_session(fanout: Fanout[Listener]) -> None:
    json, text = Words("json"), Words("text")
    listeners = [listen(fanout, UserId(n), json if n % 2 else text, ROOM) for n in range(10)]
    fanout.publish(ROOM, [said("a"), said("b"), said("c")])
    assert json.encoded == text.encoded == {"MessagePosted": 3}
    for n, listener in enumerate(listeners):
        name = "json" if n % 2 else "text"
        assert listener.writes == [f"{name}:a {name}:b {name}:c ".encode()]
    assert fanout.deliveries == 10
    assert fanout.events == 3


def test_only_the_rooms_subscribers_hear_of_it(fanout: Fanout[Listener]) -> None:
    wire = Words("w")
    ann = listen(fanout, ANN, wire, ROOM)
    bob = listen(fanout, BOB, wire, OTHER)
    both = listen(fanout, BOB, wire, ROOM, OTHER)
    fanout.publish(ROOM, [said("a")])
    fanout.publish(RoomId(99), [said("nobody")])
    assert (ann.writes, bob.writes, both.writes) == ([b"w:a "], [], [b"w:a "])


def test_order_is_kept_around_events_for_some(fanout: Fanout[Listener]) -> None:
    wire = Words("w")
    ann, bob = listen(fanout, ANN, wire, ROOM), listen(fanout, BOB, wire, ROOM)
    typing = TypingStarted(room_id=ROOM, user_id=ANN, username="ann")
    fanout.publish(ROOM, [said("a"), typing, said("b")])
    assert b"".join(bob.writes) == b"w:a w:TypingStarted w:b "
    assert b"".join(ann.writes) == b"w:a w:b "


def test_a_status_goes_to_the_authors_sessions_that_are_in_the_room(fanout: Fanout[Listener]) -> None:
    wire = Words("w")
    here, elsewhere, bob = (
        listen(fanout, ANN, wire, ROOM),
        listen(fanout, ANN, wire, OTHER),
        listen(fanout, BOB, wire, ROOM),
    )
    fanout.publish(ROOM, [StatusAdvanced(room_id=ROOM, author_id=ANN, message_id=MessageId(1), status=Status.READ)])
    assert (here.writes, elsewhere.writes, bob.writes) == ([b"w:StatusAdvanced "], [], [])


def test_a_user_is_told_of_a_new_room_on_every_session(fanout: Fanout[Listener]) -> None:
    wire = Words("w")
    sessions = [listen(fanout, ANN, wire), listen(fanout, ANN, wire, OTHER)]
    bob = listen(fanout, BOB, wire, ROOM)
    room = A_ROOM
    fanout.publish(ROOM, [RoomJoined(room_id=ROOM, user_id=ANN, room=room)])
    assert [each.writes for each in sessions] == [[b"w:RoomJoined "]] * 2
    assert bob.writes == []
    assert wire.encoded == {"RoomJoined": 1}


def test_who_is_removed_gets_nothing_that_follows_in_the_same_turn(fanout: Fanout[Listener]) -> None:
    wire = Words("w")
    ann, bob, bobs_phone = (listen(fanout, user, wire, ROOM) for user in (ANN, BOB, BOB))
    removed = MemberRemoved(room_id=ROOM, user_id=BOB, username="bob")
    fanout.publish(ROOM, [said("a"), removed, RoomLeft(room_id=ROOM, user_id=BOB), said("secret")])
    for session in (bob, bobs_phone):
        assert b"".join(session.writes) == b"w:a w:MemberRemoved w:RoomLeft "
        assert not fanout.is_subscribed(session, ROOM)
    assert b"".join(ann.writes) == b"w:a w:MemberRemoved w:secret "


def test_a_deleted_room_has_no_subscribers_any_more(fanout: Fanout[Listener]) -> None:
    ann, bob = listen(fanout, ANN, Words("v"), ROOM, OTHER), listen(fanout, BOB, Words("w"), ROOM)
    fanout.publish(ROOM, [RoomDeleted(room_id=ROOM), said("ghost")])
    assert (ann.writes, bob.writes) == ([b"v:RoomDeleted "], [b"w:RoomDeleted "])
    assert fanout.is_subscribed(ann, OTHER)
    assert not fanout.is_subscribed(ann, ROOM)


def test_what_a_format_leaves_out_is_not_written(fanout: Fanout[Listener]) -> None:
    silent = Words("w", silent_about=TypingStarted)
    bob = listen(fanout, BOB, silent, ROOM)
    fanout.publish(ROOM, [TypingStarted(room_id=ROOM, user_id=ANN, username="ann")])
    assert bob.writes == []
    assert fanout.deliveries == 0


def test_a_bug_in_one_format_costs_the_others_nothing_and_keeps_nobody_subscribed(fanout: Fanout[Listener]) -> None:
    broken, sound = Words("b", bug_in=MemberRemoved), Words("s")
    ann, bob = listen(fanout, ANN, sound, ROOM), listen(fanout, BOB, broken, ROOM)
    fanout.publish(ROOM, [MemberRemoved(room_id=ROOM, user_id=BOB, username="bob"), said("secret")])
    assert b"".join(ann.writes) == b"s:MemberRemoved s:secret "
    assert bob.writes == []
    assert not fanout.is_subscribed(bob, ROOM)


def test_a_discarded_session_leaves_no_trace(fanout: Fanout[Listener]) -> None:
    wire = Words("w")
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
    ann = listen(fanout, ANN, Words("w"), ROOM)
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
    wire = Words("w")
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
    ann = listen(fanout, ANN, Words("w"), follows=True)
    fanout.publish(ROOM, [RoomJoined(room_id=ROOM, user_id=BOB, room=A_ROOM), said("hello")])
    assert ann.writes == []


@pytest.mark.parametrize("strangers", [0, 50])
def test_what_is_published_to_people_goes_to_theirs_whose_dialect_has_it_encoded_once(
    fanout: Fanout[Listener], strangers: int
) -> None:
    wire, deaf = Words("w", user_events=(PresenceChanged,)), Words("deaf")
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


class Unread(RoomEvent):
    """How much each member has not read: an event whose body differs by recipient."""

    per_recipient = True
    counts: dict[UserId, int]


class PersonalWords(Words):
    """Has `Unread`, and notes for whom it was asked."""

    personal_events: frozenset[type] = frozenset({Unread})

    def __init__(self, name: str, *, bug_for: UserId | None = None) -> None:
        super().__init__(name)
        self.asked: list[UserId] = []
        self._bug_for = bug_for

    def encode_for(self, event: Event, user_id: UserId) -> bytes:
        assert isinstance(event, Unread)
        self.asked.append(user_id)
        if user_id == self._bug_for:
            raise ValueError("a bug in this dialect")
        count = event.counts.get(user_id)
        return b"" if count is None else f"{self.name}:unread={count}".encode()


def unread(**counts: int) -> Event:
    users = {"ann": ANN, "bob": BOB, "cid": CID}
    return cast("Event", Unread(room_id=ROOM, counts={users[name]: count for name, count in counts.items()}))


def test_two_carriers_of_one_dialect_share_its_bodies(fanout: Fanout[Listener]) -> None:
    words = Words("w")
    spaced, lines = Frames(" "), Frames("\n")
    ann = listen(fanout, ANN, Wire(words, spaced), ROOM)
    bobs = [listen(fanout, BOB, wire, ROOM) for wire in [Wire(words, lines)] for _ in range(3)]
    fanout.publish(ROOM, [said("a"), said("b")])
    assert ann.writes == [b"w:a w:b "]
    assert [each.writes for each in bobs] == [[b"w:a\nw:b\n"]] * 3
    assert words.encoded == {"MessagePosted": 2}
    assert (spaced.framed, lines.framed) == (2, 2)


def test_what_concerns_one_user_is_encoded_once_for_their_carriers(fanout: Fanout[Listener]) -> None:
    words = Words("w")
    left = RoomLeft(room_id=ROOM, user_id=ANN)
    sessions = [listen(fanout, ANN, Wire(words, Frames(mark))) for mark in "12"]
    fanout.publish(ROOM, [left])
    assert [each.writes for each in sessions] == [[b"w:RoomLeft1"], [b"w:RoomLeft2"]]
    assert words.encoded == {"RoomLeft": 1}


def test_frames_that_differ_by_session_are_made_by_each_of_one_body(fanout: Fanout[Listener]) -> None:
    words, frames = Words("w"), Frames(per_session=True)
    wire = Wire(words, frames)
    sessions = [listen(fanout, UserId(n), wire, ROOM) for n in range(3)]
    fanout.publish(ROOM, [said("a"), said("b")])
    assert [each.writes for each in sessions] == [[b"w:a w:b "]] * 3
    assert words.encoded == {"MessagePosted": 2}
    assert frames.framed == 6
    assert fanout.deliveries == 3


def test_a_body_that_differs_by_recipient_is_made_for_each_user_who_is_connected(fanout: Fanout[Listener]) -> None:
    words = PersonalWords("w")
    ann, again, bob = (listen(fanout, user, words, ROOM) for user in (ANN, ANN, BOB))
    fanout.publish(ROOM, [said("a"), unread(ann=0, bob=3, cid=4), said("b")])
    assert ann.writes == again.writes == [b"w:a w:unread=0 w:b "], "one write a session and turn"
    assert bob.writes == [b"w:a w:unread=3 w:b "]
    assert words.asked == [ANN, BOB], "once a user, and nobody who is away"
    assert words.encoded == {"MessagePosted": 2}


def test_who_is_told_nothing_of_their_own_is_not_written_to(fanout: Fanout[Listener]) -> None:
    words = PersonalWords("w")
    ann, bob = listen(fanout, ANN, words, ROOM), listen(fanout, BOB, words, ROOM)
    fanout.publish(ROOM, [unread(bob=3)])
    assert (ann.writes, bob.writes) == ([], [b"w:unread=3 "])
    assert fanout.deliveries == 1


def test_a_dialect_without_a_personal_event_is_not_asked_and_shares_the_rest(fanout: Fanout[Listener]) -> None:
    words, plain = PersonalWords("w"), Words("v")
    ann, bob = listen(fanout, ANN, plain, ROOM), listen(fanout, BOB, words, ROOM)
    fanout.publish(ROOM, [said("a"), unread(ann=1, bob=2)])
    assert ann.writes == [b"v:a "]
    assert bob.writes == [b"w:a w:unread=2 "]
    assert plain.encoded == {"MessagePosted": 1}


def test_a_dialect_with_other_personal_events_is_not_asked_about_this_one(fanout: Fanout[Listener]) -> None:
    words = PersonalWords("w")
    words.personal_events = frozenset()
    frames = Frames()
    wire = Wire(words, frames)
    for user in (ANN, BOB):
        listen(fanout, user, wire, ROOM)
    fanout.publish(ROOM, [said("a"), unread(ann=1, bob=2)])
    assert words.asked == []
    assert frames.framed == 1, "what is left is the same for all, and framed once for them"


def test_a_bug_in_a_personal_body_costs_no_other_dialect_its_events(fanout: Fanout[Listener]) -> None:
    broken, sound = PersonalWords("b", bug_for=ANN), PersonalWords("s")
    ann, bob = listen(fanout, ANN, broken, ROOM), listen(fanout, BOB, sound, ROOM)
    fanout.publish(ROOM, [said("a"), unread(ann=1, bob=2)])
    fanout.publish(ROOM, [said("b")])
    assert ann.writes == [b"b:b "]
    assert bob.writes == [b"s:a s:unread=2 ", b"s:b "]
