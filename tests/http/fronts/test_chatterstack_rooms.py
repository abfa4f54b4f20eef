"""ChatterStack's rooms, each endpoint with every status its spec gives, over the real engine."""

from tests.http.fronts.chatterstack_api import NOBODY, refused
from tests.http.service_api import Api, Person

# --- rooms --------------------------------------------------------------------------------------------------------


async def test_the_creator_of_a_room_is_its_admin(api: Api, ann: Person, bob: Person) -> None:
    wanted = {
        "name": " tea ",
        "description": " for two ",
        "is_group": True,
        "member_ids": [bob.id, ann.id, bob.id],
        "creator_id": ann.id,
    }
    made = await api.ask("POST", "/v1/rooms", as_=ann, json=wanted)
    assert made.status == 201
    assert list(made.json) == ["id", "name", "is_group", "description", "created_by", "created_at"]
    assert (made.json["name"], made.json["description"], made.json["is_group"]) == ("tea", "for two", True)
    assert made.json["created_by"] == ann.id
    members = (await api.ask("GET", f"/v1/rooms/{made.json['id']}/members", as_=bob)).json
    assert {member["username"]: member["role"] for member in members} == {"ann": "ADMIN", "bob": "MEMBER"}
    assert [list(member) for member in members] == [["user_id", "username", "role", "joined_at"]] * 2


async def test_a_room_needs_only_a_name(api: Api, ann: Person) -> None:
    made = await api.ask("POST", "/v1/rooms", as_=ann, json={"name": "x" * 100})
    assert (made.status, made.json["is_group"]) == (201, True)


async def test_unknown_members_are_named(api: Api, ann: Person, bob: Person) -> None:
    wanted = {"name": "tea", "member_ids": [bob.id, NOBODY, "4097"]}
    answer = await api.ask("POST", "/v1/rooms", as_=ann, json=wanted)
    refused(answer, 400)
    assert answer.error.startswith("member_ids: ")
    assert NOBODY in answer.error
    assert "4097" in answer.error
    assert bob.id not in answer.error
    assert (await api.ask("GET", "/v1/rooms", as_=ann)).json == {"rooms": []}


async def test_a_room_of_two_that_is_no_group_is_their_direct_room(api: Api, ann: Person, bob: Person) -> None:
    lower, higher = sorted((ann.id, bob.id), key=int)
    made = await api.ask("POST", "/v1/rooms", as_=ann, json={"is_group": False, "member_ids": [bob.id, ann.id]})
    assert made.status == 201
    assert (made.json["name"], made.json["is_group"]) == (f"dm:{lower}:{higher}", False)
    again = await api.ask("POST", "/v1/rooms", as_=bob, json={"is_group": False, "member_ids": [ann.id], "name": "x"})
    assert (again.status, again.json) == (201, made.json)
    direct = await api.ask("POST", "/v1/rooms/direct", as_=bob, json={"peer_user_id": ann.id})
    assert (direct.status, direct.json) == (201, made.json)


async def test_a_direct_room_is_for_exactly_two(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    for member_ids in ([], [ann.id], [bob.id, eve.id]):
        answer = await api.ask("POST", "/v1/rooms", as_=ann, json={"is_group": False, "member_ids": member_ids})
        refused(answer, 400, "member_ids: a direct room needs exactly one other member")
    answer = await api.ask("POST", "/v1/rooms", as_=ann, json={"is_group": False, "member_ids": [NOBODY]})
    refused(answer, 400, f"member_ids: unknown user {NOBODY}")


async def test_a_direct_room_needs_somebody_else(api: Api, ann: Person) -> None:
    for body in ({}, {"peer_user_id": "bob"}, {"peer_user_id": ann.id}, {"peer_user_id": 5}):
        answer = await api.ask("POST", "/v1/rooms/direct", as_=ann, json=body)
        refused(answer, 400)
        assert answer.error.startswith("peer_user_id: ")
    refused(await api.ask("POST", "/v1/rooms/direct", as_=ann, json={"peer_user_id": NOBODY}), 404, "user not found")


async def test_one_lists_ones_own_rooms(api: Api, ann: Person, bob: Person) -> None:
    tea, coffee = [await api.room(ann, bob, name=name) for name in ("Green Tea", "coffee")]
    await api.room(bob, name="bob's")
    await api.post(bob, tea, "hello")
    listed = await api.ask("GET", "/v1/rooms", as_=ann)
    assert listed.status == 200
    assert [room["id"] for room in listed.json["rooms"]] == [tea, coffee]
    found = await api.ask("GET", "/v1/rooms", as_=ann, query={"q": "tEA"})
    assert [room["name"] for room in found.json["rooms"]] == ["Green Tea"]
    assert (await api.ask("GET", "/v1/rooms", as_=ann, query={"q": "%"})).json == {"rooms": []}
    assert len((await api.ask("GET", "/v1/rooms", as_=ann, query={"limit": 1})).json["rooms"]) == 1


async def test_the_list_of_rooms_has_20_by_default_and_100_at_most(api: Api, ann: Person) -> None:
    for number in range(101):
        await api.room(ann, name=f"room {number}")
    assert len((await api.ask("GET", "/v1/rooms", as_=ann)).json["rooms"]) == 20
    assert len((await api.ask("GET", "/v1/rooms", as_=ann, query={"limit": 100})).json["rooms"]) == 100


async def test_a_room_by_id(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob)
    answer = await api.ask("GET", f"/v1/rooms/{room_id}", as_=bob)
    assert (answer.status, answer.json["id"], answer.json["name"]) == (200, room_id, "tea")
    refused(await api.ask("GET", f"/v1/rooms/{room_id}", as_=eve), 403)
    refused(await api.ask("GET", f"/v1/rooms/{NOBODY}", as_=bob), 404, "room not found")


async def test_an_admin_deletes_a_room(api: Api, ann: Person, bob: Person) -> None:
    room_id = await api.room(ann, bob)
    refused(await api.ask("DELETE", f"/v1/rooms/{room_id}", as_=bob), 403)
    assert (await api.ask("DELETE", f"/v1/rooms/{room_id}", as_=ann)).status == 204
    refused(await api.ask("GET", f"/v1/rooms/{room_id}", as_=ann), 404)
    refused(await api.ask("DELETE", f"/v1/rooms/{room_id}", as_=ann), 404)
    assert (await api.ask("GET", "/v1/rooms", as_=bob)).json == {"rooms": []}


# --- members ------------------------------------------------------------------------------------------------------


async def test_an_admin_adds_members(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann)
    path = f"/v1/rooms/{room_id}/members"
    added = await api.ask("POST", path, as_=ann, json={"user_id": bob.id, "role": "ADMIN"})
    assert added.status == 201
    assert list(added.json) == ["user_id", "username", "role", "joined_at"]
    assert (added.json["user_id"], added.json["username"], added.json["role"]) == (bob.id, "bob", "ADMIN")
    plain = await api.ask("POST", path, as_=bob, json={"user_id": eve.id})
    assert (plain.status, plain.json["role"]) == (201, "MEMBER")


async def test_adding_a_member_can_fail(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    path = f"/v1/rooms/{await api.room(ann, bob)}/members"
    refused(await api.ask("POST", path, as_=ann, json={}), 400, "user_id: is required")
    refused(await api.ask("POST", path, as_=ann, json={"user_id": "eve"}), 400, "user_id: is not the id of a user")
    answer = await api.ask("POST", path, as_=ann, json={"user_id": NOBODY})
    refused(answer, 400)
    assert answer.error.startswith("user_id: unknown user")
    answer = await api.ask("POST", path, as_=ann, json={"user_id": eve.id, "role": "OWNER"})
    refused(answer, 400, "role: must be one of ADMIN, MEMBER")
    refused(await api.ask("POST", path, as_=ann, json={"user_id": bob.id, "role": "MEMBER"}), 409)
    refused(await api.ask("POST", path, as_=bob, json={"user_id": eve.id, "role": "MEMBER"}), 403)
    refused(await api.ask("POST", path, as_=eve, json={"user_id": eve.id, "role": "MEMBER"}), 403)
    missing = f"/v1/rooms/{NOBODY}/members"
    refused(await api.ask("POST", missing, as_=ann, json={"user_id": eve.id, "role": "MEMBER"}), 404)


async def test_members_are_removed_by_an_admin_or_leave(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob, eve)
    path = f"/v1/rooms/{room_id}/members"
    refused(await api.ask("DELETE", f"{path}/{eve.id}", as_=bob), 403)
    assert (await api.ask("DELETE", f"{path}/{eve.id}", as_=ann)).status == 204
    refused(await api.ask("DELETE", f"{path}/{eve.id}", as_=ann), 404, "member not found")
    refused(await api.ask("DELETE", f"{path}/{NOBODY}", as_=ann), 404)
    refused(await api.ask("DELETE", f"{path}/eve", as_=ann), 404)
    refused(await api.ask("DELETE", f"/v1/rooms/{NOBODY}/members/{bob.id}", as_=ann), 404)
    assert (await api.ask("DELETE", f"{path}/{ann.id}", as_=ann)).status == 204
    [left] = (await api.ask("GET", path, as_=bob)).json
    assert (left["username"], left["role"]) == ("bob", "ADMIN")
    refused(await api.ask("GET", path, as_=ann), 403)


async def test_the_members_of_a_missing_room(api: Api, ann: Person, eve: Person) -> None:
    for room_id in (NOBODY, "tea"):
        refused(await api.ask("GET", f"/v1/rooms/{room_id}/members", as_=ann), 404, "room not found")
    refused(await api.ask("GET", f"/v1/rooms/{await api.room(ann)}/members", as_=eve), 403)
