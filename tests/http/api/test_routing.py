"""Finding paths in route tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import Found, Method, Route, Router, path_names


async def handler(request: Request[None, None]) -> Reply:
    return Reply()


def route(method: Method, path: str) -> Route:
    return Route(method, path, handler)


ROUTER = Router(
    [
        route("GET", "/rooms"),
        route("POST", "/rooms"),
        route("POST", "/rooms/direct"),
        route("GET", "/rooms/{room_id}"),
        route("DELETE", "/rooms/{room_id}"),
        route("GET", "/rooms/{room_id}/members"),
        route("DELETE", "/rooms/{room_id}/members/{user_id}"),
        route("GET", "/rooms/direct/news"),
    ],
    base="/v1",
)


def found(path: str) -> Found:
    hit = ROUTER.find(path)
    assert hit is not None
    return hit


def test_a_path_without_names_is_found_with_all_its_methods() -> None:
    assert set(found("/v1/rooms").resource.methods) == {"GET", "HEAD", "POST"}
    assert found("/v1/rooms").resource.allow == "GET, HEAD, POST, OPTIONS"


def test_names_take_what_stands_in_their_place() -> None:
    hit = found("/v1/rooms/17/members/42")
    assert hit.values == ("17", "42")
    assert hit.resource.methods["DELETE"].names == ("room_id", "user_id")


def test_a_literal_wins_over_a_name() -> None:
    assert set(found("/v1/rooms/direct").resource.methods) == {"POST"}
    assert found("/v1/rooms/directly").values == ("directly",)


def test_a_literal_that_leads_nowhere_gives_way_to_a_name() -> None:
    assert found("/v1/rooms/direct/members").values == ("direct",)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/rooms",
        "/v1/rooms/",
        "/v1//rooms",
        "/v1/rooms//members",
        "/v1/rooms/1/members/",
        "/v1/rooms/1/members/2/3",
        "/V1/rooms",
        "/" * 100_000,
    ],
)
def test_other_paths_are_not_found(path: str) -> None:
    assert ROUTER.find(path) is None


def test_segments_are_percent_decoded_one_by_one() -> None:
    assert found("/v1/rooms/caf%C3%A9").values == ("café",)
    assert found("/v1/rooms/a%2Fb").values == ("a/b",)
    assert found("/v1/%72ooms").resource is found("/v1/rooms").resource


def test_raw_utf8_that_the_server_read_as_latin1_is_decoded() -> None:
    assert found("/v1/rooms/" + "日本".encode().decode("latin-1")).values == ("日本",)


@pytest.mark.parametrize("segment", ["%ff", "%C3", "\xff", "%ED%A0%80", "a%00b"])
def test_what_is_no_text_is_not_found(segment: str) -> None:
    assert ROUTER.find(f"/v1/rooms/{segment}") is None


@given(st.text(st.characters(max_codepoint=255)))
def test_no_path_breaks_the_router(path: str) -> None:
    ROUTER.find(path)
    ROUTER.find(f"/v1/rooms/{path}")


def test_a_table_may_not_have_the_same_route_twice() -> None:
    with pytest.raises(ValueError, match=r"two routes for GET /rooms/\{other\}"):
        Router([route("GET", "/rooms/{room_id}"), route("GET", "/rooms/{other}")])


def test_a_route_starts_with_a_slash() -> None:
    with pytest.raises(ValueError, match="does not start with a slash"):
        Router([route("GET", "rooms")])


def test_names_of_a_template() -> None:
    assert path_names("/rooms/{room_id}/members/{user_id}") == ("room_id", "user_id")
    assert path_names("/rooms") == ()
