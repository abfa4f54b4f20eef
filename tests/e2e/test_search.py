"""ChatterStack's message search, by real HTTP."""

import pytest

from tests.e2e.client import MESSAGE_FIELDS, Api, Json, Person, error_of, unique
from tests.e2e.test_rooms import NOBODY

pytestmark = pytest.mark.listeners("lane", reason="test_tour asks each endpoint over every listener")


async def search(api: Api, viewer: Person, q: str, **params: str | int) -> list[Json]:
    answer = await api.ask("GET", "/messages/search", as_=viewer, params={"q": q, **params})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["messages"]
    messages: list[Json] = answer.json()["messages"]
    return messages


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("The Quick brown Fox", ["quick", "QUICK BROWN", "k b", "x", "Fo", "the quick brown fox"]),
        ("Äpfel und Öl", ["äPFEL", "ÖL", "ä", "l u"]),
        ("Привет, мир", ["ПРИВЕТ", "мИР", "в", "т,"]),
        ("Καλημέρα", ["ΚΑΛΗΜ", "λη"]),
        ("今日は良い天気です", ["天", "天気", "良い天気", "今日は良い天気です"]),
        ("안녕하세요", ["안", "하세", "안녕하"]),
        ("สวัสดีครับ", ["ส", "สวัส"]),
        ('100% of_it\'s "quoted" \\ back*slash', ["%", "0% O", "_", "'s", '"quoted"', "\\", "*", "k*s"]),
        ("family 👨‍👩‍👧 here", ["👨‍👩‍👧", "👩", "Y 👨"]),
        ("NEAR AND OR NOT (x)", ["near and", "NOT (", "or n"]),
    ],
)
async def test_search_finds_any_part_in_any_script_and_case(
    api: Api, ann: Person, text: str, queries: list[str]
) -> None:
    room = await api.room(ann)
    await api.post(ann, room, "~~~~~~")
    message = await api.post(ann, room, text)
    for query in queries:
        assert await search(api, ann, query, room_id=room) == [message], query
    for query in ("zq", text + "!", "%%%", "___", "nope"):
        assert await search(api, ann, query, room_id=room) == [], query


async def test_search_is_complete_right_after_a_message_was_posted(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    for number in range(20):
        message = await api.post(ann, room, f"needle {number:02}")
        assert (await search(api, ann, f"NEEDLE {number:02}", room_id=room)) == [message]


async def test_search_comes_newest_first_up_to_its_limit(api: Api, ann: Person) -> None:
    room, other, word = await api.room(ann), await api.room(ann), unique("straw")
    posted = [await api.post(ann, (room, other)[number % 2], f"{word} {number}") for number in range(6)]
    assert set(posted[0]) == MESSAGE_FIELDS
    assert await search(api, ann, word) == posted[::-1]
    assert await search(api, ann, word, limit=2) == posted[:3:-1]
    assert await search(api, ann, word, room_id=other) == posted[5::-2]


async def test_search_has_50_results_unless_another_limit_is_given(api: Api, ann: Person) -> None:
    room = await api.room(ann)
    async with api.socket(ann, room) as socket:
        for number in range(60):
            await socket.send("send_message", room_id=room, content=f"{number} ab")
        await socket.messages(60)
    for query in ("ab", " ab"):  # two characters are looked up in another way than three
        assert [len(await search(api, ann, query, room_id=room, **limit)) for limit in ({}, {"limit": 100})] == [50, 60]


async def test_a_stranger_finds_nothing(api: Api, ann: Person) -> None:
    eve = await api.person("eve")
    room, word = await api.room(ann), unique("secret")
    await api.post(ann, room, word)
    for query in (word, word[:2], word.upper()):
        assert await search(api, eve, query) == []
    for where, status in ((room, 403), (NOBODY, 404)):
        answer = await api.ask("GET", "/messages/search", as_=eve, params={"q": word, "room_id": where})
        assert answer.status_code == status
        assert error_of(answer)


async def test_search_agrees_with_edits_deletions_and_removals(api: Api, ann: Person, bob: Person) -> None:
    room, before, after = await api.room(ann, bob), unique("before"), unique("after")
    message = await api.post(ann, room, before)
    path = f"/rooms/{room}/messages/{message['id']}"
    assert await search(api, bob, before) == [message]
    edited = (await api.ask("PATCH", path, as_=ann, json={"content": after})).json()
    assert (await search(api, bob, before), await search(api, bob, after)) == ([], [edited])
    assert (await api.ask("DELETE", f"/rooms/{room}/members/{bob.id}", as_=ann)).status_code == 204
    assert (await search(api, bob, after), await search(api, ann, after)) == ([], [edited])
    assert (await api.ask("DELETE", path, as_=ann)).status_code == 204
    assert await search(api, ann, after) == []
