from hypothesis import given
from hypothesis import strategies as st

from chinwag.benchmarks.generator.frames import NumberedFrames, chat_message, server_frame
from chinwag.http.carriers.websocket import FrameParser


@given(before=st.text(max_size=200), after=st.text(max_size=200), first=st.integers(0, 30), count=st.integers(1, 30))
def test_a_batch_is_what_a_server_reads_one_by_one(before: str, after: str, first: int, count: int) -> None:
    frames = NumberedFrames(before.encode(), after.encode())
    expected = [f"{before}{number:08d}{after}" for number in range(first, first + count)]
    assert FrameParser().feed(frames.batch(first, first + count)) == expected


def test_a_chat_message_has_the_size_asked_for() -> None:
    before, after = chat_message("7", 40)
    text = (before + b"00000000" + after).decode()
    assert len(text.partition('"content":"')[2].partition('"')[0]) == 40


def test_a_servers_frame_is_found_once_it_is_whole() -> None:
    for length in (0, 1, 125, 126, 65_535, 65_536):
        if length < 126:
            size = bytes([length])
        else:
            size = b"\x7e" + length.to_bytes(2, "big") if length < 65_536 else b"\x7f" + length.to_bytes(8, "big")
        data = b"?\x81" + size + b"x" * length
        assert server_frame(data[:-1], 1) is None
        found = server_frame(data + b"more", 1)
        assert found == (1, len(data) - length, len(data))
