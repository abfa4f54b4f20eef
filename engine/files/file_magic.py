"""What kind of file bytes begin like: a table, and a look inside of containers. Pure; reads nothing but the beginning.

Formats are told by what their specifications require at fixed places, so no input takes longer than another. Names are
those of IANA where browsers know them, else the usual ones.
"""

from typing import Final

BEGINNINGS: Final = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jpx"),
    (8, b"CR\x02", "image/x-canon-cr2"),
    (0, b"II\xbc", "image/vnd.ms-photo"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"gimp xcf", "image/x-xcf"),
    (0, b"AC10", "image/vnd.dwg"),
    (128, b"DICM", "application/dicom"),
    (0, b"MThd", "audio/midi"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/x-flac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"\0\0\x01\xb3", "video/mpeg"),
    (0, b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "video/x-ms-wmv"),
    (4, b"moov", "video/quicktime"),
    (4, b"mdat", "video/quicktime"),
    (4, b"wide", "video/quicktime"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/x-rar-compressed"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"\x04\x22\x4d\x18", "application/x-lz4"),
    (0, b"LZIP", "application/x-lzip"),
    (0, b"\x89LZO\0\r\n\x1a\n", "application/x-lzop"),
    (0, b"\x1f\x9d", "application/x-compress"),
    (0, b"\x1f\xa0", "application/x-compress"),
    (257, b"ustar", "application/x-tar"),
    (0, b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (0, b"!<arch>\ndebian", "application/x-deb"),
    (0, b"!<arch>\n", "application/x-unix-archive"),
    (0, b"\xed\xab\xee\xdb", "application/x-rpm"),
    (0, b"Cr24", "application/x-google-chrome-extension"),
    (0, b"SQLite format 3\0", "application/x-sqlite3"),
    (0, b"\0asm", "application/wasm"),
    (0, b"FWS", "application/x-shockwave-flash"),
    (0, b"CWS", "application/x-shockwave-flash"),
    (0, b"wOFF", "application/font-woff"),
    (0, b"wOF2", "application/font-woff"),
    (0, b"\0\x01\0\0\0", "application/font-sfnt"),
    (0, b"OTTO\0", "application/font-sfnt"),
)
"""Where, what, and what it is the beginning of; the first that fits."""

_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/x-wav", b"AVI ": "video/x-msvideo"}
_AIFF: Final = (b"AIFF", b"AIFC")
_BRANDS: Final = (
    ((b"avif", b"avis"), "image/avif"),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    ((b"qt  ",), "video/quicktime"),
    ((b"M4A ", b"M4B "), "audio/mp4"),
    ((b"M4V ",), "video/x-m4v"),
    ((b"3gp", b"3g2"), "video/3gpp"),
    ((b"isom", b"iso", b"mp4", b"avc1", b"dash", b"MSNV", b"f4v "), "video/mp4"),
)
"""By how a brand of an ISO base media file begins."""
_ABOUT_IMAGES: Final = (b"mif1", b"msf1", b"miaf")
"""Brands that do not say which kind of image it is: the next one does."""
_BITMAP_HEADERS: Final = (12, 16, 40, 52, 56, 64, 108, 124)
"""The sizes of a BMP's second header."""
_OFFICE: Final = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_ZIP_ENTRY: Final = b"PK\x03\x04"
_ZIP_ENTRIES: Final = 5
_TOLD_IN_ZIP: Final = (b"application/epub+zip", b"application/vnd.oasis.opendocument.")
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORD: Final = b"\xec\xa5\xc1\0"
_STREAMS: Final = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
}
"""By the name of a stream in a compound file of old office programs."""


def type_by_beginning(head: bytes) -> str | None:
    """The MIME type of a file whose first bytes (some thousand, or all) these are; None when it is unknown."""
    for at, magic, mime_type in BEGINNINGS:
        if head.startswith(magic, at):
            return mime_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"FORM") and head[8:12] in _AIFF:
        return "audio/x-aiff"
    if head[4:8] == b"ftyp":
        return _media_type(head)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska" if b"matroska" in head[:64] else None
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "image/bmp"
    if head[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and head[4:5] not in (b"", b"\0") and head[9:10] == b"\0":
        return "image/x-icon"
    if head.startswith(_ZIP_ENTRY):
        return _zipped_type(head)
    if head.startswith(_COMPOUND):
        if head.startswith(_WORD, 512):
            return _STREAMS["WordDocument"]
        return next((kind for name, kind in _STREAMS.items() if name.encode("utf-16-le") in head), None)
    return None


def _media_type(head: bytes) -> str | None:
    """ISO/IEC 14496-12, section 4.3: the brand in front counts, unless it only says that it is an image."""
    length = min(int.from_bytes(head[:4]), 256)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length, 4))]
    for brand in brands if brands[0] in _ABOUT_IMAGES else brands[:1]:
        for beginnings, mime_type in _BRANDS:
            if brand.startswith(beginnings):
                return mime_type
    return None


def _zipped_type(head: bytes) -> str:
    """By the names of the first entries; an entry "mimetype", if there is one, is the first and says it."""
    at = 0
    for _ in range(_ZIP_ENTRIES):
        name_bytes = int.from_bytes(head[at + 26 : at + 28], "little")
        name = head[at + 30 : at + 30 + min(name_bytes, 64)]
        if name == b"mimetype":
            told = head[at + 38 : at + 38 + min(int.from_bytes(head[at + 18 : at + 22], "little"), 128)]
            if told.startswith(_TOLD_IN_ZIP) and told.isascii():
                return told.decode()
        for folder, mime_type in _OFFICE.items():
            if name.startswith(folder):
                return mime_type
        at = head.find(_ZIP_ENTRY, at + 30)
        if at < 0:
            break
    return "application/zip"
