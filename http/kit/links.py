"""Where things of this server are found, in every front's words, answers and events.

An answer and an event show the same links: a socket has no request whose address they could take. With a public URL
they are under that; without one they are paths, which are right on whatever host a client found the server.

Uploaded files are served by the chatrooms front. The prefix is the one that reaches it on any host, whether it is
served alone or among others.
"""

from typing import Protocol
from urllib.parse import urlsplit

from chinwag.engine.model.ids import FileId
from chinwag.engine.model.values import Attachment
from chinwag.http.kit.signed_urls import Variant
from chinwag.http.kit.uuid_ids import IDS

FILES_PREFIX = "/chatrooms"


class FileLinks(Protocol):
    """How one reader finds what is on this server."""

    def own(self, address: str, /) -> str:
        """An address as it is shown: a path on this server becomes a link. Others stay as they are."""
        ...

    def attachment(self, attachment: Attachment, /, *, thumbnail: bool = False) -> str:
        """An attachment's file, or its thumbnail."""
        ...


class Links:
    """Makes links that are the same for everybody.

    `root` comes before every path of this server: "https://example.org/chat", or "" for none.
    """

    __slots__ = ("root",)

    def __init__(self, public_url: str | None = None) -> None:
        """`public_url` is where clients find this server, with or without a slash at its end."""
        self.root = "" if public_url is None else public_url.rstrip("/")

    @property
    def host(self) -> str:
        """The public URL's host and port, "" without one."""
        return urlsplit(self.root).netloc

    def own(self, address: str) -> str:
        """An address as it is shown: a path on this server becomes a link. Others stay as they are."""
        return self.root + address if address.startswith("/") else address

    def stored(self, address: str) -> str:
        """An address as it is kept: a link to this server becomes a path again, and so survives a move."""
        rest = address.removeprefix(self.root)
        return rest if self.root and rest != address and rest.startswith("/") else address

    def file(self, file_id: FileId, variant: Variant = "original") -> str:
        """An uploaded file, or its thumbnail."""
        path = f"{self.root}{FILES_PREFIX}/files/{IDS.encode(file_id)}"
        return f"{path}/thumbnail" if variant == "thumbnail" else path

    def attachment(self, attachment: Attachment, *, thumbnail: bool = False) -> str:
        """What everybody in a room is told of an attachment. That of an uploaded file works with a member's token."""
        if attachment.file_id is None:
            return attachment.url
        return self.file(attachment.file_id, "thumbnail" if thumbnail else "original")
