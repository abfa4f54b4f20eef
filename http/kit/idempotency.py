"""Idempotency keys over HTTP: the header, and the `client_id` of a body, are two ways to say one thing."""

from collections.abc import Mapping
from typing import Final

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.http.api.routing import HeaderParameter

MOST_CHARACTERS: Final = 200
"""Of a key, where a front has no other limit."""
_NAME: Final = "Idempotency-Key"


def message_key(headers: Mapping[str, str], client_id: str | None = None, *, most: int = MOST_CHARACTERS) -> str | None:
    """The key of a message that is posted, None without one. Raises `Invalid` for a header that is none, or that is not
    the `client_id` of the body where there are both."""
    given = headers.get("idempotency-key")
    if given is None:
        return client_id
    key = given.strip()
    if not (0 < len(key) <= most and key.isascii() and key.isprintable()):
        raise Invalid(_NAME, f"must have 1 to {most} visible ASCII characters", rule=Rule.FORMAT)
    if client_id is not None and client_id != key:
        raise Invalid(_NAME, "is not the same as client_id")
    return key


def key_header(most: int = MOST_CHARACTERS) -> HeaderParameter:
    """The header, for the documentation of routes that read it."""
    return HeaderParameter(
        _NAME,
        f"1 to {most} visible characters. A retry under the same key answers with the first message.",
        {"minLength": 1, "maxLength": most, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    )
