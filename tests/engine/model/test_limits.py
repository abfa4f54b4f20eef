"""How much is taken: what is just enough, just not too much, and one beyond either."""

import pytest

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.ids import MAX_ID
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS, refuse_bad_page, search_text, sized


@pytest.mark.parametrize("limit", [1, MAX_ID])
@pytest.mark.parametrize("skip", [0, MAX_ID])
def test_a_page_that_can_be(limit: int, skip: int) -> None:
    refuse_bad_page(limit, skip)


@pytest.mark.parametrize(
    ("limit", "skip", "field"),
    [
        (0, 0, "limit"),
        (-1, 0, "limit"),
        (MAX_ID + 1, 0, "limit"),
        (True, 0, "limit"),
        (1, -1, "skip"),
        (1, MAX_ID + 1, "skip"),
        (1, False, "skip"),
    ],
)
def test_a_page_that_cannot_be(limit: int, skip: int, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        refuse_bad_page(limit, skip)
    assert refused.value.field == field


def test_a_text_of_just_so_many_characters_is_taken_and_no_other() -> None:
    assert [sized(text, "name", least=2, most=3) for text in ("ab", "abc")] == ["ab", "abc"]
    for text in ("a", "abcd"):
        with pytest.raises(Invalid) as refused:
            sized(text, "name", least=2, most=3)
        assert refused.value.field == "name"
        assert (refused.value.rule is Rule.LENGTH) is (text == "abcd")


def test_what_is_searched_for_is_counted_without_the_space_around_it() -> None:
    longest = "x" * MOST_QUERY_CHARACTERS
    assert search_text(f" {longest}\n", "text") == longest
    with pytest.raises(Invalid):
        search_text(longest + "x", "text")
