"""The fronts that this server knows. The only place that lists them."""

from chinwag.http.api.front import Front
from chinwag.http.fronts import chatrooms, chatterstack, messenger

FRONTS: tuple[Front, ...] = (chatterstack.FRONT, chatrooms.FRONT, messenger.FRONT)


def fronts_named(names: tuple[str, ...]) -> tuple[Front, ...]:
    """The fronts with these names, in the registry's order; all of them for no names. Raises ValueError."""
    unknown = set(names) - {front.name for front in FRONTS}
    if unknown:
        raise ValueError(f"no such front: {', '.join(sorted(unknown))}")
    return tuple(front for front in FRONTS if not names or front.name in names)
