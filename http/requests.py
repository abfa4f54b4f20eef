"""Bodies and query strings into typed structs, or `Invalid` with the field's name and a reason in plain words.

What gets through is a value of the declared type whose texts are valid Unicode without NUL. Whatever the bytes are, the
only exception is `Invalid`. Rules that a type cannot say go into the struct's `__post_init__`, which raises
`FieldError` (a `ValueError`, so that msgspec adds where in the body it happened).
"""

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
import msgspec.inspect
from msgspec.structs import force_setattr

from chinwag.engine.errors import Invalid, Rule
from chinwag.http.refusals import MalformedBody

T = TypeVar("T")

MAX_QUERY_PARAMETERS = 2000
"""More than any client sends; a bound on the work of one request."""

_NOUNS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TYPE = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_LENGTH = re.compile(r"Expected `([^`]*)` of length ([<>]=|==) (\d+)")
_RANGE = re.compile(r"Expected `[^`]*` ([<>]=?) (-?[\d.]+)")
_BOUNDS = {">=": "at least", "<=": "at most", "==": "exactly", ">": "more than", "<": "less than"}
_STEP = re.compile(r"\.([^.\[]+)|(\[[^\]]*\])")


class FieldError(ValueError):
    """The value of `field`, in the struct being built, is not acceptable. Becomes `Invalid` with the full path."""

    def __init__(self, field: str, reason: str, *, rule: Rule = Rule.VALUE) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.rule = rule


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the structs of which everything that is wrong is reported, and not only what is wrong first.

    `checks` holds by field what its type cannot say: a function that returns the value to keep, or raises `FieldError`
    (whose `field` is ignored). It is called with what has the right type, and is neither null nor left out.
    """

    checks: ClassVar[Mapping[str, Callable[[Any], object]]] = {}

    def __post_init__(self) -> None:
        for field, check in type(self).checks.items():
            value = getattr(self, field)
            if value is not None and value is not msgspec.UNSET:
                try:
                    force_setattr(self, field, check(value))
                except FieldError as error:
                    raise FieldError(field, error.reason, rule=error.rule) from None


class BodyReader(Generic[T]):
    """Reads JSON bodies of one type. Built once per route."""

    def __init__(self, kind: type[T], *, what: str = "body") -> None:
        """`what` names the whole in errors that are about no field of it."""
        self._kind = kind
        self._what = what
        self._decoder = msgspec.json.Decoder(kind)

    def __call__(self, raw: bytes | str) -> T:
        """The body as the type; text is what was valid UTF-8. Raises `Invalid`."""
        if not raw:
            raise MalformedBody(self._what, "is empty, JSON is needed")
        try:
            if isinstance(raw, bytes) and not raw.isascii():
                raw.decode()  # msgspec checks only the fields it keeps
            value = self._decoder.decode(raw)
        except UnicodeDecodeError:
            raise MalformedBody(self._what, "is not valid UTF-8") from None
        except msgspec.ValidationError as error:
            raise self._invalid(raw, error) from None
        except msgspec.DecodeError:
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

    def _invalid(self, raw: bytes | str, first: msgspec.ValidationError) -> Invalid:
        if isinstance(self._kind, type) and issubclass(self._kind, Checked):
            # The decoder stops at the first wrong value, which may be before text that is no JSON at all.
            try:
                values = msgspec.json.decode(raw)
            except (msgspec.DecodeError, RecursionError):
                return MalformedBody(self._what, "is not well-formed JSON")
            if isinstance(values, dict):
                return _explain_all(self._kind, values, first, whole=self._what)
        return _explain(first, self._kind, whole=self._what)


class QueryReader(Generic[T]):
    """Reads query strings of one type. Unknown parameters are ignored; of a repeated one the first counts, unless the
    field is a list."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType), "a query is read into a struct"
        self._lists = {field.encode_name for field in info.fields if _is_list(field.type)}
        self._empty: T | None = None
        if not any(field.required for field in info.fields):
            self._empty = msgspec.convert({}, kind)

    def __call__(self, query: str) -> T:
        """The parameters as the type. Raises `Invalid`."""
        if not query and self._empty is not None:
            return self._empty
        values = self._values(query)
        try:
            return msgspec.convert(values, self._kind, strict=False)
        except msgspec.ValidationError as error:
            if issubclass(self._kind, Checked):
                raise _explain_all(self._kind, values, error, whole="query", texts=True) from None
            raise _explain(error, self._kind, whole="query", texts=True) from None

    def _values(self, query: str) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, value in query_pairs(query):
            if name in self._lists:
                several = values.setdefault(name, [])
                assert isinstance(several, list)
                several.append(value)
            else:
                values.setdefault(name, value)
        return values


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
            refuse_nul(getattr(value, attribute), _join(path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_nul(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_nul(key, path)
            refuse_nul(item, _join(path, str(key)))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_list(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_is_list, kind.types))
    return isinstance(kind, msgspec.inspect.ListType | msgspec.inspect.VarTupleType)


def _explain(error: msgspec.ValidationError, kind: object, *, whole: str, texts: bool = False) -> Invalid:
    """msgspec's message in plain words. The caller's own value is never repeated: it may be a megabyte.

    `whole` names the value as such, for what is wrong with no single field. `texts`: all values came as text, so it is
    of no use to say that one is.
    """
    message, at, path = str(error).rpartition(" - at `$")
    if at:
        path = path.removesuffix("`")
    else:
        message, path = path, ""
    field = path.removeprefix(".")
    cause = error.__cause__
    if isinstance(cause, FieldError):
        return Invalid(_join(field, cause.field), cause.reason, rule=cause.rule)
    if missing := _MISSING.fullmatch(message):
        return Invalid(_join(field, missing[1]), "is required", rule=Rule.REQUIRED)
    return Invalid(field or whole, _reason(message, kind, path, texts=texts), rule=_rule(message))


def _explain_all(
    kind: type[Checked],
    values: Mapping[str, object],
    first: msgspec.ValidationError,
    *,
    whole: str,
    texts: bool = False,
) -> Invalid:
    """Look at each field by itself, and report all that are wrong."""
    problems: list[Invalid] = []
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in values:
            if field.required:
                problems.append(Invalid(name, "is required", rule=Rule.REQUIRED))
            continue
        try:
            value = msgspec.convert(values[name], field.type, strict=not texts)
            check = kind.checks.get(field.name)
            if check is not None and value is not None:
                check(value)
        except msgspec.ValidationError as error:
            found = _explain(error, field.type, whole="", texts=texts)
            problems.append(Invalid(_join(name, found.field) if found.field else name, found.reason, rule=found.rule))
        except FieldError as error:
            problems.append(Invalid(name, error.reason, rule=error.rule))
    if not problems:
        return _explain(first, kind, whole=whole, texts=texts)
    head, *others = problems
    return Invalid(head.field, head.reason, rule=head.rule, others=tuple(others))


def _rule(message: str) -> Rule:
    """Which kind of rule msgspec's message is about."""
    if found := _LENGTH.fullmatch(message):
        return Rule.LENGTH if found[2] == "<=" else Rule.VALUE
    if _RANGE.fullmatch(message) or message.startswith(("Invalid enum value", "Invalid value")):
        return Rule.VALUE
    return Rule.VALUE if message.endswith("out of range") else Rule.FORMAT


def _reason(message: str, kind: object, path: str, *, texts: bool) -> str:
    if found := _TYPE.fullmatch(message):
        wanted = [_NOUNS.get(name, name) for name in found[1].split(" | ") if name != "null"]
        needed = f"must be {' or '.join(wanted) or 'null'}"
        return needed if texts else f"{needed}, not {_NOUNS.get(found[2], found[2])}"
    if found := _LENGTH.fullmatch(message):
        unit = "characters" if found[1] == "str" else "items"
        return f"must have {_BOUNDS[found[2]]} {found[3]} {unit}"
    if found := _RANGE.fullmatch(message):
        return f"must be {_BOUNDS[found[1]]} {found[2]}"
    if message.startswith(("Invalid enum value", "Invalid value")):
        return f"must be one of {', '.join(_choices(kind, path))}"
    if message.endswith("out of range"):
        return "is out of range"
    return "does not have the expected form"


def _choices(kind: object, path: str) -> list[str]:
    """The values that the type at `path` allows, as they are written."""
    nodes = [msgspec.inspect.type_info(kind)]
    for name, _index in _STEP.findall(path):
        below: list[msgspec.inspect.Type] = []
        for node in _alternatives(nodes):
            if name and isinstance(node, msgspec.inspect.StructType):
                below += [field.type for field in node.fields if field.encode_name == name]
                if name == node.tag_field:
                    below.append(msgspec.inspect.LiteralType((node.tag,)))
            elif not name and isinstance(node, msgspec.inspect.CollectionType):
                below.append(node.item_type)
        nodes = below
    allowed: list[str] = []
    for node in _alternatives(nodes):
        if isinstance(node, msgspec.inspect.LiteralType):
            allowed += map(str, node.values)
        elif isinstance(node, msgspec.inspect.EnumType):
            allowed += [str(member.value) for member in node.cls if isinstance(member, enum.Enum)]
    return allowed


def _alternatives(nodes: list[msgspec.inspect.Type]) -> list[msgspec.inspect.Type]:
    flat: list[msgspec.inspect.Type] = []
    for node in nodes:
        flat += node.types if isinstance(node, msgspec.inspect.UnionType) else (node,)
    return flat
