"""What services check of whatever they are given: that each argument is of the type that the method's signature says.

Fronts have decoded what they hand on, and a type checker may have seen an embedder's program; what neither saw would
fail somewhere within, or be stored. Rules beyond the type are each method's own.
"""

import inspect
import math
import types
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import wraps
from typing import Any, Final, NamedTuple, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from chinwag.engine.model.errors import Invalid, Rule

Method = TypeVar("Method", bound=Callable[..., Coroutine[Any, Any, Any]])

_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 63) - 1
"""What a store can have in a column."""


class _Kind(NamedTuple):
    """What an argument may be: `exact` without a look at it, else what it `takes`; `words` say so."""

    exact: type | None
    takes: Callable[[object], bool]
    words: str


def checked(method: Method) -> Method:
    """Let a service's method raise `Invalid`, with the argument's name, for one that is not of the type it says."""
    names = tuple(inspect.signature(method).parameters)[1:]
    kinds: dict[str, _Kind] = {}

    @wraps(method)
    async def call(self: object, *args: object, **more: object) -> object:
        if not kinds:  # not before: what the hints name may be imported later than this
            hints = get_type_hints(method)
            kinds.update({name: _kind(hints[name]) for name in names})
        for name, value in zip(names, args, strict=False):  # too many are refused by the call
            kind = kinds[name]
            if type(value) is not kind.exact and not kind.takes(value):
                raise Invalid(name, kind.words, rule=Rule.FORMAT)
        for name, value in more.items():
            named = kinds.get(name, _ANYTHING)
            if type(value) is not named.exact and not named.takes(value):
                raise Invalid(name, named.words, rule=Rule.FORMAT)
        return await method(self, *args, **more)

    return cast("Method", call)


def _kind(hint: Any) -> _Kind:
    origin, inner = get_origin(hint), get_args(hint)
    if isinstance(hint, NewType):
        return _ID
    if origin in (Union, types.UnionType):
        return _one_of([_kind(each) for each in inner])
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = map(_kind, inner)
        return _Kind(
            None,
            lambda given: isinstance(given, Mapping) and all(key.takes(k) and value.takes(v) for k, v in given.items()),
            "must be a mapping of such keys and values",
        )
    if isinstance(origin, type) and issubclass(origin, Collection):
        item = _kind(inner[0])
        return _Kind(
            None,
            lambda given: (
                isinstance(given, Collection)
                and not isinstance(given, (str, bytes, bytearray, Mapping))
                and all(map(item.takes, given))
            ),
            f"must be a collection, each of which {item.words}",
        )
    of = origin if isinstance(origin, type) else hint
    if not isinstance(of, type) or getattr(of, "_is_protocol", False):
        return _ANYTHING
    return _Kind(of, lambda given: isinstance(given, of), f"must be of the type {of.__name__}")


def _one_of(kinds: list[_Kind]) -> _Kind:
    words = " or ".join(dict.fromkeys(each.words for each in kinds if each is not _NONE))
    return _Kind(None, lambda given: any(each.takes(given) for each in kinds), words)


def _is_whole(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and _LEAST <= given <= _MOST


def _is_number(given: object) -> bool:
    return _is_whole(given) or (isinstance(given, float) and math.isfinite(given))


_NONE: Final = _Kind(types.NoneType, lambda given: given is None, "")
_ANYTHING: Final = _Kind(None, lambda _: True, "")
_ID: Final = _Kind(None, _is_whole, "must be an id, a whole number")
_PLAIN: Final[Mapping[Any, _Kind]] = {
    types.NoneType: _NONE,
    bool: _Kind(bool, lambda given: isinstance(given, bool), "must be true or false"),
    int: _Kind(None, _is_whole, "must be a whole number of at most 64 bits"),
    float: _Kind(None, _is_number, "must be a finite number"),
    str: _Kind(str, lambda given: isinstance(given, str), "must be text"),
    Any: _ANYTHING,
    object: _ANYTHING,
}
