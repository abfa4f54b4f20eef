"""Rules on single texts that clients of any front send, for `__post_init__` and for `Checked.checks`. Pure.

Each returns the text as it is kept, or raises `FieldError` about `field` (which `Checked` fills in by itself).
"""

import re
from typing import Final
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import EMAIL_MAX_LENGTH

from chinwag.engine.errors import Rule
from chinwag.engine.searches import MOST_QUERY_CHARACTERS
from chinwag.http.requests import FieldError

MAX_EMAIL: Final = EMAIL_MAX_LENGTH
EMAIL_SCHEMA: Final = {"format": "email", "maxLength": MAX_EMAIL}
"""What JSON Schema can say of `email_address`."""
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control characters, and those that are not seen or turn the direction of what is: with them one name looks like
another. (The joiners U+200C and U+200D are letters' business, and emoji's.)"""
LONGEST_ADDRESS: Final = 320
"""Characters of an address: no longer one can be delivered to (RFC 3696, erratum 1690 says even fewer). It takes
milliseconds to see what is wrong with one of thousands of characters, and anybody may send one."""
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\s]")


def trimmed(text: str, field: str = "", *, least: int, most: int) -> str:
    """The text without white space around it, which has to have `least` to `most` characters."""
    text = text.strip()
    if least <= len(text) <= most:
        return text
    if not text:
        raise FieldError(field, "is empty", rule=Rule.REQUIRED)
    if len(text) < least:
        raise FieldError(field, f"must have at least {least} characters")
    raise FieldError(field, f"must have at most {most} characters", rule=Rule.LENGTH)


def search_query(text: str, field: str = "", *, least: int = 1) -> str:
    """What is searched for, trimmed. With `least` 0 it may be blank: then everything is meant."""
    return trimmed(text, field, least=least, most=MOST_QUERY_CHARACTERS)


def one_line(text: str, field: str = "") -> str:
    """The text as it is, which must not hold control characters, nor invisible ones."""
    if _CONTROL.search(text):
        raise FieldError(field, "must not contain control characters", rule=Rule.FORMAT)
    return text


def email_address(text: str, field: str = "") -> str:
    """The form in which an address is stored: trimmed, its domain in lower case. Nobody looks whether it exists."""
    text = text.strip()
    if len(text) > LONGEST_ADDRESS:
        raise FieldError(field, "is not a valid address: it is too long", rule=Rule.FORMAT)
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise FieldError(field, f"is not a valid address: {error}", rule=Rule.FORMAT) from None


def login_name(text: str) -> str:
    """What was typed as username or address: trimmed, and in the form that addresses are stored in where it is one.

    What is longer than either can be is nobody's: "".
    """
    text = text.strip()
    if len(text) > LONGEST_ADDRESS:
        return ""
    try:
        return email_address(text)
    except FieldError:
        return text


def is_web_address(url: str) -> bool:
    """Whether it is an absolute http or https URL."""
    if _UNSAFE_IN_URL.search(url):
        return False
    try:
        parts = urlsplit(url)
        _port_is_a_number = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
