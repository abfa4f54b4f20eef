"""What is made of images: as a browser shows them, whatever is odd about them, and nothing but pixels."""

import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from chinwag.engine.files.picture_decoding import MAX_PIXELS
from chinwag.engine.files.picture_rendering import render, rendered
from chinwag.engine.workers.protocol import CallRefused
from tests.engine.files.images import Colour, about, chunk, halves, opened, png, profile, saved, with_chunks

pytestmark = pytest.mark.filterwarnings("ignore")  # as in the worker process
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
KINDS = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "ICO"]


def small(content: bytes) -> Image.Image:
    """The thumbnail, as it was made."""
    return opened(rendered(content).thumbnail)


def colours(content: bytes) -> tuple[object, object]:
    """What a thumbnail shows on the left and on the right, on a white page."""
    made = small(content).convert("RGBA")
    page = Image.new("RGBA", made.size, "white")
    page.alpha_composite(made)
    shown = page.convert("RGB")
    return shown.getpixel((shown.width // 4, shown.height // 2)), shown.getpixel(
        (shown.width * 3 // 4, shown.height // 2)
    )


def shows(content: bytes, left: Colour, right: Colour) -> bool:
    found = colours(content)
    return about(found[0], left) and about(found[1], right)


# --- size and form ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_thumbnail_fits_and_keeps_the_proportions(kind: str) -> None:
    made = small(saved(Image.new("RGB", (1000, 500), "red"), kind))
    assert made.format == "JPEG"
    assert made.size == (256, 128)
    assert about(made.convert("RGB").getpixel((made.width // 2, made.height // 2)), RED)


@pytest.mark.parametrize(("size", "expected"), [((3, 2), (3, 2)), ((5000, 3), (256, 1)), ((3, 5000), (1, 256))])
def test_a_small_image_is_not_enlarged_and_a_narrow_one_does_not_vanish(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    for kind in ("PNG", "JPEG"):
        assert small(saved(Image.new("RGB", size), kind)).size == expected


def test_what_is_transparent_stays_so_and_what_only_could_be_is_a_jpeg() -> None:
    made = small(saved(Image.new("RGBA", (600, 600), (0, 255, 0, 128)), "PNG"))
    assert (made.format, made.mode, made.getpixel((9, 9))) == ("PNG", "RGBA", (0, 255, 0, 128))
    assert small(saved(Image.new("RGBA", (600, 600), (0, 255, 0, 255)), "PNG")).format == "JPEG"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_kind_of_pixels_is_shown(mode: str) -> None:
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    black_and_white = halves("L", 0, 255, (300, 300))
    image = black_and_white.convert(mode)
    assert small(saved(image, kind)).size == (256, 256)
    assert shows(saved(image, kind), (0, 0, 0), WHITE)


# --- which way up, and which frame --------------------------------------------------------------------------------


def lying(turned: int, **more: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turned
    exif[0x010F] = "a camera"
    return exif


UPRIGHT = {1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb"}
"""By orientation: what is seen at the top left, top right, bottom left and bottom right of `quarters`."""


def quarters() -> Image.Image:
    made = halves("RGB", RED, GREEN, (80, 80))
    made.paste(halves("RGB", BLUE, WHITE, (80, 40)), (0, 40))
    return made


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF"])
def test_an_image_that_lies_on_its_side_is_put_upright(kind: str, turned: int) -> None:
    made = small(saved(quarters(), kind, exif=lying(turned))).convert("RGB")
    names = {"r": RED, "g": GREEN, "b": BLUE, "w": WHITE}
    places = [(20, 20), (60, 20), (20, 60), (60, 60)]
    for place, name in zip(places, UPRIGHT[turned], strict=True):
        assert about(made.getpixel(place), names[name], 12), (place, name)


def test_of_a_webp_the_orientation_counts_for_nothing_as_in_browsers() -> None:
    assert small(saved(Image.new("RGB", (80, 40)), "WEBP", exif=lying(6))).size == (80, 40)


@pytest.mark.parametrize(
    ("at", "damage"),
    [
        (6, b"XX"),  # the order of bytes
        (8, b"\0\0"),
        (10, b"\xff\xff\xff\xff"),  # where the entries are
        (14, b"\xff\xff"),  # how many entries there are
        (14, b"\0\0"),
        (16, b"\0" * 8),  # the entries
        (26, b"\x99"),
    ],
)
def test_a_damaged_exif_segment_hides_no_image(at: int, damage: bytes) -> None:
    whole = saved(halves("RGB", RED, BLUE), "JPEG", exif=lying(1), quality=95)
    begin = whole.index(b"Exif\0\0") + at
    damaged = whole[:begin] + damage + whole[begin + len(damage) :]
    assert small(damaged).size == (80, 40)
    assert shows(damaged, RED, BLUE)
    avatar = rendered(damaged, avatar=True).avatar
    assert avatar is not None and opened(avatar).size == (80, 40)


@pytest.mark.parametrize("turned", [0, 9, 300])
def test_an_orientation_that_does_not_exist_turns_nothing(turned: int) -> None:
    assert small(saved(Image.new("RGB", (80, 40)), "JPEG", exif=lying(turned))).size == (80, 40)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_an_animation_the_first_frame_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (300, 300), colour) for colour in (BLUE, RED, GREEN)]
    assert shows(saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100), BLUE, BLUE)


def test_a_png_that_is_for_those_who_do_not_know_animations_is_no_frame() -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in (BLUE, RED, GREEN)]
    whole = saved(frames[0], "PNG", save_all=True, default_image=True, append_images=frames[1:], duration=100)
    assert shows(whole, RED, RED)
    at = whole.index(b"fdAT")
    assert shows(whole[: at - 4], BLUE, BLUE)  # no frame came


def test_what_a_gifs_frame_does_not_cover_is_transparent() -> None:
    whole = bytearray(saved(Image.new("P", (20, 40), 0), "GIF"))
    whole[6:10] = struct.pack("<HH", 40, 40)
    made = small(bytes(whole)).convert("RGBA")
    assert [made.getpixel(place) for place in ((9, 20), (30, 20))] == [(0, 0, 0, 255), (0, 0, 0, 0)]


# --- tones and colours --------------------------------------------------------------------------------------------

GREYS = [struct.pack(">40H", *[0x4000] * 20, *[0xC000] * 20)] * 20
LOW, HIGH = (0x40, 0x40, 0x40), (0xC0, 0xC0, 0xC0)


def test_16_bits_a_sample_have_the_tones_of_their_upper_eight() -> None:
    assert shows(png((40, 20), 16, 0, GREYS), LOW, HIGH)
    with_alpha = [b"".join(row[at : at + 2] + b"\xff\xff" for at in range(0, 80, 2)) for row in GREYS]
    assert shows(png((40, 20), 16, 4, with_alpha), LOW, HIGH)
    coloured = [b"".join(row[at : at + 2] * 3 for at in range(0, 80, 2)) for row in GREYS]
    assert shows(png((40, 20), 16, 2, coloured), LOW, HIGH)
    assert shows(png((1600, 800), 16, 0, [b"\x40\0" * 800 + b"\xc0\0" * 800] * 800), LOW, HIGH)


@pytest.mark.parametrize(
    ("image", "left", "right"),
    [
        (png((40, 20), 16, 0, GREYS, chunk(b"tRNS", b"\xc0\x00")), LOW, WHITE),
        (png((40, 20), 8, 0, [b"\x40" * 20 + b"\xc0" * 20] * 20, chunk(b"tRNS", b"\0\xc0")), LOW, WHITE),
        (png((40, 20), 4, 0, [b"\x44" * 10 + b"\xcc" * 10] * 20, chunk(b"tRNS", b"\0\x0c")), (68, 68, 68), WHITE),
        (png((40, 20), 2, 0, [b"\x55" * 5 + b"\0" * 5] * 20, chunk(b"tRNS", b"\0\0")), (85, 85, 85), WHITE),
        (png((40, 20), 1, 0, [b"\xff\xff\xf0\0\0"] * 20, chunk(b"tRNS", b"\0\0")), WHITE, WHITE),
        (png((40, 20), 8, 2, [b"\xff\0\0" * 20 + b"\1\2\3" * 20] * 20, chunk(b"tRNS", b"\0\1\0\2\0\3")), RED, WHITE),
        (
            png(
                (40, 20), 16, 2, [b"\xff\xff\0\0\0\0" * 20 + b"\1\0\2\0\3\0" * 20] * 20, chunk(b"tRNS", b"\1\0\2\0\3\0")
            ),
            RED,
            WHITE,
        ),
        (
            png(
                (40, 20),
                8,
                3,
                [b"\0" * 20 + b"\1" * 20] * 20,
                chunk(b"PLTE", b"\xff\0\0\0\0\xff"),
                chunk(b"tRNS", b"\xff\0"),
            ),
            RED,
            WHITE,
        ),
    ],
)
def test_the_colour_that_a_png_calls_transparent_is_so(image: bytes, left: Colour, right: Colour) -> None:
    assert shows(image, left, right)


def test_a_palette_that_is_too_short_goes_on_with_its_last_colour() -> None:
    assert shows(png((40, 20), 8, 3, [b"\0" * 20 + b"\7" * 20] * 20, chunk(b"PLTE", b"\xff\0\0\0\0\xff")), RED, BLUE)


def test_the_inks_of_a_jpeg_have_the_colours_they_print() -> None:
    inks = halves("RGB", RED, BLUE).convert("CMYK")
    assert shows(saved(inks, "JPEG", quality=95), RED, BLUE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_colours_in_another_space_are_brought_into_srgb(kind: str) -> None:
    image = saved(halves("RGB", (200, 100, 50), (90, 90, 90)), kind, icc_profile=profile("P3"), quality=95)
    assert shows(image, (215, 93, 31), (90, 90, 90))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P"])
def test_greys_palettes_and_what_is_transparent_have_profiles_too(mode: str) -> None:
    image = halves("L", 50, 150).convert(mode)
    kind = "GRAY" if mode in ("L", "LA") else "RGB"
    assert shows(saved(image, "PNG", icc_profile=profile(kind)), (122,) * 3, (202,) * 3)


def test_greys_with_a_profile_of_colours_are_converted_and_colours_with_one_of_greys_are_not() -> None:
    assert shows(saved(halves("L", 50, 150), "JPEG", icc_profile=profile("RGB")), (122,) * 3, (202,) * 3)
    assert shows(saved(halves("RGB", RED, BLUE), "JPEG", icc_profile=profile("GRAY")), RED, BLUE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("damage", [b"", b"profile", profile("RGB")[:200], b"\xff" * 500])
def test_a_damaged_profile_is_as_good_as_none(kind: str, damage: bytes) -> None:
    assert shows(saved(halves("RGB", RED, BLUE), kind, icc_profile=damage, quality=95), RED, BLUE)


GAMMA_1 = chunk(b"gAMA", struct.pack(">I", 100_000))
RED_IS_GREEN = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 30000, 60000, 64000, 33000, 15000, 6000))


@pytest.mark.parametrize(
    ("chunks", "left", "right"),
    [
        ([GAMMA_1], (122,) * 3, (202,) * 3),
        ([GAMMA_1, chunk(b"sRGB", b"\0")], (50,) * 3, (150,) * 3),
        ([chunk(b"gAMA", struct.pack(">I", 0))], (50,) * 3, (150,) * 3),
        ([chunk(b"gAMA", b"x")], (50,) * 3, (150,) * 3),
        ([chunk(b"cICP", bytes((1, 8, 0, 1)))], (122,) * 3, (202,) * 3),
        ([chunk(b"cICP", bytes((1, 13, 0, 1))), GAMMA_1], (50,) * 3, (150,) * 3),
        ([chunk(b"iCCP", b"x\0\0" + zlib.compress(profile("RGB")))], (122,) * 3, (202,) * 3),
        ([chunk(b"iCCP", b"x\0\0garbage")], (50,) * 3, (150,) * 3),
        ([chunk(b"iCCP", b"x\0\7" + zlib.compress(profile("RGB"))), GAMMA_1], (122,) * 3, (202,) * 3),
    ],
)
def test_what_a_png_says_of_its_colours_by_numbers_counts(chunks: list[bytes], left: Colour, right: Colour) -> None:
    assert shows(with_chunks(saved(halves("RGB", (50,) * 3, (150,) * 3), "PNG"), *chunks), left, right)


def test_chromaticities_count_where_there_is_a_gamma() -> None:
    image = saved(halves("RGB", RED, BLUE), "PNG")
    gamma = chunk(b"gAMA", struct.pack(">I", 45_455))
    left, right = colours(with_chunks(image, gamma, RED_IS_GREEN))
    assert about(left, GREEN, 12) and about(right, BLUE, 12)
    assert shows(with_chunks(image, RED_IS_GREEN), RED, BLUE)


def test_what_an_avif_says_of_its_colours_by_numbers_counts() -> None:
    image = saved(halves("RGB", (50,) * 3, (150,) * 3), "AVIF", quality=95)
    at = image.index(b"colrnclx") + 8
    linear = image[:at] + struct.pack(">HH", 1, 8) + image[at + 4 :]
    assert shows(image, (50,) * 3, (150,) * 3)
    assert shows(linear, (122,) * 3, (202,) * 3)


# --- damaged, and cut short ---------------------------------------------------------------------------------------


def shaken() -> Image.Image:
    """A picture that does not compress, so that a half of its file is a half of it."""
    return Image.effect_noise((200, 200), 20).point(lambda value: value // 2).convert("RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_of_a_file_that_ends_too_soon_what_came_is_shown_and_the_rest_is_white(kind: str) -> None:
    whole = saved(shaken(), kind)
    made = small(whole[: len(whole) // 2]).convert("L")
    rows = [made.crop((0, y, 200, y + 1)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) for y in (20, 180)]
    came, missing = rows if kind != "BMP" else rows[::-1]  # a BMP begins at the bottom
    assert about((came, missing), (64, 255), 12)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_what_ends_before_there_is_anything_to_see_is_refused(kind: str) -> None:
    with pytest.raises(CallRefused, match="anything to see"):
        rendered(saved(shaken(), kind)[:60])
    for colour in ("white", "red"):
        assert small(saved(Image.new("RGB", (20, 20), colour), kind)).size == (20, 20)
    assert small(saved(Image.new("RGB", (20, 20), "red"), kind)[:-1]).size == (20, 20)


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_a_progressive_or_compressed_image_that_ends_too_soon_is_shown_too(kind: str) -> None:
    whole = saved(shaken(), kind, progressive=True)
    assert small(whole[: len(whole) // 2]).size == (200, 200)


@pytest.mark.parametrize(
    "harmless",
    [
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"),
        chunk(b"zTXt", b"x\0\7what?"),
        chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(100_000_000), 9)),
        chunk(b"iTXt", b""),
        chunk(b"pHYs", b""),
        chunk(b"gAMA", b"")[:-1] + b"?",
        chunk(b"acTL", b""),
    ],
)
def test_a_damaged_or_enormous_remark_in_a_png_hides_no_image(harmless: bytes) -> None:
    assert shows(with_chunks(saved(halves("RGB", RED, BLUE), "PNG"), harmless), RED, BLUE)
    assert shows(with_chunks(saved(Image.new("RGB", (9, 9), "white"), "PNG"), harmless), WHITE, WHITE)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_damaged_there_is_a_picture_or_a_refusal(kind: str) -> None:
    whole = saved(Image.effect_noise((64, 64), 50).convert("RGB"), kind)
    chance = random.Random(kind)
    for _ in range(60):
        damaged = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            assert max(small(bytes(damaged)).size) <= 256
        except CallRefused:
            continue


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"GIF89a", b"<svg/>", b"BM" + bytes(100), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"II*\0" + bytes(99)],
)
def test_what_is_no_image_of_the_known_kinds_is_refused(content: bytes) -> None:
    with pytest.raises(CallRefused, match="cannot be decoded"):
        render(b"\0" + content)


@pytest.mark.parametrize(
    "bomb",
    [
        png((60_000, 60_000), 8, 0, []),
        png((10_000, MAX_PIXELS // 10_000 + 1), 8, 0, []),
        saved(Image.new("L", (6000, 4000)), "WEBP", method=0),
        saved(Image.new("1", (8, 8)), "GIF")[:6] + b"\xff\xff\xff\xff" + saved(Image.new("1", (8, 8)), "GIF")[10:],
    ],
    ids=["png", "png that is just too large", "webp", "gif"],
)
def test_a_bomb_is_refused_for_its_pixels_and_not_decoded(bomb: bytes) -> None:
    with pytest.raises(CallRefused, match="pixels"):
        rendered(bomb)


# --- clean --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "as_what"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WEBP"), ("GIF", "GIF"), ("BMP", "PNG")]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_avatar_is_a_picture_of_the_same_kind_and_says_nothing_else(kind: str, as_what: str, mode: str) -> None:
    exif = lying(6)
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    image = Image.new(mode, (400, 200), "red" if mode == "RGB" else 99)
    source = saved(image, kind, exif=exif, comment=b"where I live", icc_profile=profile("P3"), xmp=b"<x:xmpmeta>me")
    made = rendered(source, avatar=True)
    assert made.avatar is not None
    for content in made.avatar, made.thumbnail:
        shown = opened(content)
        assert shown.size in ((400, 200), (200, 400), (256, 128), (128, 256))
        assert not shown.getexif()
        assert not {"exif", "comment", "icc_profile", "xmp", "photoshop"} & set(shown.info)
        assert not [word for word in (b"camera", b"where I live", b"xmpmeta", b"Exif") if word in content]
    assert opened(made.avatar).format == as_what


def test_an_avatar_is_of_bounded_size_upright_and_does_not_move() -> None:
    large = opened(rendered(saved(Image.new("RGB", (3000, 1500)), "JPEG", exif=lying(6)), avatar=True).avatar or b"")
    assert large.size == (512, 1024)
    frames = [Image.new("RGB", (30, 30), colour) for colour in (BLUE, RED)]
    for kind in ("GIF", "PNG", "WEBP"):
        avatar = rendered(saved(frames[0], kind, save_all=True, append_images=frames[1:]), avatar=True).avatar
        assert avatar is not None
        assert getattr(opened(avatar), "n_frames", 1) == 1
        assert about(opened(avatar).convert("RGB").getpixel((9, 9)), BLUE)


def test_an_avatar_keeps_what_is_transparent() -> None:
    avatar = rendered(saved(Image.new("RGBA", (60, 60), (0, 255, 0, 128)), "PNG"), avatar=True).avatar
    assert avatar is not None
    assert opened(avatar).convert("RGBA").getpixel((9, 9)) == (0, 255, 0, 128)
