"""Links to files and avatars that work by themselves: made out to one caller, or for everybody and for good."""

from typing import Any

from chinwag.engine.ids import FileId
from chinwag.engine.model import Attachment
from chinwag.http.calls import Call
from chinwag.http.file_links import PREFIX, file_path
from chinwag.http.fronts.chatrooms.wire import FileUrl
from chinwag.http.signed_urls import SignedUrls, Variant
from chinwag.http.uuid_ids import IDS


def links_for(call: Call[Any, Any]) -> FileUrl:
    """URLs made out to the caller, which work by themselves until they expire."""

    def link(attachment: Attachment, thumbnail: bool) -> str:
        if attachment.file_id is None:
            return attachment.url
        return signed_link(call, attachment.file_id, "thumbnail" if thumbnail else "original")

    return link


def signed_link(call: Call[Any, Any], file_id: FileId, variant: Variant) -> str:
    """The URL of one file, for the caller."""
    query = SignedUrls(call.tokens).query(file_id, variant, call.user, user=IDS.encode(call.user))
    return f"{file_path(file_id, variant)}?{query}"


def avatar_link(call: Call[Any, Any], file_id: FileId) -> str:
    """The URL of an avatar: for everybody, and for good."""
    return f"{PREFIX}/avatars/{IDS.encode(file_id)}?signature={SignedUrls(call.tokens).avatar_signature(file_id)}"
