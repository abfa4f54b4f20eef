"""The events of the chatrooms socket, as a table for the documentation."""

from chinwag.http.api.front import NOT_RECOVERED, SocketEvent
from chinwag.http.fronts.chatrooms import socket_wire as events

SOCKET_EVENTS: tuple[SocketEvent, ...] = (
    SocketEvent(
        name="join_chatroom",
        direction="in",
        description="Hear of a chatroom on this socket. Answered with chatroom_joined.",
        payload=events.InChatroom,
    ),
    SocketEvent(
        name="leave_chatroom",
        direction="in",
        description="Hear of it no more on this socket; membership is not touched. Answered with chatroom_left.",
        payload=events.InChatroom,
    ),
    SocketEvent(
        name="send_message",
        direction="in",
        description="Post a message. Its sender receives it, too. `client_id` makes a retry safe.",
        payload=events.SendMessageData,
    ),
    SocketEvent(
        name="typing_start",
        direction="in",
        description="Ends with the next message, with typing_stop, with the last connection of the user, or by itself "
        "after six seconds.",
        payload=events.InChatroom,
    ),
    SocketEvent(
        name="typing_stop", direction="in", description="The caller stopped typing.", payload=events.InChatroom
    ),
    SocketEvent(
        name="message_read",
        direction="in",
        description="The caller read this message, which may be deleted by now, and all before it.",
        payload=events.MessageReadData,
    ),
    SocketEvent(name="add_reaction", direction="in", description="React to a message.", payload=events.ReactionData),
    SocketEvent(
        name="remove_reaction", direction="in", description="Take a reaction back.", payload=events.ReactionData
    ),
    SocketEvent(name="ping", direction="in", description="Answered with pong.", payload=events.Nothing),
    SocketEvent(
        name="connected",
        direction="out",
        description="The first event on every socket: whom the server takes the client for.",
        payload=events.ConnectedData,
    ),
    SocketEvent(name="pong", direction="out", description="The answer to ping.", payload=events.Nothing),
    SocketEvent(
        name="message_received",
        direction="out",
        description="A message was posted, by any front, the recipient's own included.",
        payload=events.MessageData,
    ),
    SocketEvent(
        name="message_edited", direction="out", description="A message as it is now.", payload=events.MessageData
    ),
    SocketEvent(
        name="message_deleted", direction="out", description="A message is gone.", payload=events.MessageDeletedData
    ),
    SocketEvent(
        name="reaction_added", direction="out", description="Somebody reacted.", payload=events.ReactionAddedData
    ),
    SocketEvent(
        name="reaction_removed",
        direction="out",
        description="Somebody took a reaction back.",
        payload=events.ReactionRemovedData,
    ),
    SocketEvent(name="user_joined", direction="out", description="A new member.", payload=events.UserJoinedData),
    SocketEvent(
        name="user_left", direction="out", description="Somebody left or was removed.", payload=events.UserLeftData
    ),
    SocketEvent(
        name="role_changed", direction="out", description="A member has another role.", payload=events.RoleData
    ),
    SocketEvent(
        name="typing_indicator",
        direction="out",
        description="Another member began or stopped to type.",
        payload=events.TypingData,
    ),
    SocketEvent(
        name="user_online",
        direction="out",
        description="Somebody who shares a chatroom with the recipient came online.",
        payload=events.PresenceData,
    ),
    SocketEvent(
        name="user_offline",
        direction="out",
        description="Somebody who shares a chatroom with the recipient went offline, some seconds ago.",
        payload=events.PresenceData,
    ),
    SocketEvent(
        name="chatroom_updated",
        direction="out",
        description="A chatroom's settings have changed.",
        payload=events.ChatroomUpdatedData,
    ),
    SocketEvent(
        name="chatroom_deleted", direction="out", description="A chatroom is gone.", payload=events.ChatroomData
    ),
    SocketEvent(
        name="chatroom_added",
        direction="out",
        description="The recipient is a member of one more chatroom. join_chatroom to hear of it.",
        payload=events.ChatroomAddedData,
    ),
    SocketEvent(
        name="chatroom_removed",
        direction="out",
        description="The recipient is a member no longer.",
        payload=events.ChatroomData,
    ),
    SocketEvent(
        name="chatroom_joined",
        direction="out",
        description="Answers join_chatroom: everything from now on arrives.",
        payload=events.ChatroomData,
    ),
    SocketEvent(
        name="chatroom_left", direction="out", description="Answers leave_chatroom.", payload=events.ChatroomData
    ),
    SocketEvent(
        name="room_key_changed",
        direction="out",
        description="Encrypt with this version from now on; the keys endpoint has it.",
        payload=events.KeyData,
    ),
    SocketEvent(
        name="key_replaced",
        direction="out",
        description="The recipient's copy of this version was replaced, in client custody: fetch it again.",
        payload=events.KeyData,
    ),
    SocketEvent(
        name="resumed",
        direction="out",
        description="After `since` in the address, once per chatroom: all that was missed was sent again (recovered "
        f"true), or nothing was and it has to be reloaded. {NOT_RECOVERED}",
        payload=events.ResumedData,
    ),
    SocketEvent(
        name="error",
        direction="out",
        description="Something that was sent is malformed or refused. The socket stays open.",
        payload=events.ErrorData,
    ),
)
