"""What an uploaded file is taken for, and what it may be called."""

import hashlib
import re
import unicodedata
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.files.file_magic import BEGINNINGS, type_by_beginning
from chinwag.engine.files.file_types import MAX_NAME_BYTES, Inspector, safe_name
from chinwag.engine.model.errors import TypeNotAllowed
from chinwag.engine.model.names import cleaned


def type_of(content: bytes, *, step: int = 7) -> str:
    inspector = Inspector()
    for at in range(0, len(content), step):
        inspector.feed(content[at : at + step])
    return inspector.mime_type()


OFFICE = "application/vnd.openxmlformats-officedocument"
OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def zipped(*names: str, content: bytes = b"\0" * 100) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return made.getvalue()


def ftyp(*brands: bytes) -> bytes:
    """The beginning of an ISO base media file."""
    return (12 + 4 * len(brands)).to_bytes(4) + b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b"hello", "text/plain"),
        ("naïve 🍵 текст".encode(), "text/plain"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "text/plain"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "text/plain"),
        (b"BM is how a bitmap begins, and this text too", "text/plain"),
        (b"MZ is how a program begins, and this text too", "text/plain"),
        (b"GIF89a=1;alert(1)", "text/plain"),
        (b"%PDF-1.7\n1 0 obj", "application/pdf"),
        (b"{\\rtf1 hello}", "application/rtf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "image/png"),
        (b"GIF89a/\0\0*<script>alert(1)</script>*/", "image/gif"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0<script>", "image/jpeg"),
        (zipped("a.txt"), "application/zip"),
        (zipped("word/document.xml"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (zipped("[Content_Types].xml", "_rels/.rels", "xl/a"), f"{OFFICE}.spreadsheetml.sheet"),
        (zipped("mimetype", content=f"{OPEN_DOCUMENT}.text".encode()), f"{OPEN_DOCUMENT}.text"),
        (zipped("mimetype", content=b"application/epub+zip"), "application/epub+zip"),
        (zipped("mimetype", content=b"text/html"), "application/zip"),
        (b"PK\x03\x04\0" + b"\xff" * 30, "application/zip"),
        (COMPOUND + "WordDocument".encode("utf-16-le"), "application/msword"),
        (COMPOUND + b"\0" * 600, "application/octet-stream"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\xff\0\0\0WAVE", "audio/x-wav"),
        (b"RIFF\xff\0\0\0what", "application/octet-stream"),
        (ftyp(b"avif"), "image/avif"),
        (ftyp(b"mif1", b"miaf", b"avif"), "image/avif"),
        (ftyp(b"mif1", b"heic"), "image/heic"),
        (ftyp(b"isom", b"avif"), "video/mp4"),
        (ftyp(b"M4A "), "audio/mp4"),
        (ftyp(b"what"), "application/octet-stream"),
        (b"\xff\xff\xff\xffftypavif", "image/avif"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x84webm", "video/webm"),
        (b"BM\xff\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "image/bmp"),
        (b"BM\xff\0what begins like a bitmap", "application/octet-stream"),
        (b"\0\0\x01\0\x01\0\x10\x10\0\0", "image/x-icon"),
        (b"\0\0\x01\xba", "video/mpeg"),
        (b"ID3\x04\0", "audio/mpeg"),
        (bytes(257) + b"ustar\0", "application/x-tar"),
        ("<script>alert(1)</script>".encode("utf-16"), "application/octet-stream"),
        (b"cut in the middle of a character \xc3", "application/octet-stream"),
        (b"\xff\xfe\xfd", "application/octet-stream"),
        (b"a text\0 with NUL", "application/octet-stream"),
    ],
)
def test_the_type_is_what_the_content_says(content: bytes, mime_type: str) -> None:
    for step in (1, 7, 100_000):
        assert type_of(content, step=step) == mime_type


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\0\x03\0\0\0",
        b"\x7fELF\x02\x01\x01\0",
        b"\xcf\xfa\xed\xfe\x07\0\0\x01",
        b"\xca\xfe\xba\xbe\0\0\0\x02",
        b"#!/bin/sh\nrm -rf /\n",
        b"#!\0",
    ],
)
def test_executables_are_refused(content: bytes) -> None:
    with pytest.raises(TypeNotAllowed, match="executable"):
        type_of(content)


TRIED = sorted({magic for _, magic, _ in BEGINNINGS} | {b"RIFF", b"PK\x03\x04", b"\0\0\0\x20ftyp", b"BM", COMPOUND})


@given(st.sampled_from(TRIED), st.binary(max_size=300))
def test_whatever_comes_after_a_known_beginning_there_is_a_type_of_the_usual_form(begin: bytes, rest: bytes) -> None:
    told = type_by_beginning(begin + rest)
    assert told is None or re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", told)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_size_and_digest_are_of_everything_however_it_comes(content: bytes, step: int) -> None:
    inspector = Inspector()
    for at in range(0, len(content), step):
        inspector.feed(content[at : at + step])
    assert (inspector.size_bytes, inspector.digest) == (len(content), hashlib.sha256(content).digest())


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.dll", "evil.dll"),
        ("/", "file"),
        ("", "file"),
        (".", "file"),
        ("..", "file"),
        ("...", "file"),
        (".bashrc", "bashrc"),
        ("a\0b\r\nc\x1b.txt", "abc.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("  spaced .txt ", "spaced .txt"),
        ("ends with dots. . .", "ends with dots"),
        ("\ud800lone", "_lone"),
        ("cafe\u0301", "caf\u00e9"),
        ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),
        ("👨\u200d👩\u200d👧.jpg", "👨\u200d👩\u200d👧.jpg"),
        ("❤\ufe0f \U000e0041.png", "❤\ufe0f .png"),
        ("שלום\u200f!.txt", "שלום\u200f!.txt"),
        ("\u2067a\u2069 b.txt", "\u2067a\u2069 b.txt"),
        ("\u2067ab.txt", "ab.txt"),
        ("a\u200b\u00adb\u3164.txt", "ab.txt"),
        ("\u3164\u200d", "file"),
        ("\ue000\ufffe.txt", "__.txt"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("console.txt", "console.txt"),
        ("/".join(["x"] * 9000), "x"),
    ],
)
def test_names_are_made_safe(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


def test_a_long_name_keeps_its_extension() -> None:
    assert safe_name("é" * 500 + ".jpeg") == "é" * 125 + ".jpeg"
    assert safe_name("x" * 300) == "x" * MAX_NAME_BYTES
    assert safe_name("a." + "x" * 300) == ("a." + "x" * 300)[:MAX_NAME_BYTES]


def test_a_long_name_is_cut_between_what_is_seen_as_one() -> None:
    family = "👨\u200d👩\u200d👧"  # of 18 bytes
    assert safe_name(family * 20 + ".jpeg") == family * 13 + ".jpeg"
    assert safe_name("\u2067" + "x" * 300 + "\u2069.txt") == "x" * 248 + ".txt"
    assert len(safe_name("x" + "\u0301" * 300).encode()) <= MAX_NAME_BYTES


@given(st.text(max_size=400) | st.text("aم.\u093e\u094d\u200c\u200d\ufe0f\u2067\u2069\u200b👩\U0001f1e6", max_size=40))
def test_every_name_is_made_safe(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME_BYTES
    assert not set("/\\\0\r\n") & set(safe)
    assert not safe.startswith((".", " "))
    assert all(unicodedata.category(each) not in ("Cc", "Cs") for each in safe)
    assert cleaned(safe) == safe
    assert safe_name(safe) == safe
