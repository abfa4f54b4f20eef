"""Files of the chatrooms front, up and down real sockets: what is taken, what is refused, and what is left behind."""

import io
import itertools
import os
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
import trio
from PIL import Image

from tests.e2e.chatrooms import Chatrooms, Guest, chatrooms_of, code_of, data_of, plain
from tests.e2e.client import Json, closing
from tests.e2e.hostile import read_to_the_end
from tests.e2e.listeners import Listener, Stream, half_close
from tests.e2e.processes import LIMIT_S, Server, serving
from tests.http.kit.file_server import FORM_HEADERS, chunked, field, file_part, form, request

FILE_FIELDS = {"id", "filename", "file_type", "file_size", "encrypted_url", "thumbnail_url", "upload_date"}
LIMIT_BYTES = 10 * 1024 * 1024
AVATAR_LIMIT_BYTES = 5 * 1024 * 1024
LITTLE_BYTES = 64 * 1024 * 1024
"""What a server may grow by, whatever it does meanwhile, when it holds no file in memory; several files are more."""


def picture(kind: str = "PNG", size: tuple[int, int] = (600, 300)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(made, kind)
    return made.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A valid PNG of one colour: hardly any bytes, and more pixels than anybody should decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack("!IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def on_disk(server: Server) -> set[Path]:
    """Every file in the blob store, unfinished ones too."""
    return {path for path in (server.data / "blobs").rglob("*") if path.is_file()}


def peak_bytes(server: Server) -> int:
    """The most memory that a server ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def upload(
    chatrooms: Chatrooms, person: Guest, room: str, content: bytes, name: str = "a.bin", kind: str = "image/png"
) -> httpx2.Response:
    return await chatrooms.ask(
        "POST", "/upload/file", as_=person, data={"chatroom_id": room}, files={"file": (name, content, kind)}
    )


async def uploaded(chatrooms: Chatrooms, person: Guest, room: str, content: bytes, name: str = "a.bin") -> Json:
    answer = await upload(chatrooms, person, room, content, name)
    file: Json = data_of(answer, 201)["file"]
    assert set(file) == FILE_FIELDS
    return file


async def fetch(
    chatrooms: Chatrooms, url: str, *, as_: Guest | None = None, method: str = "GET", **headers: str
) -> httpx2.Response:
    """Ask for a path as the server gave it."""
    sent = {
        **({} if as_ is None else as_.headers),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return await chatrooms.http.request(method, chatrooms.server.url + url, headers=sent)


@asynccontextmanager
async def raw(chatrooms: Chatrooms) -> AsyncIterator[Stream]:
    async with closing(await chatrooms.server.connect()) as stream:
        yield stream


async def answer_to(chatrooms: Chatrooms, *pieces: bytes, end: bool = False) -> tuple[int, str]:
    """Status and code of what a request in pieces is answered with; the connection ends with it."""
    async with raw(chatrooms) as stream:
        received = b""
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    for piece in pieces:
                        await stream.send_all(piece)
                        await trio.sleep(0.001)
                    if end:
                        await half_close(stream)
                except trio.BrokenResourceError:
                    return  # it was answered before all was sent

            nursery.start_soon(send)
            received = await read_to_the_end(stream)
            nursery.cancel_scope.cancel()
    head, _, body = received.partition(b"\r\n\r\n")
    answer = httpx2.Response(int(head.split()[1]), content=body)
    return answer.status_code, code_of(answer) if answer.status_code >= 400 else ""


def upload_request(person: Guest, body: bytes, **headers: str) -> bytes:
    sent = {**FORM_HEADERS, "Connection": "close", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return request("POST", "/chatrooms/upload/file", token=person.token, body=body, headers=sent)


@pytest.fixture
async def ann(chatrooms: Chatrooms) -> Guest:
    return await chatrooms.guest("ann")


@pytest.fixture
async def room(chatrooms: Chatrooms, ann: Guest) -> str:
    return await chatrooms.room(ann)


# --- up and down ------------------------------------------------------------------------------------------------------


async def test_a_file_goes_to_a_chatroom_into_a_message_and_down_again(chatrooms: Chatrooms, ann: Guest) -> None:
    bob, eve = await chatrooms.guests("bob", "eve")
    room = await chatrooms.room(ann, bob)
    content = picture()
    file = await uploaded(chatrooms, ann, room, content, "tea.png")
    assert (file["filename"], file["file_type"], file["file_size"]) == ("tea.png", "image/png", len(content))
    async with chatrooms.socket(bob, room) as socket:
        await chatrooms.post(ann, room, "look", message_type="image", attachments=[file["id"]])
        [message] = await socket.messages(1)
    assert message["message_type"] == "image"
    [shared] = message["attachments"]
    assert set(shared) == FILE_FIELDS - {"id", "upload_date"}
    for url in (shared["encrypted_url"], shared["thumbnail_url"]):
        answer = await fetch(chatrooms, url)
        assert (answer.status_code, code_of(answer)) == (401, "AUTH_TOKEN_INVALID")
        for got in (await fetch(chatrooms, url, as_=bob), await fetch(chatrooms, f"{url}?token={bob.token}")):
            assert got.status_code == 200, got.text
        answer = await fetch(chatrooms, url, as_=eve)
        assert (answer.status_code, code_of(answer)) == (404, "FILE_NOT_FOUND")
    assert (await fetch(chatrooms, shared["encrypted_url"], as_=bob)).content == content
    [listed] = (await chatrooms.history(bob, room))[-1]["attachments"]
    signed = listed["encrypted_url"]
    got = await fetch(chatrooms, signed)  # by itself, for an <img>
    assert (got.status_code, got.content) == (200, content)
    assert got.headers["content-type"] == "image/png" and got.headers["x-content-type-options"] == "nosniff"
    small = await fetch(chatrooms, listed["thumbnail_url"])
    assert max(Image.open(io.BytesIO(small.content)).size) <= 256
    await chatrooms.do("POST", f"/chatrooms/{room}/leave", bob)
    for url in (signed, f"{shared['encrypted_url']}?token={bob.token}"):
        assert (await fetch(chatrooms, url)).status_code == 404  # was made out to somebody who left


async def test_a_signed_url_is_good_for_its_file_its_reader_and_its_time(
    chatrooms: Chatrooms, ann: Guest, room: str
) -> None:
    files = [await uploaded(chatrooms, ann, room, picture(), f"{number}.png") for number in range(2)]
    url = urlsplit(files[0]["encrypted_url"])
    query = dict(parse_qsl(url.query))
    assert (await fetch(chatrooms, f"{url.path}?{urlencode(query)}")).status_code == 200
    eve = await chatrooms.guest("eve")
    later = str(int(query["expires"]) + 1)
    for path, changed in (
        (url.path, {"expires": later}),
        (url.path, {"user": eve.id}),
        (url.path, {"signature": query["signature"][:-1]}),
        (url.path, {"signature": ""}),
        (f"{url.path}/thumbnail", {}),
        (urlsplit(files[1]["encrypted_url"]).path, {}),
    ):
        answer = await fetch(chatrooms, f"{path}?{urlencode(query | changed)}")
        assert (answer.status_code, code_of(answer)) == (401, "AUTH_TOKEN_INVALID"), (path, changed)


async def test_head_and_range_and_if_none_match(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    content = os.urandom(100_000)
    file = await uploaded(chatrooms, ann, room, content, "noise.bin")
    url = file["encrypted_url"]
    whole = await fetch(chatrooms, url)
    assert whole.content == content
    assert whole.headers["content-disposition"].startswith("attachment")
    head = await fetch(chatrooms, url, method="HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "100000")
    for wanted, start, stop in (("0-9", 0, 10), ("99990-", 99_990, 100_000), ("-5", 99_995, 100_000)):
        part = await fetch(chatrooms, url, range=f"bytes={wanted}")
        assert (part.status_code, part.content) == (206, content[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/100000"
    beyond = await fetch(chatrooms, url, range="bytes=100000-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */100000")
    assert (await fetch(chatrooms, url, if_none_match=whole.headers["etag"])).status_code == 304


async def test_an_avatar_is_for_everybody(chatrooms: Chatrooms, ann: Guest) -> None:
    answer = await chatrooms.ask("POST", "/users/me/avatar", as_=ann, files={"file": ("me.gif", picture("GIF"))})
    url = data_of(answer)["avatar_url"]
    assert (await chatrooms.get("/users/me", ann))["avatar_url"] == url
    got = await fetch(chatrooms, url)
    assert (got.status_code, got.headers["content-type"]) == (200, "image/gif")
    assert (await fetch(chatrooms, url[:-2])).status_code == 401
    room = await chatrooms.room(ann)
    assert (await chatrooms.post(ann, room, "with a face"))["avatar_url"] == url


async def test_only_ones_own_files_of_that_chatroom_are_attached(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    bob = await chatrooms.guest("bob")
    other = await chatrooms.room(bob, ann)
    mine = (await uploaded(chatrooms, ann, room, b"mine"))["id"]
    his = (await uploaded(chatrooms, bob, other, b"his"))["id"]
    async with chatrooms.socket(ann, other) as socket:
        for file_id in (mine, his, ann.id):
            body = {"content": plain("look"), "attachments": [file_id]}
            answer = await chatrooms.ask("POST", f"/chatrooms/{other}/messages", as_=ann, json=body)
            assert (answer.status_code, code_of(answer)) == (404, "FILE_NOT_FOUND")
            await socket.send("send_message", chatroom_id=other, client_id="c", **body)
            error = await socket.refused()
            assert (error["code"], error["details"]["client_id"]) == ("FILE_NOT_FOUND", "c")


# --- what is hostile --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/etc/shadow", "shadow"),
        ("..", "file"),
        (".htaccess", "htaccess"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("é" * 300 + ".txt", None),
    ],
)
async def test_a_name_is_never_a_path(chatrooms: Chatrooms, ann: Guest, room: str, name: str, kept: str | None) -> None:
    before = on_disk(chatrooms.server)
    file = await uploaded(chatrooms, ann, room, b"harmless", name)
    if kept is None:
        assert file["filename"].endswith(".txt") and len(file["filename"].encode()) <= 255
    else:
        assert file["filename"] == kept
    [stored] = on_disk(chatrooms.server) - before
    assert file["filename"] not in stored.name and stored.read_bytes() == b"harmless"
    assert (await fetch(chatrooms, file["encrypted_url"])).content == b"harmless"


async def test_a_type_is_what_the_content_says(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    page = b"<html><script>alert(1)</script></html>"
    for content, file_type in (
        (page, "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "text/plain"),
        (b"GIF89a/*\x01\x00*/=1;alert(1)//\xff", "image/gif"),  # a script that begins like a picture
        (picture() + page, "image/png"),
    ):
        file = await uploaded(chatrooms, ann, room, content, "cat.png")
        assert file["file_type"] == file_type
        got = await fetch(chatrooms, file["encrypted_url"])
        assert got.content == content
        assert got.headers["content-type"].partition(";")[0] == file_type
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in got.headers["content-security-policy"]
    before = on_disk(chatrooms.server)
    for executable in (b"\x7fELF" + bytes(100), b"MZ" + bytes(100), b"#!/bin/sh\nrm -rf /\n"):
        answer = await upload(chatrooms, ann, room, executable, "cat.png")
        assert (answer.status_code, code_of(answer)) == (422, "FILE_TYPE_NOT_ALLOWED")
    for avatar in (page, b"%PDF-1.4 \xff", picture()[:60], b"GIF89a\xff"):
        answer = await chatrooms.ask("POST", "/users/me/avatar", as_=ann, files={"file": ("me.png", avatar)})
        assert (answer.status_code, code_of(answer)) == (422, "FILE_TYPE_NOT_ALLOWED")
    assert on_disk(chatrooms.server) == before


async def test_a_picture_of_too_many_pixels_is_not_decoded(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    peak = peak_bytes(chatrooms.server)
    hostile = bomb(50_000, 50_000)  # 2.5 gigabytes of pixels
    file = await uploaded(chatrooms, ann, room, hostile, "bomb.png")
    assert (file["file_type"], file["thumbnail_url"]) == ("image/png", None)
    answer = await chatrooms.ask("POST", "/users/me/avatar", as_=ann, files={"file": ("me.png", hostile)})
    assert (answer.status_code, code_of(answer)) == (422, "FILE_TYPE_NOT_ALLOWED")
    assert peak_bytes(chatrooms.server) - peak < LITTLE_BYTES


@pytest.mark.parametrize("how", ["length", "chunked"])
async def test_too_much_is_refused_and_nothing_of_it_is_kept(
    chatrooms: Chatrooms, ann: Guest, room: str, how: str
) -> None:
    before = on_disk(chatrooms.server)
    for size in (LIMIT_BYTES + 1, LIMIT_BYTES * 2):
        body = form(field("chatroom_id", room), file_part(bytes(size)))
        pieces = [upload_request(ann, body)]
        if how == "chunked":
            pieces = [
                upload_request(ann, b"", Transfer_Encoding="chunked"),
                *(
                    b"%x\r\n%b\r\n" % (len(part), part)
                    for part in (body[at : at + 65_536] for at in range(0, len(body), 65_536))
                ),
                b"0\r\n\r\n",
            ]
        assert await answer_to(chatrooms, *pieces) == (413, "FILE_TOO_LARGE")
    avatar = {"file": ("me.png", picture() + bytes(AVATAR_LIMIT_BYTES))}
    answer = await chatrooms.ask("POST", "/users/me/avatar", as_=ann, files=avatar)
    assert (answer.status_code, code_of(answer)) == (413, "FILE_TOO_LARGE")
    assert on_disk(chatrooms.server) == before


async def test_a_form_that_breaks_off_is_an_upload_that_failed(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    before = on_disk(chatrooms.server)
    body = form(field("chatroom_id", room), file_part(b"x" * 100_000))
    failed = (400, "FILE_UPLOAD_FAILED")
    cut = body[:-20]
    assert await answer_to(chatrooms, upload_request(ann, cut)) == failed
    assert await answer_to(chatrooms, upload_request(ann, chunked(cut), Transfer_Encoding="chunked")) == failed
    for content_type in ("application/json", "multipart/form-data", "multipart/form-data; boundary=other"):
        assert await answer_to(chatrooms, upload_request(ann, body, Content_Type=content_type)) == failed
    without = form(field("chatroom_id", room))
    assert await answer_to(chatrooms, upload_request(ann, without)) == (422, "VALIDATION_REQUIRED_FIELD")
    nowhere = form(file_part(b"x"))
    assert await answer_to(chatrooms, upload_request(ann, nowhere)) == (422, "VALIDATION_REQUIRED_FIELD")
    strange = form(field("chatroom_id", ann.id), file_part(b"x"))
    assert await answer_to(chatrooms, upload_request(ann, strange)) == (404, "CHATROOM_NOT_FOUND")
    assert on_disk(chatrooms.server) == before


@pytest.mark.parametrize("how", ["half-closed", "closed"])
async def test_who_hangs_up_in_the_middle_leaves_nothing(chatrooms: Chatrooms, ann: Guest, room: str, how: str) -> None:
    before = on_disk(chatrooms.server)
    sent = upload_request(ann, form(field("chatroom_id", room), file_part(b"x" * 500_000)))
    async with raw(chatrooms) as stream:
        await stream.send_all(sent[:300_000])
        with trio.fail_after(LIMIT_S):
            while on_disk(chatrooms.server) == before:  # noqa: ASYNC110 - in another process
                await trio.sleep(0.01)
        if how == "half-closed":
            await half_close(stream)
            assert not (await read_to_the_end(stream)).startswith(b"HTTP/1.1 20")
    with trio.fail_after(LIMIT_S):
        while on_disk(chatrooms.server) != before:  # noqa: ASYNC110 - in another process
            await trio.sleep(0.01)
    assert (await chatrooms.get("/health", ann))["status"] == "healthy"


async def test_a_stranger_is_told_before_anything_is_kept(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    eve = await chatrooms.guest("eve")
    before = on_disk(chatrooms.server)
    answer = await upload(chatrooms, eve, room, b"x" * 100_000)
    assert (answer.status_code, code_of(answer)) == (403, "CHATROOM_ACCESS_DENIED")
    nobody = await chatrooms.ask("POST", "/upload/file", data={"chatroom_id": room}, files={"file": ("a", b"x")})
    assert (nobody.status_code, code_of(nobody)) == (401, "AUTH_TOKEN_INVALID")
    assert on_disk(chatrooms.server) == before


async def test_a_sender_who_takes_their_time_gets_there(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    sent = upload_request(ann, form(field("chatroom_id", room), file_part(b"x" * 50_000)))
    cuts = [*range(0, 1200, 3), *range(1200, len(sent), 5_000), len(sent)]
    pieces = [sent[start:stop] for start, stop in itertools.pairwise(cuts)]
    assert await answer_to(chatrooms, *pieces) == (201, "")


async def test_large_files_up_and_down_at_once_are_never_in_memory(chatrooms: Chatrooms, ann: Guest, room: str) -> None:
    content = os.urandom(LIMIT_BYTES)
    await uploaded(chatrooms, ann, room, picture(), "warm-up.png")
    peak = peak_bytes(chatrooms.server)

    async def there_and_back() -> None:
        file = await uploaded(chatrooms, ann, room, content)
        assert (file["file_size"], file["file_type"]) == (LIMIT_BYTES, file["file_type"])
        assert (await fetch(chatrooms, file["encrypted_url"])).content == content

    async with trio.open_nursery() as nursery:
        for _ in range(8):  # more than LITTLE_BYTES in all
            nursery.start_soon(there_and_back)
    assert peak_bytes(chatrooms.server) - peak < LITTLE_BYTES


async def test_a_server_that_is_killed_during_an_upload_keeps_what_was_whole_and_nothing_else(
    listener: Listener, tmp_path: Path
) -> None:
    with serving(tmp_path / "data", listener=listener, fronts=()) as server:
        async with chatrooms_of(server) as chatrooms:
            ann = await chatrooms.guest("ann")
            room = await chatrooms.room(ann)
            file = await uploaded(chatrooms, ann, room, b"whole", "whole.txt")
            whole = on_disk(server)
            async with raw(chatrooms) as stream:
                await stream.send_all(
                    upload_request(ann, form(field("chatroom_id", room), file_part(b"x" * 500_000)))[:-9]
                )
                with trio.fail_after(LIMIT_S):
                    while on_disk(server) == whole:  # noqa: ASYNC110 - in another process
                        await trio.sleep(0.01)
                server.kill()
    with serving(tmp_path / "data", listener=listener, fronts=()) as server:
        assert on_disk(server) == whole
        async with chatrooms_of(server) as chatrooms:
            assert (await fetch(chatrooms, file["encrypted_url"])).content == b"whole"
