"""ChatterStack's user endpoints, by real HTTP."""

import pytest

from tests.e2e.client import USER_FIELDS, Api, Person, error_of

pytestmark = pytest.mark.listeners("lane", reason="test_tour asks each endpoint over every listener")

NO_IDS = ["0", "-1", "01", "1.0", "abc", "%20", "%00", "%ff", "9" * 30, "9007199254740992", "1e3", "%D9%A1", "%2e%2e"]
"""What no user, room or message is called."""


async def test_a_user_is_found_by_id_and_by_email(api: Api, ann: Person, bob: Person) -> None:
    by_id = await api.ask("GET", f"/users/{bob.id}", as_=ann)
    by_email = await api.ask("GET", "/users", as_=ann, params={"email": bob.email.replace("bob", "BOB")})
    assert (by_id.status_code, by_email.status_code) == (200, 200)
    assert by_id.json() == by_email.json()
    assert set(by_id.json()) == USER_FIELDS
    assert (by_id.json()["id"], by_id.json()["username"]) == (bob.id, bob.username)


@pytest.mark.parametrize("user_id", ["9007199254740991", *NO_IDS])
async def test_a_user_that_does_not_exist_is_404(api: Api, ann: Person, user_id: str) -> None:
    answer = await api.ask("GET", f"/users/{user_id}", as_=ann)
    assert answer.status_code == 404
    assert error_of(answer)


async def test_looking_up_an_email_needs_one_that_exists(api: Api, ann: Person) -> None:
    for params, status in (({}, 400), ({"email": ""}, 400), ({"email": "no@example.org"}, 404), ({"email": "?"}, 404)):
        answer = await api.ask("GET", "/users", as_=ann, params=params)
        assert answer.status_code == status, params
        assert error_of(answer)


async def test_a_user_sets_their_own_status_and_others_see_it(api: Api, ann: Person, bob: Person) -> None:
    for status in ("ONLINE", "OFFLINE"):
        answer = await api.ask("PATCH", f"/users/{ann.id}/status", as_=ann, json={"status": status})
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await api.ask("GET", f"/users/{ann.id}", as_=bob)).json()["status"] == status


async def test_nobody_sets_the_status_of_another(api: Api, ann: Person, bob: Person) -> None:
    for user_id, status in ((bob.id, 403), ("9007199254740991", 404), ("abc", 404)):
        answer = await api.ask("PATCH", f"/users/{user_id}/status", as_=ann, json={"status": "ONLINE"})
        assert answer.status_code == status
        assert error_of(answer)


async def test_a_user_with_an_open_socket_is_online(api: Api, bob: Person) -> None:
    newcomer = await api.person()
    room = await api.room(newcomer)
    assert (await api.ask("GET", f"/users/{newcomer.id}", as_=bob)).json()["status"] == "OFFLINE"
    async with api.socket(newcomer, room) as socket:
        await socket.fence()
        assert (await api.ask("GET", f"/users/{newcomer.id}", as_=bob)).json()["status"] == "ONLINE"
