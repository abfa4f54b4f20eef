"""Rules on single texts that clients of any front send, for `__post_init__` and for `Checked.checks`. Pure.

Each returns the text as it is kept, or raises `FieldError` about `field` (which `Checked` fills in by itself). Beside
them stand the types of such fields, which say the same to the documentation as far as a schema can.
"""

import re
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

import email_validator
from email_validator.rfc_constants import EMAIL_MAX_LENGTH
from msgspec import Meta

from chinwag.engine.accounts import password_text
from chinwag.engine.encryption.room_crypto import check_public_key
from chinwag.engine.model import names
from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.http.api.checked import FieldError

MAX_EMAIL: Final = EMAIL_MAX_LENGTH
LONGEST_ADDRESS: Final = 320
"""Characters of an address: no longer one can be delivered to (RFC 3696, erratum 1690 says even fewer). It takes
milliseconds to see what is wrong with one of thousands of characters, and anybody may send one."""

NAME_RULE: Final = (
    "Counted without white space around it. It shows something, and has no character that is not seen or turns the "
    "text around; joiners between letters and in emoji, direction marks and closed isolates are taken."
)
_USERNAME_RULE: Final = (
    f"{NAME_RULE} No @, nor what looks like a telephone number or an id. Names that differ only by case, by composed "
    "and decomposed characters, by white space or by what is not seen are the same."
)
_EMAIL_RULE: Final = "Compared without case; addresses of a local network (ann@localhost, ann@nas.home.arpa) are taken."
PASSWORD_RULE: Final = (
    "No control characters, nor others that are not seen. Composed and decomposed characters are the same, and so are "
    "all kinds of blanks (RFC 8265)."
)
_NO_CONTROLS: Final = r"[^\u0000-\u001f\u007f-\u009f]+$"

# What the functions below take, for the documentation: lengths count after trimming, so msgspec checks none.
Name = Annotated[
    str,
    Meta(description=NAME_RULE, extra_json_schema={"minLength": 1, "maxLength": 100, "pattern": rf"^{_NO_CONTROLS}"}),
]
"""Of a person or a room, to be shown."""
Username = Annotated[
    str,
    Meta(
        description=_USERNAME_RULE,
        extra_json_schema={
            "minLength": 3,
            "maxLength": 50,
            "pattern": r"^(?!\s*\+?[0-9]+\s*$)(?!\s*[0-9A-Fa-f]{24}\s*$)(?!.*@)" + _NO_CONTROLS,
        },
    ),
]
Email = Annotated[str, Meta(description=_EMAIL_RULE, extra_json_schema={"format": "email", "maxLength": MAX_EMAIL})]

_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\s]")

# Nobody looks whether an address exists, and a server at home or in a test has users such as ann@chat.local. There is
# no argument for it; email-validator's documentation has callers change this list.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


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


def visible_name(text: str, field: str = "", *, least: int = 1, most: int = 100) -> str:
    """A display name, or a room's: `names.visible`, with `least` to `most` characters."""
    return trimmed(_ruled(names.visible, text, field), field, least=least, most=most)


def username(text: str, field: str = "", *, least: int = 3, most: int = 50) -> str:
    """`names.username`, with `least` to `most` characters."""
    return trimmed(_ruled(names.username, text, field), field, least=least, most=most)


def new_password(text: str, field: str = "") -> str:
    """A password as it was typed, which the engine will take."""
    _ruled(lambda password, _: password_text.kept_form(password), text, field)
    return text


def email_address(text: str, field: str = "") -> str:
    """The form in which an address is stored: trimmed, its domain in lower case. Nobody looks whether it exists."""
    text = text.strip()
    if len(text) > LONGEST_ADDRESS:
        raise FieldError(field, "is not a valid address: it is too long", rule=Rule.FORMAT)
    try:
        return email_validator.validate_email(
            text, check_deliverability=False, globally_deliverable=False, allow_domain_literal=True
        ).normalized
    except email_validator.EmailNotValidError as error:
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


def public_key(text: str, field: str = "") -> str:
    """A profile's public key in its normal form: `check_public_key`."""
    try:
        return check_public_key(text)
    except Invalid as invalid:
        raise FieldError(field, invalid.reason, rule=Rule.FORMAT) from None


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


def _ruled(rule: Callable[[str, str], str], text: str, field: str) -> str:
    try:
        return rule(text, field)
    except Invalid as invalid:
        raise FieldError(field, invalid.reason, rule=invalid.rule) from None
