"""What an emoji is: what Unicode lists as one (emoji-test.txt of UTS #51), in the form that it recommends. Pure.

The list is that of the package `emoji`, which follows Unicode's releases: of the sequences that could be built (a flag
of any two letters, any tag sequence) it knows those that there are.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

from msgspec.structs import replace

from chinwag.engine.model.values import Reaction

MOST_CHARACTERS: Final = 32
"""More than any emoji has; ten are the most."""
_SELECTORS: Final = str.maketrans("", "", "\ufe0e\ufe0f")
"""They choose between black and white and colour; many keyboards leave them out."""


def emoji_of(text: str) -> str | None:
    """The one emoji that a text is, fully qualified ("❤" becomes "❤️"); None for anything else."""
    listed = _listed()
    known = listed.get(text)
    if known is not None or len(text) > MOST_CHARACTERS:
        return known
    return listed.get(text.translate(_SELECTORS))


def merged(reactions: tuple[Reaction, ...]) -> tuple[Reaction, ...]:
    """Reactions as they would be today: an emoji that is stored in several forms is one, and a user has it once.

    What is no emoji, and was taken by a former release, stays as it is.
    """
    if all(emoji_of(each.emoji) in (each.emoji, None) for each in reactions):
        return reactions
    by_user: dict[tuple[int, str], Reaction] = {}
    for reaction in reactions:
        emoji = emoji_of(reaction.emoji) or reaction.emoji
        kept = reaction if emoji == reaction.emoji else replace(reaction, emoji=emoji)
        by_user.setdefault((reaction.user_id, emoji), kept)
    return tuple(by_user.values())


def reaction_of(reactions: Sequence[Reaction], user_id: int, emoji: str) -> Reaction | None:
    """A user's reaction with an emoji, in any form of it."""
    listed = emoji_of(emoji) or emoji
    return next((each for each in reactions if each.user_id == user_id and each.emoji == listed), None)


@cache
def _listed() -> dict[str, str]:
    """Every emoji in its recommended form, by that form and by what it is without selectors.

    Made when it is first needed: the package's data takes 9 MB.
    """
    from emoji import EMOJI_DATA, STATUS

    recommended = (STATUS["fully_qualified"], STATUS["component"])
    emojis = [emoji for emoji, about in EMOJI_DATA.items() if about["status"] in recommended]
    return {each: emoji for emoji in emojis for each in (emoji, emoji.translate(_SELECTORS))}
