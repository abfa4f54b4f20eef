"""Access tokens: short-lived JWTs, signed with HS256 by the server's own secret.

A token says who (`sub`) and by which log-in (`fam`), and until when. Whether that log-in still stands is the engine's
to say (`engine.accounts.authenticate`); this module only vouches for the signature and the time. Verified tokens are
remembered until they expire, so that a request costs one dictionary look-up.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
import msgspec

from chinwag.engine.errors import TokenExpired, Unauthenticated
from chinwag.engine.ids import MAX_ID, FamilyId, UserId
from chinwag.http.secret_files import BadSecret, load_or_make

ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
"""HS256 is as strong as its key up to 256 bits (RFC 7518, section 3.2)."""
MAX_TOKEN_CHARACTERS = 1024
"""Ours have about 220. The bound keeps strangers' tokens out of the parser."""
CACHED_TOKENS = 100_000
SECRET_VARIABLE = "CHINWAG_SECRET"
SECRET_FILE = "token-secret"


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a token says. `expires_at` is in seconds since 1970."""

    user_id: UserId
    family_id: FamilyId
    expires_at: float


class AccessTokens:
    """Issues and verifies access tokens."""

    def __init__(self, secret: bytes, *, lifetime_s: float, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970. Raises BadSecret when the secret is too short."""
        if len(secret) < MIN_SECRET_BYTES:
            raise BadSecret(f"the secret for access tokens needs at least {MIN_SECRET_BYTES} bytes, not {len(secret)}")
        self.lifetime_s = lifetime_s
        self._secret = secret
        self._clock = clock
        self._verified: dict[str, Claims] = {}

    def issue(self, user_id: UserId, family_id: FamilyId) -> str:
        """A token for this user and log-in, good for `lifetime_s` from now. No two are the same."""
        now = self._clock()
        payload = {
            "sub": str(user_id),
            "fam": str(family_id),
            "iat": int(now),
            "exp": int(now + self.lifetime_s),
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(payload, self._secret, algorithm=ALGORITHM)

    def derived_key(self, purpose: str) -> bytes:
        """A key for something else than access tokens, 32 bytes, as secret as theirs. It tells nothing about theirs,
        nor about that of another purpose."""
        return hmac.digest(self._secret, f"chinwag key for {purpose}".encode(), hashlib.sha256)

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since 1970."""
        return self._clock

    def verify(self, token: str) -> Claims:
        """What the token says. Raises TokenExpired when its time is over, Unauthenticated when it is not ours."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._read(token)
            if claims.expires_at > self._clock():
                self._remember(token, claims)
        if claims.expires_at <= self._clock():
            self._verified.pop(token, None)
            raise TokenExpired("the access token has expired")
        return claims

    def _remember(self, token: str, claims: Claims) -> None:
        if len(self._verified) >= CACHED_TOKENS:
            del self._verified[next(iter(self._verified))]  # the one remembered longest, so first to expire
        self._verified[token] = claims

    def _read(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise _not_ours()
        try:
            payload = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                # Time is checked here, by our own clock.
                options={"require": ["sub", "fam", "exp"], "verify_exp": False, "verify_iat": False},
            )
            user, family, expires_at = int(payload["sub"]), int(payload["fam"]), float(payload["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            raise _not_ours() from None
        if not (0 < user <= MAX_ID and 0 < family <= MAX_ID):
            raise _not_ours()
        return Claims(user_id=UserId(user), family_id=FamilyId(family), expires_at=expires_at)


def find_token(headers: Mapping[str, str]) -> str | None:
    """The access token in a request's headers: `Authorization: Bearer TOKEN` or `X-Auth-Token: TOKEN`."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    token = headers.get("x-auth-token", "").strip()
    return token.removeprefix("Bearer ").strip() or None


def load_secret(data_dir: Path, environ: Mapping[str, str] = os.environ) -> bytes:
    """The server's secret: CHINWAG_SECRET if set, else a file in the data folder, made with random bytes if absent.

    Raises BadSecret when it is too short, OSError when the file can be neither read nor made.
    """
    path = data_dir / SECRET_FILE
    secret, where = load_or_make(path, SECRET_VARIABLE, lambda: secrets.token_bytes(MIN_SECRET_BYTES), environ)
    if len(secret) < MIN_SECRET_BYTES:
        raise BadSecret(f"{where} holds {len(secret)} bytes, at least {MIN_SECRET_BYTES} are needed")
    return secret


def _not_ours() -> Unauthenticated:
    return Unauthenticated("the access token is not valid")
