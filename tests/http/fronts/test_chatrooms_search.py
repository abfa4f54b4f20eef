"""The chatrooms front's search, summaries, health and metrics."""

from typing import Any

from tests.http.fronts.chatrooms_api import NOBODY, STRANGE_UUID, Chatrooms, refused, succeeded, wrong_fields
from tests.http.fronts.test_chatrooms_messages import MESSAGE
from tests.http.service_api import Person

SUMMARY = [
    "id",
    "chatroom_id",
    "summary_text",
    "summary_type",
    "message_count",
    "start_date",
    "end_date",
    "participants",
    "keywords",
    "sentiment_score",
    "language",
    "created_at",
]
SEALED = {"encrypted_data": "c2VhbGVk", "iv": "aXY=", "key_version": 1}


async def found(chatrooms: Chatrooms, person: Person, room: str, query: str, **more: object) -> Any:
    body = {"query": query, **more}
    return succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/search", as_=person, json=body))


def texts(data: Any) -> list[str]:
    return [each["message"]["content"]["encrypted_data"] for each in data["results"]]


# --- search -------------------------------------------------------------------------------------------------------


async def test_a_result_has_the_specs_fields(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    message = await chatrooms.send(ann, room, "Shall we have green tea at noon?")
    data = await found(chatrooms, bob, room, "GREEN tea")
    assert list(data) == [
        "results",
        "total_results",
        "search_time_ms",
        "total_is_exact",
        "encrypted_left_out",
        "complete",
    ]
    [result] = data["results"]
    assert list(result) == ["message", "relevance_score", "matched_terms", "context"]
    assert result["message"] == message
    assert list(result["message"]) == MESSAGE
    assert isinstance(result["relevance_score"], float)
    assert result["relevance_score"] > 0
    assert sorted(result["matched_terms"]) == ["green", "tea"]
    context = result["context"]
    assert list(context) == ["before", "match", "after"]
    assert "".join(context.values()) in "Shall we have green tea at noon?"
    assert context["match"].casefold() in ("green", "tea", "green tea")
    assert (data["total_results"], data["total_is_exact"], data["encrypted_left_out"]) == (1, True, False)
    assert data["search_time_ms"] >= 0


async def test_the_most_relevant_comes_first_and_the_limit_cuts_the_rest(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    for text in ("only tea", "green tea", "only green", "neither"):
        await chatrooms.send(ann, room, text)
    data = await found(chatrooms, ann, room, "green tea")
    assert texts(data)[0] == "green tea"
    assert set(texts(data)) == {"only tea", "green tea", "only green"}
    scores = [each["relevance_score"] for each in data["results"]]
    assert scores == sorted(scores, reverse=True)
    data = await found(chatrooms, ann, room, "green tea", limit=1)
    assert (texts(data), data["total_results"]) == (["green tea"], 3)
    assert texts(await found(chatrooms, ann, room, "coffee")) == []


async def test_a_search_is_narrowed_by_type_author_and_time(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    first = await chatrooms.send(ann, room, "tea 1")
    await chatrooms.send(bob, room, "tea 2", message_type="image")
    last = await chatrooms.send(bob, room, "tea 3")
    for narrow, expected in (
        ({}, {"tea 1", "tea 2", "tea 3"}),
        ({"message_type": "image"}, {"tea 2"}),
        ({"message_type": "file"}, set()),
        ({"user_id": bob.id}, {"tea 2", "tea 3"}),
        ({"user_id": bob.id, "message_type": "text"}, {"tea 3"}),
        ({"date_from": "2000-01-01T00:00:00Z", "date_to": "2001-01-01T00:00:00Z"}, set()),
        ({"date_from": first["created_at"], "date_to": last["created_at"], "message_type": "image"}, {"tea 2"}),
    ):
        assert set(texts(await found(chatrooms, ann, room, "tea", **narrow))) == expected, narrow


async def test_what_the_server_cannot_read_is_left_out_and_it_says_so(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room, other = [await chatrooms.chatroom(ann) for _ in range(2)]
    await chatrooms.send(ann, room, content=SEALED)
    await chatrooms.send(ann, room, "tea")
    await chatrooms.send(ann, other, "tea elsewhere")
    data = await found(chatrooms, ann, room, "tea")
    assert (texts(data), data["encrypted_left_out"]) == (["tea"], True)
    assert texts(await found(chatrooms, ann, room, "c2VhbGVk")) == []


async def test_what_is_gone_or_was_changed_is_found_no_more(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    gone, changed = await chatrooms.send(ann, room, "tea"), await chatrooms.send(ann, room, "tea, too")
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/messages/{gone['id']}", as_=ann))
    body = {"content": {"encrypted_data": "coffee"}}
    succeeded(await chatrooms.ask("PUT", f"/chatrooms/{room}/messages/{changed['id']}", as_=ann, json=body))
    assert texts(await found(chatrooms, ann, room, "tea")) == []
    assert texts(await found(chatrooms, ann, room, "coffee")) == ["coffee"]


async def test_a_search_lists_every_wrong_field(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    path = f"/chatrooms/{await chatrooms.chatroom(ann)}/search"
    wrong = {"message_type": "system", "user_id": 1, "date_from": "x", "date_to": 5, "limit": 0}
    assert wrong_fields(await chatrooms.ask("POST", path, as_=ann, json=wrong)) == {
        "query": "VALIDATION_REQUIRED_FIELD",
        "message_type": "VALIDATION_INVALID_VALUE",
        "user_id": "VALIDATION_INVALID_FORMAT",
        "date_from": "VALIDATION_INVALID_FORMAT",
        "date_to": "VALIDATION_INVALID_FORMAT",
        "limit": "VALIDATION_INVALID_VALUE",
    }
    for query, code in (
        (" ", "REQUIRED_FIELD"),
        ("x" * 201, "LENGTH_EXCEEDED"),
        (" ".join(map(str, range(60))), "INVALID_VALUE"),
        (None, "INVALID_FORMAT"),
    ):
        answer = await chatrooms.ask("POST", path, as_=ann, json={"query": query})
        assert wrong_fields(answer) == {"query": f"VALIDATION_{code}"}, query
    answer = await chatrooms.ask("POST", path, as_=ann, json={"query": "tea", "user_id": "bob"})
    assert list(wrong_fields(answer)) == ["user_id"]
    for unknown in (NOBODY, STRANGE_UUID):
        answer = await chatrooms.ask("POST", path, as_=ann, json={"query": "tea", "user_id": unknown})
        assert refused(answer, 404, "RESOURCE_NOT_FOUND") == {"what": "user"}


# --- summaries ----------------------------------------------------------------------------------------------------


async def test_a_summary_has_the_specs_fields_and_is_kept(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    first = await chatrooms.send(ann, room, "The release of the engine is planned for Friday.")
    last = await chatrooms.send(bob, room, "I love the engine. The release needs one more test.")
    made = succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/summary", as_=ann, json={}), 201)
    assert list(made) == ["summary"]
    summary = made["summary"]
    assert list(summary) == [*SUMMARY, "encrypted_left_out"]
    assert (summary["chatroom_id"], summary["summary_type"], summary["message_count"]) == (room, "manual", 2)
    assert (summary["start_date"], summary["end_date"]) == (first["created_at"], last["created_at"])
    assert (summary["participants"], summary["encrypted_left_out"]) == ([ann.id, bob.id], 0)
    assert "release" in summary["keywords"]
    assert "release" in summary["summary_text"]
    assert summary["language"] == "en"
    assert summary["sentiment_score"] > 0
    for query in ({}, {"summary_type": "manual"}, {"date_from": first["created_at"], "date_to": last["created_at"]}):
        kept = await chatrooms.ask("GET", f"/chatrooms/{room}/summary", as_=bob, query=query)
        assert succeeded(kept) == made


async def test_a_summary_is_of_the_time_that_was_asked_for_each_end_included(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    sent = [await chatrooms.send(ann, room, f"Message number {n} is about tea.") for n in range(5)]
    body = {"date_from": sent[1]["created_at"], "date_to": sent[3]["created_at"], "custom_prompt": "tea"}
    made = succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/summary", as_=ann, json=body), 201)["summary"]
    assert made["message_count"] == 3
    assert (made["start_date"], made["end_date"]) == (body["date_from"], body["date_to"])


async def test_where_there_is_nothing_to_tell_there_is_no_summary(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    path = f"/chatrooms/{room}/summary"
    assert refused(await chatrooms.ask("GET", path, as_=ann), 404, "RESOURCE_NOT_FOUND") == {"what": "summary"}
    answer = await chatrooms.ask("POST", path, as_=ann, json={})
    assert refused(answer, 404, "RESOURCE_NOT_FOUND") == {"what": "messages"}
    await chatrooms.send(ann, room, content=SEALED)
    answer = await chatrooms.ask("POST", path, as_=ann, json={})
    assert refused(answer, 404, "RESOURCE_NOT_FOUND") == {"what": "readable messages"}
    await chatrooms.send(ann, room, "Let us have tea.")
    made = succeeded(await chatrooms.ask("POST", path, as_=ann, json={}), 201)["summary"]
    assert (made["message_count"], made["encrypted_left_out"]) == (1, 1)
    assert "encrypted" in made["summary_text"]
    answer = await chatrooms.ask("GET", path, as_=ann, query={"summary_type": "automatic"})
    refused(answer, 404, "RESOURCE_NOT_FOUND")


async def test_wrong_fields_of_summaries_are_all_named(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    path = f"/chatrooms/{await chatrooms.chatroom(ann)}/summary"
    wrong = {"date_from": "x", "date_to": 1, "custom_prompt": "x" * 2001}
    assert wrong_fields(await chatrooms.ask("POST", path, as_=ann, json=wrong)) == {
        "date_from": "VALIDATION_INVALID_FORMAT",
        "date_to": "VALIDATION_INVALID_FORMAT",
        "custom_prompt": "VALIDATION_LENGTH_EXCEEDED",
    }
    query = {"date_from": "x", "date_to": "y", "summary_type": "none"}
    assert wrong_fields(await chatrooms.ask("GET", path, as_=ann, query=query)) == {
        "date_from": "VALIDATION_INVALID_FORMAT",
        "date_to": "VALIDATION_INVALID_FORMAT",
        "summary_type": "VALIDATION_INVALID_VALUE",
    }


# --- health and metrics -------------------------------------------------------------------------------------------


async def test_health_has_the_specs_fields(chatrooms: Chatrooms) -> None:
    data = succeeded(await chatrooms.ask("GET", "/health"))
    assert list(data) == ["status", "timestamp", "version", "services"]
    assert data["status"] == "healthy"
    assert list(data["services"].items()) == [
        ("database", "healthy"),
        ("redis", "not_configured"),
        ("mongodb", "not_configured"),
    ]


async def test_health_tells_of_a_store_that_does_not_answer(chatrooms: Chatrooms) -> None:
    chatrooms.api.store.unavailable = True
    data = succeeded(await chatrooms.ask("GET", "/health"))
    assert (data["status"], data["services"]["database"]) == ("unhealthy", "unhealthy")


async def test_metrics_are_prometheus_text(chatrooms: Chatrooms) -> None:
    await chatrooms.ask("GET", "/health")
    answer = await chatrooms.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"chinwag_http_requests_total{" in answer.body
