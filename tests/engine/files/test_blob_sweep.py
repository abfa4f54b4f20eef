"""The sweep of blobs without a row: it finds what a crash left, and never takes what is or will be somebody's file."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from PIL import Image

from chinwag.engine.files.blob_sweep import LEAST_AGE_US, NAME, BlobSweep
from chinwag.engine.files.files import Files
from chinwag.engine.files.pictures import open_pictures
from chinwag.engine.life.commits import ObservedCommits
from chinwag.engine.life.jobs import More
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.store import InsertFile, Store, Write
from chinwag.engine.testing import MemoryStore, make_file
from chinwag.persistence import FolderBlobs, open_folder_blobs
from tests.engine.files.images import saved
from tests.engine.life.publishers import Heard
from tests.engine.stores.stores import ANN, ROOM, world

PICTURE = saved(Image.new("RGB", (400, 300), (200, 30, 60)), "PNG")


@pytest.fixture
async def blobs(tmp_path: Path) -> FolderBlobs:
    return await open_folder_blobs(tmp_path / "blobs")


def later() -> int:
    """When everything that is there now is old enough."""
    return wall_clock() + LEAST_AGE_US + 1_000_000


def sweep(
    store: Store,
    blobs: FolderBlobs,
    *,
    under_way: Collection[str] = (),
    clock: Callable[[], int] = later,
    at_once: int = 500,
) -> BlobSweep:
    commits = ObservedCommits(store, Heard())
    return BlobSweep(store, commits, blobs, under_way=under_way, clock=clock, at_once=at_once)


async def left(blobs: FolderBlobs) -> list[str]:
    return [blob.name for blob in await blobs.listing(after="", limit=10_000)]


async def committed(blobs: FolderBlobs, count: int) -> list[str]:
    names = []
    for _ in range(count):
        draft = await blobs.create()
        await draft.write(b"bytes")
        names.append(await draft.commit())
    return names


async def test_blobs_without_a_row_are_deleted_and_those_of_files_stay(store: Store, blobs: FolderBlobs) -> None:
    plain, picture, thumbnail, lost = await committed(blobs, 4)
    await store.commit(
        [
            InsertFile(file=replace(make_file(50, ANN, ROOM), blob=plain, thumbnail=None)),
            InsertFile(file=replace(make_file(51, ANN, None), blob=picture, thumbnail=thumbnail)),
        ]
    )
    assert await sweep(store, blobs).step() is More.LATER
    assert await left(blobs) == sorted([plain, picture, thumbnail])
    assert await blobs.open(lost) is None


async def test_none_is_deleted_that_is_younger_than_a_day(store: Store, blobs: FolderBlobs) -> None:
    young, old = await committed(blobs, 2)
    for name, age_s in ((young, LEAST_AGE_US / 1e6 - 60), (old, LEAST_AGE_US / 1e6 + 60)):
        written_s = wall_clock() / 1e6 - age_s
        os.utime(blobs.path(name), (written_s, written_s))
    await sweep(store, blobs, clock=wall_clock).step()
    assert await left(blobs) == [young]


@asynccontextmanager
async def taking_files(store: Store, blobs: FolderBlobs) -> AsyncIterator[Files]:
    async with open_pictures() as pictures:
        ids = iter(range(5000, 6000))
        commits = ObservedCommits(store, Heard())
        yield Files(
            store=store, commits=commits, new_id=lambda: next(ids), clock=wall_clock, blobs=blobs, pictures=pictures
        )


@pytest.mark.parametrize(
    ("room_id", "content"),
    [(ROOM, b"words"), (ROOM, PICTURE), (None, PICTURE)],
    ids=["a text", "a picture and its thumbnail", "an avatar, which is written anew"],
)
async def test_an_upload_that_is_under_way_is_let_alone_however_old_its_bytes_are(
    blobs: FolderBlobs, room_id: RoomId | None, content: bytes
) -> None:
    """Its bytes have a name before its row is there. A sweep at each moment, by a clock that is far ahead."""

    class Sweeping(MemoryStore):
        """Sweeps before each commit."""

        async def commit(self, writes: Sequence[Write], then: Callable[[], None] | None = None) -> None:
            if any(isinstance(write, InsertFile) for write in writes):
                await sweep(self, blobs, under_way=files.under_way).step()
            await super().commit(writes, then)

    store = Sweeping()
    await store.commit(world())
    (lost,) = await committed(blobs, 1)
    async with taking_files(store, blobs) as files:
        async with files.receiving(limit_bytes=100_000) as incoming:
            await incoming.write(content)
            await sweep(store, blobs, under_way=files.under_way).step()
            stored = await incoming.keep(ANN, room_id, name="a")
        await sweep(store, blobs, under_way=files.under_way).step()
        assert (await files.open(stored.id, ANN)).blob.size_bytes == stored.size_bytes
        if content is PICTURE:
            await files.open(stored.id, ANN, thumbnail=True)
        assert files.under_way == set()
    assert await left(blobs) == sorted(filter(None, (stored.blob, stored.thumbnail)))
    assert lost != stored.blob


async def test_an_upload_that_ends_while_the_sweep_asks_the_store_keeps_its_bytes(blobs: FolderBlobs) -> None:
    class Slow(MemoryStore):
        """Answers with what was named before the upload ended."""

        async def named_blobs(self, names: Sequence[str]) -> set[str]:
            named = await super().named_blobs(names)
            end_upload.set()
            await upload_ended.wait()
            return named

    end_upload, upload_ended = trio.Event(), trio.Event()
    store = Slow()
    await store.commit(world())
    await committed(blobs, 1)  # there is something to ask about

    async def upload() -> None:
        async with files.receiving(limit_bytes=100) as incoming:
            await incoming.write(b"words")
            name.append(await incoming.draft.commit())
            under_way.set()
            await end_upload.wait()
            file = replace(make_file(50, ANN, ROOM), blob=name[0], thumbnail=None)
            await store.commit([InsertFile(file=file)])
        upload_ended.set()

    name: list[str] = []
    under_way = trio.Event()
    async with taking_files(store, blobs) as files, trio.open_nursery() as nursery:
        nursery.start_soon(upload)
        await under_way.wait()
        await sweep(store, blobs, under_way=files.under_way).step()
    assert await left(blobs) == name


async def test_a_sweep_goes_in_bounded_steps_and_on_where_it_was_after_a_crash(
    store: Store, blobs: FolderBlobs, tmp_path: Path
) -> None:
    names = sorted(await committed(blobs, 10))
    assert await sweep(store, blobs, at_once=3).step() is More.NOW
    assert await left(blobs) == names[3:]
    blobs = await open_folder_blobs(tmp_path / "blobs")  # the process was killed; this is the next one
    new = "0" * 32
    blobs.path(new).parent.mkdir(exist_ok=True)
    blobs.path(new).write_bytes(b"behind the cursor: its turn is in the next round")
    going_on = sweep(store, blobs, at_once=3)
    outcomes = [await going_on.step() for _ in range(3)]
    assert outcomes == [More.NOW, More.NOW, More.LATER]
    assert await left(blobs) == [new]
    assert await store.cursor(NAME) == ""
    assert await going_on.step() is More.LATER
    assert await left(blobs) == []


async def test_a_step_that_was_done_and_not_noted_is_done_again(blobs: FolderBlobs) -> None:
    store = MemoryStore()
    await store.commit(world())
    names = sorted(await committed(blobs, 4))
    store.fail_next_commits(1, StoreUnavailable("killed"))
    again = sweep(store, blobs, at_once=2)
    with pytest.raises(StoreUnavailable):
        await again.step()
    assert await left(blobs) == names[2:]
    assert await again.step() is More.NOW
    assert await again.step() is More.LATER
    assert await left(blobs) == []


async def test_nothing_is_deleted_while_the_store_cannot_say_what_is_named(blobs: FolderBlobs) -> None:
    class Unsure(MemoryStore):
        async def named_blobs(self, names: Sequence[str]) -> set[str]:
            raise StoreUnavailable(f"cannot say of {len(names)}")

    names = await committed(blobs, 2)
    with pytest.raises(StoreUnavailable):
        await sweep(Unsure(), blobs).step()
    assert await left(blobs) == sorted(names)


async def test_drafts_are_none_of_its_business(store: Store, blobs: FolderBlobs) -> None:
    draft = await blobs.create()
    await draft.write(b"half")
    await sweep(store, blobs).step()
    await draft.write(b" and whole")
    name = await draft.commit()
    assert name == draft.name
    assert await left(blobs) == [name]
