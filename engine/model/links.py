"""Which links people may show or send. Pure."""

import re
from urllib.parse import urlsplit

from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.limits import MOST_URL_CHARACTERS, refuse_no_text, sized

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\s]")


def is_web_address(url: str) -> bool:
    """Whether it is an absolute http or https URL."""
    if _UNSAFE.search(url):
        return False
    try:
        parts = urlsplit(url)
        _port_is_a_number = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def picture_address(url: str, field: str) -> str:
    """Where a picture is: a web address, or a path on whatever server a client found (uploaded avatars have one).

    Raises `Invalid(field)`.
    """
    refuse_no_text(url, field)
    own = url.startswith("/") and not url.startswith("//") and not _UNSAFE.search(url)
    if not (own or is_web_address(url)):
        raise Invalid(field, "must be an absolute http or https URL", rule=Rule.FORMAT)
    return sized(url, field, least=1, most=MOST_URL_CHARACTERS)
