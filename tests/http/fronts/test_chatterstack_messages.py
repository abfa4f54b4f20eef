"""ChatterStack's messages, each endpoint with every status its spec gives, over the real engine."""

from chinwag.engine.model.ids import MAX_ID
from tests.http.fronts.chatterstack_api import ATTACHMENT, NOBODY, refused
from tests.http.service_api import Api, Person


async def test_a_message_is_stored_and_returned(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    body = {"content": "  hello  ", "attachments": [ATTACHMENT]}
    sent = await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, json=body)
    assert sent.status == 201
    expected = [
        "id",
        "room_id",
        "sender_id",
        "content",
        "attachments",
        "status",
        "created_at",
        "updated_at",
        "username",
    ]
    assert list(sent.json) == expected
    assert (sent.json["room_id"], sent.json["sender_id"], sent.json["username"]) == (room_id, ann.id, "ann")
    assert (sent.json["content"], sent.json["attachments"], sent.json["status"]) == ("hello", [ATTACHMENT], "SENT")
    assert sent.json["updated_at"] == sent.json["created_at"]
    listed = await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)
    assert listed.json == {"messages": [sent.json]}


async def test_a_stranger_gets_403_on_everything_about_a_room(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob)
    message_id = await api.post(ann, room_id, "hidden")
    room = f"/v1/rooms/{room_id}"
    message = f"{room}/messages/{message_id}"
    for method, path, body in (
        ("GET", room, None),
        ("DELETE", room, None),
        ("GET", f"{room}/members", None),
        ("POST", f"{room}/members", {"user_id": eve.id, "role": "MEMBER"}),
        ("DELETE", f"{room}/members/{bob.id}", None),
        ("DELETE", f"{room}/members/{eve.id}", None),
        ("GET", f"{room}/messages", None),
        ("POST", f"{room}/messages", {"content": "hi"}),
        ("PATCH", message, {"content": "hi"}),
        ("DELETE", message, None),
        ("POST", f"{message}/deliver", None),
        ("POST", f"{message}/read", None),
        ("POST", f"{room}/messages/{NOBODY}/read", None),
    ):
        refused(await api.ask(method, path, as_=eve, json=body), 403)
    refused(await api.ask("GET", f"{room}/messages", as_=eve, query={"around_message_id": message_id}), 403)
    refused(await api.ask("GET", f"{room}/messages", as_=eve, query={"around_message_id": NOBODY}), 403)
    refused(await api.ask("GET", "/v1/messages/search", as_=eve, query={"q": "hidden", "room_id": room_id}), 403)
    assert (await api.ask("GET", "/v1/messages/search", as_=eve, query={"q": "hidden"})).json == {"messages": []}


async def test_a_room_that_is_missing_is_404(api: Api, ann: Person) -> None:
    for room_id in (NOBODY, "tea", "0"):
        messages = f"/v1/rooms/{room_id}/messages"
        for method, path, body in (
            ("GET", messages, None),
            ("POST", messages, {"content": "hi"}),
            ("PATCH", f"{messages}/5", {"content": "hi"}),
            ("DELETE", f"{messages}/5", None),
            ("POST", f"{messages}/5/deliver", None),
            ("POST", f"{messages}/5/read", None),
        ):
            refused(await api.ask(method, path, as_=ann, json=body), 404, "room not found")


async def contents(api: Api, reader: Person, room_id: str, **query: object) -> list[str]:
    answer = await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=reader, query=query)
    assert answer.status == 200, answer.body
    return [message["content"] for message in answer.json["messages"]]


async def test_pages_hold_the_newest_first(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    for number in range(55):
        await api.post(ann, room_id, f"{number}")
    newest_first = [f"{number}" for number in reversed(range(55))]
    assert await contents(api, ann, room_id) == newest_first[:50]
    assert await contents(api, ann, room_id, page=2) == newest_first[50:]
    assert await contents(api, ann, room_id, page=3) == []
    assert await contents(api, ann, room_id, limit=20, page=2) == newest_first[20:40]
    assert await contents(api, ann, room_id, limit=1000) == newest_first
    assert await contents(api, ann, room_id, limit=1000, page=MAX_ID // 1000) == []


async def test_the_window_around_a_message_is_chronological(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    ids = [await api.post(ann, room_id, f"{number}") for number in range(10)]

    async def window(around: int, **query: object) -> list[int]:
        return [int(text) for text in await contents(api, ann, room_id, around_message_id=ids[around], **query)]

    assert await window(5, limit=4) == [3, 4, 5, 6]
    assert await window(5, limit=5) == [3, 4, 5, 6, 7]
    assert await window(5, limit=1) == [5]
    assert await window(5, limit=4, page=7) == [3, 4, 5, 6]
    assert await window(0, limit=4) == [0, 1, 2, 3]
    assert await window(5, limit=2) == [4, 5]
    assert await window(5, limit=3) == [4, 5, 6]
    assert await window(5, limit=100) == list(range(10))
    assert await window(0, limit=1) == [0]
    assert await window(1, limit=4) == [0, 1, 2, 3]
    assert await window(1, limit=6) == [0, 1, 2, 3, 4, 5]  # one before it: what follows makes up for the rest
    assert await window(2, limit=6) == [0, 1, 2, 3, 4, 5]
    assert await window(8, limit=6) == [5, 6, 7, 8, 9]
    assert await window(9, limit=1) == [9]
    assert await window(9, limit=4) == [7, 8, 9]
    assert await window(5) == list(range(10))


async def test_the_window_around_what_is_no_message_of_the_room_is_400(api: Api, ann: Person) -> None:
    room_id, other = await api.room(ann), await api.room(ann)
    deleted = await api.post(ann, room_id, "gone")
    assert (await api.ask("DELETE", f"/v1/rooms/{room_id}/messages/{deleted}", as_=ann)).status == 204
    for around in ("", "x", "0", NOBODY, await api.post(ann, other, "elsewhere"), deleted):
        answer = await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann, query={"around_message_id": around})
        refused(answer, 400)
        assert answer.error.startswith("around_message_id: ")


async def test_receipts_raise_the_status_once_all_others_did(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob, eve)
    message_id = await api.post(ann, room_id, "hello")
    path = f"/v1/rooms/{room_id}/messages/{message_id}"

    async def status() -> str:
        [message] = (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json["messages"]
        return str(message["status"])

    steps = [(bob, "deliver", "SENT"), (eve, "deliver", "DELIVERED"), (bob, "read", "DELIVERED"), (eve, "read", "READ")]
    for who, what, after in steps:
        answer = await api.ask("POST", f"{path}/{what}", as_=who)
        assert (answer.status, answer.body) == (204, b"")
        assert await status() == after
    assert (await api.ask("POST", f"{path}/deliver", as_=eve)).status == 204
    assert await status() == "READ"


async def test_a_receipt_for_what_is_no_message_of_the_room_is_400(api: Api, ann: Person) -> None:
    room_id, other = await api.room(ann), await api.room(ann)
    elsewhere = await api.post(ann, other, "elsewhere")
    for message_id in ("x", NOBODY, elsewhere):
        for what in ("deliver", "read"):
            answer = await api.ask("POST", f"/v1/rooms/{room_id}/messages/{message_id}/{what}", as_=ann)
            refused(answer, 400, "message_id: is not a message of this room")


async def test_an_author_edits_a_message(api: Api, ann: Person, bob: Person) -> None:
    room_id = await api.room(ann, bob)
    path = f"/v1/rooms/{room_id}/messages/{await api.post(bob, room_id, 'helo')}"
    edited = await api.ask("PATCH", path, as_=bob, json={"content": " hello "})
    assert (edited.status, edited.json["content"]) == (200, "hello")
    assert edited.json["updated_at"] > edited.json["created_at"]
    assert (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json == {"messages": [edited.json]}
    refused(await api.ask("PATCH", path, as_=ann, json={"content": "mine"}), 403)
    for body in ({}, {"content": ""}, {"content": " "}, {"content": "x" * 4001}):
        refused(await api.ask("PATCH", path, as_=bob, json=body), 400)


async def test_an_author_or_an_admin_deletes_a_message(api: Api, ann: Person, bob: Person, eve: Person) -> None:
    room_id = await api.room(ann, bob, eve)
    messages = f"/v1/rooms/{room_id}/messages"
    first, second = [await api.post(bob, room_id, text) for text in ("one", "two")]
    refused(await api.ask("DELETE", f"{messages}/{first}", as_=eve), 403)
    assert (await api.ask("DELETE", f"{messages}/{first}", as_=bob)).status == 204
    assert (await api.ask("DELETE", f"{messages}/{second}", as_=ann)).status == 204
    assert (await api.ask("GET", messages, as_=ann)).json == {"messages": []}
    for method, body in (("DELETE", None), ("PATCH", {"content": "x"})):
        for message_id in (first, NOBODY, "x"):
            refused(await api.ask(method, f"{messages}/{message_id}", as_=bob, json=body), 404, "message not found")


async def test_a_retry_under_an_idempotency_key_answers_with_the_first_message(api: Api, ann: Person) -> None:
    room_id = await api.room(ann)
    path = f"/v1/rooms/{room_id}/messages"
    key = {"idempotency-key": "k-1"}
    first, retry = [await api.ask("POST", path, as_=ann, json={"content": "hi"}, headers=key) for _ in range(2)]
    assert first.status == retry.status == 201
    assert first.json == retry.json
    assert first.json["client_id"] == "k-1"
    refused(await api.ask("POST", path, as_=ann, json={"content": "other"}, headers=key), 409)
    assert len((await api.ask("GET", path, as_=ann)).json["messages"]) == 1


async def test_search_is_a_substring_in_any_case_and_script(api: Api, ann: Person, bob: Person) -> None:
    tea, work = await api.room(ann, bob, name="tea"), await api.room(ann, name="work")
    for room_id, text in ((tea, "Grüner Tee"), (tea, "東京でお茶"), (work, "100% TEE"), (tea, "b_c")):
        await api.post(ann, room_id, text)

    async def search(who: Person, **query: object) -> list[str]:
        answer = await api.ask("GET", "/v1/messages/search", as_=who, query=query)
        assert answer.status == 200, answer.body
        return [message["content"] for message in answer.json["messages"]]

    assert await search(ann, q="tee") == ["100% TEE", "Grüner Tee"]
    assert await search(bob, q="tee") == ["Grüner Tee"]
    assert await search(ann, q="GRÜNER") == ["Grüner Tee"]
    assert await search(ann, q="茶") == ["東京でお茶"]
    assert await search(ann, q="%") == ["100% TEE"]
    assert await search(ann, q="_") == ["b_c"]
    assert await search(ann, q="tee", room_id=work) == ["100% TEE"]
    assert await search(ann, q="tee", limit=1) == ["100% TEE"]
    assert await search(ann, q="'\"; --") == []
