"""What each front's socket makes of the rooms that it is about, in process."""

from typing import Any

from chinwag.http.fronts import chatrooms, chatterstack, messenger
from tests.http.fronts.every_front import World, decimal


def messages(frames: list[Any]) -> list[str]:
    """The texts of the messenger's messages."""
    return [frame["data"]["content"] for frame in frames if frame["type"] == "message"]


async def test_the_messengers_groups_are_no_conversations_and_conversations_no_groups(world: World) -> None:
    async with world.socket(messenger.FRONT) as socket:
        await socket.heard()
        for place in ({"conversation_id": "{room}"}, {"group_id": "{conversation}"}):
            told = await socket.say({"type": "message", "content": "misplaced", "client_id": "m-1", **place})
            assert [(each["type"], each["client_id"]) for each in told] == [("error", "m-1")]
            assert told[0]["message"] == "Resource not found"
        for place, text in (({"group_id": "{room}"}, "in place"), ({"conversation_id": "{conversation}"}, "too")):
            assert messages(await socket.say({"type": "message", "content": text, **place})) == [text]
    assert await world.texts() == ["in place"]


async def test_the_messenger_hears_of_groups_that_came_after_the_socket(world: World) -> None:
    async with world.socket(messenger.FRONT, as_=world.carol) as socket:
        await socket.heard()
        made = await world.ask("messenger", "POST", "/groups", json={"name": "later", "members": ["{carol}"]})
        group = made.json["group"]["id"]
        await world.ask("messenger", "POST", f"/groups/{group}/messages", json={"content": "welcome"})
        assert messages(await socket.heard()) == ["welcome"]
        await world.ask("messenger", "DELETE", f"/groups/{group}/members/{world.carol.id}")
        await world.ask("messenger", "POST", f"/groups/{group}/messages", json={"content": "among us"})
        assert messages(await socket.heard()) == []


async def test_chatterstack_names_each_room_that_is_refused(world: World) -> None:
    made = await world.ask("messenger", "POST", "/groups", as_=world.carol, json={"name": "hers"})
    hers = decimal(made.json["group"]["id"])
    async with world.socket(chatterstack.FRONT, query=f"room_id={hers}&room_id=77") as socket:
        told = await socket.heard()
    assert [each["event"] for each in told] == ["error", "error"]
    assert [each["data"]["room_id"] for each in told] == [hers, "77"]


async def test_chatterstack_tells_that_somebody_types_and_that_they_stopped(world: World) -> None:
    async with (
        world.socket(chatterstack.FRONT, as_=world.bob) as bob,
        world.socket(chatterstack.FRONT) as ann,
    ):
        for name in ("typing_start", "typing_stop"):
            await ann.say({"event": name, "data": {"room_id": "{room}"}})
            [told] = await bob.heard()
            assert told["event"] == name
            assert told["data"]["user_id"] == decimal(world.ann.id)


async def test_chatrooms_says_which_frame_was_refused(world: World) -> None:
    async with world.socket(chatrooms.FRONT) as socket:
        await socket.heard()
        data = {"chatroom_id": "{room}", "client_id": "c-1", "content": 7}
        [told] = await socket.say({"event": "send_message", "data": data})
    assert told["event"] == "error"
    details = told["data"]["details"]
    assert (details["client_id"], details["chatroom_id"]) == ("c-1", world.room)
