"""How a front is tested: the real server, in this process."""

import json

import pytest
import trio
from chinwag_hello import FRONT
from trio_websocket import open_websocket_url

from chinwag.http.testing import FrontServer, open_front

PASSWORD = "correct-horse"


async def token_of(server: FrontServer, name: str) -> str:
    return str((await server.ask("POST", "/hello", json={"name": name, "password": PASSWORD})).json["token"])


async def test_two_people_talk() -> None:
    async with open_front(FRONT) as server:
        ann, bob = await token_of(server, "ann"), await token_of(server, "bob")
        room = (await server.ask("PUT", "/rooms/tea", token=ann)).json["room"]
        assert (await server.ask("PUT", "/rooms/Tea", token=bob)).json == {"room": room}
        async with open_websocket_url(f"{server.url.replace('http', 'ws')}/live?token={bob}") as socket:
            with trio.fail_after(10):
                assert json.loads(await socket.get_message()) == {"hello": "bob"}
                answer = await server.ask("POST", "/say", json={"room": room, "text": "Shall we?"}, token=ann)
                assert answer.status == 201
                assert json.loads(await socket.get_message()) == answer.json
                await socket.send_message(json.dumps({"room": room, "text": "Yes!"}))
                assert json.loads(await socket.get_message())["text"] == "Yes!"
                await socket.send_message("{}")
                assert json.loads(await socket.get_message()) == {"error": "room: is required; text: is required"}


@pytest.mark.parametrize(
    ("body", "status"),
    [({"room": "1", "text": ""}, 400), ({"room": "one", "text": "hello"}, 400), ({"room": "1", "text": "hello"}, 404)],
)
async def test_what_cannot_be_said(body: dict[str, str], status: int) -> None:
    async with open_front(FRONT) as server:
        answer = await server.ask("POST", "/say", json=body, token=await token_of(server, "ann"))
        assert (answer.status, list(answer.json)) == (status, ["error"])
