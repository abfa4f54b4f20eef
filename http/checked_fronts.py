"""Whether what another package calls a front can be served beside the others.

It is somebody else's program, and no type checker need have seen it. What would fail later, at the start of the server
or in the page of all fronts, is found here instead, where it costs nothing but that front.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Final

from chinwag.http.api.front import Front, SocketEvent
from chinwag.http.api.listeners import FrontListener
from chinwag.http.api.mounts import PAGES, SYSTEM_PATHS
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.api.routing import Route, Router
from chinwag.http.kit.links import Links

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
"""It is a prefix of paths, a part of a host name, and stands before a "=" in options."""
_MOST_PORT: Final = 65_535
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "title": (str,),
    "description": (str,),
    "base": (str,),
    "routes": (tuple,),
    "encode_error": (Callable,),  # type: ignore[dict-item]
    "error_status": (Callable,),  # type: ignore[dict-item]
    "socket_path": (str, NoneType),
    "socket_token_parameters": (tuple,),
    "socket_events": (tuple,),
    "other_base": (str, NoneType),
    "rate_limit": (RateLimit, NoneType),
    "rate_groups": (Mapping,),
    "listeners": (tuple,),
}
_ITEMS: Final[Mapping[str, type]] = {"routes": Route, "socket_events": SocketEvent, "listeners": FrontListener}


class UnusableFront(Exception):
    """A front cannot be served. The message says which and why, in one line."""


def one_line(error: BaseException) -> str:
    """What somebody else's program raised, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def checked(front: object, name: str, others: Sequence[Front]) -> Front:
    """What was registered by a name, once it is known to be a front that can stand beside the others.

    Raises `UnusableFront`.
    """
    if not isinstance(front, Front):
        raise UnusableFront(f"what is registered is no Front, but {type(front).__name__}")
    if front.name != name:
        raise UnusableFront(f"it is registered by another name than its own, which is {front.name!r}")
    if _NAME.fullmatch(front.name) is None:
        raise UnusableFront("a name is of small letters, digits and hyphens, a letter first")
    if f"/{front.name}" in (*SYSTEM_PATHS, *PAGES):
        raise UnusableFront(f"the server itself answers at /{front.name}")
    _check_fields(front)
    _check_listeners(front, others)
    _attempt("its routes cannot be", lambda: _check_routes(front))
    _attempt("its socket cannot be", lambda: _check_socket(front))
    if front.speaks_http:
        _attempt("its documentation cannot be made", lambda: _describe(front))
    return front


def _attempt(failed: str, check: Callable[[], None]) -> None:
    """Whatever a table holds may make it raise anything."""
    try:
        check()
    except UnusableFront:
        raise
    except Exception as error:
        raise UnusableFront(f"{failed}: {one_line(error)}") from error


def _check_fields(front: Front) -> None:
    for field, kinds in _FIELDS.items():
        value = getattr(front, field)
        if not isinstance(value, kinds):
            raise UnusableFront(f"its {field} cannot be of the type {type(value).__name__}")
    for field, kind in _ITEMS.items():
        for item in getattr(front, field):
            if not isinstance(item, kind):
                raise UnusableFront(f"its {field} hold what is no {kind.__name__}, but {type(item).__name__}")


def _check_routes(front: Front) -> None:
    router = Router(front.routes, base=front.base)
    for route in front.routes:
        if not callable(route.handler):
            raise UnusableFront(f"the handler of {route.path} cannot be called")
        if route.rate_group is not None and route.rate_group not in front.rate_groups:
            raise UnusableFront(f"there is no rate group {route.rate_group!r}")
    if front.socket_path is not None and router.find(front.socket_path) is not None:
        raise UnusableFront(f"a route has the path of its socket, {front.socket_path}")


def _check_socket(front: Front) -> None:
    if front.socket_path is not None and not front.socket_path.startswith("/"):
        raise UnusableFront(f"the path of its socket, {front.socket_path!r}, does not start with a slash")
    if front.socket is None:
        return
    if front.socket_path is None:
        raise UnusableFront("its socket has no path")
    endpoint = front.socket(Links())
    for method in ("admit", "greeting", "receive"):
        if not callable(getattr(endpoint, method, None)):
            raise UnusableFront(f"its socket is no SocketEndpoint: {type(endpoint).__name__} has no {method}")
    if not callable(getattr(endpoint.dialect, "encode", None)):
        raise UnusableFront(f"its socket is no SocketEndpoint: {type(endpoint).__name__} has no dialect")


def _check_listeners(front: Front, others: Sequence[Front]) -> None:
    for listener in front.listeners:
        if not isinstance(listener.name, str) or _NAME.fullmatch(listener.name) is None:
            raise UnusableFront(f"{listener.name!r} is no name for a listener")
        if type(listener.port) is not int or not 0 <= listener.port <= _MOST_PORT:
            raise UnusableFront(f"{listener.port!r} is no port for its listener {listener.name}")
        if not callable(listener.serve):
            raise UnusableFront(f"nothing serves its listener {listener.name}")
    names = [listener.name for each in (*others, front) for listener in each.listeners]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UnusableFront(f"there is a listener named {twice[0]!r} already")


def _describe(front: Front) -> None:
    from chinwag.http.api.openapi import openapi_document  # what few servers need
    from chinwag.http.web.docs import docs_page

    openapi_document(front)
    docs_page(front)
