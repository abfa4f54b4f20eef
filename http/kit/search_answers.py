"""What the answers to searches have in common, whatever the front. Pure."""

from typing import Final

from chinwag.http.api.routing import HeaderParameter
from chinwag.http.api.values import Header

COMPLETE: Final = HeaderParameter(
    "X-Search-Complete",
    "`false`: the search took too long and ended. There may be more than was found, newer ones too. "
    "It is absent otherwise.",
)
"""For the routes that search."""


def completeness(complete: bool) -> tuple[Header, ...]:
    """The headers of an answer that tell whether everything was looked at."""
    return () if complete else ((COMPLETE.name.lower(), "false"),)
