"""The chatrooms front for tests. Every answer is held to the front's OpenAPI document."""

import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from chinwag.engine.encryption.room_crypto import MasterKey
from chinwag.http.api.rate_limits import RateLimiter
from chinwag.http.fronts.chatrooms import FRONT
from chinwag.http.kit.uuid_ids import IDS
from chinwag.persistence import open_folder_blobs
from tests.http.service_api import Answer, Api, Part, Person, open_api

PASSWORD = "correct-horse"
NOBODY = IDS.encode(4096)
"""The wire form of an id that nobody has."""
STRANGE_UUID = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
"""A UUID that is none of ours."""
NOT_IDS = ("x", "0", "null", NOBODY.upper(), NOBODY[:-1], NOBODY.replace("-", ""), "4096", "%F0%9F%8D%B5", "a%20b")
"""What stands in a path for an id and names nothing."""


class Clock:
    """Seconds since 1970; stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


class Chatrooms:
    """One server, and what its people do."""

    def __init__(self, api: Api, clock: Clock, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.clock = clock
        self.ask = api.ask

    async def person(self, username: str, **more: object) -> Person:
        """Somebody who has just registered."""
        body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        made = await self.ask("POST", "/auth/register", json={**body, "display_name": username.title(), **more})
        data = succeeded(made, 201)
        return Person(data["user"]["id"], username, data["access_token"], data["refresh_token"])

    async def people(self, *usernames: str) -> list[Person]:
        """Several of them."""
        return [await self.person(username) for username in usernames]

    async def log_in(self, username: str) -> Person:
        """The same person on another device."""
        data = succeeded(await self.ask("POST", "/auth/login", json={"username": username, "password": PASSWORD}))
        return Person(data["user"]["id"], username, data["access_token"], data["refresh_token"])

    async def chatroom(self, owner: Person, *others: Person, **settings: object) -> str:
        """A public chatroom that these others have joined; its id."""
        body = {"name": "tea", "is_private": False, **settings}
        room = succeeded(await self.ask("POST", "/chatrooms", as_=owner, json=body), 201)["chatroom"]["id"]
        for other in others:
            await self.bring(owner, room, other)
        return str(room)

    async def bring(self, owner: Person, room: str, other: Person) -> None:
        """Have somebody join by an invitation."""
        succeeded(await self.ask("POST", f"/chatrooms/join/{await self.invite(owner, room)}", as_=other))

    async def invite(self, by: Person, room: str, **terms: object) -> str:
        """A new invitation's code."""
        made = succeeded(await self.ask("POST", f"/chatrooms/{room}/invite", as_=by, json=terms), 201)
        return str(made["invitation"]["invite_code"])

    async def make_moderator(self, owner: Person, room: str, other: Person) -> None:
        """Give a member the role between owner and member."""
        path = f"/chatrooms/{room}/members/{other.id}"
        succeeded(await self.ask("PUT", path, as_=owner, json={"role": "moderator"}))

    async def send(self, author: Person, room: str, text: str = "hello", **more: object) -> dict[str, Any]:
        """Post plain text; the message."""
        body = {"content": {"encrypted_data": text}, **more}
        made = await self.ask("POST", f"/chatrooms/{room}/messages", as_=author, json=body)
        message: dict[str, Any] = succeeded(made, 201)["message"]
        return message

    async def upload(
        self, by: Person | None, room: str | None, content: bytes, *, name: str = "note.txt", path: str = "/upload/file"
    ) -> Answer:
        """Upload a file for a chatroom."""
        parts = [Part("file", content, name)]
        if room is not None:
            parts.append(Part("chatroom_id", room))
        return await self.ask("POST", path, as_=by, parts=parts)

    async def get(self, url: str, **more: Any) -> Answer:
        """What a URL that the server gave out leads to."""
        path, _, query = url.partition("?")
        return await self.ask("GET", path, query=query, **more)


@asynccontextmanager
async def open_chatrooms(
    folder: Path,
    *,
    master_key: MasterKey | None = None,
    limiters: Callable[[Clock], Mapping[str, RateLimiter]] | None = None,
    public_url: str | None = None,
) -> AsyncIterator[Chatrooms]:
    """Run a server with this front alone within the block; files go below `folder`, tokens follow its clock."""
    clock = Clock()
    async with open_api(
        [FRONT],
        clock=clock,
        blobs=await open_folder_blobs(folder / "blobs"),
        master_key=master_key,
        limiters=None if limiters is None else limiters(clock),
        public_url=public_url,
        checked=True,
    ) as api:
        yield Chatrooms(api, clock, folder)


def succeeded(answer: Answer, status: int = 200) -> Any:
    """The `data` of a success; None when it has none."""
    assert answer.status == status, answer.body
    body = answer.json
    assert list(body) in (["success", "data", "message"], ["success", "message"]), body
    assert body["success"] is True
    assert body["message"]
    return body.get("data")


def refused(answer: Answer, status: int, code: str) -> Any:
    """The `details` of an error, which has exactly the envelope, this status and this code."""
    assert answer.status == status, answer.body
    body = answer.json
    assert list(body) == ["success", "error"], body
    assert body["success"] is False
    assert list(body["error"]) == ["code", "message", "details"]
    assert body["error"]["code"] == code, body
    assert body["error"]["message"]
    return body["error"]["details"]


def wrong_fields(answer: Answer, *, status: int = 422) -> dict[str, str]:
    """The code of each field that a 422 names, in order."""
    assert answer.status == status, answer.body
    fields = answer.json["error"]["details"]["fields"]
    assert all(list(each) == ["field", "code", "message"] and each["message"] for each in fields)
    found = {each["field"]: each["code"] for each in fields}
    assert len(found) == len(fields)
    assert answer.json["error"]["code"] in (*list(found.values())[:1], "MESSAGE_TOO_LONG")
    return found


def picture(kind: str = "PNG", size: tuple[int, int] = (400, 300)) -> bytes:
    """An image file."""
    made = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(made, kind)
    return made.getvalue()
