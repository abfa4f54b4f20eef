"""URLs that open a file without a token: for `<img src>` and downloads by a browser. Pure.

    PATH?expires=1767225600&user=VIEWER&signature=...

The signature binds the file, its variant, the viewer and the time; it says who asks, as a token would, for this one
file. Whether that user may have the file is looked at when it is used, so a link is worth nothing once its viewer has
left the room. An avatar's signature binds nothing but the file: whoever knows the URL may see the picture, for good.
"""

import hashlib
import hmac
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final, Literal
from urllib.parse import urlencode

from chinwag.engine.errors import Unauthenticated
from chinwag.engine.ids import FileId, UserId
from chinwag.http.tokens import AccessTokens

Variant = Literal["original", "thumbnail"]

LIFETIME_S: Final = 3600.0
MAX_EXPIRY_DIGITS: Final = 12


class SignedUrls:
    """Makes and checks such URLs' queries. All of one secret agree; making one is cheap."""

    def __init__(self, tokens: AccessTokens, *, lifetime_s: float = LIFETIME_S) -> None:
        """Signs with a key derived from that of the access tokens."""
        self._key = tokens.derived_key("signed URLs")
        self._clock: Callable[[], float] = tokens.clock
        self._lifetime_s = lifetime_s

    def query(self, file_id: FileId, variant: Variant, viewer: UserId, *, user: str) -> str:
        """The query of a URL that opens a file for `viewer`, from now on for `lifetime_s`.

        `user` is the viewer's id as the front writes it.
        """
        expires = math.ceil(self._clock() + self._lifetime_s)
        signature = self._sign("file", file_id, variant, viewer, expires)
        return urlencode({"expires": expires, "user": user, "signature": signature})

    def check(self, file_id: FileId, variant: Variant, viewer: UserId, *, expires: str, signature: str) -> None:
        """Raise `Unauthenticated` unless `query` made this signature, for exactly this, and its time is not over."""
        if not (expires.isascii() and expires.isdecimal()) or len(expires) > MAX_EXPIRY_DIGITS:
            raise _not_ours()
        if not _same(signature, self._sign("file", file_id, variant, viewer, int(expires))):
            raise _not_ours()
        if int(expires) <= self._clock():
            raise Unauthenticated("the link has expired")

    def avatar_signature(self, file_id: FileId) -> str:
        """What makes an avatar's URL unguessable. It is the same for ever."""
        return self._sign("avatar", file_id)

    def check_avatar(self, file_id: FileId, signature: str) -> None:
        """Raise `Unauthenticated` unless it is the avatar's signature."""
        if not _same(signature, self.avatar_signature(file_id)):
            raise _not_ours()

    def _sign(self, *parts: str | int) -> str:
        text = "\n".join(map(str, parts)).encode()
        return urlsafe_b64encode(hmac.digest(self._key, text, hashlib.sha256)).decode().rstrip("=")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _not_ours() -> Unauthenticated:
    return Unauthenticated("the link's signature is not valid")
