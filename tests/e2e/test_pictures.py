"""Images that are attacks, on a real server: what they cost, and what is left in the log."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from PIL import Image

from tests.e2e.chatrooms import chatrooms_of
from tests.e2e.processes import Server, serving
from tests.e2e.test_chatrooms_files import bomb, peak_bytes, picture, uploaded

AT_ONCE = 8
BOUND_BYTES = 300 * 1000 * 1000
"""What eight hostile uploads at once may take, the worker process included: docs/operations.md says so."""
FRONTS = ("chatterstack", "chatrooms")


def large(kind: str, mode: str = "RGB") -> bytes:
    """49 megapixels of one colour: a few kilobytes."""
    made = io.BytesIO()
    Image.new(mode, (7000, 7000), "red").save(made, kind)
    return made.getvalue()


def workers_of(server: Server) -> list[int]:
    """The processes that a server has started."""
    threads = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [int(pid) for children in threads for pid in children.read_text().split()]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


class Peak:
    """The most memory that one of a server's workers had."""

    bytes_ = 0

    async def watch(self, server: Server) -> None:
        while True:
            self.look(server)
            await trio.sleep(0.01)

    def look(self, server: Server) -> None:
        for pid in workers_of(server):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:  # it has just ended
                continue
            found = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")]
            self.bytes_ = max(self.bytes_, *found, 0)


@contextmanager
def server_without_limits(data: Path, *options: str) -> Iterator[Server]:
    with serving(data, "--rate-limits", "off", *options, fronts=FRONTS) as server:
        yield server


@pytest.mark.services
@pytest.mark.parametrize(
    ("kind", "mode", "shown"),
    [("WEBP", "RGB", False), ("PNG", "RGBA", True), ("JPEG", "RGB", True), ("GIF", "L", True)],
)
async def test_eight_hostile_uploads_at_once_take_bounded_memory(
    tmp_path: Path, kind: str, mode: str, shown: bool
) -> None:
    content = large(kind, mode)
    with server_without_limits(tmp_path / "data") as server:
        async with chatrooms_of(server) as chatrooms:
            ann = await chatrooms.guest("ann")
            room = await chatrooms.room(ann)
            before, peak = server.rss_bytes, Peak()
            thumbnails: list[bool] = []

            async def attack() -> None:
                file = await uploaded(chatrooms, ann, room, content)
                thumbnails.append(file["thumbnail_url"] is not None)

            async with trio.open_nursery() as watching:
                watching.start_soon(peak.watch, server)
                async with trio.open_nursery() as nursery:
                    for _ in range(AT_ONCE):
                        nursery.start_soon(attack)
                watching.cancel_scope.cancel()
            assert thumbnails == [shown] * AT_ONCE
            assert peak.bytes_ > 0
            assert peak_bytes(server) - before + peak.bytes_ < BOUND_BYTES


async def test_what_libraries_say_of_images_is_a_line_of_the_log_or_nothing(tmp_path: Path) -> None:
    whole = picture("JPEG")
    with server_without_limits(tmp_path / "data", "--log-format", "json") as server:
        async with chatrooms_of(server) as chatrooms:
            ann = await chatrooms.guest("ann")
            room = await chatrooms.room(ann)
            assert workers_of(server) == []
            for content in (bomb(12_000, 9_000), whole[:-100], whole[:150] + b"\xff" * 50 + whole[200:]):
                await uploaded(chatrooms, ann, room, content)
            [worker] = workers_of(server)
        server.terminate()
        assert await server.ended() == 0
        assert not is_there(worker)
        for line in server.log.splitlines():
            assert isinstance(json.loads(line), dict)
