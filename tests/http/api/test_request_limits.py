"""Asking too much is refused in every front's words, at a pace, for the address that it comes from, and counted."""

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.errors import LimitReached, TooManyConnections
from chinwag.http.api.front import Front
from chinwag.http.api.pacing import Pacer
from chinwag.http.api.proxies import TrustedProxies
from chinwag.http.api.rate_limits import RateLimit, RateLimiter, address_key
from chinwag.http.api.values import HttpRequest
from chinwag.http.fronts.chatrooms import FRONT as CHATROOMS
from chinwag.http.fronts.chatterstack import FRONT as CHATTERSTACK
from chinwag.http.fronts.messenger import FRONT as MESSENGER
from chinwag.http.registry import FRONTS
from tests.http.service_api import Answer, Api, Person, open_api

LOG_INS = {
    "chatterstack": ("/chatterstack/v1/auth/login", "email"),
    "chatrooms": ("/chatrooms/auth/login", "username"),
    "messenger": ("/messenger/api/auth/login", "username"),
}
REGISTRATIONS = {name: path.replace("login", "register") for name, (path, _) in LOG_INS.items()}
PASSWORD = "correct-horse"
ATTACKER, HOME, AWAY = "192.0.2.1", "192.0.2.2", "198.51.100.1"

pytestmark = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)


async def log_in(api: Api, front: Front, name: str, password: str = PASSWORD, *, client: str) -> Answer:
    path, field = LOG_INS[front.name]
    return await api.ask("POST", path, json={field: name, "password": password}, client=client)


async def register(api: Api, front: Front, name: str, *, client: str) -> Answer:
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "display_name": name}
    return await api.ask("POST", REGISTRATIONS[front.name], json=body, client=client)


def words(front: Front, answer: Answer) -> object:
    """What a front says of a refusal."""
    error = answer.json["error"]
    return error["code"] if front is CHATROOMS else error


TOO_MANY_TRIES = {
    "chatterstack": "too many tries have failed, wait before the next",
    "chatrooms": "RATE_LIMIT_EXCEEDED",
    "messenger": "Rate limit exceeded",
}
TOO_MANY_SOCKETS = {
    "chatterstack": "only 100 connections at a time",
    "chatrooms": "CONNECTION_LIMIT_EXCEEDED",
    "messenger": "Rate limit exceeded",
}


async def test_who_guesses_is_told_to_wait_and_nobody_else_is(front: Front) -> None:
    async with open_api(FRONTS, checked=True) as api:
        for name in ("ann", "bob"):
            assert (await register(api, front, name, client=HOME)).status in (200, 201)
        for n in range(10):
            assert (await log_in(api, front, f"account{n}", "wrong-horse", client=ATTACKER)).status == 401
        for name in ("ann", "account1", "nobody"):
            for password in (PASSWORD, "wrong-horse"):
                refused = await log_in(api, front, name, password, client=ATTACKER)
                assert (refused.status, words(front, refused)) == (429, TOO_MANY_TRIES[front.name])
                assert refused.headers["retry-after"] == "1"
        assert (await log_in(api, front, "ann", client=HOME)).status == 200
        assert (await log_in(api, front, "bob", client=AWAY)).status == 200
        assert (await register(api, front, "cat", client=ATTACKER)).status in (200, 201)
        assert (await log_in(api, front, "cat", client=ATTACKER)).status == 200


async def test_who_asks_for_taken_names_is_told_to_wait(front: Front) -> None:
    async with open_api(FRONTS, checked=True) as api:
        assert (await register(api, front, "ann", client=HOME)).status in (200, 201)
        for _ in range(10):
            assert (await register(api, front, "ann", client=ATTACKER)).status in (400, 409)
        refused = await register(api, front, "new", client=ATTACKER)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert words(front, refused) == TOO_MANY_TRIES[front.name]
        assert (await register(api, front, "new", client=HOME)).status in (200, 201)


async def test_what_one_front_was_asked_counts_on_the_others(front: Front) -> None:
    async with open_api(FRONTS) as api:
        for n in range(12):
            other = FRONTS[n % len(FRONTS)]
            await log_in(api, other, "nobody", "wrong-horse", client=ATTACKER)
        assert (await log_in(api, front, "nobody", client=ATTACKER)).status == 429


# --- sockets --------------------------------------------------------------------------------------------------------


async def admit(api: Api, front: Front, person: Person, room: str, client: str) -> None:
    """Let somebody connect, as the gateway does."""
    endpoint = api.service.socket_endpoint(front)
    assert endpoint is not None
    request = api.socket_request(endpoint, person.token, query=f"room_id={room}", source=address_key(client))
    await endpoint.admit(api.engine, request)


async def test_the_bounds_of_a_user_and_an_address_hold_over_all_fronts(
    front: Front, autojump_clock: MockClock
) -> None:
    limits = SessionLimits(per_user=3, per_source=4)
    async with open_api([CHATTERSTACK, CHATROOMS, MESSENGER], config=EngineConfig(limits=limits)) as api:
        people = []
        for name in ("ann", "bob"):
            made = await register(api, CHATTERSTACK, name, client=HOME)
            opened = await log_in(api, CHATTERSTACK, name, client=HOME)
            people.append(Person(made.json["id"], name, opened.json["access_token"], ""))
        ann, bob = people
        body = {"name": "tea", "is_group": True, "member_ids": [bob.id]}
        room = (await api.ask("POST", "/chatterstack/v1/rooms", as_=ann, json=body)).json["id"]
        for other in (CHATTERSTACK, CHATROOMS, MESSENGER):
            await admit(api, other, ann, room, HOME)
        with pytest.raises(TooManyConnections):
            await admit(api, front, ann, room, AWAY)
        await admit(api, front, bob, room, HOME)
        with pytest.raises(TooManyConnections):
            await admit(api, front, bob, room, HOME)
        await admit(api, front, bob, room, AWAY)


async def test_a_socket_too_many_is_refused_in_the_fronts_shape(front: Front) -> None:
    async with open_api(FRONTS) as api:
        request = HttpRequest(method="GET", path=f"/{front.name}{front.socket_path}", client=HOME)
        response = api.service.refuse(request, TooManyConnections("only 100 connections at a time"))
        answer = Answer(response, response.body)
        assert (answer.status, words(front, answer)) == (429, TOO_MANY_SOCKETS[front.name])
        assert front.error_status(TooManyConnections) == 429
        assert front.error_status(LimitReached) < 429


# --- proxies --------------------------------------------------------------------------------------------------------


async def test_behind_a_trusted_proxy_each_client_has_limits_of_its_own(front: Front) -> None:
    limiters = {each.name: RateLimiter(RateLimit(4, 60.0)) for each in FRONTS}
    async with open_api(FRONTS, limiters=limiters, proxies=TrustedProxies(["10.0.0.0/8"])) as api:
        path = LOG_INS[front.name][0]

        async def remaining(peer: str, **headers: str) -> tuple[int, int]:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = await api.ask("POST", path, json={}, client=peer, headers=sent)
            return answer.status, int(answer.headers["x-ratelimit-remaining"])

        (status, left), spoofed = (
            await remaining("10.0.0.1", x_forwarded_for=HOME),
            {"x_forwarded_for": f"{AWAY},{HOME}"},
        )
        assert (status, left) in ((400, 3), (422, 3))
        assert (await remaining("10.0.0.1", **spoofed))[1] == 2
        assert (await remaining("10.0.0.2", forwarded=f"for={HOME};proto=https"))[1] == 1
        assert (await remaining(HOME))[1] == 0
        assert (await remaining(ATTACKER, x_forwarded_for=HOME))[1] == 3
        assert (await remaining("10.0.0.1", x_forwarded_for=HOME))[0] == 429
        assert (await remaining("10.0.0.1", x_forwarded_for=AWAY))[1] == 3


async def test_behind_a_trusted_proxy_guesses_count_for_who_makes_them(front: Front) -> None:
    async with open_api(FRONTS, proxies=TrustedProxies(["10.0.0.1"])) as api:
        path, field = LOG_INS[front.name]
        body = {field: "nobody", "password": "wrong-horse"}
        statuses = [
            (await api.ask("POST", path, json=body, client="10.0.0.1", headers={"x-forwarded-for": client})).status
            for client in (*[ATTACKER] * 11, HOME)
        ]
        assert statuses == [401] * 10 + [429, 401]


# --- what it costs --------------------------------------------------------------------------------------------------


async def test_refusals_come_at_a_pace_and_hold_nobody_else_up(front: Front, autojump_clock: MockClock) -> None:
    async with open_api(FRONTS, pacer=Pacer(apart_s=0.1, longest_s=5.0)) as api:
        await register(api, front, "ann", client=HOME)
        statuses: list[int] = []

        async def attack() -> None:
            statuses.append((await log_in(api, front, "nobody", "wrong-horse", client=ATTACKER)).status)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(attack)
            await trio.testing.wait_all_tasks_blocked()
            assert (await log_in(api, front, "ann", client=HOME)).status == 200
            assert (await api.ask("GET", "/healthz", client=ATTACKER)).status == 200
            assert trio.current_time() == began
        assert sorted(statuses) == [401] * 10 + [429] * 20
        assert trio.current_time() - began == pytest.approx(1.9)


async def test_metrics_tell_of_refusals_failures_and_lanes(front: Front) -> None:
    async with open_api(FRONTS, limiters={front.name: RateLimiter(RateLimit(12, 60.0))}) as api:
        for _ in range(12):
            await log_in(api, front, "nobody", "wrong-horse", client=ATTACKER)
        for _ in range(3):
            path = LOG_INS[front.name][0]
            assert (await api.ask("POST", path, json={}, client=ATTACKER)).status in (400, 422, 429)
        request = HttpRequest(method="GET", path=f"/{front.name}{front.socket_path}")
        api.service.refuse(request, TooManyConnections("too many"))
        text = (await api.ask("GET", "/metrics")).body.decode()
        for reason, count in (("tries", 2), ("rate", 1), ("connections", 1)):
            assert f'chinwag_refusals_total{{front="{front.name}",reason="{reason}"}} {count}.0' in text
        assert "chinwag_failed_tries_total 10.0" in text
        for lane in ("log-in", "known log-in", "registration", "searching", "pictures"):
            assert f'chinwag_lane_waiting{{lane="{lane}"}} 0.0' in text
            assert f'chinwag_lane_refused_total{{lane="{lane}"}} 0.0' in text


@pytest.mark.parametrize(
    ("peer", "header", "trusted", "told"),
    [
        ("127.0.0.1", "x-forwarded-for", (), 1),
        ("10.0.0.1", "forwarded", (), 1),
        ("127.0.0.1", "x-real-ip", (), 0),
        ("8.8.8.8", "x-forwarded-for", (), 0),  # anybody can send one
        ("127.0.0.1", "x-forwarded-for", ("10.0.0.1",), 0),
    ],
)
async def test_that_a_proxy_is_not_trusted_is_logged_once_when_that_matters(
    front: Front, peer: str, header: str, trusted: tuple[str, ...], told: int
) -> None:
    async with open_api(FRONTS, proxies=TrustedProxies(trusted)) as api:
        path, field = LOG_INS[front.name]
        with capture_logs() as logs:
            for _ in range(13):
                body = {field: "nobody", "password": "wrong-horse"}
                await api.ask("POST", path, json=body, client=peer, headers={header: "192.0.2.7"})
        assert len([each for each in logs if each.get("see") == "--trusted-proxy"]) == told
