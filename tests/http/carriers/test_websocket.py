"""RFC 6455 frames and handshake: each case whole, byte by byte, and with bytes to spare."""

import base64
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.http.carriers.websocket import (
    MAX_REASON_BYTES,
    PINGS_AT_ONCE,
    WEB_SOCKET,
    Close,
    FrameParser,
    HandshakeRefused,
    Incoming,
    Opcode,
    Ping,
    Pong,
    ProtocolFailure,
    accept_upgrade,
    close_frame,
    frame,
    frame_text,
    wants_websocket,
)
from chinwag.http.lane.head import RequestHead
from chinwag.http.lane.parsing import parse_lane_head
from tests.http.peers import MASK, client_frame, text

LIMIT = 70_000
"""Above the last boundary of the length's encodings, so that all of them fit into a message."""


def close(payload: bytes) -> bytes:
    return client_frame(Opcode.CLOSE, payload)


def feed_all(parser: FrameParser, pieces: Iterable[bytes]) -> list[Incoming]:
    return [message for piece in pieces for message in parser.feed(piece)]


def by_bytes(data: bytes) -> Iterator[bytes]:
    return (data[index : index + 1] for index in range(len(data)))


def assert_parses(data: bytes, expected: list[Incoming]) -> None:
    """However the bytes arrive, they mean the same."""
    assert FrameParser(LIMIT).feed(data) == expected
    assert feed_all(FrameParser(LIMIT), by_bytes(data)) == expected
    spare = text("spare")
    assert FrameParser(LIMIT).feed(data + spare) == [*expected, "spare"]
    for kept in range(1, len(spare)):
        parser = FrameParser(LIMIT)
        assert parser.feed(data + spare[:kept]) == expected
        assert parser.feed(spare[kept:]) == ["spare"]


def assert_fails(data: bytes, code: int, before: list[Incoming] | None = None, *, limit: int = LIMIT) -> str:
    """However the bytes arrive, they are refused, after what preceded the fault; return the reason."""
    expected = before or []
    spare = text("never seen")
    for whole in (data, data + spare):
        parser = FrameParser(limit)
        with pytest.raises(ProtocolFailure) as caught:
            parser.feed(whole)
        assert caught.value.code == code
        assert list(caught.value.before) == expected
        assert parser.finished
        assert parser.feed(spare) == []
    slow = FrameParser(limit)
    found: list[Incoming] = []
    with pytest.raises(ProtocolFailure) as caught:
        for piece in by_bytes(data):
            found += slow.feed(piece)
    assert caught.value.code == code
    assert [*found, *caught.value.before] == expected
    assert slow.feed(spare) == []
    return caught.value.reason


# --- messages ---


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 65535, 65536, LIMIT - 1, LIMIT])
def test_messages_of_every_length_encoding(size: int) -> None:
    assert_parses(client_frame(Opcode.TEXT, b"x" * size), ["x" * size])
    payload = os.urandom(size)
    assert_parses(client_frame(Opcode.BINARY, payload), [payload])


@pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_limit_is_the_longest_message(limit: int, opcode: Opcode) -> None:
    fits = client_frame(opcode, b"x" * limit)
    (message,) = FrameParser(limit).feed(fits)
    assert isinstance(message, str | bytes)
    assert len(message) == limit
    assert len(feed_all(FrameParser(limit), by_bytes(fits))) == 1
    assert_fails(client_frame(opcode, b"x" * (limit + 1)), 1009, limit=limit)


def test_too_big_is_refused_before_the_payload_arrives() -> None:
    header = client_frame(Opcode.TEXT, b"x" * (LIMIT + 1))[:10]  # not even the mask
    with pytest.raises(ProtocolFailure) as caught:
        FrameParser(LIMIT).feed(header)
    assert caught.value.code == 1009


def test_limit_counts_all_fragments() -> None:
    first = client_frame(Opcode.TEXT, b"x" * 60, fin=False)
    assert FrameParser(100).feed(first + client_frame(Opcode.CONTINUATION, b"y" * 40)) == ["x" * 60 + "y" * 40]
    assert_fails(first + client_frame(Opcode.CONTINUATION, b"y" * 41)[:6], 1009, limit=100)


def test_many_messages_in_one_read_keep_their_order() -> None:
    words = [f"message {n}" for n in range(500)]
    assert FrameParser().feed(b"".join(map(text, words))) == words


def test_default_limit_is_one_mebibyte() -> None:
    size = 1024 * 1024
    header = struct.pack("!BBQ", 0x81, 0xFF, size) + b"\0\0\0\0"  # a mask of zeros leaves the payload as it is
    assert FrameParser().feed(header + b"x" * size) == ["x" * size]
    with pytest.raises(ProtocolFailure) as caught:
        FrameParser().feed(struct.pack("!BBQ", 0x81, 0xFF, size + 1))
    assert caught.value.code == 1009


# --- fragments and control frames ---


def test_fragmented_message_with_control_frames_between() -> None:
    data = (
        client_frame(Opcode.TEXT, b"one ", fin=False)
        + client_frame(Opcode.PING, b"p1")
        + client_frame(Opcode.CONTINUATION, b"", fin=False)
        + client_frame(Opcode.PONG, b"p2")
        + client_frame(Opcode.CONTINUATION, b"two")
    )
    assert_parses(data, [Ping(b"p1"), Pong(b"p2"), "one two"])


def test_binary_fragments_need_not_be_text() -> None:
    data = client_frame(Opcode.BINARY, b"\xff", fin=False) + client_frame(Opcode.CONTINUATION, b"\xfe")
    assert_parses(data, [b"\xff\xfe"])


def test_empty_fragments_make_an_empty_message() -> None:
    data = client_frame(Opcode.TEXT, b"", fin=False) + client_frame(Opcode.CONTINUATION, b"")
    assert_parses(data, [""])


@pytest.mark.parametrize("size", [0, 1, 125])
def test_control_payloads_up_to_their_limit(size: int) -> None:
    payload = os.urandom(size)
    assert_parses(client_frame(Opcode.PING, payload), [Ping(payload)])
    assert_parses(client_frame(Opcode.PONG, payload), [Pong(payload)])


def test_messages_before_a_failure_are_not_lost() -> None:
    data = text("kept") + client_frame(Opcode.PING, b"kept too") + client_frame(3, b"")
    assert_fails(data, 1002, ["kept", Ping(b"kept too")])


REFUSED = {
    "reserved bit 1": client_frame(Opcode.TEXT, b"x", reserved=4),
    "reserved bit 2": client_frame(Opcode.TEXT, b"x", reserved=2),
    "reserved bit 3": client_frame(Opcode.BINARY, b"x", reserved=1),
    "reserved bit on a control frame": client_frame(Opcode.PING, b"", reserved=4),
    **{f"reserved opcode {n:#x}": client_frame(n, b"") for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "unmasked text": client_frame(Opcode.TEXT, b"xxxxxxxxxx", masked=False),
    "unmasked empty text": client_frame(Opcode.TEXT, b"", masked=False),
    "unmasked ping": client_frame(Opcode.PING, b"", masked=False),
    "unmasked text of 200": client_frame(Opcode.TEXT, b"x" * 200, masked=False),
    "fragmented ping": client_frame(Opcode.PING, b"", fin=False),
    "fragmented close": client_frame(Opcode.CLOSE, b"", fin=False),
    "long ping": client_frame(Opcode.PING, b"x" * 126),
    "very long pong": client_frame(Opcode.PONG, b"x" * 65536),
    "continuation of nothing": client_frame(Opcode.CONTINUATION, b"x"),
    "continuation of a finished message": text("") + client_frame(Opcode.CONTINUATION, b"x"),
    "text in a text": client_frame(Opcode.TEXT, b"x", fin=False) + text("whole message"),
    "binary in a text": client_frame(Opcode.TEXT, b"x", fin=False) + client_frame(Opcode.BINARY, b"x"),
    "16 bits for a length of 125": struct.pack("!BBH", 0x81, 0xFE, 125) + MASK + b"x" * 125,
    "16 bits for a length of 0": struct.pack("!BBH", 0x82, 0xFE, 0) + MASK,
    "64 bits for a length of 65535": struct.pack("!BBQ", 0x81, 0xFF, 65535) + MASK + b"x" * 65535,
    "64 bits with the top one set": struct.pack("!BBQ", 0x81, 0xFF, 1 << 63) + MASK,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_broken_framing_is_a_protocol_error(data: bytes) -> None:
    before: list[Incoming] = [""] if data.startswith(text("")) else []
    assert assert_fails(data, 1002, before)


# --- text ---

GOOD_TEXT = ["", "κόσμε", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "𐀀", "\U0010ffff"]


@pytest.mark.parametrize("words", GOOD_TEXT)
def test_text_in_any_script(words: str) -> None:
    data = words.encode()
    assert_parses(client_frame(Opcode.TEXT, data), [words])
    for cut in range(len(data) + 1):  # a fragment may end inside a character
        fragments = client_frame(Opcode.TEXT, data[:cut], fin=False) + client_frame(Opcode.CONTINUATION, data[cut:])
        assert_parses(fragments, [words])


BAD_TEXT = {
    "lone continuation byte": b"\x80",
    "surrogate": b"\xed\xa0\x80",
    "surrogate pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "overlong in two bytes": b"\xc0\xaf",
    "overlong in three": b"\xe0\x80\xaf",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80",
    "beyond the last code point": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "byte that never occurs": b"\xff",
    "truncated at the end, of two": b"\xce",
    "truncated at the end, of three": b"\xe2\x82",
    "truncated at the end, of four": b"\xf0\x9f\x98",
    "truncated in the middle": b"\xe2\x82abc",
}


@pytest.mark.parametrize("bad", BAD_TEXT.values(), ids=BAD_TEXT.keys())
@pytest.mark.parametrize("prefix", [b"", "hällo ".encode(), b"x" * 200], ids=["alone", "after words", "long"])
def test_text_that_is_not_utf8_is_refused(bad: bytes, prefix: bytes) -> None:
    data = prefix + bad
    assert_fails(client_frame(Opcode.TEXT, data), 1007)
    for cut in range(len(prefix), len(data) + 1):
        fragments = client_frame(Opcode.TEXT, data[:cut], fin=False) + client_frame(Opcode.CONTINUATION, data[cut:])
        assert_fails(fragments, 1007)


@pytest.mark.parametrize(
    ("bad", "noticed_at"),
    [
        (b"\xff", 1),
        (b"\xf4\x90\x80\x80", 2),
        (b"\xe0\x80\xaf", 2),
        (b"\xc0\xaf", 1),
        (b"\xed\xa0\x80", 3),  # Python's decoder waits for the whole of a surrogate
    ],
)
def test_bad_text_is_refused_at_its_first_bad_byte(bad: bytes, noticed_at: int) -> None:
    good = "κόσμε".encode() * 10
    whole = client_frame(Opcode.TEXT, good + bad + good)
    start = len(whole) - len(good) - len(bad)
    parser = FrameParser()
    assert parser.feed(whole[: start + noticed_at - 1]) == []
    with pytest.raises(ProtocolFailure) as caught:
        parser.feed(whole[start + noticed_at - 1 : start + noticed_at])
    assert caught.value.code == 1007


def test_bad_text_is_refused_in_an_early_fragment() -> None:
    parser = FrameParser()
    assert parser.feed(client_frame(Opcode.TEXT, b"fine", fin=False)) == []
    with pytest.raises(ProtocolFailure) as caught:
        parser.feed(client_frame(Opcode.CONTINUATION, b"\xff", fin=False))
    assert caught.value.code == 1007


# --- close ---


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_close_codes_that_may_be_sent(code: int) -> None:
    data = close(struct.pack("!H", code) + "adiós".encode())
    for pieces in ([data], by_bytes(data), [data + text("ignored")], [text("a") + data[:3], data[3:] + b"\xff\xff"]):
        parser = FrameParser()
        found = feed_all(parser, pieces)
        assert found[-1] == Close(code, "adiós")
        assert parser.finished
        assert parser.feed(text("ignored")) == []
    assert Close(code, "adiós").answer() == b"\x88\x02" + struct.pack("!H", code)


def test_close_without_a_code() -> None:
    assert FrameParser().feed(close(b"")) == [Close(None, "")]
    assert Close().answer() == b"\x88\x00"


def test_close_inside_a_fragmented_message() -> None:
    data = client_frame(Opcode.TEXT, b"unfinished", fin=False) + close(struct.pack("!H", 1000))
    assert FrameParser().feed(data) == [Close(1000)]


def test_longest_close_reason() -> None:
    assert FrameParser().feed(close(struct.pack("!H", 1000) + b"r" * 123)) == [Close(1000, "r" * 123)]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_close_codes_that_may_not_be_sent(code: int) -> None:
    assert_fails(text("before") + close(struct.pack("!H", code)), 1002, ["before"])
    with pytest.raises(ValueError, match="may not be sent"):
        close_frame(code)


def test_half_a_close_code_is_refused() -> None:
    assert_fails(close(b"\x03"), 1002)


@pytest.mark.parametrize("bad", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_close_reason_must_be_text(bad: bytes) -> None:
    assert_fails(close(struct.pack("!H", 1000) + bad), 1007)


# --- frames out ---


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (127, b"\x81\x7e\x00\x7f"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frames_out_use_the_shortest_length(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert WEB_SOCKET.frame(payload, None, None) == header + payload
    assert frame_text(payload) == header + payload
    assert frame(Opcode.TEXT, payload) == header + payload
    assert frame(Opcode.BINARY, payload) == b"\x82" + header[1:] + payload
    assert frame(Opcode.CONTINUATION, payload, fin=False) == b"\x00" + header[1:] + payload


def test_control_frames_out_keep_to_their_limits() -> None:
    assert frame(Opcode.PONG, b"x" * 125) == b"\x8a\x7d" + b"x" * 125
    with pytest.raises(ValueError, match="control frame"):
        frame(Opcode.PING, b"x" * 126)
    with pytest.raises(ValueError, match="control frame"):
        frame(Opcode.PING, b"", fin=False)


def test_close_frame_carries_code_and_reason() -> None:
    assert close_frame(4408, "slow consumer") == b"\x88\x0f\x11\x38slow consumer"
    assert close_frame() == b"\x88\x00"


@given(st.text(st.characters(codec="utf-8")))
def test_long_close_reasons_are_cut_at_a_character(reason: str) -> None:
    kept = close_frame(1000, reason)[4:].decode()
    assert reason.startswith(kept)
    assert len(kept.encode()) <= MAX_REASON_BYTES
    if kept != reason:  # not one character more would have fitted
        assert len(reason[: len(kept) + 1].encode()) > MAX_REASON_BYTES


# --- laws ---

MESSAGES = st.one_of(st.text(st.characters(codec="utf-8"), max_size=200), st.binary(max_size=200))
MASKS = st.binary(min_size=4, max_size=4)
CONTROLS = st.builds(Ping, st.binary(max_size=125)) | st.builds(Pong, st.binary(max_size=125))


def control_frame(control: Ping | Pong, mask: bytes) -> bytes:
    return client_frame(Opcode.PING if isinstance(control, Ping) else Opcode.PONG, control.payload, mask=mask)


def cuts(draw: st.DrawFn, size: int, most: int) -> list[int]:
    return [0, *sorted(draw(st.lists(st.integers(0, size), max_size=most))), size]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Incoming]]:
    """What a client sends, and what it means: messages in any fragmentation, control frames anywhere between."""
    wire = b""
    meaning: list[Incoming] = []
    for message in draw(st.lists(MESSAGES, max_size=5)):
        payload = message.encode() if isinstance(message, str) else message
        bounds = cuts(draw, len(payload), 4)
        last = len(bounds) - 2
        for index in range(last + 1):
            for control in draw(st.lists(CONTROLS, max_size=1)):
                wire += control_frame(control, draw(MASKS))
                meaning.append(control)
            first = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
            opcode = first if index == 0 else Opcode.CONTINUATION
            piece = payload[bounds[index] : bounds[index + 1]]
            wire += client_frame(opcode, piece, fin=index == last, mask=draw(MASKS))
        meaning.append(message)
    return wire, meaning


@given(conversations(), st.data())
def test_parsing_undoes_framing_under_any_chopping(
    conversation: tuple[bytes, list[Incoming]], data: st.DataObject
) -> None:
    wire, meaning = conversation
    bounds = [0, *sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20))), len(wire)]
    pieces = [wire[start:stop] for start, stop in pairwise(bounds)]
    assert feed_all(FrameParser(), pieces) == meaning
    assert feed_all(FrameParser(), by_bytes(wire)) == meaning


@given(st.binary(max_size=300), st.data())
def test_any_bytes_mean_the_same_however_they_arrive(wire: bytes, data: st.DataObject) -> None:
    """Also broken ones: same messages, and the same failure or none."""

    def outcome(pieces: Iterable[bytes]) -> tuple[list[Incoming], tuple[int, str] | None]:
        parser = FrameParser(100)
        found: list[Incoming] = []
        try:
            for piece in pieces:
                found += parser.feed(piece)
        except ProtocolFailure as failure:
            return [*found, *failure.before], (failure.code, failure.reason)
        return found, None

    cut = data.draw(st.integers(0, len(wire)))
    assert outcome([wire]) == outcome(by_bytes(wire)) == outcome([wire[:cut], wire[cut:]])


# --- handshake ---

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def handshake(
    *, method: str = "GET", version: str = "1.1", without: str = "", extra: str = "", **changed: str
) -> RequestHead:
    """A good opening handshake, but for what is asked: `extra` is raw lines, `changed` names headers in snake case."""
    headers = {name.lower(): value for name, value in HEADERS.items()}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != without)
    data = f"{method} /ws?room_id=1 HTTP/{version}\r\n{lines}{extra}\r\n".encode()
    return parse_lane_head(data).as_request_head()


def test_accepting_answers_the_key_of_the_rfc() -> None:
    assert accept_upgrade(handshake()) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"upgrade": "WebSocket"},
        {"upgrade": "h2c, websocket"},
        {"connection": "keep-alive, UPGRADE"},
        {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"},
        {"content_length": "0"},
    ],
)
def test_unusual_handshakes_are_accepted(changed: dict[str, str]) -> None:
    response = accept_upgrade(handshake(**changed))
    assert response.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in response.lower()


def test_connection_header_may_take_several_lines() -> None:
    assert accept_upgrade(handshake(without="connection", extra="Connection: keep-alive\r\nConnection: upgrade\r\n"))


REFUSED_HANDSHAKES = {
    "POST": (handshake(method="POST"), 405),
    "HEAD": (handshake(method="HEAD"), 405),
    "HTTP/1.0": (handshake(version="1.0"), 400),
    "no Upgrade": (handshake(without="upgrade"), 426),
    "other Upgrade": (handshake(upgrade="h2c"), 426),
    "no version": (handshake(without="sec-websocket-version"), 426),
    "old version": (handshake(sec_websocket_version="8"), 426),
    "version with an extra": (handshake(sec_websocket_version="13x"), 426),
    "two hosts": (replace(handshake(), headers=(*handshake().headers, ("host", "other.example"))), 400),
    "two versions": (handshake(extra="Sec-WebSocket-Version: 13\r\n"), 400),
    "no Connection": (handshake(without="connection"), 400),
    "other Connection": (handshake(connection="keep-alive"), 400),
    "no key": (handshake(without="sec-websocket-key"), 400),
    "empty key": (handshake(sec_websocket_key=""), 400),
    "short key": (handshake(sec_websocket_key=base64.b64encode(b"x" * 15).decode()), 400),
    "long key": (handshake(sec_websocket_key=base64.b64encode(b"x" * 17).decode()), 400),
    "key not in base64": (handshake(sec_websocket_key="dGhlIHNhbXBsZSBub25jZ*=="), 400),
    "key without padding": (handshake(sec_websocket_key=KEY.rstrip("=")), 400),
    "two keys": (handshake(extra=f"Sec-WebSocket-Key: {KEY}\r\n"), 400),
    "body": (handshake(content_length="5"), 400),
    "chunked body": (handshake(transfer_encoding="chunked"), 400),
}


@pytest.mark.parametrize(("head", "status"), REFUSED_HANDSHAKES.values(), ids=REFUSED_HANDSHAKES.keys())
def test_bad_handshakes_are_refused(head: RequestHead, status: int) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        accept_upgrade(head)
    refused = caught.value
    assert refused.status == status
    assert refused.message
    if status == 405:
        assert refused.headers == (("Allow", "GET"),)
    elif status == 426:
        assert dict(refused.headers) == {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


def test_no_subprotocol_is_agreed_on() -> None:
    assert accept_upgrade(handshake(sec_websocket_protocol="mqtt, chat.v2")) == accept_upgrade(handshake())


def test_wanting_a_websocket_is_told_by_the_upgrade_header() -> None:
    assert wants_websocket(handshake())
    assert wants_websocket(handshake(upgrade="WEBSOCKET", without="connection"))
    assert not wants_websocket(handshake(without="upgrade"))
    assert not wants_websocket(handshake(upgrade="h2c"))


def test_of_a_flood_of_pings_only_the_last_is_reported() -> None:
    pings = b"".join(client_frame(Opcode.PING, str(number).encode()) for number in range(1000))
    found = FrameParser().feed(pings + client_frame(Opcode.TEXT, b"after"))
    assert len(found) <= PINGS_AT_ONCE + 1
    assert found[-2:] == [Ping(b"999"), "after"]
