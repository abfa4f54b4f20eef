"""The routes that belong to the server and to no front's API: health, metrics, the start page, the documentation."""

import hmac
from collections.abc import Mapping, Sequence

import msgspec
import trio

from chinwag.engine.engine import Engine
from chinwag.engine.model.errors import EngineError, Unauthenticated
from chinwag.http.api.mounts import PAGES, SYSTEM_PATHS, Location, Mount, Mounts
from chinwag.http.api.openapi import openapi_document
from chinwag.http.api.refusals import MethodNotAllowed
from chinwag.http.api.values import Header, HttpRequest, HttpResponse
from chinwag.http.kit.links import Links
from chinwag.http.operations.metrics import CONTENT_TYPE, Metrics, StatsSource
from chinwag.http.security.tokens import find_token
from chinwag.http.web.docs import docs_page
from chinwag.http.web.html import PAGE_HEADERS
from chinwag.http.web.start import start_page

HEALTH_TIMEOUT_S = 2
"""A store that has not answered in this time is down as far as a load balancer is concerned."""

_HTML: tuple[Header, ...] = (("content-type", "text/html; charset=utf-8"), ("cache-control", "no-cache"))


class SystemRoutes:
    """Answers what no front's table has. All are GET, none needs a user's token, none is on a hot path."""

    def __init__(
        self,
        engine: Engine,
        mounts: Mounts,
        stats: Sequence[StatsSource],
        *,
        links: Links,
        roots: Mapping[str, str],
        metrics_token: str | None = None,
    ) -> None:
        """`roots`: by name, where a front is for everybody; one that is not in it is where it was asked for."""
        self._engine = engine
        self._mounts = mounts
        self._metrics = Metrics(stats)
        self._links = links
        self._roots = roots
        self._metrics_token = metrics_token
        self._built: dict[tuple[str, str, str], bytes] = {}

    def owns(self, request: HttpRequest, where: Location) -> bool:
        """Whether a request is for one of these, where no front has its path."""
        if request.path in SYSTEM_PATHS:
            return True
        return where.mount is not None and (where.path in PAGES or (where.path == "/" and where.mount.prefix != ""))

    async def answer(self, request: HttpRequest, where: Location) -> HttpResponse | None:
        """The answer, or None when the path is none of these. Raises MethodNotAllowed and Unauthenticated."""
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
            return self._show_metrics(request)
        return _html(start_page(self._mounts, self._links))

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

    def _show_metrics(self, request: HttpRequest) -> HttpResponse:
        if self._metrics_token is not None:
            given = find_token(request.headers) or ""
            # In a time that does not tell how much of it was right.
            if not hmac.compare_digest(given.encode(), self._metrics_token.encode()):
                raise Unauthenticated("the token for the metrics is needed")
        headers = [("content-type", CONTENT_TYPE), ("cache-control", "no-store")]
        return HttpResponse(status=200, headers=headers, body=self._metrics.text())

    def _page(self, where: Location) -> HttpResponse | None:
        """A front's OpenAPI document or page of documentation; `/NAME` itself is the page, too."""
        if where.mount is None:
            return None
        if where.path == "/openapi.json":
            headers = [("content-type", "application/json"), ("cache-control", "no-cache")]
            return HttpResponse(status=200, headers=headers, body=self._once(where.mount, "openapi"))
        if where.path == "/docs" or (where.path == "/" and where.mount.prefix):
            return _html(self._once(where.mount, "docs"))
        return None

    def _once(self, mount: Mount, what: str) -> bytes:
        """Built on the first request for it, then kept: a front does not change."""
        key = (mount.front.name, mount.prefix, what)
        if key not in self._built:
            build = openapi_document if what == "openapi" else docs_page
            self._built[key] = build(mount.front, root=self._roots.get(mount.front.name, mount.prefix))
        return self._built[key]


def _html(page: bytes) -> HttpResponse:
    return HttpResponse(status=200, headers=[*_HTML], fixed=PAGE_HEADERS, body=page)
