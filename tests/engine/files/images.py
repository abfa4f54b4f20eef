"""Images to upload in tests: of every kind that browsers show, and damaged in every way."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from chinwag.engine.files.picture_profiles import coded_profile

Colour = tuple[int, ...]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size: tuple[int, int], depth: int, colour_type: int, rows: Sequence[bytes], *more: bytes) -> bytes:
    """A PNG of any depth, with more chunks before its pixels. Without rows its header is a lie."""
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *more, chunk(b"IDAT", pixels), chunk(b"IEND")))


def with_chunks(image: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks after its header."""
    return image[:33] + b"".join(chunks) + image[33:]


def profile(kind: str) -> bytes:
    """A colour profile: "P3", or a linear one of "GRAY" or "RGB"."""
    made = coded_profile(*((12, 13) if kind == "P3" else (1, 8)))
    assert made is not None
    return made.replace(b"RGB ", b"GRAY").replace(b"rTRC", b"kTRC") if kind == "GRAY" else made


def halves(mode: str, left: Any, right: Any, size: tuple[int, int] = (80, 40)) -> Image.Image:
    """A picture in two colours, side by side."""
    made = Image.new(mode, size, left)
    made.paste(right, (size[0] // 2, 0, *size))
    return made


def about(colour: object, wanted: Colour, tolerance: int = 6) -> bool:
    """Whether two colours are the same, but for what a JPEG loses."""
    assert isinstance(colour, tuple) and len(colour) == len(wanted), colour
    return all(abs(a - b) <= tolerance for a, b in zip(colour, wanted, strict=True))
