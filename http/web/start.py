"""The start page: which APIs there are, and where."""

from html import escape

from chinwag.http.api.mounts import Mounts
from chinwag.http.kit.links import Links
from chinwag.http.web.html import page, text


def start_page(mounts: Mounts, links: Links) -> bytes:
    """The list of what a server serves."""
    alone = mounts.alone is not None
    cards = []
    for front in mounts.fronts:
        root = links.own(mounts.prefix_at(front, links.host) or "/").rstrip("/")
        socket = "" if front.socket_path is None else f" · socket <code>{escape(root + front.socket_path)}</code>"
        cards.append(
            f'<section class="card"><h2>{escape(front.title)}</h2><p>{text(front.description)}</p>'
            f"<p><code>{escape(root + front.base or '/')}</code>{socket}</p>"
            f'<nav><a href="{escape(root)}/docs">{escape(front.title)} documentation</a>'
            f'<a href="{escape(root)}/openapi.json">OpenAPI document</a></nav></section>'
        )
    own_hosts = "" if alone else "<p>Each is also at its own paths under the host name <code>NAME.localhost</code>.</p>"
    return page(
        "Chinwag",
        "<header><h1>Chinwag</h1><p>A real-time chat engine. This server answers "
        f"{'this API' if alone else 'these APIs'}:</p></header><main>{''.join(cards)}{own_hosts}"
        f'<nav><a href="{escape(links.own("/healthz"))}">Health</a>'
        f'<a href="{escape(links.own("/metrics"))}">Metrics</a></nav></main>',
    )
