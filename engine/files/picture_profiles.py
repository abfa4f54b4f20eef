"""Colour profiles where a file states its colours by numbers instead: gamma and chromaticities, or code points.

A profile is made of the numbers, so that one library converts all. Where a file says several things, what counts is
what counts for browsers. Sources: PNG (third edition), sections 11.3.2 and 13.14; ITU-T H.273, tables 2 and 3; ISO
23000-22 ("colr" boxes); ICC.1:2022.
"""

import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

_Matrix = Sequence[Sequence[float]]

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PROFILE_BYTES: Final = 4 * 1024 * 1024
"""Of a compressed profile no more is read."""

_D65: Final = (0.3127, 0.329)
_SRGB: Final = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""White, red, green, blue: x and y of each, as in a cHRM chunk."""
_PRIMARIES: Final = {
    1: _SRGB,
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""By H.273's ColourPrimaries."""
_VIDEO: Final = (1, 6, 14, 15)
_CURVES: Final = {
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    **dict.fromkeys(_VIDEO, (2.4,)),  # what such a picture is made to be seen on
}
"""By H.273's TransferCharacteristics: what an ICC parametric curve needs. Those of HDR would need tone mapping too."""
_AS_SRGB: Final = ((1, 13), (2, 2))
"""Code points that mean sRGB, or nothing."""

_BRADFORD: Final = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50: Final = (0.9642, 1.0, 0.8249)


def png_header(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG that come before its pixels, the first of each type."""
    found: dict[bytes, bytes] = {}
    for kind, start, stop in _png_chunks(data):
        if kind == b"IDAT":
            break
        found.setdefault(kind, data[start + 8 : stop - 4])
    return found


def png_of(data: bytes, kinds: Collection[bytes]) -> bytes:
    """A PNG of no other chunks than these."""
    return PNG_SIGNATURE + b"".join(data[start:stop] for kind, start, stop in _png_chunks(data) if kind in kinds)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and stop of each chunk, the last of which may be cut short."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, at + length + 12
        at += length + 12


def png_profile(header: Mapping[bytes, bytes]) -> bytes | None:
    """The profile that a PNG's colours are in, None for sRGB."""
    coded = header.get(b"cICP", b"")
    if len(coded) == 4:
        return coded_profile(coded[0], coded[1])
    if b"iCCP" in header:
        return _embedded(header[b"iCCP"])
    if b"sRGB" in header:
        return None
    gamma = header.get(b"gAMA", b"")
    if len(gamma) != 4 or not any(gamma):
        return None
    said = header.get(b"cHRM", b"")
    chromaticities = [each / 100_000 for each in struct.unpack(">8I", said)] if len(said) == 32 else _SRGB
    return _profile(chromaticities, (100_000 / int.from_bytes(gamma),))


def _embedded(chunk: bytes) -> bytes | None:
    _, _, packed = chunk.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], PROFILE_BYTES)
    except zlib.error:
        return None


def avif_profile(data: bytes, embedded: bytes | None) -> bytes | None:
    """The profile that an AVIF's colours are in, None for sRGB."""
    at = data.find(b"colrnclx", 0, 1 << 16)
    if embedded is not None or at < 0 or at + 12 > len(data):
        return embedded
    primaries, transfer = struct.unpack_from(">HH", data, at + 8)
    return coded_profile(primaries, 13 if transfer in _VIDEO else transfer)  # cameras write it, and mean sRGB


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of H.273's code points; None for sRGB, and for what cannot be converted."""
    if (primaries, transfer) in _AS_SRGB or primaries not in _PRIMARIES or transfer not in _CURVES:
        return None
    return _profile(_PRIMARIES[primaries], _CURVES[transfer])


def _profile(chromaticities: Sequence[float], curve: Sequence[float]) -> bytes | None:
    """An RGB profile of a matrix and one curve; None when the chromaticities span nothing."""
    try:
        white, *colours = (_xyz(x, y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True))
        primaries = _transposed(colours)
        amounts = _times(_inverse(primaries), white)
        adapted = _adapted_to_d50([[row[k] * amounts[k] for k in range(3)] for row in primaries], white)
    except ZeroDivisionError:
        return None
    shape = struct.pack(">4s4xHxx", b"para", 0 if len(curve) == 1 else 3) + b"".join(map(_fixed, curve))
    tags = {
        **dict.fromkeys((b"desc", b"cprt"), struct.pack(">4s4xII", b"mluc", 0, 12)),
        b"wtpt": _xyz_tag(_D50),
        **{name: _xyz_tag([row[k] for row in adapted]) for k, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), shape),
    }
    return _assembled(tags)


def _assembled(tags: Mapping[bytes, bytes]) -> bytes:
    """ICC.1:2022, sections 7.2 and 7.3."""
    table, body = struct.pack(">I", len(tags)), b""
    begin = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, begin + len(body), len(content))
        body += padded
    head = struct.pack(">I4xI4s4s4s12x4s28x", begin + len(body), 0x04400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head += b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + body


def _fixed(value: float) -> bytes:
    """An s15Fixed16Number."""
    return struct.pack(">i", round(max(-32768.0, min(32767.0, value)) * 65536))


def _xyz_tag(values: Sequence[float]) -> bytes:
    return struct.pack(">4s4x", b"XYZ ") + b"".join(map(_fixed, values))


def _xyz(x: float, y: float) -> list[float]:
    return [x / y, 1.0, (1 - x - y) / y]


def _adapted_to_d50(matrix: _Matrix, white: Sequence[float]) -> _Matrix:
    """From a white point to D50, by the linear Bradford transform."""
    here, there = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    scaled = [[each * there[k] / here[k] for each in _BRADFORD[k]] for k in range(3)]
    return _product(_product(_inverse(_BRADFORD), scaled), matrix)


def _times(matrix: _Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _product(one: _Matrix, other: _Matrix) -> _Matrix:
    return _transposed([_times(one, column) for column in _transposed(other)])


def _transposed(matrix: _Matrix) -> list[list[float]]:
    return [list(row) for row in zip(*matrix, strict=True)]


def _inverse(m: _Matrix) -> _Matrix:
    """Of three by three, by cofactors. Raises ZeroDivisionError when there is none."""
    cofactors = [
        [
            m[(i + 1) % 3][(j + 1) % 3] * m[(i + 2) % 3][(j + 2) % 3]
            - m[(i + 1) % 3][(j + 2) % 3] * m[(i + 2) % 3][(j + 1) % 3]
            for j in range(3)
        ]
        for i in range(3)
    ]
    whole = sum(a * b for a, b in zip(m[0], cofactors[0], strict=True))
    return [[cofactors[j][i] / whole for j in range(3)] for i in range(3)]
