"""Bodies and query strings: what is refused, and in which words."""

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from chinwag.engine.model.errors import Invalid
from chinwag.http.api.checked import FieldError
from chinwag.http.api.decoding import BodyReader, QueryReader, query_pairs


class File(msgspec.Struct, frozen=True):
    url: Annotated[str, Meta(min_length=3, max_length=10)]
    size: Annotated[int, Meta(ge=0, le=100)] = 0

    def __post_init__(self) -> None:
        if self.url.startswith("ftp"):
            raise FieldError("url", "must be http")


class Post(msgspec.Struct, frozen=True, rename="camel"):
    the_text: str
    role: Literal["ADMIN", "MEMBER"] = "MEMBER"
    files: Annotated[tuple[File, ...], Meta(max_length=2)] = ()
    ratio: float | None = None
    big: int = 0
    tags: dict[str, int] = {}

    def __post_init__(self) -> None:
        if self.the_text == "bad":
            raise FieldError("theText", "is bad")


class Search(msgspec.Struct, frozen=True):
    q: str
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    ids: tuple[str, ...] = ()
    exact: bool = False


class Optional(msgspec.Struct, frozen=True):
    limit: int = 20
    around: str | None = None


read_post = BodyReader(Post)
read_search = QueryReader(Search)
read_optional = QueryReader(Optional)


def test_a_good_body_is_read() -> None:
    body = '{"theText": "hé", "files": [{"url": "http://a"}], "unknown": [1, {"x": null}]}'.encode()
    assert read_post(body) == Post(the_text="hé", files=(File(url="http://a"),))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: is empty, JSON is needed"),
        (b"[]", "body: must be an object, not a list"),
        (b"null", "body: must be an object, not null"),
        (b'"text"', "body: must be an object, not text"),
        (b"12", "body: must be an object, not a whole number"),
        (b"{", "body: is not well-formed JSON"),
        (b'{"theText": "a",}', "body: is not well-formed JSON"),
        (b"{'theText': 'a'}", "body: is not well-formed JSON"),
        (b'{"theText": "a"} x', "body: is not well-formed JSON"),
        (b"\xef\xbb\xbf{}", "body: is not well-formed JSON"),
        (b'{"theText": "\xff"}', "body: is not valid UTF-8"),
        (b'{"theText": "a", "unknown": "\xff"}', "body: is not valid UTF-8"),
        (b'{"theText": "\xed\xa0\x80"}', "body: is not valid UTF-8"),
        (b'{"theText": "\x00"}', "body: is not well-formed JSON"),
        (b'{"theText": "\\ud800"}', "body: is not well-formed JSON"),
        (b'{"theText": "\\udc00"}', "body: is not well-formed JSON"),
        (b'{"theText": "\\ud800\\ud800"}', "body: is not well-formed JSON"),
        (b'{"theText": "\\ud83d x"}', "body: is not well-formed JSON"),
        (b'{"theText": "a", "unknown": "\\ud800"}', "body: is not well-formed JSON"),
        (b'{"theText": "a\\u0000b"}', "theText: must not contain the NUL character"),
        (b'{"theText": "a", "files": [{"url": "a\\u0000b"}]}', "files[0].url: must not contain the NUL character"),
        (b'{"theText": "a", "tags": {"a\\u0000": 1}}', "tags: must not contain the NUL character"),
        (b"{}", "theText: is required"),
        (b'{"theText": 5}', "theText: must be text, not a whole number"),
        (b'{"theText": null}', "theText: must be text, not null"),
        (b'{"theText": ["a"]}', "theText: must be text, not a list"),
        (b'{"theText": "bad"}', "theText: is bad"),
        (b'{"theText": "a", "role": "BOSS"}', "role: must be one of ADMIN, MEMBER"),
        (b'{"theText": "a", "role": " - at `$.x`"}', "role: must be one of ADMIN, MEMBER"),
        (b'{"theText": "a", "role": 1}', "role: must be text, not a whole number"),
        (b'{"theText": "a", "files": {}}', "files: must be a list, not an object"),
        (b'{"theText": "a", "files": [1]}', "files[0]: must be an object, not a whole number"),
        (b'{"theText": "a", "files": [{}]}', "files[0].url: is required"),
        (b'{"theText": "a", "files": [{"url": "a"}]}', "files[0].url: must have at least 3 characters"),
        (b'{"theText": "a", "files": [{"url": "ftp"}]}', "files[0].url: must be http"),
        (b'{"theText": "a", "files": [{"url": "aaa", "size": 101}]}', "files[0].size: must be at most 100"),
        (b'{"theText": "a", "files": [{"url": "aaa", "size": -1}]}', "files[0].size: must be at least 0"),
        (
            b'{"theText": "a", "files": [{"url": "aaa", "size": 1.5}]}',
            "files[0].size: must be a whole number, not a number",
        ),
        (
            b'{"theText": "a", "files": [{"url": "aaa", "size": true}]}',
            "files[0].size: must be a whole number, not true or false",
        ),
        (b'{"theText": "a", "ratio": "1"}', "ratio: must be a number, not text"),
        (b'{"theText": "a", "ratio": 1e999}', "ratio: is out of range"),
        (b'{"theText": "a", "big": ' + b"9" * 10_000 + b"}", "big: is out of range"),
    ],
)
def test_a_bad_body_is_refused_with_the_name_of_the_field(body: bytes, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_post(body)
    assert refused.value.message == message


def test_an_escaped_backslash_before_u0000_is_plain_text() -> None:
    assert read_post(b'{"theText": "\\\\u0000"}').the_text == "\\u0000"


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert read_post(b'{"theText": "\\ud83d\\ude00"}').the_text == "😀"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(Invalid, match="body: is nested too deeply"):
        read_post(b'{"unknown": ' + opening * 100_000)


def test_a_whole_may_have_another_name() -> None:
    with pytest.raises(Invalid, match="frame: must be an object, not a list"):
        BodyReader(Post, what="frame")(b"[]")


class Join(msgspec.Struct, tag_field="event", tag="join"):
    room: str


class Leave(msgspec.Struct, tag_field="event", tag="leave"):
    room: str


def test_an_unknown_tag_is_refused_with_those_that_are_known() -> None:
    read: BodyReader[Join | Leave] = BodyReader(Join | Leave)  # type: ignore[arg-type]  # a union is no class to mypy
    with pytest.raises(Invalid, match="event: must be one of join, leave"):
        read(b'{"event": "dance", "room": "1"}')
    with pytest.raises(Invalid, match="event: is required"):
        read(b'{"room": "1"}')


@pytest.mark.parametrize(
    ("tag", "noun"),
    [
        ("null", "null"),
        ("5", "a whole number"),
        ("1.5", "a number"),
        ("true", "true or false"),
        ("[]", "a list"),
        ("{}", "an object"),
    ],
)
def test_a_tag_of_another_type_is_named_in_plain_words(tag: str, noun: str) -> None:
    read: BodyReader[Join | Leave] = BodyReader(Join | Leave)  # type: ignore[arg-type]  # a union is no class to mypy
    with pytest.raises(Invalid, match=f"^event: must be text, not {noun}$"):
        read(f'{{"event": {tag}, "room": "1"}}'.encode())


@given(st.binary())
def test_no_bytes_break_the_reader(body: bytes) -> None:
    try:
        read_post(body)
    except Invalid as refused:
        assert refused.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.fixed_dictionaries(
        {"theText": JSON}, optional={"role": JSON, "files": st.lists(st.dictionaries(st.sampled_from(["url"]), JSON))}
    )
)
def test_no_json_breaks_the_reader(body: object) -> None:
    try:
        read = read_post(msgspec.json.encode(body))
    except Invalid as refused:
        assert len(refused.message) < 2000
    else:
        assert "\0" not in read.the_text


def test_a_good_query_is_read() -> None:
    assert read_search("q=caf%C3%A9+x&limit=5&exact=true&other=1") == Search(q="café x", limit=5, exact=True)


def test_of_a_repeated_parameter_the_first_counts_unless_it_is_a_list() -> None:
    assert read_search("q=a&q=b&ids=1&ids=2") == Search(q="a", ids=("1", "2"))


def test_an_empty_query_has_the_defaults() -> None:
    assert read_optional("") == Optional()
    assert read_optional("&&=&x") == Optional()


def test_raw_utf8_in_a_query_is_decoded() -> None:
    assert read_search("q=" + "日本".encode().decode("latin-1")).q == "日本"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "q: is required"),
        ("limit=5", "q: is required"),
        ("q=a&limit=0", "limit: must be at least 1"),
        ("q=a&limit=101", "limit: must be at most 100"),
        ("q=a&limit=ten", "limit: must be a whole number"),
        ("q=a&limit=", "limit: must be a whole number"),
        ("q=a&limit=1_0", "limit: must be a whole number"),
        ("q=a&limit=%D9%A3", "limit: must be a whole number"),
        ("q=a&limit=" + "9" * 10_000, "limit: is out of range"),
        ("q=a&exact=perhaps", "exact: must be true or false"),
        ("q=%ff", "query: is not valid UTF-8"),
        ("q=\xff", "query: is not valid UTF-8"),
        ("q=%ED%A0%80", "query: is not valid UTF-8"),
        ("q=a%00b", "q: must not contain the NUL character"),
        ("q=a&" + "x&" * 2000, "query: has too many parameters"),
    ],
)
def test_a_bad_query_is_refused_with_the_name_of_the_parameter(query: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_search(query)
    assert refused.value.message == message


@given(st.text(st.characters(max_codepoint=255)))
def test_no_query_breaks_the_reader(query: str) -> None:
    for text in (query, f"q={query}", f"q=a&limit={query}"):
        try:
            read_search(text)
        except Invalid as refused:
            assert refused.reason


def test_pairs_keep_their_order_and_empty_values() -> None:
    assert query_pairs("room_id=2&room_id=1&since=") == [("room_id", "2"), ("room_id", "1"), ("since", "")]
