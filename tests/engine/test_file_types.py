"""What an uploaded file is taken for, and what it may be called."""

import hashlib
import unicodedata
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.errors import TypeNotAllowed
from chinwag.engine.file_types import MAX_NAME_BYTES, Inspector, safe_name


def type_of(content: bytes, *, step: int = 7) -> str:
    inspector = Inspector()
    for at in range(0, len(content), step):
        inspector.feed(content[at : at + step])
    return inspector.mime_type()


def zipped(name: str) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, b"\0" * 100)
    return made.getvalue()


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
        ("\ud800lone", "lone"),
        ("cafe\u0301", "caf\u00e9"),
        ("/".join(["x"] * 9000), "x"),
    ],
)
def test_names_are_made_safe(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


def test_a_long_name_keeps_its_extension() -> None:
    assert safe_name("é" * 500 + ".jpeg") == "é" * 125 + ".jpeg"
    assert safe_name("x" * 300) == "x" * MAX_NAME_BYTES
    assert safe_name("a." + "x" * 300) == ("a." + "x" * 300)[:MAX_NAME_BYTES]


@given(st.text(max_size=400))
def test_every_name_is_made_safe(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME_BYTES
    assert not set("/\\\0\r\n") & set(safe)
    assert not safe.startswith((".", " "))
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs") for each in safe)
    assert safe_name(safe) == safe
