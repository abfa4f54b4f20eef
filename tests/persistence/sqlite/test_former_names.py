"""Names of former releases: found while they are rewritten, and rewritten behind the running server."""

from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.model import addresses, names
from chinwag.engine.model.store import DuplicateKey, InsertUser
from chinwag.engine.model.values import Reaction
from chinwag.engine.testing import make_user
from chinwag.persistence.queries import accounts
from chinwag.persistence.sqlite.former_names import BRING_OVER
from chinwag.persistence.sqlite.rewrites import BroughtOver, Rewriter
from chinwag.persistence.sqlite.store import SqliteStore, open_sqlite_store
from tests.engine.stores.stores import ANN, BOB, ROOM
from tests.persistence.databases import database_of_version

SCHEMA = 8
"""The last one whose names were folded by `str.casefold`."""


def written_by_a_former_release(path: Path, *people: tuple[str, str | None]) -> None:
    """A database with these usernames and addresses, of the users 1, 2, …"""
    connection = database_of_version(path, SCHEMA, "")
    for user_id, (username, email) in enumerate(people, 1):
        connection.execute(
            "INSERT INTO users (id, username, username_fold, email, email_fold, password_hash, created_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (user_id, username, username.casefold(), email, email and email.casefold(), f"hash-{user_id}", user_id),
        )
    connection.close()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(path))
    found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    connection.close()
    return found


def keys(path: Path) -> list[tuple[str, str | None]]:
    return rows(path, "SELECT username_fold, email_fold FROM users ORDER BY id")


def left_to_do(path: Path) -> list[tuple[str, int]]:
    return rows(path, "SELECT name, after FROM rewrites")


async def finish(store: SqliteStore) -> None:
    """Rewrite everything."""
    while store.rewriter.unfinished:
        await store.rewriter.step()


async def who(store: SqliteStore, identifier: str) -> list[int]:
    return [found.user.id for found in await store.credentials(identifier)]


@pytest.fixture(autouse=True)
def nothing_is_rewritten_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(_: Rewriter) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Rewriter, "run", wait)


PEOPLE = (
    ("Zoe\u03011", "Zoe\u0301@example.org"),
    ("\u0130smet", "ismet@faß.de"),
    ("Groß", "ann@例え.jp"),
    ("bob", "Bob@Example.org"),
    ("ann@example.com", None),
)
ASKED = {
    "Zoe\u03011": [1],
    "zo\u00e91": [1],
    "ZO\u00c9@example.org": [1],
    "\u0130smet": [2],
    "ismet@faß.de": [2],
    "Ismet@XN--FA-HIA.de": [2],
    "ismet@fass.de": [],
    "gross": [3],
    "ann@xn--r8jz45g.jp": [3],
    "BOB": [4],
    "bob@example.ORG": [4],
    "Ann@example.com": [5],
    "nobody": [],
}


async def test_names_that_are_not_rewritten_yet_are_found_by_what_they_are(path: Path) -> None:
    written_by_a_former_release(path, *PEOPLE)
    async with open_sqlite_store(path) as store:
        assert {identifier: await who(store, identifier) for identifier in ASKED} == ASKED
        assert await store.user_by_email("ismet@fass.de") is None
    assert left_to_do(path) == [(BRING_OVER.name, 0)]


async def test_all_names_are_rewritten_behind_the_running_server(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_by_a_former_release(path, *PEOPLE)
    monkeypatch.undo()
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            with trio.fail_after(10):
                while store.rewriter.unfinished:
                    await wait_all_tasks_blocked(0.01)
            asked = {**ASKED, "ISMET": [2]}  # which no former release took for the same
            assert {identifier: await who(store, identifier) for identifier in asked} == asked
    assert keys(path) == [(names.key(name), email and addresses.key(email)) for name, email in PEOPLE]
    assert [entry["event"] for entry in logs] == ["rewriting", "rewritten"]


@pytest.mark.parametrize(
    ("username", "email", "clash"),
    [
        ("Zo\u00e91", None, "username"),
        ("GROSS", None, "username"),
        ("new", "zo\u00e9@example.org", "email"),
        ("new", "ismet@FAß.de", "email"),
        ("new", "ismet@fass.de", None),
    ],
)
async def test_who_registers_before_the_rewrite_is_done_clashes_with_whom_they_are_the_same_as(
    path: Path, username: str, email: str | None, clash: str | None
) -> None:
    written_by_a_former_release(path, *PEOPLE)
    async with open_sqlite_store(path) as store:
        new = [InsertUser(user=make_user(9, username, email=email), password_hash="")]
        if clash is None:
            await store.commit(new)
            assert await who(store, str(email)) == [9]
            assert await who(store, "ismet@faß.de") == [2]
        else:
            with pytest.raises(DuplicateKey) as refused:
                await store.commit(new)
            assert refused.value.key == clash


async def test_names_that_are_one_now_are_reported_once_and_both_keep_working(path: Path) -> None:
    written_by_a_former_release(
        path, ("Zo\u00e9", "a@example.org"), ("Zoe\u0301", None), ("dora\u200d", None), ("dora", None), ("x", None)
    )
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            await finish(store)
    assert [(entry["event"], entry["what"], entry["user"], entry["other"]) for entry in logs] == [
        ("account keeps a name that another has", "username", 2, 1),
        ("account keeps a name that another has", "username", 3, 4),
    ]
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            assert await who(store, "Zo\u00e9") == [1, 2]
            assert await who(store, "Zoe\u0301") == [2, 1]
            assert await who(store, "ZO\u00c9") == [1, 2]
            assert await who(store, "dora") == [4]
            assert await who(store, "Dora\u200d") == [3, 4]
            for name in ("zo\u00e9", "Zoe\u0301", "Dora", "dora\u200d"):
                with pytest.raises(DuplicateKey):
                    await store.commit([InsertUser(user=make_user(9, name), password_hash="")])
    assert logs == []


def test_a_row_whose_key_is_held_by_one_that_has_to_move_waits_for_it(path: Path) -> None:
    """The address of the second was stored as the first one's is now: as "ann@fass.de"."""
    written_by_a_former_release(path, ("ann", "ann@fa\u00ads\u00ads.de"), ("bob", "ann@faß.de"))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE users SET email = 'ann@fass.de' WHERE id = 1")
    with capture_logs() as logs:
        assert BRING_OVER.step(connection, 0, 9) == BroughtOver(rows=2, after=2)
    connection.close()
    assert [email for _, email in keys(path)] == ["ann@fass.de", "ann@xn--fa-hia.de"]
    assert logs == []


async def test_a_rewrite_that_ended_in_the_middle_goes_on_from_there(path: Path) -> None:
    written_by_a_former_release(path, *((f"E\u0301{n}", None) for n in range(10)))
    async with open_sqlite_store(path) as store:
        for _ in range(2):
            await store.rewriter.step(rows=3)
    assert left_to_do(path) == [(BRING_OVER.name, 6)]
    assert keys(path) == [(f"\u00e9{n}" if n < 6 else f"e\u0301{n}", None) for n in range(10)]
    async with open_sqlite_store(path) as store:
        assert await who(store, "\u00c99") == [10]
        await finish(store)
        assert await who(store, "\u00c99") == [10]
    assert left_to_do(path) == []
    assert keys(path) == [(f"\u00e9{n}", None) for n in range(10)]


async def test_a_step_is_done_as_a_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_by_a_former_release(path, ("E\u0301va", None), ("Zoe\u0301", None))
    killed = accounts.SET_USERNAME_KEY.replace("$2", "CASE id WHEN 2 THEN NULL ELSE $2 END")
    async with open_sqlite_store(path) as store:
        with monkeypatch.context() as patched:
            patched.setattr(accounts, "SET_USERNAME_KEY", killed)
            with pytest.raises(apsw.ConstraintError):
                await store.rewriter.step()
        assert left_to_do(path) == [(BRING_OVER.name, 0)]
        assert keys(path) == [("e\u0301va", None), ("zoe\u0301", None)]
        await finish(store)
    assert keys(path) == [("\u00e9va", None), ("zo\u00e9", None)]


async def test_a_damaged_name_holds_up_no_other(path: Path) -> None:
    written_by_a_former_release(path, ("ann", None), ("E\u0301va", None))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE users SET username = CAST(x'ff' AS TEXT) WHERE id = 1")
    connection.close()
    async with open_sqlite_store(path) as store:
        await finish(store)
        assert await who(store, "\u00e9va") == [2]


async def test_a_new_database_has_nothing_to_rewrite(path: Path) -> None:
    async with open_sqlite_store(path):
        assert left_to_do(path) == []


async def test_reactions_that_were_stored_in_two_forms_are_one_when_they_are_read(path: Path) -> None:
    reactions = [
        {"user_id": 1, "username": "ann", "emoji": emoji, "created_us": at}
        for at, emoji in enumerate(("❤", "❤\ufe0f", "lol"), 1)
    ]
    extras = msgspec.json.encode({"reactions": reactions}).decode().replace("'", "''")
    written_by_a_former_release(path, ("ann", None), ("bob", None))
    connection = apsw.Connection(str(path))
    connection.execute(f"""
        INSERT INTO rooms (id, kind, name, description, created_by, created_us) VALUES ({ROOM}, 1, 'tea', '', 1, 10);
        INSERT INTO members (room_id, user_id, role, joined_us, delivered_seq, read_seq) VALUES ({ROOM}, 2, 0, 1, 0, 0);
        INSERT INTO messages (row, id, room_id, seq, author_id, text, created_us, extras)
        VALUES (1, 1001, {ROOM}, 1, 1, 'hi', 1001, '{extras}');
    """)
    connection.close()
    async with open_sqlite_store(path) as store:
        [message] = (await store.history(ROOM, BOB, skip=0, limit=9)).messages
    assert message.reactions == (
        Reaction(user_id=ANN, username="ann", emoji="❤\ufe0f", created_us=1),
        Reaction(user_id=ANN, username="ann", emoji="lol", created_us=3),
    )
