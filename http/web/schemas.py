"""JSON Schemas as HTML: types with links to what they name, bounds in words, and examples."""

from html import escape
from typing import Any, Final

import msgspec

from chinwag.http.api.openapi import Json
from chinwag.http.web.html import paragraphs, table, text

_BOUNDS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}
_EXAMPLES: Final = {
    "date-time": "2025-01-31T12:00:00.000000Z",
    "email": "ann@example.org",
    "uri": "https://example.org/picture.png",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEPTH: Final = 6
"""How far an example goes into what would hold itself."""


def content_schema(holder: Json) -> Json:
    """The schema of a body: of a request's, or of an answer's."""
    schema: Json = next(iter(holder["content"].values()))["schema"]
    return schema


def component(name: str, schema: Json, document: Json) -> str:
    """A named schema, to be opened."""
    return (
        f'<details id="schema-{escape(name)}"><summary><span class="path">{escape(name)}</span></summary><div>'
        f"{paragraphs(schema.get('description', ''))}{schema_block(schema, document)}</div></details>"
    )


def schema_block(schema: Json, document: Json) -> str:
    """A schema's fields as a table, and an example."""
    resolved = _resolve(schema, document)
    properties = resolved.get("properties", {})
    parts = []
    if properties:
        required = resolved.get("required", [])
        rows = []
        for name, each in properties.items():
            need = f'<span class="dim">{"required" if name in required else "optional"}</span>'
            rows.append((f"<code>{escape(name)}</code>", type_of(each), need, notes(each)))
        parts.append(table(("Field", "Type", "", ""), rows))
    if not any(each.get("format") == "binary" for each in properties.values()):
        parts.append(f"<pre>{escape(pretty(example(schema, document)))}</pre>")
    return "".join(parts)


def type_of(schema: Json) -> str:
    """A schema's type as HTML, with links to named ones."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(_compact(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type", "any")))


def notes(schema: Json) -> str:
    """Description, bounds and default in words, as HTML."""
    found: list[str] = []
    for each in (schema, *schema.get("anyOf", ())):  # of what may be null, the bounds are a level below
        found += [each["description"]] if "description" in each else []
        found += [_bound(words, each[key]) for key, words in _BOUNDS.items() if key in each]
    if schema.get("default") not in (None, "", (), []):
        found.append(f"default `{_compact(schema['default'])}`")
    return text("; ".join(found))


def _bound(words: str, bound: int) -> str:
    return words.format(bound).removesuffix("s" if bound == 1 else "")


def example(schema: Json, document: Json, depth: int = 0, *, brief: bool = False) -> Any:
    """A value that the schema describes; `brief` leaves out what is optional and has no example of its own.

    Nesting ends where a schema would hold itself.
    """
    resolved = _resolve(schema, document)
    if "examples" in resolved:
        return resolved["examples"][0]
    if "anyOf" in resolved:
        return example(resolved["anyOf"][0], document, depth + 1)
    if "enum" in resolved:
        return resolved["enum"][0]
    match resolved.get("type"):
        case "object" if depth < _DEPTH:
            required = resolved.get("required", [])
            values = resolved.get("additionalProperties")
            if isinstance(values, dict):  # by names of any kind, or of one that is described
                name = example({"type": "string", **resolved.get("propertyNames", {})}, document, depth + 1)
                return {name: example(values, document, depth + 1)}
            return {
                name: example(each, document, depth + 1)
                for name, each in resolved.get("properties", {}).items()
                if not brief or name in required or "examples" in each
            }
        case "array" if depth < _DEPTH:
            return [example(resolved["items"], document, depth + 1)] if "items" in resolved else []
        case "integer" | "number":
            return resolved.get("default", resolved.get("minimum", 0))
        case "boolean":
            return resolved.get("default", True)
        case "string":
            return _EXAMPLES.get(resolved.get("format", ""), "string")
        case _:
            return None


def pretty(value: Any) -> str:
    """A value as JSON, for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _resolve(schema: Json, document: Json) -> Json:
    if "$ref" not in schema:
        return schema
    named: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return named


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
