"""Rules on single texts that clients of any front send, for `__post_init__` and for `Checked.checks`. Pure.

Each returns the text as it is kept, or raises `FieldError` about `field` (which `Checked` fills in by itself). Beside
them stand the types of such fields, which say the same to the documentation as far as a schema can.
"""

from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta

from chinwag.engine.accounts import password_text
from chinwag.engine.encryption.room_crypto import check_public_key
from chinwag.engine.model import addresses, limits, names
from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.limits import MOST_QUERY_CHARACTERS
from chinwag.http.api.checked import FieldError

MAX_EMAIL: Final = addresses.MOST_CHARACTERS

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
    Meta(
        description=NAME_RULE,
        extra_json_schema={"minLength": 1, "maxLength": limits.MOST_NAME_CHARACTERS, "pattern": rf"^{_NO_CONTROLS}"},
    ),
]
"""Of a person or a room, to be shown."""
Username = Annotated[
    str,
    Meta(
        description=_USERNAME_RULE,
        extra_json_schema={
            "minLength": limits.LEAST_USERNAME_CHARACTERS,
            "maxLength": limits.MOST_USERNAME_CHARACTERS,
            "pattern": r"^(?!\s*\+?[0-9]+\s*$)(?!\s*[0-9A-Fa-f]{24}\s*$)(?!.*@)" + _NO_CONTROLS,
        },
    ),
]
Email = Annotated[str, Meta(description=_EMAIL_RULE, extra_json_schema={"format": "email", "maxLength": MAX_EMAIL})]


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


def visible_name(text: str, field: str = "") -> str:
    """A display name, or a room's: `names.visible`."""
    return _ruled(names.visible, text, field)


def username(text: str, field: str = "") -> str:
    """`names.username`."""
    return _ruled(names.username, text, field)


def new_password(text: str, field: str = "") -> str:
    """A password as it was typed, which the engine will take."""
    _ruled(lambda password, _: password_text.kept_form(password), text, field)
    return text


def email_address(text: str, field: str = "") -> str:
    """The form in which an address is kept: `addresses.kept`."""
    return _ruled(addresses.kept, text, field)


def login_name(text: str) -> str:
    """What was typed as username or address: trimmed, and in the form that addresses are stored in where it is one.

    What is longer than either can be is nobody's: "".
    """
    text = text.strip()
    if len(text) > addresses.LONGEST:
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


def _ruled(rule: Callable[[str, str], str], text: str, field: str) -> str:
    try:
        return rule(text, field)
    except Invalid as invalid:
        raise FieldError(field, invalid.reason, rule=invalid.rule) from None
