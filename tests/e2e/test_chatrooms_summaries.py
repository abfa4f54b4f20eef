"""Summaries of chatrooms over HTTP: on request, and by themselves once enough has been said."""

import pytest
import trio

from tests.e2e.chatrooms import Chatrooms, Guest, code_of
from tests.e2e.client import Json
from tests.e2e.processes import LIMIT_S

pytestmark = pytest.mark.listeners("lane", reason="summaries are made behind the listener")

SUMMARY_FIELDS = {
    *("id", "chatroom_id", "summary_text", "summary_type", "message_count", "start_date", "end_date"),
    *("participants", "keywords", "sentiment_score", "language", "created_at", "encrypted_left_out"),
}
TALK = (
    "The kettle in the kitchen is broken again.",
    "We need a new kettle before the guests arrive on Friday.",
    "I can buy a kettle tomorrow morning.",
    "Please get one that makes less noise.",
    "Wonderful, thank you! A quiet kettle it is.",
)


async def newest(chatrooms: Chatrooms, room: str, person: Guest, kind: str) -> Json | None:
    """The newest summary of a kind, None when there is none."""
    answer = await chatrooms.ask("GET", f"/chatrooms/{room}/summary", as_=person, params={"summary_type": kind})
    if answer.status_code == 404:
        assert code_of(answer) == "RESOURCE_NOT_FOUND"
        return None
    assert answer.status_code == 200, answer.text
    summary: Json = answer.json()["data"]["summary"]
    assert set(summary) == SUMMARY_FIELDS and summary["chatroom_id"] == room
    return summary


async def automatic_after(chatrooms: Chatrooms, room: str, person: Guest, last: Json | None) -> Json:
    """The next automatic summary after another one."""
    with trio.fail_after(LIMIT_S):
        while True:
            found = await newest(chatrooms, room, person, "automatic")
            if found is not None and (last is None or found["id"] != last["id"]):
                return found
            await trio.sleep(0.05)


async def test_a_chatroom_is_summarized_by_itself_once_enough_was_said(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.guests("ann", "bob")
    room = await chatrooms.room(ann, bob, summary_threshold=len(TALK) * 2)
    messages = [await chatrooms.post((ann, bob)[at % 2], room, text) for at, text in enumerate(TALK)]
    assert await newest(chatrooms, room, ann, "automatic") is None
    messages += [await chatrooms.post((ann, bob)[at % 2], room, text) for at, text in enumerate(TALK)]
    first = await automatic_after(chatrooms, room, bob, None)
    assert first["summary_type"] == "automatic"
    assert first["message_count"] <= len(messages)
    assert set(first["participants"]) == {ann.id, bob.id}
    assert first["start_date"] == messages[0]["created_at"]
    assert "kettle" in first["keywords"] and first["language"] == "en"
    assert -1 <= first["sentiment_score"] <= 1
    for at in range(len(TALK) * 2):
        await chatrooms.post(ann, room, f"And another thing, number {at}.")
    second = await automatic_after(chatrooms, room, bob, first)
    assert second["start_date"] > first["end_date"]
    assert second["end_date"] >= second["start_date"]
    made = (await chatrooms.do("POST", f"/chatrooms/{room}/summary", bob, {}))["summary"]
    assert made["summary_type"] == "manual"
    assert await newest(chatrooms, room, ann, "manual") == made
    assert await newest(chatrooms, room, ann, "automatic") == second
    latest = (await chatrooms.get(f"/chatrooms/{room}/summary", ann))["summary"]
    assert latest == made


async def test_a_summary_is_of_the_time_that_was_asked_for_and_for_members(chatrooms: Chatrooms) -> None:
    ann, eve = await chatrooms.guests("ann", "eve")
    room = await chatrooms.room(ann, auto_summary_enabled=False)
    answer = await chatrooms.ask("POST", f"/chatrooms/{room}/summary", as_=ann, json={})
    assert (answer.status_code, code_of(answer)) == (404, "RESOURCE_NOT_FOUND")  # nothing was said
    messages = [await chatrooms.post(ann, room, text) for text in TALK]
    asked = {"date_from": messages[1]["created_at"], "date_to": messages[3]["created_at"]}
    made = (await chatrooms.do("POST", f"/chatrooms/{room}/summary", ann, asked))["summary"]
    assert (made["message_count"], made["start_date"], made["end_date"]) == (3, *asked.values())
    assert TALK[0] not in made["summary_text"] and TALK[4] not in made["summary_text"]
    for method in ("GET", "POST"):
        body: Json | None = {} if method == "POST" else None
        refused = await chatrooms.ask(method, f"/chatrooms/{room}/summary", as_=eve, json=body)
        assert (refused.status_code, code_of(refused)) == (403, "CHATROOM_ACCESS_DENIED")
