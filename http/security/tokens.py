"""Access tokens: short-lived JWTs, signed with HS256 by the server's own secret.

A token says that it is an access token (`typ`), of which deployment (`iss`, `aud`), who (`sub`) and by which log-in
(`fam`), since when and until when. Whether that log-in still stands is the engine's to say
(`engine.accounts.authenticate`); this module only vouches for the signature, the purpose and the time. Verified tokens
are remembered until they expire, so that a request costs one dictionary look-up.

Releases before there were deployments signed tokens that do not say what they are for. Those that were signed before
this deployment got its name are good until they expire, which is within a token's usual lifetime.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import trio

from chinwag.engine.model.errors import TokenExpired
from chinwag.engine.model.ids import MAX_ID, FamilyId, UserId
from chinwag.engine.model.values import Deployment
from chinwag.http.security.secret_files import BadSecret, load_or_make
from chinwag.http.security.signed_tokens import not_ours, read, sign, text_claim, time_claim

MIN_SECRET_BYTES: Final = 32
"""HS256 is as strong as its key up to 256 bits (RFC 7518, section 3.2)."""
CACHED_TOKENS = 100_000
SECRET_VARIABLE: Final = "CHINWAG_SECRET"
SECRET_FILE: Final = "token-secret"

KIND: Final = "at+jwt"
"""RFC 9068, section 2.1."""
OLD_KIND: Final = "JWT"
ISSUER: Final = "chinwag"
SKEW_S: Final = 60
"""By how much the clock may have been set back since a token was signed."""
MOST_LIFETIME_S: Final = 366 * 86_400
"""More than any token of ours was ever signed for."""
OLD_LIFETIME_S: Final = 1800.0
"""How long a token was good by default in the releases of `OLD_KIND`."""

_ID = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a token says. `expires_at` is in seconds since 1970."""

    user_id: UserId
    family_id: FamilyId
    expires_at: float


class AccessTokens:
    """Issues and verifies the access tokens of one deployment."""

    def __init__(
        self,
        secret: bytes,
        *,
        deployment: Deployment,
        lifetime_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds since 1970. Raises BadSecret when the secret is too short."""
        if len(secret) < MIN_SECRET_BYTES:
            raise BadSecret(f"the secret for access tokens needs at least {MIN_SECRET_BYTES} bytes, not {len(secret)}")
        self.lifetime_s = lifetime_s
        self._secret = secret
        self._deployment = deployment
        self._clock = clock
        self._verified: dict[str, Claims] = {}

    def issue(self, user_id: UserId, family_id: FamilyId, *, ends_us: int | None = None) -> str:
        """A token for this user and log-in, good for `lifetime_s` from now. No two are the same.

        `ends_us`: when that log-in ends, in microseconds since 1970; the token does not outlive it.
        """
        now = self._clock()
        claims = {
            "iss": ISSUER,
            "aud": self._deployment.id,
            "sub": str(user_id),
            "fam": str(family_id),
            "iat": int(now),
            "exp": int(now + self.lifetime_until(ends_us)),
            "jti": secrets.token_hex(8),
        }
        return sign(self._secret, KIND, claims)

    def lifetime_until(self, ends_us: int | None) -> float:
        """For how many seconds a token that is issued now is good, when its log-in ends at `ends_us`."""
        if ends_us is None:
            return self.lifetime_s
        return max(0.0, min(self.lifetime_s, ends_us / 1_000_000 - self._clock()))

    def deadline(self, claims: Claims) -> float:
        """When a token that was verified ends, on Trio's clock: so long a connection may last that it opens."""
        return trio.current_time() + claims.expires_at - self._clock()

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
        kind, claims = read(self._secret, token, (KIND, OLD_KIND))
        issued, expires = time_claim(claims, "iat"), time_claim(claims, "exp")
        (self._judge if kind == KIND else self._judge_old)(claims, issued, expires)
        user_id, family_id = _id_claim(claims, "sub"), _id_claim(claims, "fam")
        return Claims(user_id=UserId(user_id), family_id=FamilyId(family_id), expires_at=float(expires))

    def _judge(self, claims: Mapping[str, object], issued: int, expires: int) -> None:
        """Raise `Unauthenticated` unless the token was signed for this deployment, and in a possible time."""
        latest = self._clock() + SKEW_S
        if (
            text_claim(claims, "iss") != ISSUER
            or text_claim(claims, "aud") != self._deployment.id
            or issued > latest
            or not issued <= expires <= issued + MOST_LIFETIME_S
            or ("nbf" in claims and time_claim(claims, "nbf") > latest)
        ):
            raise not_ours()

    def _judge_old(self, claims: Mapping[str, object], issued: int, expires: int) -> None:
        """Raise `Unauthenticated` unless the token was signed when tokens did not say yet what they are for."""
        named_at = self._deployment.created_us // 1_000_000
        most = max(self.lifetime_s, OLD_LIFETIME_S) + 1  # times were cut down to whole seconds, each by itself
        if (
            issued >= named_at
            or not issued <= expires <= issued + most
            or not claims.keys().isdisjoint(("iss", "aud", "nbf"))
        ):
            raise not_ours()


def _id_claim(claims: Mapping[str, object], name: str) -> int:
    """An id among the claims: decimal digits, in the one way in which they are signed. Raises `Unauthenticated`."""
    text = text_claim(claims, name)
    if _ID.fullmatch(text) is None or int(text) > MAX_ID:
        raise not_ours()
    return int(text)


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
