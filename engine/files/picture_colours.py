"""The tones and colours of decoded images: from any of Pillow's modes to L, LA, RGB, RGBA or CMYK, and into sRGB."""

import io
from typing import Final

from PIL import Image, ImageCms, ImageMath

_SPACES: Final = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The colour space that a profile must be of to be the profile of an image in this mode."""


def plain_tones(image: Image.Image) -> Image.Image:
    """The image in mode L, LA, RGB, RGBA or (without transparency) CMYK."""
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode == "CMYK" or (image.mode == "L" and not image.has_transparency_data):
        return image
    if image.mode in ("1", "L", "LA", "La"):
        return image.convert("LA" if image.has_transparency_data else "L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Greys from 0 to 65535, one of which may be transparent."""
    wide = image.convert("I")
    grey = wide.point(lambda value: value / 256).convert("L")
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    opaque = ImageMath.lambda_eval(lambda args: (args["grey"] != clear) * 255, grey=wide).convert("L")
    return Image.merge("LA", (grey, opaque))


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture in one of the plain modes, in sRGB by its colour profile, and no longer CMYK.

    A profile that is damaged, or of another colour space than the picture, is as good as none.
    """
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    colours = picture if alpha is None else picture.convert(picture.mode[:-1])
    converted = _converted(colours, profile) if profile else None
    if converted is None:
        converted = colours.convert("RGB") if colours.mode == "CMYK" else colours
    if alpha is None:
        return converted
    return Image.merge(f"{converted.mode}A", (*converted.split(), alpha))


def _converted(colours: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if colours.mode == "L" and space == "RGB":
            colours = colours.convert("RGB")
        if _SPACES[colours.mode] != space:
            return None
        return ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
