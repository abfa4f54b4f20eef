"""Route tables, and finding a path in one.

A path template is made of literal segments and `{name}` segments. A literal wins over a name, whatever the order in the
table. A path without names is found by one dictionary look-up, any other by walking a tree of segments.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.ids import FamilyId, UserId
from chinwag.http.api.decoding import BodyReader, QueryReader
from chinwag.http.api.requests import IdCodec, Reply, Request
from chinwag.http.security.tokens import AccessTokens

Handler = Callable[[Request[Any, Any]], Awaitable[Reply]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


class Asking(NamedTuple):
    """A request before anything of it was looked at. `path` has the values of the template's names, `query` is
    undecoded."""

    tokens: AccessTokens
    ids: IdCodec
    path: Mapping[str, str]
    query: str
    headers: Mapping[str, str]


class Viewer(NamedTuple):
    """Whom a link with a good signature names, and the log-in that it was made for, where it says so."""

    user_id: UserId
    family_id: FamilyId | None = None


AskedBy = Callable[[Asking], Viewer | str | None]
"""Whom a signed link names, or the token that a request has in its place; None for neither. Does not raise."""


@dataclass(frozen=True, slots=True)
class HeaderParameter:
    """A header that an endpoint reads, or sends, for its documentation. `json_schema` is what its text is like."""

    name: str
    description: str
    json_schema: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FormPart:
    """A part of a multipart/form-data body that an endpoint reads, for its documentation."""

    name: str
    description: str
    is_file: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: what it takes, what it answers, and who does the work. A front's API is a table of these.

    `path` is below the front's base. `body` and `query` are structs, None where the endpoint takes none. `status` is
    that of success, `response` the type of its body (None: no body). `errors` are the refusals this endpoint's own
    rules cause; what any endpoint can answer is added by the documentation. `auth`: an access token is needed.

    `rate_group` names the one of the front's `rate_groups` that its requests count for as well. `asked_by` is for
    routes that need no token and know by other means who asks: their requests count for that user. What is `free`
    counts for nobody unless it is refused: what anybody may see who has the link.

    `streams` is for bodies that are not JSON, and large: the handler reads them from `Request.stream` while they come,
    up to so many bytes (413 beyond). Token and path are checked before the first byte is read. `form` are the parts of
    such a body when it is a form. `media_type` is what the answer is; a handler that answers with no JSON sets
    `Reply.raw`. With `EVENT_STREAM` its answer takes over the connection (`kit.event_stream`).
    """

    method: Method
    path: str
    handler: Handler
    _: KW_ONLY
    body: type | None = None
    query: type | None = None
    status: int = 200
    response: Any = None
    errors: tuple[type[EngineError], ...] = ()
    auth: bool = True
    summary: str = ""
    description: str = ""
    headers: tuple[HeaderParameter, ...] = ()
    response_headers: tuple[HeaderParameter, ...] = ()
    rate_group: str | None = None
    asked_by: AskedBy | None = None
    free: bool = False
    streams: int | None = None
    form: tuple[FormPart, ...] = ()
    media_type: str = JSON

    @property
    def is_file(self) -> bool:
        """Whether the answer is a file, as `file_transfer` sends it: in parts, too, and not twice."""
        return self.media_type not in (JSON, EVENT_STREAM)

    def __post_init__(self) -> None:
        if self.streams is not None and self.media_type == EVENT_STREAM:
            raise ValueError("an answer that takes over the connection cannot follow a body that is read as it comes")


class Endpoint:
    """A route made ready to be called: the names in its path, and readers for what it takes."""

    __slots__ = ("names", "read_body", "read_query", "route")

    def __init__(self, route: Route, names: tuple[str, ...]) -> None:
        self.route = route
        self.names = names
        self.read_body: BodyReader[Any] | None = None if route.body is None else BodyReader(route.body)
        self.read_query: QueryReader[Any] | None = None if route.query is None else QueryReader(route.query)

    def named(self, found: "Found") -> dict[str, str]:
        """What stood in the path, by the template's names."""
        return dict(zip(self.names, found.values, strict=True))


class Resource:
    """A path and the methods it answers to. HEAD is answered wherever GET is."""

    __slots__ = ("allow", "methods")

    def __init__(self) -> None:
        self.methods: dict[str, Endpoint] = {}
        self.allow = "OPTIONS"

    def add(self, endpoint: Endpoint) -> None:
        """Raises ValueError when the table has this method and path already."""
        method = endpoint.route.method
        if method in self.methods:
            raise ValueError(f"two routes for {method} {endpoint.route.path}")
        self.methods[method] = endpoint
        if method == "GET":
            self.methods["HEAD"] = endpoint
        self.allow = ", ".join([*sorted(self.methods), "OPTIONS"])


class Found(NamedTuple):
    """A resource, and what stood in the path where its template has names, in order."""

    resource: Resource
    values: tuple[str, ...]


class Router:
    """Finds the resource of a path. Immutable after it was built."""

    def __init__(self, routes: Iterable[Route], *, base: str = "") -> None:
        """`base` comes before every route's path: "" or "/v1"."""
        self._static: dict[str, Found] = {}
        self._tree = _Node()
        self._depth = 0
        for route in routes:
            self._add(route, base + route.path)

    def find(self, path: str) -> Found | None:
        """The resource at `path` (still percent-encoded), None when there is none."""
        found = self._static.get(path)
        if found is not None:
            return found
        if path.count("/") > self._depth:
            return None
        if "%" in path or not path.isascii():
            try:
                segments = [_decoded(segment) for segment in path.split("/")[1:]]
            except UnicodeError:
                return None
        else:
            segments = path.split("/")[1:]
        return self._tree.find(segments, 0)

    def _add(self, route: Route, path: str) -> None:
        if not path.startswith("/"):
            raise ValueError(f"the path {path!r} does not start with a slash")
        segments = path.split("/")[1:]
        names = path_names(path)
        if len(set(names)) < len(names):
            raise ValueError(f"a name is twice in the path {path!r}")
        self._depth = max(self._depth, len(segments))
        node = self._tree
        for segment in segments:
            node = node.below(segment)
        if node.resource is None:
            node.resource = Resource()
        node.resource.add(Endpoint(route, names))
        if not names:
            self._static[path] = Found(node.resource, ())


class _Node:
    """One segment of the tree: literal children by their text, and at most one child for any text."""

    __slots__ = ("any", "literal", "resource")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.resource: Resource | None = None

    def below(self, segment: str) -> "_Node":
        if not _is_name(segment):
            return self.literal.setdefault(segment, _Node())
        if self.any is None:
            self.any = _Node()
        return self.any

    def find(self, segments: list[str], at: int, values: tuple[str, ...] = ()) -> Found | None:
        """Depth first, literals before names; goes no deeper than the longest template."""
        if at == len(segments):
            return None if self.resource is None else Found(self.resource, values)
        segment = segments[at]
        child = self.literal.get(segment)
        if child is not None:
            found = child.find(segments, at + 1, values)
            if found is not None:
                return found
        if self.any is not None and segment:
            return self.any.find(segments, at + 1, (*values, segment))
        return None


def path_names(template: str) -> tuple[str, ...]:
    """The names in a path template, in order: `/rooms/{room_id}` has `room_id`."""
    return tuple(segment[1:-1] for segment in template.split("/") if _is_name(segment))


def _is_name(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _decoded(segment: str) -> str:
    """The text of a segment. Raises UnicodeError when it is not valid UTF-8, or holds NUL."""
    if not segment.isascii():
        segment = segment.encode("latin-1").decode()
    text = unquote(segment, errors="strict")
    if "\0" in text:
        raise UnicodeError("NUL is no text")
    return text
