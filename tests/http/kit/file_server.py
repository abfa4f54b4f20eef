"""A server with files for tests: a tiny front over the real engine, on real sockets, with real files."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import trio

from chinwag.engine.accounts.deployment import deployment_of
from chinwag.engine.engine import Engine, open_engine
from chinwag.engine.model.clock import wall_clock
from chinwag.engine.model.ids import FileId, RoomId, UserId
from chinwag.engine.model.store import DeleteMember, InsertMember, InsertRoom
from chinwag.engine.model.values import Member, Role, Room, RoomKind, StoredFile
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import PlainPasswords
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import FormPart, Route
from chinwag.http.api.service import HttpService
from chinwag.http.fronts.chatterstack import FRONT
from chinwag.http.kit.file_transfer import AvatarQuery, DownloadQuery, receive_upload, send_avatar, send_file
from chinwag.http.kit.multipart import OVERHEAD_BYTES
from chinwag.http.kit.signed_urls import SignedUrls
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.security.tokens import AccessTokens
from chinwag.http.server import listening
from chinwag.http.settings import ServerName
from chinwag.persistence import open_folder_blobs
from tests.http.service_api import SECRET

LIMIT_BYTES = 1_000_000
LARGE_LIMIT_BYTES = 10_000_000
BOUNDARY = "a-boundary"
PATIENCE_S = 30.0


class Uploaded(msgspec.Struct, frozen=True):
    id: str
    name: str
    mime_type: str
    size_bytes: int
    url: str
    thumbnail_url: str | None
    note: str | None


def uploaded(request: Request[Any, Any], file: StoredFile, note: str | None) -> Reply:
    links, wire_id = SignedUrls(request.tokens), request.ids.encode(file.id)
    original = links.query(file.id, "original", request.claims, request.ids.encode)
    small = links.query(file.id, "thumbnail", request.claims, request.ids.encode)
    return Reply(
        Uploaded(
            wire_id,
            file.name,
            file.mime_type,
            file.size_bytes,
            f"/files/{wire_id}?{original}",
            None if file.thumbnail is None else f"/files/{wire_id}/thumbnail?{small}",
            note,
        )
    )


async def upload(request: Request[None, None]) -> Reply:
    """Take a file."""
    received = await receive_upload(request, limit_bytes=LIMIT_BYTES, room_field="room")
    return uploaded(request, received.file, received.fields.get("note"))


async def upload_large(request: Request[None, None]) -> Reply:
    """Take a large file."""
    received = await receive_upload(request, limit_bytes=LARGE_LIMIT_BYTES, room_field="room")
    return uploaded(request, received.file, received.fields.get("note"))


async def upload_avatar(request: Request[None, None]) -> Reply:
    """Take an avatar."""
    received = await receive_upload(request, limit_bytes=LIMIT_BYTES, room_field=None)
    wire_id = request.ids.encode(received.file.id)
    return Reply(f"/avatars/{wire_id}?signature={SignedUrls(request.tokens).avatar_signature(received.file.id)}")


async def ignore(request: Request[None, None]) -> Reply:
    """Answer without a look at the body."""
    return Reply("ignored")


async def download(request: Request[None, DownloadQuery]) -> Reply:
    """A file."""
    return await send_file(request, request.path_id("file_id", FileId), "original")


async def thumbnail(request: Request[None, DownloadQuery]) -> Reply:
    """A file's thumbnail."""
    return await send_file(request, request.path_id("file_id", FileId), "thumbnail")


async def avatar(request: Request[None, AvatarQuery]) -> Reply:
    """An avatar."""
    return await send_avatar(request, request.path_id("file_id", FileId))


FORM = (FormPart("file", "The file.", is_file=True), FormPart("room", "Where it belongs."))
FILES_FRONT = replace(
    FRONT,
    name="files",
    base="",
    socket_path=None,
    socket=None,
    routes=(
        Route("POST", "/files", upload, streams=LIMIT_BYTES + OVERHEAD_BYTES, form=FORM, response=Uploaded),
        Route("POST", "/large", upload_large, streams=LARGE_LIMIT_BYTES + OVERHEAD_BYTES, form=FORM, response=Uploaded),
        Route("POST", "/avatar", upload_avatar, streams=LIMIT_BYTES + OVERHEAD_BYTES, response=str),
        Route("POST", "/ignore", ignore, streams=LARGE_LIMIT_BYTES, response=str),
        Route("GET", "/files/{file_id}", download, query=DownloadQuery, auth=False, media_type="*/*"),
        Route("GET", "/files/{file_id}/thumbnail", thumbnail, query=DownloadQuery, auth=False, media_type="image/*"),
        Route("GET", "/avatars/{file_id}", avatar, query=AvatarQuery, auth=False, media_type="image/*"),
    ),
)


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    """A raw connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.unread = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        assert data, f"the stream ended early: {self.unread[:200]!r}"
        self.unread += data

    async def answer(self, *, head: bool = False) -> Answer:
        """The next answer, whole."""
        while b"\r\n\r\n" not in self.unread:
            await self._more()
        raw, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = int(first.split()[1])
        length = 0 if head or status in (100, 204, 304) else int(headers["content-length"])
        while len(self.unread) < length:
            await self._more()
        body, self.unread = self.unread[:length], self.unread[length:]
        return Answer(status, headers, body)

    async def ended(self) -> bool:
        """Whether the server closes without another byte."""
        try:
            return not self.unread + await self.stream.receive_some()
        except trio.BrokenResourceError:
            return not self.unread


class FileServer:
    """One server, its rooms and people."""

    def __init__(self, port: int, engine: Engine, store: MemoryStore, tokens: AccessTokens, folder: Path) -> None:
        self.port = port
        self.engine = engine
        self.store = store
        self.tokens = tokens
        self.folder = folder
        self.links = SignedUrls(tokens)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield Client(stream)

    async def person(self, username: str) -> tuple[UserId, str]:
        """A user and a token."""
        user = await self.engine.accounts.register(username=username, email=None, password="secret")
        log_in = await self.engine.accounts.log_in(username, "secret")
        return user.id, self.tokens.issue(user.id, log_in.family_id)

    async def room(self, *user_ids: UserId) -> str:
        """A room of these users; its id on the wire."""
        room_id = RoomId(FILES_FRONT_IDS())
        now = wall_clock()
        room = Room(id=room_id, kind=RoomKind.GROUP, name="tea", description="", created_by=user_ids[0], created_us=now)
        members = [
            InsertMember(
                room_id=room_id,
                member=Member(user_id=user_id, username=f"u{user_id}", role=Role.MEMBER, joined_us=now),
            )
            for user_id in user_ids
        ]
        await self.store.commit([InsertRoom(room=room), *members])
        return str(room_id)

    async def remove(self, room: str, user_id: UserId) -> None:
        await self.store.commit([DeleteMember(room_id=RoomId(int(room)), user_id=user_id)])

    async def ask(
        self, method: str, target: str, *, token: str = "", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        async with self.client() as client:
            await client.send(request(method, target, token=token, body=body, headers=headers))
            return await client.answer(head=method == "HEAD")

    async def upload(self, content: bytes, *, token: str, room: str, name: str = "a.bin", to: str = "/files") -> Answer:
        """Upload a file, with the room after it."""
        body = form(file_part(content, name), field("room", room))
        return await self.ask("POST", to, token=token, body=body, headers=FORM_HEADERS)

    async def until_on_disk(self, number: int) -> None:
        """Wait until there are so many files in the blob store. The test's patience is the limit."""
        while len(self.files_on_disk()) != number:  # noqa: ASYNC110 - the file system tells nobody
            await trio.sleep(0.01)

    def files_on_disk(self) -> list[Path]:
        """Every file in the blob store, unfinished ones too."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


class _Ids:
    """Room ids for tests, apart from those the engine makes."""

    def __init__(self) -> None:
        self.last = 1000

    def __call__(self) -> int:
        self.last += 1
        return self.last


FILES_FRONT_IDS = _Ids()
FORM_HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def request(
    method: str, target: str, *, token: str = "", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A request with its body, of a Content-Length unless the headers say otherwise."""
    lines = {"Host": "h", **(headers or {})}
    if token:
        lines["Authorization"] = f"Bearer {token}"
    if body and "Transfer-Encoding" not in lines:
        lines.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


def file_part(content: bytes, name: str = "a.bin", *, field_name: str = "file", more: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{field_name}"; filename="{name}"\r\n'
    return f"{disposition}Content-Type: application/x-claimed\r\n{more}\r\n".encode() + content


def field(name: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()


def form(*parts: bytes, end: bytes = b"--") -> bytes:
    """A multipart body."""
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + end + b"\r\n"


def chunked(*pieces: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@asynccontextmanager
async def open_file_server(
    folder: Path,
    server: ServerName,
    *,
    config: ListenerConfig | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[FileServer]:
    """Run a server within the block."""
    store = MemoryStore()
    tokens = AccessTokens(SECRET, deployment=await deployment_of(store, wall_clock), lifetime_s=1800.0)
    blobs = await open_folder_blobs(folder)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(PATIENCE_S):
        async with open_engine(store, passwords=PlainPasswords(), blobs=blobs) as engine:
            service = HttpService(engine, tokens, [FILES_FRONT])
            limits = config or ListenerConfig(grace_s=0.5)
            async with listening(engine, service, listeners, limits, server=server, tls=tls):
                port = listeners[0].socket.getsockname()[1]
                yield FileServer(port, engine, store, tokens, folder)
