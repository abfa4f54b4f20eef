"""The comparison of answers with a front's OpenAPI document finds what it is there to find."""

import msgspec
import pytest

from chinwag.http.api.mounts import Mounts
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.fronts.chatrooms import FRONT
from tests.http.api.contract import BrokenContract, Contract

JSON = ("content-type", "application/json")
HEALTH = {
    "success": True,
    "data": {
        "status": "healthy",
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "version": "1",
        "services": {"database": "healthy", "redis": "not_configured", "mongodb": "not_configured"},
    },
    "message": "OK",
}


def check(status: int, body: object, *, path: str = "/health", headers: tuple[tuple[str, str], ...] = (JSON,)) -> None:
    where = Mounts([FRONT]).locate("", path)
    response = HttpResponse(status=status, headers=list(headers), body=msgspec.json.encode(body))
    Contract(FRONT).check(where, HttpRequest(method="GET", path=path), response)


def test_an_answer_as_it_is_described_passes() -> None:
    check(200, HEALTH)
    check(404, {"success": False, "error": {"code": "X", "message": "x", "details": {}}}, path="/nowhere")


@pytest.mark.parametrize(
    "change",
    [
        {"success": False},
        {"data": None},
        {"extra": 1},
        {"data": {**HEALTH["data"], "extra": 1}},  # type: ignore[dict-item]
        {"data": {**HEALTH["data"], "timestamp": "yesterday"}},  # type: ignore[dict-item]
        {"data": {**HEALTH["data"], "timestamp": "2026-01-01T00:00:00+01:00"}},  # type: ignore[dict-item]
        {"data": {**HEALTH["data"], "status": "fine"}},  # type: ignore[dict-item]
    ],
)
def test_another_body_does_not(change: dict[str, object]) -> None:
    with pytest.raises(BrokenContract):
        check(200, {**HEALTH, **change})


def test_a_missing_field_another_status_or_another_type_does_not_pass_either() -> None:
    with pytest.raises(BrokenContract):
        check(200, {name: value for name, value in HEALTH.items() if name != "data"})
    with pytest.raises(BrokenContract):
        check(201, HEALTH)
    with pytest.raises(BrokenContract):
        check(200, HEALTH, headers=(("content-type", "text/plain"),))
    with pytest.raises(BrokenContract):
        check(200, HEALTH, headers=(JSON, ("x-ratelimit-limit", "many")))
    with pytest.raises(BrokenContract):
        check(404, {"error": "x"}, path="/nowhere")
