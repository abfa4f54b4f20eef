"""URLs that open a file without a token: for `<img src>` and downloads by a browser. Pure.

    PATH?expires=1767225600&user=VIEWER&login=LOG-IN&signature=...

The signature binds the file, its variant, the viewer, the viewer's log-in and the time; it says who asks, as a token
would, for this one file. Whether that log-in still stands and that user may have the file is looked at when it is used,
so a link is worth nothing once its viewer has logged out or left the room. An avatar's signature binds nothing but the
file: whoever knows the URL may see the picture, for good.

Releases before made links without `login`, which no log-out ends. Those that are out are good until they expire, within
an hour; nothing makes such a link any more.
"""

import hashlib
import hmac
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final, Literal
from urllib.parse import urlencode

from chinwag.engine.model.errors import Unauthenticated
from chinwag.engine.model.ids import FamilyId, FileId, UserId
from chinwag.http.security.tokens import AccessTokens, Claims

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

    def query(self, file_id: FileId, variant: Variant, claims: Claims, encode: Callable[[int], str]) -> str:
        """The query of a URL that opens a file for whom an access token names, as long as that log-in stands, and for
        `lifetime_s` from now on. `encode` writes ids as the front does."""
        expires = math.ceil(self._clock() + self._lifetime_s)
        signature = self._sign("file", file_id, variant, claims.user_id, claims.family_id, expires)
        return urlencode(
            {
                "expires": expires,
                "user": encode(claims.user_id),
                "login": encode(claims.family_id),
                "signature": signature,
            }
        )

    def check(
        self,
        file_id: FileId,
        variant: Variant,
        viewer: UserId,
        family_id: FamilyId | None,
        *,
        expires: str,
        signature: str,
    ) -> None:
        """Raise `Unauthenticated` unless `query` made this signature, for exactly this, and its time is not over.

        `family_id` is None for a link that names no log-in.
        """
        if not (expires.isascii() and expires.isdecimal()) or len(expires) > MAX_EXPIRY_DIGITS:
            raise not_valid()
        bound = [viewer] if family_id is None else [viewer, family_id]
        if not _same(signature, self._sign("file", file_id, variant, *bound, int(expires))):
            raise not_valid()
        if int(expires) <= self._clock():
            raise Unauthenticated("the link has expired")

    def avatar_signature(self, file_id: FileId) -> str:
        """What makes an avatar's URL unguessable. It is the same for ever."""
        return self._sign("avatar", file_id)

    def check_avatar(self, file_id: FileId, signature: str) -> None:
        """Raise `Unauthenticated` unless it is the avatar's signature."""
        if not _same(signature, self.avatar_signature(file_id)):
            raise not_valid()

    def _sign(self, *parts: str | int) -> str:
        text = "\n".join(map(str, parts)).encode()
        return urlsafe_b64encode(hmac.digest(self._key, text, hashlib.sha256)).decode().rstrip("=")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def not_valid() -> Unauthenticated:
    """What is said of every link that is not ours, whatever is wrong with it."""
    return Unauthenticated("the link's signature is not valid")
