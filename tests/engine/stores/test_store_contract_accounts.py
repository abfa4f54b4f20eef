"""What every `Store` promises of users and log-ins."""

import pytest
import trio
from msgspec.structs import replace

from chinwag.engine.accounts.deployment import deployment_of
from chinwag.engine.model.ids import FamilyId
from chinwag.engine.model.store import (
    Credentials,
    DeleteMember,
    DuplicateKey,
    InsertDeployment,
    InsertFamily,
    InsertMember,
    InsertRefreshToken,
    InsertUser,
    ReplacePasswordHash,
    RevokeFamilies,
    RevokeFamily,
    SetDeclaredPresence,
    SpendRefreshToken,
    Store,
    UpdateUser,
    WriteRejected,
)
from chinwag.engine.model.values import Deployment, Family, Presence
from chinwag.engine.testing import (
    make_member,
    make_user,
)
from tests.engine.stores.stores import ANN, BOB, CAT, FAMILY, NOBODY, OTHER, ROOM, TOKEN, WITHOUT_MESSAGES

pytestmark = WITHOUT_MESSAGES


async def test_an_account_is_found_by_id_e_mail_and_either_identifier_whatever_the_case(empty: Store) -> None:
    user = make_user(1, "Groß", email="Ann@Example.ORG")
    await empty.commit([InsertUser(user=user, password_hash="hash")])
    assert await empty.user(ANN) == user
    assert await empty.user(BOB) is None
    assert await empty.user_by_email("ANN@example.org") == user
    assert await empty.user_by_email("groß") is None
    for identifier in ("GROSS", "groß", "ann@EXAMPLE.org"):
        assert await empty.credentials(identifier) == [Credentials(user=user, password_hash="hash")]
    assert await empty.credentials("bob") == []


async def test_a_username_that_is_somebody_elses_e_mail_names_both_its_owner_first(empty: Store) -> None:
    await empty.commit(
        [
            InsertUser(user=make_user(1, "bob", email="bob@example.org"), password_hash="bob's"),
            InsertUser(user=make_user(2, "bob@example.org", email="ann@example.org"), password_hash="ann's"),
        ]
    )
    assert [found.password_hash for found in await empty.credentials("BOB@example.org")] == ["ann's", "bob's"]


async def test_somebody_whose_username_is_their_e_mail_is_found_once(empty: Store) -> None:
    user = make_user(1, "ann@example.org", email="ann@example.org")
    await empty.commit([InsertUser(user=user, password_hash="hash")])
    assert [found.user for found in await empty.credentials("ann@example.org")] == [user]


@pytest.mark.parametrize(
    ("username", "other"),
    [("Zo\u00e91", "ZOE\u03011"), ("\u0130smet", "ismet"), ("dora1", "dora1\u200d"), ("ann b", "Ann\u00a0 B")],
)
async def test_usernames_that_look_alike_are_one(empty: Store, username: str, other: str) -> None:
    user = make_user(1, username)
    await empty.commit([InsertUser(user=user, password_hash="")])
    for written in (username, other):
        assert [found.user for found in await empty.credentials(written)] == [user]
        with pytest.raises(DuplicateKey) as clash:
            await empty.commit([InsertUser(user=make_user(2, written), password_hash="")])
        assert clash.value.key == "username"


async def test_addresses_are_one_by_what_their_domains_are(empty: Store) -> None:
    sharp, double = make_user(1, "ann", email="ann@faß.de"), make_user(2, "bob", email="ann@fass.de")
    await empty.commit([InsertUser(user=sharp, password_hash=""), InsertUser(user=double, password_hash="")])
    assert await empty.user_by_email("ANN@XN--FA-HIA.DE") == await empty.user_by_email("ann@FAß.de") == sharp
    assert await empty.user_by_email("Ann@Fass.de") == double
    assert [found.user for found in await empty.credentials("ann@faß.de")] == [sharp]
    with pytest.raises(DuplicateKey) as clash:
        await empty.commit([InsertUser(user=make_user(3, "cat", email="Ann@FASS.de"), password_hash="")])
    assert clash.value.key == "email"


async def test_a_password_is_hashed_anew_unless_it_was_changed_meanwhile(empty: Store) -> None:
    await empty.commit([InsertUser(user=make_user(1, "ann"), password_hash="first")])
    for before, new, stored in (("first", "second", "second"), ("first", "third", "second")):
        await empty.commit([ReplacePasswordHash(user_id=ANN, before=before, password_hash=new)])
        assert [found.password_hash for found in await empty.credentials("ann")] == [stored]


async def test_users_are_those_that_exist_each_once(store: Store) -> None:
    found = await store.users([BOB, NOBODY, ANN, BOB])
    assert sorted(user.id for user in found) == [ANN, BOB]
    assert await store.users([]) == []


async def test_declared_presence_is_set_and_unset(store: Store) -> None:
    for declared in (Presence.ONLINE, Presence.OFFLINE, None):
        await store.commit([SetDeclaredPresence(user_id=ANN, declared=declared)])
        user = await store.user(ANN)
        assert user is not None
        assert user.declared is declared


async def test_a_profile_comes_back_and_is_replaced_without_the_rest_of_the_account(empty: Store) -> None:
    user = replace(
        make_user(1, "Ann", email="ann@example.org", display_name="Änne", avatar_url="/a/1"),
        public_key="-----BEGIN PUBLIC KEY-----",
        last_login_us=77,
        declared=Presence.ONLINE,
    )
    await empty.commit([InsertUser(user=user, password_hash="hash"), InsertUser(user=make_user(2), password_hash="")])
    assert await empty.user(ANN) == user
    assert await empty.user(BOB) == make_user(2)
    changed = replace(user, display_name=None, avatar_url="/a/2", public_key="-----", last_login_us=88, active=False)
    other = replace(changed, username="eve", email="eve@example.org", created_us=99, declared=None)
    await empty.commit([UpdateUser(user=other)])
    assert await empty.user(ANN) == changed
    assert await empty.user(BOB) == make_user(2)
    assert await empty.credentials("eve") == []


async def test_a_deactivated_account_is_still_found_by_its_credentials(store: Store) -> None:
    await store.commit([UpdateUser(user=replace(make_user(ANN, "ann"), active=False))])
    [found] = await store.credentials("ann")
    assert (found.user.active, found.password_hash) == (False, "hash-1")


async def test_peers_are_all_who_share_a_room_each_once_and_not_oneself(store: Store) -> None:
    assert await store.peers_of(ANN) == {BOB, CAT}
    assert await store.peers_of(BOB) == {ANN}
    assert await store.peers_of(NOBODY) == set()
    await store.commit([InsertMember(room_id=OTHER, member=make_member(BOB))])
    assert await store.peers_of(BOB) == {ANN, CAT}
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB), DeleteMember(room_id=OTHER, user_id=BOB)])
    assert await store.peers_of(BOB) == set()
    assert await store.peers_of(ANN) == {CAT}


async def test_families_and_tokens_come_back_as_they_were_stored(store: Store) -> None:
    await store.commit([InsertFamily(family=FAMILY), InsertRefreshToken(token=TOKEN)])
    assert await store.family(FAMILY.id) == FAMILY
    assert await store.family(FamilyId(97)) is None
    assert await store.refresh_token(TOKEN.digest) == TOKEN
    assert await store.refresh_token(b"unknown") is None


async def test_spending_a_token_forgets_those_of_its_family_that_have_expired(store: Store) -> None:
    old = replace(TOKEN, digest=b"old", expires_us=100)
    good = replace(TOKEN, digest=b"good", expires_us=10_000)
    await store.commit([InsertFamily(family=FAMILY), InsertRefreshToken(token=old), InsertRefreshToken(token=good)])
    await store.commit([SpendRefreshToken(digest=b"good", spent_us=500)])
    assert await store.refresh_token(b"old") is None
    assert await store.refresh_token(b"good") == replace(good, spent_us=500)


async def test_of_two_uses_of_a_refresh_token_at_once_one_wins(store: Store) -> None:
    await store.commit([InsertFamily(family=FAMILY), InsertRefreshToken(token=TOKEN)])
    outcomes: list[str] = []

    async def spend(at_us: int) -> None:
        try:
            await store.commit([SpendRefreshToken(digest=TOKEN.digest, spent_us=at_us)])
            outcomes.append("spent")
        except WriteRejected:
            outcomes.append("rejected")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(spend, 600)
        nursery.start_soon(spend, 600)
    assert sorted(outcomes) == ["rejected", "spent"]
    assert await store.refresh_token(TOKEN.digest) == replace(TOKEN, spent_us=600)


async def test_a_deployment_is_named_once(empty: Store) -> None:
    assert await empty.deployment() is None
    first = await deployment_of(empty, lambda: 7)
    assert first.created_us == 7
    assert await empty.deployment() == first
    assert await deployment_of(empty, lambda: 8) == first
    with pytest.raises(DuplicateKey) as clash:
        await empty.commit([InsertDeployment(deployment=Deployment(id="another", created_us=9))])
    assert clash.value.key == "deployment"
    assert await empty.deployment() == first


async def test_processes_that_name_a_deployment_at_once_agree(empty: Store) -> None:
    names: set[str] = set()

    async def start() -> None:
        names.add((await deployment_of(empty, lambda: 9)).id)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)
    assert len(names) == 1


async def test_a_family_is_revoked_once_and_all_of_a_user_s_at_once(store: Store) -> None:
    second, others = (
        Family(id=FamilyId(41), user_id=ANN, created_us=6),
        Family(id=FamilyId(42), user_id=BOB, created_us=7),
    )
    await store.commit([InsertFamily(family=family) for family in (FAMILY, second, others)])
    await store.commit([RevokeFamily(family_id=FAMILY.id, revoked_us=50)])
    await store.commit([RevokeFamily(family_id=FAMILY.id, revoked_us=60), RevokeFamilies(user_id=ANN, revoked_us=70)])
    await store.commit([RevokeFamilies(user_id=ANN, revoked_us=80), RevokeFamilies(user_id=CAT, revoked_us=80)])
    assert await store.family(FAMILY.id) == replace(FAMILY, revoked_us=50)
    assert await store.family(second.id) == replace(second, revoked_us=70)
    assert await store.family(others.id) == others
