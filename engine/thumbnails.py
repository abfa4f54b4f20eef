"""Small pictures of images, made in worker threads.

An image is an attack until it is decoded: its size is read from its header and judged before a pixel is, and how many
are decoded at once is bounded. The small picture has nothing of the large one but its pixels.
"""

import io
from typing import BinaryIO, Final

import trio
from PIL import Image, ImageOps

THUMBNAIL_PIXELS: Final = 256
"""Width and height that a thumbnail fits into. Smaller images are not enlarged."""
MAX_PIXELS: Final = 50_000_000
"""Of an image that is decoded: four bytes each, for a moment."""
AT_ONCE: Final = 2
"""Images decoded at the same time."""

_FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP")
_JPEG_QUALITY: Final = 85


class BadImage(Exception):
    """It cannot be decoded as an image: damaged, truncated, of another kind, or too large. The message says which."""


class Thumbnails:
    """Makes thumbnails, a bounded number at once."""

    def __init__(self, *, at_once: int = AT_ONCE, max_pixels: int = MAX_PIXELS) -> None:
        self._limiter = trio.CapacityLimiter(at_once)
        self._max_pixels = max_pixels

    async def make(self, image: BinaryIO) -> bytes:
        """A JPEG, or for images with transparency a PNG; upright, and of an animation the first frame.

        Closes `image`. Raises `BadImage`.
        """
        try:
            return await trio.to_thread.run_sync(_make, image, self._max_pixels, limiter=self._limiter)
        finally:
            image.close()


def _make(file: BinaryIO, max_pixels: int) -> bytes:
    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise BadImage(f"has more than {max_pixels} pixels")
            return _shrunk(image)
    except BadImage:
        raise
    except Exception as error:
        raise BadImage("cannot be decoded as an image") from error


def _shrunk(image: Image.Image) -> bytes:
    size = (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
    if image.format == "JPEG":
        image.draft("RGB", size)  # decodes at a fraction of the size
    see_through = image.has_transparency_data
    picture = image.convert("RGBA" if see_through else "RGB")
    picture.thumbnail(size)
    picture.info = {"exif": image.info["exif"]} if "exif" in image.info else {}
    picture = ImageOps.exif_transpose(picture)
    picture.info = {}  # or it would be written again: profiles, comments, places
    small = io.BytesIO()
    if see_through:
        picture.save(small, "PNG", optimize=True)
    else:
        picture.save(small, "JPEG", quality=_JPEG_QUALITY)
    return small.getvalue()
