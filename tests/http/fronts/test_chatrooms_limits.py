"""The chatrooms front's rate limits, as its spec states them, and as every answer tells them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chinwag.http.fronts.chatrooms import FRONT
from chinwag.http.rate_limits import RateLimiter
from tests.http.api import Answer
from tests.http.fronts.chatrooms_api import NOBODY, Chatrooms, open_chatrooms, picture, refused, succeeded

REQUESTS = 60
UPLOADS = 10
START = 2_000_000_000
"""What the test's clock shows at first."""


@pytest.fixture
async def chatrooms(tmp_path: Path) -> AsyncIterator[Chatrooms]:
    """A server with the front's own limits, on the clock of the test."""
    async with open_chatrooms(
        tmp_path,
        limiters=lambda clock: {
            FRONT.name: RateLimiter(FRONT.rate_limit, FRONT.rate_groups, clock=clock, wall_clock=clock)
        },
    ) as opened:
        yield opened


def told(answer: Answer) -> tuple[int, int, int]:
    """What the three headers say: the limit, what is left of it, and in how many seconds there is more."""
    limit, remaining, reset = (int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset"))
    return limit, remaining, reset - START


async def test_a_user_has_60_requests_a_minute(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    for n in range(REQUESTS):
        chatrooms.clock.now = START + n / 10
        answer = await chatrooms.ask("GET", "/users/me", as_=ann)
        succeeded(answer)
        assert told(answer) == (REQUESTS, REQUESTS - 1 - n, 60)
    answer = await chatrooms.ask("GET", "/users/me", as_=ann)
    assert refused(answer, 429, "RATE_LIMIT_EXCEEDED") == {}
    assert told(answer) == (REQUESTS, 0, 60)
    assert answer.headers["retry-after"] == "55"
    chatrooms.clock.now = START + 60
    succeeded(await chatrooms.ask("GET", "/users/me", as_=ann))
    refused(await chatrooms.ask("GET", "/users/me", as_=ann), 429, "RATE_LIMIT_EXCEEDED")


async def test_users_share_no_limit_and_a_users_devices_do(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    phone = await chatrooms.log_in("ann")
    for n in range(REQUESTS):
        succeeded(await chatrooms.ask("GET", "/users/me", as_=(ann, phone)[n % 2], client=f"192.0.2.{n}"))
    for device in (ann, phone):
        refused(await chatrooms.ask("GET", "/users/me", as_=device), 429, "RATE_LIMIT_EXCEEDED")
    succeeded(await chatrooms.ask("GET", "/users/me", as_=bob))


async def test_without_a_good_token_the_address_counts(chatrooms: Chatrooms) -> None:
    wrong = {"authorization": "Bearer x"}
    for n in range(REQUESTS):
        answer = await chatrooms.ask("POST", "/auth/login", json={}, client="192.0.2.1", headers=wrong if n % 2 else {})
        assert answer.status == 422
        assert told(answer)[1] == REQUESTS - 1 - n
    answer = await chatrooms.ask("POST", "/auth/login", json={}, client="192.0.2.1")
    refused(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert (await chatrooms.ask("POST", "/auth/login", json={}, client="192.0.2.2")).status == 422


async def test_every_answer_tells_of_the_limit(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    for method, path, status in (
        ("GET", "/users/me", 200),
        ("GET", f"/chatrooms/{NOBODY}", 404),
        ("GET", "/nowhere", 404),
        ("PATCH", "/users/me", 405),
        ("POST", "/chatrooms", 400),
        ("GET", "/ws", 426),
        ("HEAD", "/users/me", 200),
        ("OPTIONS", "/users/me", 204),
        ("OPTIONS", "/nowhere", 204),
        ("POST", "/auth/logout", 200),
        ("GET", "/users/me", 401),
        ("GET", "/health", 200),
    ):
        answer = await chatrooms.ask(method, path, as_=ann)
        assert answer.status == status
        limit, remaining, _ = told(answer)
        assert limit == REQUESTS
        assert 0 < remaining <= REQUESTS


async def test_a_preflight_counts_for_nothing(chatrooms: Chatrooms) -> None:
    for _ in range(2 * REQUESTS):
        answer = await chatrooms.ask("OPTIONS", "/users/me", headers={"origin": "https://example.org"})
        assert (answer.status, told(answer)[1]) == (204, REQUESTS)


async def test_a_user_has_10_uploads_an_hour_of_both_kinds_together(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    for n in range(UPLOADS):
        if n % 2:
            answer = await chatrooms.upload(ann, None, picture(size=(8, 8)), path="/users/me/avatar")
        else:
            answer = await chatrooms.upload(ann, room, b"hello")
        assert answer.status in (200, 201)
        assert told(answer) == (UPLOADS, UPLOADS - 1 - n, 3600)
    for room_or_none, path in ((room, "/upload/file"), (None, "/users/me/avatar")):
        answer = await chatrooms.upload(ann, room_or_none, b"hello", path=path)
        refused(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert told(answer) == (UPLOADS, 0, 3600)
        assert answer.headers["retry-after"] == "3600"
    assert told(await chatrooms.ask("GET", "/users/me", as_=ann))[0] == REQUESTS
    succeeded(await chatrooms.upload(bob, room, b"hello"), 201)
    chatrooms.clock.now += 3600
    again = await chatrooms.log_in("ann")
    succeeded(await chatrooms.upload(again, room, b"hello"), 201)


async def test_of_two_limits_the_nearer_is_told(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    for _ in range(REQUESTS - 3):
        await chatrooms.ask("GET", "/users/me", as_=ann)
    assert told(await chatrooms.upload(ann, room, b"hello"))[:2] == (REQUESTS, 1)


async def test_a_file_counts_as_a_request_and_not_as_an_upload(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    url = succeeded(await chatrooms.upload(ann, room, b"hello"), 201)["file"]["encrypted_url"]
    for n in range(UPLOADS + 1):
        answer = await chatrooms.get(url, client="192.0.2.9")
        assert (answer.status, told(answer)[:2]) == (200, (REQUESTS, REQUESTS - 1 - n))
