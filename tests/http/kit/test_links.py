"""Every link is below the server's public URL, in answers and in events of every front, and leads where it says."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.connections.in_process import InProcessTransport
from chinwag.engine.testing.harness import keep_open
from chinwag.http.api.front import Front
from chinwag.http.kit.links import Links
from chinwag.http.registry import FRONTS
from chinwag.persistence import open_folder_blobs
from tests.http.fronts.chatrooms_api import picture
from tests.http.service_api import Answer, Api, Part, Person, open_api

PUBLIC = [
    "https://example.org/chat",
    "https://example.org/chat/",
    "https://chatrooms.example.org",
    "http://[::1]:8000/a/b",
]
CHATTERSTACK, CHATROOMS, MESSENGER = FRONTS


class Scene:
    """A chatroom with a picture in it and an invitation to it, on a server with all fronts."""

    def __init__(self, api: Api, root: str) -> None:
        self.api = api
        self.root = root
        self.ann = Person("", "", "", "")
        self.room = ""
        self.invitation: Any = None
        self.avatar = ""

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        """The JSON of a success."""
        answer = await self.api.ask(method, path, as_=self.ann, **more)
        assert answer.status < 300, answer.body
        return answer.json

    async def follow(self, link: str) -> Answer:
        """What a link leads to, by a proxy that takes the public URL's path off."""
        assert link.startswith(f"{self.root}/"), link
        parts = urlsplit(link)
        path = parts.path.removeprefix(urlsplit(self.root).path)
        return await self.api.ask("GET", path, query=parts.query, host=parts.netloc or "127.0.0.1:8000", as_=self.ann)

    async def prepare(self) -> None:
        registration = {"username": "ann", "email": "ann@example.org", "password": "correct-horse", "display_name": "A"}
        made = (await self.api.ask("POST", "/chatrooms/auth/register", json=registration)).json["data"]
        self.ann = Person(made["user"]["id"], "ann", made["access_token"], made["refresh_token"])
        room = await self.ask("POST", "/chatrooms/chatrooms", json={"name": "tea", "is_private": False})
        self.room = room["data"]["chatroom"]["id"]
        path = f"/chatrooms/chatrooms/{self.room}"
        self.invitation = (await self.ask("POST", f"{path}/invite", json={}))["data"]["invitation"]
        avatar = [Part("file", picture(), "me.png")]
        self.avatar = (await self.ask("POST", "/chatrooms/users/me/avatar", parts=avatar))["data"]["avatar_url"]

    async def post_picture(self) -> Any:
        """What the upload was answered with."""
        parts = [Part("file", picture(), "cat.png"), Part("chatroom_id", self.room)]
        file = (await self.ask("POST", "/chatrooms/upload/file", parts=parts))["data"]["file"]
        message = {"content": {"encrypted_data": "look"}, "message_type": "image", "attachments": [file["id"]]}
        await self.ask("POST", f"/chatrooms/chatrooms/{self.room}/messages", json=message)
        return file

    async def number(self) -> str:
        """ChatterStack's id of the room."""
        return str((await self.ask("GET", "/chatterstack/v1/rooms"))["rooms"][0]["id"])

    @asynccontextmanager
    async def socket(self, front: Front) -> AsyncIterator[InProcessTransport]:
        """A socket of a front that hears of the room."""
        query = {"chatterstack": f"room_id={await self.number()}", "chatrooms": "since=x", "messenger": ""}[front.name]
        endpoint = self.api.service.socket_endpoint(front)
        assert endpoint is not None
        request = self.api.socket_request(endpoint, self.ann.token, query=query)
        admitted = await endpoint.admit(self.api.engine, request)
        transport = InProcessTransport()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_open, self.api.engine, admitted, transport)
            yield transport
            transport.abort()


@asynccontextmanager
async def opened(folder: Path, public_url: str | None) -> AsyncIterator[Scene]:
    blobs = await open_folder_blobs(folder / "blobs")
    async with open_api(FRONTS, blobs=blobs, public_url=public_url) as api:
        scene = Scene(api, (public_url or "").rstrip("/"))
        await scene.prepare()
        yield scene


def links(value: object) -> Iterator[str]:
    """Every text in a JSON value, or part of one after a blank, that leads to this server."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from links(each)
    elif isinstance(value, str):
        yield from (word for word in value.split() if "/files/" in word or "/avatars/" in word or "/join/" in word)


@pytest.mark.parametrize("public_url", [None, *PUBLIC])
async def test_links_in_answers_are_below_the_public_url_and_work(tmp_path: Path, public_url: str | None) -> None:
    async with opened(tmp_path, public_url) as scene:
        uploaded = await scene.post_picture()
        path = f"/chatrooms/chatrooms/{scene.room}"
        answers = [
            uploaded,
            await scene.ask("GET", f"{path}/messages"),
            await scene.ask("POST", f"{path}/search", json={"query": "look"}),
            await scene.ask("GET", path),
            await scene.ask("GET", "/chatrooms/users/me"),
            await scene.ask("GET", f"/chatterstack/v1/rooms/{await scene.number()}/messages"),
            await scene.ask("GET", f"/messenger/api/groups/{scene.room}/messages"),
        ]
        for answer in answers:
            found = list(links(answer))
            assert found, answer
            for link in found:
                assert (await scene.follow(link)).headers["content-type"].startswith("image/"), link
        assert (await scene.follow(scene.avatar)).status == 200


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
@pytest.mark.parametrize("public_url", [None, "https://example.org/chat/"])
async def test_links_in_events_are_those_of_answers(tmp_path: Path, public_url: str | None, front: Front) -> None:
    async with opened(tmp_path, public_url) as scene, scene.socket(front) as transport:
        await scene.post_picture()
        await wait_all_tasks_blocked()
        frames = [json.loads(line) for line in transport.written.splitlines()]
        found = list(links(frames))
        assert any("/files/" in link for link in found)
        assert front is not CHATROOMS or any("/avatars/" in link for link in found)
        for link in found:
            assert (await scene.follow(link)).headers["content-type"].startswith("image/"), link


@pytest.mark.parametrize("public_url", PUBLIC)
@pytest.mark.parametrize(
    "asked_by", ["/chatrooms@127.0.0.1", "@chatrooms.localhost:8000", "/chatrooms@chatrooms.localhost"]
)
async def test_an_invitation_leads_to_its_room_wherever_it_was_asked_for(
    tmp_path: Path, public_url: str, asked_by: str
) -> None:
    async with opened(tmp_path, public_url) as scene:
        prefix, _, host = asked_by.partition("@")
        made = await scene.ask("POST", f"{prefix}/chatrooms/{scene.room}/invite", json={}, host=host)
        shown = await scene.follow(made["data"]["invitation"]["invite_url"])
        assert shown.json["data"]["chatroom_name"] == "tea"


@pytest.mark.parametrize("public_url", PUBLIC)
async def test_pages_and_documents_are_below_the_public_url(tmp_path: Path, public_url: str) -> None:
    async with opened(tmp_path, public_url) as scene:
        start = (await scene.follow(f"{scene.root}/")).body.decode()
        hrefs = [each.partition('"')[0] for each in start.split('href="')[1:]]
        for href in hrefs:
            assert href == "data:," or (await scene.follow(href)).status == 200, href
        for front in FRONTS:
            [document] = [
                href for href in hrefs if href.endswith("/openapi.json") and front.title in hrefs_of(start, href)
            ]
            described = (await scene.follow(document)).json
            base = described["servers"][0]["url"]
            assert (await scene.follow(f"{base}/auth/login")).status == 405
            socket = described["x-websocket"]
            assert socket["url"] == f"ws{base.removeprefix('http').removesuffix(front.base)}{front.socket_path}"
            page = (await scene.follow(document.replace("/openapi.json", "/docs"))).body.decode()
            assert document in page and base in page


def hrefs_of(start: str, href: str) -> str:
    """The part of the start page around a link."""
    before, _, _ = start.partition(href)
    return before[before.rindex("<section") :]


def test_an_address_of_ones_own_is_kept_as_a_path_and_survives_a_move() -> None:
    old, new = Links("https://old.example/chat"), Links("https://new.example")
    avatar = old.own("/chatrooms/avatars/1?signature=s")
    assert avatar == "https://old.example/chat/chatrooms/avatars/1?signature=s"
    assert new.own(old.stored(avatar)) == "https://new.example/chatrooms/avatars/1?signature=s"
    for other in ("https://old.example/chatter", "https://elsewhere.example/a.png", "https://old.example/chat"):
        assert old.stored(other) == other
        assert new.own(other) == other
    assert Links().stored("https://old.example/a") == "https://old.example/a"


async def test_a_profile_that_is_sent_back_as_it_was_shown_keeps_its_avatar(tmp_path: Path) -> None:
    async with opened(tmp_path, "https://example.org/chat") as scene:
        changed = await scene.ask("PUT", "/chatrooms/users/me", json={"avatar_url": scene.avatar})
        assert changed["data"]["avatar_url"] == scene.avatar
        claims = scene.api.tokens.verify(scene.ann.token)
        kept = (await scene.api.engine.accounts.user(claims.user_id)).avatar_url
        assert kept is not None and kept.startswith("/chatrooms/avatars/")


async def test_without_a_public_url_an_invitation_has_the_address_that_was_asked(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as scene:
        assert scene.invitation["invite_url"].startswith("http://127.0.0.1:8000/chatrooms/chatrooms/join/")
        path = f"/chatrooms/{scene.room}/invite"
        made = await scene.ask("POST", path, json={}, host="chatrooms.localhost:8000")
        invitation = msgspec.convert(made["data"]["invitation"], dict[str, Any])
        assert invitation["invite_url"].startswith("http://chatrooms.localhost:8000/chatrooms/join/")
