"""What any route of a front can be refused for is refused by each of them, in the words of the front's document."""

import re

import pytest

from chinwag.engine.model.errors import Invalid
from chinwag.http.api.front import Front
from chinwag.http.api.rate_limits import RateLimit, RateLimiter
from chinwag.http.api.refusals import BodyTooLarge
from chinwag.http.api.routing import Route
from chinwag.http.registry import FRONTS
from tests.http.service_api import open_api

LIMITED = [front for front in FRONTS if front.rate_limit is not None]

each_front = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)


def path_of(front: Front, route: Route) -> str:
    """Where a route is on a server with all fronts, with an id that nobody has."""
    return f"/{front.name}{front.base}{re.sub(r'{[^}]*}', '1', route.path)}"


@each_front
async def test_a_query_with_a_nul_in_it(front: Front) -> None:
    async with open_api(FRONTS, checked=True) as api:
        ann = await api.engine.accounts.register(username="ann", email="ann@example.org", password="correct-horse")
        log_in = await api.engine.accounts.open_log_in(ann.id)
        token = api.tokens.issue(ann.id, log_in.family_id)
        for route in front.routes:
            if route.query is not None:
                headers = {"authorization": f"Bearer {token}"}
                answer = await api.ask(route.method, path_of(front, route), headers=headers, query="x=%00")
                assert answer.status == front.error_status(Invalid), route.path


@each_front
async def test_a_body_that_is_too_large(front: Front) -> None:
    async with open_api(FRONTS, checked=True) as api:
        for route in front.routes:
            if route.body is not None or route.form:
                answer = api.refuse(route.method, path_of(front, route), BodyTooLarge(1))
                assert answer.status == front.error_status(BodyTooLarge) == 413, route.path


@pytest.mark.parametrize("front", LIMITED, ids=lambda front: front.name)
async def test_one_request_more_than_the_limit(front: Front) -> None:
    """Nobody's token is good here, so it is the address that counts."""
    limiters = {front.name: RateLimiter(RateLimit(1, 60.0), clock=lambda: 0.0)}
    async with open_api(FRONTS, checked=True, limiters=limiters) as api:
        for route in front.routes:
            await api.ask(route.method, path_of(front, route))
            answer = await api.ask(route.method, path_of(front, route))
            assert answer.status == 429 or (route.free and answer.status == 200), route.path
