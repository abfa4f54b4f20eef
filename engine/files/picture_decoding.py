"""Decoding an uploaded image to what a browser shows of it at first: its first frame, and as much as came of the file.

Pillow decodes; what it makes differently from browsers is set right here: what of a picture did not come (it is white,
not black), which frame of a PNG is its first, what lies outside of a GIF's, and which colour of a PNG is transparent.
"""

import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from PIL import AvifImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin

from chinwag.engine.files.picture_profiles import PNG_SIGNATURE, avif_profile, png_header, png_of, png_profile
from chinwag.engine.workers.protocol import CallRefused

MAX_PIXELS: Final = 50_000_000
"""Of an image that is decoded, whatever its format."""
DECODING_BYTES: Final = 208 * 1024 * 1024
"""What decoding one image may take."""
TOO_MANY_PIXELS: Final = "has more pixels than can be decoded"

_FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "ICO", "CUR")
_BYTES_PER_PIXEL: Final = {"WEBP": 16, "AVIF": 12}
"""What decoding takes, where it is not the four of a picture alone."""
_ANIMATED_PNG: Final = 16
"""Likewise, of one whose first frame is not its first picture."""
_FILLED: Final = ("JPEG", "MPO", "PNG", "BMP", "GIF")
"""Those that are decoded into a picture that is there; of the others all has come, or they are none."""
_WHITE: Final[dict[str, int | tuple[int, ...]]] = {
    "1": 255,
    "L": 255,
    "I;16": 65535,
    "RGB": (255, 255, 255),
    "RGBX": (255, 255, 255, 255),
}
"""By mode; in the others zero is white, or transparent."""

_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_ANIMATION: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})

ImageFile.LOAD_TRUNCATED_IMAGES = True
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class Decoded(NamedTuple):
    """A picture as it lies, in Pillow's mode for it; its profile and EXIF data, if these count for its format."""

    picture: Image.Image
    format: str
    profile: bytes | None
    exif: bytes


def decoded(data: bytes, limit: int) -> Decoded:
    """Decode an image. A JPEG may come smaller than it is, but not below `limit` in width and height.

    Raises `CallRefused` for what would take too much, and whatever Pillow does.
    """
    most = DECODING_BYTES // _BYTES_PER_PIXEL["WEBP"] if data[8:12] == b"WEBP" else MAX_PIXELS
    Image.MAX_IMAGE_PIXELS = most // 2  # of which Pillow refuses the double, before it makes a decoder
    if data.startswith(PNG_SIGNATURE):
        return _decoded_png(data)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        kind = image.format or ""
        _judge(image)
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            _prepare_jpeg(image, limit)
        extent = image.tile[0].extents if image.tile else None
        _fill(image)
        image.load()
        picture: Image.Image = image
        if isinstance(image, GifImagePlugin.GifImageFile) and extent not in (None, (0, 0, *image.size)):
            picture = Image.new("RGBA", image.size)
            picture.paste(image.crop(extent).convert("RGBA"), extent)
        profile = image.info.get("icc_profile")
        if kind == "AVIF":
            profile = avif_profile(data, profile)
        exif = image.info.get("exif", b"") if kind in ("JPEG", "MPO", "AVIF") else b""  # browsers know WebP's not
        return Decoded(picture, kind, profile, exif)


def is_whole(data: bytes) -> bool:
    """Whether an image that `decoded` has taken can be decoded to its end."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    pixels = png_of(data, _PIXELS) if data.startswith(PNG_SIGNATURE) else data
    try:
        with Image.open(io.BytesIO(pixels), formats=_FORMATS) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
    return True


def _judge(image: ImageFile.ImageFile) -> None:
    """Raise `CallRefused` for an image that would take too much to decode."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise CallRefused(TOO_MANY_PIXELS)
    per_pixel: float = _BYTES_PER_PIXEL.get(image.format or "", 4)
    if image.info.get("default_image"):
        per_pixel = _ANIMATED_PNG
    if image.info.get("progressive"):  # a JPEG whose decoder keeps all coefficients, two bytes each
        samples = [(across, down) for _, across, down, _ in getattr(image, "layer", ())]
        most = max(across for across, _ in samples) * max(down for _, down in samples)
        per_pixel = 2 * sum(across * down for across, down in samples) / most
    if pixels * per_pixel > DECODING_BYTES:
        raise CallRefused(TOO_MANY_PIXELS)


def _prepare_jpeg(image: JpegImagePlugin.JpegImageFile, limit: int) -> None:
    image.draft("RGB", (limit, limit))  # decodes at a fraction of the size
    if not image.info.get("progressive"):
        assert image.fp is not None
        # Pillow would pretend that a file which ends too soon is whole: the rest would be grey.
        image.load_read = image.fp.read  # type: ignore[method-assign, assignment]


def _decoded_png(data: bytes) -> Decoded:
    """A PNG, of which Pillow sees no more than it needs for the pixels: anything else may be damaged, or a bomb."""
    header = png_header(data)
    if b"acTL" in header:
        with suppress(OSError, SyntaxError, ValueError, TypeError, EOFError):
            return _png(png_of(data, _PIXELS | _ANIMATION), header)
    return _png(png_of(data, _PIXELS), header)


def _png(data: bytes, header: Mapping[bytes, bytes]) -> Decoded:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        _judge(image)
        _fill(image)
        if image.info.get("default_image"):  # a picture for those who do not know animations
            image.seek(1)
        image.load()
        depth, colour_type = header[b"IHDR"][8:10]
        clear = image.info.get("transparency")
        if colour_type == 0 and depth < 8 and isinstance(clear, int):  # the greys have been spread over 0 to 255
            image.info["transparency"] = (clear & ((1 << depth) - 1)) * 255 // ((1 << depth) - 1)
        elif colour_type == 2 and depth == 16 and isinstance(clear, tuple):  # the upper eight bits are left
            image.info["transparency"] = tuple(each >> 8 for each in clear)
        return Decoded(image, "PNG", png_profile(header), header.get(b"eXIf", b""))


def _fill(image: ImageFile.ImageFile) -> None:
    """Make what may not come white."""
    if image.format not in _FILLED or (image.format == "GIF" and "transparency" in image.info):
        return
    if image.mode in _WHITE:
        image.im = Image.new(image.mode, image.size, _WHITE[image.mode]).im
    elif image.mode == "P" and image.palette is not None and image.palette.rawmode in (None, "RGB"):
        known = bytes(image.palette.palette)[: 256 * 3]
        if len(known) < 256 * 3:
            known += known[-3:] * (255 - len(known) // 3) + b"\xff\xff\xff"
            image.palette.palette = known
        colours = [sum(known[at : at + 3]) for at in range(0, len(known), 3)]
        image.im = Image.new("P", image.size, colours.index(max(colours))).im
