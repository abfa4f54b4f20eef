"""The pages: one per front with its whole API and a form to try each endpoint, and the start page that lists them.

Each is one HTML document with its own style and script: no other file, no other server. They are rendered from the
OpenAPI document, so they say what it says. Every text goes through `escape`.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import msgspec

from chinwag.http.front import Front
from chinwag.http.openapi import FORM, Json, describe

_STYLE = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1a1d21; --dim: #5d6570; --line: #dde1e6; --box: #f6f7f9;
  --accent: #0b57d0; --get: #1a6f3c; --post: #0b57d0; --patch: #8a5300; --put: #8a5300; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e6e8eb; --dim: #9aa3ad; --line: #30363d;
  --box: #1c2126; --accent: #8ab4f8; --get: #6dd58c; --post: #8ab4f8; --patch: #f2b55f; --put: #f2b55f;
  --delete: #f2867e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 16px/1.5 system-ui, sans-serif; }
main, header { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; } main { padding-bottom: 4rem; }
h1 { margin: 0 0 .25rem; font-size: 1.75rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.2rem; text-transform: capitalize; }
h3 { margin: 1rem 0 .25rem; font-size: 1rem; } p { margin: .25rem 0 .75rem; } a { color: var(--accent); }
code, pre, textarea, input, .path { font: .875rem/1.5 ui-monospace, monospace; }
pre, textarea { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  overflow: auto; max-width: 100%; margin: .25rem 0; white-space: pre; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; scroll-margin-top: 6rem; }
summary { padding: .6rem .8rem; cursor: pointer; display: flex; flex-wrap: wrap; gap: .25rem .75rem;
  align-items: baseline; }
summary:focus-visible, button:focus-visible, input:focus-visible, textarea:focus-visible, a:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px; }
details > div { padding: 0 .8rem .8rem; border-top: 1px solid var(--line); }
.method { font: 700 .8rem/1.5 ui-monospace, monospace; min-width: 4.2rem; }
.GET { color: var(--get); } .POST { color: var(--post); } .PATCH { color: var(--patch); } .PUT { color: var(--put); }
.DELETE { color: var(--delete); } .path { overflow-wrap: anywhere; } .dim { color: var(--dim); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--dim); font-size: .875rem; }
label { display: block; margin: .4rem 0; font-size: .875rem; }
input, textarea { display: block; width: 100%; color: inherit; background: var(--box); border: 1px solid var(--line);
  border-radius: 6px; padding: .45rem .6rem; } textarea { min-height: 7rem; resize: vertical; }
button { font: inherit; padding: .4rem 1.1rem; border: 0; border-radius: 6px; background: var(--accent);
  color: var(--bg); cursor: pointer; margin: .3rem 0; }
.token { position: sticky; top: 0; z-index: 1; background: var(--bg); border-bottom: 1px solid var(--line);
  padding: .4rem 0; }
"""

_SCRIPT = """
"use strict";
const token = document.getElementById("token");
try { token.value = sessionStorage.getItem("chinwag-token") || ""; } catch { token.value = ""; }
function remember(value) {
  token.value = value;
  try { sessionStorage.setItem("chinwag-token", value); } catch { return; }
}
token.addEventListener("change", () => remember(token.value.trim()));
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", reveal);
reveal();
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const out = form.querySelector("output");
    const query = new URLSearchParams();
    const headers = {};
    const fields = new FormData();
    let path = form.dataset.path;
    for (const input of form.querySelectorAll("input")) {
      if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
      else if (input.value && input.dataset.in === "query") query.append(input.name, input.value);
      else if (input.value && input.dataset.in === "form") fields.append(input.name, input.files?.[0] ?? input.value);
      else if (input.value) headers[input.name] = input.value;
    }
    if (form.dataset.auth && token.value) headers["Authorization"] = `Bearer ${token.value}`;
    const json = form.querySelector("textarea");
    if (json) headers["Content-Type"] = "application/json";
    const body = json ? json.value : [...fields].length ? fields : undefined;
    const shown = document.createElement("pre");
    out.replaceChildren(shown);
    shown.textContent = "…";
    try {
      const url = form.dataset.base + path + (query.size ? `?${query}` : "");
      const answer = await fetch(url, { method: form.dataset.method, headers, body });
      const type = answer.headers.get("Content-Type") ?? "";
      const received = await answer.blob();
      let text = /json|^text|^$/.test(type) ? await received.text() : `(${received.size} bytes of ${type})`;
      try {
        const value = JSON.parse(text);
        text = JSON.stringify(value, null, 2);
        const given = value.data ?? value; // some APIs have an envelope around what they answer
        if (answer.ok && typeof given.access_token === "string") remember(given.access_token);
      } catch { /* not JSON: shown as it is */ }
      shown.textContent = `${answer.status} ${answer.statusText}\\n${text}`;
    } catch (error) {
      shown.textContent = String(error);
    }
  });
}
"""


def docs_page(front: Front, *, prefix: str = "") -> bytes:
    """A front's page. `prefix` is where the front is mounted."""
    document = describe(front, prefix=prefix)
    base = document["servers"][0]["url"].rstrip("/")
    sections: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            block = _endpoint(base, path, method.upper(), operation, document)
            sections.setdefault(operation["tags"][0], []).append(block)
    parts = [
        f"<header><h1>{escape(front.title)}</h1><p>{escape(front.description)}</p>",
        f'<p class="dim">Base <code>{escape(base or "/")}</code> · ',
        f'<a href="{escape(prefix)}/openapi.json">OpenAPI document</a></p></header><main>',
        '<div class="token"><label>Access token (a log-in below fills it in)',
        '<input id="token" autocomplete="off" spellcheck="false"></label></div>',
    ]
    for tag, blocks in sections.items():
        parts += [f"<h2>{escape(tag)}</h2>", *blocks]
    if "x-websocket" in document:
        parts.append(_socket(document["x-websocket"]))
    parts.append("<h2>Schemas</h2>")
    parts += [_component(name, schema, document) for name, schema in document["components"]["schemas"].items()]
    parts.append("</main>")
    return _page(front.title, "".join(parts), script=_SCRIPT)


def start_page(fronts: Sequence[Front], *, alone: bool) -> bytes:
    """The list of what this server serves. `alone`: its only front is at its own paths."""
    rows = []
    for front in fronts:
        prefix = "" if alone else f"/{front.name}"
        socket = "" if front.socket_path is None else f"<br><code>{escape(prefix + front.socket_path)}</code>"
        rows.append(
            f"<tr><td><b>{escape(front.title)}</b><br>{escape(front.description)}</td>"
            f"<td><code>{escape(prefix + front.base or '/')}</code>{socket}</td>"
            f'<td><a href="{escape(prefix)}/docs">Documentation</a><br>'
            f'<a href="{escape(prefix)}/openapi.json">OpenAPI</a></td></tr>'
        )
    own_hosts = "" if alone else "<p>Each is also at its own paths under the host name <code>NAME.localhost</code>.</p>"
    body = (
        "<header><h1>Chinwag</h1><p>A real-time chat engine. This server answers these APIs:</p></header><main>"
        '<div class="scroll"><table><tr><th>API</th><th>Paths</th><th>More</th></tr>'
        f"{''.join(rows)}</table></div>{own_hosts}"
        '<p><a href="/healthz">Health</a> · <a href="/metrics">Metrics</a></p></main>'
    )
    return _page("Chinwag", body)


def _page(title: str, body: str, *, script: str = "") -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}"
        f"{f'<script>{script}</script>' if script else ''}</body></html>"
    ).encode()


def _endpoint(base: str, path: str, method: str, operation: Json, document: Json) -> str:
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody")
    parts = [
        f'<details id="{escape(operation["operationId"])}"><summary><span class="method {method}">{method}</span>',
        f'<span class="path">{escape(path)}</span><span class="dim">{escape(operation["summary"])}</span></summary>',
        "<div>",
        f"<p>{escape(operation.get('description', ''))}</p>",
    ]
    if "security" not in operation:
        parts.append('<p class="dim">Needs no token.</p>')
    if parameters:
        parts += ["<h3>Parameters</h3>", _table(("Name", "In", "Type", ""), map(_parameter_row, parameters))]
    if body is not None:
        parts += ["<h3>Body</h3>", _schema_block(_content(body), document)]
    parts.append("<h3>Answers</h3>")
    rows = []
    for status, response in operation["responses"].items():
        kind = _type(_content(response)) if "content" in response else '<span class="dim">no body</span>'
        rows.append((f"<code>{escape(status)}</code>", escape(response["description"]), kind))
    parts.append(_table(("Status", "", "Body"), rows))
    parts.append(_form(base, path, method, operation, document))
    parts.append("</div></details>")
    return "".join(parts)


def _form(base: str, path: str, method: str, operation: Json, document: Json) -> str:
    auth = "1" if "security" in operation else ""
    parts = [
        "<h3>Try it</h3>",
        f'<form data-base="{escape(base)}" data-path="{escape(path)}" data-method="{method}" data-auth="{auth}">',
    ]
    for parameter in operation.get("parameters", []):
        required = " required" if parameter["required"] else ""
        parts.append(
            f'<label>{escape(parameter["name"])}<input name="{escape(parameter["name"])}" '
            f'data-in="{escape(parameter["in"])}" autocomplete="off"{required}></label>'
        )
    if "requestBody" in operation and FORM in operation["requestBody"]["content"]:
        for name, each in _content(operation["requestBody"])["properties"].items():
            kind = "file" if each.get("format") == "binary" else "text"
            parts.append(f'<label>{escape(name)}<input type="{kind}" name="{escape(name)}" data-in="form"></label>')
    elif "requestBody" in operation:
        example = _example(_content(operation["requestBody"]), document, brief=True)
        parts.append(f'<label>Body<textarea spellcheck="false">{escape(_pretty(example))}</textarea></label>')
    parts.append("<button>Send</button><output></output></form>")
    return "".join(parts)


def _socket(socket: Json) -> str:
    in_query = [f"<code>?{escape(name)}=</code>" for name in socket["tokenParameters"]]
    where = " or ".join(["an <code>Authorization: Bearer</code> header", *in_query])
    rows = []
    for event in socket["events"]:
        direction = "client → server" if event["direction"] == "in" else "server → client"
        name = f'<code>{escape(event["name"])}</code><br><span class="dim">{direction}</span>'
        rows.append((name, f"{_type(event['schema'])}<br>{escape(event['description'])}"))
    return (
        f"<h2>Socket</h2><p>A WebSocket at <code>{escape(socket['path'])}</code>, with the access token in {where}.</p>"
        + _table(("Event", "Data"), rows)
    )


def _component(name: str, schema: Json, document: Json) -> str:
    return (
        f'<details id="schema-{escape(name)}"><summary><span class="path">{escape(name)}</span></summary><div>'
        f"<p>{escape(schema.get('description', ''))}</p>{_schema_block(schema, document)}</div></details>"
    )


def _schema_block(schema: Json, document: Json) -> str:
    """A schema's fields as a table, and an example."""
    resolved = _resolve(schema, document)
    parts = []
    if "properties" in resolved:
        required = resolved.get("required", [])
        rows = []
        for name, each in resolved["properties"].items():
            need = "required" if name in required else "optional"
            rows.append((f"<code>{escape(name)}</code>", _type(each), f'<span class="dim">{need}</span>', _notes(each)))
        parts.append(_table(("Field", "Type", "", ""), rows))
    if not any(each.get("format") == "binary" for each in resolved.get("properties", {}).values()):
        parts.append(f"<pre>{escape(_pretty(_example(schema, document)))}</pre>")
    return "".join(parts)


def _parameter_row(parameter: Json) -> tuple[str, ...]:
    notes = [parameter.get("description", ""), "" if not parameter["required"] else "required"]
    text = "; ".join(filter(None, [*map(escape, notes), _notes(parameter["schema"])]))
    return (f"<code>{escape(parameter['name'])}</code>", escape(parameter["in"]), _type(parameter["schema"]), text)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _content(holder: Json) -> Json:
    schema: Json = next(iter(holder["content"].values()))["schema"]
    return schema


def _resolve(schema: Json, document: Json) -> Json:
    if "$ref" not in schema:
        return schema
    component: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return component


def _type(schema: Json) -> str:
    """A schema's type as HTML, with links to named ones."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(_compact(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type", "any")))


_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def _notes(schema: Json) -> str:
    notes: list[str] = []
    for each in (schema, *schema.get("anyOf", ())):  # of what may be null, the bounds are a level below
        notes += [each["description"]] if "description" in each else []
        notes += [text.format(each[key]) for key, text in _BOUNDS.items() if key in each]
    if schema.get("default") not in (None, "", []):
        notes.append(f"default {_compact(schema['default'])}")
    return escape("; ".join(notes))


def _example(schema: Json, document: Json, depth: int = 0, *, brief: bool = False) -> Any:
    """A value that the schema describes; `brief` leaves out what is optional and has no example of its own.

    Nesting ends where a schema would hold itself.
    """
    resolved = _resolve(schema, document)
    if "examples" in resolved:
        return resolved["examples"][0]
    if "anyOf" in resolved:
        return _example(resolved["anyOf"][0], document, depth + 1)
    if "enum" in resolved:
        return resolved["enum"][0]
    match resolved.get("type"):
        case "object" if depth < 6:
            required = resolved.get("required", [])
            return {
                name: _example(each, document, depth + 1)
                for name, each in resolved.get("properties", {}).items()
                if not brief or name in required or "examples" in each
            }
        case "array" if depth < 6:
            return [_example(resolved["items"], document, depth + 1)] if "items" in resolved else []
        case "integer" | "number":
            return resolved.get("default", resolved.get("minimum", 0))
        case "boolean":
            return resolved.get("default", True)
        case "string":
            return _EXAMPLES.get(resolved.get("format", ""), "string")
        case _:
            return None


_EXAMPLES = {
    "date-time": "2025-01-31T12:00:00.000000Z",
    "email": "ann@example.org",
    "uri": "https://example.org/picture.png",
}


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
