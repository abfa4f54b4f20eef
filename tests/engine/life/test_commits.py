"""Observed commits: what observers add is durable together with what it is about, and never costs anybody else."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.life.commits import ObservedCommits
from chinwag.engine.model.commands import StartTyping
from chinwag.engine.model.errors import InternalError, StoreUnavailable
from chinwag.engine.model.events import Event, MessagePosted, RoomJoined, TypingStarted
from chinwag.engine.model.store import InsertMember, Store, Write, WriteRejected
from chinwag.engine.model.store_jobs import SetCursor
from chinwag.engine.testing import MemoryStore, make_member
from chinwag.engine.testing.harness import open_harness, texts
from chinwag.persistence import open_sqlite_store
from tests.engine.life.publishers import Heard, note_of
from tests.engine.stores.stores import ANN, BOB, ROOM, post, world


class Notes:
    """An observer that writes a row for each event of its kinds."""

    def __init__(self, *kinds: type[Event], name: str = "notes", write: Callable[[Event], Write] | None = None) -> None:
        self.events = kinds
        self.name = name
        self.asked: list[list[str]] = []
        self.nudges = 0
        self._write = write or self._note

    def writes(self, events: Sequence[Event]) -> Sequence[Write]:
        self.asked.append([type(event).__name__ for event in events])
        return [self._write(event) for event in events]

    def committed(self) -> None:
        self.nudges += 1

    def _note(self, event: Event) -> Write:
        return SetCursor(name=f"{self.name} {note_of(event)}", position="due")


def fail(event: Event) -> Write:
    raise LookupError("a bug in an observer")


def refused(event: Event) -> Write:
    return InsertMember(room_id=ROOM, member=make_member(BOB))


async def test_an_observer_is_asked_about_its_events_and_its_rows_are_in_the_same_commit(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    notes = Notes(MessagePosted, RoomJoined)
    async with open_harness(store, observers=[notes]) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        commits = store.commits
        await h.post(room, ann, "one")
        assert store.commits == commits + 1
        assert await store.cursor("notes one") == "due"
        (message,) = await h.engine.messages.history(room.id, ann.id, skip=0, limit=1)
        await h.engine.messages.edit(room.id, ann.id, message.message.id, text="two")
    assert notes.asked == [["RoomJoined"], ["MessagePosted"]]
    assert notes.nudges == 2


async def test_a_turn_that_writes_nothing_becomes_a_commit_when_an_observer_adds_to_it(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with open_harness(store, observers=[Notes(TypingStarted)]) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        h.engine.rooms.tell(room.id, StartTyping(user_id=ann.id))
        await wait_all_tasks_blocked()
        assert await store.cursor("notes TypingStarted") == "due"


@pytest.mark.parametrize("bad", [fail, refused], ids=["raises", "is refused by the store"])
async def test_an_observer_that_fails_costs_its_own_rows_and_nothing_else(
    bad: Callable[[Event], Write], autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    observers = [Notes(MessagePosted, name="bad", write=bad), Notes(MessagePosted, name="good")]
    async with open_harness(store, observers=observers) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        room = await h.room("tea", ann, bob)
        client = await h.connect(bob, room)
        for text in ("one", "two"):
            await h.post(room, ann, text)
        assert texts(client.received()) == ["one", "two"]
        assert [await store.cursor(f"good {text}") for text in ("one", "two")] == ["due", "due"]
        assert h.engine.observer_failures() == {"bad": 2 if bad is fail else 0, "good": 0}
        assert store.refused_savepoints == (2 if bad is refused else 0)
        assert h.engine.rooms.restarts() == 0


async def test_an_observer_that_fails_after_the_commit_costs_nothing_at_all(autojump_clock: MockClock) -> None:
    class Broken(Notes):
        __hash__ = None  # type: ignore[assignment]

        def committed(self) -> None:
            raise LookupError("a bug in an observer")

    async with open_harness(observers=[Broken(MessagePosted)]) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        client = await h.connect(ann, room)
        await h.post(room, ann, "one")
        assert texts(client.received()) == ["one"]
        assert h.engine.observer_failures() == {"notes": 1}


async def test_a_commit_that_fails_leaves_nothing_of_what_was_added_and_is_observed_anew(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    notes = Notes(MessagePosted)
    async with open_harness(store, observers=[notes]) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        client = await h.connect(ann, room)
        store.fail_next_commits(1, StoreUnavailable("away"))
        with pytest.raises(StoreUnavailable):
            await h.post(room, ann, "lost")
        assert await store.cursor("notes lost") is None
        assert notes.nudges == 0
        store.fail_next_commits(1, WriteRejected("once"))
        with pytest.raises(InternalError):
            await h.post(room, ann, "refused")
        await h.post(room, ann, "kept")
        assert texts(client.received()) == ["kept"]
        assert await store.cursor("notes kept") == "due"


# --- in commit order, on every store ----------------------------------------------------------------------------------


async def test_what_is_committed_is_published_in_the_order_of_the_commits(store: Store) -> None:
    """Then the observers are nudged, then the committer goes on: before anything that was committed later."""
    log: list[str] = []

    class Nudged(Notes):
        def committed(self) -> None:
            log.append("nudged")

    commits = ObservedCommits(store, Heard(log), [Nudged(MessagePosted)])

    def commit(n: int, seq: int) -> None:
        write = post(1000 + n, ROOM, seq, f"{n}")
        event = MessagePosted(room_id=ROOM, message=write.message)
        commits.commit_soon(
            [write], [event], lambda: log.append(f"{n} done"), lambda error: log.append(f"{n} {type(error).__name__}")
        )

    for n, seq in ((1, 1), (2, 2), (3, 2), (4, 3)):
        commit(n, seq)
    assert log == []  # nothing is heard of before it is durable
    message = post(1005, ROOM, 4, "5")
    await commits.commit(
        [message], [MessagePosted(room_id=ROOM, message=message.message)], lambda: log.append("5 done")
    )
    expected = [f"{n} {what}" for n in (1, 2, 4, 5) for what in ("heard", "nudged", "done")]
    expected.insert(6, "3 DuplicateKey")
    assert [line.replace(f"{line[0]} nudged", "nudged") for line in expected] == log
    assert [await store.cursor(f"notes {n}") for n in range(1, 6)] == ["due", "due", None, "due", "due"]


async def test_what_writes_nothing_is_published_at_once(store: Store) -> None:
    log: list[str] = []
    commits = ObservedCommits(store, Heard(log))
    typing = TypingStarted(room_id=ROOM, user_id=ANN, username="ann")
    commits.commit_soon([], [typing], lambda: log.append("done"), lambda error: log.append(str(error)))
    assert log == ["TypingStarted heard", "done"]


# --- a crash: both or neither -----------------------------------------------------------------------------------------

WRITER = """
import sys
import trio
from chinwag.engine.life.commits import ObservedCommits
from chinwag.engine.model.events import MessagePosted
from chinwag.persistence import open_sqlite_store
from tests.engine.life.publishers import Heard
from tests.engine.life.test_commits import Notes
from tests.engine.stores.stores import ROOM, post


async def main():
    async with open_sqlite_store(sys.argv[1]) as store:
        commits = ObservedCommits(store, Heard(), [Notes(MessagePosted)])
        for n in range(1, 100_000):
            write = post(1000 + n, ROOM, n, f"{n}")
            event = MessagePosted(room_id=ROOM, message=write.message)
            await commits.commit([write], [event], lambda: print(n, flush=True))


trio.run(main)
"""


async def test_a_kill_leaves_both_a_message_and_what_was_added_to_it_or_neither(tmp_path: Path) -> None:
    path = tmp_path / "chinwag.db"
    async with open_sqlite_store(path) as store:
        await store.commit(world())
    process = await trio.lowlevel.open_process([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = b""
    while output.count(b"\n") < 100:
        chunk = await process.stdout.receive_some()
        assert chunk, "the writer ended by itself"
        output += chunk
    process.send_signal(signal.SIGKILL)
    async for chunk in process.stdout:
        output += chunk
    await process.wait()
    await process.stdout.aclose()
    answered = int(output.rpartition(b"\n")[0].split()[-1])
    async with open_sqlite_store(path) as store:
        kept = (await store.history(ROOM, ANN, skip=0, limit=100_000)).messages
    connection = apsw.Connection(str(path))
    notes = {name for (name,) in connection.execute("SELECT name FROM cursors")}
    connection.close()
    assert notes == {f"notes {message.text}" for message in kept}
    assert len(kept) >= answered
