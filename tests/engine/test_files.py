"""Uploads into rooms: whatever goes wrong, there is no row without bytes, and no bytes without a row."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import trio
from PIL import Image

from chinwag.engine.engine import open_engine
from chinwag.engine.errors import (
    FileTooLarge,
    Forbidden,
    Invalid,
    NotAMember,
    NotFound,
    StoreUnavailable,
    TypeNotAllowed,
)
from chinwag.engine.files import Files, OpenedFile
from chinwag.engine.ids import FileId, RoomId, UserId
from chinwag.engine.store import DeleteMember, Store
from chinwag.engine.testing import MemoryStore
from chinwag.persistence import FolderBlobs, open_folder_blobs
from tests.engine.stores import ANN, BOB, CAT, ROOM

NO_ROOM = RoomId(999)
LIMIT = 100_000


class Counter:
    def __init__(self) -> None:
        self.last = 5000

    def __call__(self) -> int:
        self.last += 1
        return self.last


@pytest.fixture
async def blobs(tmp_path: Path) -> FolderBlobs:
    return await open_folder_blobs(tmp_path / "blobs")


@pytest.fixture
def files(store: Store, blobs: FolderBlobs) -> Files:
    return Files(store=store, new_id=Counter(), blobs=blobs)


def on_disk(tmp_path: Path) -> int:
    return sum(path.is_file() for path in (tmp_path / "blobs").rglob("*"))


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for each in content:
        yield each


def picture(kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(made, kind)
    return made.getvalue()


async def content_of(opened: OpenedFile) -> bytes:
    async with aclosing(opened.blob.chunks()) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def upload(files: Files, *content: bytes, owner: UserId = ANN, room: RoomId | None = ROOM) -> FileId:
    stored = await files.upload(owner, room, name="../a.txt", chunks=pieces(*content), limit_bytes=LIMIT)
    return stored.id


async def test_a_file_is_for_the_members_of_its_room(files: Files, tmp_path: Path) -> None:
    file_id = await upload(files, b"hello ", b"you")
    for viewer in (ANN, BOB):
        opened = await files.open(file_id, viewer)
        assert await content_of(opened) == b"hello you"
        assert (opened.file.name, opened.file.mime_type, opened.file.owner_id) == ("a.txt", "text/plain", ANN)
    for viewer, which in ((CAT, file_id), (ANN, FileId(1)), (UserId(999), file_id)):
        with pytest.raises(NotFound, match="file not found"):
            await files.open(which, viewer)
    with pytest.raises(NotFound):
        await files.open(file_id, ANN, thumbnail=True)
    with pytest.raises(NotFound):
        await files.open_avatar(file_id)
    assert on_disk(tmp_path) == 1


async def test_a_member_who_was_removed_may_not_have_it_any_more(files: Files, store: Store) -> None:
    file_id = await upload(files, b"hello")
    await store.commit([DeleteMember(room_id=ROOM, user_id=BOB)])
    with pytest.raises(NotFound):
        await files.open(file_id, BOB)
    await files.open(file_id, ANN)


async def test_an_image_gets_a_thumbnail_and_a_damaged_one_none(files: Files, tmp_path: Path) -> None:
    file_id = await upload(files, picture())
    small = await files.open(file_id, BOB, thumbnail=True)
    assert Image.open(io.BytesIO(await content_of(small))).size == (256, 256)
    assert small.etag != (await files.open(file_id, BOB)).etag
    damaged = await upload(files, picture()[:-50])
    assert (await files.open(damaged, ANN)).file.thumbnail is None
    assert on_disk(tmp_path) == 3


async def test_an_avatar_is_for_everybody_and_has_to_be_an_image(files: Files, tmp_path: Path) -> None:
    avatar = await upload(files, picture("JPEG"), room=None)
    assert await content_of(await files.open_avatar(avatar)) == picture("JPEG")
    assert (await files.open(avatar, CAT)).file.id == avatar
    kept = on_disk(tmp_path)
    for content in (b"text", picture()[:-50], picture("WEBP"), b"\0unknown"):
        with pytest.raises(TypeNotAllowed):
            await upload(files, content, room=None)
    assert on_disk(tmp_path) == kept


async def broken() -> AsyncIterator[bytes]:
    yield b"the beginning"
    raise ConnectionError("the client left")


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda files: upload(files, b"x", owner=CAT), NotAMember),
        (lambda files: upload(files, b"x", room=NO_ROOM), NotFound),
        (lambda files: upload(files, b""), Invalid),
        (lambda files: upload(files), Invalid),
        (lambda files: upload(files, b"\x7fELF\x02\0"), TypeNotAllowed),
        (lambda files: upload(files, b"x" * LIMIT, b"y"), FileTooLarge),
        (
            lambda files: files.upload(
                ANN, ROOM, name="a", chunks=pieces(b"x"), limit_bytes=9, types=frozenset({"image/png"})
            ),
            TypeNotAllowed,
        ),
        (lambda files: files.upload(ANN, ROOM, name="a", chunks=broken(), limit_bytes=99), ConnectionError),
    ],
)
async def test_what_is_refused_leaves_nothing(
    files: Files, tmp_path: Path, attempt: Callable[[Files], Awaitable[object]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await attempt(files)
    assert on_disk(tmp_path) == 0


async def test_who_is_removed_during_the_upload_keeps_nothing(files: Files, store: Store, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"the beginning"
        await store.commit([DeleteMember(room_id=ROOM, user_id=ANN)])
        yield b"the end"

    with pytest.raises(NotAMember):
        await files.upload(ANN, ROOM, name="a", chunks=chunks(), limit_bytes=LIMIT)
    assert on_disk(tmp_path) == 0


async def test_a_cancelled_upload_leaves_nothing(files: Files, tmp_path: Path) -> None:
    begun = trio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"the beginning"
        begun.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await files.upload(ANN, ROOM, name="a", chunks=chunks(), limit_bytes=LIMIT)

        nursery.start_soon(run)
        await begun.wait()
        assert on_disk(tmp_path) == 1
        nursery.cancel_scope.cancel()
    assert on_disk(tmp_path) == 0


async def test_a_row_that_cannot_be_stored_takes_its_bytes_with_it(
    files: Files, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(store, "commit", fail)
    with pytest.raises(StoreUnavailable):
        await upload(files, picture())
    assert on_disk(tmp_path) == 0


async def test_attachments_are_the_callers_own_files_of_that_room(files: Files) -> None:
    hers, his = await upload(files, picture()), await upload(files, b"text", owner=BOB)
    (attached,) = await files.attachments(ANN, ROOM, [hers])
    assert (attached.file_id, attached.mime_type, attached.has_thumbnail, attached.url) == (hers, "image/png", True, "")
    for wrong in (his, FileId(1), await upload(files, picture(), room=None)):
        with pytest.raises(NotFound):
            await files.attachments(ANN, ROOM, [hers, wrong])


async def test_bytes_that_are_gone_are_a_file_that_is_not_found(files: Files, store: Store, blobs: FolderBlobs) -> None:
    file_id = await upload(files, b"hello")
    file = await store.file(file_id)
    assert file is not None
    await blobs.delete(file.blob)
    with pytest.raises(NotFound):
        await files.open(file_id, ANN)


async def test_an_engine_without_blobs_takes_no_files() -> None:
    async with open_engine(MemoryStore()) as engine:
        with pytest.raises(Forbidden, match="stores no files"):
            await engine.files.upload(ANN, None, name="a", chunks=pieces(b"x"), limit_bytes=9)
        with pytest.raises(NotFound):
            await engine.files.open(FileId(1), ANN)


async def test_a_deleted_room_takes_the_bytes_of_its_files_with_it(blobs: FolderBlobs, tmp_path: Path) -> None:
    async with open_engine(MemoryStore(), blobs=blobs) as engine:
        ann = await engine.accounts.register(username="ann", email=None, password="secret")
        tea, other = [await engine.create_room(ann.id, name=name) for name in ("tea", "other")]
        gone = await upload(engine.files, picture(), owner=ann.id, room=tea.id)
        kept = await upload(engine.files, b"text", owner=ann.id, room=other.id)
        assert on_disk(tmp_path) == 3
        await engine.delete_room(tea.id, ann.id)
        assert on_disk(tmp_path) == 1
        assert await content_of(await engine.files.open(kept, ann.id)) == b"text"
        with pytest.raises(NotFound):
            await engine.files.open(gone, ann.id)
