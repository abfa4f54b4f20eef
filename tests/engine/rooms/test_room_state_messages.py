"""The rules about what messages may have besides text: times, replies, kinds, sealed content, reactions."""

from typing import Any

import pytest
from msgspec.structs import replace

from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.commands import (
    AddReaction,
    DeleteMessage,
    EditMessage,
    PostMessage,
    RemoveReaction,
    UpdateProfile,
)
from chinwag.engine.model.errors import CannotDecrypt, Conflict, Invalid, LimitReached, NotFound, NotTheAuthor
from chinwag.engine.model.events import MessageEdited, ReactionAdded, ReactionRemoved
from chinwag.engine.model.ids import FileId, IdSource, MessageId, UserId
from chinwag.engine.model.store import KeyedMessage, KeyVersion, RoomSnapshot, SetReactions, UpdateMessage
from chinwag.engine.model.values import Attachment, KeyCustody, Message, MessageKind, Reaction, Role, Sealed, Status
from chinwag.engine.rooms.message_rules import KEY_GRACE_US, MOST_EMOJI, MOST_REACTIONS
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.testing import make_user
from tests.engine.rooms.states import ANN, BOB, CID, NOW, ROOM, emojis, kinds, message_of, post, refused, state_of, view

SEALED = Sealed(data="c2VhbGVk", iv="aXY=", key_version=3)
WELCOME = "bob joined"


def react(state: RoomState, message: Message, emoji: str = "👍", caller: UserId = BOB) -> Message:
    return message_of(state.handle(AddReaction(caller=caller, message_id=message.id, emoji=emoji), NOW))


def system_message(state: RoomState) -> Message:
    """A SYSTEM message about BOB, as it is found in the store."""
    message = replace(post(state, BOB, WELCOME), kind=MessageKind.SYSTEM)
    state._recent[message.id] = message
    return message


# --- times ---


def test_times_rise_strictly_within_a_turn_and_when_the_clock_goes_back() -> None:
    state = state_of()
    times = [message_of(state.handle(PostMessage(author=ANN, text="x"), at)).created_us for at in (9, 9, 9, 5, 20)]
    assert times == [9, 10, 11, 12, 20]


def test_times_rise_strictly_over_a_reload_also_after_a_tombstone() -> None:
    first = state_of()
    newest = [post(first, ANN, f"{n}") for n in range(3)][-1]
    first.handle(DeleteMessage(caller=ANN, message_id=newest.id), NOW)
    recent = tuple(KeyedMessage(message=each, digest=None) for each in first._recent.values())
    snapshot = RoomSnapshot(room=first.room, members=first.members, last_seq=3, recent=recent)
    again = RoomState(snapshot, new_id=IdSource(above=10_000, clock=lambda: 0))
    assert post(again, ANN).created_us == newest.created_us + 1


# --- kinds, replies, sealed content ---


def test_a_message_is_kept_and_sent_as_it_was_posted() -> None:
    state = state_of()
    target = post(state, BOB)
    command = PostMessage(author=ANN, text="", kind=MessageKind.IMAGE, reply_to=target.id, sealed=SEALED)
    message = message_of(state.handle(command, NOW))
    assert (message.kind, message.reply_to, message.sealed) == (MessageKind.IMAGE, target.id, SEALED)
    assert message.opaque


def test_nobody_posts_in_the_name_of_the_room() -> None:
    assert refused(state_of(), PostMessage(author=ANN, text="x", kind=MessageKind.SYSTEM), Invalid).field == "kind"


def test_only_a_living_message_of_the_room_is_replied_to() -> None:
    state = state_of()
    gone = post(state)
    state.handle(DeleteMessage(caller=ANN, message_id=gone.id), NOW)
    for reply_to in (gone.id, MessageId(777)):
        assert refused(state, PostMessage(author=ANN, text="x", reply_to=reply_to), NotFound).what == "message"


def test_a_reply_to_an_older_message_has_it_recalled_first() -> None:
    state = state_of(recent_messages=1)
    old = post(state)
    post(state)
    state.end_turn()
    command = PostMessage(author=ANN, text="x", reply_to=old.id)
    assert state.unknown_message(command) == old.id
    state.recall(old.id, old)
    assert message_of(state.handle(command, NOW)).reply_to == old.id
    assert state.unknown_message(PostMessage(author=ANN, text="x")) is None


def test_a_retry_whose_target_is_gone_still_answers_with_the_first_message() -> None:
    state = state_of(recent_messages=2)
    target = post(state)
    command = PostMessage(author=ANN, text="x", reply_to=target.id, key="k", digest=b"x")
    first = message_of(state.handle(command, NOW))
    assert state.unknown_key(command) is None
    state.handle(DeleteMessage(caller=ANN, message_id=target.id), NOW)
    assert message_of(state.handle(command, NOW)) == first
    post(state)
    post(state)
    state.end_turn()
    state.recall(target.id, None)
    assert state.unknown_key(command) == (ANN, "k")
    state.recall_key(KeyedMessage(message=first, digest=b"x"))
    assert state.unknown_key(command) is None
    assert message_of(state.handle(command, NOW)) == first
    assert state.unknown_key(PostMessage(author=ANN, text="x", key="plain")) is None


def test_an_edit_replaces_what_was_sealed_and_plain_text_clears_it() -> None:
    state = state_of()
    message = message_of(state.handle(PostMessage(author=ANN, text="", sealed=SEALED), NOW))
    other = replace(SEALED, data="b3RoZXI=")
    edited = message_of(state.handle(EditMessage(caller=ANN, message_id=message.id, text="", sealed=other), NOW))
    assert edited == replace(message, sealed=other, edited_us=message.created_us + 1)
    outcome = state.handle(EditMessage(caller=ANN, message_id=message.id, text="plain"), NOW + 9)
    plain = replace(message, text="plain", sealed=None, edited_us=NOW + 9)
    assert outcome.events == (MessageEdited(room_id=ROOM, message=plain, status=Status.SENT),)
    assert outcome.writes == (UpdateMessage(message=plain),)


def test_a_deleted_message_keeps_nothing_of_what_it_had() -> None:
    state = state_of()
    target = post(state, BOB)
    command = PostMessage(author=ANN, text="t", kind=MessageKind.FILE, reply_to=target.id, sealed=SEALED)
    message = message_of(state.handle(command, NOW))
    react(state, message)
    state.handle(DeleteMessage(caller=ANN, message_id=message.id), NOW + 1)
    left = state._recent[message.id]
    assert left == replace(
        message, text="", kind=MessageKind.TEXT, reply_to=None, sealed=None, reactions=(), deleted_us=NOW + 1
    )


def test_under_server_custody_only_the_newest_key_counts_and_the_one_before_for_a_moment() -> None:
    state = state_of(custody=KeyCustody.SERVER)
    state._key = KeyVersion(version=3, changed_us=NOW)
    message = message_of(state.handle(PostMessage(author=ANN, text="t", sealed=SEALED), NOW))
    before = replace(SEALED, key_version=2)
    for make in (
        lambda sealed: PostMessage(author=ANN, text="t", sealed=sealed),
        lambda sealed: EditMessage(caller=ANN, message_id=message.id, text="t", sealed=sealed),
    ):
        state.handle(make(before), NOW + KEY_GRACE_US)
        refused(state, make(before), CannotDecrypt, NOW + KEY_GRACE_US + 1)
        refused(state, make(replace(SEALED, key_version=4)), CannotDecrypt)
        state.handle(make(replace(SEALED, key_version=0)), NOW)


def test_a_retry_under_a_key_that_has_changed_since_has_its_first_message_looked_up() -> None:
    state = state_of(custody=KeyCustody.SERVER)
    state._key = KeyVersion(version=3, changed_us=NOW)
    stale = PostMessage(author=ANN, text="t", sealed=replace(SEALED, key_version=1), key="k")
    assert state.unknown_key(stale) == (ANN, "k")
    assert state.unknown_key(replace(stale, sealed=SEALED)) is None
    assert state.unknown_key(replace(stale, key=None)) is None


# --- what the room itself says ---


def test_what_the_room_says_is_not_edited_and_deleted_only_by_a_moderator() -> None:
    state = state_of((ANN, BOB, CID), roles={ANN: Role.OWNER, CID: Role.MODERATOR})
    message = system_message(state)
    refused(state, EditMessage(caller=BOB, message_id=message.id, text="x"), NotTheAuthor)
    refused(state, DeleteMessage(caller=BOB, message_id=message.id), NotTheAuthor)
    assert react(state, message).reactions[0].emoji == "👍"
    state.handle(DeleteMessage(caller=CID, message_id=message.id), NOW)


def test_a_moderator_deletes_what_others_wrote_and_edits_none_of_it() -> None:
    state = state_of((ANN, BOB, CID), roles={ANN: Role.OWNER, BOB: Role.MODERATOR})
    by_ann, by_cid = post(state, ANN), post(state, CID)
    refused(state, EditMessage(caller=BOB, message_id=by_cid.id, text="x"), NotTheAuthor)
    refused(state, DeleteMessage(caller=CID, message_id=by_ann.id), NotTheAuthor)
    for message in (by_ann, by_cid):
        state.handle(DeleteMessage(caller=BOB, message_id=message.id), NOW)


# --- reactions ---


def test_a_reaction_is_shown_told_and_written() -> None:
    state = state_of()
    message = post(state)
    outcome = state.handle(AddReaction(caller=BOB, message_id=message.id, emoji="👍"), NOW + 5)
    reaction = Reaction(user_id=BOB, username="u2", emoji="👍", created_us=NOW + 5)
    reacted = replace(message, reactions=(reaction,))
    assert message_of(outcome) == reacted
    assert outcome.events == (ReactionAdded(room_id=ROOM, message_id=message.id, reaction=reaction),)
    assert outcome.writes == (SetReactions(message=reacted),)
    page = state.page(ANN, skip=0, limit=9)
    assert page is not None
    assert page[0].message == reacted
    removal = state.handle(RemoveReaction(caller=BOB, message_id=message.id, emoji="👍"), NOW)
    assert message_of(removal) == message
    assert removal.events == (ReactionRemoved(room_id=ROOM, message_id=message.id, user_id=BOB, emoji="👍"),)
    assert removal.writes == (SetReactions(message=message),)


def test_reacting_twice_changes_nothing_and_others_and_other_emoji_are_beside_it() -> None:
    state = state_of()
    message = post(state)
    reacted = react(state, message)
    before = view(state)
    again = state.handle(AddReaction(caller=BOB, message_id=message.id, emoji="👍"), NOW + 5)
    assert (message_of(again), again.events, again.writes) == (reacted, (), ())
    assert view(state) == before
    react(state, message, "🎉")
    both = react(state, message, "👍", ANN)
    assert [(each.user_id, each.emoji) for each in both.reactions] == [(BOB, "👍"), (BOB, "🎉"), (ANN, "👍")]
    left = message_of(state.handle(RemoveReaction(caller=BOB, message_id=message.id, emoji="👍"), NOW))
    assert [(each.user_id, each.emoji) for each in left.reactions] == [(BOB, "🎉"), (ANN, "👍")]


def test_only_ones_own_reaction_is_taken_back() -> None:
    state = state_of()
    message = post(state)
    react(state, message)
    for command in (
        RemoveReaction(caller=ANN, message_id=message.id, emoji="👍"),
        RemoveReaction(caller=BOB, message_id=message.id, emoji="🎉"),
    ):
        assert refused(state, command, NotFound).what == "reaction"


@pytest.mark.parametrize("emoji", ["", " ", "lol", ":tada:", "\u200b", "\ud83d", "..", "👍👍", "👍 "])
def test_what_is_no_emoji_is_refused(emoji: str) -> None:
    state = state_of()
    message = post(state)
    assert refused(state, AddReaction(caller=BOB, message_id=message.id, emoji=emoji), Invalid).field == "emoji"


def test_an_emoji_is_one_however_it_is_written() -> None:
    state = state_of()
    message = post(state)
    outcome = state.handle(AddReaction(caller=BOB, message_id=message.id, emoji="❤"), NOW)
    [added] = outcome.events
    assert isinstance(added, ReactionAdded)
    assert added.reaction.emoji == "❤\ufe0f"
    assert react(state, message, "❤\ufe0f") == react(state, message, "❤") == message_of(outcome)
    removal = state.handle(RemoveReaction(caller=BOB, message_id=message.id, emoji="❤\ufe0e"), NOW)
    assert removal.events == (ReactionRemoved(room_id=ROOM, message_id=message.id, user_id=BOB, emoji="❤\ufe0f"),)
    assert message_of(removal).reactions == ()


def test_what_a_former_release_took_as_an_emoji_can_be_taken_back() -> None:
    old = Reaction(user_id=BOB, username="u2", emoji="lol", created_us=1)
    state = state_of()
    message = post(state)
    state._put_back(replace(message, reactions=(old,)))
    assert refused(state, AddReaction(caller=BOB, message_id=message.id, emoji="lol"), Invalid).field == "emoji"
    removal = state.handle(RemoveReaction(caller=BOB, message_id=message.id, emoji="lol"), NOW)
    assert message_of(removal).reactions == ()


def test_reactions_on_a_message_are_bounded() -> None:
    users = [UserId(n) for n in range(1, MOST_REACTIONS + 2)]
    state = state_of(users)
    message = post(state)
    for each in users[:-1]:
        react(state, message, "👍", each)
    last = AddReaction(caller=users[-1], message_id=message.id, emoji="👍")
    assert refused(state, last, LimitReached).what == "reactions"
    state.handle(AddReaction(caller=users[0], message_id=message.id, emoji="👍"), NOW)  # it is there already
    state.handle(RemoveReaction(caller=users[0], message_id=message.id, emoji="👍"), NOW)
    assert len(message_of(state.handle(last, NOW)).reactions) == MOST_REACTIONS


def test_different_emoji_on_a_message_are_bounded() -> None:
    state = state_of()
    message = post(state)
    first, *others, last = emojis(MOST_EMOJI + 1)
    for each in (first, *others):
        react(state, message, each)
    assert refused(state, AddReaction(caller=BOB, message_id=message.id, emoji=last), LimitReached).what == "reactions"
    assert len(react(state, message, first, ANN).reactions) == MOST_EMOJI + 1


def test_an_older_message_takes_reactions_too() -> None:
    state = state_of(recent_messages=1)
    old = post(state)
    post(state)
    state.end_turn()
    add = AddReaction(caller=BOB, message_id=old.id, emoji="👍")
    remove = RemoveReaction(caller=BOB, message_id=old.id, emoji="👍")
    assert state.unknown_message(add) == state.unknown_message(remove) == old.id
    state.recall(old.id, old)
    assert kinds(state.handle(add, NOW)) == [ReactionAdded]
    assert kinds(state.handle(remove, NOW)) == [ReactionRemoved]


# --- profiles ---


def test_a_changed_profile_shows_on_the_member_and_on_what_they_wrote() -> None:
    state = state_of()
    by_bob, by_ann = post(state, BOB), post(state, ANN)
    changed = replace(make_user(BOB, "u2"), display_name="Bob", avatar_url="https://x/b.png")
    outcome = state.handle(UpdateProfile(user=changed), NOW)
    assert (outcome.events, outcome.writes) == ((), ())
    [member] = [each for each in state.members if each.user_id == BOB]
    assert (member.display_name, member.avatar_url) == ("Bob", "https://x/b.png")
    page = state.page(ANN, skip=0, limit=9)
    assert page is not None
    shown = replace(by_bob, author_display_name="Bob", author_avatar_url="https://x/b.png")
    assert [each.message for each in page] == [by_ann, shown]
    assert post(state, BOB).author_display_name == "Bob"


# --- the fingerprint of a retry ---

FIRST_RELEASE = "7f8552a1d4fab56d9dfb13c1e416b90a"
"""What the first release made of "hello" with PLAIN."""
PLAIN = Attachment(url="https://x/a", mime_type="image/png", size_bytes=3)


def test_a_fingerprint_tells_all_that_may_differ() -> None:
    commands: list[dict[str, Any]] = [
        {"text": "t"},
        {"text": "u"},
        {"text": "t", "kind": MessageKind.IMAGE},
        {"text": "t", "kind": MessageKind.FILE},
        {"text": "t", "reply_to": MessageId(5)},
        {"text": "t", "reply_to": MessageId(6)},
        {"text": "t", "sealed": SEALED},
        {"text": "t", "sealed": replace(SEALED, data="x")},
        {"text": "t", "sealed": replace(SEALED, iv="x")},
        {"text": "t", "sealed": replace(SEALED, key_version=4)},
        {"text": "t", "attachments": (PLAIN,)},
        {"text": "t", "attachments": (PLAIN, PLAIN)},
        {"text": "t", "attachments": (replace(PLAIN, name="a"),)},
        {"text": "t", "attachments": (replace(PLAIN, file_id=FileId(1)),)},
        {"text": "t", "attachments": (replace(PLAIN, file_id=FileId(2)),)},
    ]
    digests = [post_command(ANN, key="k", **each).digest for each in commands]
    assert len(set(digests)) == len(commands)
    assert digests == [post_command(ANN, key="k", **each).digest for each in commands]
    assert {len(digest or b"") for digest in digests} == {16}
    assert post_command(ANN, text="t").digest is None


def test_a_retry_of_a_plain_message_matches_one_that_an_earlier_release_stored() -> None:
    assert (post_command(ANN, key="k", text="hello", attachments=(PLAIN,)).digest or b"").hex() == FIRST_RELEASE


def test_other_content_under_a_key_is_a_conflict_whatever_differs() -> None:
    state = state_of()
    target = post(state, BOB)
    state.handle(post_command(ANN, text="t", key="k", reply_to=target.id), NOW)
    error = refused(state, post_command(ANN, text="t", key="k"), Conflict)
    assert error.what == "idempotency_key"


@pytest.mark.parametrize(
    "sealed", [Sealed(data="a\0", iv="", key_version=1), Sealed(data="", iv="\ud800", key_version=1)]
)
def test_sealed_content_that_no_store_takes_is_refused(sealed: Sealed) -> None:
    with pytest.raises(Invalid) as refusal:
        post_command(ANN, text="", sealed=sealed)
    assert refusal.value.field == "sealed"


def test_attachments_that_no_store_takes_are_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        post_command(ANN, text="", attachments=(replace(PLAIN, name="a\0"),), key="k")
    assert refusal.value.field == "attachments"
