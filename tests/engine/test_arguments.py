"""What an embedder hands to services is checked: nothing is stored that no front would take."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from trio.testing import MockClock

from chinwag.engine import Engine, EngineError, post_command
from chinwag.engine.model import limits
from chinwag.engine.model.errors import Invalid, NotFound, Unauthenticated
from chinwag.engine.model.ids import MAX_ID, MessageId, RoomId, UserId
from chinwag.engine.model.values import Attachment, Sealed
from chinwag.engine.testing.harness import EngineHarness

FILE = Attachment(url="https://a.example/a.png", mime_type="image/png", size_bytes=1)
NEW: dict[str, Any] = {"username": "zoe", "email": None, "password": "correct-horse"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""),
        ("username", "zo"),
        ("username", "z" * (limits.MOST_USERNAME_CHARACTERS + 1)),
        ("username", "zoe@example.org"),
        ("username", 7),
        ("email", ""),
        ("email", "zoe"),
        ("email", "zoe@"),
        ("email", f"{'z' * 400}@example.org"),
        ("email", b"zoe@example.org"),
        ("password", ""),
        ("password", "z"),
        ("password", "z" * (limits.LEAST_PASSWORD_CHARACTERS - 1)),
        ("password", None),
        ("display_name", " "),
        ("display_name", "z" * (limits.MOST_NAME_CHARACTERS + 1)),
        ("public_key", "no key"),
    ],
)
async def test_an_account_that_no_front_would_make_is_not_made(
    h: EngineHarness, autojump_clock: MockClock, field: str, value: object
) -> None:
    with pytest.raises(Invalid) as refused:
        await h.engine.accounts.register(**{**NEW, field: value})
    assert refused.value.field == field
    with pytest.raises(NotFound):
        await h.engine.accounts.find("zoe")


async def test_an_address_is_kept_in_its_usual_form(h: EngineHarness, autojump_clock: MockClock) -> None:
    zoe = await h.engine.accounts.register(**{**NEW, "email": " Zoe@EXAMPLE.org "})
    assert zoe.email == "Zoe@example.org"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", "\u200b"),
        ("avatar_url", "javascript:alert(1)"),
        ("avatar_url", "//elsewhere.example/a.png"),
        ("avatar_url", "https://a.example/" + "a" * limits.MOST_URL_CHARACTERS),
        ("public_key", "no key"),
    ],
)
async def test_a_profile_that_no_front_would_show_is_not_kept(
    h: EngineHarness, autojump_clock: MockClock, field: str, value: str
) -> None:
    ann = await h.join("ann")
    given: dict[str, Any] = {field: value}
    before = await h.engine.accounts.user(ann.id)
    with pytest.raises(Invalid) as refused:
        await h.engine.accounts.update_profile(ann.id, **given)
    assert refused.value.field == field
    assert await h.engine.accounts.user(ann.id) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "n" * (limits.MOST_NAME_CHARACTERS + 1)),
        ("name", 5),
        ("description", "d" * (limits.MOST_DESCRIPTION_CHARACTERS + 1)),
        ("description", "a\0b"),
        ("max_members", 0),
        ("max_members", 1 << 63),
        ("summary_threshold", 0),
        ("summary_threshold", 1 << 63),
    ],
)
async def test_a_room_that_no_front_would_make_is_neither_made_nor_becomes_so(
    h: EngineHarness, autojump_clock: MockClock, field: str, value: Any
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    given: dict[str, Any] = {field: value}
    with pytest.raises(Invalid) as told:
        await h.engine.rooms.create(ann.id, **{"name": "tea", **given})
    assert told.value.field == field
    with pytest.raises(Invalid) as told:
        await h.engine.rooms.update(room.id, ann.id, **given)
    assert told.value.field == field
    assert (await h.engine.rooms.of(ann.id, limit=9)).rooms == (room,)


async def test_who_is_unknown_comes_into_no_room(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    stranger = UserId(1)
    with pytest.raises(Invalid, match="member_ids"):
        await h.engine.rooms.create(ann.id, name="tea", member_ids=[stranger])
    with pytest.raises(Invalid, match="user_id"):
        await h.engine.rooms.join(room.id, stranger)
    for unknown in (h.engine.rooms.direct(ann.id, stranger), h.engine.bans.add(room.id, ann.id, stranger)):
        with pytest.raises(NotFound, match="user"):
            await unknown


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("text", {"text": ""}),
        ("text", {"text": " \u200b"}),
        ("text", {"text": "", "sealed": Sealed(data="", iv="x", key_version=0)}),
        ("text", {"text": "x" * 100_000}),
        ("text", {"text": "x" * (limits.MOST_TEXT_CHARACTERS + 1), "attachments": (FILE,)}),
        ("sealed", {"text": "", "sealed": Sealed(data="x" * 1_000_000, iv="x", key_version=1)}),
        ("attachments", {"text": "", "attachments": (FILE,) * (limits.MOST_ATTACHMENTS + 1)}),
        ("attachments", {"text": "", "attachments": (Attachment(url="", mime_type="image/png", size_bytes=1),)}),
        ("attachments", {"text": "", "attachments": (Attachment(url="u", mime_type="image/png", size_bytes=-1),)}),
        ("idempotency_key", {"text": "x", "key": ""}),
        ("idempotency_key", {"text": "x", "key": "k" * (limits.MOST_KEY_CHARACTERS + 1)}),
    ],
)
async def test_a_message_that_no_front_would_post_is_not_posted(
    h: EngineHarness, autojump_clock: MockClock, field: str, given: dict[str, Any]
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    with pytest.raises(Invalid) as told:
        await h.engine.messages.post(room.id, ann.id, **given)
    assert told.value.field == field
    with pytest.raises(Invalid):
        post_command(ann.id, **given)
    assert await h.engine.messages.history(room.id, ann.id, skip=0, limit=9) == []


@pytest.mark.parametrize("text", ["x" * limits.MOST_TEXT_CHARACTERS, "é", " .", "\u200bx"])
async def test_the_longest_text_and_whatever_shows_anything_is_posted(
    h: EngineHarness, autojump_clock: MockClock, text: str
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    assert (await h.engine.messages.post(room.id, ann.id, text=text)).message.text == text


async def test_a_file_needs_no_text_and_a_text_is_not_edited_into_more_than_may_be(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    posted = await h.engine.messages.post(room.id, ann.id, text="", attachments=(FILE,))
    with pytest.raises(Invalid, match="text"):
        await h.engine.messages.edit(room.id, ann.id, posted.message.id, text="x" * 100_000)


class Tea(NamedTuple):
    """An engine, with somebody and their room."""

    engine: Engine
    ann: UserId
    room: RoomId


PAGES: dict[str, Callable[["Tea", dict[str, Any]], Awaitable[object]]] = {
    "rooms.overviews": lambda tea, page: tea.engine.rooms.overviews(tea.ann, **page),
    "invitations.of_room": lambda tea, page: tea.engine.invitations.of_room(tea.room, tea.ann, **page),
    "bans.of_room": lambda tea, page: tea.engine.bans.of_room(tea.room, tea.ann, **page),
    "messages.history": lambda tea, page: tea.engine.messages.history(tea.room, tea.ann, **{"skip": 0, **page}),
    "messages.history_between": lambda tea, page: tea.engine.messages.history_between(tea.room, tea.ann, **page),
}
LISTS: dict[str, Callable[["Tea", dict[str, Any]], Awaitable[object]]] = {
    **PAGES,
    "rooms.of": lambda tea, page: tea.engine.rooms.of(tea.ann, **page),
    "accounts.everybody": lambda tea, page: tea.engine.accounts.everybody(**page),
    "messages.window": lambda tea, page: tea.engine.messages.window(tea.room, tea.ann, around=MessageId(1), **page),
    "messages.search": lambda tea, page: tea.engine.messages.search(tea.ann, text="x", **page),
    "messages.search_ranked": lambda tea, page: tea.engine.messages.search_ranked(tea.ann, tea.room, "x", **page),
}


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_has_a_length(h: EngineHarness, autojump_clock: MockClock, what: str) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    for limit in (0, -1, MAX_ID + 1, 1.5, True, "5"):
        with pytest.raises(Invalid) as told:
            await LISTS[what](Tea(h.engine, ann.id, room.id), {"limit": limit})
        assert told.value.field == "limit"
    try:
        await LISTS[what](Tea(h.engine, ann.id, room.id), {"limit": 1})
    except EngineError as error:
        assert isinstance(error, NotFound)  # there is no message to look around


@pytest.mark.parametrize("what", PAGES)
async def test_a_page_begins_at_the_first_or_later(h: EngineHarness, autojump_clock: MockClock, what: str) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    for skip in (-1, MAX_ID + 1, 0.5, None):
        with pytest.raises(Invalid) as told:
            await PAGES[what](Tea(h.engine, ann.id, room.id), {"limit": 1, "skip": skip})
        assert told.value.field == "skip"


async def test_a_summary_is_asked_for_in_a_few_words(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    with pytest.raises(Invalid, match="prompt"):
        await h.engine.summaries.generate(room.id, ann.id, prompt="p" * (limits.MOST_PROMPT_CHARACTERS + 1))


async def test_a_prompt_is_text(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")
    room = await h.room("tea", ann)
    with pytest.raises(Invalid, match="prompt"):
        await h.engine.summaries.generate(room.id, ann.id, prompt="\ud800")


@pytest.mark.parametrize("password", ["a\ud800b", "\ud800" * 10_000])
async def test_a_password_that_is_no_text_is_nobodys(
    h: EngineHarness, autojump_clock: MockClock, password: str
) -> None:
    await h.join("ann")
    with pytest.raises(Unauthenticated):
        await h.engine.accounts.log_in("ann", password)
