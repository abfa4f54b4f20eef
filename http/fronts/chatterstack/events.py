"""The events of ChatterStack's socket, as a table for the documentation."""

from chinwag.http.api.front import NOT_RECOVERED, SocketEvent
from chinwag.http.fronts.chatterstack import wire
from chinwag.http.fronts.chatterstack.socket import InRoom, SendMessageData

SOCKET_EVENTS: tuple[SocketEvent, ...] = (
    SocketEvent(
        name="send_message",
        direction="in",
        description="Post a message to a room that the socket joined. Its sender receives it, too.",
        payload=SendMessageData,
    ),
    SocketEvent(
        name="typing_start",
        direction="in",
        description="The caller began to type. Ends with the next message, with typing_stop, with the caller's last "
        "connection, or by itself after six seconds.",
        payload=InRoom,
    ),
    SocketEvent(name="typing_stop", direction="in", description="The caller stopped typing.", payload=InRoom),
    SocketEvent(
        name="receive_message",
        direction="out",
        description="A message was posted, over HTTP or any socket, the recipient's own included.",
        payload=wire.Message,
    ),
    SocketEvent(
        name="message.status",
        direction="out",
        description="One of the recipient's own messages reached, or was read by, all other members.",
        payload=wire.MessageStatusData,
    ),
    SocketEvent(name="message.updated", direction="out", description="A message was edited.", payload=wire.Message),
    SocketEvent(
        name="message.deleted", direction="out", description="A message is gone.", payload=wire.MessageDeletedData
    ),
    SocketEvent(
        name="typing_start", direction="out", description="Another member began to type.", payload=wire.TypingData
    ),
    SocketEvent(
        name="typing_stop", direction="out", description="Another member stopped typing.", payload=wire.TypingData
    ),
    SocketEvent(
        name="room_added",
        direction="out",
        description="The recipient was added to a room. To receive its messages, connect again with its id. (Those of "
        "a direct room that this socket heard of before come again at once.)",
        payload=wire.Room,
    ),
    SocketEvent(
        name="room_removed",
        direction="out",
        description="The recipient is no longer in a room: they left, were removed, or it was deleted.",
        payload=wire.RoomRemovedData,
    ),
    SocketEvent(
        name="resumed",
        direction="out",
        description="After `since` in the query, once per room: everything missed was sent again (recovered true), "
        f"or nothing was and the room has to be reloaded. {NOT_RECOVERED}",
        payload=wire.ResumedData,
    ),
    SocketEvent(
        name="error",
        direction="out",
        description="Something that was sent is malformed or refused, or a room asked for is. The socket stays open.",
        payload=wire.ErrorData,
    ),
)
