"""A front's page: every endpoint with a form to try it, its socket, its schemas."""

from html import escape

from chinwag.http.api.front import Front
from chinwag.http.api.openapi import FORM, Json, describe
from chinwag.http.web.html import DOCS_SCRIPT, page, paragraphs, table, text
from chinwag.http.web.schemas import component, content_schema, example, notes, pretty, schema_block, type_of


def docs_page(front: Front, *, root: str = "") -> bytes:
    """The page. `root` comes before the front's own paths: its prefix, or with a public URL that and the prefix."""
    document = describe(front, root=root)
    sections: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            block = _endpoint(front.base, path, method.upper(), operation, document)
            sections.setdefault(operation["tags"][0], []).append(block)
    titles = {tag: f"api-{tag}" for tag in sections}
    body = []
    for tag, blocks in sections.items():
        body += [f'<h2 id="{escape(titles[tag])}">{escape(tag.capitalize())}</h2>', *blocks]
    if "x-websocket" in document:
        titles["socket"] = "socket"
        body.append(_socket(document["x-websocket"]))
    titles["schemas"] = "schemas"
    body.append('<h2 id="schemas">Schemas</h2>')
    body += [component(name, schema, document) for name, schema in document["components"]["schemas"].items()]
    contents = "".join(f'<a href="#{escape(at)}">{escape(tag.capitalize())}</a>' for tag, at in titles.items())
    head = (
        f'<a class="skip" href="#{escape(next(iter(titles.values())))}">Skip to the endpoints</a>'
        f"<header><h1>{escape(front.title)}</h1>{paragraphs(front.description)}"
        f'<p class="dim">Base <code>{escape(document["servers"][0]["url"])}</code> · '
        f'<a href="{escape(root)}/openapi.json">OpenAPI document</a></p>'
        f'<nav aria-label="Contents">{contents}</nav></header>'
        '<div class="token"><div class="column"><label>Access token (a log-in below fills it in)'
        '<input id="token" autocomplete="off" spellcheck="false"></label></div></div>'
    )
    return page(front.title, f"{head}<main>{''.join(body)}</main>", script=DOCS_SCRIPT)


def _endpoint(base: str, path: str, method: str, operation: Json, document: Json) -> str:
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody")
    parts = [
        f'<details id="{escape(operation["operationId"])}"><summary><span class="method {method}">{method}</span>',
        f'<span class="path">{escape(path)}</span><span class="dim">{text(operation["summary"])}</span></summary>',
        f"<div>{paragraphs(operation.get('description', ''))}",
    ]
    if "security" not in operation:
        parts.append('<p class="dim">Needs no token.</p>')
    if parameters:
        parts += ["<h3>Parameters</h3>", table(("Name", "In", "Type", ""), map(_parameter_row, parameters))]
    if body is not None:
        parts += ["<h3>Body</h3>", schema_block(content_schema(body), document)]
    parts.append("<h3>Answers</h3>")
    rows = []
    for status, response in operation["responses"].items():
        kind = type_of(content_schema(response)) if "content" in response else '<span class="dim">no body</span>'
        rows.append((f"<code>{escape(status)}</code>", text(response["description"]), kind))
    parts.append(table(("Status", "", "Body"), rows))
    parts.append(_form(base, path, method, operation, document))
    parts.append("</div></details>")
    return "".join(parts)


def _parameter_row(parameter: Json) -> tuple[str, ...]:
    told = ["required" if parameter["required"] else "", parameter.get("description", "")]
    words = "; ".join(filter(None, [*map(text, told), notes(parameter["schema"])]))
    return (f"<code>{escape(parameter['name'])}</code>", escape(parameter["in"]), type_of(parameter["schema"]), words)


def _form(base: str, path: str, method: str, operation: Json, document: Json) -> str:
    auth = "1" if "security" in operation else ""
    parts = [
        "<h3>Try it</h3>",
        f'<form data-base="{escape(base)}" data-path="{escape(path)}" data-method="{method}" data-auth="{auth}">',
    ]
    for parameter in operation.get("parameters", []):
        name = escape(parameter["name"])
        required = " required" if parameter["required"] else ""
        place = escape(parameter["in"])
        parts.append(f'<label>{name}<input name="{name}" data-in="{place}" autocomplete="off"{required}></label>')
    if "requestBody" in operation and FORM in operation["requestBody"]["content"]:
        for name, each in content_schema(operation["requestBody"])["properties"].items():
            kind = "file" if each.get("format") == "binary" else "text"
            parts.append(f'<label>{escape(name)}<input type="{kind}" name="{escape(name)}" data-in="form"></label>')
    elif "requestBody" in operation:
        sample = example(content_schema(operation["requestBody"]), document, brief=True)
        filled = pretty(sample)
        rows = filled.count("\n") + 2
        parts.append(f'<label>Body<textarea rows="{rows}" spellcheck="false">{escape(filled)}</textarea></label>')
    parts.append('<button>Send</button><output aria-live="polite"></output></form>')
    return "".join(parts)


def _socket(socket: Json) -> str:
    in_query = [f"<code>?{escape(name)}=</code>" for name in socket["tokenParameters"]]
    where = " or ".join(["an <code>Authorization: Bearer</code> header", *in_query])
    rows = []
    for event in socket["events"]:
        direction = "client → server" if event["direction"] == "in" else "server → client"
        name = f'<code>{escape(event["name"])}</code><br><span class="dim">{direction}</span>'
        rows.append((name, f"{type_of(event['schema'])}<br>{text(event['description'])}"))
    return (
        f'<h2 id="socket">Socket</h2><p>A WebSocket at <code>{escape(socket["path"])}</code>, '
        f"with the access token in {where}.</p>{table(('Event', 'Data'), rows)}"
    )
