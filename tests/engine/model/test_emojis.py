"""What an emoji is, and reactions of former releases."""

import pytest

from chinwag.engine.model.emojis import emoji_of, merged, reaction_of
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import Reaction
from tests.engine.model.test_names import EMOJI

ANN, BOB = UserId(1), UserId(2)


def reaction(user_id: UserId, emoji: str, created_us: int = 0) -> Reaction:
    return Reaction(user_id=user_id, username=f"u{user_id}", emoji=emoji, created_us=created_us)


@pytest.mark.parametrize("emoji", ["👍", "👍🏽", "👩\u200d🚀", "🏳\ufe0f\u200d🌈", "⭐", *EMOJI.values()])
def test_what_unicode_lists_is_an_emoji_with_or_without_selectors(emoji: str) -> None:
    qualified = emoji_of(emoji)
    assert qualified is not None
    assert emoji_of(qualified) == emoji_of(emoji.replace("\ufe0f", "")) == qualified
    assert qualified.replace("\ufe0f", "") == emoji.replace("\ufe0f", "").replace("\ufe0e", "")


def test_the_recommended_form_is_given() -> None:
    assert emoji_of("❤") == emoji_of("❤\ufe0e") == "❤\ufe0f"
    assert emoji_of("👁\u200d🗨") == "👁\ufe0f\u200d🗨\ufe0f"
    assert emoji_of("3\u20e3") == "3\ufe0f\u20e3"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lol",
        ":tada:",
        "\u200b",
        "\ufe0f",
        "1",
        "#",
        "é",
        "..",
        "❤❤",
        "❤ ",
        "👨\u200d",
        "👨\u200d👨\u200d🍋",
        "🇦",
        "🇽🇽",
        "🏴\U000e0075\U000e0073\U000e0074\U000e0078\U000e007f",
        "👍" * 33,
        "\ud83d",
    ],
    ids=ascii,
)
def test_anything_else_is_none(text: str) -> None:
    assert emoji_of(text) is None


def test_reactions_that_differ_by_selectors_alone_are_merged_and_the_first_counts() -> None:
    stored = (reaction(ANN, "❤", 1), reaction(BOB, "❤\ufe0f", 2), reaction(ANN, "❤\ufe0f", 3), reaction(ANN, "lol", 4))
    assert merged(stored) == (reaction(ANN, "❤\ufe0f", 1), reaction(BOB, "❤\ufe0f", 2), reaction(ANN, "lol", 4))
    assert merged(merged(stored)) == merged(stored)


def test_a_reaction_is_found_in_any_form_and_one_that_is_no_emoji_letter_by_letter() -> None:
    given = (reaction(ANN, "❤\ufe0f"), reaction(ANN, "lol"))
    assert reaction_of(given, ANN, "❤") is given[0]
    assert reaction_of(given, ANN, "lol") is given[1]
    assert reaction_of(given, ANN, "LOL") is reaction_of(given, BOB, "❤") is None
