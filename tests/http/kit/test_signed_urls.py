"""Links that open a file without a token."""

from urllib.parse import parse_qs

import pytest

from chinwag.engine.model.errors import Unauthenticated
from chinwag.engine.model.ids import FamilyId, FileId, UserId
from chinwag.engine.model.values import Deployment
from chinwag.http.kit.signed_urls import LIFETIME_S, SignedUrls
from chinwag.http.security.tokens import AccessTokens, Claims

FILE, ANN, BOB, FAMILY = FileId(7), UserId(1), UserId(2), FamilyId(30)
ASKER = Claims(user_id=ANN, family_id=FAMILY, expires_at=0.0)
HERE = Deployment(id="here", created_us=0)


class Clock:
    now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


def links(clock: Clock, secret: bytes = b"s" * 32) -> SignedUrls:
    return SignedUrls(AccessTokens(secret, deployment=HERE, lifetime_s=1, clock=clock))


def test_a_link_is_good_until_its_time_is_over() -> None:
    clock = Clock()
    made = parse_qs(links(clock).query(FILE, "original", ASKER, hex))
    assert list(made) == ["expires", "user", "login", "signature"]
    (expires,), (signature,) = made["expires"], made["signature"]
    assert (made["user"], made["login"]) == (["0x1"], ["0x1e"])
    for _ in range(2):
        links(clock).check(FILE, "original", ANN, FAMILY, expires=expires, signature=signature)
        clock.now += LIFETIME_S - 1
    clock.now += 2.5
    with pytest.raises(Unauthenticated, match="expired"):
        links(clock).check(FILE, "original", ANN, FAMILY, expires=expires, signature=signature)


def test_a_link_is_bound_to_everything_in_it() -> None:
    clock = Clock()
    made = parse_qs(links(clock).query(FILE, "original", ASKER, str))
    (expires,), (signature,) = made["expires"], made["signature"]
    later = str(int(expires) + 1)
    for file_id, viewer, family, until, given in (
        (FileId(8), ANN, FAMILY, expires, signature),
        (FILE, BOB, FAMILY, expires, signature),
        (FILE, ANN, FamilyId(31), expires, signature),
        (FILE, ANN, None, expires, signature),
        (FILE, ANN, FAMILY, later, signature),
        (FILE, ANN, FAMILY, expires, signature[:-1]),
        (FILE, ANN, FAMILY, expires, signature + "="),
        (FILE, ANN, FAMILY, expires, signature.swapcase()),
        (FILE, ANN, FAMILY, expires, ""),
        (FILE, ANN, FAMILY, expires, "\udc80é"),
        (FILE, ANN, FAMILY, f" {expires}", signature),
        (FILE, ANN, FAMILY, "²", signature),
        (FILE, ANN, FAMILY, "9" * 10_000, signature),
        (FILE, ANN, FAMILY, "", signature),
    ):
        with pytest.raises(Unauthenticated, match="not valid"):
            links(clock).check(file_id, "original", viewer, family, expires=until, signature=given)
    with pytest.raises(Unauthenticated, match="not valid"):
        links(clock).check(FILE, "thumbnail", ANN, FAMILY, expires=expires, signature=signature)
    with pytest.raises(Unauthenticated, match="not valid"):
        links(clock, b"t" * 32).check(FILE, "original", ANN, FAMILY, expires=expires, signature=signature)


def test_a_link_of_before_that_names_no_log_in_is_good_until_its_time_is_over() -> None:
    clock = Clock()
    # As the release before signed it for this file, viewer and time, with this secret.
    expires, signature = "1003601", "FUzQi6h1nGhGmnDdVH5C82wUdzaQha71WpCItRN3F78"
    links(clock).check(FILE, "original", ANN, None, expires=expires, signature=signature)
    with pytest.raises(Unauthenticated, match="not valid"):
        links(clock).check(FILE, "original", ANN, FAMILY, expires=expires, signature=signature)
    clock.now += LIFETIME_S + 1
    with pytest.raises(Unauthenticated, match="expired"):
        links(clock).check(FILE, "original", ANN, None, expires=expires, signature=signature)


def test_an_avatars_signature_never_changes_and_opens_nothing_else() -> None:
    clock = Clock()
    signature = links(clock).avatar_signature(FILE)
    clock.now += 10 * 365 * 86400
    links(clock).check_avatar(FILE, signature)
    assert links(clock).avatar_signature(FILE) == signature
    with pytest.raises(Unauthenticated):
        links(clock).check_avatar(FileId(8), signature)
    with pytest.raises(Unauthenticated):
        links(clock).check(FILE, "original", ANN, FAMILY, expires="9999999999", signature=signature)


def test_keys_for_different_purposes_have_nothing_in_common() -> None:
    tokens = AccessTokens(b"s" * 32, deployment=HERE, lifetime_s=1)
    assert len({tokens.derived_key("a"), tokens.derived_key("b"), b"s" * 32}) == 3
