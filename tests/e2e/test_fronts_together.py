"""One room and three APIs: everybody hears everything once, in one order, each in the words of their own API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import trio
from trio_websocket import ConnectionClosed

from chinwag.engine.model.values import ENCRYPTED_PLACEHOLDER
from tests.e2e import chatrooms as chatrooms_client
from tests.e2e import client as chatterstack_client
from tests.e2e import messenger as messenger_client
from tests.e2e.chatrooms import Chatrooms, ChatroomsSocket, Guest, chatrooms_of, message_of, plain
from tests.e2e.client import Json, Socket
from tests.e2e.messenger import MessengerSocket
from tests.e2e.processes import LIMIT_S, serving
from tests.e2e.test_chatrooms_encryption import content_of, device, keys_of
from tests.engine.encryption.rooms_with_keys import encrypt

FRONTS = ("chatterstack", "chatrooms", "messenger")
MESSAGES = {"receive_message", "message_received", "message"}
"""What each calls the event of a new message."""
CLIENTS = 20
EACH = 5
"""Messages that each client sends."""


@dataclass
class Client:
    """Somebody in the room, by one of the APIs."""

    front: str
    guest: Guest
    socket: Socket
    send: Callable[[str], Awaitable[None]]
    heard: list[tuple[str, str]] = field(default_factory=list)
    """Author and text of what was heard, in its order. Each name and text is used once."""

    async def next_message(self) -> Json | None:
        """The next message in this API's shape, None for any other event."""
        event = await self.socket.next()
        match self.front, event.get("event", event.get("type")):
            case "chatterstack", "receive_message":
                data: Json = event["data"]
                assert set(data) - {"client_id"} == chatterstack_client.MESSAGE_FIELDS
                self.heard.append((data["username"], data["content"]))
            case "chatrooms", "message_received":
                data = event["data"]["message"]
                assert set(data) - {"client_id"} == chatrooms_client.MESSAGE_FIELDS
                self.heard.append((data["username"], data["content"]["encrypted_data"]))
            case "messenger", "message":
                data = event["data"]
                assert list(data)[:6] == messenger_client.MESSAGE_FIELDS
                self.heard.append((data["sender_id"], data["content"]))
            case _:
                return None
        return data

    async def hear(self, count: int) -> list[Json]:
        """The next messages, so many; other events are passed over."""
        found: list[Json] = []
        while len(found) < count:
            message = await self.next_message()
            if message is not None:
                found.append(message)
        return found


@dataclass(frozen=True)
class Place:
    """The room, as each API calls it."""

    chatroom: str
    number: str


@asynccontextmanager
async def connected(chatrooms: Chatrooms, place: Place, front: str, guest: Guest) -> AsyncIterator[Client]:
    """A client of a front, that hears of the room."""
    api = chatrooms.chatterstack
    if front == "chatrooms":
        async with chatrooms.socket(guest, place.chatroom) as mine:

            async def say(text: str) -> None:
                await mine.say(place.chatroom, text, client_id=text)

            yield Client(front, guest, mine, say)
    elif front == "messenger":
        async with api.open_socket(f"/messenger/ws?token={guest.token}") as opened:
            socket = MessengerSocket(opened.ws)
            yield Client(front, guest, socket, lambda text: socket.say(text, group_id=place.chatroom, client_id=text))
    else:
        async with api.socket(await chatrooms.elsewhere(guest), place.number) as theirs:
            yield Client(
                front,
                guest,
                theirs,
                lambda text: theirs.send("send_message", room_id=place.number, content=text, client_id=text),
            )


async def meet(chatrooms: Chatrooms, count: int) -> tuple[Place, list[Guest]]:
    """A chatroom with so many members."""
    people = await chatrooms.guests(*["guest"] * count)
    chatroom = await chatrooms.room(*people, name=chatterstack_client.unique("room"))
    return Place(chatroom, await chatrooms.number(chatroom, people[0])), people


async def all_connected(stack: AsyncExitStack, chatrooms: Chatrooms, place: Place, people: list[Guest]) -> list[Client]:
    """All of them, by one API after the other."""
    return [
        await stack.enter_async_context(connected(chatrooms, place, FRONTS[at % len(FRONTS)], person))
        for at, person in enumerate(people)
    ]


async def test_twenty_clients_of_three_apis_hear_everything_once_and_in_one_order(chatrooms: Chatrooms) -> None:
    place, people = await meet(chatrooms, CLIENTS)
    async with AsyncExitStack() as stack:
        clients = await all_connected(stack, chatrooms, place, people)

        async def send(client: Client) -> None:
            for number in range(EACH):
                await client.send(f"{client.guest.username}-{number}")

        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(send, client)
                nursery.start_soon(client.hear, CLIENTS * EACH)
        for client in clients:
            leftover = {event.get("event", event.get("type")) for event in await client.socket.fence()}
            assert not leftover & MESSAGES
    orders = {tuple(text for _, text in client.heard) for client in clients}
    assert len(orders) == 1
    [order] = orders
    assert sorted(order) == sorted(f"{person.username}-{number}" for person in people for number in range(EACH))
    for person in people:
        mine = [text for text in order if text.startswith(f"{person.username}-")]
        assert mine == [f"{person.username}-{number}" for number in range(EACH)]  # each one's own in its order
    names = {person.id: person.username for person in people} | {person.username: person.username for person in people}
    for client in clients:
        assert all(text.startswith(f"{names[author]}-") for author, text in client.heard)
    history = [each for each in await chatrooms.history(people[0], place.chatroom) if each["message_type"] == "text"]
    assert [each["content"] for each in history] == [plain(text) for text in order]
    reader = await chatrooms.elsewhere(people[0])
    theirs = await chatrooms.chatterstack.texts(reader, place.number)
    assert theirs[::-1][-len(order) :] == list(order)


async def test_what_one_api_has_no_word_for_is_shown_sensibly(chatrooms: Chatrooms) -> None:
    place, [ann, bob, cleo] = await meet(chatrooms, 3)
    dora = await chatrooms.guest("dora")
    async with AsyncExitStack() as stack:
        old, new, third = await all_connected(stack, chatrooms, place, [ann, bob, cleo])
        assert [old.front, new.front, third.front] == list(FRONTS)
        # A system message is a message like any other.
        await chatrooms.do("POST", f"/chatrooms/{place.chatroom}/join", dora)
        for client in (old, new, third):
            await client.hear(1)
        assert old.heard[-1] == new.heard[-1] == (dora.username, "Dora joined")
        assert third.heard[-1] == (dora.id, "Dora joined")
        # Of a reply to ChatterStack's message the others see the text.
        await old.send("from the old one")
        [first] = await old.hear(1)
        for client in (new, third):
            await client.hear(1)
        newest = (await chatrooms.history(bob, place.chatroom))[-1]
        assert newest["content"] == plain("from the old one")
        assert isinstance(new.socket, ChatroomsSocket)
        await new.socket.say(place.chatroom, "a reply", reply_to=newest["id"])
        for client in (old, new, third):
            await client.hear(1)
            assert client.heard[-1][1] == "a reply"
        # A reaction.
        here = f"/chatrooms/{place.chatroom}/messages/{newest['id']}"
        await chatrooms.do("POST", f"{here}/reactions", bob, {"emoji": "🎉"})
        assert (await new.socket.expect("reaction_added"))["reaction"]["emoji"] == "🎉"
        # An edit by ChatterStack.
        person = await chatrooms.elsewhere(ann)
        path = f"/rooms/{place.number}/messages/{first['id']}"
        edited = await chatrooms.chatterstack.ask("PATCH", path, as_=person, json={"content": "edited"})
        assert edited.status_code == 200, edited.text
        message = (await new.socket.expect("message_edited"))["message"]
        assert (message["id"], message["content"]) == (newest["id"], plain("edited"))
        assert [each["emoji"] for each in message["reactions"]] == ["🎉"]
        # And a deletion.
        gone = await chatrooms.chatterstack.ask("DELETE", path, as_=person)
        assert gone.status_code == 204, gone.text
        about = {"chatroom_id": place.chatroom, "message_id": newest["id"]}
        assert await new.socket.expect("message_deleted") == about
        # Encrypted for the members only.
        content = {"encrypted_data": "b3BhcXVl", "iv": "aXY=", "key_version": 1}
        await chatrooms.do("POST", f"/chatrooms/{place.chatroom}/keys", bob, {"version": 1, "sealed": {bob.id: "k"}})
        sent = await chatrooms.ask("POST", f"/chatrooms/{place.chatroom}/messages", as_=bob, json={"content": content})
        assert message_of(sent, 201)["content"] == content
        for client in (old, third):
            await client.hear(1)
            assert client.heard[-1][1] == ENCRYPTED_PLACEHOLDER
        [opaque] = await new.hear(1)
        assert opaque["content"] == content
        texts = await chatrooms.chatterstack.texts(person, place.number)
        assert texts[:2] == [ENCRYPTED_PLACEHOLDER, "a reply"]
        async with httpx2.AsyncClient(**chatrooms.server.listener.http_options, timeout=LIMIT_S) as http:
            url = f"{chatrooms.server.url}/messenger/api/groups/{place.chatroom}/messages"
            listed = await http.get(url, headers=cleo.headers)
        assert [each["content"] for each in listed.json()["messages"]][:2] == [ENCRYPTED_PLACEHOLDER, "a reply"]


async def test_in_server_custody_all_apis_read_what_one_encrypts(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.guest("ann", public_key=device("ann").public_pem)
    bob, cleo = await chatrooms.guests("bob", "cleo")
    room = await chatrooms.room(bob, ann, cleo, name=chatterstack_client.unique("room"), key_custody="server")
    place = Place(room, await chatrooms.number(room, ann))
    key = (await keys_of(chatrooms, room, ann, "ann"))[1]
    async with AsyncExitStack() as stack:
        old, new, third = await all_connected(stack, chatrooms, place, [bob, ann, cleo])
        sealed = content_of(encrypt(key, "readable ☕"))
        await new.socket.send("send_message", chatroom_id=room, content=sealed)
        [message] = await new.hear(1)
        assert message["content"] == sealed
        for client, author in ((old, ann.username), (third, ann.id)):
            await client.hear(1)
            assert client.heard == [(author, "readable ☕")]


@pytest.mark.parametrize("seed", range(2))
async def test_what_was_acknowledged_by_any_api_survives_a_kill(tmp_path: Path, seed: int) -> None:
    acknowledged: dict[str, list[str]] = {}
    options = ("--rate-limits", "off")
    with serving(tmp_path / "data", *options, fronts=()) as server:
        async with chatrooms_of(server) as chatrooms:
            place, people = await meet(chatrooms, 6)
            enough = trio.Event()
            heard = 0

            async def listen(client: Client, own: list[str]) -> None:
                nonlocal heard
                try:
                    while True:
                        message = await client.next_message()
                        if message is not None:
                            own.append(client.heard[-1][1])
                            heard += 1
                            if heard > 600:
                                enough.set()
                except ConnectionClosed:
                    return

            async def send(client: Client) -> None:
                try:
                    for number in range(10_000):
                        await client.send(f"{client.guest.username}-{number}")
                        if number % 10 == seed:
                            await client.socket.ws.ping()
                except (ConnectionClosed, trio.BrokenResourceError):
                    return

            async def talk(client: Client, own: list[str]) -> None:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send, client)
                    await listen(client, own)
                    nursery.cancel_scope.cancel()  # a ping would wait for its pong for ever

            with trio.fail_after(LIMIT_S):
                async with AsyncExitStack() as stack:
                    clients = await all_connected(stack, chatrooms, place, people)
                    async with trio.open_nursery() as nursery:
                        for client in clients:
                            nursery.start_soon(talk, client, acknowledged.setdefault(client.guest.username, []))
                        await enough.wait()
                        server.kill()
    with serving(tmp_path / "data", *options, fronts=()) as server:
        async with chatrooms_of(server) as chatrooms:
            history = await chatrooms.history(people[0], place.chatroom)
            texts = [each["content"]["encrypted_data"] for each in history if each["message_type"] == "text"]
            assert len(set(texts)) == len(texts)
            for own in acknowledged.values():
                assert own and own == texts[: len(own)]  # all that anybody heard, without a gap, in that order
            for person in people:
                mine = [text for text in texts if text.startswith(f"{person.username}-")]
                assert mine == [f"{person.username}-{number}" for number in range(len(mine))]
            # Sending again posts nothing twice, whichever API it was sent by.
            for person in people:
                first = next(each for each in history if each.get("client_id") == f"{person.username}-0")
                again = await chatrooms.post(
                    person, place.chatroom, f"{person.username}-0", client_id=first["client_id"]
                )
                assert again == first
            assert await chatrooms.history(people[0], place.chatroom) == history
