"""What an uploaded file is, by its content, and what it may be called. Pure: bytes in, values out.

What a sender claims (a type, an extension) never counts. A content that could act on behalf of the site that serves it
(HTML, SVG, scripts) has no type of its own here: it is plain text.
"""

import codecs
import hashlib
from typing import Final

import regex

from chinwag.engine.files.file_magic import type_by_beginning
from chinwag.engine.model.errors import TypeNotAllowed
from chinwag.engine.model.names import LONGEST, cleaned

PLAIN_TEXT: Final = "text/plain"
UNKNOWN: Final = "application/octet-stream"
IMAGES: Final = frozenset(
    {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon"}
)
"""Images that every browser shows, and of which thumbnails are made."""
AVATARS: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

MAX_NAME_BYTES: Final = 255
"""Of a file's name in UTF-8: what file systems take."""
MAX_EXTENSION_BYTES: Final = 32
"""A longer one is not kept whole when the name is too long."""
FALLBACK_NAME: Final = "file"
_DEVICE: Final = regex.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", regex.IGNORECASE
)
"""Names that open a device on Windows, whatever their extension."""
_SEEN: Final = regex.compile(r"\X")
"""A character as people see it: a grapheme cluster (UAX #29)."""

_HEAD_BYTES: Final = 8192
"""How much of a file its type is told by."""
_WRITTEN_AS_TEXT: Final = frozenset({"application/pdf", "application/rtf", "application/postscript"})
"""Formats that can be valid text as a whole, and are more than that."""
_SHEBANG: Final = b"#!"
_EXECUTABLES: Final = (
    b"MZ",  # PE and DOS
    b"\x7fELF",
    *(bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe")),  # Mach-O
    *(bytes.fromhex(magic) for magic in ("cafebabe", "cafebabf", "bebafeca", "bfbafeca")),  # of several machines; Java
)


class Inspector:
    """Takes a file's bytes as they come; tells its size, digest and type. Holds no more than its beginning."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._head = b""
        self._digest = hashlib.sha256()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_text = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size_bytes += len(data)
        self._digest.update(data)
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        if self._is_text:
            self._is_text = self._continues_text(data, final=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of everything so far."""
        return self._digest.digest()

    def mime_type(self) -> str:
        """The type of the whole file; nothing may be fed afterwards. Raises `TypeNotAllowed` for executables."""
        if self._is_text:
            self._is_text = self._continues_text(b"", final=True)
        if self._head.startswith(_SHEBANG) or (not self._is_text and self._head.startswith(_EXECUTABLES)):
            raise TypeNotAllowed("is an executable, which is not taken")
        known = type_by_beginning(self._head)
        if self._is_text:  # much that begins like some format is a text that happens to begin so
            return known if known in _WRITTEN_AS_TEXT else PLAIN_TEXT
        return known or UNKNOWN

    def _continues_text(self, data: bytes, *, final: bool) -> bool:
        if b"\0" in data:
            return False
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError:
            return False
        return True


def safe_name(name: str) -> str:
    """A name that is safe to store, to show and to offer for a download: never empty, at most `MAX_NAME_BYTES`.

    Of a path only the last part remains. What a name must not have (`names.cleaned`), dots at the beginning and blanks
    at both ends go; what Windows takes for a device gets a "_" in front. A name that is too long keeps its extension,
    and is cut between two characters as people see them.
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    if len(name) > LONGEST:
        name = name[: LONGEST - MAX_EXTENSION_BYTES] + name[-MAX_EXTENSION_BYTES:]
    kept = _bare(name)
    if _DEVICE.fullmatch(kept):
        kept = f"_{kept}"
    if len(kept.encode()) > MAX_NAME_BYTES:
        stem, dot, extension = kept.rpartition(".")
        suffix = f"{dot}{extension}" if stem and len(extension.encode()) <= MAX_EXTENSION_BYTES else ""
        cut = _cut(kept.removesuffix(suffix), MAX_NAME_BYTES - len(suffix.encode()))
        kept = _bare(cut + suffix)  # a joiner or an isolate may have lost what it was there for
    return kept or FALLBACK_NAME


def _bare(name: str) -> str:
    """Clean, and without what is not a name's at its ends; "" when nothing is left that shows."""
    return cleaned(cleaned(name).lstrip(". ").rstrip(". "))


def _cut(text: str, max_bytes: int) -> str:
    end = size_bytes = 0
    for seen in _SEEN.finditer(text):
        size_bytes += len(seen[0].encode())
        if size_bytes > max_bytes:
            break
        end = seen.end()
    return text[:end] or text.encode()[:max_bytes].decode(errors="ignore")
