"""Holds every answer of a front to the front's own OpenAPI document.

Stricter than the document has to be: an answer with a field that its schema does not name is wrong, too.
"""

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chinwag.http.api.front import Front
from chinwag.http.api.mounts import Location
from chinwag.http.api.openapi import describe
from chinwag.http.api.routing import JSON
from chinwag.http.api.values import HttpRequest, HttpResponse
from tests.http.api.documented_statuses import Provoked, provoked

_DOCUMENT = "urn:document"
_FORMATS = FormatChecker(formats=["uuid", "email"])


def _is_time(text: object) -> bool:
    """RFC 3339 in UTC, as every front writes it."""
    return isinstance(text, str) and text.endswith("Z") and datetime.fromisoformat(text) is not None


_FORMATS.checks("date-time", raises=ValueError)(_is_time)


class BrokenContract(AssertionError):
    """An answer is not as the document says."""


class Contract:
    """One front's document, ready to compare answers with. What was compared is noted as provoked."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.document = _strict(describe(front))
        self._validators: dict[int, Draft202012Validator] = {}
        """By the identity of the schema, which is a part of the document."""
        self._registry: Registry[Any] = Registry().with_resource(
            _DOCUMENT, Resource.from_contents(self.document, default_specification=DRAFT202012)
        )
        self._error = _body_schema_of_errors(self.document)

    def check(self, where: Location, request: HttpRequest, response: HttpResponse) -> None:
        """Raise `BrokenContract` when the answer to a request that came to `where` is none that the document has."""
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = None if where.found is None else where.found.resource.methods.get(method)
        place = f"{request.method} {where.path}: {response.status}"
        if endpoint is None:  # no endpoint, or another method: an error of HTTP's own
            if response.status >= 400 and request.method != "HEAD":
                self._compare(place, self._error, response.body)
            return
        operation = self.document["paths"][endpoint.route.path][method.lower()]
        provoked.add(Provoked(self._front.name, method, endpoint.route.path, response.status))
        described = operation["responses"].get(str(response.status))
        if described is None:
            raise BrokenContract(f"{place} is not in the document: {response.body[:300]!r}")
        self._check_headers(place, described.get("headers", {}), response)
        if request.method == "HEAD":
            return
        self._check_body(place, described.get("content"), response)

    def _check_headers(self, place: str, described: Mapping[str, Any], response: HttpResponse) -> None:
        """A header that is described may be missing (limits can be off), and what is sent has the type."""
        sent = dict(response.headers)
        for name, header in described.items():
            value = sent.get(name.lower(), "0")
            if header["schema"] == {"type": "integer"} and not value.isdecimal():
                raise BrokenContract(f"{place}: {name} is {value!r}")

    def _check_body(self, place: str, content: Mapping[str, Any] | None, response: HttpResponse) -> None:
        if content is None:
            if response.body or response.content is not None:
                raise BrokenContract(f"{place} has a body, which the document does not: {response.body[:300]!r}")
            return
        sent_type = dict(response.headers).get("content-type", "").partition(";")[0]
        fitting = [each for each in content if fnmatchcase(sent_type, each)]
        if not fitting:
            raise BrokenContract(f"{place} is {sent_type!r}, which the document does not have: {sorted(content)}")
        if JSON in fitting:
            self._compare(place, content[JSON]["schema"], response.body)

    def _compare(self, place: str, schema: Mapping[str, Any], body: bytes) -> None:
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = Draft202012Validator(_absolute(schema), registry=self._registry, format_checker=_FORMATS)
            self._validators[id(schema)] = validator
        value = msgspec.json.decode(body)
        problems = [f"{each.json_path}: {each.message[:300]}" for each in validator.iter_errors(value)]
        if problems:
            raise BrokenContract("\n".join([place, *problems, body[:1000].decode()]))


_contracts: dict[int, Contract] = {}
"""By the identity of the front, which the contract keeps."""


def contract_of(front: Front) -> Contract:
    """The contract of a front, which takes longer to make than to ask."""
    contract = _contracts.get(id(front))
    if contract is None:
        contract = _contracts[id(front)] = Contract(front)
    return contract


def _body_schema_of_errors(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of any error: the one of 503, which every operation has."""
    [methods, *_] = document["paths"].values()
    [operation, *_] = methods.values()
    schema: Mapping[str, Any] = operation["responses"]["503"]["content"][JSON]["schema"]
    return schema


def _strict(value: Any) -> Any:
    """The same document, with nothing allowed in an object besides its properties."""
    if isinstance(value, list):
        return [_strict(each) for each in value]
    if not isinstance(value, dict):
        return value
    strict = {key: _strict(each) for key, each in value.items()}
    if value.get("type") == "object" and "properties" in value:
        strict.setdefault("additionalProperties", False)
    return strict


def _absolute(schema: Any) -> Any:
    """The schema with references that lead into the document from anywhere."""
    if isinstance(schema, list):
        return [_absolute(each) for each in schema]
    if isinstance(schema, dict):
        return {
            key: _DOCUMENT + each if key == "$ref" and isinstance(each, str) else _absolute(each)
            for key, each in schema.items()
        }
    return schema
