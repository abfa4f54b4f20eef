"""Whatever is sent to the chatrooms API: nothing makes it fail, and every error has the documented shape."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.http.fronts.chatrooms.routes import ROUTES
from tests.e2e.chatrooms import Chatrooms, Guest, chatrooms_of, code_of
from tests.e2e.processes import LIMIT_S, Server
from tests.e2e.test_fuzz import PATH_TEXTS, PRINTABLE, SCALARS, TEXTS, quick
from tests.examples import examples

pytestmark = pytest.mark.listeners("lane", reason="JSON is judged behind the listener")
NAMES = (
    *("username", "email", "password", "display_name", "public_key", "avatar_url", "refresh_token", "token", "user"),
    *("name", "description", "is_private", "max_members", "auto_summary_enabled", "summary_threshold", "key_custody"),
    *("max_uses", "expires_in_hours", "role", "version", "sealed", "above", "page", "limit", "search", "before"),
    *("content", "encrypted_data", "iv", "key_version", "message_type", "reply_to", "client_id", "attachments"),
    *("emoji", "query", "user_id", "date_from", "date_to", "summary_type", "custom_prompt", "after", "expires"),
    *("event", "data", "chatroom_id", "message_id", "since", "signature"),
)
MOMENTS = st.sampled_from(
    ["2024-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "2024-02-30T00:00:00Z"]
)
RIGHT = st.sampled_from(
    ["text", "image", "system", "owner", "member", "client", "server", "tea", "ROOM", "MESSAGE", "ME"]
)
PLAIN = SCALARS | MOMENTS | RIGHT | st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, 2**53, 2**63, 2**64])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)
CONTENTS = st.fixed_dictionaries({"encrypted_data": TEXTS}, optional={"iv": TEXTS, "key_version": PLAIN})
DATA = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
LIKELY = st.fixed_dictionaries(
    {"chatroom_id": st.sampled_from(["ROOM", "ROOM", "x"])},
    optional={
        "content": CONTENTS,
        "message_id": RIGHT,
        "emoji": TEXTS,
        "reply_to": RIGHT | st.none(),
        "client_id": TEXTS,
        "attachments": st.lists(RIGHT, max_size=3),
        "message_type": RIGHT,
    },
)
UNDOING = ("/auth/logout", "/chatrooms/{chatroom_id}/leave")
"""What would end the test's own log-in or membership."""
STANDING = [route for route in ROUTES if route.path not in UNDOING and not route.streams]


class Scene:
    """Somebody in a chatroom with a message in it."""

    def __init__(self, server: Server, guest: Guest, room: str, message: str) -> None:
        self.server = server
        self.guest = guest
        self.room = room
        self.message = message

    def filled(self, text: str) -> str:
        """A text in which what is there is named."""
        return text.replace("ROOM", self.room).replace("MESSAGE", self.message).replace('"ME"', f'"{self.guest.id}"')


@pytest.fixture(scope="module", params=["client", "server"])
def scene(every_front: Server, request: pytest.FixtureRequest) -> Scene:
    async def make() -> Scene:
        async with chatrooms_of(every_front) as chatrooms:
            guest = await chatrooms.guest("guest")
            room = await chatrooms.room(guest, key_custody=request.param)
            message = await chatrooms.post(guest, room, "hello")
            return Scene(every_front, guest, room, message["id"])

    return trio.run(make)


@pytest.fixture(scope="module")
def http(every_front: Server) -> Iterator[httpx2.Client]:
    options = every_front.listener.http_options
    with httpx2.Client(base_url=f"{every_front.url}/chatrooms", timeout=LIMIT_S, **options) as client:
        yield client


def check(answer: httpx2.Response) -> None:
    asked = answer.request
    assert answer.status_code < 500, (asked.method, asked.url, asked.content, answer.text)
    if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
        assert code_of(answer) not in ("INTERNAL_ERROR", "SERVICE_UNAVAILABLE")


def undoes(route: Any) -> bool:
    return bool(route.method == "DELETE" and not route.path.endswith("{emoji}"))


@settings(quick, max_examples=examples(200))
@given(
    route=st.sampled_from([route for route in STANDING if route.body is not None]),
    body=(DATA | LIKELY | VALUES).map(lambda value: json.dumps(value, ensure_ascii=False)),
)
def test_no_body_makes_any_endpoint_fail(scene: Scene, http: httpx2.Client, route: Any, body: str) -> None:
    path = route.path.format(chatroom_id=scene.room, message_id=scene.message, user_id=scene.guest.id)
    content = scene.filled(body).encode(errors="surrogatepass")
    check(http.request(route.method, path, content=content, headers=scene.guest.headers))


@settings(quick, max_examples=examples(200))
@given(
    route=st.sampled_from(STANDING),
    ids=st.tuples(*[PATH_TEXTS] * 6),
    own=st.booleans(),
    query=st.lists(
        st.tuples(st.sampled_from(NAMES), PATH_TEXTS | MOMENTS | TEXTS.map(lambda text: text[:200])), max_size=5
    ),
)
def test_no_path_or_query_makes_any_endpoint_fail(
    scene: Scene, http: httpx2.Client, route: Any, ids: tuple[str, ...], own: bool, query: list[tuple[str, str]]
) -> None:
    own = own and not undoes(route)
    path = route.path.format(
        chatroom_id=scene.room if own else ids[0],
        message_id=scene.message if own else ids[1],
        user_id=ids[2],
        emoji=ids[3],
        file_id=ids[4],
        invite_code=ids[5],
        invitation_id=ids[4],
    )
    raw = quote("&".join(f"{name}={value}" for name, value in query), safe=PRINTABLE, errors="surrogatepass")
    try:
        url = httpx2.URL(f"{http.base_url}{path.lstrip('/')}?{raw}")
    except httpx2.InvalidURL:  # a client that refuses to send it
        return
    check(http.request(route.method, url, content=b"{}", headers=scene.guest.headers))


FRAMES = st.builds(
    lambda event, data: json.dumps({"event": event, "data": data}),
    st.sampled_from(
        [
            *("join_chatroom", "leave_chatroom", "send_message", "send_message", "send_message", "typing_start"),
            *("typing_stop", "message_read", "add_reaction", "remove_reaction", "message_received", ""),
        ]
    ),
    LIKELY | LIKELY | DATA | SCALARS,
)
TOLD = {
    *("error", "message_received", "chatroom_joined", "chatroom_left", "reaction_added", "reaction_removed"),
    "typing_indicator",
}


@settings(quick, max_examples=examples(40))
@given(frames=st.lists(FRAMES, min_size=1, max_size=15))
def test_no_text_frame_ends_a_socket(scene: Scene, frames: list[str]) -> None:
    """Each one is answered or relayed, and after all of them the socket still works."""

    async def main() -> None:
        async with chatrooms_of(scene.server) as chatrooms, chatrooms.socket(scene.guest, scene.room) as socket:
            for frame in frames:
                await socket.ws.send_message(scene.filled(frame))
            await socket.send("message_read", chatroom_id=scene.room, message_id="last")
            events = await socket.fence()
            assert {event["event"] for event in events} <= TOLD
            codes = {event["data"]["code"] for event in events if event["event"] == "error"}
            assert not codes & {"INTERNAL_ERROR", "SERVICE_UNAVAILABLE"}, (frames, events)

    trio.run(main)


async def test_the_scene_is_still_there(scene: Scene, chatrooms: Chatrooms) -> None:
    shown = await chatrooms.get(f"/chatrooms/{scene.room}", scene.guest)
    assert shown["user_role"] == "owner"
    assert await chatrooms.history(scene.guest, scene.room)
