"""What a handler gets and gives back. A handler is `async def handler(request) -> Reply`, and knows nothing else."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from chinwag.engine.accounts.log_ins import LogIn
from chinwag.engine.engine import Engine
from chinwag.engine.model.errors import Invalid, NotFound, Rule
from chinwag.engine.model.ids import FileId, InvitationId, MessageId, RoomId, UserId
from chinwag.http.api.rate_limits import address_key
from chinwag.http.api.values import Header, HttpRequest, HttpResponse
from chinwag.http.kit.links import Links
from chinwag.http.security.tokens import AccessTokens, Claims

Body = TypeVar("Body")
Query = TypeVar("Query")
AnId = TypeVar("AnId", bound=int)

_NOUNS: dict[object, str] = {
    RoomId: "room",
    UserId: "user",
    MessageId: "message",
    FileId: "file",
    InvitationId: "invitation",
}
"""What ids are of, in the engine's errors. Every kind that a front has in a path or body is here."""


class IdCodec(Protocol):
    """Turns an id into a front's wire form and back. Pure and reversible.

    `json_schema` is what JSON Schema can say of the wire form, beside that it is a string. `malformed` says what is
    wrong with a text that looks like no id.
    """

    malformed: str

    @property
    def json_schema(self) -> Mapping[str, object]:
        """Keywords and their values."""
        ...

    def encode(self, any_id: int) -> str:
        """The wire form."""
        ...

    def decode(self, text: str) -> int | None:
        """The id, or None when `text` is not the wire form of any."""
        ...

    def well_formed(self, text: str) -> bool:
        """Whether `text` looks like an id to the front's clients, be it one or not."""
        ...


def read_id(ids: IdCodec, field: str, text: str, kind: Callable[[int], AnId]) -> AnId:
    """The id that a client sent in `field`.

    One that does not decode is `NotFound` when it is well formed in the front's words, else `Invalid`.
    """
    number = ids.decode(text)
    if number is None:
        raise no_such_id(ids, field, text, kind)
    return kind(number)


def no_such_id(ids: IdCodec, field: str, text: str, kind: Callable[[int], int]) -> NotFound | Invalid:
    """What to say of a text in `field` that `ids` does not decode: well formed it names nothing, else it is wrong."""
    if ids.well_formed(text):
        return NotFound(_NOUNS[kind])
    return Invalid(field, ids.malformed, rule=Rule.FORMAT)


class Reply(msgspec.Struct, frozen=True):
    """A handler's answer: a body that msgspec can encode as JSON, None for no body. The status is the route's.

    With `raw`, that is the answer as it is: a file, for one; an event stream, for another.
    """

    body: object | None = None
    headers: tuple[Header, ...] = ()
    raw: HttpResponse | None = None


class Request(Generic[Body, Query]):
    """One request to one endpoint, checked and decoded: `Request[PostMessage, None]` has a body and no query."""

    __slots__ = (
        *("_claims", "_path", "_prefix", "_request", "_root", "_stream"),
        *("body", "engine", "headers", "ids", "links", "query", "tokens"),
    )

    def __init__(
        self,
        *,
        engine: Engine,
        tokens: AccessTokens,
        ids: IdCodec,
        claims: Claims | None,
        path: Mapping[str, str],
        body: Body,
        query: Query,
        request: HttpRequest,
        links: Links,
        prefix: str,
        root: str | None = None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        """`claims` is None on a route that needs no token, `path` the values of the template's names. `links` lead to
        what is elsewhere on the server. `root` is where the front is for everybody ("https://example.org/NAME"); None:
        where the request came to, below `prefix`."""
        self.engine = engine
        self.tokens = tokens
        self.ids = ids
        self.body = body
        self.query = query
        self.headers = request.headers
        self.links = links
        self._claims = claims
        self._path = path
        self._stream = stream
        self._request = request
        self._prefix = prefix
        self._root = root

    @property
    def claims(self) -> Claims:
        """Who asks. A handler of a route without `auth` must not read it."""
        if self._claims is None:
            raise AssertionError("this route needs no token, so nobody is known to be asking")
        return self._claims

    @property
    def source(self) -> str:
        """Where the request comes from, as the engine counts it."""
        return address_key(self._request.client)

    @property
    def expires_at(self) -> float:
        """When the caller's token ends, on Trio's clock: so long a connection may last that it opens."""
        return self.tokens.deadline(self.claims)

    @property
    def user(self) -> UserId:
        """The user who asks."""
        return self.claims.user_id

    def access_token(self, opened: LogIn) -> str:
        """A new access token for a log-in."""
        return self.tokens.issue(opened.user.id, opened.family_id, ends_us=opened.ends_us)

    @property
    def stream(self) -> AsyncIterator[bytes]:
        """The body's pieces, as they come. A handler of a route without `streams` must not read it.

        Iterating raises `BodyTooLarge`, `BodyTimeout`, `IncompleteBody` and `MalformedRequest`: let them pass.
        """
        if self._stream is None:
            raise AssertionError("this route takes no stream")
        return self._stream

    def url(self, path: str) -> str:
        """The absolute URL of a path of this front: by the server's public URL, else the address the caller used."""
        root = self._request.origin + self._prefix if self._root is None else self._root
        return root + path

    def path_text(self, name: str) -> str:
        """The text at `{name}`, decoded."""
        return self._path[name]

    def path_id(self, name: str, kind: Callable[[int], AnId]) -> AnId:
        """The id at `{name}`: `path_id("room_id", RoomId)`. One that does not decode names nothing: `NotFound`."""
        number = self.ids.decode(self._path[name])
        if number is None:
            raise NotFound(_NOUNS[kind])
        return kind(number)

    def body_id(self, field: str, text: str, kind: Callable[[int], AnId]) -> AnId:
        """The id in the body or query field `field`: see `read_id`."""
        return read_id(self.ids, field, text, kind)
