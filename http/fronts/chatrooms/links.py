"""Where files and avatars are found.

The prefix is the one that reaches this front on any host, whether it is served alone or among others: a link in an
event goes to sockets that came by either way.
"""

from typing import Any

from chinwag.engine.ids import FileId
from chinwag.engine.model import Attachment
from chinwag.http.calls import Call
from chinwag.http.fronts.chatrooms.wire import FileUrl
from chinwag.http.signed_urls import SignedUrls, Variant
from chinwag.http.uuid_ids import IDS

PREFIX = "/chatrooms"


def shared_link(attachment: Attachment, thumbnail: bool) -> str:
    """The URL that everybody in a room is told. It works with an access token."""
    if attachment.file_id is None:
        return attachment.url
    return _path(attachment.file_id, _variant(thumbnail))


def links_for(call: Call[Any, Any]) -> FileUrl:
    """URLs made out to the caller, which work by themselves until they expire."""

    def link(attachment: Attachment, thumbnail: bool) -> str:
        if attachment.file_id is None:
            return attachment.url
        return signed_link(call, attachment.file_id, _variant(thumbnail))

    return link


def signed_link(call: Call[Any, Any], file_id: FileId, variant: Variant) -> str:
    """The URL of one file, for the caller."""
    query = SignedUrls(call.tokens).query(file_id, variant, call.user, user=IDS.encode(call.user))
    return f"{_path(file_id, variant)}?{query}"


def avatar_link(call: Call[Any, Any], file_id: FileId) -> str:
    """The URL of an avatar: for everybody, and for good."""
    return f"{PREFIX}/avatars/{IDS.encode(file_id)}?signature={SignedUrls(call.tokens).avatar_signature(file_id)}"


def _variant(thumbnail: bool) -> Variant:
    return "thumbnail" if thumbnail else "original"


def _path(file_id: FileId, variant: Variant) -> str:
    path = f"{PREFIX}/files/{IDS.encode(file_id)}"
    return f"{path}/thumbnail" if variant == "thumbnail" else path
