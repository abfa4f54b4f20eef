"""Uploads and downloads over real sockets, on both listeners: what is taken, what is refused, and what is left."""

import hashlib
import io
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import httpx2
import pytest
import trio
from PIL import Image

from chinwag.engine.model.ids import FileId, RoomId
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.tls import load_tls
from chinwag.http.settings import ServerName
from tests.http.kit.file_server import (
    BOUNDARY,
    FORM_HEADERS,
    LARGE_LIMIT_BYTES,
    LIMIT_BYTES,
    FileServer,
    chunked,
    field,
    file_part,
    form,
    open_file_server,
    request,
)
from tests.http.listener.certificates import Certificate

SHORT_S = 0.3
"""A limit that a test waits for."""


@pytest.fixture(params=get_args(ServerName))
def listener(request: pytest.FixtureRequest) -> ServerName:
    name: ServerName = request.param
    return name


@pytest.fixture
async def server(listener: ServerName, tmp_path: Path) -> AsyncIterator[FileServer]:
    async with open_file_server(tmp_path / "blobs", listener) as opened:
        yield opened


def picture(kind: str = "PNG", size: tuple[int, int] = (600, 300), color: object = (200, 10, 10)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, color).save(made, kind)  # type: ignore[arg-type]  # any colour that Pillow takes
    return made.getvalue()


# --- in and out again ---


async def test_a_file_comes_out_as_it_went_in(server: FileServer) -> None:
    ann, token = await server.person("ann")
    room = await server.room(ann)
    content = bytes(range(256)) * 3000
    made = await server.upload(content, token=token, room=room, name="données 🍵.bin")
    assert made.status == 200, made.body
    assert made.json["name"] == "données 🍵.bin"
    assert (made.json["mime_type"], made.json["size_bytes"]) == ("application/octet-stream", len(content))
    assert made.json["thumbnail_url"] is None
    got = await server.ask("GET", made.json["url"])
    assert (got.status, got.body) == (200, content)
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["referrer-policy"] == "no-referrer"
    assert got.headers["cache-control"].startswith("private")
    assert got.headers["content-disposition"] == (
        "attachment; filename=\"donn_es _.bin\"; filename*=UTF-8''donn%C3%A9es%20%F0%9F%8D%B5.bin"
    )
    stored = await server.store.file(FileId(int(made.json["id"])))
    assert stored is not None
    assert (stored.owner_id, stored.room_id, stored.digest) == (
        ann,
        RoomId(int(room)),
        hashlib.sha256(content).digest(),
    )


async def test_the_fields_may_come_before_the_file_or_after_it(server: FileServer) -> None:
    ann, token = await server.person("ann")
    room = await server.room(ann)
    parts = [file_part(b"\0content"), field("room", room), field("note", "hallöchen")]
    for order in ([0, 1, 2], [1, 2, 0], [1, 0, 2]):
        body = form(*(parts[index] for index in order))
        made = await server.ask("POST", "/files", token=token, body=body, headers=FORM_HEADERS)
        assert (made.status, made.json["note"], made.json["size_bytes"]) == (200, "hallöchen", 8)


async def test_a_chunked_body_is_taken_too_and_the_connection_goes_on(server: FileServer) -> None:
    ann, token = await server.person("ann")
    room = await server.room(ann)
    body = form(field("room", room), file_part(b"\0" + b"x" * 200_000))
    pieces = chunked(*(body[at : at + 7001] for at in range(0, len(body), 7001)))
    headers = {**FORM_HEADERS, "Transfer-Encoding": "chunked"}
    async with server.client() as client:
        for _ in range(2):
            await client.send(request("POST", "/files", token=token, body=pieces, headers=headers))
            assert (await client.answer()).json["size_bytes"] == 200_001
        await client.send(request("GET", "/healthz"))
        assert (await client.answer()).status == 200


async def test_every_way_to_cut_a_small_upload_gives_the_same(server: FileServer) -> None:
    ann, token = await server.person("ann")
    room = await server.room(ann)
    whole = request(
        "POST",
        "/files",
        token=token,
        body=form(file_part(b"\r\n--a-bound\0"), field("room", room)),
        headers=FORM_HEADERS,
    )
    start = whole.index(b"\r\n\r\n")
    async with server.client() as client:
        for cut in range(start, len(whole), 11):
            await client.send(whole[:cut])
            await trio.sleep(0.001)
            await client.send(whole[cut:])
            made = await client.answer()
            assert (made.status, made.json["size_bytes"]) == (200, 12)


async def test_head_and_ranges_and_etags(server: FileServer) -> None:
    ann, token = await server.person("ann")
    content = b"\0" + bytes(range(256)) * 1000
    made = await server.upload(content, token=token, room=await server.room(ann))
    size = len(content)
    ask = partial(server.ask, "GET", made.json["url"])
    head = await server.ask("HEAD", made.json["url"])
    assert (head.status, head.headers["content-length"], head.body) == (200, str(size), b"")
    for wanted, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=200000-", 200000, size),
        ("bytes=-5", size - 5, size),
        (f"bytes=5-{size * 2}", 5, size),
        (f"bytes=-{size * 2}", 0, size),
    ):
        got = await ask(headers={"Range": wanted})
        assert (got.status, got.body) == (206, content[start:stop])
        assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    for wanted in (f"bytes={size}-", f"bytes={size}-{size + 9}", "bytes=-0"):
        got = await ask(headers={"Range": wanted})
        assert (got.status, got.headers["content-range"], got.body) == (416, f"bytes */{size}", b"")
    for wanted in ("bytes=0-1,5-6", "bytes=9-2", "bytes=", "bytes=-", "lines=1-2", "bytes=a-b"):
        assert (await ask(headers={"Range": wanted})).status == 200
    etag = head.headers["etag"]
    for given in (etag, f'"other", W/{etag}', "*"):
        got = await ask(headers={"If-None-Match": given})
        assert (got.status, got.body, got.headers["etag"]) == (304, b"", etag)
    assert (await ask(headers={"If-None-Match": '"other"'})).status == 200
    assert (await ask(headers={"Range": "bytes=1-2", "If-Range": etag})).status == 206
    assert (await ask(headers={"Range": "bytes=1-2", "If-Range": '"other"'})).status == 200


async def test_an_image_is_shown_in_place_and_has_a_thumbnail(server: FileServer) -> None:
    ann, token = await server.person("ann")
    made = await server.upload(picture(), token=token, room=await server.room(ann), name="red.png")
    assert made.json["mime_type"] == "image/png"
    original = await server.ask("GET", made.json["url"])
    assert original.headers["content-disposition"].startswith("inline; ")
    small = await server.ask("GET", made.json["thumbnail_url"])
    assert small.headers["content-type"] == "image/jpeg"
    assert small.headers["etag"] != original.headers["etag"]
    assert Image.open(io.BytesIO(small.body)).size == (256, 128)


async def test_an_avatar_is_for_whoever_knows_its_url(server: FileServer) -> None:
    _, token = await server.person("ann")
    image = picture("GIF")
    made = await server.ask("POST", "/avatar", token=token, body=form(file_part(image, "me.gif")), headers=FORM_HEADERS)
    assert made.status == 200
    got = await server.ask("GET", made.json)
    assert (got.status, got.body[:3], got.headers["content-type"]) == (200, b"GIF", "image/gif")
    path, _, signature = made.json.partition("?signature=")
    for wrong in (path, f"{path}?signature=", f"{path}?signature={signature[:-1]}", f"{path}?signature=%C3%A9"):
        assert (await server.ask("GET", wrong)).status == 401
    # Its id with a room file's way in, and a room file's id with an avatar's.
    file_id = path.rpartition("/")[2]
    assert (await server.ask("GET", f"/files/{file_id}?signature={signature}&user=1&expires=9")).status == 401
    ann, token = await server.person("bob")
    private = (await server.upload(image, token=token, room=await server.room(ann))).json["id"]
    forged = server.links.avatar_signature(FileId(int(private)))
    assert (await server.ask("GET", f"/avatars/{private}?signature={forged}")).status == 404


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "is text/plain"),
        (picture()[:60], "ends before there is anything to see"),
        (picture()[:20], "cannot be decoded"),
        (picture("TIFF"), "is image/tiff"),
        (b"%PDF-1.4\n\xe2\xe3\xcf\xd3\0", "is application/pdf"),
    ],
)
async def test_an_avatar_has_to_be_an_image(server: FileServer, content: bytes, reason: str) -> None:
    _, token = await server.person("ann")
    body = form(file_part(content, "me.png"))
    made = await server.ask("POST", "/avatar", token=token, body=body, headers=FORM_HEADERS)
    assert made.status == 400
    assert reason in made.json["error"]
    assert server.files_on_disk() == []


# --- what is not taken ---


async def test_strangers_upload_nothing_and_are_told_before_they_send(server: FileServer) -> None:
    ann, _ = await server.person("ann")
    _, stranger = await server.person("eve")
    room = await server.room(ann)
    expecting = {**FORM_HEADERS, "Expect": "100-continue", "Content-Length": "500000"}
    async with server.client() as client:  # without a token
        await client.send(request("POST", "/files", headers=expecting))
        assert (await client.answer()).status == 401
    async with server.client() as client:  # too large
        huge = {**expecting, "Content-Length": str(LIMIT_BYTES * 10)}
        await client.send(request("POST", "/files", token=stranger, headers=huge))
        refused = await client.answer()
        assert (refused.status, refused.json["error"]) == (400, f"file: is larger than {LIMIT_BYTES} bytes")
    for order in (0, 1):
        parts = [field("room", room), file_part(b"\0content")]
        made = await server.ask(
            "POST", "/files", token=stranger, body=form(*parts[:: 1 - 2 * order]), headers=FORM_HEADERS
        )
        assert made.status == 403
    assert (await server.upload(b"\0", token=stranger, room="12345")).status == 404
    assert (await server.upload(b"\0", token=stranger, room="nonsense")).status == 400
    assert server.files_on_disk() == []


async def test_who_waits_to_be_told_is_told_when_the_body_is_wanted(server: FileServer) -> None:
    ann, token = await server.person("ann")
    body = form(file_part(b"\0content"), field("room", await server.room(ann)))
    expecting = {**FORM_HEADERS, "Expect": "100-continue", "Content-Length": str(len(body))}
    async with server.client() as client:
        for _ in range(2):
            await client.send(request("POST", "/files", token=token, headers=expecting))
            assert (await client.answer()).status == 100
            await client.send(body)
            assert (await client.answer()).status == 200
        login = b'{"email": "x", "password": "y"}'
        await client.send(
            request("POST", "/nowhere", headers={"Expect": "100-continue", "Content-Length": str(len(login))})
        )
        assert (await client.answer()).status == 100
        await client.send(login)
        assert (await client.answer()).status == 404


@pytest.mark.parametrize("how", ["length", "chunked"])
async def test_a_file_that_is_too_large_is_refused_and_the_client_gets_to_know(server: FileServer, how: str) -> None:
    ann, token = await server.person("ann")
    room = await server.room(ann)
    for size in (LIMIT_BYTES + 1, LIMIT_BYTES * 5):
        body = form(field("room", room), file_part(b"x" * size))
        headers = FORM_HEADERS
        if how == "chunked":
            body, headers = chunked(body), {**FORM_HEADERS, "Transfer-Encoding": "chunked"}
        made = await server.ask("POST", "/files", token=token, body=body, headers=headers)
        assert made.status == 400
        assert "larger than" in made.json["error"]
    assert server.files_on_disk() == []
    exactly = await server.upload(b"x" * LIMIT_BYTES, token=token, room=room)
    assert (exactly.status, exactly.json["mime_type"]) == (200, "text/plain")


@pytest.mark.parametrize(
    ("content_type", "body", "word"),
    [
        ("application/json", b"{}", "multipart/form-data"),
        ("", form(file_part(b"x")), "multipart/form-data"),
        ("multipart/form-data", form(file_part(b"x")), "boundary"),
        ("multipart/form-data; boundary=", form(file_part(b"x")), "boundary"),
        (f"multipart/form-data; boundary={'b' * 71}", form(file_part(b"x")), "boundary"),
        ("multipart/form-data; boundary=other", form(file_part(b"x")), "well-formed"),
        (f"multipart/form-data; boundary={BOUNDARY}", form(file_part(b"x"))[:-10], "closing boundary"),
        (f"multipart/form-data; boundary={BOUNDARY}", form(field("room", "1")), "is required"),
        (f"multipart/form-data; boundary={BOUNDARY}", form(file_part(b"x")), "room: is required"),
        (f"multipart/form-data; boundary={BOUNDARY}", form(file_part(b"x"), file_part(b"y")), "only one"),
    ],
)
async def test_a_form_that_is_wrong_is_refused_clearly(
    server: FileServer, content_type: str, body: bytes, word: str
) -> None:
    _, token = await server.person("ann")
    headers = {"Content-Type": content_type} if content_type else {}
    made = await server.ask("POST", "/files", token=token, body=body, headers=headers)
    assert made.status == 400
    assert word in made.json["error"]
    assert server.files_on_disk() == []


# --- clients that do not do their part ---


@pytest.mark.parametrize("how", ["length", "chunked"])
async def test_a_client_that_hangs_up_in_the_middle_leaves_no_file(server: FileServer, how: str) -> None:
    ann, token = await server.person("ann")
    body = form(field("room", await server.room(ann)), file_part(b"x" * 500_000))
    headers = {**FORM_HEADERS, "Content-Length": str(len(body))}
    if how == "chunked":
        body, headers = chunked(body), {**FORM_HEADERS, "Transfer-Encoding": "chunked"}
    sent = request("POST", "/files", token=token, body=body, headers=headers)
    async with server.client() as client:
        await client.send(sent[:300_000])
        await server.until_on_disk(1)
    await server.until_on_disk(0)
    assert (await server.ask("GET", "/healthz")).status == 200


async def test_a_client_that_sends_too_slowly_is_refused(listener: ServerName, tmp_path: Path) -> None:
    config = ListenerConfig(body_timeout_s=SHORT_S, grace_s=0.5)
    async with open_file_server(tmp_path / "blobs", listener, config=config) as server:
        ann, token = await server.person("ann")
        body = form(field("room", await server.room(ann)), file_part(b"x" * 400_000))
        sent = request("POST", "/files", token=token, body=body, headers=FORM_HEADERS)
        async with server.client() as client:  # says nothing more
            await client.send(sent[:-100_000])
            assert (await client.answer()).status == 408
        async with server.client() as client, trio.open_nursery() as nursery:  # a byte from time to time

            async def trickle() -> None:
                await client.send(sent[:1000])
                for at in range(1000, 2000):
                    await trio.sleep(SHORT_S / 10)
                    await client.send(sent[at : at + 1])

            nursery.start_soon(trickle)
            assert (await client.answer()).status == 408
            nursery.cancel_scope.cancel()
        async with server.client() as client:  # longer than the limit, and never slower than it allows
            at = 0
            for _ in range(15):
                await client.send(sent[at : at + 20_000])
                at += 20_000
                await trio.sleep(SHORT_S / 6)
            await client.send(sent[at:])
            assert (await client.answer()).status == 200
        assert len(server.files_on_disk()) == 1


async def test_a_body_that_nobody_wants_is_dropped_and_the_answer_arrives(server: FileServer) -> None:
    _, token = await server.person("ann")
    async with server.client() as client:
        await client.send(request("POST", "/ignore", token=token, body=bytes(5_000_000)))
        answer = await client.answer()
        assert (answer.status, answer.json) == (200, "ignored")
    async with server.client() as client:  # one that is there already does not cost the connection
        for _ in range(2):
            await client.send(request("POST", "/ignore", token=token, body=b"x"))
            assert (await client.answer()).status == 200


async def test_a_download_that_nobody_reads_holds_nobody_up(listener: ServerName, tmp_path: Path) -> None:
    config = ListenerConfig(send_timeout_s=SHORT_S, grace_s=0.5)
    async with open_file_server(tmp_path / "blobs", listener, config=config) as server:
        ann, token = await server.person("ann")
        room = await server.room(ann)
        made = await server.upload(b"\0" * 9_000_000, token=token, room=room, to="/large")
        assert made.status == 200
        async with server.client() as client:
            client.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await client.send(request("GET", made.json["url"]))
            await client.stream.receive_some(1000)
            assert (await server.ask("GET", "/healthz")).status == 200
            await trio.sleep(SHORT_S * 4)
            received = 0
            with pytest.raises(trio.BrokenResourceError):
                while data := await client.stream.receive_some():
                    received += len(data)
                raise trio.BrokenResourceError  # an end as good as a reset, as long as it is early
            assert received < 9_000_000


# --- who may have it ---


@asynccontextmanager
async def one_file(server: FileServer) -> AsyncIterator[tuple[str, str, str, str]]:
    """Ann's and bob's room with a file of ann's: the room, the signed URL, ann's and bob's tokens."""
    ann, hers = await server.person("ann")
    bob, his = await server.person("bob")
    room = await server.room(ann, bob)
    made = await server.upload(b"\0secret", token=hers, room=room)
    yield room, made.json["url"], hers, his


@pytest.mark.parametrize("path", ["/files/nonsense", "/files/nonsense/thumbnail", "/avatars/nonsense?signature=x"])
async def test_what_is_no_id_names_no_file(server: FileServer, path: str) -> None:
    _, token = await server.person("ann")
    answer = await server.ask("GET", path, token=token)
    assert (answer.status, answer.json) == (404, {"error": "file not found"})


async def test_without_a_signature_a_token_is_needed(server: FileServer) -> None:
    async with one_file(server) as (_, url, hers, his):
        path = url.partition("?")[0]
        _, stranger = await server.person("eve")
        assert (await server.ask("GET", path)).status == 401
        assert (await server.ask("GET", f"{path}?token=nonsense")).status == 401
        for token in (hers, his):
            assert (await server.ask("GET", path, token=token)).body == b"\0secret"
            assert (await server.ask("GET", f"{path}?token={token}")).body == b"\0secret"
        assert (await server.ask("GET", path, token=stranger)).status == 404
        assert (await server.ask("GET", "/files/12345", token=stranger)).status == 404
        assert (await server.ask("GET", f"{path}/thumbnail", token=hers)).status == 404


async def test_a_signature_is_good_for_its_own_url_and_viewer_only(server: FileServer) -> None:
    async with one_file(server) as (room, url, hers, _):
        path, _, query = url.partition("?")
        given = dict(pair.split("=") for pair in query.split("&"))
        other = (await server.upload(b"\0other", token=hers, room=room)).json["url"]
        bob = await server.engine.accounts.log_in("bob", "secret")

        async def status(path: str, **changed: str) -> int:
            fields = "&".join(f"{name}={value}" for name, value in {**given, **changed}.items())
            return (await server.ask("GET", f"{path}?{fields}")).status

        assert await status(path) == 200
        assert await status(path, user=str(bob.user.id)) == 401
        assert await status(path, expires=str(int(given["expires"]) + 1)) == 401
        assert await status(path, expires=f"0{given['expires']}") in (200, 401)
        for wrong in ("", "0", "x", "-1", "9" * 5000, "%C2%B2"):
            assert await status(path, expires=wrong) == 401
            assert await status(path, signature=wrong) == 401
            assert await status(path, user=wrong) == 401
        assert await status(other.partition("?")[0]) == 401
        assert await status(f"{path}/thumbnail") == 401


async def test_a_link_is_worth_nothing_after_its_viewer_has_left(server: FileServer) -> None:
    async with one_file(server) as (room, url, hers, his):
        path = url.partition("?")[0]
        assert (await server.ask("GET", url)).status == 200
        ann = (await server.engine.accounts.log_in("ann", "secret")).user
        await server.remove(room, ann.id)
        assert (await server.ask("GET", url)).status == 404
        assert (await server.ask("GET", path, token=hers)).status == 404
        assert (await server.ask("GET", path, token=his)).status == 200


async def test_a_link_is_worth_nothing_to_who_was_deactivated(server: FileServer) -> None:
    async with one_file(server) as (_, url, _, his):
        ann = (await server.engine.accounts.log_in("ann", "secret")).user
        await server.engine.accounts.set_active(ann.id, False)
        assert (await server.ask("GET", url)).status == 401
        assert (await server.ask("GET", url.partition("?")[0], token=his)).status == 200


async def test_ten_megabytes_come_and_go(server: FileServer) -> None:
    ann, token = await server.person("ann")
    content = b"\0" + b"0123456789abcdef" * ((LARGE_LIMIT_BYTES - 1) // 16)
    made = await server.upload(content, token=token, room=await server.room(ann), to="/large")
    assert (made.status, made.json["size_bytes"]) == (200, len(content))
    assert (await server.ask("GET", made.json["url"])).body == content


async def test_a_large_upload_and_its_download_are_never_in_memory(server: FileServer) -> None:
    """Client and server are one process here: what is counted is both."""
    ann, token = await server.person("ann")
    room = await server.room(ann)
    piece = b"\0" * 50_000
    size = LARGE_LIMIT_BYTES // len(piece) * len(piece)
    begin = form(field("room", room), file_part(b"")).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {**FORM_HEADERS, "Content-Length": str(len(begin) + size + len(end))}
    tracemalloc.start()
    try:
        async with server.client() as client:
            await client.send(request("POST", "/large", token=token, headers=headers) + begin)
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(size // len(piece)):
                await client.send(piece)
            await client.send(end)
            made = await client.answer()
            assert made.json["size_bytes"] == size
            await client.send(request("GET", made.json["url"]))
            received = 0
            while received < size:
                received += len(await client.stream.receive_some(65536))
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < size / 4


async def test_files_travel_over_http_2_as_well(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    context = load_tls(certificate.cert, certificate.key)
    async with open_file_server(tmp_path / "blobs", "hypercorn", tls=context) as server:
        ann, token = await server.person("ann")
        room = await server.room(ann)
        url = f"https://127.0.0.1:{server.port}"
        content = b"\0" + b"0123456789" * 300_000
        async with httpx2.AsyncClient(http2=True, verify=certificate.client(), base_url=url) as client:
            bearer = {"Authorization": f"Bearer {token}"}
            made = await client.post("/large", headers=bearer, data={"room": room}, files={"file": ("a.bin", content)})
            assert (made.http_version, made.status_code) == ("HTTP/2", 200)
            assert made.json()["size_bytes"] == len(content)
            got = await client.get(made.json()["url"])
            assert (got.status_code, got.content) == (200, content)
            part = await client.get(made.json()["url"], headers={"Range": "bytes=10-19"})
            assert (part.status_code, part.content) == (206, content[10:20])
            assert (await client.head(made.json()["url"])).headers["content-length"] == str(len(content))
            refused = await client.post("/files", headers=bearer, data={"room": room}, files={"file": ("a", content)})
            assert refused.status_code == 400
            unwanted = await client.post("/ignore", headers=bearer, content=content)
            assert (unwanted.status_code, unwanted.json()) == (200, "ignored")
            assert (await client.get("/healthz")).status_code == 200
        assert len(server.files_on_disk()) == 1
