"""The messenger's messages: each endpoint's success and its refusals, paging, and rooms shared with ChatterStack."""

import random

import msgspec
import pytest
import trio

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.values import Sealed
from chinwag.http.fronts.messenger import wire
from chinwag.http.kit.uuid_ids import IDS
from tests.http.fronts.messenger_api import NOBODY, STRANGE_UUID, Messenger, refused
from tests.http.service_api import Person

# --- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conversation", "group"])
async def test_a_message_is_stored_and_returned(m: Messenger, ann: Person, bob: Person, kind: str) -> None:
    where_id = await m.conversation(ann, bob) if kind == "conversation" else await m.group(ann, bob)
    answer = await m.ask("POST", f"/{kind}s/{where_id}/messages", as_=ann, json={"content": " Hello! "})
    assert answer.status == 201
    message = answer.json["message"]
    assert list(message) == ["id", "sender_id", f"{kind}_id", "content", "created_at"]
    assert (message["sender_id"], message[f"{kind}_id"], message["content"]) == (ann.id, where_id, "Hello!")
    page = await m.ask("GET", f"/{kind}s/{where_id}/messages", as_=bob)
    assert page.json == {"messages": [message], "next_cursor": None}
    kinds = {"conversation": wire.ConversationMessages, "group": wire.GroupMessages}
    assert msgspec.json.encode(msgspec.json.decode(page.body, type=kinds[kind])) == page.body


@pytest.mark.parametrize(
    "body",
    [{}, {"content": ""}, {"content": " \n"}, {"content": "x" * 4001}, {"content": 5}, {"content": None}, [], "hello"],
)
async def test_messages_that_are_400(m: Messenger, ann: Person, body: object) -> None:
    group_id = await m.group(ann)
    refused(await m.ask("POST", f"/groups/{group_id}/messages", as_=ann, json=body), 400)
    assert (await m.ask("GET", f"/groups/{group_id}/messages", as_=ann)).json["messages"] == []


async def test_only_members_see_and_send(m: Messenger, ann: Person, bob: Person, eve: Person) -> None:
    group_id, conversation_id = await m.group(ann, bob), await m.conversation(ann, bob)
    for where, other in (("/groups/" + group_id, "/conversations/"), ("/conversations/" + conversation_id, "/groups/")):
        refused(await m.ask("GET", f"{where}/messages", as_=eve), 403)
        refused(await m.ask("POST", f"{where}/messages", as_=eve, json={"content": "x"}), 403)
        wrong = other + where.rpartition("/")[2]
        nowhere = f"{where.rpartition('/')[0]}/{NOBODY}"
        for path in (wrong, nowhere, nowhere.replace(NOBODY, STRANGE_UUID)):
            refused(await m.ask("GET", f"{path}/messages", as_=ann), 404)
            refused(await m.ask("POST", f"{path}/messages", as_=ann, json={"content": "x"}), 404)
    await m.ask("DELETE", f"/groups/{group_id}/members/{bob.id}", as_=ann)
    refused(await m.ask("GET", f"/groups/{group_id}/messages", as_=bob), 403)


async def test_a_retry_under_a_client_id_is_the_first_message(m: Messenger, ann: Person) -> None:
    path = f"/groups/{await m.group(ann)}/messages"
    first = await m.ask("POST", path, as_=ann, json={"content": "once", "client_id": "c-1"})
    assert first.json["message"]["client_id"] == "c-1"
    again = await m.ask("POST", path, as_=ann, json={"content": "once", "client_id": "c-1"})
    assert again.json == first.json
    refused(await m.ask("POST", path, as_=ann, json={"content": "other", "client_id": "c-1"}), 400)
    assert len((await m.ask("GET", path, as_=ann)).json["messages"]) == 1


# --- paging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_paging_shows_every_message_once_also_while_new_ones_arrive(
    m: Messenger, ann: Person, bob: Person, seed: int
) -> None:
    dice = random.Random(seed)
    where = f"/conversations/{await m.conversation(ann, bob)}"
    async with trio.open_nursery() as nursery:  # together: several of them in the same microsecond
        for n in range(60):
            nursery.start_soon(m.say, dice.choice((ann, bob)), where, f"{n}")
    before = [
        each["id"] for each in (await m.ask("GET", f"{where}/messages", as_=ann, query="limit=100")).json["messages"]
    ]
    assert len(before) == 60
    read: list[str] = []
    times: list[str] = []
    query: dict[str, object] = {}
    while True:
        page = await m.ask("GET", f"{where}/messages", as_=bob, query={**query, "limit": dice.randint(1, 9)})
        assert page.status == 200
        read += [message["id"] for message in page.json["messages"]]
        times += [message["created_at"] for message in page.json["messages"]]
        if page.json["next_cursor"] is None:
            break
        assert page.json["next_cursor"] == page.json["messages"][-1]["created_at"]
        query = {"cursor": page.json["next_cursor"]}
        for _ in range(dice.randrange(3)):
            await m.say(ann, where, "meanwhile")
    assert read == before
    assert times == sorted(set(times), reverse=True)


async def test_a_full_last_page_ends_with_null(m: Messenger, ann: Person) -> None:
    where = f"/groups/{await m.group(ann)}"
    for n in range(4):
        await m.say(ann, where, f"{n}")
    first = (await m.ask("GET", f"{where}/messages", as_=ann, query={"limit": 2})).json
    last = (await m.ask("GET", f"{where}/messages", as_=ann, query={"limit": 2, "cursor": first["next_cursor"]})).json
    assert [message["content"] for message in last["messages"]] == ["1", "0"]
    assert last["next_cursor"] is None
    past = {"cursor": last["messages"][-1]["created_at"]}
    assert (await m.ask("GET", f"{where}/messages", as_=ann, query=past)).json == {"messages": [], "next_cursor": None}


async def test_a_page_has_50_by_default_and_100_at_most(m: Messenger, ann: Person) -> None:
    where = f"/groups/{await m.group(ann)}"
    for n in range(101):
        await m.say(ann, where, f"{n}")
    for query, count in (("", 50), ("limit=100", 100), ("limit=1", 1)):
        assert len((await m.ask("GET", f"{where}/messages", as_=ann, query=query)).json["messages"]) == count


async def test_a_cursor_may_be_any_time_with_a_zone(m: Messenger, ann: Person) -> None:
    where = f"/groups/{await m.group(ann)}"
    await m.say(ann, where, "hello")
    for cursor, count in (
        ("2000-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999999Z", 1),
        ("2100-01-01T00:00:00+01:00", 1),
        ("0001-01-01T00:00:00Z", 0),
    ):
        page = await m.ask("GET", f"{where}/messages", as_=ann, query={"cursor": cursor})
        assert (page.status, len(page.json["messages"])) == (200, count), cursor


@pytest.mark.parametrize(
    "query",
    "limit=0 limit=101 limit=-1 limit=x limit= limit=1.5 cursor= cursor=x cursor=5 cursor=2024-01-01 "
    f"cursor=2024-01-01T00:00:00 cursor=2024-13-01T00:00:00Z cursor={NOBODY}".split(),
)
async def test_wrong_pages_are_400(m: Messenger, ann: Person, query: str) -> None:
    group_id = await m.group(ann)
    refused(await m.ask("GET", f"/groups/{group_id}/messages", as_=ann, query=query), 400)


# --- what other fronts made ---------------------------------------------------------------------------------------


async def test_rooms_and_messages_are_chatterstacks_too(m: Messenger, ann: Person, bob: Person) -> None:
    group_id = await m.group(ann, bob)
    number = IDS.decode(group_id)
    await m.say(ann, f"/groups/{group_id}", "from the messenger")
    path = f"/chatterstack/v1/rooms/{number}/messages"
    files = [{"url": "https://a.example/1.png", "mime_type": "image/png", "size_bytes": 1}]
    for sent in ({"content": "from ChatterStack"}, {"content": "", "attachments": files}):
        assert (await m.api.ask("POST", path, as_=bob, json=sent)).status == 201
    there = (await m.api.ask("GET", path, as_=ann)).json["messages"]
    here = (await m.ask("GET", f"/groups/{group_id}/messages", as_=bob)).json["messages"]
    assert [each["content"] for each in here] == ["https://a.example/1.png", "from ChatterStack", "from the messenger"]
    assert [IDS.decode(each["id"]) for each in here] == [int(each["id"]) for each in there]


async def test_who_left_a_conversation_is_still_a_participant(m: Messenger, ann: Person, bob: Person) -> None:
    conversation_id = await m.conversation(ann, bob)
    path = f"/chatterstack/v1/rooms/{IDS.decode(conversation_id)}/members/{IDS.decode(bob.id)}"
    assert (await m.api.ask("DELETE", path, as_=bob)).status == 204
    assert (await m.ask("GET", "/conversations", as_=bob)).json["conversations"] == []
    refused(await m.ask("GET", f"/conversations/{conversation_id}", as_=bob), 403)
    shown = (await m.ask("GET", f"/conversations/{conversation_id}", as_=ann)).json["conversation"]
    assert shown["participants"] == [ann.id, bob.id]
    assert await m.conversation(ann, bob) == conversation_id
    assert (await m.ask("GET", f"/conversations/{conversation_id}", as_=bob)).status == 200


async def test_what_the_server_cannot_read_has_a_placeholder(m: Messenger, ann: Person) -> None:
    group_id = await m.group(ann)
    room, user = IDS.decode(group_id), IDS.decode(ann.id)
    assert room is not None
    assert user is not None
    sealed = Sealed(data="c2VjcmV0", iv="aXY=", key_version=1)
    await m.api.engine.messages.post(RoomId(room), UserId(user), text="", sealed=sealed)
    [message] = (await m.ask("GET", f"/groups/{group_id}/messages", as_=ann)).json["messages"]
    assert message["content"] == "[encrypted message]"
