"""Small pictures of images, and images that are attacks."""

import io
import struct
import threading
import zlib
from typing import Any, BinaryIO

import pytest
import trio
from PIL import Image

from chinwag.engine.thumbnails import MAX_PIXELS, BadImage, Thumbnails


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


async def small(content: bytes, **limits: int) -> Image.Image:
    return Image.open(io.BytesIO(await Thumbnails(**limits).make(io.BytesIO(content))))


def png_that_says(width: int, height: int, data: bytes) -> bytes:
    """A PNG whose header is a lie, or a bomb."""

    def piece(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", header) + piece(b"IDAT", data) + piece(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
async def test_a_thumbnail_fits_and_keeps_the_proportions(kind: str) -> None:
    made = await small(saved(Image.new("RGB", (1000, 500), "red"), kind))
    assert (made.format, made.size) == ("JPEG", (256, 128))
    pixel = made.convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 240 and pixel[1] < 20


async def test_a_small_image_is_not_enlarged() -> None:
    assert (await small(saved(Image.new("RGB", (3, 2)), "PNG"))).size == (3, 2)


async def test_what_is_transparent_stays_so() -> None:
    made = await small(saved(Image.new("RGBA", (600, 600), (0, 255, 0, 128)), "PNG"))
    assert (made.format, made.mode, made.getpixel((9, 9))) == ("PNG", "RGBA", (0, 255, 0, 128))


async def test_an_image_that_lies_on_its_side_is_put_upright_and_says_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "a camera"
    lying = saved(Image.new("RGB", (400, 200)), "JPEG", exif=exif, comment=b"where I live", icc_profile=b"profile")
    made = await small(lying)
    assert made.size == (128, 256)
    assert not made.getexif()
    assert not {"comment", "icc_profile", "exif"} & set(made.info)


async def test_of_an_animation_the_first_frame_is_shown() -> None:
    frames = [Image.new("RGB", (300, 300), color) for color in ("blue", "red", "green")]
    made = await small(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    pixel = made.convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert pixel[2] > 240 and pixel[0] < 20


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "YCbCr"])
async def test_every_kind_of_pixels(mode: str) -> None:
    kind = "PNG" if mode in ("1", "L", "LA", "P", "I;16") else "JPEG"
    assert (await small(saved(Image.new(mode, (300, 300)), kind))).size == (256, 256)


async def test_a_bomb_is_not_decoded() -> None:
    bomb = png_that_says(60_000, 60_000, zlib.compress(bytes(1_000_000)))
    with pytest.raises(BadImage):
        await small(bomb)
    with pytest.raises(BadImage, match="pixels"):
        await small(png_that_says(10_000, MAX_PIXELS // 10_000 + 1, b""))
    with pytest.raises(BadImage, match="pixels"):
        await small(saved(Image.new("RGB", (11, 10)), "PNG"), max_pixels=109)
    assert (await small(saved(Image.new("RGB", (11, 10)), "PNG"), max_pixels=110)).size == (11, 10)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
async def test_damaged_images_are_bad_images_wherever_the_damage_is(kind: str) -> None:
    whole = saved(Image.effect_noise((64, 64), 50).convert("RGB"), kind)
    for cut in range(0, len(whole) - 16, max(1, len(whole) // 25)):
        with pytest.raises(BadImage):
            await small(whole[:cut])
    for at in range(0, len(whole), max(1, len(whole) // 60)):  # some damage nobody can see
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            assert max((await small(damaged)).size) <= 256
        except BadImage:
            continue


@pytest.mark.parametrize(
    "content", [b"", b"text", b"GIF89a", b"<svg/>", b"BM" + bytes(100), b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
async def test_what_is_no_image_of_the_known_kinds_is_a_bad_image(content: bytes) -> None:
    with pytest.raises(BadImage):
        await small(content)


async def test_only_so_many_are_decoded_at_once() -> None:
    lock = threading.Lock()
    under_way: set[int] = set()
    most = 0

    class Watched(io.BytesIO):
        """Counts from its first read to its end."""

        def read(self, size: int | None = -1) -> bytes:
            nonlocal most
            with lock:
                under_way.add(id(self))
                most = max(most, len(under_way))
            return super().read(size)

    class Forgetful(Thumbnails):
        async def make(self, image: BinaryIO) -> bytes:
            try:
                return await super().make(image)
            finally:
                under_way.discard(id(image))

    content = saved(Image.effect_noise((1500, 1500), 50), "PNG")
    thumbnails = Forgetful(at_once=2)
    waiting = [Watched(content) for _ in range(8)]
    async with trio.open_nursery() as nursery:
        for each in waiting:
            nursery.start_soon(thumbnails.make, each)
    assert all(each.closed for each in waiting)
    assert most <= 2
