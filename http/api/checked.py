"""The base of what clients send: structs whose fields have rules that a type cannot say."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec.structs import force_setattr

from chinwag.engine.model.errors import Rule


class FieldError(ValueError):
    """The value of `field`, in the struct being built, is not acceptable. Becomes `Invalid` with the full path.

    `unless`: fields beside which it might be. When one of these is wrong itself, nothing is said of this one.
    """

    def __init__(self, field: str, reason: str, *, rule: Rule = Rule.VALUE, unless: tuple[str, ...] = ()) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.rule = rule
        self.unless = unless


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the structs that have rules on single fields. All that are broken are reported, and not only the first.

    `checks` holds by field what its type cannot say: a function that returns the value to keep, or raises `FieldError`
    (whose `field` is ignored). It is called with what has the right type, and is neither null nor left out. What
    several fields have to say together goes into an override of `__post_init__`, which raises `FieldError`.
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
