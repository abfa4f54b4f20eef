"""A front's OpenAPI 3.1 document, out of its route table. Pure: the same table always gives the same document.

The socket has no place in OpenAPI: it stands under `x-websocket`, with its events' schemas among the components.
"""

import inspect
import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from chinwag.engine.model.errors import EngineError, Invalid, TryLater, Unauthenticated
from chinwag.http.api.decoding import may_be_empty
from chinwag.http.api.front import Front
from chinwag.http.api.refusals import BodyTooLarge, MalformedBody, RateLimited
from chinwag.http.api.routing import EVENT_STREAM, JSON, HeaderParameter, Route, path_names

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TEXT: Json = {"type": "string"}
_GENERIC: Final = re.compile(r"(\w+?)_(\w+)_")
_RETRY_AFTER: Json = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_RATE_LIMIT_HEADERS: Json = {
    "X-RateLimit-Limit": {"description": "requests in a window", "schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"description": "requests left", "schema": {"type": "integer"}},
    "X-RateLimit-Reset": {"description": "when there is one more, Unix seconds", "schema": {"type": "integer"}},
}
_FILE_HEADERS: Final = (
    HeaderParameter("Range", "one range of bytes: bytes=0-499"),
    HeaderParameter("If-None-Match", "the ETag of what the client has"),
)
_EVENT_STREAM_HEADERS: Final = (HeaderParameter("Last-Event-ID", "the id of the last event that the client has"),)
FORM: Final = "multipart/form-data"


def openapi_document(front: Front, *, root: str = "") -> bytes:
    """The document as JSON. `root` comes before the front's own paths: its prefix, or a URL that ends with it."""
    return msgspec.json.format(msgspec.json.encode(describe(front, root=root)), indent=2)


def describe(front: Front, *, root: str = "") -> Json:
    """The document as plain values, for whoever renders it."""
    kinds = list(dict.fromkeys([front.error_type, *_body_types(front)]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Json] = {}
    for route in front.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(front, route, schema_of)
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": front.title, "description": front.description, "version": _version()},
        "servers": [{"url": f"{root}{front.base}" or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(map(_tag, front.routes))],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            },
        },
    }
    if front.socket_path is not None:
        document["x-websocket"] = {
            "path": f"{urlsplit(root).path}{front.socket_path}",
            "tokenParameters": list(front.socket_token_parameters),
            "events": [
                {
                    "name": event.name,
                    "direction": event.direction,
                    "description": event.description,
                    "schema": schema_of[event.payload],
                }
                for event in front.socket_events
            ],
        }
        if root.startswith("http"):
            document["x-websocket"]["url"] = f"ws{root.removeprefix('http')}{front.socket_path}"
    return _with_clean_names(document)


def _with_clean_names(document: Json) -> Json:
    """The document with schemas named as their types are. Raises ValueError when two would have one name.

    Where what is sent and what is answered have the same name, msgspec tells them apart by their modules, and this by
    an "In" at the end of the former.
    """
    schemas = document["components"]["schemas"]
    names = {name: _clean_name(name) for name in schemas}
    if len(set(names.values())) != len(names):
        raise ValueError(f"two schemas have one name: {sorted(names.values())}")
    references = {_REF.format(name=name): _REF.format(name=clean) for name, clean in names.items()}
    document["components"]["schemas"] = {names[name]: schema for name, schema in schemas.items()}
    renamed: Json = _with_references(document, references)
    return renamed


def _clean_name(name: str) -> str:
    module, _, short = name.rpartition(".")
    generic = _GENERIC.fullmatch(short)  # `Success[User]` comes as "Success_User_"
    if generic is not None:
        short = f"{generic[1]}Of{generic[2]}"
    return f"{short}In" if module.endswith(".requests") else short


def _with_references(value: Any, references: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_references(each, references) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: references[each] if key == "$ref" else _with_references(each, references) for key, each in value.items()
    }


def _body_types(front: Front) -> Iterable[Any]:
    for route in front.routes:
        if route.body is not None:
            yield route.body
        if route.response is not None:
            yield route.response
    for event in front.socket_events:
        yield event.payload


def _operation(front: Front, route: Route, schema_of: dict[Any, Json]) -> Json:
    operation: Json = {
        "operationId": getattr(route.handler, "__name__", route.path),
        "tags": [_tag(route)],
        "summary": route.summary,
    }
    if text := _paragraphs(route):
        operation["description"] = text
    if parameters := _parameters(front, route):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": not may_be_empty(route.body),
            "content": _json(schema_of[route.body]),
        }
    elif route.form:
        operation["requestBody"] = {"required": True, "content": {FORM: {"schema": _form(front, route)}}}
    operation["responses"] = _responses(front, route, schema_of)
    if route.auth:
        operation["security"] = [{"bearer": []}, {"header": []}]
    return operation


def _tag(route: Route) -> str:
    """What a route is about: the first segment of its path."""
    return route.path.split("/")[1] or "root"


def _paragraphs(route: Route) -> str:
    """The route's own description, else its handler's first paragraph."""
    return route.description or (inspect.getdoc(route.handler) or "").partition("\n\n")[0]


def _parameters(front: Front, route: Route) -> list[Json]:
    parameters: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"minLength": 1, **_text(front, name)},
        }
        for name in path_names(route.path)
    ]
    if route.query is not None:
        schema = msgspec.json.schema(route.query)
        struct = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        required = struct.get("required", [])
        for name, each in struct["properties"].items():
            description = each.pop("description", None)
            parameter: Json = {"name": name, "in": "query", "required": name in required, "schema": _not_null(each)}
            if description:
                parameter["description"] = description
            parameters.append(parameter)
    parameters += [
        {
            "name": each.name,
            "in": "header",
            "required": False,
            "description": each.description,
            "schema": {**_TEXT, **each.json_schema},
        }
        for each in (*route.headers, *_headers_by_kind(route))
    ]
    return parameters


def _headers_by_kind(route: Route) -> tuple[HeaderParameter, ...]:
    """What the kind of its answer lets a route read."""
    if route.media_type == EVENT_STREAM:
        return _EVENT_STREAM_HEADERS
    return _FILE_HEADERS if route.is_file else ()


def _text(front: Front, name: str) -> Json:
    """The schema of a text; of one that is named as ids are, that of an id."""
    return {**_TEXT, **front.ids.json_schema} if name == "id" or name.endswith(("_id", "Id")) else _TEXT


def _form(front: Front, route: Route) -> Json:
    """The schema of a form: RFC 7578's parts as properties."""
    properties: Json = {}
    for part in route.form:
        properties[part.name] = {**_text(front, part.name), "description": part.description}
        if part.is_file:
            properties[part.name]["format"] = "binary"
    return {
        "type": "object",
        "properties": properties,
        "required": [part.name for part in route.form if part.required],
    }


def _not_null(schema: Json) -> Json:
    """A parameter that is not given is absent, never null."""
    choices = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if not choices:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}


def _responses(front: Front, route: Route, schema_of: dict[Any, Json]) -> Json:
    success: Json = {"description": HTTPStatus(route.status).phrase}
    if route.response is not None:
        success["content"] = _json(schema_of[route.response])
    elif route.media_type == EVENT_STREAM:
        success["content"] = {EVENT_STREAM: {"schema": _TEXT}}
    elif route.media_type != JSON:
        success["content"] = {route.media_type: {"schema": {"type": "string", "format": "binary"}}}
    if route.response_headers:
        success["headers"] = {
            each.name: {"description": each.description, "schema": _TEXT} for each in route.response_headers
        }
    responses: Json = {str(route.status): success}
    if route.is_file:
        responses["206"] = {"description": "The part that Range asks for", "content": success["content"]}
        responses["304"] = {"description": "What If-None-Match names is what there is"}
        responses["416"] = {"description": "Range asks for a part that there is not"}
    errors: list[type[EngineError]] = [*route.errors, *([Unauthenticated] if route.auth else []), TryLater]
    if route.body is not None or route.form:
        errors += [MalformedBody, BodyTooLarge]
    if route.query is not None:
        errors.append(Invalid)
    limited = front.rate_limit is not None or route.rate_group is not None
    if limited:
        errors.append(RateLimited)
        for each in responses.values():
            each["headers"] = {**each.get("headers", {}), **_RATE_LIMIT_HEADERS}
    passing = {front.error_status(error) for error in errors if issubclass(error, TryLater | RateLimited)}
    for status in sorted({front.error_status(error) for error in errors}):
        response: Json = {"description": HTTPStatus(status).phrase, "content": _json(schema_of[front.error_type])}
        headers = {**(_RETRY_AFTER if status in passing else {}), **(_RATE_LIMIT_HEADERS if limited else {})}
        if headers:
            response["headers"] = headers
        responses[str(status)] = response
    return responses


def _json(schema: Json) -> Json:
    return {JSON: {"schema": schema}}


def _version() -> str:
    try:
        return version("chinwag")
    except PackageNotFoundError:
        return "0"
