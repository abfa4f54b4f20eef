"""Links to files and avatars that work by themselves: made out to one caller, or for everybody and for good."""

from typing import Any
from urllib.parse import urlsplit

from chinwag.engine.model.ids import FileId
from chinwag.engine.model.values import Attachment
from chinwag.http.api.requests import Request
from chinwag.http.kit.links import FILES_PREFIX
from chinwag.http.kit.signed_urls import SignedUrls, Variant
from chinwag.http.kit.uuid_ids import IDS


class CallerLinks:
    """`FileLinks` made out to a caller: they work by themselves until they expire."""

    def __init__(self, request: Request[Any, Any]) -> None:
        self._request = request

    def own(self, address: str) -> str:
        """See `FileLinks.own`."""
        return self._request.links.own(address)

    def attachment(self, attachment: Attachment, *, thumbnail: bool = False) -> str:
        """See `FileLinks.attachment`."""
        if attachment.file_id is None:
            return attachment.url
        return signed_link(self._request, attachment.file_id, "thumbnail" if thumbnail else "original")


def signed_link(request: Request[Any, Any], file_id: FileId, variant: Variant) -> str:
    """The URL of one file, for the caller."""
    query = SignedUrls(request.tokens).query(file_id, variant, request.claims, IDS.encode)
    return f"{request.links.file(file_id, variant)}?{query}"


def avatar_path(request: Request[Any, Any], file_id: FileId) -> str:
    """Where an avatar is on this server: for everybody, and for good."""
    return (
        f"{FILES_PREFIX}/avatars/{IDS.encode(file_id)}?signature={SignedUrls(request.tokens).avatar_signature(file_id)}"
    )


def avatar_of(url: str) -> FileId | None:
    """The avatar whose `avatar_path` this is, None for any other address."""
    *_, folder, name = ("", *urlsplit(url).path.split("/"))
    avatar_id = IDS.decode(name) if folder == "avatars" else None
    return None if avatar_id is None else FileId(avatar_id)
