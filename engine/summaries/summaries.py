"""Summaries of what was said in a room: on request, and automatically after so many messages.

Who writes them is a `Summarizer`: the extractive one that ships with the engine, or an embedder's. It gets texts and
names, never ids, and no message that the server cannot read; how many of those there were is said in the summary.

Automatic ones cost a room's turns nothing. The engine's sweep looks once a second at the rooms in memory; one that has
got `summary_threshold` messages further since its last automatic summary gets one, in the background. What it covered
is stored with it, so a restart neither repeats nor skips anything, and a burst of messages makes one summary.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog
import trio

from chinwag.engine.model.access import require_member
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import EngineError, NotFound, Overloaded
from chinwag.engine.model.ids import IdSource, RoomId, SummaryId, UserId
from chinwag.engine.model.limits import MOST_PROMPT_CHARACTERS, refuse_no_text, sized
from chinwag.engine.model.storable import refuse_unstorable
from chinwag.engine.model.store import InsertSummary, Store, WriteRejected
from chinwag.engine.model.tasks import Spawn
from chinwag.engine.model.values import Member, Message, MessageKind, Record, Room, Summary

log = structlog.get_logger("chinwag.engine")

UNDETERMINED = "und"
"""The language code where none could be told (ISO 639-2)."""
SUMMARY_MESSAGES = 500
"""A summary is made of at most so many: the newest in its bounds. More would be no more than its summarizer reads."""
AT_ONCE = 2
"""Summaries that are being made at the same time, over all rooms."""
MOST_WAITING = 16
"""Requests that may wait for that; the next is refused."""


class Spoken(Record):
    """One message, as a summarizer sees it. `created_us` is in microseconds since 1970."""

    author_name: str
    text: str
    created_us: int


class SummaryDraft(Record):
    """What a summarizer says. `sentiment` is from -1 to 1, `language` an ISO 639-1 code or "und"."""

    text: str
    keywords: tuple[str, ...] = ()
    sentiment: float = 0.0
    language: str = UNDETERMINED


class Summarizer(Protocol):
    """Writes summaries. May wait, and may be asked for several at once."""

    async def summarize(self, messages: Sequence[Spoken], prompt: str | None) -> SummaryDraft:
        """Summarize messages (at least one, each with a text), oldest first. `prompt` is what the reader wants to know.

        Raises `SummarizerUnavailable`.
        """
        ...


class Watched(Protocol):
    """A room that is in memory, as the sweep sees it."""

    @property
    def room(self) -> Room:
        """With the settings that say whether, and how often, it is summed up."""
        ...

    @property
    def members(self) -> Sequence[Member]:
        """Its members."""
        ...

    @property
    def last_seq(self) -> int:
        """The sequence of its newest message, 0 before the first."""
        ...


class _Mark(Record):
    """When to look at a room again: at `due_seq`, or at once when it has another threshold."""

    threshold: int
    due_seq: int


class _Reading(Record):
    """The messages that a summary is about. `read` have a text, `opaque` are closed to the server, `total` counts all
    in the bounds, those beyond the newest too. Oldest first."""

    read: tuple[Message, ...]
    opaque: int
    newest: Message | None
    """Of all that count: the newest that is not SYSTEM."""
    oldest: Message | None
    last_seq: int
    count: int
    total: int


class Summaries:
    """Makes summaries, stores them, finds them again. Used from the event loop's thread only."""

    def __init__(
        self,
        store: Store,
        summarizer: Summarizer,
        *,
        commits: Commits,
        new_id: IdSource,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        """`spawn` starts a task of the engine's, which ends with the engine."""
        self._store = store
        self._commits = commits
        self._summarizer = summarizer
        self._new_id = new_id
        self._clock = clock
        self._spawn = spawn
        self._at_once = trio.CapacityLimiter(AT_ONCE)
        self._making: set[RoomId] = set()
        """Rooms that a member has asked about."""
        self._following: dict[RoomId, trio.Event] = {}
        """Rooms whose automatic summary is looked after, and when that is done."""
        self._marks: dict[RoomId, _Mark] = {}

    async def generate(
        self,
        room_id: RoomId,
        caller: UserId,
        *,
        after_us: int | None = None,
        before_us: int | None = None,
        prompt: str | None = None,
    ) -> Summary:
        """Make a summary of what was said within the bounds (each included; None: no bound), and keep it.

        Raises `Invalid("prompt")`, `NotFound("room")` or `Forbidden`; `NotFound("messages")` when there is nothing to
        read there, `NotFound("readable messages")` when there is, but not for the server; `SummarizerUnavailable`; and
        `Overloaded` when somebody else's of this room is being made, or too many are. An automatic one of the room is
        waited for.
        """
        if prompt is not None:
            refuse_no_text(prompt, "prompt")
            refuse_unstorable(prompt, "prompt")
            sized(prompt, "prompt", least=0, most=MOST_PROMPT_CHARACTERS)
        if room_id in self._making:
            raise Overloaded("a summary of this room is being made already")
        if self._at_once.statistics().tasks_waiting >= MOST_WAITING:
            raise Overloaded("too many summaries are being made")
        self._making.add(room_id)
        try:
            if room_id in self._following:
                await self._following[room_id].wait()
            reading = await self._read(
                room_id,
                caller,
                after_us=None if after_us is None else after_us - 1,
                before_us=None if before_us is None else before_us + 1,
            )
            return await self._write(room_id, caller, reading, prompt=prompt, automatic=False)
        finally:
            self._making.discard(room_id)

    async def latest(
        self,
        room_id: RoomId,
        viewer: UserId,
        *,
        after_us: int | None = None,
        before_us: int | None = None,
        automatic: bool | None = None,
    ) -> Summary:
        """The newest summary of messages that all lie within the bounds (each included; None: no bound), made
        automatically, on request, or (None) either way.

        Raises `NotFound("room")`, `Forbidden`, or `NotFound("summary")` when none was made.
        """
        require_member(await self._store.access(room_id, viewer))
        found = await self._store.summaries(
            room_id, automatic=automatic, after_us=after_us, before_us=before_us, limit=1
        )
        if not found:
            raise NotFound("summary")
        return found[0]

    # --- automatic ---

    def sweep(self, rooms: Iterable[Watched | None]) -> None:
        """Start what is due among the rooms in memory (None: one that is not loaded yet). Never waits."""
        watched = {each.room.id: each for each in rooms if each is not None and each.room.auto_summary}
        for gone in self._marks.keys() - watched.keys():
            del self._marks[gone]
        for room_id, each in watched.items():
            mark = self._marks.get(room_id)
            if mark is None or mark.threshold != each.room.summary_threshold:
                due = each.room.summary_threshold  # what there was before is looked up when it can matter
            else:
                due = mark.due_seq
            busy = room_id in self._making or room_id in self._following
            if each.last_seq >= due and not busy and each.members:
                self._following[room_id] = trio.Event()
                self._spawn(self._follow, each.room, each.members[0].user_id, each.last_seq)

    async def _follow(self, room: Room, member: UserId, last_seq: int) -> None:
        """Make a room's automatic summary if it is time for one, and note when to look again."""
        due_seq = last_seq + room.summary_threshold  # also when it fails
        try:
            last = await self._store.summaries(room.id, automatic=True, after_us=None, before_us=None, limit=1)
            after_us = last[0].last_us if last else None
            reading = await self._read(room.id, member, after_us=after_us, before_us=None)
            missing = room.summary_threshold - reading.total
            if missing > 0:
                due_seq = max(last_seq, reading.last_seq) + missing
            else:
                due_seq = reading.last_seq + room.summary_threshold
                summary = await self._write(room.id, member, reading, prompt=None, automatic=True)
                log.debug("summary made", room=room.id, messages=summary.message_count)
        except NotFound as nothing:
            log.debug("no automatic summary", room=room.id, reason=nothing.message)
        except EngineError as error:
            log.warning("automatic summary failed", room=room.id, reason=error.message)
        finally:
            self._following.pop(room.id).set()
            self._marks[room.id] = _Mark(threshold=room.summary_threshold, due_seq=due_seq)

    # --- pieces ---

    async def _read(self, room_id: RoomId, viewer: UserId, *, after_us: int | None, before_us: int | None) -> _Reading:
        """The newest messages after and before these times, each excluded. Raises `NotFound` or `Forbidden`."""
        found = await self._store.history_between(
            room_id, viewer, after_us=after_us, before_us=before_us, skip=0, limit=SUMMARY_MESSAGES
        )
        require_member(found.page.access)
        said = [each for each in reversed(found.page.messages) if each.kind is not MessageKind.SYSTEM]
        return _Reading(
            read=tuple(each for each in said if each.text.strip()),
            opaque=sum(each.opaque for each in said),
            newest=said[-1] if said else None,
            oldest=said[0] if said else None,
            last_seq=found.page.messages[0].seq if found.page.messages else 0,
            count=len(said),
            total=found.total - (len(found.page.messages) - len(said)),
        )

    async def _write(
        self, room_id: RoomId, viewer: UserId, reading: _Reading, *, prompt: str | None, automatic: bool
    ) -> Summary:
        if reading.newest is None or reading.oldest is None or not (reading.read or reading.opaque):
            raise NotFound("messages")
        if not reading.read:
            raise NotFound("readable messages")
        spoken = [
            Spoken(author_name=each.author_display_name or each.author_name, text=each.text, created_us=each.created_us)
            for each in reading.read
        ]
        async with self._at_once:
            draft = await self._summarizer.summarize(spoken, prompt)
        require_member(await self._store.access(room_id, viewer))  # it may have taken a minute
        summary = Summary(
            id=SummaryId(self._new_id()),
            room_id=room_id,
            text="\n".join([draft.text, *_remarks(reading)]),
            automatic=automatic,
            message_count=len(reading.read),
            left_out=reading.opaque,
            first_us=reading.oldest.created_us,
            last_us=reading.newest.created_us,
            last_seq=reading.last_seq,
            participants=tuple(dict.fromkeys(each.author_id for each in reading.read)),
            keywords=draft.keywords,
            sentiment=draft.sentiment,
            language=draft.language,
            created_us=self._clock(),
        )
        try:
            await self._commits.commit([InsertSummary(summary=summary)])
        except WriteRejected:  # the room was deleted meanwhile
            raise NotFound("room") from None
        return summary


def _remarks(reading: _Reading) -> list[str]:
    """What a reader must know about what the summary does not cover."""
    remarks = []
    if reading.opaque:
        what = "1 encrypted message was" if reading.opaque == 1 else f"{reading.opaque} encrypted messages were"
        remarks.append(f"({what} left out: the server cannot read {'it' if reading.opaque == 1 else 'them'}.)")
    if reading.total > reading.count:
        remarks.append(f"(Only the newest {reading.count} of {reading.total} messages were read.)")
    return remarks
