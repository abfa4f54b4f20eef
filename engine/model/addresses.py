"""Which e-mail addresses are well formed, and when two are one. Pure.

Domains are compared by their ASCII form (IDNA 2008, mapped as UTS #46 says, non-transitional: "faß.de" is not
"fass.de"). To whom upper and lower case in front of the @ matter is up to the receiving host (RFC 5321, section 2.4),
but none tells two people apart by it: so it is compared as names are.
"""

from typing import Final

import email_validator
import idna
from email_validator.rfc_constants import EMAIL_MAX_LENGTH

from chinwag.engine.model import names
from chinwag.engine.model.errors import Invalid, Rule
from chinwag.engine.model.limits import refuse_no_text
from chinwag.engine.model.text import folded

_MOST_CHARACTERS: Final = 253
"""Of a domain (RFC 1035, section 2.3.4), dots included. Longer texts are none, and are not worked on."""

MOST_CHARACTERS: Final = EMAIL_MAX_LENGTH
"""Of an address as it is kept."""
LONGEST: Final = 320
"""Characters of an address that is looked at: no longer one can be delivered to (RFC 3696, erratum 1690 says even
fewer). It takes milliseconds to see what is wrong with one of thousands of characters, and anybody may send one."""

# Nobody looks whether an address exists, and a server at home or in a test has users such as ann@chat.local. There is
# no argument for it; email-validator's documentation has callers change this list.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def kept(address: str, field: str = "email") -> str:
    """The form in which an address is kept: trimmed, its domain in lower case. Nobody looks whether it exists. Raises
    `Invalid(field)`."""
    refuse_no_text(address, field)
    address = address.strip()
    if len(address) > LONGEST:
        raise Invalid(field, "is not a valid address: it is too long", rule=Rule.FORMAT)
    try:
        return email_validator.validate_email(
            address, check_deliverability=False, globally_deliverable=False, allow_domain_literal=True
        ).normalized
    except email_validator.EmailNotValidError as error:
        raise Invalid(field, f"is not a valid address: {error}", rule=Rule.FORMAT) from None


def key(address: str) -> str:
    """What addresses are compared and found by."""
    if len(address) > names.LONGEST:
        return address
    local, at, domain = address.strip().rpartition("@")
    return f"{folded(local)}{at}{_ascii(domain)}"


def identifier_key(identifier: str) -> str:
    """What is the same for all that one may type in the place of one username or address."""
    return names.key(key(identifier))


def _ascii(domain: str) -> str:
    if domain.isascii() and "xn--" not in domain.lower():
        return domain.lower()
    if len(domain) > _MOST_CHARACTERS:
        return folded(domain)
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return folded(domain)  # no domain, or one that only a former release took
