"""Forms, taken apart however they are cut, and those that are attacks."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.engine.model.errors import Invalid
from chinwag.http.kit.multipart import (
    MAX_BOUNDARY,
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    FileBegins,
    FileData,
    FileEnds,
    FormParser,
)
from tests.examples import examples
from tests.http.kit.file_server import BOUNDARY, field, file_part, form

TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def parsed(pieces: Iterable[bytes], content_type: str = TYPE) -> tuple[str, bytes, dict[str, str]]:
    """The file's name and content, and the fields."""
    parser = FormParser(content_type)
    names, content, ended = [], b"", 0
    for piece in pieces:
        for event in parser.feed(piece):
            match event:
                case FileBegins():
                    names.append(event.name)
                case FileData():
                    assert len(names) == 1 and not ended
                    content += event.data
                case FileEnds():
                    ended += 1
    parser.finish()
    assert (len(names), ended) == (1, 1)
    return names[0], content, parser.fields


def in_pieces(body: bytes, sizes: list[int]) -> Iterable[bytes]:
    at = 0
    while at < len(body):
        for size in sizes:
            yield body[at : at + size]
            at += size


MARKS = [b"\r\n", b"--", f"\r\n--{BOUNDARY}".encode()[:-1], f"--{BOUNDARY}".encode(), b"\r", b"\n", b"\0", b"text"]
CONTENTS = st.lists(st.sampled_from(MARKS), max_size=8).map(b"".join) | st.binary(max_size=200)


@settings(max_examples=examples(400))
@given(CONTENTS, st.lists(st.integers(1, 80), min_size=1, max_size=4), st.booleans())
def test_however_a_form_is_cut_it_says_the_same(content: bytes, sizes: list[int], first: bool) -> None:
    if f"\r\n--{BOUNDARY}".encode() in b"\r\n" + content:
        content = content.replace(b"--", b"")
    parts = [file_part(content, "a.txt"), field("room", "7 ü")]
    body = form(*parts) if first else form(*reversed(parts))
    assert parsed(in_pieces(body, sizes)) == ("a.txt", content, {"room": "7 ü"})


@settings(max_examples=examples(400))
@given(st.binary(max_size=400), st.integers(0, 300))
def test_whatever_the_bytes_are_the_only_error_is_invalid(noise: bytes, at: int) -> None:
    body = form(file_part(b"content"), field("room", "7"))
    for attempt in (noise, body[:at] + noise + body[at:], body[:at] + noise, body[: at % len(body)]):
        try:
            parsed([attempt])
        except Invalid as refused:
            assert refused.field and refused.reason


def test_what_comes_before_and_after_the_form_is_overlooked() -> None:
    body = b"\r\n" + form(file_part(b"content")) + b"an epilogue"
    assert parsed([body])[1] == b"content"


def test_quoted_boundaries_and_other_parameters() -> None:
    body = form(file_part(b"content"))
    for content_type in (
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"Multipart/Form-Data; charset=utf-8; boundary={BOUNDARY}",
        f"multipart/form-data;boundary={BOUNDARY};x=y",
    ):
        assert parsed([body], content_type)[1] == b"content"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("a.txt", "a.txt"),
        ("données.txt", "données.txt"),
        ("a%22b.txt", 'a"b.txt'),
        ("=?utf-8?B?5paw6IGe?=", "新聞"),
        ("", ""),
    ],
)
def test_names_come_as_the_client_wrote_them(sent: str, name: str) -> None:
    part = f'Content-Disposition: form-data; name="file"; filename="{sent}"\r\n\r\nx'.encode()
    assert parsed([form(part)])[0] == name


@pytest.mark.parametrize(
    ("parts", "field_name", "reason"),
    [
        ([file_part(b"x"), file_part(b"y")], "file", "only one"),
        ([file_part(b"x", field_name="other")], "file", "another field"),
        ([field("file", "x")], "file", "must be a file"),
        ([file_part(b"x"), field("a", "1"), field("a", "2")], "a", "more than once"),
        ([field("a", "x" * (MAX_FIELD_BYTES + 1))], "a", "more than"),
        ([field(f"f{n}", "x") for n in range(MAX_FIELDS + 1)], "body", "fields"),
        ([b'Content-Disposition: form-data; name="a"\r\n\r\n\xff'], "a", "UTF-8"),
        ([b'Content-Disposition: form-data; name="a"\r\n\r\nx\0'], "a", "NUL"),
        ([b'Content-Disposition: form-data; name=""\r\n\r\nx'], "body", "without a name"),
        ([b"Content-Disposition: form-data\r\n\r\nx"], "body", "without a name"),
        ([b'Content-Disposition: attachment; name="a"\r\n\r\nx'], "body", "without a name"),
        ([b"\r\nx"], "body", "without a name"),
        ([b"no colon here\r\n\r\nx"], "body", "well-formed"),
        ([file_part(b"x", more="X: " + "y" * MAX_HEADER_BYTES + "\r\n")], "body", "well-formed"),
        ([file_part(b"x", more="X: y\r\n" * MAX_HEADERS)], "body", "well-formed"),
        ([file_part(b"eA==", more="Content-Transfer-Encoding: base64\r\n")], "body", "transfer encoding"),
    ],
)
def test_forms_that_are_wrong(parts: list[bytes], field_name: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refused:
        parsed([form(*parts)])
    assert refused.value.field == field_name


def test_a_form_that_was_cut_off_is_never_taken_for_a_whole_one() -> None:
    body = form(field("room", "7"), file_part(b"content")).rstrip(b"\r\n")
    for cut in range(len(body)):
        with pytest.raises(Invalid):
            parsed([body[:cut]])
    assert parsed([body])[1] == b"content"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'x' * (MAX_BOUNDARY + 1)}",
        'multipart/form-data; boundary="a\r\nb"',
        'multipart/form-data; boundary="a b "',
        "multipart/form-data; boundary=é",
    ],
)
def test_a_form_needs_its_type_and_a_usable_boundary(content_type: str) -> None:
    with pytest.raises(Invalid, match="Content-Type"):
        FormParser(content_type)
