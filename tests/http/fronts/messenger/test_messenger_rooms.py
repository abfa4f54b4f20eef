"""The messenger's conversations and groups: each endpoint's success and its refusals."""

from typing import Any

import pytest
import trio

from tests.http.fronts.messenger_api import NOBODY, STRANGE_UUID, Messenger, refused
from tests.http.service_api import Person

# --- conversations ------------------------------------------------------------------------------------------------


async def test_a_conversation_is_the_same_from_either_side(m: Messenger, ann: Person, bob: Person) -> None:
    made = await m.ask("POST", "/conversations", as_=ann, json={"user_id": bob.id})
    assert made.status == 200
    conversation = made.json["conversation"]
    assert list(conversation) == ["id", "participants", "created_at", "updated_at"]
    assert conversation["participants"] == [ann.id, bob.id]
    assert conversation["updated_at"] == conversation["created_at"]
    again = (await m.ask("POST", "/conversations", as_=bob, json={"user_id": ann.id.upper()})).json["conversation"]
    assert again == {**conversation, "participants": [bob.id, ann.id]}
    said = await m.say(ann, f"/conversations/{conversation['id']}", "hello")
    later = (await m.ask("POST", "/conversations", as_=bob, json={"user_id": ann.id})).json["conversation"]
    assert later["updated_at"] == said["created_at"]


async def test_both_sides_asking_at_once_get_the_same_conversation(m: Messenger, ann: Person, bob: Person) -> None:
    found: list[str] = []

    async def ask(one: Person, other: Person) -> None:
        found.append(await m.conversation(one, other))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask, ann, bob)
            nursery.start_soon(ask, bob, ann)
    assert len(found) == 20
    assert len(set(found)) == 1


async def test_a_conversation_needs_somebody_else_who_exists(m: Messenger, ann: Person) -> None:
    refused(await m.ask("POST", "/conversations", as_=ann, json={"user_id": ann.id}), 400)
    for nobody in (NOBODY, STRANGE_UUID):
        refused(await m.ask("POST", "/conversations", as_=ann, json={"user_id": nobody}), 404)
    for no_id in ("", "1", "uuid", f"{{{NOBODY}}}"):
        refused(await m.ask("POST", "/conversations", as_=ann, json={"user_id": no_id}), 400)
    refused(await m.ask("POST", "/conversations", as_=ann, json={}), 400, "user_id: is required")


async def test_conversations_are_listed_latest_activity_first(m: Messenger, ann: Person, bob: Person) -> None:
    others = [await m.person(f"other{n}") for n in range(3)]
    ids = [await m.conversation(ann, other) for other in others]
    await m.group(ann)

    async def listed(reader: Person) -> list[dict[str, Any]]:
        answer = await m.ask("GET", "/conversations", as_=reader)
        assert answer.status == 200
        assert list(answer.json) == ["conversations"]
        found: list[dict[str, Any]] = answer.json["conversations"]
        return found

    assert [each["id"] for each in await listed(ann)] == ids[::-1]
    said = await m.say(others[0], f"/conversations/{ids[0]}", "me first")
    first, *rest = await listed(ann)
    assert (first["id"], first["updated_at"]) == (ids[0], said["created_at"])
    assert [each["id"] for each in rest] == [ids[2], ids[1]]
    assert first["participants"] == [ann.id, others[0].id]
    assert list(first) == ["id", "participants", "created_at", "updated_at"]
    assert await listed(bob) == []


async def test_a_conversation_by_id(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    conversation_id = await m.conversation(ann, bob)
    answer = await m.ask("GET", f"/conversations/{conversation_id}", as_=bob)
    assert answer.status == 200
    assert list(answer.json["conversation"]) == ["id", "participants", "created_at"]
    assert answer.json["conversation"]["participants"] == [bob.id, ann.id]
    refused(await m.ask("GET", f"/conversations/{conversation_id}", as_=eve), 403)
    for nowhere in (NOBODY, STRANGE_UUID, "1", await m.group(ann)):
        refused(await m.ask("GET", f"/conversations/{nowhere}", as_=ann), 404)


# --- groups -------------------------------------------------------------------------------------------------------


async def test_a_group_begins_with_its_creator(m: Messenger, ann: Person) -> None:
    answer = await m.ask("POST", "/groups", as_=ann, json={"name": " Team Chat "})
    assert answer.status == 201
    group = answer.json["group"]
    assert list(group) == ["id", "name", "created_by", "members", "created_at"]
    assert (group["name"], group["created_by"], group["members"]) == ("Team Chat", ann.id, [ann.id])


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "  "}, {"name": "x" * 101}, {"name": "a\nb"}, {"name": 1}])
async def test_a_group_needs_a_name(m: Messenger, ann: Person, body: object) -> None:
    refused(await m.ask("POST", "/groups", as_=ann, json=body), 400)


async def test_groups_are_listed_with_their_members(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    first, second = await m.group(ann, bob, name="first"), await m.group(bob, name="second")
    await m.conversation(ann, bob)
    of_bob = (await m.ask("GET", "/groups", as_=bob)).json["groups"]
    assert [(group["id"], group["name"]) for group in of_bob] == [(second, "second"), (first, "first")]
    assert set(of_bob[1]["members"]) == {ann.id, bob.id}
    assert list(of_bob[1]) == ["id", "name", "created_by", "members", "created_at"]
    assert (await m.ask("GET", "/groups", as_=eve)).json == {"groups": []}


async def test_a_group_by_id(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id = await m.group(ann, bob)
    group = (await m.ask("GET", f"/groups/{group_id}", as_=bob)).json["group"]
    assert (group["id"], group["members"], group["created_by"]) == (group_id, [ann.id, bob.id], ann.id)
    refused(await m.ask("GET", f"/groups/{group_id}", as_=eve), 403)
    for nowhere in (NOBODY, STRANGE_UUID, "1", await m.conversation(ann, bob)):
        refused(await m.ask("GET", f"/groups/{nowhere}", as_=ann), 404)


async def test_the_creator_adds_members(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id = await m.group(ann)
    path = f"/groups/{group_id}/members"
    added = await m.ask("POST", path, as_=ann, json={"user_id": bob.id})
    assert (added.status, added.json) == (200, {"message": "Member added successfully"})
    refused(await m.ask("POST", path, as_=ann, json={"user_id": bob.id}), 400, "already a member")
    refused(await m.ask("POST", path, as_=bob, json={"user_id": eve.id}), 403)
    refused(await m.ask("POST", path, as_=eve, json={"user_id": eve.id}), 403)
    for nobody in (NOBODY, STRANGE_UUID):
        refused(await m.ask("POST", path, as_=ann, json={"user_id": nobody}), 404)
    refused(await m.ask("POST", path, as_=ann, json={"user_id": "bob"}), 400, "user_id: is not a UUID")
    refused(await m.ask("POST", path, as_=ann, json={}), 400)
    refused(await m.ask("POST", f"/groups/{NOBODY}/members", as_=ann, json={"user_id": bob.id}), 404)
    direct = await m.conversation(ann, bob)
    refused(await m.ask("POST", f"/groups/{direct}/members", as_=ann, json={"user_id": eve.id}), 404)


async def test_members_are_removed_by_the_creator_or_leave(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id = await m.group(ann, bob, eve)
    path = f"/groups/{group_id}/members"
    refused(await m.ask("DELETE", f"{path}/{eve.id}", as_=bob), 403)
    removed = await m.ask("DELETE", f"{path}/{eve.id}", as_=ann)
    assert (removed.status, removed.json) == (200, {"message": "Member removed successfully"})
    refused(await m.ask("DELETE", f"{path}/{eve.id}", as_=ann), 404)
    refused(await m.ask("DELETE", f"{path}/{STRANGE_UUID}", as_=ann), 404)
    refused(await m.ask("DELETE", f"{path}/{bob.id}", as_=eve), 403)
    assert (await m.ask("DELETE", f"{path}/{ann.id}", as_=ann)).status == 200  # the creator leaves
    assert (await m.ask("GET", f"/groups/{group_id}", as_=bob)).json["group"]["members"] == [bob.id]
    assert (await m.ask("POST", path, as_=bob, json={"user_id": eve.id})).status == 200  # and bob has taken over
    direct = await m.conversation(ann, bob)
    refused(await m.ask("DELETE", f"/groups/{direct}/members/{ann.id}", as_=ann), 404)
