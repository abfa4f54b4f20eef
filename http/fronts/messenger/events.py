"""The frames of the messenger's socket, as a table for the documentation."""

from chinwag.http.api.front import NOT_RECOVERED, SocketEvent
from chinwag.http.fronts.messenger import requests, wire

SOCKET_EVENTS: tuple[SocketEvent, ...] = (
    SocketEvent(
        name="message",
        direction="in",
        description="Send a message to a conversation or a group. Its sender receives it, too.",
        payload=requests.MessageFrame,
    ),
    SocketEvent(
        name="message",
        direction="out",
        description="A message in any of the recipient's conversations and groups, the recipient's own included.",
        payload=wire.MessageFrame,
    ),
    SocketEvent(
        name="presence_list",
        direction="out",
        description="The first frame: who of those that the recipient shares a conversation or group with is online.",
        payload=wire.PresenceListFrame,
    ),
    SocketEvent(
        name="presence",
        direction="out",
        description="One of them came or went.",
        payload=wire.PresenceFrame,
    ),
    SocketEvent(
        name="resumed",
        direction="out",
        description="After `since` in the query, once per conversation and group: everything missed was sent again "
        f"(recovered true), or nothing was and it has to be reloaded. {NOT_RECOVERED}",
        payload=wire.ResumedFrame,
    ),
    SocketEvent(
        name="error",
        direction="out",
        description="Something that was sent is malformed or refused. The socket stays open.",
        payload=wire.ErrorFrame,
    ),
)
