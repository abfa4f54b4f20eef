"""What a type takes, for whoever has a value and wants to know where in the type it belongs. Pure."""

from collections.abc import Iterator, Mapping

from msgspec.inspect import (
    AnyType,
    CollectionType,
    DictType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
)


def alternatives(kind: Type) -> Iterator[Type]:
    """The types that a value of this one may have, without what only describes them."""
    if isinstance(kind, Metadata):
        yield from alternatives(kind.type)
    elif isinstance(kind, UnionType):
        for each in kind.types:
            yield from alternatives(each)
    else:
        yield kind


def takes_null(kind: Type) -> bool:
    """Whether null is a value of this type."""
    return any(isinstance(each, NoneType | AnyType) for each in alternatives(kind))


def takes_lists(kind: Type) -> bool:
    """Whether a list is."""
    return item_type(kind) is not None


def takes_any_text(kind: Type) -> bool:
    """Whether every text is a value of this type, and nothing else is: of no id, time or number that is so."""
    return all(isinstance(each, StrType) and each.pattern is None for each in alternatives(kind))


def struct_for(value: Mapping[str, object], kind: Type) -> StructType | None:
    """The struct that this object is to be, by its tag where there are several; None for one that no struct is."""
    structs = [each for each in alternatives(kind) if isinstance(each, StructType)]
    for each in structs:
        if each.tag_field is None or value.get(each.tag_field) == each.tag:
            return each
    return None


def item_type(kind: Type, value: list[object] | None = None) -> Type | None:
    """The type of a list's items, None where no list is taken, or not one as long as `value`: then what is in it does
    not matter."""
    for each in alternatives(kind):
        if isinstance(each, CollectionType):
            too_long = value is not None and each.max_length is not None and len(value) > each.max_length
            return None if too_long else each.item_type
    return None


def member_type(kind: Type) -> Type | None:
    """The type of a mapping's values, None where no mapping is taken."""
    for each in alternatives(kind):
        if isinstance(each, DictType):
            return each.value_type
    return None


def drop_nulls(value: object, kind: Type) -> bool:
    """Take every null out of decoded JSON that stands for a field which may be left out, and whose type has no null.

    Changes `value` in place. Returns whether there was any.
    """
    dropped = False
    if isinstance(value, list):
        items = item_type(kind, value)
        if items is not None:
            for item in value:
                dropped |= drop_nulls(item, items)
    elif isinstance(value, dict):
        struct = struct_for(value, kind)
        if struct is None:
            members = member_type(kind)
            if members is not None:
                for item in value.values():
                    dropped |= drop_nulls(item, members)
            return dropped
        for field in struct.fields:
            name = field.encode_name
            if name not in value:
                continue
            if value[name] is None:
                if not field.required and not takes_null(field.type):
                    del value[name]
                    dropped = True
            else:
                dropped |= drop_nulls(value[name], field.type)
    return dropped
