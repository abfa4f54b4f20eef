"""One line per request, with everything that helps and nothing that is secret."""

import pytest
from structlog.testing import capture_logs

from chinwag.http.api.proxies import TrustedProxies
from chinwag.http.api.refusals import BodyTooLarge
from chinwag.http.api.values import HttpRequest
from chinwag.http.operations.access_log import LoggedService
from chinwag.http.registry import FRONTS
from tests.http.service_api import Api, open_api

CODE = "AbCdEfGhIjKlMnOpQrStUv"
UUID = "00000000-0000-4000-8000-000000000000"


async def line_of(api: Api, method: str, path: str, **more: object) -> dict[str, object]:
    """The only line about a request."""
    with capture_logs() as lines:
        await api.ask(method, path, **more)  # type: ignore[arg-type]  # whatever `ask` takes
    [line] = lines
    return dict(line)


async def test_a_request_is_one_line_with_method_path_status_time_user_and_id() -> None:
    async with open_api(FRONTS, kind=LoggedService) as api:
        registration = {"username": "ann", "email": "ann@example.org", "password": "secret"}
        path = "/chatterstack/v1/auth/register"
        with capture_logs() as lines:
            answer = await api.ask("POST", path, json=registration)
        [line] = lines
        assert line["log_level"] == "debug"
        assert (line["method"], line["path"], line["front"], line["status"]) == ("POST", path, "chatterstack", 201)
        assert (line["user"], line["client"]) == (None, "127.0.0.1")
        assert line["ms"] >= 0
        assert len(answer.headers["x-request-id"]) >= 8
        token = {"email": "ann@example.org", "password": "secret"}
        opened = await api.ask("POST", "/chatterstack/v1/auth/login", json=token)
        headers = {"authorization": f"Bearer {opened.json['access_token']}", "x-request-id": "of-a-proxy"}
        with capture_logs() as lines:
            answered = await api.ask("GET", "/chatterstack/v1/rooms", query="limit=5", headers=headers)
        [line] = lines
        assert line["path"] == "/chatterstack/v1/rooms?limit=5"
        assert str(line["user"]) == answer.json["id"]
        assert answered.headers["x-request-id"] == "of-a-proxy"


async def test_an_id_that_could_be_more_than_an_id_is_not_taken_from_a_client() -> None:
    async with open_api(kind=LoggedService) as api:
        for given in ("", "a b", "x" * 65, "\u00fc", 'a"b'):
            answer = await api.ask("GET", "/healthz", headers={"x-request-id": given})
            assert answer.headers["x-request-id"] != given


@pytest.mark.parametrize(
    ("path", "query", "shown"),
    [
        ("/chatrooms/files/" + UUID, "token=abc", f"/chatrooms/files/{UUID}?token=***"),
        (
            f"/chatrooms/files/{UUID}/thumbnail",
            f"expires=1767225600&user={UUID}&signature=abc",
            f"/chatrooms/files/{UUID}/thumbnail?expires=1767225600&user={UUID}&signature=***",
        ),
        ("/chatrooms/avatars/" + UUID, "signature=abc", f"/chatrooms/avatars/{UUID}?signature=***"),
        ("/chatrooms/chatrooms/join/" + CODE, "", "/chatrooms/chatrooms/join/***"),
        ("/chatrooms/chatrooms/join/short", "", "/chatrooms/chatrooms/join/***"),
        ("/chatrooms/join/" + CODE, "", "/chatrooms/join/***"),
        ("/chatterstack/v1/messages/search", "q=our+secret", "/chatterstack/v1/messages/search?q=***"),
        ("/chatterstack/v1/users", "email=ann@example.org", "/chatterstack/v1/users?email=***"),
        ("/chatterstack/v1/rooms/123", "", "/chatterstack/v1/rooms/123"),
        (
            "/chatterstack/ws",
            "room_id=5&access_token=abc&since=7",
            "/chatterstack/ws?room_id=5&access_token=***&since=7",
        ),
        ("/messenger/ws", "TOKEN=abc&tok%65n=abc&abc", "/messenger/ws?TOKEN=***&***=***&abc=***"),
        ("/healthz", "limit=" + CODE * 9, "/healthz?limit=***"),
        ("/" + CODE, "", "/***"),
    ],
)
async def test_what_is_secret_or_said_is_not_written(path: str, query: str, shown: str) -> None:
    async with open_api(FRONTS, kind=LoggedService) as api:
        assert (await line_of(api, "GET", path, query=query))["path"] == shown


async def test_what_the_server_itself_refuses_is_written_too() -> None:
    async with open_api(kind=LoggedService) as api:
        with capture_logs() as lines:
            api.service.refuse(HttpRequest(method="POST", path="/v1/rooms"), BodyTooLarge(5))
        [line] = lines
        assert (line["path"], line["status"]) == ("/v1/rooms", 413)


async def test_by_default_nothing_is_written_or_made() -> None:
    async with open_api() as api:
        with capture_logs() as lines:
            answer = await api.ask("GET", "/healthz")
        assert lines == []
        assert "x-request-id" not in answer.headers


async def test_behind_a_proxy_the_line_names_the_client_and_https_is_told_of() -> None:
    async with open_api(kind=LoggedService, proxies=TrustedProxies(["127.0.0.1"])) as api:
        forwarded = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
        with capture_logs() as lines:
            answer = await api.ask("GET", "/healthz", headers=forwarded)
        assert lines[0]["client"] == "192.0.2.7"
        assert "strict-transport-security" in answer.headers
