"""Whatever the bytes are: no answer is a 5xx, no socket dies of text, and the server lives on."""

import json
import random
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chinwag.http.fronts.chatterstack.routes import ROUTES
from tests.e2e.client import Api, Person, closing, join
from tests.e2e.hostile import handshake
from tests.e2e.listeners import half_close
from tests.e2e.processes import LIMIT_S, Server
from tests.examples import examples

quick = settings(
    max_examples=examples(300),
    database=None,
    derandomize=True,
    # The server is shared by all examples on purpose.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NAMES = (
    *(
        "username",
        "email",
        "password",
        "refresh_token",
        "user_id",
        "status",
        "name",
        "is_group",
        "member_ids",
        "creator_id",
    ),
    *(
        "description",
        "peer_user_id",
        "role",
        "content",
        "attachments",
        "url",
        "mime_type",
        "size_bytes",
        "event",
        "data",
    ),
    *("room_id", "client_id", "page", "limit", "q", "around_message_id", "since"),
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "0", "1", "ADMIN", "ONLINE", "a@example.org", "https://h/", "a/b", "send_message", "\0", "%00"]
    ),
    st.integers().map(str),
    st.sampled_from(["x", "\0", "é", "😀"]).map(lambda text: text * 5000),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(10**40), 10**40), st.floats(), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
PATH_TEXTS = st.one_of(
    st.integers(0, 2**54).map(str),
    st.sampled_from(["0", "-1", "x", "%00", "%ff", "%2f", "..", "%F0%9F%98%80", "1" * 5000, "+", "%"]),
)


PRINTABLE = "".join(map(chr, range(33, 127))).replace("#", "")
"""What stands in a query as it is, whether it should or not."""


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON of the right names and wrong values, JSON of any kind, and JSON that was damaged."""
    text = json.dumps(draw(OBJECTS | VALUES), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.booleans()):
        return text
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.binary(max_size=10)) + text[at + draw(st.integers(0, 3)) :]


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{server.url}/v1", timeout=LIMIT_S, **server.listener.http_options) as client:
        yield client


@pytest.fixture(scope="module")
def room(http: httpx2.Client, ann: Person) -> str:
    made = http.post("/rooms", json={"name": "fuzz", "is_group": True}, headers=ann.headers)
    return str(made.json()["id"])


def check(http: httpx2.Client, answer: httpx2.Response) -> None:
    assert answer.status_code < 500, (answer.request.method, answer.request.url, answer.request.content)
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]


@quick
@given(route=st.sampled_from([route for route in ROUTES if route.body is not None]), body=bodies(), own=st.booleans())
def test_no_body_makes_any_endpoint_fail(
    http: httpx2.Client, ann: Person, room: str, route: Any, body: bytes, own: bool
) -> None:
    path = route.path.format(user_id=ann.id, room_id=room if own else "17", message_id="1")
    if b'"user_id"' in body and path.endswith("logout"):  # or ann would be logged out by a lucky guess
        path = "/auth/refresh"
    check(http, http.request(route.method, path, content=body, headers=ann.headers))


@quick
@given(
    route=st.sampled_from(ROUTES),
    ids=st.tuples(PATH_TEXTS, PATH_TEXTS, PATH_TEXTS),
    query=st.lists(st.tuples(st.sampled_from(NAMES), PATH_TEXTS | TEXTS.map(lambda text: text[:200])), max_size=5),
)
def test_no_path_or_query_makes_any_endpoint_fail(
    http: httpx2.Client, ann: Person, route: Any, ids: tuple[str, str, str], query: list[tuple[str, str]]
) -> None:
    path = route.path.format(user_id=ids[0], room_id=ids[1], message_id=ids[2])
    raw = quote("&".join(f"{name}={value}" for name, value in query), safe=PRINTABLE, errors="surrogatepass")
    try:
        url = httpx2.URL(f"{http.base_url}{path.lstrip('/')}?{raw}")
    except httpx2.InvalidURL:  # a client that refuses to send it
        return
    check(http, http.request(route.method, url, content=b"{}", headers=ann.headers))


@quick
@given(query=TEXTS | st.text(alphabet="%_'\"\\*()- aé文ΣςİıßﬀK", max_size=12))
def test_no_text_makes_search_fail(http: httpx2.Client, ann: Person, room: str, query: str) -> None:
    for path in ("/messages/search", "/rooms"):
        for params in ({"q": query}, {"q": query, "room_id": room}):
            try:
                answer = http.get(path, params=params, headers=ann.headers)
            except httpx2.InvalidURL:
                continue
            check(http, answer)


FRAMES = st.one_of(
    st.text(max_size=50),
    bodies().map(lambda body: body.decode(errors="replace")),
    st.builds(
        lambda event, data: json.dumps({"event": event, "data": data}),
        st.sampled_from(["send_message", "typing_start", "typing_stop", "receive_message", "ping", ""]),
        OBJECTS | SCALARS,
    ),
)


@settings(quick, max_examples=examples(40))
@given(frames=st.lists(FRAMES, min_size=1, max_size=15))
def test_no_text_frame_ends_a_socket(server: Server, ann: Person, room: str, frames: list[str]) -> None:
    """Each one is answered or relayed, and after all of them the socket still works."""

    async def main() -> None:
        async with httpx2.AsyncClient(verify=False) as unused, Api(server, unused).socket(ann, room) as socket:
            for frame in frames:
                await socket.ws.send_message(frame)
            events = await socket.fence()
            assert {event["event"] for event in events} <= {"error", "receive_message"}

    trio.run(main)


def random_frames(chance: random.Random) -> bytes:
    """Frames with any opcode, flags and lengths, true or not; masked or not."""
    sent = b""
    for _ in range(chance.randrange(1, 8)):
        payload = chance.randbytes(chance.choice((0, 1, 5, 125, 126, 300)))
        first = chance.choice((0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, chance.randrange(256)))
        length = chance.choice((len(payload), len(payload), len(payload), chance.randrange(128)))
        masked = 0x80 if chance.random() < 0.9 else 0
        if length < 126:
            head = bytes((first, masked | length))
        elif length == 126 or chance.random() < 0.8:
            head = bytes((first, masked | 126)) + len(payload).to_bytes(2, "big")
        else:
            head = bytes((first, masked | 127)) + chance.choice((len(payload), chance.getrandbits(64))).to_bytes(
                8, "big"
            )
        sent += head + (bytes(4) if masked else b"") + payload
    return sent


@pytest.mark.parametrize("seed", range(4))
async def test_no_bytes_after_the_handshake_hurt_the_server(api: Api, ann: Person, room: str, seed: int) -> None:
    """The server ends each connection by itself once the client has nothing more to say."""
    chance = random.Random(seed)

    async def one(sent: bytes, *, at_once: bool) -> None:
        async with closing(await api.server.connect()) as stream:
            try:
                await stream.send_all(handshake(ann, room) + (sent if at_once else b""))
                received = await stream.receive_some()
                assert received.startswith(b"HTTP/1.1 101 "), received
                if not at_once:
                    await stream.send_all(sent)
                await half_close(stream)
                async for data in stream:
                    received += data
            except trio.BrokenResourceError:
                return  # it hung up on us in the middle: that is an answer, too

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for number in range(40):
                sent = random_frames(chance) if number % 4 else chance.randbytes(chance.randrange(1, 2000))
                nursery.start_soon(partial(one, sent, at_once=bool(number % 2)))
    assert await api.healthy()


@pytest.mark.parametrize("seed", range(3))
async def test_no_bytes_instead_of_a_request_hurt_the_server(api: Api, seed: int) -> None:
    chance = random.Random(seed)
    pieces = [
        b"GET ",
        b"POST ",
        b"/v1/rooms ",
        b"HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"Host: h",
        b"Content-Length: ",
        b": ",
    ]
    pieces += [
        b"Transfer-Encoding: chunked",
        b"9" * 30,
        b"-1",
        b"{}",
        b"\0",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
    ]

    async def one(sent: bytes) -> None:
        async with closing(await api.server.connect()) as stream:
            received = b""
            try:
                await stream.send_all(sent)
                await half_close(stream)
                async for data in stream:
                    received += data
            except trio.BrokenResourceError:
                pass
            assert not received.startswith(b"HTTP/1.1 5") or received.startswith(b"HTTP/1.1 501"), (sent, received)

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(one, b"".join(chance.choices(pieces, k=chance.randrange(1, 20))))
    assert await api.healthy()


def test_ann_is_still_there(server: Server, http: httpx2.Client, ann: Person, room: str) -> None:
    assert http.get(f"/rooms/{room}", headers=ann.headers).status_code == 200
    assert join(server, "newcomer").id
