"""Which way up an image is shown: the orientation in its EXIF data, read as browsers read it.

Only that one entry is looked for, so whatever else of the segment is damaged costs nothing. Where it cannot be read the
image is shown as it lies. Source: CIPA DC-008 (EXIF 2.32), section 4.6.2; TIFF 6.0, section 2.
"""

import struct
from typing import Final

from PIL import Image

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_ENTRY_BYTES: Final = 12
_TURNED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(picture: Image.Image, exif: bytes) -> Image.Image:
    """The picture as its EXIF data says that it is to be shown."""
    turn = _TURNED.get(orientation(exif))
    return picture if turn is None else picture.transpose(turn)


def orientation(exif: bytes) -> int:
    """1 to 8; 1, as it lies, when nothing (readable) is said. `exif` may begin with the "Exif" of a JPEG segment."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for at in range(entries):
            entry = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + at * _ENTRY_BYTES)
            if entry[:3] == (_ORIENTATION, _SHORT, 1):
                return entry[3] if 1 <= entry[3] <= 8 else 1
    except struct.error:
        return 1  # it ends too soon
    return 1
