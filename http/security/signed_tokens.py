"""Signed texts that say what they are for: JWTs with HS256 (RFC 7515, 7519), read strictly.

Of each token there is one form only. Its header is exactly `{"alg":"HS256","typ":KIND}`: no other algorithm, no `crit`,
no `kid`, nothing that a reader could be led astray by (RFC 8725). Its parts are canonical Base64url, and no object in
it names a member twice. A token of one kind is never one of another, since the kind is signed with the rest.
"""

import base64
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn

import jwt

from chinwag.engine.model.errors import Unauthenticated

ALGORITHM: Final = "HS256"
MAX_TOKEN_CHARACTERS: Final = 1024
"""Ours have about 330. The bound keeps strangers' tokens out of the parser."""
LAST_TIME: Final = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""

_SEGMENTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_jws = jwt.PyJWS(algorithms=[ALGORITHM])


def sign(secret: bytes, kind: str, claims: Mapping[str, object]) -> str:
    """A token of a kind, which is the header's `typ`: "at+jwt" for access tokens (RFC 9068)."""
    return jwt.encode(dict(claims), secret, algorithm=ALGORITHM, headers={"typ": kind})


def read(secret: bytes, token: str, kinds: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Which of the `kinds` a token is, and its claims, which are still to be judged. Raises `Unauthenticated` for any
    other."""
    found = _SEGMENTS.fullmatch(token) if len(token) <= MAX_TOKEN_CHARACTERS else None
    if found is None:
        raise not_ours()
    try:
        _jws.decode(token, secret, algorithms=[ALGORITHM])
        _decoded(found[3])
        header, claims = _json_object(found[1]), _json_object(found[2])
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
        raise not_ours() from None
    kind = header.get("typ")
    if not isinstance(kind, str) or kind not in kinds or header != {"alg": ALGORITHM, "typ": kind}:
        raise not_ours()
    return kind, claims


def text_claim(claims: Mapping[str, object], name: str) -> str:
    """A text among the claims. Raises `Unauthenticated`."""
    value = claims.get(name)
    if not isinstance(value, str):
        raise not_ours()
    return value


def time_claim(claims: Mapping[str, object], name: str) -> int:
    """A time among the claims, in whole seconds since 1970 (RFC 7519's NumericDate). Raises `Unauthenticated`."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise not_ours()
    if not 0 <= value <= LAST_TIME or value != int(value):  # nothing compares with NaN
        raise not_ours()
    return int(value)


def not_ours() -> Unauthenticated:
    """What is said of every token that is not good, whatever is wrong with it."""
    return Unauthenticated("the access token is not valid")


def _json_object(segment: str) -> dict[str, Any]:
    """Raises ValueError unless it is canonical Base64url of one JSON object, in which no name comes twice."""
    value = json.loads(_decoded(segment).decode(), object_pairs_hook=_unique, parse_constant=_refused)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _decoded(segment: str) -> bytes:
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != segment:
        raise ValueError("another way to write the same bytes")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name comes twice")
    return made


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
