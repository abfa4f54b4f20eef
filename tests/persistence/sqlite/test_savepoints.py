"""Savepoints in SQLite: what is wrong with one is its own; what is wrong with the database is everybody's."""

from pathlib import Path

import apsw
import pytest
import trio
from structlog.testing import capture_logs

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import MessageId
from chinwag.engine.model.store import InsertSummary, Write
from chinwag.engine.model.store_jobs import Savepoint, SetCursor
from chinwag.engine.testing import make_summary
from chinwag.persistence.sqlite.store import open_sqlite_store
from tests.engine.stores.stores import ANN, OTHER, ROOM, post, world

NO_VALUES: list[Write] = [
    InsertSummary(summary=make_summary(2**70, ROOM, first_us=1, last_us=2)),
    SetCursor(name="\ud800", position=""),
    SetCursor(name="a", position=None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("write", NO_VALUES, ids=["number", "surrogate", "null"])
async def test_what_no_row_can_hold_is_refused_alone(tmp_path: Path, write: Write) -> None:
    async with open_sqlite_store(tmp_path / "chinwag.db") as store:
        await store.commit(world())
        with capture_logs() as logs:
            await store.commit([post(1001, ROOM, 1), Savepoint(writes=(SetCursor(name="b", position=""), write))])
        assert [line["event"] for line in logs] == ["a part of a commit was refused"]
        assert await store.message(ROOM, MessageId(1001)) is not None
        assert await store.cursor("b") is None
        assert store.refused_savepoints == 1


async def test_a_full_disk_is_no_matter_of_one_savepoint(tmp_path: Path) -> None:
    def limit(connection: apsw.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").get
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    async with open_sqlite_store(tmp_path / "chinwag.db", prepare_writer=limit) as store:
        await store.commit(world())
        much = Savepoint(writes=(SetCursor(name="much", position="x" * 1_000_000),))
        with pytest.raises(StoreUnavailable):
            await store.commit([post(1001, ROOM, 1), much])
        assert await store.message(ROOM, MessageId(1001)) is None
        await store.commit([post(1001, ROOM, 1), Savepoint(writes=(SetCursor(name="little", position="x"),))])
        assert await store.cursor("little") == "x"
        assert store.refused_savepoints == 0


async def test_messages_with_and_without_savepoints_keep_the_rules_through_the_journal(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "chinwag.db", journal_min_units=1) as store:
        await store.commit(world())
        outcomes: list[str] = []

        async def commit(number: int) -> None:
            room = (ROOM, OTHER)[number % 2]
            kinds: tuple[list[Write], ...] = (
                [],
                [Savepoint(writes=(SetCursor(name=f"{number}", position=""),))],
                [Savepoint(writes=(NO_VALUES[0],))],
            )
            try:
                await store.commit([post(1000 + number, room, number // 2 + 1), *kinds[number % 3]])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
                outcomes.append(repr(error))

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(commit, number)
                await trio.lowlevel.checkpoint()
        assert outcomes == []
        for room in (ROOM, OTHER):
            kept = (await store.history(room, ANN, skip=0, limit=99)).messages
            assert [message.seq for message in kept] == list(range(30, 0, -1))
        assert [await store.cursor(f"{number}") for number in range(60) if number % 3 == 1] == [""] * 20
        assert store.refused_savepoints == 20
