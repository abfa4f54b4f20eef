"""From an uploaded image to small pictures of it, as a browser would show it. Runs in a worker process.

What browsers show is shown: of a file that ends too soon, what came; of an animation, the first frame; upright, in the
right tones and in sRGB. A picture that is made here has nothing of its source but the pixels: no profile, no comment,
no place.

An image is an attack until it is decoded. Its size is read from its header and judged before a pixel is, by what
decoding takes in its format. What is decoded is reduced in strips, so that there is never a second copy of that size.
"""

import io
from typing import Any, Final

import msgspec
from PIL import Image

from chinwag.engine.files.picture_calls import Rendered
from chinwag.engine.files.picture_colours import in_srgb, plain_tones
from chinwag.engine.files.picture_decoding import TOO_MANY_PIXELS, Decoded, decoded, is_whole
from chinwag.engine.files.picture_orientation import upright
from chinwag.engine.workers.protocol import CallRefused

THUMBNAIL_PIXELS: Final = 256
"""Width and height that a thumbnail fits into. Smaller images are not enlarged."""
AVATAR_PIXELS: Final = 1024
"""Likewise, of an avatar."""
STRIP_PIXELS: Final = 1 << 20
"""Of a strip that is reduced."""

_JPEG_QUALITY: Final = 85
_AVATAR_QUALITY: Final = 90
_AVATAR_FORMATS: Final = {"JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WEBP", "GIF": "GIF"}
"""By the format of what came; anything else becomes a PNG."""


def render(call: bytes) -> bytes:
    """A worker's function, from one byte and an image to a `Rendered` in MessagePack.

    The byte is 1 when the picture itself is wanted too, as an avatar, else 0. Raises `CallRefused` for what cannot be
    decoded as an image, or would take too much; the text says which.
    """
    return msgspec.msgpack.encode(rendered(call[1:], avatar=bool(call[0])))


def rendered(data: bytes, *, avatar: bool = False) -> Rendered:
    """See `render`."""
    limit = AVATAR_PIXELS if avatar else THUMBNAIL_PIXELS
    try:
        image = decoded(data, limit)
        kind, picture = image.format, _small(image, limit, gap=1 if avatar else 2)
        del image  # it may be as large as one may be
        if _is_blank(picture) and not is_whole(data):
            raise CallRefused("ends before there is anything to see")
    except (CallRefused, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise CallRefused(TOO_MANY_PIXELS) from None
    except Exception as error:  # whatever a decoder makes of hostile bytes
        raise CallRefused("cannot be decoded as an image") from error
    return Rendered(
        thumbnail=_thumbnail(_fitted(picture, THUMBNAIL_PIXELS)),
        avatar=_avatar(picture, kind) if avatar else None,
    )


def _thumbnail(picture: Image.Image) -> bytes:
    if picture.mode in ("LA", "RGBA"):
        return _saved(picture, "PNG", optimize=True)
    return _saved(picture, "JPEG", quality=_JPEG_QUALITY, subsampling=0)


def _avatar(picture: Image.Image, kind: str) -> bytes:
    return _saved(picture, _AVATAR_FORMATS.get(kind, "PNG"), quality=_AVATAR_QUALITY)


def _small(image: Decoded, limit: int, *, gap: int) -> Image.Image:
    """The picture upright, in sRGB, within the limit, and with an alpha channel only if it needs one."""
    picture = _fitted(_reduced(image.picture, limit, gap), limit)
    if picture.mode in ("LA", "RGBA") and _opaque(picture):
        picture = picture.convert(picture.mode[:-1])
    picture = upright(in_srgb(picture, image.profile), image.exif)
    picture.info = {}
    return picture


def _reduced(image: Image.Image, limit: int, gap: int) -> Image.Image:
    """The image in plain tones, smaller by whole factors that leave at least `gap` times the size that fits."""
    fitting = _fitting(image.size, limit)
    across, down = (max(1, side // (gap * fit)) for side, fit in zip(image.size, fitting, strict=True))
    rows = down * max(1, STRIP_PIXELS // (image.width * down))
    whole: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = plain_tones(image.crop((0, top, image.width, min(top + rows, image.height))))
        strip = strip.reduce((across, down))
        if whole is None:
            whole = Image.new(strip.mode, (strip.width, -(-image.height // down)))
        whole.paste(strip, (0, top // down))
    assert whole is not None
    return whole


def _fitted(picture: Image.Image, limit: int) -> Image.Image:
    size = _fitting(picture.size, limit)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)


def _fitting(size: tuple[int, int], limit: int) -> tuple[int, int]:
    """The size in the same proportions that fits; the same size if it does already."""
    factor = min(1.0, limit / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _is_blank(picture: Image.Image) -> bool:
    """Whether there is nothing to see, as of a file of which no pixel came."""
    if picture.mode in ("LA", "RGBA"):
        return picture.getchannel("A").getextrema() == (0, 0)
    return picture.convert("L").getextrema() == (255, 255)


def _opaque(picture: Image.Image) -> bool:
    return picture.getchannel("A").getextrema() == (255, 255)


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    made = io.BytesIO()
    picture.save(made, kind, **options)
    return made.getvalue()
