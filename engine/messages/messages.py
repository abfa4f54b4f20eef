"""The service `engine.messages`: posting, changing, reacting, reading, searching."""

import hashlib

import msgspec

from chinwag.engine.encryption.room_keys import RoomKeys
from chinwag.engine.messages.ranked_search import RankedSearcher
from chinwag.engine.model.access import require_member
from chinwag.engine.model.commands import (
    AddReaction,
    AdvanceReceipts,
    DeleteMessage,
    EditMessage,
    Posted,
    PostMessage,
    RemoveReaction,
    RoomCommand,
)
from chinwag.engine.model.errors import Invalid, NotFound, Rule
from chinwag.engine.model.ids import MAX_ID, MessageId, RoomId, UserId
from chinwag.engine.model.keys import encrypted_characters
from chinwag.engine.model.limits import (
    MOST_ATTACHMENTS,
    MOST_KEY_CHARACTERS,
    MOST_TEXT_CHARACTERS,
    MOST_URL_CHARACTERS,
    refuse_bad_page,
    search_text,
    sized,
)
from chinwag.engine.model.names import blank
from chinwag.engine.model.storable import refuse_unstorable
from chinwag.engine.model.store import MessagePage, Store
from chinwag.engine.model.values import Attachment, MessageKind, Sealed, SearchResults, ViewedMessage
from chinwag.engine.rooms.registry import RoomRegistry
from chinwag.engine.rooms.room_service import RoomService
from chinwag.engine.workers.timed_lane import TimedLane

_MOST_SEALED_CHARACTERS = encrypted_characters(4 * MOST_TEXT_CHARACTERS)  # no character needs more bytes than 4
_TEXT = MessageKind.TEXT  # in Python 3.11 to look a member up in its class takes 0.2 µs


class Messages(RoomService):
    """What can be done with messages."""

    def __init__(self, *, store: Store, registry: RoomRegistry, keys: RoomKeys, searches: TimedLane) -> None:
        super().__init__(store=store, registry=registry)
        self._keys = keys
        self._searches = searches
        self.search_ranked = RankedSearcher(store, searches)
        """Ranked search within one room: see `RankedSearcher.__call__`."""

    async def post(
        self,
        room_id: RoomId,
        caller: UserId,
        *,
        text: str,
        attachments: tuple[Attachment, ...] = (),
        key: str | None = None,
        kind: MessageKind = MessageKind.TEXT,
        reply_to: MessageId | None = None,
        sealed: Sealed | None = None,
    ) -> ViewedMessage:
        """Store a message and send it to everyone; returns once it is durable.

        With an idempotency `key` a repeated call returns the first message; raises `Conflict("idempotency_key")` when
        the content differs. `reply_to` is a message of the same room, or else `NotFound("message")`. Raises `NotFound`,
        `NotAMember`, `Invalid`, or `TryLater` errors (then retry with the same key).
        """
        command = post_command(
            caller, text=text, attachments=attachments, key=key, kind=kind, reply_to=reply_to, sealed=sealed
        )
        return await self.submit(room_id, command)

    async def submit(self, room_id: RoomId, command: PostMessage) -> ViewedMessage:
        """`post` of what `post_command` or `sealed_command` made."""
        return await self._ask_for_message(room_id, command)

    async def edit(
        self, room_id: RoomId, caller: UserId, message_id: MessageId, *, text: str, sealed: Sealed | None = None
    ) -> ViewedMessage:
        """Change one's own message; without `sealed` it is plain text from now on.

        Raises `NotFound` (room or message), `NotAMember`, `NotTheAuthor`, or `Invalid("text")` for plain text that
        shows nothing where the message has no file, or a text of more than `limits.MOST_TEXT_CHARACTERS`.
        """
        if (sealed is None or sealed.key_version == 0) and blank(text):
            before = (await self.get(room_id, caller, message_id)).message
            if before.author_id == caller and not before.attachments:
                raise Invalid("text", "is blank", rule=Rule.REQUIRED)
        _check_text(text)
        if sealed is not None:
            _check_seal(sealed)
        command = EditMessage(caller=caller, message_id=message_id, text=text, sealed=sealed)
        return await self._ask_for_message(room_id, command)

    async def sealed_command(
        self,
        room_id: RoomId,
        author: UserId,
        *,
        sealed: Sealed,
        attachments: tuple[Attachment, ...] = (),
        key: str | None = None,
        kind: MessageKind = MessageKind.TEXT,
        reply_to: MessageId | None = None,
        most_characters: int = MOST_TEXT_CHARACTERS,
    ) -> PostMessage:
        """The `post_command` of what a client encrypted (or, with `key_version` 0, did not), kept bit for bit.

        For `submit`, or `Rooms.tell`. Reads the store unless it is plain text. The server reads what it has the key
        of, and then raises `CannotDecrypt` for what is not encrypted with it. Also raises what `RoomKeys.content_of`
        and `post_command` do.
        """
        content = await self._keys.content_of(room_id, author, sealed, most_characters=most_characters)
        return post_command(
            author,
            text=content.text,
            attachments=attachments,
            key=key,
            kind=kind,
            reply_to=reply_to,
            sealed=content.sealed,
        )

    async def edit_sealed(
        self,
        room_id: RoomId,
        caller: UserId,
        message_id: MessageId,
        *,
        sealed: Sealed,
        most_characters: int = MOST_TEXT_CHARACTERS,
    ) -> ViewedMessage:
        """`edit` with what a client encrypted. Raises as `sealed_command` and `edit` do."""
        content = await self._keys.content_of(room_id, caller, sealed, most_characters=most_characters)
        return await self.edit(room_id, caller, message_id, text=content.text, sealed=content.sealed)

    async def delete(self, room_id: RoomId, caller: UserId, message_id: MessageId) -> None:
        """Delete one's own message, or as a MODERATOR anyone's. Raises `NotFound`, `NotAMember` or `NotTheAuthor`."""
        await self._ask(room_id, DeleteMessage(caller=caller, message_id=message_id))

    async def add_reaction(self, room_id: RoomId, caller: UserId, message_id: MessageId, emoji: str) -> ViewedMessage:
        """React to a message; twice the same changes nothing.

        Raises `Invalid("emoji")`, `LimitReached("reactions")`, `NotFound` (room or message) or `NotAMember`.
        """
        return await self._ask_for_message(room_id, AddReaction(caller=caller, message_id=message_id, emoji=emoji))

    async def remove_reaction(
        self, room_id: RoomId, caller: UserId, message_id: MessageId, emoji: str
    ) -> ViewedMessage:
        """Take one's own reaction back. Raises `NotFound` (room, message or reaction) or `NotAMember`."""
        return await self._ask_for_message(room_id, RemoveReaction(caller=caller, message_id=message_id, emoji=emoji))

    async def mark_delivered(self, room_id: RoomId, caller: UserId, message_id: MessageId) -> None:
        """The caller has got all messages up to this one. Raises `NotFound` or `NotAMember`."""
        await self._ask(room_id, AdvanceReceipts(caller=caller, message_id=message_id, read=False))

    async def mark_read(self, room_id: RoomId, caller: UserId, message_id: MessageId) -> None:
        """The caller has read all messages up to this one. Raises `NotFound` or `NotAMember`."""
        await self._ask(room_id, AdvanceReceipts(caller=caller, message_id=message_id, read=True))

    async def history(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> list[ViewedMessage]:
        """One page, newest first, leaving out the `skip` newest. Raises `Invalid` ("limit", "skip"), `NotFound` or
        `NotAMember`.

        From memory, without a checkpoint and even while the store is away, where that is what the store would say: of
        a room that is awake and between two turns, or of one that sleeps as it was read before. Reading wakes no room.
        """
        refuse_bad_page(limit, skip)
        actor = self._registry.awake(room_id)
        kept = self._registry.kept_pages
        if actor is None:
            known = kept.find(room_id, viewer, skip=skip, limit=limit)
        else:
            known = (
                None if actor.committed_state is None else actor.committed_state.page(viewer, skip=skip, limit=limit)
            )
        if known is not None:
            return list(known)
        generation = kept.generation
        viewed = _viewed_page(await self._store.history(room_id, viewer, skip=skip, limit=limit))
        if actor is None:
            kept.keep(room_id, viewer, viewed, skip=skip, limit=limit, generation=generation)
        return viewed

    async def history_between(
        self,
        room_id: RoomId,
        viewer: UserId,
        *,
        after_us: int | None = None,
        before_us: int | None = None,
        skip: int = 0,
        limit: int,
    ) -> tuple[list[ViewedMessage], int]:
        """One page, newest first, of the messages made after and before these times (both excluded), and how many
        there are within them in all.

        Times rise strictly within a room, so the time of a page's last message is an exact place to go on from. Raises
        `Invalid` ("limit", "skip"), `NotFound` or `NotAMember`.
        """
        refuse_bad_page(limit, skip)
        found = await self._store.history_between(
            room_id, viewer, after_us=after_us, before_us=before_us, skip=skip, limit=limit
        )
        return _viewed_page(found.page), found.total

    async def get(self, room_id: RoomId, viewer: UserId, message_id: MessageId) -> ViewedMessage:
        """One message. Raises `NotFound` (room or message) or `NotAMember`."""
        [found] = await self.window(room_id, viewer, around=message_id, limit=1)
        return found

    async def find(self, viewer: UserId, message_id: MessageId) -> ViewedMessage:
        """One message by its id alone; its `room_id` says where it is. Raises `NotFound("message")` when there is no
        such message in any of the viewer's rooms."""
        page = await self._store.find_message(message_id, viewer)
        if page is None:
            raise NotFound("message")
        [found] = _viewed_page(page)
        return found

    async def window(self, room_id: RoomId, viewer: UserId, *, around: MessageId, limit: int) -> list[ViewedMessage]:
        """Up to `limit` messages, oldest first: at most half of them before `around`, the rest it and what follows.

        Raises `NotFound("message")` when the room has no such message, `NotFound("room")` or `NotAMember`, and
        `Invalid("limit")`.
        """
        refuse_bad_page(limit)
        viewed = _viewed_page(await self._store.window(room_id, viewer, around=around, limit=limit))
        if not viewed:
            raise NotFound("message")
        return viewed

    async def search(self, viewer: UserId, *, text: str, room_id: RoomId | None = None, limit: int) -> SearchResults:
        """Messages that contain `text`, newest first, in one room or all of the viewer's rooms.

        The text is trimmed; what contains what is said by `model.text.folded`. When it takes longer than
        `searches.SEARCH_S`, what was found by then is the answer, and is not complete. Raises `Invalid("text")` for a
        blank text or one of more than `limits.MOST_QUERY_CHARACTERS`, `Invalid("limit")`, `Overloaded` when too many
        searches wait, `NotFound` or `NotAMember` for a room that is not the viewer's.
        """
        refuse_bad_page(limit)
        text = search_text(text, "text")
        if not text:
            raise Invalid("text", "is empty", rule=Rule.REQUIRED)
        async with self._searches.turn(viewer) as deadline:
            found = await self._store.search(viewer, text=text, room_id=room_id, limit=limit, within_s=deadline.left_s)
        if found.access is not None:
            require_member(found.access)
        messages = tuple(
            ViewedMessage(message=each.message, status=each.receipts.status_of(each.message)) for each in found.messages
        )
        return SearchResults(messages=messages, complete=found.complete)

    async def _ask_for_message(self, room_id: RoomId, command: RoomCommand) -> ViewedMessage:
        answer = await self._ask(room_id, command)
        assert isinstance(answer, Posted)
        return ViewedMessage(message=answer.message, status=answer.receipts.status_of(answer.message))


def post_command(
    author: UserId,
    *,
    text: str,
    attachments: tuple[Attachment, ...] = (),
    key: str | None = None,
    kind: MessageKind = MessageKind.TEXT,
    reply_to: MessageId | None = None,
    sealed: Sealed | None = None,
) -> PostMessage:
    """A `PostMessage` whose fingerprint tells, for every front alike, whether a retry has the same content.

    Raises `Invalid` ("text", "sealed", "attachments" or "idempotency_key") for what no front takes, and no store: a
    text that shows nothing with nothing beside it, or what is too long (`limits`).
    """
    if len(text) > MOST_TEXT_CHARACTERS:
        raise Invalid("text", f"must have at most {MOST_TEXT_CHARACTERS} characters", rule=Rule.LENGTH)
    refuse_unstorable(text)
    if sealed is not None:
        _check_seal(sealed)
    if attachments:
        _check_attachments(attachments)
    elif (sealed is None or not sealed.key_version) and blank(text):
        raise Invalid("text", "is blank" if text else "is empty", rule=Rule.REQUIRED)
    if key is None:
        digest = None
    elif not key or len(key) > MOST_KEY_CHARACTERS:
        raise Invalid("idempotency_key", f"must have 1 to {MOST_KEY_CHARACTERS} characters")
    elif (
        kind is _TEXT
        and reply_to is None
        and sealed is None
        and (not attachments or not any(each.name or each.file_id is not None for each in attachments))
    ):
        content = hashlib.blake2b(text.encode(), digest_size=16)
        for each in attachments:
            content.update(f"\0{each.url}\0{each.mime_type}\0{each.size_bytes}".encode())
        digest = content.digest()
    else:
        digest = _rich_digest(text, attachments, kind, reply_to, sealed)
    return PostMessage(
        author=author,
        text=text,
        attachments=attachments,
        key=key,
        digest=digest,
        kind=kind,
        reply_to=reply_to,
        sealed=sealed,
    )


def _rich_digest(
    text: str,
    attachments: tuple[Attachment, ...],
    kind: MessageKind,
    reply_to: MessageId | None,
    sealed: Sealed | None,
) -> bytes:
    """The fingerprint of more than text and plain links. (Those have a shorter one, as they had before there was
    anything else: a retry must match across an upgrade.)"""
    content = msgspec.json.encode(
        (
            text,
            [(each.url, each.mime_type, each.size_bytes, each.name, each.file_id) for each in attachments],
            kind,
            reply_to,
            None if sealed is None else (sealed.data, sealed.iv, sealed.key_version),
        )
    )
    return hashlib.blake2b(content, digest_size=16, person=b"rich message").digest()


def _check_text(text: str) -> None:
    sized(text, "text", least=0, most=MOST_TEXT_CHARACTERS)
    refuse_unstorable(text)


def _check_attachments(attachments: tuple[Attachment, ...]) -> None:
    if len(attachments) > MOST_ATTACHMENTS:
        raise Invalid("attachments", f"must be at most {MOST_ATTACHMENTS}", rule=Rule.LENGTH)
    for each in attachments:
        refuse_unstorable(each.url + each.mime_type + each.name, "attachments")
        if not 0 <= each.size_bytes <= MAX_ID:
            raise Invalid("attachments", f"must have from 0 to {MAX_ID} bytes")
        if each.file_id is None:
            sized(each.url, "attachments", least=1, most=MOST_URL_CHARACTERS)


def _check_seal(sealed: Sealed) -> None:
    sized(sealed.data, "sealed", least=0, most=_MOST_SEALED_CHARACTERS)
    refuse_unstorable(sealed.data, "sealed")
    refuse_unstorable(sealed.iv, "sealed")


def _viewed_page(page: MessagePage) -> list[ViewedMessage]:
    require_member(page.access)
    assert page.receipts is not None
    return [ViewedMessage(message=each, status=page.receipts.status_of(each)) for each in page.messages]
