"""Where uploaded files are found, in every front's words.

They are served by the chatrooms front. The prefix is the one that reaches it on any host, whether it is served alone or
among others: a link in an event goes to sockets that came by either way.
"""

from chinwag.engine.ids import FileId
from chinwag.engine.model import Attachment
from chinwag.http.signed_urls import Variant
from chinwag.http.uuid_ids import IDS

PREFIX = "/chatrooms"


def shared_link(attachment: Attachment, thumbnail: bool = False) -> str:
    """The URL that everybody in a room is told. That of an uploaded file works with a member's access token."""
    if attachment.file_id is None:
        return attachment.url
    return file_path(attachment.file_id, "thumbnail" if thumbnail else "original")


def file_path(file_id: FileId, variant: Variant) -> str:
    """The path of an uploaded file, or of its thumbnail."""
    path = f"{PREFIX}/files/{IDS.encode(file_id)}"
    return f"{path}/thumbnail" if variant == "thumbnail" else path
