"""Bodies and query strings into typed structs, or `Invalid` with the field's name and a reason in plain words.

What gets through is a value of the declared type whose texts are valid Unicode without NUL. Whatever the bytes are, the
only exception is `Invalid`, which names everything that is wrong. Rules that a type cannot say are in `checked`.

**What is left out.** A field may be left out when it has a default; where all have one, so may the whole body. Null in
its place means left out, too, unless the field's type has a null: that is a value, and means what the struct says
("clear it", in what changes something). A query has no null; there the word counts as one, but in texts.
"""

from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
import msgspec.inspect

from chinwag.engine.model.errors import Invalid
from chinwag.http.api.kinds import drop_nulls, takes_any_text, takes_lists
from chinwag.http.api.refusals import MalformedBody
from chinwag.http.api.wrong_values import explain, explain_first, join

T = TypeVar("T")

MAX_QUERY_PARAMETERS = 2000
"""More than any client sends; a bound on the work of one request."""

_NULL = "null"


class BodyReader(Generic[T]):
    """Reads JSON bodies of one type. Built once per route."""

    def __init__(self, kind: type[T], *, what: str = "body") -> None:
        """`what` names the whole in errors that are about no field of it."""
        self._kind = kind
        self._what = what
        self._decoder = msgspec.json.Decoder(kind)
        self._info = msgspec.inspect.type_info(kind)
        self._may_be_empty = may_be_empty(kind)

    def __call__(self, raw: bytes | str) -> T:
        """The body as the type; text is what was valid UTF-8. Raises `Invalid`."""
        if not raw:
            return self._of_nothing()
        try:
            if isinstance(raw, bytes) and not raw.isascii():
                raw.decode()  # msgspec checks only the fields it keeps
            value = self._decoder.decode(raw)
        except UnicodeDecodeError:
            raise MalformedBody(self._what, "is not valid UTF-8") from None
        except msgspec.ValidationError as error:
            value = self._without_nulls(raw, error)
        except msgspec.DecodeError:
            if raw.isspace():
                return self._of_nothing()
            # A lone surrogate (`\ud800`) comes out here too, some of them as "truncated": one wording for all.
            raise MalformedBody(self._what, "is not well-formed JSON") from None
        except RecursionError:
            raise MalformedBody(self._what, "is nested too deeply") from None
        if isinstance(raw, bytes):
            if b"\\u0000" in raw:
                refuse_nul(value)
        elif "\\" in raw and "\\u0000" in raw:  # one character is found several times as fast as six are
            refuse_nul(value)
        return value

    def _of_nothing(self) -> T:
        """What a client means who sends no body."""
        if not self._may_be_empty:
            raise MalformedBody(self._what, "is empty, JSON is needed")
        return msgspec.convert({}, self._kind)

    def _without_nulls(self, raw: bytes | str, first: msgspec.ValidationError) -> T:
        """What was refused, once more: this time a null that is no value counts as left out. Raises `Invalid`.

        (Reading it so at once would cost every body what only few need.)
        """
        try:
            value = msgspec.json.decode(raw)
        except msgspec.ValidationError:  # a number out of any range
            raise explain_first(self._kind, first, whole=self._what) from None
        except (msgspec.DecodeError, RecursionError):
            # The decoder stops at the first wrong value, which may be before text that is no JSON at all.
            raise MalformedBody(self._what, "is not well-formed JSON") from None
        if value is None and self._may_be_empty:
            return self._of_nothing()
        if drop_nulls(value, self._info):
            try:
                return msgspec.convert(value, self._kind)
            except msgspec.ValidationError as error:
                first = error
        raise explain(self._kind, value, first, whole=self._what) from None


class QueryReader(Generic[T]):
    """Reads query strings of one type. Unknown parameters are ignored; of a repeated one the first counts, unless the
    field is a list. Texts are trimmed; of anything else the word null means that it is left out."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType), "a query is read into a struct"
        self._lists = {field.encode_name for field in info.fields if takes_lists(field.type)}
        self._texts = {field.encode_name for field in info.fields if takes_any_text(field.type)}
        self._required = {field.encode_name for field in info.fields if field.required}
        self._empty: T | None = None
        if may_be_empty(kind):
            self._empty = msgspec.convert({}, kind)

    def __call__(self, query: str) -> T:
        """The parameters as the type. Raises `Invalid`."""
        if not query and self._empty is not None:
            return self._empty
        values = self._values(query)
        try:
            return msgspec.convert(values, self._kind, strict=False)
        except msgspec.ValidationError as error:
            raise explain(self._kind, values, error, whole="query", texts=True) from None

    def _values(self, query: str) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, value in query_pairs(query):
            if name in self._lists:
                several = values.setdefault(name, [])
                assert isinstance(several, list)
                several.append(value)
            elif name in self._texts:
                values.setdefault(name, value.strip())
            elif value != _NULL or name in self._required:
                values.setdefault(name, value)
        return values


def may_be_empty(kind: Any) -> bool:
    """Whether nothing at all is a body or query of this type: no field is needed."""
    try:
        msgspec.convert({}, kind)
    except msgspec.ValidationError:
        return False
    return True


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Every parameter of a query string, in order, decoded. Raises `Invalid`."""
    if not query:
        return []
    try:
        if not query.isascii():  # raw UTF-8 where percent-encoding belongs, decoded by the server as latin-1
            query = query.encode("latin-1").decode()
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_PARAMETERS)
    except UnicodeError:
        raise Invalid("query", "is not valid UTF-8") from None
    except ValueError:
        raise Invalid("query", "has too many parameters") from None
    for name, value in pairs:
        if "\0" in value or "\0" in name:
            raise Invalid(name.replace("\0", "") or "query", "must not contain the NUL character")
    return pairs


def refuse_nul(value: object, path: str = "") -> None:
    """Raise `Invalid` when a text anywhere in `value` holds the NUL character. `path` names `value` itself."""
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid(path, "must not contain the NUL character")
    elif isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        for attribute, name in names:
            refuse_nul(getattr(value, attribute), join(path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_nul(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_nul(key, path)
            refuse_nul(item, join(path, str(key)))
