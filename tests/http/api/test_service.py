"""What every request goes through, whatever the front: mounting, CORS, tokens, errors, and the server's own routes."""

from dataclasses import replace
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from chinwag.engine.model.errors import EngineError, InternalError, TooManyTries, TryLater
from chinwag.http.api import refusals
from chinwag.http.api.cors import Cors
from chinwag.http.api.mounts import Mounts
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import Route
from chinwag.http.api.values import API_HEADERS, HttpRequest
from chinwag.http.fronts.chatterstack import FRONT
from tests.http.service_api import Api, open_api

SECOND = replace(FRONT, name="second", title="Second", base="/api", socket_path="/api/ws")


# --- mounting -----------------------------------------------------------------------------------------------------


async def test_a_front_alone_is_at_its_own_paths_on_any_host() -> None:
    async with open_api() as api:
        for host in ("127.0.0.1:8000", "chat.example.org", "[::1]:8000", "", "second.localhost"):
            assert (await api.ask("GET", "/v1/rooms", host=host)).status == 401


async def test_a_front_alone_is_also_below_its_prefix() -> None:
    async with open_api() as api:
        assert (await api.ask("GET", "/chatterstack/v1/rooms")).status == 401
        assert (await api.ask("GET", "/chatterstack/rooms")).status == 404


async def test_of_several_fronts_each_is_at_its_host_name_and_prefix() -> None:
    async with open_api([FRONT, SECOND]) as api:
        assert (await api.ask("GET", "/v1/rooms", host="chatterstack.localhost:8000")).status == 401
        assert (await api.ask("GET", "/v1/rooms", host="ChatterStack.example.org")).status == 401
        assert (await api.ask("GET", "/api/rooms", host="second.localhost")).status == 401
        assert (await api.ask("GET", "/chatterstack/v1/rooms")).status == 401
        assert (await api.ask("GET", "/second/api/rooms", host="chatterstack.localhost")).status == 401
        assert (await api.ask("GET", "/v1/rooms")).status == 404
        assert (await api.ask("GET", "/v1/rooms", host="chatterstack")).status == 404
        assert (await api.ask("GET", "/v1/rooms", host="second.localhost")).status == 404
        assert (await api.ask("GET", "/secondary/api/rooms")).status == 404


async def test_a_fronts_own_paths_win_over_its_prefix() -> None:
    async def own(request: Request[None, None]) -> Reply:
        return Reply("own")

    front = replace(FRONT, name="rooms", base="", routes=(Route("GET", "/rooms", own, auth=False),))
    async with open_api([front]) as api:
        assert (await api.ask("GET", "/rooms")).json == "own"
        assert (await api.ask("GET", "/rooms/rooms")).json == "own"


async def say(request: Request[None, None]) -> Reply:
    return Reply("the front's own")


WITH_SYSTEM_PATHS = replace(
    FRONT,
    name="monitored",
    base="",
    routes=tuple(Route("GET", path, say, auth=False) for path in ("/health", "/healthz", "/metrics")),
)


async def test_a_front_alone_keeps_its_own_health_and_metrics() -> None:
    async with open_api([WITH_SYSTEM_PATHS]) as api:
        for path in ("/health", "/healthz", "/metrics"):
            for at in (path, f"/monitored{path}"):
                assert (await api.ask("GET", at)).json == "the front's own", at


async def test_of_several_fronts_each_has_its_own_health_and_metrics_and_the_server_has_its() -> None:
    async with open_api([WITH_SYSTEM_PATHS, FRONT]) as api:
        for path in ("/health", "/healthz", "/metrics"):
            assert (await api.ask("GET", f"/monitored{path}")).json == "the front's own"
            assert (await api.ask("GET", path, host="monitored.localhost:8000")).json == "the front's own"
        for host in ("127.0.0.1:8000", "chatterstack.localhost:8000"):
            assert (await api.ask("GET", "/healthz", host=host)).json == {"status": "ok"}
            assert b"chinwag_http_requests_total" in (await api.ask("GET", "/metrics", host=host)).body
            assert (await api.ask("GET", "/health", host=host)).status == 404


def test_two_fronts_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two fronts are named chatterstack"):
        Mounts([FRONT, FRONT])


# --- paths and methods --------------------------------------------------------------------------------------------


async def test_an_unknown_path_is_404_in_the_fronts_shape() -> None:
    async with open_api() as api:
        answer = await api.ask("GET", "/v1/nothing")
        assert (answer.status, answer.error) == (404, "endpoint not found")


async def test_an_unknown_method_is_405_and_names_the_others() -> None:
    async with open_api() as api:
        for method in ("PUT", "DELETE", "TRACE", "get", "BREW"):
            answer = await api.ask(method, "/v1/rooms")
            assert answer.status == 405
            assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
            assert "GET, HEAD, POST" in answer.error


async def test_head_is_get_without_the_body() -> None:
    async with open_api() as api:
        ann = await api.person("ann")
        full, head = [await api.ask(method, "/v1/rooms", as_=ann) for method in ("GET", "HEAD")]
        assert (head.status, head.body) == (200, b"")
        assert head.headers == full.headers
        assert head.headers["content-length"] == str(len(full.body))


async def test_options_without_a_preflight_names_the_methods() -> None:
    async with open_api() as api:
        answer = await api.ask("OPTIONS", "/v1/rooms")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers == {"allow": "GET, HEAD, POST, OPTIONS", **dict(API_HEADERS.headers)}


async def test_answers_are_json_and_are_not_to_be_stored() -> None:
    async with open_api() as api:
        for answer in (await api.ask("GET", "/v1/rooms"), await api.ask("GET", "/nothing")):
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "no-store"


async def test_a_plain_request_to_the_socket_is_told_to_upgrade() -> None:
    async with open_api() as api:
        for path in ("/ws", "/chatterstack/ws"):
            answer = await api.ask("GET", path)
            assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
            assert answer.error == "this is a WebSocket endpoint"


# --- cross-origin -------------------------------------------------------------------------------------------------

ORIGIN = {"origin": "https://chat.example.org"}
PREFLIGHT = {
    **ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-custom",
}


async def test_a_preflight_needs_no_token() -> None:
    async with open_api() as api:
        answer = await api.ask("OPTIONS", "/v1/rooms", headers=PREFLIGHT)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
        assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-custom"
        assert int(answer.headers["access-control-max-age"]) > 0
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_preflight_that_names_no_headers_gets_the_usual_ones() -> None:
    async with open_api() as api:
        for asked in ({}, {"access-control-request-headers": "bad\theader; x"}):
            headers = {**ORIGIN, "access-control-request-method": "GET", **asked}
            answer = await api.ask("OPTIONS", "/v1/nowhere", headers=headers)
            assert answer.status == 204
            allowed = answer.headers["access-control-allow-headers"].split(", ")
            assert {"authorization", "content-type", "x-auth-token", "idempotency-key"} <= set(allowed)
            assert "DELETE" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("path", ["/v1/rooms", "/v1/nothing", "/healthz"])
async def test_any_answer_may_be_read_by_any_origin(path: str) -> None:
    async with open_api() as api:
        for method in ("GET", "DELETE"):
            answer = await api.ask(method, path, headers=ORIGIN)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["access-control-expose-headers"] == "*"
        assert "access-control-allow-origin" not in (await api.ask("GET", path)).headers


async def test_configured_origins_are_the_only_ones() -> None:
    async with open_api(cors=Cors(["https://chat.example.org/"])) as api:
        for method, headers in (("GET", ORIGIN), ("OPTIONS", PREFLIGHT)):
            allowed = await api.ask(method, "/v1/rooms", headers=headers)
            assert allowed.headers["access-control-allow-origin"] == "https://chat.example.org"
            refused = await api.ask(method, "/v1/rooms", headers={**headers, "origin": "https://evil.example"})
            assert "access-control-allow-origin" not in refused.headers
            assert allowed.headers["vary"] == refused.headers["vary"] == "Origin"


async def test_a_star_among_the_origins_means_any() -> None:
    async with open_api(cors=Cors(["https://a.example", "*"])) as api:
        answer = await api.ask("GET", "/v1/rooms", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "*"


# --- tokens -------------------------------------------------------------------------------------------------------


async def test_a_token_comes_in_either_header() -> None:
    async with open_api() as api:
        ann = await api.person("ann")
        for headers in ({"authorization": f"Bearer {ann.token}"}, {"x-auth-token": ann.token}):
            assert (await api.ask("GET", "/v1/rooms", headers=headers)).status == 200


async def test_a_token_in_the_query_is_for_sockets_alone() -> None:
    async with open_api() as api:
        ann = await api.person("ann")
        assert (await api.ask("GET", "/v1/rooms", query={"access_token": ann.token})).status == 401
        request = HttpRequest(method="GET", path="/ws", query=f"room_id=1&access_token={ann.token}&access_token=x")
        front = api.service.socket_front(request)
        assert front is FRONT
        assert api.service.socket_token(request, front) == ann.token
        by_header = HttpRequest(
            method="GET", path="/ws", headers={"x-auth-token": "header"}, query="access_token=query"
        )
        assert api.service.socket_token(by_header, front) == "header"
        assert api.service.socket_token(HttpRequest(method="GET", path="/ws"), front) is None
        claims = await api.service.authenticate_socket(request, front)
        assert str(claims.user_id) == ann.id


async def test_sockets_are_found_where_their_front_is() -> None:
    async with open_api([FRONT, SECOND]) as api:

        def front_at(path: str, host: str = "") -> str | None:
            front = api.service.socket_front(HttpRequest(method="GET", path=path, host=host))
            return None if front is None else front.name

        assert front_at("/chatterstack/ws") == "chatterstack"
        assert front_at("/ws", "chatterstack.localhost") == "chatterstack"
        assert front_at("/second/api/ws") == "second"
        assert front_at("/ws") is None
        assert front_at("/chatterstack/v1/rooms") is None


async def test_without_a_good_token_the_answer_is_401() -> None:
    async with open_api(lifetime_s=0) as api:
        ann = await api.person("ann")
        for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": f"Bearer {ann.token}"}):
            answer = await api.ask("GET", "/v1/rooms", headers=headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_token_of_a_login_that_has_ended_is_refused() -> None:
    async with open_api() as api:
        ann = await api.person("ann")
        await api.engine.accounts.log_out_everywhere(api.tokens.verify(ann.token).user_id)
        assert (await api.ask("GET", "/v1/rooms", as_=ann)).status == 401


# --- errors -------------------------------------------------------------------------------------------------------


def failing(error: Exception) -> Route:
    async def fail(request: Request[None, None]) -> Reply:
        raise error

    return Route("GET", "/fail", fail, auth=False)


async def end(_: Request[None, None]) -> Reply:
    raise SystemExit(3)


async def test_a_handler_that_ends_the_program_ends_its_own_request() -> None:
    front = replace(FRONT, base="", routes=(Route("GET", "/end", end, auth=False),))
    async with open_api([front]) as api:
        answer = await api.ask("GET", "/end")
        assert (answer.status, answer.error) == (500, "internal error")
        assert (await api.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize("encode_error", [lambda _: 1 / 0, lambda _: "text", lambda _: (400, object())])
async def test_a_bug_in_a_fronts_words_is_500_in_ours(encode_error: Any) -> None:
    async with open_api([replace(FRONT, encode_error=encode_error)]) as api:
        with capture_logs() as logs:
            answer = await api.ask("GET", "/v1/nothing")
        assert (answer.status, answer.json) == (500, {"error": "internal error"})
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["error could not be encoded"]


async def test_a_bug_is_500_without_details_and_is_logged_with_its_traceback() -> None:
    front = replace(FRONT, routes=(failing(RuntimeError("secret detail")),))
    async with open_api([front]) as api:
        with capture_logs() as logs:
            answer = await api.ask("GET", "/v1/fail", headers=ORIGIN)
        assert (answer.status, answer.error) == (500, "internal error")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert b"secret" not in answer.body
        [record] = [each for each in logs if each["event"] == "request failed"]
        assert (record["log_level"], record["path"], record["exc_info"]) == ("error", "/v1/fail", True)


def all_errors(base: type[EngineError] = EngineError) -> list[type[EngineError]]:
    """All that any front may meet: what is a front's own is nobody else's."""
    found = [base, *(error for child in base.__subclasses__() for error in all_errors(child))]
    return [each for each in found if not each.__module__.startswith("chinwag.http.fronts.")]


def made(kind: type[EngineError]) -> EngineError:
    """An instance, its parameters filled in with something."""
    if kind is TooManyTries:
        return TooManyTries(2.5)
    for arguments in ((), ("what",), ("what", "reason"), (5,)):
        try:
            error = kind(*arguments)
        except TypeError:
            continue
        return error
    raise AssertionError(f"how to make a {kind.__name__}?")


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
async def test_every_error_has_a_status_and_a_shape(kind: type[EngineError]) -> None:
    front = replace(FRONT, routes=(failing(made(kind)),))
    async with open_api([front]) as api:
        answer = await api.ask("GET", "/v1/fail")
        assert 400 <= answer.status < 600
        assert answer.error
        assert ("retry-after" in answer.headers) is issubclass(kind, TryLater)
        if issubclass(kind, TryLater):
            wait = (429, "3") if kind is TooManyTries else (503, "1")
            assert (answer.status, answer.headers["retry-after"]) == wait
        assert (answer.status == 500) is (kind.__module__ == "chinwag.engine.model.store" or kind in SERVER_FAULTS)
        assert answer.status == FRONT.error_status(kind)


SERVER_FAULTS = (EngineError, InternalError)


async def test_what_the_server_refuses_has_the_fronts_shape() -> None:
    async with open_api() as api:
        request = HttpRequest(method="POST", path="/v1/rooms", headers=ORIGIN)
        for error in (refusals.BodyTooLarge(10), refusals.BodyTimeout()):
            response = api.service.refuse(request, error)
            assert response.status == error.status
            assert response.body.startswith(b'{"error":')
            assert ("access-control-allow-origin", "*") in response.headers


async def test_a_store_that_is_away_is_503_with_retry_after() -> None:
    async with open_api() as api:
        ann = await api.person("ann")
        await api.ask("GET", "/v1/rooms", as_=ann)
        api.store.unavailable = True
        answer = await api.ask("GET", "/v1/rooms", as_=ann)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


# --- the server's own routes --------------------------------------------------------------------------------------


async def test_health_is_that_of_the_store() -> None:
    async with open_api() as api:
        answer = await api.ask("GET", "/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        api.store.unavailable = True
        answer = await api.ask("GET", "/healthz")
        assert (answer.status, answer.json) == (503, {"status": "unavailable"})


async def test_a_store_that_hangs_is_not_healthy(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_api() as api:
        monkeypatch.setattr(api.engine, "check", trio.sleep_forever)
        started = trio.current_time()
        assert (await api.ask("GET", "/healthz")).status == 503
        assert trio.current_time() - started == 2


async def test_metrics_count_requests_by_front_method_and_class_of_status() -> None:
    async with open_api() as api:
        await api.ask("GET", "/v1/rooms")
        await api.ask("GET", "/v1/rooms")
        await api.ask("BREW", "/v1/rooms")
        await api.ask("GET", "/chatterstack/v1/auth/login")
        answer = await api.ask("GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        text = answer.body.decode()
        assert 'chinwag_http_requests_total{front="chatterstack",method="GET",status="4xx"} 3.0' in text
        assert 'chinwag_http_requests_total{front="chatterstack",method="other",status="4xx"} 1.0' in text


async def test_the_start_page_leads_to_every_front() -> None:
    async with open_api() as api:
        page = (await api.ask("GET", "/")).body.decode()
        assert 'href="/docs"' in page
    async with open_api([FRONT, SECOND]) as api:
        page = (await api.ask("GET", "/")).body.decode()
        for name in ("chatterstack", "second"):
            assert f'href="/{name}/docs"' in page
            assert f'href="/{name}/openapi.json"' in page


async def links_work(api: Api, host: str, *paths: str) -> None:
    for path in paths:
        answer = await api.ask("GET", path, host=host)
        assert answer.status == 200, path
        assert answer.headers["content-type"].split(";")[0] in ("text/html", "application/json")


async def test_every_front_has_its_documentation_where_it_is() -> None:
    async with open_api() as api:
        await links_work(api, "", "/docs", "/openapi.json", "/chatterstack/docs", "/chatterstack/openapi.json")
        assert (await api.ask("GET", "/openapi.json")).json["servers"] == [{"url": "/v1"}]
        assert (await api.ask("GET", "/chatterstack/openapi.json")).json["servers"] == [{"url": "/chatterstack/v1"}]
    async with open_api([FRONT, SECOND]) as api:
        await links_work(api, "", "/chatterstack/docs", "/second/openapi.json", "/chatterstack", "/second/")
        await links_work(api, "second.localhost", "/docs", "/openapi.json", "/")
        assert (await api.ask("GET", "/docs")).status == 404


async def test_the_servers_own_routes_are_for_reading() -> None:
    async with open_api() as api:
        for path in ("/", "/healthz", "/metrics", "/docs", "/openapi.json"):
            assert (await api.ask("POST", path)).status == 405
            head = await api.ask("HEAD", path)
            assert (head.status, head.body) == (200, b"")


async def test_pages_may_load_nothing_from_elsewhere() -> None:
    async with open_api() as api:
        policy = (await api.ask("GET", "/docs")).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
