"""Who is measured: Chinwag, any server at an address, the peers. Each opens a site with the rooms that are wanted."""

import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import jwt

from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.compare.installs import SOURCES, Installs
from chinwag.benchmarks.compare.processes import ServerProcess, running
from chinwag.benchmarks.errors import BenchError, PeerMissing
from chinwag.benchmarks.generator.frames import NumberedFrames, chat_message, masked_frame
from chinwag.benchmarks.generator.http_client import HttpClient, address
from chinwag.benchmarks.generator.sockets import Dial, Wire
from chinwag.benchmarks.generator.world import Plan, World, nameless, numbered, prepare, register

BARE_SENDS: Final = "bare sends"
CEILING: Final = "generator ceiling"
BASELINE: Final = "baseline"
"""Another version of Chinwag."""
OWN_COMMAND: Final = (sys.executable, "-c", "from chinwag.http.cli import main; main()")
"""What runs this version, as `chinwag` does."""
FRONTS: Final = ("chatterstack",)
"""The fronts whose API the generator speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server that is up, with the rooms that were planned."""

    name: str
    host: str
    port: int
    world: World
    base: str = ""
    socket_path: str = "/ws"
    greet: Callable[[Wire], None] | None = None
    around: tuple[bytes, bytes] = (b"", b"")
    """What the protocol puts before and after a message."""
    process: ServerProcess | None = None

    def dial(self, room: int, member: int) -> Dial:
        """How a member connects to its room."""
        party = self.world.rooms[room]
        mark = "&" if "?" in self.socket_path else "?"
        return Dial(
            host=self.host,
            port=self.port,
            path=f"{self.base}{self.socket_path}{mark}room_id={party.id}",
            token=party.members[member].token,
            greet=self.greet,
        )

    def dials(self, room: int) -> list[Dial]:
        """All members of a room."""
        return [self.dial(room, member) for member in range(len(self.world.rooms[room].members))]

    def frames(self, room: int, size: int) -> NumberedFrames:
        """Messages to a room, whose text has `size` characters."""
        before, after = chat_message(self.world.rooms[room].id, size)
        return NumberedFrames(self.around[0] + before, after + self.around[1])

    @property
    def usage(self) -> machine.Usage | None:
        """What the server used so far, None where that cannot be told."""
        return None if self.process is None else self.process.usage


class Contestant(Protocol):
    """One server to measure."""

    @property
    def name(self) -> str: ...

    def open(self, plan: Plan, cpu: int | None) -> "contextlib.AbstractContextManager[Site]":
        """Start it within a block, on a core, with the rooms. Raises PeerMissing when that cannot be done."""
        ...


@dataclass(frozen=True, slots=True)
class Chinwag:
    """`chinwag serve` with everything on, on a data folder of its own."""

    front: str = "chatterstack"
    name: str = "Chinwag"
    limited: bool = False
    """With its rate limits on, which work at full speed would meet."""

    @contextlib.contextmanager
    def open(self, plan: Plan, cpu: int | None) -> Iterator[Site]:
        """See `Contestant`."""
        with tempfile.TemporaryDirectory(prefix="chinwag-bench-") as name:
            folder = Path(name) / "data"
            world = prepare(folder, plan)
            with serving(folder, front=self.front, cpu=cpu, limited=self.limited) as process:
                yield Site(name=self.name, host="127.0.0.1", port=process.port, world=world, process=process)


def serving(
    folder: Path, *, front: str, cpu: int | None, limited: bool = False
) -> "contextlib.AbstractContextManager[ServerProcess]":
    """Serve a data folder."""
    port = machine.free_port()
    command = [*OWN_COMMAND, "serve", "--front", front, "--bind", f"127.0.0.1:{port}", "--data", str(folder)]
    command += ["--log-level", "warning"]
    command += [] if limited else ["--rate-limits", "off"]
    return running(command, port=port, cpu=cpu)


@dataclass(frozen=True, slots=True)
class Target:
    """Any server that speaks ChatterStack's API, started by somebody else."""

    url: str
    on_registered: Callable[[int], None] | None = None
    name: str = "target"

    @contextlib.contextmanager
    def open(self, plan: Plan, cpu: int | None) -> Iterator[Site]:  # noqa: ARG002  it runs where it runs
        """See `Contestant`. Registers everybody over HTTP."""
        host, port, base = address(urlsplit(self.url))
        client = HttpClient(host, port, base)
        try:
            self._check(client)
            world = register(client, plan, self.on_registered)
        finally:
            client.close()
        yield Site(name=self.name, host=host, port=port, base=base, world=world)

    def _check(self, client: HttpClient) -> None:
        """Raise BenchError when the API is not below the address, with the one where a Chinwag says that it is."""
        path = "/v1/rooms"
        status, body = client.ask("GET", path)
        if status != 404:
            return
        known = body.get("see", []) if isinstance(body, dict) else []
        places = [place.removesuffix(path) for place in map(str, known) if place.endswith(path)]
        target = urlsplit(self.url)
        bases = [place if "://" in place else f"{target.scheme}://{target.netloc}{place}" for place in places]
        elsewhere = f"use --target {bases[0]}" if bases else "give the address that its /v1 comes after"
        raise BenchError(f"ChatterStack's API is not at {self.url}: {elsewhere}")


@dataclass(frozen=True, slots=True)
class Bare:
    """A server that neither authenticates nor stores: it broadcasts what it gets."""

    name: str
    command: Callable[[int], Sequence[str]]
    """Makes the command for a port; raises PeerMissing."""
    socket_path: str = "/ws"
    greet: Callable[[Wire], None] | None = None
    around: tuple[bytes, bytes] = (b"", b"")
    env: Mapping[str, str] | None = None

    @contextlib.contextmanager
    def open(self, plan: Plan, cpu: int | None) -> Iterator[Site]:
        """See `Contestant`."""
        port = machine.free_port()
        with running(self.command(port), port=port, cpu=cpu, env=self.env) as process:
            yield Site(
                name=self.name,
                host="127.0.0.1",
                port=port,
                world=nameless(plan),
                socket_path=self.socket_path,
                greet=self.greet,
                around=self.around,
                process=process,
            )


@dataclass(frozen=True, slots=True)
class FastapiChat:
    """The same job as Chinwag's, by FastAPI and SQLAlchemy."""

    installs: Installs
    name: str = "fastapi_chat"

    @contextlib.contextmanager
    def open(self, plan: Plan, cpu: int | None) -> Iterator[Site]:
        """See `Contestant`."""
        python = str(self.installs.python_packages())
        program = str(SOURCES / "fastapi_chat.py")
        secret = secrets.token_hex()
        until = int(time.time()) + 24 * 3600

        def token(user: int) -> str:
            return jwt.encode({"sub": str(user), "exp": until}, secret, algorithm="HS256")

        world = numbered(plan, token)
        with tempfile.TemporaryDirectory(prefix="chinwag-bench-") as folder:
            database = str(Path(folder) / "chat.db")
            rooms = [
                {"id": int(room.id), "members": [int(member.id) for member in room.members], "history": plan.history}
                for room in world.rooms
            ]
            seed = json.dumps({"users": list(range(1, plan.people + 1)), "rooms": rooms}).encode()
            done = subprocess.run([python, program, "seed", database], input=seed, capture_output=True, check=False)
            if done.returncode:
                raise PeerMissing(f"cannot be prepared: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
            port = machine.free_port()
            command = [python, program, "serve", str(port), database]
            with running(command, port=port, cpu=cpu, env={"CHAT_SECRET": secret}) as process:
                yield Site(name=self.name, host="127.0.0.1", port=port, world=world, process=process)


# --- the peers ---


def reflector(*, each: bool = False) -> Bare:
    """The bare reflector: the generator's ceiling, or with `each` a server's physical limit of single sends."""
    more = ["--each"] if each else []
    name = BARE_SENDS if each else CEILING
    return Bare(name, lambda port: [sys.executable, "-m", "chinwag.benchmarks.compare.reflector", str(port), *more])


def node_ws(installs: Installs, *, bufferutil: bool = False) -> Bare:
    """node with `ws`."""
    return Bare(
        "node ws",
        lambda port: ["node", str(installs.node() / "ws.mjs"), str(port)],
        env={} if bufferutil else {"WS_NO_BUFFER_UTIL": "1"},
    )


def bun(installs: Installs) -> Bare:
    """Bun's native server."""
    return Bare("Bun", lambda port: [str(installs.bun()), str(installs.node() / "bun.mjs"), str(port)])


def socket_io(installs: Installs) -> Bare:
    """Socket.IO on node."""
    return Bare(
        "Socket.IO",
        lambda port: ["node", str(installs.node() / "socketio.mjs"), str(port)],
        socket_path="/socket.io/?EIO=4&transport=websocket",
        greet=_greet_socket_io,
        around=(b'42["message",', b"]"),
    )


def fastapi(installs: Installs) -> Bare:
    """FastAPI on uvicorn with uvloop."""
    return Bare("FastAPI", partial(_python, installs, "fastapi_bare.py"))


def websockets(installs: Installs) -> Bare:
    """Python's `websockets` on uvloop."""
    return Bare("websockets", partial(_python, installs, "websockets_bare.py"))


def _python(installs: Installs, program: str, port: int) -> list[str]:
    return [str(installs.python_packages()), str(SOURCES / program), str(port)]


def _greet_socket_io(wire: Wire) -> None:
    """Engine.IO's "open", then Socket.IO's CONNECT to the main namespace and its answer."""
    _expect(wire, b"0")
    wire.socket.sendall(masked_frame(b"40"))
    _expect(wire, b"40")


def _expect(wire: Wire, start: bytes) -> None:
    payload = wire.next_payload()
    if not payload.startswith(start):
        raise PeerMissing(f"said {payload[:50]!r} where {start!r} is expected")
