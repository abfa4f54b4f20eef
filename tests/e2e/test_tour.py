"""Every endpoint of ChatterStack over every listener, once: what each means is tested in process, and over the lane."""

import re
from typing import Any

from chinwag.http.fronts.chatterstack import FRONT
from tests.e2e.client import MESSAGE_FIELDS, PASSWORD, ROOM_FIELDS, USER_FIELDS, Api, unique
from tests.e2e.listeners import OVER_TLS_TOO

pytestmark = OVER_TLS_TOO


class Guide:
    """Asks, and notes which endpoints were."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.asked: set[tuple[str, str]] = set()

    async def ask(self, method: str, path: str, status: int, **more: Any) -> Any:
        """The body of an answer that has this status; None when it is empty."""
        answer = await self._api.ask(method, path, **more)
        assert answer.status_code == status, (method, path, answer.text)
        if status != 204:
            assert answer.headers["content-type"] == "application/json"
        [route] = [each for each in FRONT.routes if (each.method, True) == (method, _fits(each.path, path))]
        self.asked.add((method, route.path))
        return answer.json() if answer.content else None


def _fits(route: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"{[^}]*}", "[0-9]+", route), path) is not None


async def test_every_endpoint_answers(api: Api) -> None:
    guide = Guide(api)
    name = unique("guest")
    log_in = {"email": f"{name}@example.org", "password": PASSWORD}
    user = await guide.ask("POST", "/auth/register", 201, json={"username": name, **log_in})
    assert set(user) == USER_FIELDS
    opened = await guide.ask("POST", "/auth/login", 200, json=log_in)
    renewed = await guide.ask("POST", "/auth/refresh", 200, json={"refresh_token": opened["refresh_token"]})
    me = {"headers": {"X-Auth-Token": renewed["access_token"]}}
    bob = await api.person("bob")

    await guide.ask("PATCH", f"/users/{user['id']}/status", 204, json={"status": "ONLINE"}, **me)
    assert (await guide.ask("GET", f"/users/{user['id']}", 200, as_=bob))["status"] == "ONLINE"
    assert (await guide.ask("GET", "/users", 200, params={"email": bob.email}, **me))["id"] == bob.id
    direct = await guide.ask("POST", "/rooms/direct", 201, json={"peer_user_id": bob.id}, **me)
    room = await guide.ask("POST", "/rooms", 201, json={"name": "Teezimmer 茶", "is_group": True}, **me)
    assert set(room) == ROOM_FIELDS
    listed = await guide.ask("GET", "/rooms", 200, **me)
    assert [each["id"] for each in listed["rooms"]] == [room["id"], direct["id"]]

    where = f"/rooms/{room['id']}"
    assert await guide.ask("GET", where, 200, **me) == room
    await guide.ask("POST", f"{where}/members", 201, json={"user_id": bob.id}, **me)
    members = await guide.ask("GET", f"{where}/members", 200, as_=bob)
    assert {member["user_id"] for member in members} == {user["id"], bob.id}

    posted = await guide.ask("POST", f"{where}/messages", 201, json={"content": 'é 世界 🎉 \\ " \u2028'}, **me)
    assert set(posted) == MESSAGE_FIELDS
    message = f"{where}/messages/{posted['id']}"
    await guide.ask("POST", f"{message}/deliver", 204, as_=bob)
    await guide.ask("POST", f"{message}/read", 204, as_=bob)
    edited = await guide.ask("PATCH", message, 200, json={"content": "ÄPFEL & Birnen"}, **me)
    assert (edited["id"], edited["content"], edited["status"]) == (posted["id"], "ÄPFEL & Birnen", "READ")
    found = await guide.ask("GET", "/messages/search", 200, params={"q": "äpfel &"}, as_=bob)
    history = await guide.ask("GET", f"{where}/messages", 200, params={"limit": 1}, as_=bob)
    assert found["messages"] == history["messages"] == [edited]
    await guide.ask("DELETE", message, 204, **me)
    await guide.ask("DELETE", f"{where}/members/{bob.id}", 204, **me)
    assert set(await guide.ask("GET", f"{where}/messages", 403, as_=bob)) == {"error"}
    await guide.ask("DELETE", where, 204, **me)
    assert set(await guide.ask("GET", where, 404, **me)) == {"error"}
    await guide.ask("POST", "/auth/logout", 204, json={"user_id": user["id"]}, **me)
    assert set(await guide.ask("GET", "/rooms", 401, **me)) == {"error"}

    assert guide.asked == {(route.method, route.path) for route in FRONT.routes}
