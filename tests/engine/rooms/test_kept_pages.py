"""Pages kept of rooms that sleep: for whom, until when, and how many."""

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.values import Status, ViewedMessage
from chinwag.engine.rooms.kept_pages import MESSAGE_BYTES, KeptPages
from chinwag.engine.testing.values import make_message

ROOM, OTHER = RoomId(1), RoomId(2)
ANN, BOB = UserId(1), UserId(2)


def page_of(*texts: str, author: UserId = ANN) -> list[ViewedMessage]:
    return [
        ViewedMessage(message=make_message(n, ROOM, n, author, text), status=Status.SENT)
        for n, text in enumerate(texts, 1)
    ]


def keep(pages: KeptPages, room_id: RoomId, viewer: UserId, page: list[ViewedMessage]) -> None:
    pages.keep(room_id, viewer, page, skip=0, limit=9, generation=pages.generation)


def test_a_page_is_found_by_its_place_and_by_nobody_who_may_be_a_stranger() -> None:
    pages = KeptPages()
    page = page_of("one", "two")
    keep(pages, ROOM, ANN, page)
    assert pages.find(ROOM, ANN, skip=0, limit=9) == page
    assert pages.find(ROOM, ANN, skip=1, limit=9) is None
    assert pages.find(ROOM, ANN, skip=0, limit=8) is None
    assert pages.find(OTHER, ANN, skip=0, limit=9) is None
    assert pages.find(ROOM, BOB, skip=0, limit=9) is None, "whether he is a member was not looked at"


def test_members_share_what_any_of_them_read() -> None:
    pages = KeptPages()
    keep(pages, ROOM, ANN, page_of("one"))
    pages.keep(ROOM, BOB, page_of("zero"), skip=1, limit=9, generation=pages.generation)
    assert pages.find(ROOM, BOB, skip=0, limit=9) == page_of("one")


def test_a_room_that_wakes_is_forgotten_and_no_other() -> None:
    pages = KeptPages()
    for room_id in (ROOM, OTHER):
        keep(pages, room_id, ANN, page_of("one"))
    pages.wake(ROOM)
    assert pages.find(ROOM, ANN, skip=0, limit=9) is None
    assert pages.find(OTHER, ANN, skip=0, limit=9) == page_of("one")
    pages.wake(OTHER)
    assert pages.size_bytes == 0


def test_who_has_another_name_costs_the_pages_with_their_messages_and_no_others() -> None:
    pages = KeptPages()
    keep(pages, ROOM, ANN, page_of("ann's"))
    keep(pages, OTHER, ANN, page_of("bob's", author=BOB))
    pages.forget_author(ANN)
    assert pages.find(ROOM, ANN, skip=0, limit=9) is None
    assert pages.find(OTHER, ANN, skip=0, limit=9) == page_of("bob's", author=BOB)


def test_a_page_that_was_read_while_a_room_woke_is_not_kept() -> None:
    pages = KeptPages()
    before = pages.generation
    pages.wake(RoomId(1))
    pages.keep(RoomId(1), UserId(1), page_of("old"), skip=0, limit=9, generation=before)
    assert pages.find(RoomId(1), UserId(1), skip=0, limit=9) is None


def test_kept_pages_are_bounded_whatever_is_asked_for() -> None:
    pages = KeptPages(kept_bytes=100 * MESSAGE_BYTES)
    for n in range(1_000):
        pages.keep(RoomId(n % 7), UserId(n), [], skip=n, limit=9, generation=0)
        assert pages.size_bytes <= 100 * MESSAGE_BYTES
    pages.keep(RoomId(8), UserId(1), page_of("x" * 200 * MESSAGE_BYTES), skip=0, limit=9, generation=0)
    assert pages.find(RoomId(8), UserId(1), skip=0, limit=9) is None
    assert pages.size_bytes == 0
