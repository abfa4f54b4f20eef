"""What is wrong with a value, in plain words: all of it, by field. Pure.

msgspec stops at the first wrong value, and Chinwag's rules come after its types. A client's developer wants to know
everything at once, so what was refused is looked at again, field by field.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
import msgspec.inspect
from msgspec.inspect import CollectionType, DictType, EnumType, LiteralType, Metadata, StructType, Type

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.http.api.checked import FieldError
from chinwag.http.api.kinds import alternatives, item_type, struct_for

MOST_PROBLEMS: Final = 20
"""So many are named. Who sends a thousand wrong items knows by then what is wrong."""

_NOUNS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "NoneType": "null",
    "list": "a list",
    "dict": "an object",
}
"""By the names of JSON, and of Python: msgspec uses either, the latter for the tag of a union."""
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TYPE = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_LENGTH = re.compile(r"Expected `([^`]*)` of length ([<>]=|==) (\d+)")
_RANGE = re.compile(r"Expected `[^`]*` ([<>]=?) (-?[\d.]+)")
_PATTERN = re.compile(r"Expected `str` matching regex .*")
_PLACE = re.compile(r"(?P<message>.*) - at `(?P<key>key` in `)?\$(?P<path>.*)`", re.DOTALL)
_BOUNDS = {">=": "at least", "<=": "at most", "==": "exactly", ">": "more than", "<": "less than"}
_STEP = re.compile(r"\.([^.\[]+)|(\[[^\]]*\])")

WORDS: Final = "words"
"""In a `Meta(pattern=..., extra={WORDS: ...})`: what to say of a text that does not match."""


def explain(kind: Any, value: object, first: msgspec.ValidationError, *, whole: str, texts: bool = False) -> Invalid:
    """All that is wrong with decoded JSON as a `kind`, which refused it with the error `first`.

    `whole` names the value as such, for what is wrong with no single field. `texts`: all values came as text, so it is
    of no use to say that one is.
    """
    problems = list(islice(_problems(kind, msgspec.inspect.type_info(kind), value, texts=texts), MOST_PROBLEMS))
    if not problems:
        return explain_first(kind, first, whole=whole, texts=texts)
    head, *others = [each if each.field else Invalid(whole, each.reason, rule=each.rule) for each in problems]
    return Invalid(head.field, head.reason, rule=head.rule, others=tuple(others))


def explain_first(kind: Any, first: msgspec.ValidationError, *, whole: str, texts: bool = False) -> Invalid:
    """What the error itself says, of a value that cannot be looked at again."""
    problem = _explain(first, kind, texts=texts)
    return problem if problem.field else Invalid(whole, problem.reason, rule=problem.rule)


def join(path: str, name: str) -> str:
    """The path of a member, or of an item ("[0]")."""
    return f"{path}{name}" if not path or not name or name.startswith("[") else f"{path}.{name}"


class _Field(NamedTuple):
    """A field of a struct: what it is called in Python and in JSON, and its type in both ways to look at one."""

    name: str
    wire_name: str
    required: bool
    kind: Any
    info: Type


@lru_cache(maxsize=1024)
def _fields(kind: type[msgspec.Struct]) -> tuple[_Field, ...]:
    """To find them out takes long, and whoever sends a thousand wrong items has a thousand looked at."""
    return tuple(
        _Field(each.name, each.encode_name, each.required, each.type, msgspec.inspect.type_info(each.type))
        for each in msgspec.structs.fields(kind)
    )


def _problems(kind: Any, info: Type, value: object, *, texts: bool) -> Iterator[Invalid]:
    """What is wrong with a value, in the order of the fields."""
    struct = struct_for(value, info) if isinstance(value, dict) else None
    if struct is not None:
        assert isinstance(value, dict)
        yield from _problems_of_struct(struct.cls, value, texts=texts)
        return
    found = False
    items = item_type(info, value) if isinstance(value, list) else None
    if items is not None and any(isinstance(each, StructType) for each in alternatives(items)):
        assert isinstance(value, list)
        item_kind = _struct_class(items)
        for index, item in enumerate(value):
            for problem in _problems(item_kind, items, item, texts=texts):
                found = True
                yield _below(f"[{index}]", problem)
    if not found:
        try:
            msgspec.convert(value, kind, strict=not texts)
        except msgspec.ValidationError as error:
            yield _explain(error, kind, texts=texts)


def _problems_of_struct(kind: type[msgspec.Struct], value: dict[str, object], *, texts: bool) -> Iterator[Invalid]:
    """Each field by itself; then what they have to say together, of those that are right."""
    checks = getattr(kind, "checks", {})
    wrong: set[str] = set()
    for field in _fields(kind):
        name = field.wire_name
        if name not in value:
            if field.required:
                wrong.add(name)
                yield Invalid(name, "is required", rule=Rule.REQUIRED)
            continue
        found = False
        for problem in _problems(field.kind, field.info, value[name], texts=texts):
            found = True
            yield _below(name, problem)
        check = checks.get(field.name)
        if not found and check is not None:
            try:
                right = msgspec.convert(value[name], field.kind, strict=not texts)
                if right is not None:
                    check(right)
            except FieldError as error:
                found = True
                yield Invalid(name, error.reason, rule=error.rule)
        if found:
            wrong.add(name)
    try:
        msgspec.convert({name: each for name, each in value.items() if name not in wrong}, kind, strict=not texts)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        # Of what is left of the struct the type may say that something is missing, which is there and wrong.
        if not wrong or (isinstance(cause, FieldError) and wrong.isdisjoint((cause.field, *cause.unless))):
            yield _explain(error, kind, texts=texts)


def _struct_class(kind: Type) -> Any:
    """The structs among the alternatives of a type, as a type."""
    classes = [each.cls for each in alternatives(kind) if isinstance(each, StructType)]
    made: Any = classes[0]
    for each in classes[1:]:
        made |= each
    return made


def _below(name: str, problem: Invalid) -> Invalid:
    return Invalid(join(name, problem.field), problem.reason, rule=problem.rule)


def _explain(error: msgspec.ValidationError, kind: object, *, texts: bool) -> Invalid:
    """msgspec's message in plain words. The caller's own value is never repeated: it may be a megabyte."""
    message, path, of_key = str(error), "", False
    if place := _PLACE.fullmatch(message):
        message, path, of_key = place["message"], place["path"], place["key"] is not None
    field = path.removeprefix(".")
    cause = error.__cause__
    if isinstance(cause, FieldError):
        return Invalid(join(field, cause.field), cause.reason, rule=cause.rule)
    if missing := _MISSING.fullmatch(message):
        return Invalid(join(field, missing[1]), "is required", rule=Rule.REQUIRED)
    return Invalid(field, _reason(message, _types_at(kind, path, of_key=of_key), texts=texts), rule=_rule(message))


def _rule(message: str) -> Rule:
    """Which kind of rule msgspec's message is about."""
    if found := _LENGTH.fullmatch(message):
        return Rule.LENGTH if found[2] == "<=" else Rule.VALUE
    if _RANGE.fullmatch(message) or message.startswith(("Invalid enum value", "Invalid value")):
        return Rule.VALUE
    return Rule.VALUE if message.endswith("out of range") else Rule.FORMAT


def _reason(message: str, kinds: list[Type], *, texts: bool) -> str:
    """`kinds`: what would have been right."""
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
        return f"must be one of {', '.join(_choices(kinds))}"
    if message.endswith("out of range"):
        return "is out of range"
    if _PATTERN.fullmatch(message):
        for each in kinds:
            if isinstance(each, Metadata) and each.extra is not None and WORDS in each.extra:
                return str(each.extra[WORDS])
    return "does not have the expected form"


def _choices(kinds: list[Type]) -> list[str]:
    """The values that these types allow, as they are written."""
    allowed: list[str] = []
    for node in kinds:
        if isinstance(node, LiteralType):
            allowed += map(str, node.values)
        elif isinstance(node, EnumType):
            allowed += [str(member.value) for member in node.cls]
    return allowed


def _types_at(kind: object, path: str, *, of_key: bool) -> list[Type]:
    """The types that a value at `path` may have, or its keys, each with what describes it before it."""
    nodes = list(_opened(msgspec.inspect.type_info(kind)))
    for name, _index in _STEP.findall(path):
        below: list[Type] = []
        for node in nodes:
            if name and isinstance(node, StructType):
                below += [field.type for field in node.fields if field.encode_name == name]
                if name == node.tag_field:
                    below.append(LiteralType((node.tag,)))
            elif not name and isinstance(node, CollectionType):
                below.append(node.item_type)
        nodes = [opened for each in below for opened in _opened(each)]
    if of_key:
        return [opened for node in nodes if isinstance(node, DictType) for opened in _opened(node.key_type)]
    return nodes


def _opened(kind: Type) -> Iterator[Type]:
    if isinstance(kind, Metadata):
        yield kind
        yield from _opened(kind.type)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for each in kind.types:
            yield from _opened(each)
    else:
        yield kind
