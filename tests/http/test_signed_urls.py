"""Links that open a file without a token."""

from urllib.parse import parse_qs

import pytest

from chinwag.engine.errors import Unauthenticated
from chinwag.engine.ids import FileId, UserId
from chinwag.http.signed_urls import LIFETIME_S, SignedUrls
from chinwag.http.tokens import AccessTokens

FILE, ANN, BOB = FileId(7), UserId(1), UserId(2)


class Clock:
    now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


def links(clock: Clock, secret: bytes = b"s" * 32) -> SignedUrls:
    return SignedUrls(AccessTokens(secret, lifetime_s=1, clock=clock))


def test_a_link_is_good_until_its_time_is_over() -> None:
    clock = Clock()
    made = parse_qs(links(clock).query(FILE, "original", ANN, user="ann"))
    (expires,), (signature,), (user,) = made["expires"], made["signature"], made["user"]
    assert user == "ann"
    for _ in range(2):
        links(clock).check(FILE, "original", ANN, expires=expires, signature=signature)
        clock.now += LIFETIME_S - 1
    clock.now += 2.5
    with pytest.raises(Unauthenticated, match="expired"):
        links(clock).check(FILE, "original", ANN, expires=expires, signature=signature)


def test_a_link_is_bound_to_everything_in_it() -> None:
    clock = Clock()
    made = parse_qs(links(clock).query(FILE, "original", ANN, user="ann"))
    (expires,), (signature,) = made["expires"], made["signature"]
    later = str(int(expires) + 1)
    for file_id, viewer, until, given in (
        (FileId(8), ANN, expires, signature),
        (FILE, BOB, expires, signature),
        (FILE, ANN, later, signature),
        (FILE, ANN, expires, signature[:-1]),
        (FILE, ANN, expires, signature + "="),
        (FILE, ANN, expires, signature.swapcase()),
        (FILE, ANN, expires, ""),
        (FILE, ANN, expires, "\udc80é"),
        (FILE, ANN, f" {expires}", signature),
        (FILE, ANN, "²", signature),
        (FILE, ANN, "9" * 10_000, signature),
        (FILE, ANN, "", signature),
    ):
        with pytest.raises(Unauthenticated, match="not valid"):
            links(clock).check(file_id, "original", viewer, expires=until, signature=given)
    with pytest.raises(Unauthenticated, match="not valid"):
        links(clock).check(FILE, "thumbnail", ANN, expires=expires, signature=signature)
    with pytest.raises(Unauthenticated, match="not valid"):
        links(clock, b"t" * 32).check(FILE, "original", ANN, expires=expires, signature=signature)


def test_an_avatars_signature_never_changes_and_opens_nothing_else() -> None:
    clock = Clock()
    signature = links(clock).avatar_signature(FILE)
    clock.now += 10 * 365 * 86400
    links(clock).check_avatar(FILE, signature)
    assert links(clock).avatar_signature(FILE) == signature
    with pytest.raises(Unauthenticated):
        links(clock).check_avatar(FileId(8), signature)
    with pytest.raises(Unauthenticated):
        links(clock).check(FILE, "original", ANN, expires="9999999999", signature=signature)


def test_keys_for_different_purposes_have_nothing_in_common() -> None:
    tokens = AccessTokens(b"s" * 32, lifetime_s=1)
    assert len({tokens.derived_key("a"), tokens.derived_key("b"), b"s" * 32}) == 3
