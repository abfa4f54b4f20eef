"""What a member is told of a room's keys, and how long what is encrypted with them is. Pure."""

from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import KeyCustody, Record

_TAG_BYTES = 16
"""What AES-GCM adds to a content."""


class HeldKey(Record):
    """One version of a room's key, sealed for the member who asks: by the server (RSA-OAEP-256 with the public key of
    their profile, in Base64; `sealed_by` is None) or as the member `sealed_by` did it."""

    version: int
    sealed: str
    sealed_by: UserId | None
    created_us: int


class KeyRing(Record):
    """The keys of a room that one member has, by rising version. `newest` is what to encrypt with, 0 for none yet."""

    custody: KeyCustody
    newest: int
    keys: tuple[HeldKey, ...]


def encrypted_characters(content_bytes: int) -> int:
    """How long the Base64 of that many encrypted bytes is."""
    return -(-(content_bytes + _TAG_BYTES) // 3) * 4
