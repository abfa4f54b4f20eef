"""The routes that belong to the server and to no front's API: health, metrics, the start page, the documentation."""

from collections.abc import Sequence

import msgspec
import trio

from chinwag.engine.engine import Engine
from chinwag.engine.errors import EngineError
from chinwag.http.docs_page import docs_page, start_page
from chinwag.http.messages import Header, HttpRequest, HttpResponse
from chinwag.http.metrics import CONTENT_TYPE, Metrics, StatsSource
from chinwag.http.mounts import Location, Mount, Mounts
from chinwag.http.openapi import openapi_document
from chinwag.http.refusals import MethodNotAllowed

SYSTEM_PATHS = ("/", "/healthz", "/metrics")
"""Where the server itself answers, on any host, when no front has the path."""
HEALTH_TIMEOUT_S = 2
"""A store that has not answered in this time is down as far as a load balancer is concerned."""

_HTML: list[Header] = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-cache"),
    # The pages carry their own style and script and talk to this server alone.
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]


class SystemRoutes:
    """Answers what no front's table has. All are GET, none needs a token, none is on a hot path."""

    def __init__(self, engine: Engine, mounts: Mounts, stats: Sequence[StatsSource]) -> None:
        self._engine = engine
        self._mounts = mounts
        self._metrics = Metrics(stats)
        self._built: dict[tuple[str, str, str], bytes] = {}

    async def answer(self, request: HttpRequest, where: Location) -> HttpResponse | None:
        """The answer, or None when the path is none of these. Raises MethodNotAllowed."""
        page = self._page(where)
        if page is None and request.path not in SYSTEM_PATHS:
            return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("GET, HEAD, OPTIONS")
        if page is not None:
            return page
        if request.path == "/healthz":
            return await self._health()
        if request.path == "/metrics":
            headers = [("content-type", CONTENT_TYPE), ("cache-control", "no-store")]
            return HttpResponse(status=200, headers=headers, body=self._metrics.text())
        return self._html(start_page(self._mounts.fronts, alone=self._mounts.alone is not None))

    async def _health(self) -> HttpResponse:
        healthy = False
        with trio.move_on_after(HEALTH_TIMEOUT_S):
            try:
                await self._engine.check()
                healthy = True
            except EngineError:
                healthy = False
        body = msgspec.json.encode({"status": "ok" if healthy else "unavailable"})
        headers = [("content-type", "application/json"), ("cache-control", "no-store")]
        return HttpResponse(status=200 if healthy else 503, headers=headers, body=body)

    def _page(self, where: Location) -> HttpResponse | None:
        """A front's OpenAPI document or page of documentation; `/NAME` itself is the page, too."""
        if where.mount is None:
            return None
        if where.path == "/openapi.json":
            headers = [("content-type", "application/json"), ("cache-control", "no-cache")]
            return HttpResponse(status=200, headers=headers, body=self._once(where.mount, "openapi"))
        if where.path == "/docs" or (where.path == "/" and where.mount.prefix):
            return self._html(self._once(where.mount, "docs"))
        return None

    def _once(self, mount: Mount, what: str) -> bytes:
        """Built on the first request for it, then kept: a front does not change."""
        key = (mount.front.name, mount.prefix, what)
        if key not in self._built:
            build = openapi_document if what == "openapi" else docs_page
            self._built[key] = build(mount.front, prefix=mount.prefix)
        return self._built[key]

    def _html(self, page: bytes) -> HttpResponse:
        return HttpResponse(status=200, headers=[*_HTML], body=page)
