"""Rate limits: never more than the limit in any window, told on every answer, and bounded in memory."""

import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chinwag.http.api.front import Front
from chinwag.http.api.rate_limits import CALLER_STAMPS, RateLimit, RateLimiter, SlidingWindow, address_key
from chinwag.http.api.refusals import BodyTooLarge, RateLimited
from chinwag.http.api.service import HttpService
from chinwag.http.api.values import HttpRequest
from chinwag.http.fronts.chatterstack import FRONT
from chinwag.http.server import limiters
from chinwag.http.settings import Settings
from tests.http.service_api import Api, open_api

WALL = 1_000_000.25


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# --- the window -------------------------------------------------------------------------------------------------------


def test_no_window_ever_holds_more_than_the_limit_and_no_request_is_refused_without_need() -> None:
    dice = random.Random(1)
    limit = RateLimit(5, 10.0)
    window = SlidingWindow(limit)
    let_through: deque[float] = deque()
    now = 0.0
    for _ in range(5_000):
        now += dice.choice([0.0, 0.1, 1.0, 3.0, 9.99, 10.0])
        while let_through and let_through[0] <= now - limit.window_s:
            let_through.popleft()
        found = window.look("ann", now)
        assert found.refused == (len(let_through) == limit.requests)
        assert found.remaining == limit.requests - len(let_through)
        assert found.reset_in_s == pytest.approx(let_through[0] + limit.window_s - now if let_through else 0.0)
        if not found.refused:
            let_through.append(now)
            assert window.take("ann", now).remaining == limit.requests - len(let_through)


def test_one_callers_requests_are_not_anothers() -> None:
    window = SlidingWindow(RateLimit(1, 10.0))
    window.take("ann", 0.0)
    assert window.look("ann", 1.0).refused
    assert not window.look("bob", 1.0).refused


def test_who_has_been_silent_for_a_window_is_forgotten() -> None:
    window = SlidingWindow(RateLimit(3, 10.0))
    for n in range(100):
        window.take(f"caller {n}", n / 100)
    window.take("caller 0", 5.0)
    assert len(window) == 100
    window.look("somebody else", 11.0)
    assert len(window) == 1
    assert window.look("caller 0", 11.0).remaining == 2


def test_what_is_remembered_is_bounded_and_the_longest_silent_go_first() -> None:
    window = SlidingWindow(RateLimit(10, 1_000.0), kept_stamps=3 * (CALLER_STAMPS + 1))
    for n in range(50):
        window.take(f"caller {n}", float(n))
    assert len(window) == 3
    assert window.look("caller 49", 50.0).remaining == 9
    assert window.look("caller 46", 50.0).remaining == 10


def test_forgetting_gives_back_all_that_was_counted() -> None:
    window = SlidingWindow(RateLimit(100, 10.0))
    dice = random.Random(2)
    now = 0.0
    for _ in range(3_000):
        now += dice.random()
        caller = f"caller {dice.randrange(5)}"
        if not window.look(caller, now).refused:
            window.take(caller, now)
    window.look("nobody", now + 11.0)
    assert (len(window), window._size) == (0, 0)


# --- whose requests they are ---------------------------------------------------------------------------------------


def test_an_ipv6_network_is_one_caller_and_an_address_has_one_name() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("fe80::1%eth0") == address_key("fe80::2")
    assert address_key("") == address_key("")
    assert address_key("not:an:address") != address_key("")


# --- several limits ------------------------------------------------------------------------------------------------


def test_a_group_has_a_limit_besides_the_general_one_and_the_nearest_is_told() -> None:
    clock = Clock()
    limiter = RateLimiter(RateLimit(4, 60.0), {"uploads": RateLimit(2, 3600.0)}, clock=clock, wall_clock=lambda: WALL)
    assert dict(limiter.take("ann"))["x-ratelimit-remaining"] == "3"
    told = dict(limiter.take("ann", "uploads"))
    assert (told["x-ratelimit-limit"], told["x-ratelimit-remaining"]) == ("2", "1")
    assert told["x-ratelimit-reset"] == "1003601"
    limiter.take("ann", "uploads")
    with pytest.raises(RateLimited) as refused:
        limiter.take("ann", "uploads")
    assert dict(refused.value.headers)["retry-after"] == "3600"
    assert dict(limiter.take("ann"))["x-ratelimit-remaining"] == "0"  # what was refused had counted for neither limit
    with pytest.raises(RateLimited) as refused:
        limiter.take("ann")
    assert dict(refused.value.headers)["retry-after"] == "60"
    clock.now += 60.0
    limiter.take("ann")
    with pytest.raises(RateLimited):
        limiter.take("ann", "uploads")
    clock.now += 3540.0
    limiter.take("ann", "uploads")


# --- on a server ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def limited(limit: RateLimit, clock: Clock, *, fronts: Sequence[Front] = (FRONT,)) -> AsyncIterator[Api]:
    async with open_api(fronts) as api:
        limiter = RateLimiter(limit, clock=clock, wall_clock=lambda: WALL)
        service = HttpService(api.engine, api.tokens, fronts, limiters={FRONT.name: limiter})
        yield Api(service, api.engine, api.store, api.tokens)


async def test_every_answer_says_where_the_caller_stands_and_one_too_many_is_refused() -> None:
    clock = Clock()
    async with limited(RateLimit(5, 60.0), clock) as api:
        ann, bob = await api.person("ann"), await api.person("bob")  # 4 requests from one address, without a token
        told = []
        for method, path in (("GET", "/v1/rooms"), ("GET", "/v1/rooms/1"), ("PUT", "/v1/rooms"), ("GET", "/no")):
            answer = await api.ask(method, path, as_=ann)
            told.append((answer.status, answer.headers["x-ratelimit-remaining"]))
        assert told == [(200, "4"), (404, "3"), (405, "2"), (404, "1")]
        clock.now += 20.0
        last = await api.ask("GET", "/v1/rooms", as_=ann)
        assert (last.headers["x-ratelimit-limit"], last.headers["x-ratelimit-remaining"]) == ("5", "0")
        assert last.headers["x-ratelimit-reset"] == "1000041"
        for _ in range(2):
            refused = await api.ask("GET", "/v1/rooms", as_=ann)
            assert (refused.status, refused.error) == (429, "rate limit exceeded")
            assert refused.headers["retry-after"] == "40"
            assert refused.headers["x-ratelimit-reset"] == "1000041"
            assert refused.headers["x-ratelimit-remaining"] == "0"
        assert (await api.ask("GET", "/v1/rooms", as_=bob)).status == 200
        clock.now += 40.0
        assert (await api.ask("GET", "/v1/rooms", as_=ann)).headers["x-ratelimit-remaining"] == "3"


async def test_without_a_good_token_the_address_counts_whatever_is_sent_along() -> None:
    async with limited(RateLimit(3, 60.0), Clock()) as api:
        sent: list[dict[str, str]] = [
            {},
            {"authorization": "Bearer nonsense"},
            {"authorization": "Bearer other", "x-forwarded-for": "192.0.2.9"},
        ]
        for headers in sent:
            assert (await api.ask("GET", "/v1/rooms", headers=headers)).status == 401
        refused = await api.ask("GET", "/v1/rooms", headers={"x-forwarded-for": "192.0.2.10"})
        assert refused.status == 429


async def test_a_log_in_that_has_ended_uses_up_nothing_of_its_users() -> None:
    async with limited(RateLimit(9, 60.0), Clock()) as api:
        ann = await api.person("ann")
        again = await api.ask("POST", "/v1/auth/login", json={"email": "ann@example.org", "password": "secret"})
        claims = api.tokens.verify(ann.token)
        await api.engine.accounts.log_out(claims.user_id, claims.family_id)
        assert (await api.ask("GET", "/v1/rooms", as_=ann)).headers["x-ratelimit-remaining"] == "5"  # the address's
        headers = {"authorization": f"Bearer {again.json['access_token']}"}
        assert (await api.ask("GET", "/v1/rooms", headers=headers)).headers["x-ratelimit-remaining"] == "8"


async def test_a_token_on_a_request_that_needs_none_does_not_choose_whose_it_counts_for() -> None:
    async with limited(RateLimit(5, 60.0), Clock()) as api:
        ann, bob = await api.person("ann"), await api.person("bob")  # 4 requests of their address
        wrong = {"email": "ann@example.org", "password": "wrong-horse"}
        assert (await api.ask("POST", "/v1/auth/login", as_=ann, json=wrong)).status == 401
        for person, path in ((ann, "login"), (bob, "register"), (bob, "refresh"), (None, "login")):
            assert (await api.ask("POST", f"/v1/auth/{path}", as_=person, json=wrong)).status == 429
        assert (await api.ask("GET", "/v1/rooms", as_=ann)).headers["x-ratelimit-remaining"] == "4"


async def test_what_was_refused_later_counts_no_more() -> None:
    clock = Clock()
    limiter = RateLimiter(RateLimit(2, 60.0), {"uploads": RateLimit(1, 60.0)}, clock=clock, wall_clock=lambda: WALL)
    first = clock.now
    limiter.take("ann", "uploads", at=first)
    clock.now += 1.0
    limiter.take("ann")
    assert dict(limiter.give_back("ann", "uploads", first))["x-ratelimit-remaining"] == "1"
    limiter.give_back("ann", "uploads", first)  # it was given back already
    limiter.give_back("bob", None, first)
    assert dict(limiter.take("ann", "uploads"))["x-ratelimit-remaining"] == "0"
    clock.now += 59.5  # what is left counts from its own time on
    with pytest.raises(RateLimited):
        limiter.take("ann")


def test_giving_back_leaves_nothing_behind() -> None:
    window = SlidingWindow(RateLimit(5, 10.0))
    for now in (0.0, 1.0, 11.5, 12.0):
        window.take("ann", now)
        window.look("ann", now)
    window.give_back("ann", 11.5)
    window.give_back("ann", 0.0)  # which counts no more
    assert window.look("ann", 12.0).remaining == 4
    window.give_back("ann", 12.0)
    assert (len(window), window._size) == (0, 0)


async def test_a_preflight_and_a_refusal_of_the_servers_own_tell_and_count_for_nothing() -> None:
    async with limited(RateLimit(2, 60.0), Clock()) as api:
        preflight = await api.ask("OPTIONS", "/v1/rooms", headers={"origin": "https://a.example"})
        assert (preflight.status, preflight.headers["x-ratelimit-remaining"]) == (204, "2")
        request = HttpRequest(method="POST", path="/v1/rooms", client="127.0.0.1")
        too_large = api.service.refuse(request, BodyTooLarge(1))
        assert (too_large.status, dict(too_large.headers)["x-ratelimit-remaining"]) == (413, "2")


async def test_to_open_a_socket_counts_and_its_refusal_is_told_once() -> None:
    async with limited(RateLimit(3, 60.0), Clock()) as api:
        ann = await api.person("ann")
        request = HttpRequest(method="GET", path="/ws", query=f"access_token={ann.token}", client="127.0.0.1")
        for _ in range(3):
            assert str((await api.service.authenticate_socket(request, FRONT)).user_id) == ann.id
        with pytest.raises(RateLimited) as refused:
            await api.service.authenticate_socket(request, FRONT)
        names = [name for name, _ in api.service.refuse(request, refused.value).headers]
        assert names.count("x-ratelimit-limit") == names.count("retry-after") == 1


async def test_a_front_without_a_limit_and_the_servers_own_pages_say_nothing_of_limits() -> None:
    other = replace(FRONT, name="other")
    async with limited(RateLimit(1, 60.0), Clock(), fronts=(FRONT, other)) as api:
        for _ in range(3):
            for path in ("/other/v1/rooms", "/healthz", "/metrics"):
                answer = await api.ask("GET", path)
                assert answer.status != 429
                assert "x-ratelimit-limit" not in answer.headers
        assert "x-ratelimit-limit" in (await api.ask("GET", "/chatterstack/v1/rooms")).headers


async def test_pages_count_for_nothing_where_a_front_is_alone_and_are_there_for_who_is_refused_elsewhere() -> None:
    pages = ("/healthz", "/metrics", "/", "/docs", "/openapi.json", "/chatterstack", "/chatterstack/docs")
    async with limited(RateLimit(1, 60.0), Clock()) as api:
        for status in (401, 429):
            for path in pages:
                answer = await api.ask("GET", path)
                assert (answer.status, "x-ratelimit-limit" in answer.headers) == (200, False)
            assert (await api.ask("GET", "/v1/rooms")).status == status


# --- which limits a server has ---------------------------------------------------------------------------------------


def test_settings_replace_one_fronts_limit_or_switch_limits_off() -> None:
    free = replace(FRONT, name="free")
    strict = replace(FRONT, name="strict", rate_limit=RateLimit(10, 60.0))
    uploads = replace(FRONT, name="uploads", rate_groups={"uploads": RateLimit(1, 60.0)})
    fronts = (free, strict, uploads)

    def limit_of(settings: Settings) -> dict[str, str]:
        made = limiters(fronts, settings)
        return {name: dict(limiter.look("ann", "uploads"))["x-ratelimit-limit"] for name, limiter in made.items()}

    data = Path("d")
    assert limit_of(Settings(data_dir=data)) == {"strict": "10", "uploads": "1"}
    assert limit_of(Settings(data_dir=data, rate_limits="off")) == {}
    assert limit_of(Settings(data_dir=data, rate_limit={"strict": RateLimit(3, 1.0), "free": RateLimit(4, 1.0)})) == {
        "free": "4",
        "strict": "3",
        "uploads": "1",
    }
    assert limit_of(Settings(data_dir=data, rate_limit={"strict": None, "uploads": None})) == {}
