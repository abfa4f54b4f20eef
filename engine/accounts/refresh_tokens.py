"""Refresh tokens: how one descends from the other, and for how long one that was spent still counts. Pure.

A token is spent when it is traded for its successor. A client may need to trade it again: two of its tabs did so at
once, or the answer never reached it. So within a *grace* after it was spent a token gives the same successor again,
and only that: no second line of tokens begins. The successor is computed from the token by a key of the server, for
what is stored of either is a digest.

It is given again also when it was used meanwhile, by the faster of two tabs: the slower one trades it on, within the
successor's own grace, and so catches up. Whoever uses a token after its grace has a copy that should not exist.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Final

from chinwag.engine.model.values import RefreshToken

GRACE_US: Final = 30_000_000
"""Longer than a client waits for an answer before it tries again, and short for whoever found an old token."""
KEY_BYTES: Final = 32


def new_secret() -> str:
    """The first token of a log-in: 256 random bits."""
    return secrets.token_urlsafe(KEY_BYTES)


def successor(key: bytes, secret: str) -> str:
    """The token that `secret` is traded for. Without the key nobody can tell what it will be."""
    made = hmac.digest(key, b"refresh token after " + secret.encode("utf-8", "replace"), hashlib.sha256)
    return urlsafe_b64encode(made).decode().rstrip("=")


def digest(secret: str) -> bytes:
    """What is stored of a token. It has 256 random bits, so a fast hash protects it as well as a slow one would."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def within_grace(token: RefreshToken, now_us: int) -> bool:
    """Whether a spent token is traded again. (The clock may have been set back since it was spent.)"""
    return token.spent_us is not None and abs(now_us - token.spent_us) <= GRACE_US
