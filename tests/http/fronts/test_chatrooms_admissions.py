"""The chatrooms front's invitations that end, and its bans: who was removed stays out until they are invited anew."""

from typing import Any

import pytest

from chinwag.engine.model.ids import RoomId
from chinwag.http.kit.uuid_ids import IDS
from tests.http.fronts.chatrooms_api import NOBODY, NOT_IDS, Chatrooms, refused, succeeded, wrong_fields
from tests.http.service_api import Answer, Person

LISTED = ["id", "created_by", "max_uses", "current_uses", "expires_at", "created_at"]
BAN = ["user_id", "username", "display_name", "banned_by", "created_at"]


class Scene:
    """A chatroom of Ann's, where Mod is a moderator and Bob a member; Eve is a stranger."""

    def __init__(self, chatrooms: Chatrooms, room: str, ann: Person, mod: Person, bob: Person, eve: Person) -> None:
        self.chatrooms, self.ask, self.room = chatrooms, chatrooms.ask, room
        self.ann, self.mod, self.bob, self.eve = ann, mod, bob, eve

    async def remove(self, removed: Person, *, by: Person) -> None:
        succeeded(await self.ask("DELETE", f"/chatrooms/{self.room}/members/{removed.id}", as_=by))

    async def ban(self, by: Person, user_id: object) -> Answer:
        return await self.ask("POST", f"/chatrooms/{self.room}/bans", as_=by, json={"user_id": user_id})

    async def unban(self, by: Person, user_id: str) -> Answer:
        return await self.ask("DELETE", f"/chatrooms/{self.room}/bans/{user_id}", as_=by)

    async def bans(self, viewer: Person, **query: object) -> Any:
        return succeeded(await self.ask("GET", f"/chatrooms/{self.room}/bans", as_=viewer, query=query))

    async def invitations(self, viewer: Person, **query: object) -> Any:
        return succeeded(await self.ask("GET", f"/chatrooms/{self.room}/invitations", as_=viewer, query=query))

    async def revoke(self, by: Person, invitation_id: str) -> Answer:
        return await self.ask("DELETE", f"/chatrooms/{self.room}/invitations/{invitation_id}", as_=by)

    async def join(self, person: Person) -> Answer:
        return await self.ask("POST", f"/chatrooms/{self.room}/join", as_=person)

    async def accept(self, person: Person, code: str) -> Answer:
        return await self.ask("POST", f"/chatrooms/join/{code}", as_=person)

    async def update(self, by: Person, **settings: object) -> Answer:
        return await self.ask("PUT", f"/chatrooms/{self.room}", as_=by, json=settings)


@pytest.fixture
async def s(chatrooms: Chatrooms) -> Scene:
    ann, mod, bob, eve = await chatrooms.people("ann", "mod", "bob", "eve")
    room = await chatrooms.chatroom(ann, mod, bob)
    await chatrooms.make_moderator(ann, room, mod)
    return Scene(chatrooms, room, ann, mod, bob, eve)


# --- who was removed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("private", [True, False])
async def test_a_moderator_who_is_removed_comes_back_neither_by_their_own_codes_nor_by_joining(
    s: Scene, private: bool
) -> None:
    code = await s.chatrooms.invite(s.mod, s.room, max_uses=1000, expires_in_hours=24)
    succeeded(await s.update(s.ann, is_private=private))
    await s.remove(s.mod, by=s.ann)
    for person in (s.mod, s.eve):
        refused(await s.accept(person, code), 404, "CHATROOM_INVITE_INVALID")
    refused(await s.ask("GET", f"/chatrooms/join/{code}"), 404, "CHATROOM_INVITE_INVALID")
    refused(await s.join(s.mod), 403, "RESOURCE_ACCESS_DENIED" if private else "CHATROOM_ACCESS_DENIED")
    for path in ("", "/messages", "/keys", "/bans", "/invitations"):
        refused(await s.ask("GET", f"/chatrooms/{s.room}{path}", as_=s.mod), 403, "CHATROOM_ACCESS_DENIED")


async def test_an_older_invitation_is_for_others_and_a_newer_one_of_a_moderator_lets_the_removed_in(s: Scene) -> None:
    old = await s.chatrooms.invite(s.ann, s.room, max_uses=9)
    await s.remove(s.bob, by=s.mod)
    refused(await s.accept(s.bob, old), 403, "CHATROOM_ACCESS_DENIED")
    succeeded(await s.accept(s.eve, old))
    by_member = await s.chatrooms.invite(s.eve, s.room, max_uses=9)
    refused(await s.accept(s.bob, by_member), 403, "CHATROOM_ACCESS_DENIED")
    assert [ban["user_id"] for ban in (await s.bans(s.mod))["bans"]] == [s.bob.id]
    joined = succeeded(await s.accept(s.bob, await s.chatrooms.invite(s.mod, s.room)))
    assert joined["chatroom"]["role"] == "member"
    assert (await s.bans(s.mod))["bans"] == []


async def test_who_leaves_joins_again(s: Scene) -> None:
    succeeded(await s.ask("POST", f"/chatrooms/{s.room}/leave", as_=s.bob))
    succeeded(await s.join(s.bob))


# --- bans ---------------------------------------------------------------------------------------------------------


async def test_a_ban_removes_is_listed_and_is_lifted(s: Scene) -> None:
    made = await s.ban(s.mod, s.bob.id)
    data = succeeded(made, 201)
    assert list(data) == ["ban"]
    assert list(data["ban"]) == BAN
    assert [data["ban"][name] for name in BAN[:4]] == [s.bob.id, "bob", "Bob", s.mod.id]
    shown = succeeded(await s.ask("GET", f"/chatrooms/{s.room}", as_=s.ann))
    assert [member["username"] for member in shown["members"]] == ["ann", "mod"]
    await s.ban(s.ann, s.eve.id)
    listed = await s.bans(s.mod)
    assert list(listed) == ["bans", "pagination"]
    assert [list(ban) for ban in listed["bans"]] == [BAN, BAN]
    assert [ban["username"] for ban in listed["bans"]] == ["eve", "bob"]
    assert listed["bans"][1] == data["ban"]
    assert listed["pagination"] == {"page": 1, "limit": 20, "total": 2, "pages": 1}
    second = await s.bans(s.mod, page=2, limit=1)
    assert ([ban["username"] for ban in second["bans"]], second["pagination"]["pages"]) == (["bob"], 2)
    for person in (s.bob, s.eve):
        refused(await s.join(person), 403, "CHATROOM_ACCESS_DENIED")
        succeeded(await s.unban(s.mod, person.id))
        assert refused(await s.unban(s.mod, person.id), 404, "RESOURCE_NOT_FOUND") == {"what": "ban"}
        succeeded(await s.join(person))


async def test_banning_twice_is_no_error_and_the_newer_counts(s: Scene) -> None:
    first = succeeded(await s.ban(s.ann, s.eve.id), 201)["ban"]
    code = await s.chatrooms.invite(s.mod, s.room)
    second = succeeded(await s.ban(s.mod, s.eve.id), 201)["ban"]
    assert (first["banned_by"], second["banned_by"]) == (s.ann.id, s.mod.id)
    assert len((await s.bans(s.ann))["bans"]) == 1
    refused(await s.accept(s.eve, code), 403, "CHATROOM_ACCESS_DENIED")


async def test_bans_are_for_moderators_and_never_of_the_owner_an_equal_or_oneself(s: Scene) -> None:
    for answer in (
        await s.ban(s.bob, s.eve.id),
        await s.unban(s.bob, s.eve.id),
        await s.ask("GET", f"/chatrooms/{s.room}/bans", as_=s.bob),
        await s.ban(s.mod, s.ann.id),
    ):
        assert answer.json["error"]["details"] in ({"role": "moderator"}, {})
        refused(answer, 403, "RESOURCE_ACCESS_DENIED")
    await s.chatrooms.make_moderator(s.ann, s.room, s.bob)
    refused(await s.ban(s.mod, s.bob.id), 403, "RESOURCE_ACCESS_DENIED")
    assert wrong_fields(await s.ban(s.mod, s.mod.id)) == {"user_id": "VALIDATION_INVALID_VALUE"}
    assert (await s.bans(s.ann))["bans"] == []
    for answer in (await s.ban(s.eve, s.bob.id), await s.unban(s.eve, s.bob.id)):
        refused(answer, 403, "CHATROOM_ACCESS_DENIED")


async def test_who_does_not_exist_is_not_banned(s: Scene) -> None:
    for nobody in (NOBODY, "6a1cbb5e-6f0f-4c1d-9d4f-0d3c8e6f0a11"):
        assert refused(await s.ban(s.mod, nobody), 404, "RESOURCE_NOT_FOUND") == {"what": "user"}
    refused(await s.ban(s.eve, NOBODY), 403, "CHATROOM_ACCESS_DENIED")
    for wrong in ("", "x", None, 5, [s.bob.id]):
        assert list(wrong_fields(await s.ban(s.mod, wrong))) == ["user_id"]
    answer = await s.ask("POST", f"/chatrooms/{s.room}/bans", as_=s.mod, json={})
    assert wrong_fields(answer) == {"user_id": "VALIDATION_REQUIRED_FIELD"}
    for text in NOT_IDS:
        assert (await s.unban(s.mod, text)).status == 404
    refused(await s.ask("GET", f"/chatrooms/{NOBODY}/bans", as_=s.mod), 404, "CHATROOM_NOT_FOUND")


@pytest.mark.parametrize("below", ["bans", "invitations"])
@pytest.mark.parametrize(("query", "wrong"), [("page=0", "page"), ("limit=101", "limit"), ("limit=x", "limit")])
async def test_lists_have_pages_within_bounds(s: Scene, below: str, query: str, wrong: str) -> None:
    answer = await s.ask("GET", f"/chatrooms/{s.room}/{below}", as_=s.ann, query=query)
    assert list(wrong_fields(answer)) == [wrong]


async def test_a_banned_members_files_are_gone_for_them_and_stay_for_others(s: Scene) -> None:
    file = succeeded(await s.chatrooms.upload(s.bob, s.room, b"a note"), 201)["file"]
    signed = file["encrypted_url"]
    succeeded(await s.ban(s.mod, s.bob.id), 201)
    assert (await s.chatrooms.get(signed)).status == 404
    path = f"/files/{file['id']}"
    refused(await s.ask("GET", path, as_=s.bob), 404, "FILE_NOT_FOUND")
    assert (await s.ask("GET", path, as_=s.ann)).body == b"a note"
    refused(await s.chatrooms.upload(s.bob, s.room, b"more"), 403, "CHATROOM_ACCESS_DENIED")


async def test_under_server_custody_a_ban_changes_the_key(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob, key_custody="server")
    made = await chatrooms.ask("POST", f"/chatrooms/{room}/bans", as_=ann, json={"user_id": bob.id})
    succeeded(made, 201)
    versions = [key.version for key in await chatrooms.api.store.room_keys(RoomId(IDS.decode(room) or 0))]
    assert versions == [1, 2]


# --- invitations --------------------------------------------------------------------------------------------------


async def test_invitations_are_listed_without_their_codes_all_for_moderators_and_the_own_for_members(s: Scene) -> None:
    made = []
    for maker in (s.ann, s.bob):
        answer = await s.ask("POST", f"/chatrooms/{s.room}/invite", as_=maker, json={"max_uses": 3})
        made.append(succeeded(answer, 201)["invitation"])
    listed = await s.invitations(s.mod)
    assert list(listed) == ["invitations", "pagination"]
    assert [list(each) for each in listed["invitations"]] == [LISTED, LISTED]
    assert [each["created_by"] for each in listed["invitations"]] == [s.bob.id, s.ann.id]
    for each, full in zip(listed["invitations"], reversed(made), strict=True):
        assert {name: full[name] for name in LISTED if name in full} == {
            name: each[name] for name in LISTED if name in full
        }
    assert listed["pagination"] == {"page": 1, "limit": 20, "total": 2, "pages": 1}
    assert [each["id"] for each in (await s.invitations(s.bob))["invitations"]] == [made[1]["id"]]
    succeeded(await s.accept(s.eve, made[1]["invite_code"]))
    [own] = (await s.invitations(s.bob))["invitations"]
    assert own["current_uses"] == 1
    assert (await s.invitations(s.eve))["invitations"] == []
    assert [each["id"] for each in (await s.invitations(s.mod, page=2, limit=1))["invitations"]] == [made[0]["id"]]


async def test_an_invitation_is_revoked_by_its_maker_or_a_moderator(s: Scene) -> None:
    codes = [await s.chatrooms.invite(maker, s.room) for maker in (s.bob, s.bob, s.ann)]
    by_ann, second, first = [each["id"] for each in (await s.invitations(s.mod))["invitations"]]
    refused(await s.revoke(s.bob, by_ann), 403, "RESOURCE_ACCESS_DENIED")
    refused(await s.revoke(s.eve, by_ann), 403, "CHATROOM_ACCESS_DENIED")
    for by, invitation in ((s.bob, first), (s.mod, second), (s.mod, by_ann)):
        succeeded(await s.revoke(by, invitation))
        refused(await s.revoke(by, invitation), 404, "CHATROOM_INVITE_INVALID")
    for code in codes:
        refused(await s.accept(s.eve, code), 404, "CHATROOM_INVITE_INVALID")
    assert (await s.invitations(s.mod))["invitations"] == []
    for text in NOT_IDS:
        assert (await s.revoke(s.mod, text)).status == 404


async def test_codes_of_plain_members_end_when_the_chatroom_is_made_private(s: Scene) -> None:
    of_bob, of_mod = [await s.chatrooms.invite(maker, s.room, max_uses=9) for maker in (s.bob, s.mod)]
    changed = succeeded(await s.update(s.mod, is_private=True))["chatroom"]
    assert changed["is_private"] is True
    assert [each["created_by"] for each in (await s.invitations(s.ann))["invitations"]] == [s.mod.id]
    refused(await s.accept(s.eve, of_bob), 404, "CHATROOM_INVITE_INVALID")
    succeeded(await s.update(s.ann, is_private=False, name="open"))
    refused(await s.accept(s.eve, of_bob), 404, "CHATROOM_INVITE_INVALID")
    succeeded(await s.accept(s.eve, of_mod))


@pytest.mark.parametrize("ending", ["demoted", "left"])
async def test_codes_for_a_private_chatroom_end_with_their_makers_role_and_do_not_come_back_with_it(
    chatrooms: Chatrooms, ending: str
) -> None:
    ann, mod, eve = await chatrooms.people("ann", "mod", "eve")
    room = await chatrooms.chatroom(ann, mod, is_private=True)
    await chatrooms.make_moderator(ann, room, mod)
    code = await chatrooms.invite(mod, room, max_uses=9)
    if ending == "demoted":
        path = f"/chatrooms/{room}/members/{mod.id}"
        succeeded(await chatrooms.ask("PUT", path, as_=ann, json={"role": "member"}))
    else:
        succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/leave", as_=mod))
        await chatrooms.bring(ann, room, mod)
    refused(await chatrooms.ask("POST", f"/chatrooms/join/{code}", as_=eve), 404, "CHATROOM_INVITE_INVALID")
    await chatrooms.make_moderator(ann, room, mod)
    refused(await chatrooms.ask("POST", f"/chatrooms/join/{code}", as_=eve), 404, "CHATROOM_INVITE_INVALID")
