"""The OpenAPI document says what the route table does."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from chinwag.http.api.decoding import may_be_empty
from chinwag.http.api.front import Front
from chinwag.http.api.openapi import describe, openapi_document
from chinwag.http.api.routing import path_names
from chinwag.http.registry import FRONTS

ALL = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)


class User(msgspec.Struct):
    """Not the front's own."""


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def encoded_names(struct: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


@ALL
def test_it_is_an_openapi_31_document(front: Front) -> None:
    document = msgspec.json.decode(openapi_document(front))
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) >= {"title", "version"}
    assert document == msgspec.json.decode(msgspec.json.encode(describe(front)))


@ALL
@pytest.mark.services  # it takes seconds for each front
def test_it_is_valid_by_the_specification(front: Front) -> None:
    for root in ("", f"/{front.name}", "https://example.org/chat"):
        validate(msgspec.json.decode(openapi_document(front, root=root)), cls=OpenAPIV31SpecValidator)


@ALL
def test_schemas_have_names_of_their_own_and_not_of_modules(front: Front) -> None:
    for name in describe(front)["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), name
    assert "chinwag" not in openapi_document(front).decode()


def test_two_schemas_of_one_name_are_a_mistake() -> None:
    [front] = [front for front in FRONTS if front.name == "messenger"]
    first = next(route for route in front.routes if route.path == "/groups" and route.method == "GET")
    with pytest.raises(ValueError, match="User"):
        describe(replace(front, routes=(*front.routes, replace(first, path="/more", response=User))))


@ALL
def test_ids_have_patterns_that_their_own_form_fits_and_others_do_not(front: Front) -> None:
    document = describe(front)
    own = front.ids.encode(4096)
    found = [
        (name, schema)
        for name, schema in id_fields(document)
        if name not in ("client_id", "operationId")  # the client's own words
    ]
    assert len(found) > 10
    for name, schema in found:
        pattern = next((each["pattern"] for each in [schema, *schema.get("anyOf", [])] if "pattern" in each), None)
        assert pattern is not None, (name, schema)
        assert re.search(pattern, own)
        assert not any(re.search(pattern, other) for other in ("", "x", f" {own}", f"{own} ", "-1", f"{own}/"))


def id_fields(value: object) -> Iterator[tuple[str, Any]]:
    """Name and schema of each property and path parameter that is named as ids are."""
    if isinstance(value, dict):
        if value.get("in") == "path" and str(value["name"]).lower().endswith("id"):
            yield value["name"], value["schema"]
        for name, schema in value.get("properties", {}).items():
            if name == "id" or name.endswith("_id"):
                yield name, schema
        for each in value.values():
            yield from id_fields(each)
    elif isinstance(value, list):
        for each in value:
            yield from id_fields(each)


@ALL
def test_every_route_is_there_and_nothing_else(front: Front) -> None:
    described = {(path, method) for path, method, _ in operations(describe(front))}
    assert described == {(route.path, route.method.lower()) for route in front.routes}


@ALL
def test_every_reference_leads_somewhere(front: Front) -> None:
    document = describe(front)
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    found = set(references(document))
    assert found <= names
    assert names <= found


@ALL
def test_operations_have_unique_names_and_a_summary(front: Front) -> None:
    found = [operation for _, _, operation in operations(describe(front))]
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(operation["summary"] and operation["description"] for operation in found)


@ALL
def test_every_route_says_what_it_takes_and_answers(front: Front) -> None:
    document = describe(front)
    for route in front.routes:
        operation = document["paths"][route.path][route.method.lower()]
        parameters = operation.get("parameters", [])
        in_path = [each["name"] for each in parameters if each["in"] == "path"]
        assert in_path == list(path_names(route.path))
        assert all(each["required"] for each in parameters if each["in"] == "path")
        in_query = {each["name"] for each in parameters if each["in"] == "query"}
        assert in_query == set(() if route.query is None else encoded_names(route.query))
        assert ("requestBody" in operation) is (route.body is not None or bool(route.form))
        if route.body is not None:
            assert operation["requestBody"]["required"] is not may_be_empty(route.body)
        assert ("security" in operation) is route.auth
        success = operation["responses"][str(route.status)]
        assert ("content" in success) is (route.response is not None or route.media_type != "application/json")
        statuses = {str(front.error_status(error)) for error in route.errors}
        assert statuses <= set(operation["responses"])
        assert ("401" in operation["responses"]) or not route.auth


def test_limits_and_defaults_are_in_the_document() -> None:
    [front] = [front for front in FRONTS if front.name == "chatterstack"]
    document = describe(front)
    parameters = {each["name"]: each for each in document["paths"]["/rooms"]["get"]["parameters"]}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert not parameters["limit"]["required"]
    [email] = document["paths"]["/users"]["get"]["parameters"]
    assert email["required"]
    register = document["components"]["schemas"]["Register"]
    assert register["required"] == ["username", "email", "password"]
    username = register["properties"]["username"]
    assert (username["type"], username["minLength"], username["maxLength"]) == ("string", 3, 50)
    assert username["examples"] == ["ann"]
    around = next(
        each
        for each in document["paths"]["/rooms/{room_id}/messages"]["get"]["parameters"]
        if each["name"] == "around_message_id"
    )
    assert around["schema"]["type"] == "string"


def test_the_socket_is_described_beside_the_paths() -> None:
    [front] = [front for front in FRONTS if front.name == "chatterstack"]
    socket = describe(front, root="/chatterstack")["x-websocket"]
    assert socket["path"] == "/chatterstack/ws"
    assert ("receive_message", "out") in {(event["name"], event["direction"]) for event in socket["events"]}
    assert ("send_message", "in") in {(event["name"], event["direction"]) for event in socket["events"]}


def test_the_server_is_where_the_front_is_mounted() -> None:
    assert describe(FRONTS[0])["servers"] == [{"url": FRONTS[0].base or "/"}]
    assert describe(FRONTS[0], root="/x")["servers"] == [{"url": f"/x{FRONTS[0].base}"}]


def chatrooms_operation(method: str, path: str) -> dict[str, Any]:
    [front] = [front for front in FRONTS if front.name == "chatrooms"]
    operation: dict[str, Any] = describe(front)["paths"][path][method]
    return operation


def test_a_form_is_described_part_by_part() -> None:
    operation = chatrooms_operation("post", "/upload/file")
    [(media_type, content)] = operation["requestBody"]["content"].items()
    assert media_type == "multipart/form-data"
    assert content["schema"]["required"] == ["file", "chatroom_id"]
    assert content["schema"]["properties"]["file"]["format"] == "binary"
    assert content["schema"]["properties"]["chatroom_id"]["type"] == "string"
    assert {"201", "400", "401", "403", "404", "413", "422", "429", "503"} == set(operation["responses"])


def test_a_file_is_described_as_bytes_that_come_whole_in_parts_or_not_again() -> None:
    for path in ("/files/{file_id}", "/files/{file_id}/thumbnail", "/avatars/{file_id}"):
        operation = chatrooms_operation("get", path)
        [content] = operation["responses"]["200"]["content"].values()
        assert content["schema"] == {"type": "string", "format": "binary"}
        assert operation["responses"]["206"]["content"] == operation["responses"]["200"]["content"]
        assert "content" not in operation["responses"]["304"]
        assert "content" not in operation["responses"]["416"]
        in_header = {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        assert in_header == {"Range", "If-None-Match"}


def test_the_headers_of_rate_limits_are_on_every_answer_where_there_is_one() -> None:
    names = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    for front in FRONTS:
        for _, _, operation in operations(describe(front)):
            for status, response in operation["responses"].items():
                headers = set(response.get("headers", {}))
                assert names <= headers if front.rate_limit is not None else not names & headers
                assert ("Retry-After" in headers) is (status in ("429", "503"))
