"""A multipart/form-data body (RFC 7578) with at most one file, taken apart while it comes, within bounds. No I/O.

python-multipart finds the boundaries. What it leaves open is decided here: which parts there may be, how many and how
large, and that a body without its closing boundary was cut off.
"""

from typing import Final

import msgspec
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.http.api.refusals import MalformedBody
from chinwag.http.kit.dispositions import parse_disposition

MAX_BOUNDARY: Final = 70
"""RFC 2046 section 5.1.1."""
MAX_FIELDS: Final = 20
MAX_FIELD_BYTES: Final = 8192
MAX_HEADERS: Final = 8
MAX_HEADER_BYTES: Final = 4096
"""Of one header line of a part."""
OVERHEAD_BYTES: Final = 256 * 1024
"""More than what such a form can have besides its file."""

_BOUNDARY_CHARACTERS: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ")
_PLAIN_ENCODINGS: Final = (b"7bit", b"8bit", b"binary")


class FileBegins(msgspec.Struct, frozen=True):
    """The file begins. `name` is what the client calls it, decoded, and otherwise untouched."""

    name: str


class FileData(msgspec.Struct, frozen=True):
    """The next bytes of the file."""

    data: bytes


class FileEnds(msgspec.Struct, frozen=True):
    """The file is whole."""


FormEvent = FileBegins | FileData | FileEnds


class FormParser:
    """Takes a form's bytes as they come. Text fields are gathered in `fields`, the file is passed on as events."""

    def __init__(self, content_type: str, *, file_field: str = "file") -> None:
        """`content_type` is the request's header. Raises `MalformedBody` for another type, and without a usable
        boundary."""
        self.fields: dict[str, str] = {}
        self._file_field = file_field
        self._events: list[FormEvent] = []
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        """Of the text field that is being read; None within a file."""
        self._text = bytearray()
        self._has_file = False
        self._ended = False
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._take_header_name,
                "on_header_value": self._take_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def feed(self, data: bytes) -> list[FormEvent]:
        """Take bytes; what they say of the file. Raises `Invalid`, and `MalformedBody` for what is no such form."""
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise MalformedBody("body", "is not a well-formed form") from None
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """Nothing more comes. Raises `MalformedBody` when the form is not whole, and `Invalid` when it has no file."""
        if not self._ended:
            raise MalformedBody("body", "ends before the form's closing boundary")
        if not self._has_file:
            raise Invalid(self._file_field, "is required", rule=Rule.REQUIRED)

    # --- the parser's callbacks ---

    def _begin_part(self) -> None:
        self._headers = {}

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        part = parse_disposition(self._headers.get(b"content-disposition", b""))
        if part.kind != "form-data" or not part.name:
            raise MalformedBody("body", "has a part without a name")
        if self._headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in _PLAIN_ENCODINGS:
            raise MalformedBody("body", "has a part in a transfer encoding, which RFC 7578 does not know")
        if part.filename is not None:
            self._begin_file(part.name, part.filename)
        else:
            self._begin_field(part.name)

    def _begin_file(self, name: str, filename: str) -> None:
        if name != self._file_field:
            raise Invalid(self._file_field, "is where the file belongs, not in another field")
        if self._has_file:
            raise Invalid(self._file_field, "may be only one file")
        self._has_file = True
        self._name = None
        self._events.append(FileBegins(filename))

    def _begin_field(self, name: str) -> None:
        if name == self._file_field:
            raise Invalid(name, "must be a file, with a filename", rule=Rule.FORMAT)
        if name in self.fields:
            raise Invalid(name, "is there more than once")
        if len(self.fields) >= MAX_FIELDS:
            raise MalformedBody("body", f"has more than {MAX_FIELDS} fields")
        self._name = name
        self._text.clear()

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            self._events.append(FileData(data[start:end]))
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES:
            raise Invalid(self._name, f"has more than {MAX_FIELD_BYTES} bytes", rule=Rule.LENGTH)

    def _end_part(self) -> None:
        if self._name is None:
            self._events.append(FileEnds())
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            raise Invalid(self._name, "is not valid UTF-8", rule=Rule.FORMAT) from None
        if "\0" in text:
            raise Invalid(self._name, "must not contain the NUL character")
        self.fields[self._name] = text

    def _end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise MalformedBody("Content-Type", "must be multipart/form-data")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY or not _BOUNDARY_CHARACTERS.issuperset(boundary) or boundary[-1:] == b" ":
        raise MalformedBody("Content-Type", "has no usable boundary")
    return boundary
