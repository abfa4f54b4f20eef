"""Access tokens and the secret that signs them."""

import base64
import json
import stat
import threading
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.engine.errors import TokenExpired, Unauthenticated
from chinwag.engine.ids import MAX_ID, FamilyId, UserId
from chinwag.http import tokens as tokens_module
from chinwag.http.secret_files import BadSecret
from chinwag.http.tokens import AccessTokens, find_token, load_secret

SECRET = b"0123456789abcdef" * 4
ANN, FAMILY = UserId(17), FamilyId(42)


class Clock:
    """Seconds since 1970 that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> AccessTokens:
    return AccessTokens(SECRET, lifetime_s=60, clock=clock)


def signed(payload: dict[str, object], *, key: bytes = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm=algorithm)


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
    other = AccessTokens(SECRET[::-1], lifetime_s=60, clock=clock)
    with pytest.raises(Unauthenticated):
        tokens.verify(other.issue(ANN, FAMILY))


def test_an_expired_token_of_another_secret_is_not_called_expired(tokens: AccessTokens) -> None:
    forged = signed({"sub": "17", "fam": "42", "exp": 1}, key=SECRET[::-1])
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(forged)
    assert not isinstance(refused.value, TokenExpired)


GOOD = {"sub": "17", "fam": "42", "exp": 1_750_000_060}


@pytest.mark.parametrize(
    "payload",
    [
        *[{name: value for name, value in GOOD.items() if name != missing} for missing in GOOD],
        {**GOOD, "sub": "ann"},
        {**GOOD, "sub": "0"},
        {**GOOD, "sub": "-5"},
        {**GOOD, "sub": str(MAX_ID + 1)},
        {**GOOD, "fam": None},
        {**GOOD, "fam": []},
        {**GOOD, "exp": "soon"},
        {**GOOD, "exp": [1]},
    ],
)
def test_a_signed_token_with_other_claims_is_refused(tokens: AccessTokens, payload: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed(payload))


def test_the_good_claims_are_good(tokens: AccessTokens) -> None:
    assert tokens.verify(signed(dict(GOOD))).user_id == ANN


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_algorithm_is_pinned(tokens: AccessTokens, algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(signed(dict(GOOD), algorithm=algorithm))


def part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\udc80",
        part('{"alg":"none"}') + "." + part(json.dumps(GOOD)) + ".",
        part("[" * 700) + ".e30.e30",
        part('{"alg":"HS256","crit":["x"]}') + "." + part(json.dumps(GOOD)) + ".e30",
        "a" * 100_000,
    ],
)
def test_what_is_no_token_is_refused(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(token)


@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map(lambda parts: ".".join(map(part, parts))))
def test_no_text_breaks_the_verification(token: str) -> None:
    with pytest.raises(Unauthenticated):
        AccessTokens(SECRET, lifetime_s=60).verify(token)


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
        AccessTokens(SECRET[:31], lifetime_s=60)


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
