"""What stands at the door of every front: headers for browsers, whose pages may connect, who may see the metrics."""

import re

import pytest

from chinwag.http.api.cors import Cors, canonical_origin
from chinwag.http.api.front import Front
from chinwag.http.api.refusals import OriginNotAllowed
from chinwag.http.api.values import HttpRequest
from chinwag.http.registry import FRONTS
from tests.http.service_api import Answer, open_api

ALL = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
EVERY_ANSWER = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


async def some_answers(secure: bool = False) -> list[Answer]:
    """Of each kind: data, refusals, an error of a front's own and of none, pages, documents, no content."""
    answers = []
    async with open_api(FRONTS) as api:
        for front in FRONTS:
            for method, path in (
                ("GET", f"{front.base}/nothing"),
                ("POST", f"{front.base}/auth/login"),
                ("OPTIONS", f"{front.base}/auth/login"),
                ("HEAD", "/docs"),
                ("GET", "/docs"),
                ("GET", "/openapi.json"),
                ("GET", front.socket_path),
            ):
                request = HttpRequest(method=method, path=f"/{front.name}{path}", host="h", secure=secure)
                answers.append(await api.service.handle(request))
        own = [
            HttpRequest(method="GET", path=path, secure=secure) for path in ("/", "/healthz", "/metrics", "/nowhere")
        ]
        answers += [await api.service.handle(request) for request in own]
        refused = HttpRequest(method="GET", path="/chatrooms/x", host="h", secure=secure)
        answers.append(api.service.refuse(refused, OriginNotAllowed()))
    return [Answer(answer, answer.body) for answer in answers]


async def test_every_answer_tells_browsers_to_take_it_for_what_it_is_and_to_tell_nobody_where_it_was() -> None:
    for answer in await some_answers():
        assert EVERY_ANSWER.items() <= answer.headers.items()
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers


async def test_over_https_every_answer_says_that_it_is_https_alone() -> None:
    for answer in await some_answers(secure=True):
        assert re.fullmatch(r"max-age=\d{7,}", answer.headers["strict-transport-security"])


# --- sockets' origins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://chat.example.org", True),
        ("HTTPS://Chat.Example.Org", True),
        ("https://chat.example.org:443", True),
        ("http://intern.example:8080", True),
        ("https://xn--fa-hia.example", True),
        ("null", False),
        ("", False),
        ("http://chat.example.org", False),
        ("https://chat.example.org:444", False),
        ("https://chat.example.org.evil.example", False),
        ("https://evil.example/https://chat.example.org", False),
        ("https://chat.example.org@evil.example", False),
        ("https://chat.example.org, https://evil.example", False),
        ("https://other.chat.example.org", False),
        ("http://intern.example", False),
        ("https://[", False),
    ],
)
def test_pages_of_the_origins_that_are_given_may_connect_in_all_spellings_of_them(
    origin: str | None, allowed: bool
) -> None:
    cors = Cors(["https://chat.example.org/", "http://INTERN.example:8080", "https://fa\u00df.example"])
    assert cors.lets_connect(origin) is allowed
    readable = ("access-control-allow-origin", origin) in cors.headers(origin)
    assert readable is (allowed and origin is not None)


def test_without_origins_pages_of_any_may_connect() -> None:
    for cors in (Cors(), Cors(["*"]), Cors(["https://a.example", "*"])):
        assert cors.lets_connect("https://evil.example")
        assert cors.lets_connect("null")


def test_an_origin_has_one_form() -> None:
    assert canonical_origin("http://a.example") == canonical_origin("http://A.example:80/") == "http://a.example:80"
    assert canonical_origin("null") is canonical_origin("a.example") is None


@ALL
async def test_a_page_that_may_not_connect_is_told_so_before_its_token_is_looked_at(front: Front) -> None:
    async with open_api([front], cors=Cors(["https://chat.example.org"])) as api:
        request = HttpRequest(method="GET", path=str(front.socket_path), headers={"origin": "https://evil.example"})
        with pytest.raises(OriginNotAllowed) as refusal:
            await api.service.authenticate_socket(request, front)
        response = api.service.refuse(request, refusal.value)
        assert response.status == 403
        assert b"pages of this origin may not connect" in response.body


# --- metrics ----------------------------------------------------------------------------------------------------------


async def test_the_metrics_are_shown_to_who_has_the_token_for_them() -> None:
    async with open_api(metrics_token="a-token") as api:
        shown = await api.ask("GET", "/metrics", headers={"authorization": "Bearer a-token"})
        assert shown.status == 200
        assert b"process_start_time_seconds" in shown.body


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer a-toke", "Bearer a-token2", "Basic a-token", "Bearer \xfc"])
async def test_the_metrics_are_shown_to_nobody_else(given: str | None) -> None:
    for fronts in ((FRONTS[0],), FRONTS):
        async with open_api(fronts, metrics_token="a-token") as api:
            for method in ("GET", "HEAD"):
                headers = {} if given is None else {"authorization": given}
                refused = await api.ask(method, "/metrics", headers=headers)
                assert refused.status == 401
                assert refused.headers["www-authenticate"] == "Bearer"
                assert b"process_" not in refused.body


async def test_a_users_token_does_not_open_the_metrics_and_health_needs_none() -> None:
    async with open_api(metrics_token="a-token") as api:
        ann = await api.person("ann")
        assert (await api.ask("GET", "/metrics", as_=ann)).status == 401
        assert (await api.ask("GET", "/healthz")).status == 200


# --- looking for the door ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("/v1/rooms", ["/chatterstack/v1/rooms"]),
        ("/rooms", ["/chatterstack/v1/rooms"]),
        ("/auth/login", ["/chatterstack/v1/auth/login", "/chatrooms/auth/login", "/messenger/api/auth/login"]),
        ("/api/groups", ["/messenger/api/groups"]),
        ("/docs", ["/chatterstack/docs", "/chatrooms/docs", "/messenger/docs"]),
        ("/openapi.json", ["/chatterstack/openapi.json", "/chatrooms/openapi.json", "/messenger/openapi.json"]),
        ("/ws", ["/chatterstack/ws", "/chatrooms/ws", "/messenger/ws"]),
        ("/v1/nonsense", ["/chatterstack/v1", "/chatrooms", "/messenger/api"]),
        ("/nonsense", ["/chatterstack/v1", "/chatrooms", "/messenger/api"]),
    ],
)
async def test_of_several_fronts_an_error_says_where_else_there_is_such_a_path(path: str, places: list[str]) -> None:
    async with open_api(FRONTS) as api:
        for method in ("GET", "POST"):
            answer = await api.ask(method, path)
            assert answer.status == 404
            assert answer.json["see"] == places
    async with open_api(FRONTS, public_url="https://example.org/chat/") as api:
        assert (await api.ask("GET", path)).json["see"] == [f"https://example.org/chat{place}" for place in places]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/chatterstack/rooms", "/chatterstack/v1/rooms"),
        ("/messenger/groups", "/messenger/api/groups"),
    ],
)
async def test_a_front_says_so_when_only_the_beginning_of_its_paths_is_missing(path: str, place: str) -> None:
    async with open_api(FRONTS) as api:
        answer = await api.ask("GET", path)
        assert answer.status == 404
        assert answer.error == f"endpoint not found here; it is at {place}"
