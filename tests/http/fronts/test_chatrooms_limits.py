"""The chatrooms front's rate limits, as its spec states them, and as every answer tells them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chinwag.http.api.rate_limits import RateLimiter
from chinwag.http.fronts.chatrooms import FRONT
from tests.http.fronts.chatrooms_api import NOBODY, PASSWORD, Chatrooms, open_chatrooms, picture, refused, succeeded
from tests.http.service_api import Answer, Person

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


# --- what needs no token --------------------------------------------------------------------------------------------

PAGE = "192.0.2.9"
"""Where a browser shows what is not asked for with a token."""


async def left(chatrooms: Chatrooms, address: str) -> int:
    """How many requests an address has left."""
    return told(await chatrooms.ask("OPTIONS", "/users/me", client=address))[1]


async def shared_picture(chatrooms: Chatrooms, person: Person) -> tuple[str, dict[str, str]]:
    """A chatroom, and the URLs of a picture in it."""
    room = await chatrooms.chatroom(person)
    file: dict[str, str] = succeeded(await chatrooms.upload(person, room, picture(), name="p.png"), 201)["file"]
    return room, file


async def test_a_signed_link_counts_for_whom_it_names_and_not_for_the_address(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    _room, file = await shared_picture(chatrooms, ann)
    before = told(await chatrooms.ask("GET", "/users/me", as_=ann))[1]
    for n in range(before):
        answer = await chatrooms.get(file["thumbnail_url" if n % 2 else "encrypted_url"], client=PAGE)
        assert (answer.status, told(answer)[:2]) == (200, (REQUESTS, before - 1 - n))
    refused(await chatrooms.get(file["thumbnail_url"], client=PAGE), 429, "RATE_LIMIT_EXCEEDED")
    refused(await chatrooms.ask("GET", "/users/me", as_=ann), 429, "RATE_LIMIT_EXCEEDED")
    assert await left(chatrooms, PAGE) == REQUESTS
    body = {"username": "ann", "password": PASSWORD}
    succeeded(await chatrooms.ask("POST", "/auth/login", json=body, client=PAGE))


@pytest.mark.parametrize("spoil", ["signature", "user", "expires", "variant", "time", "all"])
async def test_a_link_that_is_not_good_counts_for_the_address(chatrooms: Chatrooms, spoil: str) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    _room, file = await shared_picture(chatrooms, ann)
    url = file["thumbnail_url"]
    if spoil == "time":
        chatrooms.clock.now += 3601
        await chatrooms.ask("GET", "/users/me", as_=ann)
    elif spoil == "variant":
        url = url.replace("/thumbnail", "")
    elif spoil == "all":
        url = url.partition("?")[0] + "?signature="
    else:
        wrong = {"user": bob.id, "expires": "99999999999"}.get(spoil, "x")
        url = re.sub(f"{spoil}=[^&]*", f"{spoil}={wrong}", url)
    mine = told(await chatrooms.ask("GET", "/users/me", as_=ann))[1] if spoil != "time" else None
    for headers in ({}, {"authorization": f"Bearer {ann.token}"}):  # a token beside it is not looked at
        answer = await chatrooms.get(url, client=PAGE, headers=headers)
        assert answer.status == 401
    assert await left(chatrooms, PAGE) == REQUESTS - 2
    if mine is not None:
        assert told(await chatrooms.ask("GET", "/users/me", as_=ann))[1] == mine - 1


async def test_a_link_of_a_log_in_that_has_ended_counts_for_the_address(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    _room, file = await shared_picture(chatrooms, ann)
    succeeded(await chatrooms.ask("POST", "/auth/logout", as_=ann))
    again = await chatrooms.log_in("ann")
    before = told(await chatrooms.ask("GET", "/users/me", as_=again))[1]
    for n in range(3):
        answer = await chatrooms.get(file["thumbnail_url"], client=PAGE)
        assert (answer.status, told(answer)[1]) == (401, REQUESTS - 1 - n)
    assert told(await chatrooms.ask("GET", "/users/me", as_=again))[1] == before - 1


async def test_a_download_with_a_token_counts_for_its_user_wherever_the_token_is(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    _room, file = await shared_picture(chatrooms, ann)
    path = file["encrypted_url"].partition("?")[0].removeprefix("http://127.0.0.1:8000")
    before = told(await chatrooms.ask("GET", "/users/me", as_=ann))[1]
    answers = [
        await chatrooms.ask("GET", path, as_=ann, client=PAGE),
        await chatrooms.ask("GET", path, query={"token": ann.token}, client=PAGE),
        await chatrooms.ask("HEAD", path, as_=ann, client=PAGE),
    ]
    assert [(answer.status, told(answer)[1]) for answer in answers] == [(200, before - 1 - n) for n in range(3)]
    assert await left(chatrooms, PAGE) == REQUESTS


async def test_a_file_counts_as_a_request_and_not_as_an_upload(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    _room, file = await shared_picture(chatrooms, ann)
    for _ in range(UPLOADS + 1):
        answer = await chatrooms.get(file["encrypted_url"], client=PAGE)
        assert (answer.status, told(answer)[0]) == (200, REQUESTS)


async def free_urls(chatrooms: Chatrooms) -> tuple[str, str]:
    """An avatar's and an invitation's."""
    ann = await chatrooms.person("ann")
    avatar = succeeded(await chatrooms.upload(ann, None, picture(), path="/users/me/avatar"))["avatar_url"]
    code = await chatrooms.invite(ann, await chatrooms.chatroom(ann))
    return str(avatar).removeprefix("http://127.0.0.1:8000"), f"/chatrooms/join/{code}"


async def test_avatars_and_invitations_count_for_nobody(chatrooms: Chatrooms) -> None:
    for url in await free_urls(chatrooms):
        for _ in range(REQUESTS + 5):
            answer = await chatrooms.get(url, client=PAGE)
            assert (answer.status, told(answer)[:2]) == (200, (REQUESTS, REQUESTS))


async def test_avatars_and_invitations_that_are_made_up_count_for_the_address_until_it_is_refused(
    chatrooms: Chatrooms,
) -> None:
    avatar, invitation = await free_urls(chatrooms)
    for n in range(REQUESTS):
        url = avatar[:-1] if n % 2 else invitation[:-1]
        answer = await chatrooms.get(url, client=PAGE)
        assert (answer.status, told(answer)[1]) == (401 if n % 2 else 404, REQUESTS - 1 - n)
    for url in (avatar, invitation):
        answer = await chatrooms.get(url[:-1], client=PAGE)
        refused(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert told(answer)[1] == 0
        assert answer.headers["retry-after"] == "60"
        assert (await chatrooms.get(url, client=PAGE)).status == 200  # whom it was made for is not shut out by that


async def test_guesses_that_are_refused_leave_the_address_its_requests(chatrooms: Chatrooms) -> None:
    await chatrooms.person("ann")
    wrong = {"username": "nobody", "password": "wrong-horse"}
    for n in range(REQUESTS):
        answer = await chatrooms.ask("POST", "/auth/login", json=wrong, client=PAGE)
        if n < 10:
            refused(answer, 401, "AUTH_INVALID_CREDENTIALS")
        else:
            refused(answer, 429, "RATE_LIMIT_EXCEEDED")
            assert answer.headers["retry-after"] == "1"
        assert told(answer)[1] == REQUESTS - 1 - min(n, 9)
