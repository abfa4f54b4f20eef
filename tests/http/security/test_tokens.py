"""Access tokens and the secret that signs them."""

import base64
import hashlib
import hmac
import json
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.model.errors import TokenExpired, Unauthenticated
from chinwag.engine.model.ids import MAX_ID, FamilyId, UserId
from chinwag.engine.model.values import Deployment
from chinwag.http.security import tokens as tokens_module
from chinwag.http.security.secret_files import BadSecret
from chinwag.http.security.signed_tokens import read, sign
from chinwag.http.security.tokens import KIND, SKEW_S, AccessTokens, find_token, load_secret

SECRET = b"0123456789abcdef" * 4
ANN, FAMILY = UserId(17), FamilyId(42)
NOW = 1_750_000_000
HERE = Deployment(id="here", created_us=(NOW - 1000) * 1_000_000)


class Clock:
    """Seconds since 1970 that pass when told to."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> AccessTokens:
    return AccessTokens(SECRET, deployment=HERE, lifetime_s=60, clock=clock)


def part(text: str) -> str:
    """A segment of a token."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def signed_as_it_is(header: str, payload: str, *, key: bytes = SECRET) -> str:
    """These two segments, whatever they are, with a right signature."""
    signature = hmac.digest(key, f"{header}.{payload}".encode(), hashlib.sha256)
    return f"{header}.{payload}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def signed(payload: Mapping[str, object], *, key: bytes = SECRET, kind: str = KIND) -> str:
    """A token with any claims at all: libraries refuse to sign some."""
    return signed_as_it_is(part(f'{{"alg":"HS256","typ":"{kind}"}}'), part(json.dumps(payload)), key=key)


def test_a_token_says_who_and_by_which_login_and_until_when(tokens: AccessTokens, clock: Clock) -> None:
    for _ in range(2):  # the second time from the cache
        claims = tokens.verify(tokens.issue(ANN, FAMILY))
        assert (claims.user_id, claims.family_id, claims.expires_at) == (ANN, FAMILY, clock.now + 60)


def test_two_tokens_of_one_moment_differ(tokens: AccessTokens) -> None:
    assert tokens.issue(ANN, FAMILY) != tokens.issue(ANN, FAMILY)


def test_a_token_expires_also_when_it_is_remembered(tokens: AccessTokens, clock: Clock) -> None:
    remembered, unseen = tokens.issue(ANN, FAMILY), tokens.issue(ANN, FAMILY)
    clock.now += 59.9
    tokens.verify(remembered)
    clock.now += 0.1
    for token in (remembered, remembered, unseen):
        with pytest.raises(TokenExpired):
            tokens.verify(token)


def test_a_token_signed_by_another_secret_is_refused(tokens: AccessTokens, clock: Clock) -> None:
    other = AccessTokens(SECRET[::-1], deployment=HERE, lifetime_s=60, clock=clock)
    with pytest.raises(Unauthenticated):
        tokens.verify(other.issue(ANN, FAMILY))


def test_an_expired_token_of_another_secret_is_not_called_expired(tokens: AccessTokens) -> None:
    forged = signed({**GOOD, "iat": 1, "exp": 2}, key=SECRET[::-1])
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(forged)
    assert not isinstance(refused.value, TokenExpired)


def test_a_token_of_another_deployment_with_the_same_secret_is_refused(tokens: AccessTokens, clock: Clock) -> None:
    there = Deployment(id="there", created_us=HERE.created_us)
    with pytest.raises(Unauthenticated):
        tokens.verify(AccessTokens(SECRET, deployment=there, lifetime_s=60, clock=clock).issue(ANN, FAMILY))


GOOD: dict[str, object] = {
    "iss": "chinwag",
    "aud": "here",
    "sub": "17",
    "fam": "42",
    "iat": NOW,
    "exp": NOW + 60,
}
OLD = {"sub": "17", "fam": "42", "iat": NOW - 1001, "exp": NOW + 60, "jti": "0123456789abcdef"}
"""What a token said in the releases before."""


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"exp": NOW + 60.0},
        {"iat": NOW - 365 * 86_400},
        {"iat": NOW + SKEW_S},
        {"nbf": NOW + SKEW_S},
        {"jti": "anything", "scope": "more"},
        {"sub": str(MAX_ID), "fam": str(MAX_ID)},
    ],
)
def test_good_claims_are_good(tokens: AccessTokens, change: dict[str, object]) -> None:
    tokens.verify(signed({**GOOD, **change, "exp": change.get("exp", NOW + SKEW_S + 5)}))


BAD_TIMES: list[object] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    1e300,
    10**30,
    10**12,
    253_402_300_799,
    NOW + 60.5,
    -1,
    True,
    None,
    "soon",
    str(NOW + 60),
    [NOW + 60],
    {},
]
BAD_IDS: list[object] = [
    "ann",
    "",
    "0",
    "-5",
    "+17",
    "017",
    " 17",
    "17 ",
    "1_7",
    "17.0",
    "\u0661",
    17,
    17.0,
    True,
    None,
    [],
    {},
]
BAD_IDS += [str(MAX_ID + 1), "9" * 400]


@pytest.mark.parametrize(
    "change",
    [
        *[{"exp": bad} for bad in BAD_TIMES],
        *[{"iat": bad} for bad in BAD_TIMES],
        *[{"nbf": bad} for bad in BAD_TIMES if bad != -1],
        *[{"sub": bad} for bad in BAD_IDS],
        *[{"fam": bad} for bad in BAD_IDS],
        *[{"aud": bad} for bad in ("", "there", "HERE", ["here"], ["here", "there"], None, 1)],
        *[{"iss": bad} for bad in ("", "somebody", ["chinwag"], None)],
        {"iat": NOW + SKEW_S + 1},
        {"iat": NOW + 60, "exp": NOW + 59},
        {"iat": NOW - 367 * 86_400},
        {"nbf": NOW + SKEW_S + 1},
    ],
)
def test_a_signed_token_with_other_claims_is_refused(tokens: AccessTokens, change: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(signed({**GOOD, **change}))
    assert not isinstance(refused.value, TokenExpired)


@pytest.mark.parametrize("missing", list(GOOD))
def test_a_signed_token_that_lacks_a_claim_is_refused(tokens: AccessTokens, missing: str) -> None:
    for kind in (KIND, "JWT"):
        with pytest.raises(Unauthenticated):
            tokens.verify(signed({name: value for name, value in GOOD.items() if name != missing}, kind=kind))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "AT+JWT", "application/at+jwt", "challenge+jwt", "", "at"])
def test_a_token_for_another_purpose_is_no_access_token(tokens: AccessTokens, kind: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed(GOOD, kind=kind))


def test_an_access_token_is_good_for_no_other_purpose(tokens: AccessTokens) -> None:
    with pytest.raises(Unauthenticated):
        read(SECRET, tokens.issue(ANN, FAMILY), ("challenge+jwt", "stream+jwt"))
    challenge = sign(SECRET, "challenge+jwt", {"sub": "17"})
    assert read(SECRET, challenge, ("challenge+jwt",)) == ("challenge+jwt", {"sub": "17"})


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_algorithm_is_pinned(tokens: AccessTokens, algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(jwt.encode(dict(GOOD), SECRET, algorithm=algorithm, headers={"typ": KIND}))


# --- tokens of the releases before ---


def test_a_token_of_before_is_good_until_it_expires(tokens: AccessTokens, clock: Clock) -> None:
    old = signed(OLD, kind="JWT")
    claims = tokens.verify(old)
    assert (claims.user_id, claims.family_id, claims.expires_at) == (ANN, FAMILY, NOW + 60)
    clock.now += 60
    with pytest.raises(TokenExpired):
        tokens.verify(old)


@pytest.mark.parametrize(
    "change",
    [
        {"iat": NOW - 1000},  # when it was named already
        {"iat": NOW},
        {"iat": None},
        {"exp": NOW - 1001 + 1802},  # longer than a token was good for
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"aud": "here"},
        {"iss": "chinwag"},
        {"nbf": NOW - 1001},
        {"sub": 17},
    ],
)
def test_a_token_that_only_looks_like_one_of_before_is_refused(tokens: AccessTokens, change: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed({**OLD, **change}, kind="JWT"))


def test_a_token_of_before_has_the_lifetime_that_tokens_have(clock: Clock) -> None:
    day_long = AccessTokens(SECRET, deployment=HERE, lifetime_s=86_400, clock=clock)
    day_long.verify(signed({**OLD, "exp": NOW - 1001 + 86_400}, kind="JWT"))
    with pytest.raises(Unauthenticated):
        day_long.verify(signed({**OLD, "exp": NOW - 1001 + 86_402}, kind="JWT"))


# --- what is no token ---

HEADER, PAYLOAD = '{"alg":"HS256","typ":"at+jwt"}', json.dumps(GOOD)


def test_a_token_signed_segment_by_segment_is_good(tokens: AccessTokens) -> None:
    tokens.verify(signed_as_it_is(part(HEADER), part(PAYLOAD)))
    tokens.verify(signed_as_it_is(part('{"typ":"at+jwt", "alg":"HS256"}'), part(PAYLOAD)))


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"HS256"}',
        '{"alg":"none","typ":"at+jwt"}',
        '{"alg":"HS512","typ":"at+jwt"}',
        '{"alg":"hs256","typ":"at+jwt"}',
        '{"alg":"HS256","typ":"at+jwt","crit":["exp"],"exp":1}',
        '{"alg":"HS256","typ":"at+jwt","crit":[]}',
        '{"alg":"HS256","typ":"at+jwt","kid":"../../dev/null"}',
        '{"alg":"HS256","typ":"at+jwt","kid":1}',
        '{"alg":"HS256","typ":"at+jwt","jwk":{"kty":"oct","k":"AAAA"}}',
        '{"alg":"HS256","typ":"at+jwt","b64":false}',
        '{"alg":"HS256","typ":"at+jwt","cty":"JWT"}',
        '{"alg":"none","alg":"HS256","typ":"at+jwt"}',
        '{"alg":"HS256","typ":"JWT","typ":"at+jwt"}',
        '{"alg":"HS256","typ":["at+jwt"]}',
        '{"alg":"HS256","typ":{}}',
        '["HS256"]',
        "null",
        "",
    ],
)
def test_a_header_that_says_anything_else_is_refused(tokens: AccessTokens, header: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed_as_it_is(part(header), part(PAYLOAD)))


@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD.replace('"sub": "17"', '"sub": "18", "sub": "17"'),
        PAYLOAD.replace('"exp"', '"exp": 9, "exp"'),
        PAYLOAD[:-1] + ', "more": {"a": 1, "a": 2}}',
        PAYLOAD.replace(str(NOW + 60), "NaN"),
        PAYLOAD.replace(str(NOW + 60), "Infinity"),
        PAYLOAD.replace(str(NOW + 60), "1e400"),
        PAYLOAD.replace(str(NOW + 60), "1" * 500),
        PAYLOAD[:-1] + ', "more": NaN}',
        PAYLOAD + " trailing",
        f"[{PAYLOAD}]",
        "[" * 200,
        "\ufeff" + PAYLOAD,
    ],
)
def test_a_payload_that_can_be_read_in_two_ways_is_refused(tokens: AccessTokens, payload: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed_as_it_is(part(HEADER), part(payload)))


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (part(HEADER) + "=", part(PAYLOAD)),
        (part(HEADER), part(PAYLOAD) + "=="),
        (part(HEADER) + "\n", part(PAYLOAD)),
        (part(HEADER), part(PAYLOAD)[:9] + " " + part(PAYLOAD)[9:]),
        (part(HEADER), part(PAYLOAD)[:8] + "!" + part(PAYLOAD)[8:]),
        (part(HEADER)[:-1] + chr(ord(part(HEADER)[-1]) + 1), part(PAYLOAD)),  # other bits where none are used
    ],
)
def test_only_the_canonical_base64url_is_read(tokens: AccessTokens, header: str, payload: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed_as_it_is(header, payload))


def test_a_signature_has_one_form(tokens: AccessTokens) -> None:
    body, _, signature = tokens.issue(ANN, FAMILY).rpartition(".")
    tokens.verify(f"{body}.{signature}")
    last = signature[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = [each for each in alphabet if alphabet.index(each) // 4 == alphabet.index(last) // 4 and each != last]
    forms = [signature[:-1] + each for each in same_bytes]
    for form in (*forms, signature + "=", signature + "\n", " " + signature, signature.replace("-", "+") + "!"):
        with pytest.raises(Unauthenticated):
            tokens.verify(f"{body}.{form}")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\udc80",
        part('{"alg":"none","typ":"at+jwt"}') + "." + part(PAYLOAD) + ".",
        part("[" * 700) + ".e30.e30",
        "a" * 100_000,
    ],
)
def test_what_is_no_token_is_refused(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_a_token_does_not_outlive_its_log_in(tokens: AccessTokens, clock: Clock) -> None:
    short = tokens.issue(ANN, FAMILY, ends_us=(NOW + 10) * 1_000_000)
    assert tokens.verify(short).expires_at == NOW + 10
    assert tokens.verify(tokens.issue(ANN, FAMILY, ends_us=(NOW + 100) * 1_000_000)).expires_at == NOW + 60
    with pytest.raises(TokenExpired):
        tokens.verify(tokens.issue(ANN, FAMILY, ends_us=(NOW - 10) * 1_000_000))


@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map(lambda parts: ".".join(map(part, parts))))
def test_no_text_breaks_the_verification(token: str) -> None:
    with pytest.raises(Unauthenticated):
        AccessTokens(SECRET, deployment=HERE, lifetime_s=60).verify(token)


def test_the_memory_for_verified_tokens_is_bounded(
    tokens: AccessTokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "CACHED_TOKENS", 3)
    issued = [tokens.issue(ANN, FAMILY) for _ in range(10)]
    for token in issued:
        tokens.verify(token)
    assert list(tokens._verified) == issued[-3:]
    clock.now += 60
    for token in issued:
        with pytest.raises(TokenExpired):
            tokens.verify(token)
    assert not tokens._verified


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(BadSecret, match="at least 32 bytes, not 31"):
        AccessTokens(SECRET[:31], deployment=HERE, lifetime_s=60)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "Basic abc"}, None),
        ({"authorization": "abc"}, None),
        ({"x-auth-token": "abc"}, "abc"),
        ({"x-auth-token": "Bearer abc"}, "abc"),
        ({"x-auth-token": " "}, None),
        ({"authorization": "Basic abc", "x-auth-token": "def"}, "def"),
        ({"authorization": "Bearer abc", "x-auth-token": "def"}, "abc"),
    ],
)
def test_where_a_token_is_found(headers: dict[str, str], token: str | None) -> None:
    assert find_token(headers) == token


def test_the_secret_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    secret = load_secret(tmp_path, {})
    assert len(secret) == 32
    assert load_secret(tmp_path, {}) == secret
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_secret_of_the_environment_comes_first_and_leaves_no_file(tmp_path: Path) -> None:
    assert load_secret(tmp_path, {"CHINWAG_SECRET": "x" * 32}) == b"x" * 32
    assert not list(tmp_path.iterdir())


def test_a_short_secret_of_the_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSecret, match="CHINWAG_SECRET holds 5 bytes, at least 32 are needed"):
        load_secret(tmp_path, {"CHINWAG_SECRET": "short"})


def test_a_damaged_secret_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "token-secret").write_bytes(b"short")
    with pytest.raises(BadSecret, match="token-secret holds 5 bytes"):
        load_secret(tmp_path, {})
    assert (tmp_path / "token-secret").read_bytes() == b"short"


def test_servers_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    count = 8
    together, secrets = threading.Barrier(count), list[bytes]()

    def start() -> None:
        together.wait()
        secrets.append(load_secret(tmp_path, {}))

    threads = [threading.Thread(target=start) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == count
    assert len(set(secrets)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["token-secret"]
