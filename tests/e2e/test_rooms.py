"""ChatterStack's room endpoints, by real HTTP."""

from typing import Any

import pytest

from tests.e2e.client import MEMBER_FIELDS, ROOM_FIELDS, Api, Person, error_of, unique
from tests.e2e.test_users import NO_IDS

pytestmark = pytest.mark.listeners("lane", reason="test_tour asks each endpoint over every listener")

NOBODY = "9007199254740991"
"""An id of nothing."""

OF_A_ROOM: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("GET", "/members", None),
    ("POST", "/members", {"user_id": "{someone}"}),
    ("DELETE", "/members/{someone}", None),
    ("DELETE", "/members/{caller}", None),
    ("POST", "/messages", {"content": "hello"}),
    ("GET", "/messages", None),
    ("GET", "/messages?around_message_id={message}", None),
    ("PATCH", "/messages/{message}", {"content": "hello"}),
    ("DELETE", "/messages/{message}", None),
    ("POST", "/messages/{message}/deliver", None),
    ("POST", "/messages/{message}/read", None),
]
"""Everything that can be asked about one room."""
about = pytest.mark.parametrize(
    ("method", "path", "body"), OF_A_ROOM, ids=lambda part: part if isinstance(part, str) else ""
)


async def ask_about(
    api: Api, caller: Person, room: str, method: str, path: str, body: Any, *, someone: str, message: str
) -> int:
    names = {"someone": someone, "message": message, "caller": caller.id}
    sent = body and {field: value.format(**names) for field, value in body.items()}
    answer = await api.ask(method, f"/rooms/{room}{path.format(**names)}", as_=caller, json=sent)
    if answer.status_code >= 400:
        assert error_of(answer)
    return answer.status_code


async def roles(api: Api, viewer: Person, room: str) -> dict[str, str]:
    answer = await api.ask("GET", f"/rooms/{room}/members", as_=viewer)
    assert answer.status_code == 200
    return {member["user_id"]: member["role"] for member in answer.json()}


# --- making rooms -----------------------------------------------------------------------------------------------------


async def test_the_creator_of_a_room_is_its_admin(api: Api, ann: Person, bob: Person) -> None:
    wanted = {
        "name": " Tea & scones ",
        "is_group": True,
        "member_ids": [bob.id, bob.id, ann.id],
        "creator_id": ann.id,
        "description": "at five",
    }
    answer = await api.ask("POST", "/rooms", as_=ann, json=wanted)
    assert answer.status_code == 201
    room = answer.json()
    assert set(room) == ROOM_FIELDS
    assert (room["name"], room["is_group"], room["description"]) == ("Tea & scones", True, "at five")
    assert room["created_by"] == ann.id
    assert (await api.ask("GET", f"/rooms/{room['id']}", as_=bob)).json() == room
    assert await roles(api, bob, room["id"]) == {ann.id: "ADMIN", bob.id: "MEMBER"}


async def test_nobody_makes_a_room_in_anothers_name(api: Api, ann: Person, bob: Person) -> None:
    answer = await api.ask("POST", "/rooms", as_=ann, json={"name": "tea", "is_group": True, "creator_id": bob.id})
    assert answer.status_code == 400
    assert error_of(answer).startswith("creator_id")


async def test_unknown_members_are_400_and_named(api: Api, ann: Person, bob: Person) -> None:
    members = [bob.id, NOBODY, "12345"]
    answer = await api.ask("POST", "/rooms", as_=ann, json={"name": "tea", "is_group": True, "member_ids": members})
    assert answer.status_code == 400
    words = error_of(answer)
    assert words.startswith("member_ids") and NOBODY in words and "12345" in words and bob.id not in words


# --- direct rooms -----------------------------------------------------------------------------------------------------


async def test_two_people_have_one_direct_room_however_they_ask(api: Api, ann: Person) -> None:
    peer = await api.person()
    low, high = sorted((ann.id, peer.id), key=int)
    first = await api.ask(
        "POST", "/rooms", as_=ann, json={"is_group": False, "member_ids": [peer.id], "name": "ignored"}
    )
    assert first.status_code == 201
    room = first.json()
    assert set(room) == ROOM_FIELDS
    assert (room["name"], room["is_group"], room["created_by"]) == (f"dm:{low}:{high}", False, ann.id)
    for caller, other in ((ann, peer), (peer, ann)):
        again = await api.ask("POST", "/rooms/direct", as_=caller, json={"peer_user_id": other.id})
        assert (again.status_code, again.json()) == (201, room)
        again = await api.ask(
            "POST", "/rooms", as_=caller, json={"is_group": False, "member_ids": [other.id, caller.id]}
        )
        assert (again.status_code, again.json()) == (201, room)
    assert set(await roles(api, peer, room["id"])) == {ann.id, peer.id}


async def test_a_direct_room_needs_exactly_one_other_who_exists(
    api: Api, ann: Person, bob: Person, eve: Person
) -> None:
    for members in ([], [ann.id], [bob.id, eve.id], [NOBODY], ["x"]):
        answer = await api.ask("POST", "/rooms", as_=ann, json={"is_group": False, "member_ids": members})
        assert answer.status_code == 400, members
        assert error_of(answer).startswith("member_ids")
    for peer, status in ((ann.id, 400), ("x", 400), ("", 400), (None, 400), (NOBODY, 404)):
        answer = await api.ask("POST", "/rooms/direct", as_=ann, json={"peer_user_id": peer})
        assert answer.status_code == status, peer
        assert error_of(answer)


async def test_a_direct_room_stays_a_room_of_two(api: Api, ann: Person, bob: Person) -> None:
    peer = await api.person()
    room = (await api.ask("POST", "/rooms/direct", as_=ann, json={"peer_user_id": peer.id})).json()["id"]
    assert (await api.ask("POST", f"/rooms/{room}/members", as_=ann, json={"user_id": bob.id})).status_code == 400
    assert (await api.ask("DELETE", f"/rooms/{room}/members/{peer.id}", as_=ann)).status_code == 403
    assert (await api.ask("DELETE", f"/rooms/{room}/members/{peer.id}", as_=peer)).status_code == 204
    assert (await api.ask("GET", f"/rooms/{room}", as_=peer)).status_code == 403
    again = await api.ask("POST", "/rooms/direct", as_=ann, json={"peer_user_id": peer.id})
    assert again.json()["id"] == room
    assert (await api.ask("GET", f"/rooms/{room}", as_=peer)).status_code == 200


# --- finding rooms ----------------------------------------------------------------------------------------------------


async def test_the_list_has_the_callers_rooms_filtered_by_a_part_of_the_name(api: Api, bob: Person) -> None:
    person = await api.person()
    names = ["Über 100% Tee", "under_score", "underxscore", "quo'te\"", "計画"]
    rooms = {name: await api.room(person, name=name) for name in names}
    await api.room(bob, name="Über somebody else's")

    async def found(q: str) -> set[str]:
        answer = await api.ask("GET", "/rooms", as_=person, params={"q": q})
        assert answer.status_code == 200
        assert list(answer.json()) == ["rooms"]
        assert all(set(room) == ROOM_FIELDS and rooms[room["name"]] == room["id"] for room in answer.json()["rooms"])
        return {room["name"] for room in answer.json()["rooms"]}

    assert await found("") == set(names)
    assert await found("ÜBER") == await found("100% t") == {"Über 100% Tee"}
    assert await found("_") == {"under_score"}
    assert await found("UNDER") == {"under_score", "underxscore"}
    assert await found("'") == await found('"') == {"quo'te\""}
    assert await found("画") == {"計画"}
    assert await found("\\") == await found("nothing like this") == set()


async def test_the_list_has_20_rooms_unless_another_limit_is_given(api: Api) -> None:
    person = await api.person()
    for number in range(22):
        await api.room(person, name=f"room {number}")
    for params, count in (({}, 20), ({"limit": 1}, 1), ({"limit": 100}, 22)):
        assert len((await api.ask("GET", "/rooms", as_=person, params=params)).json()["rooms"]) == count


# --- members ----------------------------------------------------------------------------------------------------------


async def test_an_admin_adds_and_removes_members(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, name=unique("room"))
    added = await api.ask("POST", f"/rooms/{room}/members", as_=ann, json={"user_id": bob.id, "role": "ADMIN"})
    assert added.status_code == 201
    assert set(added.json()) == MEMBER_FIELDS
    assert (added.json()["user_id"], added.json()["username"], added.json()["role"]) == (bob.id, bob.username, "ADMIN")
    carl = await api.person("carl")
    assert (await api.ask("POST", f"/rooms/{room}/members", as_=bob, json={"user_id": carl.id})).status_code == 201
    listed = (await api.ask("GET", f"/rooms/{room}/members", as_=carl)).json()
    assert [member["user_id"] for member in listed] == [ann.id, bob.id, carl.id]
    assert listed[1] == added.json()
    removed = await api.ask("DELETE", f"/rooms/{room}/members/{carl.id}", as_=ann)
    assert (removed.status_code, removed.content) == (204, b"")
    assert await roles(api, ann, room) == {ann.id: "ADMIN", bob.id: "ADMIN"}
    assert (await api.ask("GET", f"/rooms/{room}/messages", as_=carl)).status_code == 403


async def test_what_adding_a_member_can_go_wrong_with(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    for caller, body, status in (
        (ann, {"user_id": bob.id}, 409),
        (ann, {"user_id": ann.id}, 409),
        (ann, {"user_id": NOBODY}, 400),
        (ann, {"user_id": "x"}, 400),
        (ann, {"user_id": ""}, 400),
        (ann, {}, 400),
        (ann, {"user_id": bob.id, "role": "OWNER"}, 400),
        (bob, {"user_id": bob.id}, 403),
    ):
        answer = await api.ask("POST", f"/rooms/{room}/members", as_=caller, json=body)
        assert answer.status_code == status, body
        assert error_of(answer)


async def test_anyone_may_leave_and_only_an_admin_removes_others(
    api: Api, ann: Person, bob: Person, eve: Person
) -> None:
    carl = await api.person("carl")
    room = await api.room(ann, bob, carl)
    for user_id, caller, status in (
        (ann.id, bob, 403),
        (carl.id, bob, 403),
        (NOBODY, ann, 404),
        (eve.id, ann, 404),
        ("x", ann, 404),
        (bob.id, bob, 204),
        (bob.id, ann, 404),
        (bob.id, bob, 403),
    ):
        answer = await api.ask("DELETE", f"/rooms/{room}/members/{user_id}", as_=caller)
        assert answer.status_code == status, user_id


async def test_the_last_admin_hands_the_role_to_whoever_is_there_longest(api: Api, ann: Person, bob: Person) -> None:
    carl = await api.person("carl")
    room = await api.room(ann)
    for member in (bob, carl):
        assert (
            await api.ask("POST", f"/rooms/{room}/members", as_=ann, json={"user_id": member.id})
        ).status_code == 201
    assert (await api.ask("DELETE", f"/rooms/{room}/members/{ann.id}", as_=ann)).status_code == 204
    assert await roles(api, carl, room) == {bob.id: "ADMIN", carl.id: "MEMBER"}


async def test_an_admin_deletes_a_room_with_all_that_is_in_it(api: Api, ann: Person, bob: Person) -> None:
    room = await api.room(ann, bob)
    word = unique("needle")
    message = await api.post(bob, room, f"a {word} in here")
    assert (await api.ask("DELETE", f"/rooms/{room}", as_=bob)).status_code == 403
    deleted = await api.ask("DELETE", f"/rooms/{room}", as_=ann)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method, path, body in OF_A_ROOM:
        status = await ask_about(api, ann, room, method, path, body, someone=bob.id, message=message["id"])
        assert status == 404, (method, path)
    assert (await api.ask("GET", "/messages/search", as_=bob, params={"q": word})).json() == {"messages": []}


# --- strangers --------------------------------------------------------------------------------------------------------


@about
async def test_a_stranger_gets_403_on_everything_about_a_room(
    api: Api, ann: Person, bob: Person, eve: Person, method: str, path: str, body: Any
) -> None:
    room = await api.room(ann)
    message = await api.post(ann, room, "secret")
    for someone, about_message in ((ann.id, message["id"]), (bob.id, NOBODY)):
        status = await ask_about(api, eve, room, method, path, body, someone=someone, message=about_message)
        assert status == 403
    assert await roles(api, ann, room) == {ann.id: "ADMIN"}
    assert await api.texts(ann, room) == ["secret"]


@about
async def test_a_room_that_does_not_exist_is_404(
    api: Api, ann: Person, bob: Person, method: str, path: str, body: Any
) -> None:
    for room in (NOBODY, *NO_IDS):
        status = await ask_about(api, ann, room, method, path, body, someone=bob.id, message=NOBODY)
        # "%2e%2e" is ".." to the client that sends it, and leads elsewhere.
        assert status == 404 or (room == "%2e%2e" and 400 <= status < 500), room
