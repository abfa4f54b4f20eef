"""ChatterStack's endpoints. Source of each: the spec's section of the same name; what is beyond it is in README.md."""

from typing import Any

from chinwag.engine import model
from chinwag.engine.errors import Conflict, Forbidden, Invalid, NotFound, TooManyTries, Unauthenticated
from chinwag.engine.ids import MessageId, RoomId, UserId
from chinwag.engine.log_ins import LogIn
from chinwag.http.calls import Call, Reply
from chinwag.http.fields import login_name
from chinwag.http.fronts.chatterstack import requests, wire
from chinwag.http.idempotency import key_header, message_key
from chinwag.http.routing import Route
from chinwag.http.search_answers import COMPLETE, completeness

Plain = Call[None, None]


# --- authentication -----------------------------------------------------------------------------------------------


async def register(call: Call[requests.Register, None]) -> Reply:
    """Create an account. It is not logged in yet."""
    body = call.body
    user = await call.engine.accounts.register(
        username=body.username, email=body.email, password=body.password, source=call.source
    )
    return _user(call, user)


async def log_in(call: Call[requests.LogIn, None]) -> Reply:
    """A token pair. One 401 for whatever was wrong."""
    opened = await call.engine.accounts.log_in(login_name(call.body.email), call.body.password, source=call.source)
    return _token_pair(call, opened)


async def refresh(call: Call[requests.Refresh, None]) -> Reply:
    """A new token pair; the old refresh token is spent. Using a spent one again ends that log-in."""
    return _token_pair(call, await call.engine.accounts.refresh(call.body.refresh_token, source=call.source))


async def log_out(call: Call[requests.LogOut, None]) -> Reply:
    """End every log-in of the caller."""
    if call.body_id("user_id", call.body.user_id, UserId) != call.user:
        raise Forbidden("you can only log yourself out")
    await call.engine.accounts.log_out_everywhere(call.user)
    return Reply()


# --- users --------------------------------------------------------------------------------------------------------


async def user_by_id(call: Plain) -> Reply:
    """A user's profile."""
    return _user(call, await call.engine.accounts.user(call.path_id("user_id", UserId)))


async def user_by_email(call: Call[None, requests.UserQuery]) -> Reply:
    """The profile of the user with this address; upper and lower case are the same."""
    return _user(call, await call.engine.accounts.user_by_email(login_name(call.query.email)))


async def set_status(call: Call[requests.SetStatus, None]) -> Reply:
    """Show the caller as online or offline, whatever their connections say."""
    user_id = call.path_id("user_id", UserId)
    if user_id != call.user:
        await call.engine.accounts.user(user_id)
        raise Forbidden("you can only set your own status")
    await call.engine.accounts.set_presence(user_id, model.Presence[call.body.status])
    return Reply()


# --- rooms --------------------------------------------------------------------------------------------------------


async def create_room(call: Call[requests.CreateRoom, None]) -> Reply:
    """A group, whose ADMIN is the caller, or the direct room of the caller and one other."""
    body = call.body
    if body.creator_id is not None and call.body_id("creator_id", body.creator_id, UserId) != call.user:
        raise Invalid("creator_id", "must be your own id")
    member_ids = list(dict.fromkeys(call.body_id("member_ids", text, UserId) for text in body.member_ids))
    if body.is_group:
        room = await call.engine.create_room(
            call.user, name=body.name, description=body.description, member_ids=member_ids
        )
        return Reply(wire.room(room))
    others = [user_id for user_id in member_ids if user_id != call.user]
    if len(others) != 1:
        raise Invalid("member_ids", "a direct room needs exactly one other member")
    try:
        return Reply(wire.room(await call.engine.direct_room(call.user, others[0])))
    except NotFound as missing:
        raise Invalid("member_ids", f"unknown user {call.ids.encode(others[0])}") from missing


async def create_direct_room(call: Call[requests.CreateDirectRoom, None]) -> Reply:
    """The direct room of the caller and another user; asking again answers with the same room."""
    peer = call.body_id("peer_user_id", call.body.peer_user_id, UserId)
    if peer == call.user:
        raise Invalid("peer_user_id", "must be somebody else's id")
    return Reply(wire.room(await call.engine.direct_room(call.user, peer)))


async def rooms(call: Call[None, requests.RoomsQuery]) -> Reply:
    """The caller's rooms, latest activity first."""
    found = await call.engine.rooms_of(call.user, name_contains=call.query.q, limit=call.query.limit)
    return Reply(wire.Rooms(rooms=[wire.room(room) for room in found.rooms]), completeness(found.complete))


async def room(call: Plain) -> Reply:
    """One of the caller's rooms."""
    return Reply(wire.room(await call.engine.room(call.path_id("room_id", RoomId), call.user)))


async def delete_room(call: Plain) -> Reply:
    """Remove a room with all its messages, for its ADMINs; or leave a direct room."""
    await call.engine.delete_room(call.path_id("room_id", RoomId), call.user)
    return Reply()


async def members(call: Plain) -> Reply:
    """Who is in a room, in the order of joining."""
    found = await call.engine.members(call.path_id("room_id", RoomId), call.user)
    return Reply([wire.member(member) for member in found])


async def add_member(call: Call[requests.AddMember, None]) -> Reply:
    """Add a user to a room. For its ADMINs."""
    room_id = call.path_id("room_id", RoomId)
    user_id = call.body_id("user_id", call.body.user_id, UserId)
    return Reply(wire.member(await call.engine.add_member(room_id, call.user, user_id, model.Role[call.body.role])))


async def remove_member(call: Plain) -> Reply:
    """Remove a user from a room, and keep them out of it (for its ADMINs), or leave it (for anyone)."""
    room_id = call.path_id("room_id", RoomId)
    await call.engine.remove_member(room_id, call.user, call.path_id("user_id", UserId))
    return Reply()


# --- messages -----------------------------------------------------------------------------------------------------


async def send_message(call: Call[requests.SendMessage, None]) -> Reply:
    """Store a message, then send it to every member's sockets."""
    posted = await call.engine.post_message(
        call.path_id("room_id", RoomId),
        call.user,
        text=call.body.content,
        attachments=attachments(call.body.attachments),
        key=message_key(call.headers),
    )
    return _message(call, posted)


async def messages(call: Call[None, requests.MessagesQuery]) -> Reply:
    """A page of a room's messages, newest first; or the window around one message, oldest first."""
    room_id = call.path_id("room_id", RoomId)
    query = call.query
    if query.around_message_id is None:
        skip = (query.page - 1) * query.limit
        page = await call.engine.history(room_id, call.user, skip=skip, limit=query.limit)
        return Reply(wire.messages(page, call.links))
    around = call.body_id("around_message_id", query.around_message_id, MessageId)
    try:
        window = await call.engine.window(room_id, call.user, around=around, limit=query.limit)
    except NotFound as missing:
        raise _invalid_unless_room(missing, "around_message_id") from missing
    return Reply(wire.messages(window, call.links))


async def edit_message(call: Call[requests.EditMessage, None]) -> Reply:
    """Replace the text of one of the caller's own messages."""
    room_id, message_id = call.path_id("room_id", RoomId), call.path_id("message_id", MessageId)
    return _message(call, await call.engine.edit_message(room_id, call.user, message_id, text=call.body.content))


async def delete_message(call: Plain) -> Reply:
    """Remove a message: one's own, or any as the room's ADMIN."""
    room_id, message_id = call.path_id("room_id", RoomId), call.path_id("message_id", MessageId)
    await call.engine.delete_message(room_id, call.user, message_id)
    return Reply()


async def mark_delivered(call: Plain) -> Reply:
    """This message and all before it reached the caller."""
    room_id = call.path_id("room_id", RoomId)
    try:
        await call.engine.mark_delivered(room_id, call.user, call.path_id("message_id", MessageId))
    except NotFound as missing:
        raise _invalid_unless_room(missing, "message_id") from missing
    return Reply()


async def mark_read(call: Plain) -> Reply:
    """The caller read this message and all before it."""
    room_id = call.path_id("room_id", RoomId)
    try:
        await call.engine.mark_read(room_id, call.user, call.path_id("message_id", MessageId))
    except NotFound as missing:
        raise _invalid_unless_room(missing, "message_id") from missing
    return Reply()


async def search_messages(call: Call[None, requests.SearchQuery]) -> Reply:
    """Messages that contain a text, in any script, in the caller's rooms; newest first."""
    query = call.query
    room_id = None if query.room_id is None else call.body_id("room_id", query.room_id, RoomId)
    found = await call.engine.search(call.user, text=query.q, room_id=room_id, limit=query.limit)
    return Reply(wire.messages(found.messages, call.links), completeness(found.complete))


# --- helpers ------------------------------------------------------------------------------------------------------


def attachments(given: tuple[requests.AttachmentIn, ...]) -> tuple[model.Attachment, ...]:
    """The engine's attachments out of the wire's."""
    return tuple(model.Attachment(url=a.url, mime_type=a.mime_type, size_bytes=a.size_bytes) for a in given)


def _user(call: Call[Any, Any], user: model.User) -> Reply:
    return Reply(wire.user(user, call.engine.presence.of(user)))


def _message(call: Call[Any, Any], viewed: model.ViewedMessage) -> Reply:
    return Reply(wire.message(viewed.message, viewed.status, call.links))


def _token_pair(call: Call[Any, Any], opened: LogIn) -> Reply:
    access_token = call.access_token(opened)
    return Reply(wire.TokenPair(access_token=access_token, refresh_token=opened.refresh_token))


def _invalid_unless_room(missing: NotFound, field: str) -> NotFound | Invalid:
    """The spec answers 404 for a room that is not there, but 400 for a message that is not in it."""
    return missing if missing.what == "room" else Invalid(field, "is not a message of this room")


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/auth/register",
        register,
        body=requests.Register,
        status=201,
        response=wire.User,
        errors=(Invalid, Conflict, TooManyTries),
        auth=False,
        summary="Register",
        description="Create a user account. 409 when the e-mail or the username is taken, whatever its case.",
    ),
    Route(
        "POST",
        "/auth/login",
        log_in,
        body=requests.LogIn,
        response=wire.TokenPair,
        errors=(Invalid, Unauthenticated, TooManyTries),
        auth=False,
        summary="Log in",
        description="Returns a token pair. 401 does not tell whether the address or the password was wrong; after ten "
        "failures each try has to wait.",
    ),
    Route(
        "POST",
        "/auth/refresh",
        refresh,
        body=requests.Refresh,
        response=wire.TokenPair,
        errors=(Invalid, Unauthenticated),
        auth=False,
        summary="Refresh the tokens",
        description="Returns a new pair and spends the given token. A token used twice ends its log-in.",
    ),
    Route(
        "POST",
        "/auth/logout",
        log_out,
        body=requests.LogOut,
        status=204,
        errors=(Invalid, Forbidden),
        summary="Log out",
        description="Ends every log-in of the caller: access and refresh tokens are refused from now on, and open "
        "sockets are closed. `user_id` must be the caller's own.",
    ),
    Route(
        "GET",
        "/users/{user_id}",
        user_by_id,
        response=wire.User,
        errors=(NotFound,),
        summary="Get a user by id",
    ),
    Route(
        "GET",
        "/users",
        user_by_email,
        query=requests.UserQuery,
        response=wire.User,
        errors=(Invalid, NotFound),
        summary="Get a user by e-mail",
    ),
    Route(
        "PATCH",
        "/users/{user_id}/status",
        set_status,
        body=requests.SetStatus,
        status=204,
        errors=(Invalid, Forbidden, NotFound),
        summary="Update the user's status",
        description="Only one's own.",
    ),
    Route(
        "POST",
        "/rooms",
        create_room,
        body=requests.CreateRoom,
        status=201,
        response=wire.Room,
        errors=(Invalid,),
        summary="Create a room",
        description="The caller becomes its ADMIN. With `is_group` false and one other member it is their direct room; "
        "asking again returns the same one.",
    ),
    Route(
        "POST",
        "/rooms/direct",
        create_direct_room,
        body=requests.CreateDirectRoom,
        status=201,
        response=wire.Room,
        errors=(Invalid, NotFound),
        summary="Open a direct room",
        description="The room of the caller and another user; asking again returns the same one.",
    ),
    Route(
        "GET",
        "/rooms",
        rooms,
        query=requests.RoomsQuery,
        response=wire.Rooms,
        response_headers=(COMPLETE,),
        errors=(Invalid,),
        summary="Search rooms",
        description="Lists rooms the caller belongs to, optionally filtered by a part of the name.",
    ),
    Route(
        "GET",
        "/rooms/{room_id}",
        room,
        response=wire.Room,
        errors=(Forbidden, NotFound),
        summary="Get a room",
    ),
    Route(
        "DELETE",
        "/rooms/{room_id}",
        delete_room,
        status=204,
        errors=(Forbidden, NotFound),
        summary="Delete a room",
        description="For its ADMINs. Either of the two in a direct room leaves it by this, and the room stays.",
    ),
    Route(
        "GET",
        "/rooms/{room_id}/members",
        members,
        response=list[wire.Member],
        errors=(Forbidden, NotFound),
        summary="List room members",
    ),
    Route(
        "POST",
        "/rooms/{room_id}/members",
        add_member,
        body=requests.AddMember,
        status=201,
        response=wire.Member,
        errors=(Invalid, Forbidden, NotFound, Conflict),
        summary="Add a room member",
        description="For the room's ADMINs. 409 when the user is a member already. Who was removed before is let in "
        "again.",
    ),
    Route(
        "DELETE",
        "/rooms/{room_id}/members/{user_id}",
        remove_member,
        status=204,
        errors=(Forbidden, NotFound),
        summary="Remove a room member",
        description="Anyone may remove themselves; ADMINs may remove others, who then stay out until an ADMIN adds "
        "them. When the last ADMIN leaves, the member who has been there longest becomes ADMIN.",
    ),
    Route(
        "POST",
        "/rooms/{room_id}/messages",
        send_message,
        body=requests.SendMessage,
        status=201,
        response=wire.Message,
        errors=(Invalid, Forbidden, NotFound, Conflict),
        summary="Send a message",
        description="Every member's sockets receive it as `receive_message`. 409 when the idempotency key came before "
        "with other content.",
        headers=(key_header(),),
    ),
    Route(
        "GET",
        "/rooms/{room_id}/messages",
        messages,
        query=requests.MessagesQuery,
        response=wire.Messages,
        errors=(Invalid, Forbidden, NotFound),
        summary="List messages",
        description="Newest first, by page. With `around_message_id` instead: half of `limit` before that message, "
        "then it and what follows, oldest first.",
    ),
    Route(
        "PATCH",
        "/rooms/{room_id}/messages/{message_id}",
        edit_message,
        body=requests.EditMessage,
        response=wire.Message,
        errors=(Invalid, Forbidden, NotFound),
        summary="Edit a message",
        description="For its author.",
    ),
    Route(
        "DELETE",
        "/rooms/{room_id}/messages/{message_id}",
        delete_message,
        status=204,
        errors=(Forbidden, NotFound),
        summary="Delete a message",
        description="For its author and the room's ADMINs. In a direct room for its author alone.",
    ),
    Route(
        "POST",
        "/rooms/{room_id}/messages/{message_id}/deliver",
        mark_delivered,
        status=204,
        errors=(Invalid, Forbidden, NotFound),
        summary="Mark as delivered",
        description="Covers all messages before it, too. 400 when it is no message of this room; a deleted one is.",
    ),
    Route(
        "POST",
        "/rooms/{room_id}/messages/{message_id}/read",
        mark_read,
        status=204,
        errors=(Invalid, Forbidden, NotFound),
        summary="Mark as read",
        description="Covers all messages before it, too. 400 when it is no message of this room; a deleted one is.",
    ),
    Route(
        "GET",
        "/messages/search",
        search_messages,
        query=requests.SearchQuery,
        response=wire.Messages,
        response_headers=(COMPLETE,),
        errors=(Invalid, Forbidden, NotFound),
        summary="Search messages",
        description="Case-insensitive substring, in the caller's rooms, newest first.",
    ),
)
