"""Uploads into rooms: whatever goes wrong, there is no row without bytes, and no bytes without a row."""

import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from PIL import Image

from chinwag.engine.engine import open_engine
from chinwag.engine.files.files import Files, OpenedFile
from chinwag.engine.files.pictures import Pictures, open_pictures
from chinwag.engine.life.commits import ObservedCommits
from chinwag.engine.model.errors import (
    FileTooLarge,
    Forbidden,
    Invalid,
    NotAMember,
    NotFound,
    PicturesUnavailable,
    StoreUnavailable,
    TypeNotAllowed,
)
from chinwag.engine.model.ids import FileId, RoomId, UserId
from chinwag.engine.model.store import DeleteMember, InsertFile, Store
from chinwag.engine.model.values import StoredFile
from chinwag.engine.testing import MemoryStore, make_file
from chinwag.engine.testing.clock import SetClock
from chinwag.persistence import FolderBlobs, open_folder_blobs
from tests.engine.life.publishers import Heard
from tests.engine.stores.stores import ANN, BOB, CAT, ROOM

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
async def pictures() -> AsyncIterator[Pictures]:
    async with open_pictures() as opened:
        yield opened


@pytest.fixture
def files(store: Store, blobs: FolderBlobs, pictures: Pictures) -> Files:
    commits = ObservedCommits(store, Heard())
    return Files(store=store, commits=commits, new_id=Counter(), clock=SetClock(), blobs=blobs, pictures=pictures)


def on_disk(tmp_path: Path) -> int:
    return sum(path.is_file() for path in (tmp_path / "blobs").rglob("*"))


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for each in content:
        yield each


def whereabouts() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    return exif


WHERE_I_LIVE = {"exif": whereabouts(), "xmp": b"<x:xmpmeta>where I live"}


def picture(kind: str = "PNG", **more: Any) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(made, kind, **more)
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


async def test_an_image_is_kept_byte_for_byte_and_gets_a_thumbnail_and_a_damaged_one_none(
    files: Files, tmp_path: Path
) -> None:
    content = picture("JPEG", **WHERE_I_LIVE)
    file_id = await upload(files, content)
    small = await files.open(file_id, BOB, thumbnail=True)
    assert Image.open(io.BytesIO(await content_of(small))).size == (256, 256)
    assert small.etag != (await files.open(file_id, BOB)).etag
    assert await content_of(await files.open(file_id, BOB)) == content
    damaged = await upload(files, picture()[:60])
    opened = await files.open(damaged, ANN)
    assert (opened.file.mime_type, opened.file.thumbnail) == ("image/png", None)
    assert on_disk(tmp_path) == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
async def test_an_avatar_is_for_everybody_and_says_nothing_of_its_owner(
    files: Files, tmp_path: Path, kind: str
) -> None:
    avatar = await upload(files, picture(kind, **WHERE_I_LIVE), room=None)
    opened = await files.open_avatar(avatar)
    content = await content_of(opened)
    assert Image.open(io.BytesIO(content)).format == kind
    assert b"where I live" not in content
    assert (opened.file.name, opened.file.mime_type) == (f"avatar.{kind.lower()}", f"image/{kind.lower()}")
    assert (opened.file.size_bytes, opened.file.digest) == (len(content), hashlib.sha256(content).digest())
    assert opened.blob.size_bytes == len(content)
    assert (await files.open(avatar, CAT)).file.id == avatar
    assert on_disk(tmp_path) == 2  # the picture and its thumbnail: not what came


async def test_an_avatar_has_to_be_an_image_that_can_be_shown(files: Files, tmp_path: Path) -> None:
    bomb = io.BytesIO()
    Image.new("1", (8000, 7000)).save(bomb, "PNG")
    for content in (b"text", picture()[:60], b"BM" + bytes(100), b"\0unknown", bomb.getvalue()):
        with pytest.raises(TypeNotAllowed):
            await upload(files, content, room=None)
    assert on_disk(tmp_path) == 0
    assert (await files.open(await upload(files, bomb.getvalue()), ANN)).file.thumbnail is None


async def test_an_avatar_of_an_earlier_release_is_cleaned_before_anybody_gets_it(
    files: Files, store: Store, blobs: FolderBlobs, tmp_path: Path
) -> None:
    content = picture("JPEG", **WHERE_I_LIVE)
    before = await stored_as_it_came(store, blobs, content)
    opened: list[OpenedFile] = []

    async def look() -> None:
        opened.append(await files.open_avatar(before.id))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(look)
    shown = {await content_of(each) for each in (*opened, await files.open(before.id, CAT))}
    assert len(shown) == 1
    assert not [each for each in shown if b"where I live" in each]
    file = await store.file(before.id)
    assert file is not None
    assert file.cleaned
    assert (file.owner_id, file.created_us) == (before.owner_id, before.created_us)
    assert on_disk(tmp_path) == 2


async def test_an_avatar_of_an_earlier_release_that_cannot_be_cleaned_is_not_shown(
    files: Files, store: Store, blobs: FolderBlobs
) -> None:
    before = await stored_as_it_came(store, blobs, b"\xff\xd8\xff where I live")
    for _ in range(2):
        with pytest.raises(NotFound):
            await files.open_avatar(before.id)
    assert await store.file(before.id) == before


async def stored_as_it_came(store: Store, blobs: FolderBlobs, content: bytes) -> StoredFile:
    """An avatar as releases stored it that did not write them anew."""
    draft = await blobs.create()
    await draft.write(content)
    file = replace(
        make_file(900, ANN, None), blob=await draft.commit(), mime_type="image/jpeg", size_bytes=len(content)
    )
    await store.commit([InsertFile(file=file)])
    return file


async def test_without_anything_to_make_pictures_with_files_are_stored_and_avatars_wait(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "")
    stored = await files.open(await upload(files, picture()), ANN)
    assert stored.file.thumbnail is None
    with pytest.raises(PicturesUnavailable, match="worker process"):
        await upload(files, picture(), room=None)
    assert on_disk(tmp_path) == 1


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
        tea, other = [await engine.rooms.create(ann.id, name=name) for name in ("tea", "other")]
        gone = await upload(engine.files, picture(), owner=ann.id, room=tea.id)
        kept = await upload(engine.files, b"text", owner=ann.id, room=other.id)
        assert on_disk(tmp_path) == 3
        await engine.rooms.delete(tea.id, ann.id)
        assert on_disk(tmp_path) == 1
        assert await content_of(await engine.files.open(kept, ann.id)) == b"text"
        with pytest.raises(NotFound):
            await engine.files.open(gone, ann.id)


# --- which avatar a user has --------------------------------------------------------------------------------------


async def test_a_new_avatar_takes_the_place_of_those_before_and_their_bytes_are_gone(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    async with open_engine(MemoryStore(), blobs=blobs) as engine:
        ann, bob = [
            await engine.accounts.register(username=name, email=None, password="secret") for name in ("ann", "bob")
        ]
        old, his, new = [
            await upload(engine.files, picture(), owner=who, room=None) for who in (ann.id, bob.id, ann.id)
        ]
        assert (await engine.accounts.show_avatar(ann.id, old, "/old")).avatar_url == "/old"
        await engine.accounts.show_avatar(bob.id, his, "/his")
        await engine.accounts.show_avatar(ann.id, new, "/new")
        with pytest.raises(NotFound):
            await engine.files.open_avatar(old)
        for kept in (his, new):
            await engine.files.open_avatar(kept)
    assert on_disk(tmp_path) == 4


async def test_of_two_avatars_at_once_the_later_one_is_shown_whatever_comes_last(blobs: FolderBlobs) -> None:
    async with open_engine(MemoryStore(), blobs=blobs) as engine:
        ann = await engine.accounts.register(username="ann", email=None, password="secret")
        first, second = [await upload(engine.files, picture(), owner=ann.id, room=None) for _ in range(2)]
        await engine.accounts.show_avatar(ann.id, second, "/second")
        assert (await engine.accounts.show_avatar(ann.id, first, "/first")).avatar_url == "/second"
        await engine.files.open_avatar(second)


@pytest.mark.parametrize("elsewhere", [None, "https://example.org/me.png"])
async def test_who_has_no_uploaded_avatar_any_more_leaves_none_behind(
    blobs: FolderBlobs, tmp_path: Path, elsewhere: str | None
) -> None:
    async with open_engine(MemoryStore(), blobs=blobs) as engine:
        ann = await engine.accounts.register(username="ann", email=None, password="secret")
        avatar = await upload(engine.files, picture(), owner=ann.id, room=None)
        await engine.accounts.show_avatar(ann.id, avatar, "/avatar")
        await engine.accounts.update_profile(ann.id, display_name="Ann")
        await engine.accounts.update_profile(ann.id, avatar_url="/the-same/avatar", avatar_id=avatar)
        await engine.files.open_avatar(avatar)
        await engine.accounts.update_profile(ann.id, avatar_url=elsewhere)
        with pytest.raises(NotFound):
            await engine.files.open_avatar(avatar)
    assert on_disk(tmp_path) == 0
