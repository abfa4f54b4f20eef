"""Ids as UUIDs: every id has one, and nothing else is one."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.kit.uuid_ids import IDS

ids = st.integers(min_value=1, max_value=MAX_ID)


@given(ids)
def test_an_id_comes_back_from_its_uuid(number: int) -> None:
    text = IDS.encode(number)
    assert IDS.decode(text) == number
    assert IDS.decode(text.upper()) == number


@given(ids)
def test_it_is_a_uuid_of_version_8_in_canonical_form(number: int) -> None:
    read = uuid.UUID(IDS.encode(number))
    assert (read.version, read.variant) == (8, uuid.RFC_4122)
    assert str(read) == IDS.encode(number)


@given(ids, ids)
def test_uuids_sort_as_their_ids_do(one: int, other: int) -> None:
    assert (IDS.encode(one) < IDS.encode(other)) == (one < other)


@given(ids, st.integers(min_value=0, max_value=70) | st.integers(min_value=76, max_value=79))
def test_a_bit_flipped_outside_of_the_id_makes_it_none(number: int, bit: int) -> None:
    changed = uuid.UUID(int=uuid.UUID(IDS.encode(number)).int ^ (1 << bit))
    assert IDS.decode(str(changed)) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1",
            "188c9f97-5843-4f5d-b511-7bb07cd20624",
            str(uuid.UUID(int=0)),
            IDS.encode(0),
            IDS.encode(1)[:-1],
            IDS.encode(1) + "0",
        ),
        *(
            " " + IDS.encode(1),
            "{" + IDS.encode(1) + "}",
            IDS.encode(1).replace("-", ""),
            IDS.encode(1).replace("8", "８"),
        ),
    ],
)
def test_nothing_else_is_an_id(text: str) -> None:
    assert IDS.decode(text) is None
