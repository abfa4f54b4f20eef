"""Blobs in a folder: whole or not there, under names that nobody can choose."""

import os
from contextlib import aclosing
from pathlib import Path

import pytest
import trio

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.persistence import CannotOpen, FolderBlobs, open_folder_blobs


@pytest.fixture
async def blobs(tmp_path: Path) -> FolderBlobs:
    return await open_folder_blobs(tmp_path / "blobs")


def on_disk(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


async def read(blobs: FolderBlobs, name: str, start: int = 0, stop: int | None = None) -> bytes:
    blob = await blobs.open(name)
    assert blob is not None
    async with aclosing(blob.chunks(start, stop)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def committed(blobs: FolderBlobs, *pieces: bytes) -> str:
    draft = await blobs.create()
    for piece in pieces:
        await draft.write(piece)
    return await draft.commit()


async def test_what_was_committed_can_be_read_whole_and_in_part(blobs: FolderBlobs, tmp_path: Path) -> None:
    content = os.urandom(200_000)
    name = await committed(blobs, content[:5], content[5:])
    assert await read(blobs, name) == content
    assert await read(blobs, name, 70_000) == content[70_000:]
    assert await read(blobs, name, 10, 150_000) == content[10:150_000]
    assert await read(blobs, name, 199_999, 999_999) == content[-1:]
    assert await read(blobs, name, 5, 5) == b""
    opened = await blobs.open(name)
    assert opened is not None
    assert opened.size_bytes == len(content)
    with opened.file() as file:
        assert file.read() == content
    assert on_disk(tmp_path / "blobs") == [Path(name[:2], name)]
    again = await open_folder_blobs(tmp_path / "blobs")
    assert await read(again, name) == content


async def test_no_two_blobs_have_one_name(blobs: FolderBlobs) -> None:
    assert len({await committed(blobs, b"same") for _ in range(50)}) == 50


async def test_a_draft_has_no_name_and_leaves_nothing(blobs: FolderBlobs, tmp_path: Path) -> None:
    draft = await blobs.create()
    await draft.write(b"half")
    (unfinished,) = on_disk(tmp_path / "blobs")
    assert unfinished.parts[0] == "drafts"
    assert await blobs.open(unfinished.name) is None
    await draft.discard()
    await draft.discard()
    assert on_disk(tmp_path / "blobs") == []


async def test_discarding_after_a_commit_keeps_the_blob(blobs: FolderBlobs) -> None:
    draft = await blobs.create()
    await draft.write(b"kept")
    name = await draft.commit()
    await draft.discard()
    assert await read(blobs, name) == b"kept"


async def test_a_draft_can_be_discarded_when_its_upload_is_cancelled(blobs: FolderBlobs, tmp_path: Path) -> None:
    draft = await blobs.create()
    with trio.CancelScope() as scope:
        scope.cancel()
        await draft.discard()
    assert on_disk(tmp_path / "blobs") == []


async def test_unfinished_drafts_are_removed_at_the_start(blobs: FolderBlobs, tmp_path: Path) -> None:
    name = await committed(blobs, b"whole")
    left = await blobs.create()  # its process died
    await left.write(b"half")
    assert len(on_disk(tmp_path / "blobs")) == 2
    again = await open_folder_blobs(tmp_path / "blobs")
    assert on_disk(tmp_path / "blobs") == [Path(name[:2], name)]
    assert await read(again, name) == b"whole"
    await left.discard()


async def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(blobs: FolderBlobs) -> None:
    name = await committed(blobs, b"x")
    await blobs.delete(name)
    await blobs.delete(name)
    assert await blobs.open(name) is None


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "a" * 31, "A" * 32, "a" * 32 + "\n", "/" * 32])
async def test_what_is_no_name_never_becomes_a_path(blobs: FolderBlobs, name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        await blobs.open(name)
    with pytest.raises(ValueError, match="not the name"):
        await blobs.delete(name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_a_full_disk_is_an_unavailable_store(blobs: FolderBlobs, tmp_path: Path) -> None:
    draft = await blobs.create()
    draft._file.close()
    draft._file = Path("/dev/full").open("wb", buffering=0)  # noqa: ASYNC230, SIM115 - closed by discard
    with pytest.raises(StoreUnavailable, match="No space left"):
        await draft.write(b"x")
    await draft.discard()
    assert on_disk(tmp_path / "blobs") == []


async def test_a_commit_that_fails_leaves_nothing(blobs: FolderBlobs, tmp_path: Path) -> None:
    draft = await blobs.create()
    await draft.write(b"x")
    (tmp_path / "blobs" / draft._final.parent.name).write_bytes(b"a file in the place of the folder")
    with pytest.raises(StoreUnavailable):
        await draft.commit()
    assert len(on_disk(tmp_path / "blobs")) == 1


async def test_a_blob_that_became_shorter_is_an_error_and_no_short_answer(blobs: FolderBlobs) -> None:
    name = await committed(blobs, b"0123456789")
    blob = await blobs.open(name)
    assert blob is not None
    os.truncate(blobs.path(name), 4)
    with pytest.raises(StoreUnavailable):
        async with aclosing(blob.chunks()) as chunks:
            async for _ in chunks:
                pass


async def test_only_its_owner_may_look_into_the_folder(blobs: FolderBlobs, tmp_path: Path) -> None:
    name = await committed(blobs, b"secret")
    assert (tmp_path / "blobs").stat().st_mode & 0o077 == 0
    assert blobs.path(name).stat().st_mode & 0o077 == 0


async def test_a_folders_path_may_be_text_and_a_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    await open_folder_blobs(str(tmp_path / "blobs"))
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CannotOpen, match="/file is a file, and has to be a folder"):
            await open_folder_blobs(folder)


async def test_blobs_are_listed_by_name_in_pages(blobs: FolderBlobs, tmp_path: Path) -> None:
    assert await blobs.listing(after="", limit=9) == []
    names = sorted([await committed(blobs, b"x") for _ in range(40)])
    (tmp_path / "blobs" / names[0][:2] / "stranger.txt").write_text("not ours")
    (tmp_path / "blobs" / "lost+found").mkdir()
    listed: list[str] = []
    while page := await blobs.listing(after=listed[-1] if listed else "", limit=7):
        assert len(page) == 7 or len(listed) + len(page) == 40
        listed += [blob.name for blob in page]
    assert listed == names
    assert [blob.name for blob in await blobs.listing(after=names[38], limit=7)] == names[39:]
    assert await blobs.listing(after="f" * 32, limit=7) == []


async def test_a_listed_blob_tells_when_it_was_written(blobs: FolderBlobs) -> None:
    name = await committed(blobs, b"x")
    os.utime(blobs.path(name), ns=(0, 1_234_567_891_000))
    (listed,) = await blobs.listing(after="", limit=7)
    assert (listed.name, listed.written_us) == (name, 1_234_567_891)
