"""What ChatterStack's endpoints take for each of their fields, and how they say that something is wrong with it."""

import json
from typing import Any

import pytest

from chinwag.engine.model.ids import MAX_ID
from tests.http.fronts.chatterstack_api import ATTACHMENT, NOBODY, REGISTRATION, refused
from tests.http.service_api import Api, Person

NO_IDS = ["0", "-1", "01", "1.0", "abc", "%20", "%00", "%ff", "9" * 30, "9007199254740992", "1e3", "%D9%A1", "%2e%2e"]
"""What no message is called, in a URL."""


@pytest.mark.parametrize("field", list(REGISTRATION))
async def test_register_names_the_missing_field(api: Api, field: str) -> None:
    body = {name: value for name, value in REGISTRATION.items() if name != field}
    refused(await api.ask("POST", "/v1/auth/register", json=body), 400, f"{field}: is required")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", None),
        ("username", ""),
        ("username", "ab"),
        ("username", "  ab  "),
        ("username", "a" * 51),
        ("username", "a\nb c"),
        ("username", "abc\x00"),
        ("username", 5),
        ("email", ""),
        ("email", "ann"),
        ("email", "a@b@c"),
        ("email", ["a@example.org"]),
        ("email", "ann@"),
        ("email", "ann@exam ple"),
        ("email", "ann@example.org, bob@example.org"),
        ("email", "a" * 10_000 + "@example.org"),
        ("email", None),
        ("password", None),
        ("password", "12345"),
        ("password", 123456),
        ("password", "x" * 129),
        ("password", ["secret"]),
    ],
)
async def test_register_names_the_wrong_field(api: Api, field: str, value: object) -> None:
    answer = await api.ask("POST", "/v1/auth/register", json={**REGISTRATION, field: value})
    refused(answer, 400)
    assert answer.error.startswith(f"{field}: ")


@pytest.mark.parametrize("body", [{}, {"email": "ann@example.org"}, {"email": 1, "password": "secret"}, []])
async def test_login_without_credentials_is_400(api: Api, body: object) -> None:
    refused(await api.ask("POST", "/v1/auth/login", json=body), 400)


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/auth/refresh"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'"x"', b'{"email": 1}'])
async def test_a_malformed_body_is_400(api: Api, path: str, body: bytes) -> None:
    refused(await api.ask("POST", f"/v1{path}", body=body), 400)


@pytest.mark.parametrize("body", [{}, {"status": "online"}, {"status": "AWAY"}, {"status": 1}, {"status": None}])
async def test_other_statuses_are_400(api: Api, ann: Person, body: object) -> None:
    answer = await api.ask("PATCH", f"/v1/users/{ann.id}/status", as_=ann, json=body)
    refused(answer, 400)
    assert answer.error.startswith("status: ")


@pytest.mark.parametrize("body", [b"", b"[", b"7"])
async def test_what_is_no_status_at_all_is_400(api: Api, ann: Person, body: bytes) -> None:
    refused(await api.ask("PATCH", f"/v1/users/{ann.id}/status", as_=ann, body=body), 400)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, "name: is empty"),
        ({"name": "  "}, "name: is empty"),
        ({"name": "x" * 101}, "name: must have at most 100 characters"),
        ({"name": "a\nb"}, "name: must not contain control characters"),
        ({"name": 1}, "name: must be text, not a whole number"),
        ({"is_group": "yes"}, "is_group: must be true or false, not text"),
        ({"description": "x" * 1001}, "description: must have at most 1000 characters"),
        ({"member_ids": "1"}, "member_ids: must be a list, not text"),
        ({"member_ids": [1]}, "member_ids[0]: must be text, not a whole number"),
        ({"member_ids": ["bob"]}, "member_ids[0]: is not the id of a user"),
        ({"member_ids": ["1"] * 1001}, "member_ids: must have at most 1000 items"),
        ({"creator_id": NOBODY}, "creator_id: must be your own id"),
        ({"creator_id": "me"}, "creator_id: is not the id of a user"),
    ],
)
async def test_a_room_with_wrong_fields_is_400(api: Api, ann: Person, change: dict[str, Any], error: str) -> None:
    refused(await api.ask("POST", "/v1/rooms", as_=ann, json={"name": "tea", **change}), 400, error)


@pytest.mark.parametrize("limit", ["0", "-1", "101", "ten", "", "1.5", "9" * 100])
async def test_a_wrong_limit_is_400(api: Api, ann: Person, limit: str) -> None:
    for path, query in (("/v1/rooms", {}), ("/v1/messages/search", {"q": "x"})):
        answer = await api.ask("GET", path, as_=ann, query={**query, "limit": limit})
        refused(answer, 400)
        assert answer.error.startswith("limit: ")


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x"},
        {"content": "日" * 4000},
        {"content": " " * 100 + "x" * 4000 + "\n"},
        {"content": "", "attachments": [ATTACHMENT]},
        {"content": "  ", "attachments": [ATTACHMENT] * 10},
        {"attachments": [ATTACHMENT] * 10},
        {"content": "x", "attachments": []},
        {"attachments": [{**ATTACHMENT, "mime_type": "audio/webm;codecs=opus", "size_bytes": 0}]},
        {"attachments": [{**ATTACHMENT, "url": "http://example.org:8080/" + "a" * 2024}]},
    ],
)
async def test_messages_that_are_taken(api: Api, ann: Person, body: object) -> None:
    room_id = await api.room(ann)
    assert (await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, json=body)).status == 201


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "content: is empty"),
        ({"content": ""}, "content: is empty"),
        ({"content": " \n\t\u3000"}, "content: is empty"),
        ({"content": "x" * 4001}, "content: must have at most 4000 characters"),
        ({"content": None}, "content: is empty"),
        ({"content": "a\x00b"}, "content: must not contain the NUL character"),
        ({"attachments": [ATTACHMENT] * 11}, "attachments: must have at most 10 items"),
        (
            {"attachments": [{}]},
            "attachments[0].url: is required; attachments[0].mime_type: is required; "
            "attachments[0].size_bytes: is required",
        ),
        (
            {"attachments": [ATTACHMENT, {**ATTACHMENT, "size_bytes": -1}]},
            "attachments[1].size_bytes: must be at least 0",
        ),
        (
            {"attachments": [{**ATTACHMENT, "size_bytes": MAX_ID + 1}]},
            f"attachments[0].size_bytes: must be at most {MAX_ID}",
        ),
        (
            {"attachments": [{**ATTACHMENT, "url": "https://example.org/" + "a" * 2029}]},
            "attachments[0].url: must have at most 2048 characters",
        ),
        *[
            ({"attachments": [{**ATTACHMENT, "url": url}]}, "attachments[0].url: must be an absolute http or https URL")
            for url in (
                "",
                "a.png",
                "/a.png",
                "//example.org/a.png",
                "ftp://example.org/a.png",
                "javascript:alert(1)",
                "https://",
                "https:///a.png",
                "https://exa mple.org/",
                "https://example.org/\n",
                "https://[::1/",
                "https://example.org:99999/",
            )
        ],
        *[
            (
                {"attachments": [{**ATTACHMENT, "mime_type": kind}]},
                "attachments[0].mime_type: must have the form type/subtype",
            )
            for kind in ("", "png", "image/", "/png", "image/png/x", "image /png", "image/png\n")
        ],
    ],
)
async def test_messages_that_are_400(api: Api, ann: Person, body: object, error: str) -> None:
    room_id = await api.room(ann)
    refused(await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, json=body), 400, error)
    assert (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json == {"messages": []}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("content", {"content": "x" * 4001, "attachments": [ATTACHMENT]}),
        ("content", {"content": 5}),
        ("content", {"content": ["x"]}),
        ("attachments", {"content": "x", "attachments": "x"}),
        ("attachments", {"content": "x", "attachments": {}}),
        ("attachments", {"content": "x", "attachments": ["x"]}),
        ("attachments", {"content": "x", "attachments": [{"url": "https://h/", "mime_type": "a/b"}]}),
        *[
            ("attachments", {"content": "x", "attachments": [ATTACHMENT, {**ATTACHMENT, field: value}]})
            for field, value in [
                ("url", None),
                ("url", "http://h:port/"),
                ("mime_type", "a/b\r\nx: y"),
                ("mime_type", 5),
                ("size_bytes", "123"),
                ("size_bytes", 1.5),
                ("size_bytes", 10**400),
                ("size_bytes", True),
            ]
        ],
    ],
)
async def test_a_message_with_something_of_the_wrong_kind_is_400_and_not_stored(
    api: Api, ann: Person, field: str, body: object
) -> None:
    room_id = await api.room(ann)
    raw = json.dumps(body).encode()  # numbers of any length
    answer = await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, body=raw)
    refused(answer, 400)
    assert answer.error.startswith(field)
    assert (await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann)).json == {"messages": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"content": "\xff"}',
        b'{"content": "\\ud800"}',
        b'{"content": "x"} trailing',
        b'{"content": "x", "other": NaN}',
        b"[" * 100_000,
        b'{"content":' * 20_000,
        b'{"x":"\\uD83D\\u0000","content":"x"}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b'"content"',
    ],
)
async def test_a_hostile_body_is_400(api: Api, ann: Person, body: bytes) -> None:
    room_id = await api.room(ann)
    refused(await api.ask("POST", f"/v1/rooms/{room_id}/messages", as_=ann, body=body), 400)


@pytest.mark.parametrize(
    "query",
    [
        *("page=0", "page=-1", "page=x", "page=1.5", "page=", "page=9007199254741", "page=" + "9" * 100),
        *("limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=1.5"),
        *(f"around_message_id={text}" for text in ("", NOBODY, *NO_IDS)),
        "%ff=%ff",
        "page=%00",
    ],
)
async def test_wrong_pages_are_400(api: Api, ann: Person, query: str) -> None:
    room_id = await api.room(ann)
    await api.post(ann, room_id, "x")
    refused(await api.ask("GET", f"/v1/rooms/{room_id}/messages", as_=ann, query=query), 400)


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "a\tb", "é", "schlüssel"])
async def test_a_strange_idempotency_key_is_400(api: Api, ann: Person, key: str) -> None:
    path = f"/v1/rooms/{await api.room(ann)}/messages"
    answer = await api.ask("POST", path, as_=ann, json={"content": "hi"}, headers={"idempotency-key": key})
    refused(answer, 400)
    assert answer.error.startswith("Idempotency-Key: ")


async def test_search_needs_a_text(api: Api, ann: Person) -> None:
    refused(await api.ask("GET", "/v1/messages/search", as_=ann), 400, "q: is required")
    for query in (
        "q=",
        "q=%00",
        "q=%ff",
        "q=%ed%a0%80",
        f"q={'x' * 4001}",
        "limit=5",
        "q=x&room_id=tea",
        "q=x&room_id=",
    ):
        refused(await api.ask("GET", "/v1/messages/search", as_=ann, query=query), 400)
    refused(await api.ask("GET", "/v1/messages/search", as_=ann, query=f"q=x&room_id={NOBODY}"), 404)
