"""What the tests of the messenger's endpoints share: a server, asked by its API."""

from typing import Any

from chinwag.engine.model.ids import MAX_ID
from chinwag.http.fronts import messenger
from chinwag.http.kit.uuid_ids import IDS
from tests.http.service_api import Answer, Api, Person

FRONT = messenger.FRONT
NOBODY = IDS.encode(MAX_ID)
STRANGE_UUID = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
WORDS = {
    401: "Invalid or expired token",
    403: "You don't have permission to access this resource",
    404: "Resource not found",
    429: "Rate limit exceeded",
    500: "Internal server error",
}


class Messenger:
    """A server with the messenger and ChatterStack, asked by the messenger's API."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def ask(self, method: str, path: str, *, as_: Person | None = None, **more: Any) -> Answer:
        """One request below `/api`."""
        return await self.api.ask(method, f"/messenger/api{path}", as_=as_, **more)

    async def person(self, username: str) -> Person:
        """Register, which logs in."""
        sent = {"username": username, "email": f"{username}@example.org", "password": "secret"}
        made = await self.ask("POST", "/auth/register", json=sent)
        assert made.status == 200, made.body
        return Person(made.json["user"]["id"], username, made.json["access_token"], made.json["refresh_token"])

    async def conversation(self, one: Person, other: Person) -> str:
        """The conversation of two; its id."""
        opened = await self.ask("POST", "/conversations", as_=one, json={"user_id": other.id})
        assert opened.status == 200, opened.body
        return str(opened.json["conversation"]["id"])

    async def group(self, creator: Person, *others: Person, name: str = "Team Chat") -> str:
        """A new group; its id."""
        made = await self.ask("POST", "/groups", as_=creator, json={"name": name})
        assert made.status == 201, made.body
        group_id = str(made.json["group"]["id"])
        for other in others:
            added = await self.ask("POST", f"/groups/{group_id}/members", as_=creator, json={"user_id": other.id})
            assert added.status == 200, added.body
        return group_id

    async def say(self, author: Person, where: str, content: str) -> dict[str, Any]:
        """Post to "/groups/ID" or "/conversations/ID"; the message as it is answered."""
        posted = await self.ask("POST", f"{where}/messages", as_=author, json={"content": content})
        assert posted.status == 201, posted.body
        message: dict[str, Any] = posted.json["message"]
        return message


def refused(answer: Answer, status: int, error: str | None = None) -> None:
    """The spec's error shape, and its words where it has some."""
    assert answer.status == status, answer.body
    assert answer.error == (error or WORDS.get(status) or answer.error)
    assert answer.error
