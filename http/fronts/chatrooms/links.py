"""Links to files and avatars that work by themselves: made out to one caller, or for everybody and for good."""

from typing import Any
from urllib.parse import urlsplit

from chinwag.engine.ids import FileId
from chinwag.engine.model import Attachment
from chinwag.http.calls import Call
from chinwag.http.links import FILES_PREFIX
from chinwag.http.signed_urls import SignedUrls, Variant
from chinwag.http.uuid_ids import IDS


class CallerLinks:
    """`FileLinks` made out to a caller: they work by themselves until they expire."""

    def __init__(self, call: Call[Any, Any]) -> None:
        self._call = call

    def own(self, address: str) -> str:
        """See `FileLinks.own`."""
        return self._call.links.own(address)

    def attachment(self, attachment: Attachment, *, thumbnail: bool = False) -> str:
        """See `FileLinks.attachment`."""
        if attachment.file_id is None:
            return attachment.url
        return signed_link(self._call, attachment.file_id, "thumbnail" if thumbnail else "original")


def signed_link(call: Call[Any, Any], file_id: FileId, variant: Variant) -> str:
    """The URL of one file, for the caller."""
    query = SignedUrls(call.tokens).query(file_id, variant, call.claims, IDS.encode)
    return f"{call.links.file(file_id, variant)}?{query}"


def avatar_path(call: Call[Any, Any], file_id: FileId) -> str:
    """Where an avatar is on this server: for everybody, and for good."""
    return f"{FILES_PREFIX}/avatars/{IDS.encode(file_id)}?signature={SignedUrls(call.tokens).avatar_signature(file_id)}"


def avatar_of(url: str) -> FileId | None:
    """The avatar whose `avatar_path` this is, None for any other address."""
    *_, folder, name = ("", *urlsplit(url).path.split("/"))
    avatar_id = IDS.decode(name) if folder == "avatars" else None
    return None if avatar_id is None else FileId(avatar_id)
