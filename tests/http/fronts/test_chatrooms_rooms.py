"""The chatrooms front's chatrooms: the list, settings, roles, members and invitations."""

from typing import Any, Final

import pytest
from msgspec import UNSET

from chinwag.engine.model.ids import UserId
from chinwag.http.kit.times import rfc3339
from chinwag.http.kit.uuid_ids import IDS
from tests.http.fronts.chatrooms_api import (
    NOBODY,
    NOT_IDS,
    Chatrooms,
    open_chatrooms,
    refused,
    succeeded,
    wrong_fields,
)
from tests.http.service_api import Answer, Person

SPEC_CHATROOM = [
    "id",
    "name",
    "description",
    "owner_id",
    "is_private",
    "max_members",
    "encryption_enabled",
    "auto_summary_enabled",
    "summary_threshold",
    "created_at",
]
LISTED = [
    "id",
    "name",
    "description",
    "is_private",
    "member_count",
    "last_message",
    "unread_count",
    "role",
    "joined_at",
]
DETAILS = [*SPEC_CHATROOM[:6], "member_count", *SPEC_CHATROOM[6:], "updated_at"]
MEMBER = ["user_id", "username", "display_name", "avatar_url", "role", "joined_at", "last_read_at", "is_online"]
INVITATION = ["id", "invite_code", "invite_url", "max_uses", "current_uses", "expires_at", "created_at"]


def without(names: list[str], *extras: str) -> list[str]:
    return [name for name in names if name not in extras]


# --- creating -----------------------------------------------------------------------------------------------------


async def test_a_chatroom_has_the_specs_fields_and_defaults(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    wanted = {"name": " tea ", "is_private": True}
    data = succeeded(await chatrooms.ask("POST", "/chatrooms", as_=ann, json=wanted), 201)
    assert list(data) == ["chatroom"]
    room = data["chatroom"]
    assert without(list(room), "member_count", "key_custody", "updated_at") == SPEC_CHATROOM
    assert {name: room[name] for name in room if name not in ("id", "created_at", "updated_at")} == {
        "name": "tea",
        "description": None,
        "owner_id": ann.id,
        "is_private": True,
        "max_members": 100,
        "member_count": 1,
        "encryption_enabled": True,
        "key_custody": "client",
        "auto_summary_enabled": True,
        "summary_threshold": 50,
    }


async def test_a_chatroom_is_as_it_was_wished_for(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    wanted = {
        "name": "x" * 100,
        "description": "y" * 500,
        "is_private": False,
        "max_members": 2,
        "auto_summary_enabled": False,
        "summary_threshold": 7,
    }
    room = succeeded(await chatrooms.ask("POST", "/chatrooms", as_=ann, json=wanted), 201)["chatroom"]
    assert {name: room[name] for name in wanted} == wanted
    shown = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room['id']}", as_=ann))["chatroom"]
    assert shown == room


async def test_a_chatroom_lists_every_wrong_field(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    assert wrong_fields(await chatrooms.ask("POST", "/chatrooms", as_=ann, json={})) == {
        "name": "VALIDATION_REQUIRED_FIELD",
        "is_private": "VALIDATION_REQUIRED_FIELD",
    }
    wrong = {
        "name": "x" * 101,
        "description": "x" * 501,
        "is_private": "yes",
        "max_members": 1,
        "auto_summary_enabled": 1,
        "summary_threshold": 0,
        "key_custody": "nobody",
    }
    assert wrong_fields(await chatrooms.ask("POST", "/chatrooms", as_=ann, json=wrong)) == {
        "name": "VALIDATION_LENGTH_EXCEEDED",
        "description": "VALIDATION_LENGTH_EXCEEDED",
        "is_private": "VALIDATION_INVALID_FORMAT",
        "max_members": "VALIDATION_INVALID_VALUE",
        "auto_summary_enabled": "VALIDATION_INVALID_FORMAT",
        "summary_threshold": "VALIDATION_INVALID_VALUE",
        "key_custody": "VALIDATION_INVALID_VALUE",
    }
    for name, code in (("", "REQUIRED_FIELD"), ("\t", "REQUIRED_FIELD"), ("a\nb", "INVALID_FORMAT")):
        answer = await chatrooms.ask("POST", "/chatrooms", as_=ann, json={"name": name, "is_private": True})
        assert wrong_fields(answer) == {"name": f"VALIDATION_{code}"}
    listed = succeeded(await chatrooms.ask("GET", "/chatrooms", as_=ann))
    assert (listed["chatrooms"], listed["pagination"]["total"]) == ([], 0)


# --- one chatroom -------------------------------------------------------------------------------------------------


async def test_a_chatrooms_details_are_the_specs(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob, description="for two")
    data = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=bob))
    assert list(data) == ["chatroom", "members", "user_role"]
    assert without(list(data["chatroom"]), "key_custody") == DETAILS
    assert data["chatroom"]["member_count"] == 2
    assert [list(member) for member in data["members"]] == [MEMBER, MEMBER]
    assert [(each["username"], each["role"], each["display_name"]) for each in data["members"]] == [
        ("ann", "owner", "Ann"),
        ("bob", "member", "Bob"),
    ]
    assert [(each["last_read_at"], each["is_online"]) for each in data["members"]] == [(None, False)] * 2
    assert data["user_role"] == "member"


async def test_reading_shows_in_the_members_last_read_at(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    message = await chatrooms.send(ann, room)
    chatrooms.clock.now += 1
    answer = await chatrooms.ask("POST", f"/chatrooms/{room}/messages/{message['id']}/read", as_=bob)
    assert answer.json == {"success": True, "message": "Marked as read"}
    members = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=ann))["members"]
    read_at = {each["username"]: each["last_read_at"] for each in members}
    assert read_at["ann"] is None
    assert read_at["bob"] == rfc3339(int(chatrooms.clock.now * 1_000_000)) > message["created_at"]


async def test_settings_change_only_where_they_are_told_to(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann, description="first")
    before = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=ann))["chatroom"]
    changes: list[dict[str, object]] = [
        {"name": "coffee"},
        {"description": "second"},
        {"max_members": 5, "auto_summary_enabled": False},
        {"summary_threshold": 9},
        {"name": None, "max_members": None, "auto_summary_enabled": None, "summary_threshold": None},
        {},
    ]
    for change in changes:
        data = succeeded(await chatrooms.ask("PUT", f"/chatrooms/{room}", as_=ann, json=change))
        assert list(data) == ["chatroom"]
        after = data["chatroom"]
        before |= {name: value for name, value in change.items() if value is not None}
        assert {**after, "updated_at": ""} == {**before, "updated_at": ""}
        assert after["updated_at"] >= before["updated_at"]
        assert succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=ann))["chatroom"] == after
        before = after
    for nothing in (" ", None):
        for text, shown in (("some", "some"), (nothing, None)):
            data = succeeded(await chatrooms.ask("PUT", f"/chatrooms/{room}", as_=ann, json={"description": text}))
            assert data["chatroom"]["description"] == shown


async def test_settings_list_every_wrong_field(chatrooms: Chatrooms) -> None:
    ann, bob, cat = await chatrooms.people("ann", "bob", "cat")
    room = await chatrooms.chatroom(ann, bob, cat)
    wrong = {"name": " ", "description": 1, "max_members": 10_001, "summary_threshold": "many"}
    assert wrong_fields(await chatrooms.ask("PUT", f"/chatrooms/{room}", as_=ann, json=wrong)) == {
        "name": "VALIDATION_REQUIRED_FIELD",
        "description": "VALIDATION_INVALID_FORMAT",
        "max_members": "VALIDATION_INVALID_VALUE",
        "summary_threshold": "VALIDATION_INVALID_FORMAT",
    }
    answer = await chatrooms.ask("PUT", f"/chatrooms/{room}", as_=ann, json={"max_members": 2})
    assert wrong_fields(answer) == {"max_members": "VALIDATION_INVALID_VALUE"}


async def test_a_deleted_chatroom_is_gone_for_everybody(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    code = await chatrooms.invite(ann, room)
    answer = await chatrooms.ask("DELETE", f"/chatrooms/{room}", as_=ann)
    assert answer.json == {"success": True, "message": "Chatroom deleted"}
    for person in (ann, bob):
        refused(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=person), 404, "CHATROOM_NOT_FOUND")
        assert succeeded(await chatrooms.ask("GET", "/chatrooms", as_=person))["chatrooms"] == []
    refused(await chatrooms.ask("POST", f"/chatrooms/join/{code}", as_=bob), 404, "CHATROOM_INVITE_INVALID")


# --- the list -----------------------------------------------------------------------------------------------------


async def listing(chatrooms: Chatrooms, person: Person, **query: object) -> Any:
    return succeeded(await chatrooms.ask("GET", "/chatrooms", as_=person, query=query))


async def test_the_list_has_the_specs_fields(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, description="green")
    data = await listing(chatrooms, ann)
    assert list(data) == ["chatrooms", "pagination"]
    assert data["pagination"] == {"page": 1, "limit": 20, "total": 1, "pages": 1}
    [listed] = data["chatrooms"]
    assert list(listed) == LISTED
    assert {name: listed[name] for name in listed if name != "joined_at"} == {
        "id": room,
        "name": "tea",
        "description": "green",
        "is_private": False,
        "member_count": 1,
        "last_message": None,
        "unread_count": 0,
        "role": "owner",
    }
    assert (await listing(chatrooms, bob))["chatrooms"] == []


async def test_the_last_message_is_the_last_living_one_as_it_was_sent(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)

    async def last() -> Any:
        [listed] = (await listing(chatrooms, ann))["chatrooms"]
        return listed["last_message"]

    assert (await last())["content"] == "Bob joined"
    plain = await chatrooms.send(bob, room, "plain")
    assert await last() == {
        "id": plain["id"],
        "content": "plain",
        "user_id": bob.id,
        "username": "bob",
        "created_at": plain["created_at"],
    }
    content = {"encrypted_data": "c2VhbGVk", "iv": "aXY=", "key_version": 3}
    sealed = succeeded(
        await chatrooms.ask("POST", f"/chatrooms/{room}/messages", as_=bob, json={"content": content}), 201
    )["message"]
    assert ((await last())["id"], (await last())["content"]) == (sealed["id"], "c2VhbGVk")
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/messages/{sealed['id']}", as_=bob))
    assert (await last())["id"] == plain["id"]


async def test_unread_counts_what_others_said_since_one_last_read(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)

    async def unread(person: Person) -> int:
        [listed] = (await listing(chatrooms, person))["chatrooms"]
        return int(listed["unread_count"])

    start = await unread(bob)
    sent = [await chatrooms.send(ann, room, f"{n}") for n in range(5)]
    assert await unread(bob) == start + 5
    await chatrooms.send(bob, room, "mine")
    assert await unread(bob) == start + 5
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/messages/{sent[3]['id']}", as_=ann))
    assert await unread(bob) == start + 4
    for position, left in ((1, 2), (0, 2), (4, 0)):  # a mark only rises
        path = f"/chatrooms/{room}/messages/{sent[position]['id']}/read"
        succeeded(await chatrooms.ask("POST", path, as_=bob))
        assert await unread(bob) == left
    assert await unread(ann) >= 1


async def test_the_list_is_paged_and_searched_by_name(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    names = ["green tea", "Black TEA", "coffee", "teapot", "100%_tea"]
    rooms = {name: await chatrooms.chatroom(ann, name=name) for name in names}
    found = []
    for page in (1, 2, 3, 4):
        data = await listing(chatrooms, ann, page=page, limit=2)
        assert data["pagination"] == {"page": page, "limit": 2, "total": 5, "pages": 3}
        found += [each["id"] for each in data["chatrooms"]]
    assert sorted(found) == sorted(rooms.values())

    async def search(text: str) -> tuple[set[str], dict[str, int]]:
        data = await listing(chatrooms, ann, search=text)
        return {each["name"] for each in data["chatrooms"]}, data["pagination"]

    assert await search("tea") == ({*names} - {"coffee"}, {"page": 1, "limit": 20, "total": 4, "pages": 1})
    assert (await search("COFF"))[0] == {"coffee"}
    assert (await search("%_"))[0] == {"100%_tea"}
    assert await search("beer") == (set(), {"page": 1, "limit": 20, "total": 0, "pages": 0})
    assert (await search(""))[1]["total"] == 5


async def test_the_latest_activity_comes_first(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    first, second = [await chatrooms.chatroom(ann, name=name) for name in ("first", "second")]
    assert [each["id"] for each in (await listing(chatrooms, ann))["chatrooms"]] == [second, first]
    await chatrooms.send(ann, first)
    assert [each["id"] for each in (await listing(chatrooms, ann))["chatrooms"]] == [first, second]


async def test_wrong_parameters_of_the_list_are_all_named(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    answer = await chatrooms.ask("GET", "/chatrooms", as_=ann, query="page=0&limit=101&search=" + "x" * 501)
    assert wrong_fields(answer) == {
        "page": "VALIDATION_INVALID_VALUE",
        "limit": "VALIDATION_INVALID_VALUE",
        "search": "VALIDATION_LENGTH_EXCEEDED",
    }
    answer = await chatrooms.ask("GET", "/chatrooms", as_=ann, query="page=two&limit=")
    assert wrong_fields(answer) == dict.fromkeys(["page", "limit"], "VALIDATION_INVALID_FORMAT")


# --- who may ------------------------------------------------------------------------------------------------------

OPERATIONS: Final[dict[str, tuple[str, str, object]]] = {
    "show": ("GET", "/chatrooms/{room}", None),
    "history": ("GET", "/chatrooms/{room}/messages", None),
    "keys": ("GET", "/chatrooms/{room}/keys", None),
    "search": ("POST", "/chatrooms/{room}/search", {"query": "hello"}),
    "send": ("POST", "/chatrooms/{room}/messages", {"content": {"encrypted_data": "x"}}),
    "react": ("POST", "/chatrooms/{room}/messages/{message}/reactions", {"emoji": "🍵"}),
    "read": ("POST", "/chatrooms/{room}/messages/{message}/read", None),
    "one message": ("GET", "/chatrooms/{room}/messages/{message}", None),
    "summarize": ("POST", "/chatrooms/{room}/summary", {}),
    "invite": ("POST", "/chatrooms/{room}/invite", {}),
    "settings": ("PUT", "/chatrooms/{room}", {"name": "new"}),
    "edit": ("PUT", "/chatrooms/{room}/messages/{message}", {"content": {"encrypted_data": "y"}}),
    "delete message": ("DELETE", "/chatrooms/{room}/messages/{message}", None),
    "remove member": ("DELETE", "/chatrooms/{room}/members/{victim}", None),
    "remove moderator": ("DELETE", "/chatrooms/{room}/members/{deputy}", None),
    "role": ("PUT", "/chatrooms/{room}/members/{victim}", {"role": "moderator"}),
    "delete": ("DELETE", "/chatrooms/{room}", None),
    "leave": ("POST", "/chatrooms/{room}/leave", None),
}
ROLES = ("owner", "moderator", "member", "stranger")
MODERATOR_NEEDED = (403, "RESOURCE_ACCESS_DENIED")
OWNER_NEEDED = (403, "CHATROOM_OWNER_REQUIRED")
STRANGER = (403, "CHATROOM_ACCESS_DENIED")
REFUSALS: Final[dict[tuple[str, str], tuple[int, str]]] = {
    ("member", "invite"): MODERATOR_NEEDED,
    ("member", "settings"): MODERATOR_NEEDED,
    ("owner", "edit"): (403, "MESSAGE_EDIT_DENIED"),
    ("moderator", "edit"): (403, "MESSAGE_EDIT_DENIED"),
    ("member", "edit"): (403, "MESSAGE_EDIT_DENIED"),
    ("member", "delete message"): (403, "MESSAGE_DELETE_DENIED"),
    ("member", "remove member"): MODERATOR_NEEDED,
    ("moderator", "remove moderator"): MODERATOR_NEEDED,
    ("member", "remove moderator"): MODERATOR_NEEDED,
    ("moderator", "role"): OWNER_NEEDED,
    ("member", "role"): OWNER_NEEDED,
    ("moderator", "delete"): OWNER_NEEDED,
    ("member", "delete"): OWNER_NEEDED,
    **{("stranger", operation): STRANGER for operation in OPERATIONS},
}
"""In a private chatroom, about a message of somebody else. Whatever is not here is allowed."""


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_role_may_do_what_the_matrix_says(chatrooms: Chatrooms, role: str, operation: str) -> None:
    people = dict(zip(ROLES, await chatrooms.people(*ROLES), strict=True))
    deputy, victim = await chatrooms.people("deputy", "victim")
    owner = people["owner"]
    room = await chatrooms.chatroom(owner, people["moderator"], people["member"], deputy, victim, is_private=True)
    for moderator in (people["moderator"], deputy):
        await chatrooms.make_moderator(owner, room, moderator)
    message = await chatrooms.send(victim, room, "hello")
    method, path, body = OPERATIONS[operation]
    path = path.format(room=room, message=message["id"], victim=victim.id, deputy=deputy.id)
    answer = await chatrooms.ask(method, path, as_=people[role], json=UNSET if body is None else body)
    expected = REFUSALS.get((role, operation))
    if expected is None:
        assert answer.status in (200, 201), answer.body
    else:
        refused(answer, *expected)


# --- unknown ids --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_no_chatroom_has_as_its_id_is_not_found(chatrooms: Chatrooms, operation: str) -> None:
    ann = await chatrooms.person("ann")
    method, path, body = OPERATIONS[operation]
    for wrong in (NOBODY, ann.id, *NOT_IDS):
        there = path.format(room=wrong, message=NOBODY, victim=NOBODY, deputy=NOBODY)
        refused(
            await chatrooms.ask(method, there, as_=ann, json=UNSET if body is None else body), 404, "CHATROOM_NOT_FOUND"
        )


async def test_what_no_member_has_as_their_id_is_not_found(chatrooms: Chatrooms) -> None:
    ann, eve = await chatrooms.people("ann", "eve")
    room = await chatrooms.chatroom(ann)
    for wrong in (NOBODY, eve.id, room, *NOT_IDS):
        path = f"/chatrooms/{room}/members/{wrong}"
        refused(await chatrooms.ask("DELETE", path, as_=ann), 404, "RESOURCE_NOT_FOUND")
        refused(await chatrooms.ask("PUT", path, as_=ann, json={"role": "member"}), 404, "RESOURCE_NOT_FOUND")


# --- roles and leaving --------------------------------------------------------------------------------------------


async def roles(chatrooms: Chatrooms, viewer: Person, room: str) -> dict[str, str]:
    members = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=viewer))["members"]
    return {each["username"]: each["role"] for each in members}


async def test_the_owner_gives_roles_and_hands_the_chatroom_over(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    for role in ("moderator", "member", "moderator"):
        answer = await chatrooms.ask("PUT", f"/chatrooms/{room}/members/{bob.id}", as_=ann, json={"role": role})
        data = succeeded(answer)
        assert (list(data), list(data["member"]), data["member"]["role"]) == (["member"], MEMBER, role)
    succeeded(await chatrooms.ask("PUT", f"/chatrooms/{room}/members/{bob.id}", as_=ann, json={"role": "owner"}))
    assert await roles(chatrooms, ann, room) == {"ann": "moderator", "bob": "owner"}
    shown = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=ann))
    assert (shown["chatroom"]["owner_id"], shown["user_role"]) == (bob.id, "moderator")
    answer = await chatrooms.ask("PUT", f"/chatrooms/{room}/members/{ann.id}", as_=ann, json={"role": "owner"})
    refused(answer, 403, "CHATROOM_OWNER_REQUIRED")


async def test_the_owner_does_not_change_the_own_role_and_roles_are_three(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    path = f"/chatrooms/{room}/members/{ann.id}"
    answer = await chatrooms.ask("PUT", path, as_=ann, json={"role": "member"})
    assert wrong_fields(answer) == {"user_id": "VALIDATION_INVALID_VALUE"}
    answer = await chatrooms.ask("PUT", path, as_=ann, json={"role": "admin"})
    assert wrong_fields(answer) == {"role": "VALIDATION_INVALID_VALUE"}


async def test_an_owner_who_leaves_is_followed_by_the_highest_then_the_longest_there(chatrooms: Chatrooms) -> None:
    ann, bob, cat, dan = await chatrooms.people("ann", "bob", "cat", "dan")
    room = await chatrooms.chatroom(ann, bob, cat, dan)
    await chatrooms.make_moderator(ann, room, cat)
    answer = await chatrooms.ask("POST", f"/chatrooms/{room}/leave", as_=ann)
    assert answer.json == {"success": True, "message": "Left the chatroom"}
    assert await roles(chatrooms, dan, room) == {"bob": "member", "cat": "owner", "dan": "member"}
    succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/leave", as_=cat))
    assert await roles(chatrooms, dan, room) == {"bob": "owner", "dan": "member"}
    refused(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=ann), 403, "CHATROOM_ACCESS_DENIED")
    refused(await chatrooms.ask("POST", f"/chatrooms/{room}/leave", as_=ann), 403, "CHATROOM_ACCESS_DENIED")


async def test_comings_and_goings_are_told_as_system_messages(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/members/{bob.id}", as_=ann))
    await chatrooms.bring(ann, room, bob)
    succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/leave", as_=bob))
    messages = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}/messages", as_=ann))["messages"]
    told = [(each["message_type"], each["user_id"], each["content"]["encrypted_data"]) for each in reversed(messages)]
    texts = ["Bob joined", "Bob was removed", "Bob joined", "Bob left"]
    assert told == [("system", bob.id, text) for text in texts]


# --- joining ------------------------------------------------------------------------------------------------------


async def test_an_invitation_has_the_specs_fields_and_its_url_shows_what_it_is_to(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, is_private=True, description="for two")
    data = succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/invite", as_=ann, json={}), 201)
    assert list(data) == ["invitation"]
    invitation = data["invitation"]
    assert list(invitation) == INVITATION
    assert (invitation["max_uses"], invitation["current_uses"]) == (1, 0)
    assert invitation["created_at"] < invitation["expires_at"]
    base = "http://127.0.0.1:8000"
    assert invitation["invite_url"] == f"{base}/chatrooms/join/{invitation['invite_code']}"
    path = invitation["invite_url"].removeprefix(base)
    preview = succeeded(await chatrooms.ask("GET", path))
    assert preview == {"chatroom_name": "tea", "expires_at": invitation["expires_at"], "uses_left": 1}
    joined = succeeded(await chatrooms.ask("POST", path, as_=bob))
    assert joined == {
        "chatroom": {"id": room, "name": "tea", "description": "for two", "member_count": 2, "role": "member"}
    }
    assert list(joined["chatroom"]) == ["id", "name", "description", "member_count", "role"]


async def test_an_invitation_is_good_for_its_uses_and_a_member_uses_none(chatrooms: Chatrooms) -> None:
    ann, bob, cat, eve = await chatrooms.people("ann", "bob", "cat", "eve")
    room = await chatrooms.chatroom(ann, is_private=True)
    code = await chatrooms.invite(ann, room, max_uses=2)
    path = f"/chatrooms/join/{code}"
    assert succeeded(await chatrooms.ask("POST", path, as_=ann))["chatroom"]["role"] == "owner"
    for person in (bob, bob, cat):
        assert succeeded(await chatrooms.ask("POST", path, as_=person))["chatroom"]["role"] == "member"
    refused(await chatrooms.ask("POST", path, as_=eve), 404, "CHATROOM_INVITE_INVALID")
    refused(await chatrooms.ask("GET", path), 404, "CHATROOM_INVITE_INVALID")


async def test_a_code_that_is_none_is_invalid(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    for code in ("x", NOBODY, "%F0%9F%8D%B5", "a" * 5000):
        refused(await chatrooms.ask("POST", f"/chatrooms/join/{code}", as_=ann), 404, "CHATROOM_INVITE_INVALID")
        refused(await chatrooms.ask("GET", f"/chatrooms/join/{code}"), 404, "CHATROOM_INVITE_INVALID")


async def test_the_terms_of_an_invitation_are_bounded(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    for wrong in ({"max_uses": 0, "expires_in_hours": 0}, {"max_uses": 10_001, "expires_in_hours": 24 * 365 + 1}):
        answer = await chatrooms.ask("POST", f"/chatrooms/{room}/invite", as_=ann, json=wrong)
        assert wrong_fields(answer) == dict.fromkeys(wrong, "VALIDATION_INVALID_VALUE")
    answer = await chatrooms.ask("POST", f"/chatrooms/{room}/invite", as_=ann, json={"max_uses": 1.5})
    assert wrong_fields(answer) == {"max_uses": "VALIDATION_INVALID_FORMAT"}


async def test_any_member_invites_to_a_public_chatroom(chatrooms: Chatrooms) -> None:
    ann, bob, cat = await chatrooms.people("ann", "bob", "cat")
    room = await chatrooms.chatroom(ann, bob)
    await chatrooms.bring(bob, room, cat)
    assert set(await roles(chatrooms, cat, room)) == {"ann", "bob", "cat"}


async def test_a_public_chatroom_is_joined_by_its_id_and_a_private_one_is_not(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    public = await chatrooms.chatroom(ann)
    private = await chatrooms.chatroom(ann, is_private=True)
    for _ in range(2):
        joined = succeeded(await chatrooms.ask("POST", f"/chatrooms/{public}/join", as_=bob))["chatroom"]
        assert (joined["id"], joined["member_count"], joined["role"]) == (public, 2, "member")
    refused(await chatrooms.ask("POST", f"/chatrooms/{private}/join", as_=bob), 403, "RESOURCE_ACCESS_DENIED")
    for wrong in (NOBODY, bob.id, *NOT_IDS):
        refused(await chatrooms.ask("POST", f"/chatrooms/{wrong}/join", as_=bob), 404, "CHATROOM_NOT_FOUND")


async def test_a_full_chatroom_takes_nobody_and_no_use_is_lost(chatrooms: Chatrooms) -> None:
    ann, bob, cat = await chatrooms.people("ann", "bob", "cat")
    room = await chatrooms.chatroom(ann, bob, max_members=2)
    code = await chatrooms.invite(ann, room)
    for path in (f"/chatrooms/join/{code}", f"/chatrooms/{room}/join"):
        answer = await chatrooms.ask("POST", path, as_=cat)
        assert refused(answer, 409, "CHATROOM_FULL") == {"what": "members"}
    succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/leave", as_=bob))
    succeeded(await chatrooms.ask("POST", f"/chatrooms/join/{code}", as_=cat))


async def test_an_invitations_url_has_the_address_the_server_is_known_by(tmp_path: Any) -> None:
    async with open_chatrooms(tmp_path, public_url="https://chat.example.org") as chatrooms:
        ann = await chatrooms.person("ann")
        room = await chatrooms.chatroom(ann)
        made = succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/invite", as_=ann, json={}), 201)
        url, code = made["invitation"]["invite_url"], made["invitation"]["invite_code"]
        assert url == f"https://chat.example.org/chatrooms/join/{code}"


# --- rooms of other fronts ----------------------------------------------------------------------------------------


async def test_a_direct_room_of_another_front_is_a_chatroom_of_two(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    ids = [UserId(IDS.decode(each.id) or 0) for each in (ann, bob)]
    direct = await chatrooms.api.engine.rooms.direct(ids[0], ids[1])
    room = IDS.encode(direct.id)
    [listed] = (await listing(chatrooms, ann))["chatrooms"]
    assert (listed["id"], listed["name"], listed["is_private"]) == (room, f"dm:{min(ids)}:{max(ids)}", True)
    shown = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}", as_=bob))["chatroom"]
    assert (shown["max_members"], shown["member_count"], shown["owner_id"]) == (2, 2, ann.id)

    async def ask(method: str, path: str, json: object) -> Answer:
        return await chatrooms.ask(method, f"/chatrooms/{room}{path}", as_=ann, json=json)

    for answer in (
        await ask("PUT", "", {"name": "x"}),
        await ask("POST", "/invite", {}),
        await ask("PUT", f"/members/{bob.id}", {"role": "moderator"}),
        await ask("DELETE", f"/members/{bob.id}", {}),
    ):
        assert answer.status in (403, 422), answer.body
