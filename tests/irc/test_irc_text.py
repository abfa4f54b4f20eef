"""What IRC can carry: names, lines and texts, back and forth. Nothing is sent here."""

import re

import pytest
from chinwag_irc import names
from chinwag_irc.lines import LINE_BYTES, Line, line, packed, parse, pieces_of, spread
from chinwag_irc.texts import MOST_LINES, from_irc, plain, to_irc
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import Attachment, Message

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
ID = st.integers(1, (1 << 53) - 1)


def message(text: str, *attachments: Attachment) -> Message:
    return Message(
        id=MessageId(1),
        room_id=RoomId(1),
        seq=1,
        author_id=UserId(1),
        author_name="ann",
        text=text,
        created_us=1,
        attachments=attachments,
    )


# - names


@given(NAME, ID)
def test_every_name_of_a_person_or_room_is_found_again_by_what_it_is_called(name: str, number: int) -> None:
    for said in (
        names.nick(number, name),
        names.channel(number, name)[1:],
        names.channel(number, name, taken=True)[1:],
    ):
        meant = names.meant_by(said)
        assert meant == names.Meant(name) or meant == names.Meant("", number)
    assert names.meant_by(names.channel(number, name, taken=True)[1:]).id == number


@given(NAME, ID)
def test_a_name_is_one_that_irc_takes(name: str, number: int) -> None:
    nick, channel = names.nick(number, name), names.channel(number, name)
    assert not re.search(r"[\s\0,*?!@.:#&+%~$<>/\"']", nick)
    assert not nick[0].isdigit() and nick[0] != "-"
    assert len(nick.encode()) <= names.NICK_BYTES
    assert channel.startswith("#")
    assert not re.search(r"[\s\0\a,:]", channel)
    assert len(channel.encode()) <= names.CHANNEL_BYTES


@pytest.mark.parametrize(
    ("name", "nick"),
    [
        ("ann", "ann"),
        ("Zoë", "Zoë"),
        ("Ann Lee", "Ann`20`Lee"),
        ("1st", "`31`st"),
        ("-x", "`2d`x"),
        ("a`20`b", "a`60`20`60`b"),
        ("x" * 65, "x" * 24 + "``7"),
        (" " * 30, "`20``20``20``20``20``20```7"),
    ],
)
def test_what_irc_cannot_say_is_spelled(name: str, nick: str) -> None:
    assert names.nick(7, name) == nick


@pytest.mark.parametrize("name", ["foo`", "`", "``", "`zz`", "`110000`", "`d800`", "``0", "x``"])
def test_what_is_no_escape_means_itself(name: str) -> None:
    assert names.meant_by(name) == names.Meant(name)


# - lines


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"NICK ann\r", Line("NICK", ("ann",))),
        (b"privmsg #tea :Hello, you: all\r", Line("PRIVMSG", ("#tea", "Hello, you: all"))),
        (b":ann!x@y  JOIN   #tea,#milk", Line("JOIN", ("#tea,#milk",))),
        (b"@time=1 :x PING :", Line("PING", ("",))),
        (b"TOPIC #tea ::-)", Line("TOPIC", ("#tea", ":-)"))),
        (b"PRIVMSG b a:b", Line("PRIVMSG", ("b", "a:b"))),
        (b"PRIVMSG b :\xff\0!", Line("PRIVMSG", ("b", "\ufffd!"))),
        (b"", None),
        (b"  \r", None),
        (b":only", None),
        (b"@:", None),
    ],
)
def test_a_line_is_read_as_the_rfc_has_it(raw: bytes, said: Line | None) -> None:
    assert parse(raw) == said


@given(st.binary(max_size=600))
def test_whatever_comes_is_a_line_or_none(raw: bytes) -> None:
    said = parse(raw)
    assert said is None or (said.command == said.command.upper() and len(said.parameters) <= 16)


@given(st.lists(TEXT, max_size=5))
def test_whatever_is_said_is_one_line(parameters: list[str]) -> None:
    raw = line("PRIVMSG", *parameters)
    assert len(raw) <= LINE_BYTES
    assert raw.endswith(b"\r\n")
    assert not set(b"\r\n\0") & set(raw[:-2])
    raw.decode()
    if len(raw) < LINE_BYTES - 4:  # nothing was cut
        said = parse(raw[:-1])
        assert said is not None
        assert len(said.parameters) == len(parameters)


@given(TEXT, st.integers(8, 60))
def test_a_text_in_pieces_is_whole_but_for_blanks(text: str, most_bytes: int) -> None:
    pieces = list(pieces_of(text, most_bytes))
    assert all(0 < len(piece.encode()) <= most_bytes for piece in pieces)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_a_long_text_is_cut_at_blanks_and_between_characters() -> None:
    assert list(pieces_of("one two three", 8)) == ["one two", "three"]
    assert list(pieces_of("ééééé", 4)) == ["éé", "éé", "é"]
    assert list(pieces_of("🍋🍋", 7)) == ["🍋", "🍋"]
    raw = spread("PRIVMSG", "#tea", ["é" * 600], source="ann!1@chinwag", around=("\x01ACTION ", "\x01"))
    lines = raw.decode().split("\r\n")[:-1]
    assert len(lines) == 3
    assert all(each.endswith("\x01") and len(each.encode()) <= 510 for each in lines)
    assert sum(each.count("é") for each in lines) == 600


def test_names_are_packed_in_as_few_lines_as_they_take() -> None:
    assert list(packed(["ann", "bob", "carl", "d" * 20], 8)) == ["ann bob", "carl", "d" * 20]
    assert list(packed([], 8)) == []


# - texts


def test_a_message_of_several_lines_is_as_many() -> None:
    assert to_irc(message("one\r\ntwo\n\n \rthree\u2028four")) == ["one", "two", "three", "four"]
    assert to_irc(message("")) == []
    long = to_irc(message("\n".join(map(str, range(100)))))
    assert len(long) == MOST_LINES
    assert long[-1] == f"[{101 - MOST_LINES} more lines]"


@given(TEXT)
def test_no_text_makes_a_client_act(text: str) -> None:
    for each in [*to_irc(message(text)), plain(text), from_irc(text) or ""]:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", each.replace("\n", "").replace("\t", ""))
    assert not any(set("\r\n") & set(each) for each in to_irc(message(text)))


def test_files_are_named() -> None:
    link = Attachment(url="https://example.org/a.png", mime_type="image/png", size_bytes=3)
    sent = Attachment(url="", mime_type="image/png", size_bytes=3, name="a\nb.png")
    assert to_irc(message("look", link, sent)) == [
        "look",
        "[file: image/png, 3 bytes] https://example.org/a.png",
        "[file: a b.png, 3 bytes]",
    ]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("hello", "hello"),
        ("\x02bold\x02 \x034,12red\x03 \x1f!", "bold red !"),
        ("\x01ACTION waves\x01", "/me waves"),
        ("\x01VERSION\x01", None),
        ("\x01DCC SEND x\x01", None),
        ("a\x01b", "ab"),
        ("a\x9b31mred", "a31mred"),
    ],
)
def test_what_is_said_is_plain_text_or_nothing(said: str, text: str | None) -> None:
    assert from_irc(said) == text
