"""When two e-mail addresses are one. Pure; whether an address is well formed is not asked here.

Domains are compared by their ASCII form (IDNA 2008, mapped as UTS #46 says, non-transitional: "faß.de" is not
"fass.de"). To whom upper and lower case in front of the @ matter is up to the receiving host (RFC 5321, section 2.4),
but none tells two people apart by it: so it is compared as names are.
"""

from typing import Final

import idna

from chinwag.engine.model import names
from chinwag.engine.model.text import folded

_MOST_CHARACTERS: Final = 253
"""Of a domain (RFC 1035, section 2.3.4), dots included. Longer texts are none, and are not worked on."""


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
