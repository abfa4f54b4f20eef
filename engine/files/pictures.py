"""Small pictures of images: thumbnails, and avatars. Made in a worker process (`workers.process`), one at a time.

Decoders are C code over bytes that strangers sent. In a process of their own they can neither take the server down nor
the memory that is everybody's, and they get what processor time nobody else wants. Whoever has to wait waits behind
their own pictures, and behind one of each other owner.
"""

from collections.abc import AsyncIterator, Hashable
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec
import structlog
import trio

from chinwag.engine.files.blobs import Blob
from chinwag.engine.files.picture_calls import Rendered
from chinwag.engine.model.errors import Overloaded, PicturesUnavailable
from chinwag.engine.workers.lanes import FairLane
from chinwag.engine.workers.process import (
    WorkerFailed,
    WorkerLimits,
    WorkerProcess,
    WorkerRefused,
    WorkerUnavailable,
    open_worker,
)

log = structlog.get_logger("chinwag.engine")

MAX_IMAGE_BYTES: Final = 32 * 1024 * 1024
"""A larger file has no small picture: it is in memory as a whole while one is made."""
WAIT_S: Final = 30.0
"""For one's turn: an upload that takes longer serves nobody."""
WAITING: Final = 64
WAITING_PER_OWNER: Final = 16

LIMITS: Final = WorkerLimits(
    memory_bytes=256 * 1024 * 1024,
    cpu_s=10.0,
    deadline_s=30.0,
    answer_bytes=12 * 1024 * 1024,
)

_FUNCTION: Final = "chinwag.engine.files.picture_rendering:render"
_TYPES: Final = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp", b"GIF8": "image/gif"}


class BadPicture(Exception):
    """No picture can be made of it: it cannot be decoded, or would take too much. The message says which."""


class Pictures:
    """Makes small pictures. Make it with `open_pictures`."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self.lane = FairLane("pictures", at_once=1, waiting=WAITING, waiting_per_key=WAITING_PER_OWNER)

    async def render(self, image: Blob, *, owner: Hashable, avatar: bool = False) -> Rendered:
        """The small pictures of an image, upright, of its first frame, in sRGB, and with nothing but pixels in them.

        `owner` is whose turn is taken. Raises `BadPicture`, `Overloaded`, `PicturesUnavailable`, and what reading the
        blob raises.
        """
        if image.size_bytes > MAX_IMAGE_BYTES:
            raise BadPicture(f"has more than {MAX_IMAGE_BYTES} bytes")
        with trio.move_on_after(WAIT_S) as waiting:
            async with self.lane.turn(owner):
                waiting.deadline = float("inf")
                async with aclosing(image.chunks()) as chunks:
                    data = b"".join([chunk async for chunk in chunks])
                return await self._render(data, avatar=avatar)
        raise Overloaded("too many pictures at once")

    async def _render(self, data: bytes, *, avatar: bool) -> Rendered:
        try:
            answer = await self._worker.call(b"\1" if avatar else b"\0", data)
        except (WorkerRefused, WorkerFailed) as error:
            raise BadPicture(str(error)) from error
        except WorkerUnavailable as error:
            log.warning("no pictures can be made", reason=str(error))
            raise PicturesUnavailable(str(error)) from error
        try:  # by a process that hostile bytes may have taken over
            rendered = msgspec.msgpack.decode(answer, type=Rendered)
        except msgspec.MsgspecError as error:
            raise BadPicture("could not be worked on") from error
        if avatar is not (rendered.avatar is not None) or None in map(picture_type, _parts(rendered)):
            raise BadPicture("could not be worked on")
        return rendered


def picture_type(picture: bytes) -> str | None:
    """The MIME type of a picture that was made here, by its beginning; None for anything else."""
    return next((kind for magic, kind in _TYPES.items() if picture.startswith(magic)), None)


def _parts(rendered: Rendered) -> list[bytes]:
    return [rendered.thumbnail] if rendered.avatar is None else [rendered.thumbnail, rendered.avatar]


@asynccontextmanager
async def open_pictures(limits: WorkerLimits = LIMITS) -> AsyncIterator[Pictures]:
    """Pictures within the block. The first one starts the process, and the end of the block ends it."""
    async with open_worker(_FUNCTION, limits) as worker:
        yield Pictures(worker)
