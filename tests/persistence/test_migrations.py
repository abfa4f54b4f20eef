"""The numbered steps of the schema."""

import re
from importlib import resources
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model.store import InsertMessage
from chinwag.engine.model.values import Attachment, Family, RefreshToken, Role
from chinwag.engine.testing import make_member, make_message, make_room, make_user
from chinwag.persistence import migrations
from chinwag.persistence.sqlite.opening import migrate
from chinwag.persistence.sqlite.store import open_sqlite_store
from tests.persistence.databases import PEOPLE, database_of_version


def test_steps_are_numbered_from_one_without_holes() -> None:
    steps = migrations.for_sqlite()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))


def test_a_step_is_applied_once() -> None:
    connection = apsw.Connection(":memory:")
    for _ in range(2):
        migrate(connection, Path(":memory:"))
    applied = connection.execute("SELECT version, name FROM schema_versions ORDER BY version").fetchall()
    assert applied == [(step.number, step.name) for step in migrations.for_sqlite()]


def test_sqlite_gets_its_own_types() -> None:
    for step in migrations.for_sqlite():
        statements = re.sub(r"--.*", "", step.script)
        assert "BIGINT" not in statements
        assert "BYTEA" not in statements


def test_every_file_of_the_folder_is_a_step_with_a_known_name() -> None:
    files = {file.name for file in resources.files(migrations.__name__).iterdir() if file.name.endswith(".sql")}
    assert {name for name in files if not re.fullmatch(r"\d{4}_\w+(\.(sqlite|postgres))?\.sql", name)} == set()


# --- from one version to the next ---------------------------------------------------------------------------------

ANN, BOB, CAT = UserId(1), UserId(2), UserId(3)


async def test_what_version_2_stored_reads_back(tmp_path: Path) -> None:
    rows = """
    INSERT INTO families (id, user_id, created_us, revoked_us) VALUES (5, 1, 5, NULL);
    INSERT INTO refresh_tokens (digest, family_id, user_id, expires_us, spent_us) VALUES (x'0102', 5, 1, 500, NULL);
    INSERT INTO rooms (id, kind, name, description, created_by, created_us, direct_key)
    VALUES (10, 1, 'tea', 'and milk', 1, 10, NULL), (11, 0, '', '', 1, 11, 'dm:1:2');
    INSERT INTO members (room_id, user_id, role, joined_us, delivered_seq, read_seq)
    VALUES (10, 1, 20, 10, 3, 2), (10, 2, 0, 11, 3, 3), (11, 1, 20, 11, 0, 0), (11, 2, 0, 11, 0, 0);
    INSERT INTO messages (
        row, id, room_id, seq, author_id, key, digest, text, folded, attachments, created_us, edited_us, deleted_us
    )
    VALUES
        (1, 1001, 10, 1, 1, 'k', x'ff', 'Straße', 'strasse',
            '[{"url":"/f/1","mime_type":"image/png","size_bytes":7}]', 1001, 2000, NULL),
        (2, 1002, 10, 2, 2, NULL, NULL, '', NULL, NULL, 1002, NULL, 3000),
        (3, 1003, 10, 3, 2, NULL, NULL, 'plain', NULL, NULL, 1003, NULL, NULL);
    INSERT INTO remains (name, value) VALUES ('highest_id', 4000);
    """
    database_of_version(tmp_path / "chinwag.db", 2, PEOPLE + rows).close()
    async with open_sqlite_store(tmp_path / "chinwag.db") as store:
        room = replace(make_room(10, ANN, name="tea"), description="and milk")
        direct = replace(make_room(11, ANN, direct_key="dm:1:2"), name="")
        first = replace(
            make_message(1001, 10, 1, ANN, "Straße", key="k"),
            author_name="Ann",
            attachments=(Attachment(url="/f/1", mime_type="image/png", size_bytes=7),),
            edited_us=2000,
        )
        third = replace(make_message(1003, 10, 3, BOB, "plain"), author_name="bob")
        assert await store.user(ANN) == make_user(ANN, "Ann", email="a@example.org")
        assert await store.family(FamilyId(5)) == Family(id=FamilyId(5), user_id=ANN, created_us=5)
        token = RefreshToken(digest=b"\x01\x02", family_id=FamilyId(5), user_id=ANN, expires_us=500)
        assert await store.refresh_token(token.digest) == token
        assert (await store.rooms_of(ANN, name_contains="", limit=9)).rooms == (room, direct)
        assert await store.direct_room("dm:1:2") == direct
        owner = replace(make_member(ANN, role=Role.OWNER, joined_us=10), username="Ann", delivered_seq=3, read_seq=2)
        member = replace(make_member(BOB, joined_us=11), username="bob", delivered_seq=3, read_seq=3)
        assert (await store.members(room.id, BOB)).members == (owner, member)
        assert (await store.history(room.id, BOB, skip=0, limit=9)).messages == (third, first)
        between = await store.history_between(room.id, BOB, after_us=1001, before_us=None, skip=0, limit=9)
        assert (between.page.messages, between.total) == ((third,), 1)
        tombstone = await store.message(room.id, MessageId(1002))
        assert tombstone is not None
        assert tombstone.deleted_us == 3000
        found = (await store.search(BOB, text="STRASSE", room_id=None, limit=9)).messages
        assert [entry.message for entry in found] == [first]
        overviews = await store.overviews(ANN, kind=None, name_contains="", skip=0, limit=9)
        assert [(entry.room.id, entry.unread) for entry in overviews.rooms] == [(10, 1), (11, 0)]
        assert await store.highest_id() == 4000
        await store.commit([InsertMessage(message=make_message(4001, 10, 4, ANN, reply_to=1003))])
        assert await store.message(room.id, MessageId(4001)) is not None


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("(10, 1, 20, 1), (10, 2, 20, 2)", {1: Role.OWNER, 2: Role.ADMIN}),  # its maker
        ("(10, 1, 20, 9), (10, 2, 20, 2)", {1: Role.OWNER, 2: Role.ADMIN}),  # also when another was there longer
        ("(10, 2, 0, 1), (10, 3, 20, 9)", {2: Role.MEMBER, 3: Role.OWNER}),  # the maker left: the highest role
        ("(10, 2, 20, 9), (10, 3, 20, 2)", {2: Role.ADMIN, 3: Role.OWNER}),  # of several who was there longest
        ("(10, 1, 0, 1), (10, 2, 20, 2)", {1: Role.MEMBER, 2: Role.OWNER}),  # the maker gave it away
        ("(11, 1, 20, 1), (11, 2, 0, 1)", {1: Role.OWNER, 2: Role.MEMBER}),  # direct
        ("(11, 2, 0, 1)", {2: Role.MEMBER}),  # direct, its maker left
    ],
)
async def test_version_3_gives_every_group_one_owner(tmp_path: Path, members: str, expected: dict[int, Role]) -> None:
    values = members.replace(")", ", 0, 0)")
    rows = f"""
    INSERT INTO rooms (id, kind, name, description, created_by, created_us, direct_key)
    VALUES (10, 1, 'tea', '', 1, 10, NULL), (11, 0, '', '', 1, 11, 'dm:1:2'), (12, 1, 'empty', '', 1, 12, NULL);
    INSERT INTO members (room_id, user_id, role, joined_us, delivered_seq, read_seq) VALUES {values};
    """
    database_of_version(tmp_path / "chinwag.db", 2, PEOPLE + rows).close()
    room_id = RoomId(int(members[1:3]))
    async with open_sqlite_store(tmp_path / "chinwag.db") as store:
        snapshot = await store.room_snapshot(room_id, recent=0)
        assert snapshot is not None
        assert {member.user_id: member.role for member in snapshot.members} == expected


async def test_version_6_ends_codes_of_who_may_not_invite_any_more_and_knows_who_made_a_key(tmp_path: Path) -> None:
    """Ann owns both rooms, 10 is private and 11 open; Bob is a member of both, Cat has left."""
    makers = {50: (10, 1), 51: (10, 2), 52: (10, 3), 60: (11, 1), 61: (11, 2), 62: (11, 3)}
    invitations = ", ".join(f"({n}, {room}, x'{n}', {maker}, 1, 9, 1, 0)" for n, (room, maker) in makers.items())
    rows = f"""
    INSERT INTO rooms (id, kind, name, description, created_by, created_us, private)
    VALUES (10, 1, 'tea', '', 1, 10, 1), (11, 1, 'open', '', 1, 11, 0);
    INSERT INTO members (room_id, user_id, role, joined_us, delivered_seq, read_seq)
    VALUES (10, 1, 30, 1, 0, 0), (10, 2, 0, 1, 0, 0), (11, 1, 30, 1, 0, 0), (11, 2, 0, 1, 0, 0);
    INSERT INTO invitations (id, room_id, digest, created_by, created_us, expires_us, max_uses, uses)
    VALUES {invitations};
    INSERT INTO member_keys (room_id, version, user_id, sealed, sealed_by, created_us)
    VALUES (10, 1, 1, 'a', 2, 5), (10, 1, 2, 'b', 2, 5), (10, 1, 3, 'c', 1, 7), (10, 2, 1, 'a', 1, 8);
    """
    database_of_version(tmp_path / "chinwag.db", 4, PEOPLE + rows)
    async with open_sqlite_store(tmp_path / "chinwag.db") as store:
        for room_id, good in ((RoomId(10), [50]), (RoomId(11), [61, 60])):
            page = await store.invitations(room_id, ANN, all_from=Role.MEMBER, now_us=5, skip=0, limit=9)
            assert [(each.id, each.maker_role) for each in page.invitations] == [(n, Role.MEMBER) for n in good]
        assert [await store.key_maker(RoomId(10), version) for version in (1, 2, 3)] == [BOB, ANN, None]
        assert (await store.bans(RoomId(10), ANN, skip=0, limit=9)).total == 0
