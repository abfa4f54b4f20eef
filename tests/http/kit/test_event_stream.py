"""What an event stream is made of, and the answer that opens one."""

from collections.abc import AsyncIterator

import pytest

from chinwag.engine.connections.admission import Admitted
from chinwag.engine.model.events import MessagePosted, RoomLeft
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.testing.values import make_message
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.kit.event_stream import RETRY_MS, EventStreamCarrier, opening
from tests.http.carriers.event_stream_front import FRONT, EventSource, Told
from tests.http.service_api import Api, Person, open_api

POSTED = MessagePosted(room_id=RoomId(1), message=make_message(7, 1, 1, 2))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api((FRONT,)) as opened:
        yield opened


async def opened(api: Api, person: Person, last_event_id: str | None = None) -> tuple[HttpResponse, Admitted]:
    """The answer that opens a stream, whose session nobody serves."""
    headers = {"authorization": f"Bearer {person.token}"}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    request = HttpRequest(method="GET", path="/v1/events", headers=headers, host="h")
    response = await api.service.handle(request)
    assert response.status == 200
    assert response.events is not None
    admitted = response.events.admitted
    admitted.session.abandon()
    return response, admitted


async def test_a_new_client_learns_where_it_is_and_when_to_come_back(api: Api) -> None:
    ann = await api.person("ann")
    room = await api.room(ann)
    await api.post(ann, room, "before")
    response, admitted = await opened(api, ann)
    source = EventSource()
    source.feed(response.body)
    assert (source.last_id, source.retry_ms, source.told) == (str(admitted.position), RETRY_MS, [])
    assert admitted.replay.results == ()


async def test_one_that_resumes_stays_where_it_was_until_it_is_told_more(api: Api) -> None:
    ann = await api.person("ann")
    room = await api.room(ann)
    _, before = await opened(api, ann)
    await api.post(ann, room, "missed")
    response, admitted = await opened(api, ann, str(before.position))
    source = EventSource()
    source.last_id = str(before.position)
    source.begin()
    source.feed(response.body)
    assert source.last_id == str(before.position), "a break here must not lose what was missed"
    assert [each.message.text for each in admitted.replay.messages] == ["missed"]


async def test_an_id_that_is_none_of_ours_asks_for_a_reload(api: Api) -> None:
    ann = await api.person("ann")
    await api.room(ann)
    _, admitted = await opened(api, ann, "7")
    assert [each.recovered for each in admitted.replay.results] == [False]


def test_an_event_has_its_name_and_the_place_that_is_gone_on_from() -> None:
    carrier = EventStreamCarrier(lambda event: type(event).__name__)
    source = EventSource()
    source.feed(carrier.frame(b"hello", POSTED, None))
    assert source.told == [Told("MessagePosted", "hello")]
    assert source.last_id == str(POSTED.position)
    source.feed(carrier.frame(b"bye", RoomLeft(room_id=RoomId(1), user_id=UserId(2)), None))
    assert source.told[1:] == [Told("RoomLeft", "bye")]
    assert source.last_id == str(POSTED.position), "what has no place leaves the client where it was"


def test_the_first_bytes_are_no_event() -> None:
    source = EventSource()
    source.feed(opening(Position.at(7)))
    assert (source.told, source.last_id) == ([], str(Position.at(7)))
    source = EventSource()
    source.feed(opening(None))
    assert (source.told, source.last_id, source.retry_ms) == ([], "", RETRY_MS)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"plain", "plain"),
        (b"two\nlines", "two\nlines"),
        (b"ends\n", "ends\n"),
        (b"\r\nmixed\rkinds\n", "\nmixed\nkinds\n"),
        (b": no comment\nid: 7", ": no comment\nid: 7"),
        (" ä\u2028 ".encode(), " ä\u2028 "),
    ],
)
def test_a_body_arrives_as_it_is(body: bytes, told: str) -> None:
    source = EventSource()
    source.feed(EventStreamCarrier().frame(body, None, None))
    assert source.told == [Told("message", told)]
    assert source.last_id == ""
