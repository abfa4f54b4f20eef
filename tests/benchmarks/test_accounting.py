"""The generator's books, against a server that is wrong on purpose: every loss, double and swap has to be found."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.benchmarks.generator.accounting import Faults, RoomBooks
from chinwag.benchmarks.generator.frames import PING, NumberedFrames, chat_message
from chinwag.benchmarks.generator.load import Load, Outcome
from chinwag.benchmarks.generator.sockets import Dial, opened
from tests.benchmarks.faulty import Deliver, faulty_server, frame

MEMBERS = 3
MESSAGES = 20


def measure(deliver: Deliver, *, piece: int = 1 << 20) -> Outcome:
    """Send `MESSAGES` into a room of `MEMBERS` whose server delivers like this."""
    with faulty_server(MEMBERS, MESSAGES, deliver, piece=piece) as server:
        dials = [Dial(host="127.0.0.1", port=server.port, path="/ws?room_id=1")] * MEMBERS
        with opened(dials) as wires:
            load = Load(stall_s=0.2)
            load.add_room(wires, NumberedFrames(*chat_message("1", 40)), window=MESSAGES)
            return load.run(messages=MESSAGES)


def only_for(victim: int, change: Callable[[list[bytes]], list[bytes]]) -> Deliver:
    return lambda member, messages: change(list(messages)) if member == victim else messages


def drop(messages: list[bytes]) -> list[bytes]:
    return messages[:7] + messages[8:]


def drop_last(messages: list[bytes]) -> list[bytes]:
    return messages[:-1]


def double(messages: list[bytes]) -> list[bytes]:
    return [*messages[:8], messages[7], *messages[8:]]


def double_last(messages: list[bytes]) -> list[bytes]:
    return [*messages, messages[-1]]


def swap(messages: list[bytes]) -> list[bytes]:
    return [*messages[:7], messages[8], messages[7], *messages[9:]]


def invent(messages: list[bytes]) -> list[bytes]:
    return [*messages, messages[0].replace(b"00000000", b"00099999")]


@pytest.mark.parametrize("piece", [1 << 20, 7], ids=["whole", "in pieces"])
@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop, Faults(lost=1)),
        (drop_last, Faults(lost=1)),
        (double, Faults(duplicated=1)),
        (double_last, Faults(duplicated=1)),
        (swap, Faults(reordered=1)),
        (invent, Faults(foreign=1)),
    ],
)
def test_what_one_member_gets_wrong_is_found(
    change: Callable[[list[bytes]], list[bytes]], expected: Faults, victim: int, piece: int
) -> None:
    assert measure(only_for(victim, change), piece=piece).faults == expected


def test_what_all_members_get_wrong_is_found() -> None:
    assert measure(lambda _member, messages: drop(messages)).faults == Faults(lost=MEMBERS)
    assert measure(lambda _member, messages: double(messages)).faults == Faults(duplicated=MEMBERS)
    assert measure(lambda _member, messages: swap(messages)).faults == Faults(reordered=MEMBERS)


def test_a_faultless_run_has_no_faults_and_every_delivery() -> None:
    outcome = measure(lambda _member, messages: messages)
    assert not outcome.faults
    assert (outcome.messages, outcome.deliveries) == (MESSAGES, MESSAGES * MEMBERS)
    assert len(outcome.latencies_s) == MESSAGES


def test_pings_and_other_events_in_between_are_no_faults() -> None:
    event = frame(b'{"event":"typing_start","data":{}}')

    def deliver(member: int, messages: list[bytes]) -> list[bytes]:
        return [*messages[:member], frame(b"are you there", PING), *messages[member:9], event, *messages[9:]]

    assert not measure(deliver).faults


def test_other_bytes_for_the_same_message_are_no_fault() -> None:
    def deliver(member: int, messages: list[bytes]) -> list[bytes]:
        return [message.replace(b"send_message", b"sent_message") if member else message for message in messages]

    assert not measure(deliver).faults


def test_a_refusal_is_reported() -> None:
    refusal = frame(b'{"event":"error","data":{"message":"no"}}')
    outcome = measure(lambda _member, messages: [refusal, *messages])
    assert outcome.complaints[0] == '{"event":"error","data":{"message":"no"}}'


@given(
    streams=st.lists(st.lists(st.integers(0, 9), max_size=14), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 120), min_size=1, max_size=10),
    order=st.randoms(use_true_random=False),
)
def test_books_agree_with_counting_however_the_bytes_are_cut(
    streams: list[list[int]], cuts: list[int], order: random.Random
) -> None:
    sent = 10
    books = RoomBooks(lambda *_: None)
    members = [books.join() for _ in streams]
    books.sent = sent
    waiting = [_pieces(b"".join(_message(number) for number in stream), cuts) for stream in streams]
    while any(waiting):
        turn = order.choice([number for number, pieces in enumerate(waiting) if pieces])
        books.feed(members[turn], memoryview(waiting[turn].pop(0)))
    for member, stream in zip(members, streams, strict=True):
        assert member.faults(sent) == _counted(stream, sent)


def _message(number: int) -> bytes:
    return frame(b'{"data":{"content":"%08d hello"}}' % number)


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    pieces = []
    for turn in range(len(data)):
        size = cuts[turn % len(cuts)]
        pieces.append(data[:size])
        data = data[size:]
        if not data:
            break
    return [piece for piece in pieces if piece]


def _counted(stream: list[int], sent: int) -> Faults:
    """The plain definition: late ones came after a higher number, doubles came before."""
    seen: set[int] = set()
    faults = Faults()
    for number in stream:
        if number in seen:
            faults.duplicated += 1
        elif seen and number < max(seen):
            faults.reordered += 1
        seen.add(number)
    faults.lost = sent - len(seen)
    return faults
