"""The store on SQLite: one connection that writes, several that read, in threads of their own.

`open_sqlite_store` opens and migrates the database, runs the persistence actor and the search indexer as long as its
block runs, and at its end commits all that was queued before it closes the file.

Durability: write-ahead log with `synchronous=FULL`, so a commit that was answered survives a power cut. A lock on a
file beside the database keeps a second server out; the database's own locks would let it in, to two actors for one
room.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw
import structlog
import trio

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import FamilyId, FileId, MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    Access,
    CountedPage,
    Credentials,
    FoundMessages,
    KeyedMessage,
    KeyVersion,
    MessagePage,
    Missed,
    Overviews,
    RoomMembers,
    RoomSnapshot,
    Write,
)
from chinwag.engine.model.store_search import NO_DEADLINE
from chinwag.engine.model.values import (
    Deployment,
    Family,
    FoundRooms,
    MemberKey,
    Message,
    RefreshToken,
    Room,
    RoomKey,
    RoomKind,
    RoomOverview,
    StoredFile,
    Summary,
    User,
)
from chinwag.persistence.folding import FOLD_ANEW
from chinwag.persistence.group_commit import FLUSH, DriverWrite, GroupCommit, PersistenceStatistics
from chinwag.persistence.places import check_place, locked
from chinwag.persistence.rows import RowReader
from chinwag.persistence.sqlite.admissions import SqliteAdmissions
from chinwag.persistence.sqlite.errors import engine_error
from chinwag.persistence.sqlite.former_names import BRING_OVER
from chinwag.persistence.sqlite.job_reads import SqliteJobReads
from chinwag.persistence.sqlite.journal import MIN_UNITS, Journal
from chinwag.persistence.sqlite.message_rows import MessageRow
from chinwag.persistence.sqlite.opening import open_database
from chinwag.persistence.sqlite.reads import Snapshot
from chinwag.persistence.sqlite.rewrites import Rewriter
from chinwag.persistence.sqlite.search_index import Indexer
from chinwag.persistence.sqlite.threads import ConnectionThreads
from chinwag.persistence.sqlite.writes import NOTHING_APPLIED, apply_units

log = structlog.get_logger("chinwag.persistence")

P = ParamSpec("P")
T = TypeVar("T")

SEARCHER_NICENESS = 5
"""A thread that searches gets a third of the processor time of one that does anything else, if there is too little.
With 10, a ninth, it hardly ever gets Python's lock from a busy event loop, and the others gain nothing measurable."""
FLUSH_DELAY_S = 0.1
"""From the first commit that goes to the journal until it is flushed; later, if commits are queued then."""
FLUSH_RETRY_S = 5.0
"""Until it is tried again when the store takes no writes."""


class SqliteDriver:
    """Applies batches of writes through the writing connection's thread."""

    def __init__(self, writer: ConnectionThreads, journal: Journal) -> None:
        self._writer = writer
        self._journal = journal
        self._last_row = 0  # the highest row that a message ever had
        self._stored_row = 0  # all up to it are in their table
        self._indexer: Indexer | None = None
        self._unflushed = trio.Event()
        self.refused_savepoints = 0
        """Parts of commits that were refused, while the rest stood."""

    @property
    def journaled(self) -> int:
        """How many messages are in the journal, where they cannot be read."""
        return len(self._journal)

    def journaled_messages(self) -> list[MessageRow]:
        """They, in the order of commit. See `Journal.messages`."""
        return self._journal.messages()

    def is_behind(self, room_id: RoomId | None) -> bool:
        """Whether messages of a room, or with None of any room, are in the journal."""
        return self.journaled > 0 and (room_id is None or self._journal.holds(room_id))

    def may_hold(self, message_id: MessageId) -> bool:
        """Whether a message may be in the journal. See `Journal.may_hold`."""
        return self._journal.may_hold(message_id)

    def start(self, indexer: Indexer) -> None:
        """To be called before anything is applied: the indexer, which needs the actor, is told of what it may index."""
        self._indexer = indexer
        self._last_row = self._stored_row = indexer.last_row

    async def apply(self, units: Sequence[Sequence[DriverWrite]]) -> None:
        """See `Driver.apply`."""
        assert self._indexer is not None
        applied = NOTHING_APPLIED
        try:
            applied = await self._writer.run(apply_units, units, self._last_row, self._journal)
        finally:  # when that failed, the journal may have been flushed all the same
            self._last_row += applied.added
            self.refused_savepoints += applied.refused
            if self.journaled:
                self._unflushed.set()
            else:
                self._stored_row = self._last_row
            self._indexer.committed(self._stored_row, applied.stale)

    async def flush_when_quiet(self, actor: GroupCommit) -> None:
        """Flush the journal `FLUSH_DELAY_S` after something came into it, once no commit is queued. Never returns."""
        while True:
            await self._unflushed.wait()
            self._unflushed = trio.Event()
            await trio.sleep(FLUSH_DELAY_S)
            try:
                await actor.between_commits(self._flush)
            except Exception as error:
                # Every reader of messages tries again, and is told. The store goes on.
                log.warning("journal not flushed", exc_info=error)
                await trio.sleep(FLUSH_RETRY_S)
                self._unflushed.set()

    async def close(self) -> None:
        """Flush the journal, when nobody commits any more. What remains in it is flushed at the next start."""
        try:
            await self._flush()
        except Exception as error:
            log.warning("journal not flushed", exc_info=error)

    async def _flush(self) -> None:
        if self.journaled:
            await self.apply([FLUSH])


class SqliteStore(SqliteAdmissions, SqliteJobReads):
    """See `Store`. Made by `open_sqlite_store`."""

    def __init__(
        self,
        path: Path,
        actor: GroupCommit,
        driver: SqliteDriver,
        readers: ConnectionThreads,
        searchers: ConnectionThreads,
        health: ConnectionThreads,
        indexer: Indexer,
        rewriter: Rewriter,
    ) -> None:
        self._path = path
        self._actor = actor
        self._driver = driver
        self._readers = readers
        self._searchers = searchers
        self._health = health
        self._rows = RowReader()
        self.indexer = indexer
        self.rewriter = rewriter

    def statistics(self) -> PersistenceStatistics:
        """The persistence actor's counters."""
        return self._actor.statistics()

    @property
    def journaled(self) -> int:
        """How many messages are committed and not in their table yet."""
        return self._driver.journaled

    @property
    def refused_savepoints(self) -> int:
        """How many parts of commits were refused, while the rest stood."""
        return self._driver.refused_savepoints

    @property
    def search_backlog(self) -> int:
        """How many messages the search index is behind."""
        return self.indexer.backlog

    async def commit(self, writes: Sequence[Write], then: Callable[[], None] | None = None) -> None:
        await self._actor.commit(writes, then)

    def commit_soon(
        self, writes: Sequence[Write], then: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        self._actor.commit_soon(writes, then, failed)

    async def check(self) -> None:
        """See `Store.check`. It has a thread and a connection to itself: what others have asked for does not delay it.

        A file that was deleted under the server still takes writes, and they end with it.
        """
        if not await self._health.run(self._exists):
            raise StoreUnavailable("the database file is gone")
        await self._read_in(self._health, Snapshot.highest_id)

    async def highest_id(self) -> int:
        return await self._read_rooms(Snapshot.highest_id)

    async def user(self, user_id: UserId) -> User | None:
        return await self._read(Snapshot.user, user_id)

    async def user_by_email(self, email: str) -> User | None:
        return await self._read(Snapshot.user_by_email, email)

    async def credentials(self, identifier: str) -> list[Credentials]:
        return await self._read(Snapshot.credentials, identifier)

    async def users(self, user_ids: Sequence[UserId]) -> list[User]:
        return await self._read(Snapshot.users, user_ids)

    async def active_users(self, *, after: UserId, limit: int) -> list[User]:
        return await self._read(Snapshot.active_users, after, limit)

    async def peers_of(self, user_id: UserId) -> set[UserId]:
        return await self._read(Snapshot.peers_of, user_id)

    async def file(self, file_id: FileId) -> StoredFile | None:
        return await self._read(Snapshot.file, file_id)

    async def files_of(self, room_id: RoomId) -> list[StoredFile]:
        return await self._read(Snapshot.files_of, room_id)

    async def avatars_of(self, user_id: UserId) -> list[StoredFile]:
        return await self._read(Snapshot.avatars_of, user_id)

    async def summaries(
        self, room_id: RoomId, *, automatic: bool | None, after_us: int | None, before_us: int | None, limit: int
    ) -> list[Summary]:
        return await self._read(Snapshot.summaries, room_id, automatic, after_us, before_us, limit)

    async def room_keys(self, room_id: RoomId) -> list[RoomKey]:
        return await self._read(Snapshot.room_keys, room_id)

    async def latest_room_key(self) -> RoomKey | None:
        return await self._read(Snapshot.latest_room_key)

    async def key_version(self, room_id: RoomId) -> KeyVersion:
        return await self._read(Snapshot.key_version, room_id)

    async def key_maker(self, room_id: RoomId, version: int) -> UserId | None:
        return await self._read(Snapshot.key_maker, room_id, version)

    async def member_keys(self, room_id: RoomId, user_id: UserId) -> list[MemberKey]:
        return await self._read(Snapshot.member_keys, room_id, user_id)

    async def deployment(self) -> Deployment | None:
        return await self._read(Snapshot.deployment)

    async def family(self, family_id: FamilyId) -> Family | None:
        return await self._read(Snapshot.family, family_id)

    async def refresh_token(self, digest: bytes) -> RefreshToken | None:
        return await self._read(Snapshot.refresh_token, digest)

    async def access(self, room_id: RoomId, viewer: UserId) -> Access:
        return await self._read(Snapshot.access, room_id, viewer)

    async def direct_room(self, direct_key: str) -> Room | None:
        return await self._read(Snapshot.direct_room, direct_key)

    async def open_rooms_named(self, name: str, *, limit: int) -> list[Room]:
        return await self._read(Snapshot.open_rooms_named, name, limit)

    async def rooms_of(
        self, viewer: UserId, *, name_contains: str, limit: int, within_s: float = NO_DEADLINE
    ) -> FoundRooms:
        await self._flush_if_behind(None)
        threads = self._searchers if name_contains else self._readers
        return await self._read_in(threads, Snapshot.rooms_of, viewer, name_contains, limit, within_s)

    async def room_ids_of(self, viewer: UserId) -> list[RoomId]:
        return await self._read(Snapshot.room_ids_of, viewer)

    async def members(self, room_id: RoomId, viewer: UserId) -> RoomMembers:
        return await self._read(Snapshot.members, room_id, viewer)

    async def room_snapshot(self, room_id: RoomId, *, recent: int) -> RoomSnapshot | None:
        return await self._read_room(Snapshot.room_snapshot, room_id, recent)

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message | None:
        return await self._read_room(Snapshot.message, room_id, message_id)

    async def find_message(self, message_id: MessageId, viewer: UserId) -> MessagePage | None:
        if self._driver.may_hold(message_id):
            await self._actor.commit(FLUSH)
        return await self._read(Snapshot.find_message, message_id, viewer)

    async def keyed_message(self, room_id: RoomId, author_id: UserId, key: str) -> KeyedMessage | None:
        return await self._read_room(Snapshot.keyed_message, room_id, author_id, key)

    async def history(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> MessagePage:
        return await self._read_room(Snapshot.history, room_id, viewer, skip, limit)

    async def history_between(
        self,
        room_id: RoomId,
        viewer: UserId,
        *,
        after_us: int | None,
        before_us: int | None,
        skip: int,
        limit: int,
    ) -> CountedPage:
        return await self._read_room(Snapshot.history_between, room_id, viewer, after_us, before_us, skip, limit)

    async def has_opaque(self, room_id: RoomId, *, after_us: int | None, before_us: int | None) -> bool:
        await self._flush_if_behind(room_id)
        return await self._read_in(self._searchers, Snapshot.has_opaque, room_id, after_us, before_us)

    async def overviews(
        self,
        viewer: UserId,
        *,
        kind: RoomKind | None,
        name_contains: str,
        skip: int,
        limit: int,
        within_s: float = NO_DEADLINE,
    ) -> Overviews:
        await self._flush_if_behind(None)
        threads = self._searchers if name_contains else self._readers
        return await self._read_in(threads, Snapshot.overviews, viewer, kind, name_contains, skip, limit, within_s)

    async def overview(self, room_id: RoomId, viewer: UserId) -> RoomOverview | None:
        return await self._read_room(Snapshot.overview, room_id, viewer)

    async def window(self, room_id: RoomId, viewer: UserId, *, around: MessageId, limit: int) -> MessagePage:
        return await self._read_room(Snapshot.window, room_id, viewer, around, limit)

    async def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int, moment: bool = False
    ) -> dict[RoomId, Missed]:
        return await self._read_rooms(Snapshot.missed, room_ids, viewer, since, limit, moment)

    async def search(
        self, viewer: UserId, *, text: str, room_id: RoomId | None, limit: int, within_s: float = NO_DEADLINE
    ) -> FoundMessages:
        """See `Store.search`. What is in the journal is searched there, so that a search writes nothing."""
        journaled = self._driver.journaled_messages()
        return await self._read_in(self._searchers, Snapshot.search, viewer, text, room_id, limit, within_s, journaled)

    def _exists(self, _connection: apsw.Connection) -> bool:
        return self._path.exists()

    async def _read_room(
        self, read: Callable[Concatenate[Snapshot, RoomId, P], T], room_id: RoomId, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a read that looks at messages of one room. As `_read_rooms`."""
        await self._flush_if_behind(room_id)
        return await self._read(read, room_id, *args, **kwargs)

    async def _read_rooms(self, read: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a read that looks at messages of any room: all that were committed are to be found.

        Raises `StoreUnavailable` when that needs a write, and the store takes none.
        """
        await self._flush_if_behind(None)
        return await self._read(read, *args, **kwargs)

    async def _flush_if_behind(self, room_id: RoomId | None) -> None:
        if self._driver.is_behind(room_id):
            await self._actor.commit(FLUSH)

    async def _read(self, read: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of the snapshot's reads in a reader's thread, in a transaction of its own.

        One that looks at messages goes through `_read_room` or `_read_rooms`, or knows that none of them is journaled.
        """
        return await self._read_in(self._readers, read, *args, **kwargs)

    async def _read_in(
        self,
        threads: ConnectionThreads,
        read: Callable[Concatenate[Snapshot, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The same in one of these threads."""

        def in_snapshot(connection: apsw.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return read(Snapshot(connection, self._rows), *args, **kwargs)
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

        try:
            return await threads.run(in_snapshot)
        except apsw.Error as error:
            refined = engine_error(error)
            if refined is error:
                raise
            raise refined from error


@asynccontextmanager
async def open_sqlite_store(
    path: str | os.PathLike[str],
    *,
    observe: Callable[[int, float], None] | None = None,
    prepare_writer: Callable[[apsw.Connection], None] | None = None,
    journal_min_units: int = MIN_UNITS,
) -> AsyncIterator[SqliteStore]:
    """Open the database at `path`, with its folder if need be, and serve it until the block ends.

    `path` names the file, such as "chinwag-data/chinwag.db", which is the one of `chinwag serve`. Raises `CannotOpen`.
    At the end, also when the block is cancelled, what is queued is committed first. `observe` is called with the writes
    and the seconds of every commit. `prepare_writer` is handed the writing connection before its first commit: tests
    limit its size there. Commits of `journal_min_units` units or more may go through the journal.
    """
    path = Path(path)
    check_place(path)
    with locked(path):
        opened = await trio.to_thread.run_sync(open_database, path, journal_min_units)
        writer = ConnectionThreads([opened.writer], name="chinwag-writer")
        readers = ConnectionThreads(opened.readers, name="chinwag-reader")
        searchers = ConnectionThreads(opened.searchers, name="chinwag-search", niceness=SEARCHER_NICENESS)
        health = ConnectionThreads([opened.health], name="chinwag-health")
        driver: SqliteDriver | None = None
        raised: BaseException | None = None
        try:
            if prepare_writer is not None:
                prepare_writer(opened.writer)
            driver = SqliteDriver(writer, opened.journal)
            actor = GroupCommit(driver, observe=observe)
            indexer = Indexer(opened.writer, writer, actor)
            rewriter = Rewriter(opened.writer, writer, actor, [BRING_OVER, FOLD_ANEW], indexer.add_stale)
            driver.start(indexer)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(actor.run)
                nursery.start_soon(indexer.run)
                nursery.start_soon(rewriter.run)
                nursery.start_soon(driver.flush_when_quiet, actor)
                try:
                    yield SqliteStore(path, actor, driver, readers, searchers, health, indexer, rewriter)
                except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
                    raised = error  # the block's own: raised below, where no exception group is made of it
                finally:
                    actor.close()
                    nursery.cancel_scope.cancel()  # ends all but the actor, which first commits what is queued
        finally:
            with trio.CancelScope(shield=True):
                await searchers.close(interrupt=True)
                await readers.close(interrupt=True)
                await health.close(interrupt=True)
                if driver is not None:
                    await driver.close()  # does not raise
                await writer.close(interrupt=False)  # the last one: moves the log into the database
        if raised is not None:
            raise raised
