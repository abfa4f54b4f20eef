"""ChatterStack's endpoints. Source of each: the spec's section of the same name; what is beyond it is in README.md."""

from typing import Any

from chinwag.engine import LogIn
from chinwag.engine.model import values as model
from chinwag.engine.model.errors import Conflict, Forbidden, Invalid, NotFound, TooManyTries, Unauthenticated
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import Route
from chinwag.http.fronts.chatterstack import requests, wire
from chinwag.http.kit.fields import login_name
from chinwag.http.kit.idempotency import key_header, message_key
from chinwag.http.kit.search_answers import COMPLETE, completeness

Plain = Request[None, None]


# --- authentication -----------------------------------------------------------------------------------------------


async def register(request: Request[requests.Register, None]) -> Reply:
    """Create an account. It is not logged in yet."""
    body = request.body
    user = await request.engine.accounts.register(
        username=body.username, email=body.email, password=body.password, source=request.source
    )
    return _user(request, user)


async def log_in(request: Request[requests.LogIn, None]) -> Reply:
    """A token pair. One 401 for whatever was wrong."""
    opened = await request.engine.accounts.log_in(
        login_name(request.body.email), request.body.password, source=request.source
    )
    return _token_pair(request, opened)


async def refresh(request: Request[requests.Refresh, None]) -> Reply:
    """A new token pair; the old refresh token is spent. Using a spent one again ends that log-in."""
    return _token_pair(
        request, await request.engine.accounts.refresh(request.body.refresh_token, source=request.source)
    )


async def log_out(request: Request[requests.LogOut, None]) -> Reply:
    """End every log-in of the caller."""
    if request.body_id("user_id", request.body.user_id, UserId) != request.user:
        raise Forbidden("you can only log yourself out")
    await request.engine.accounts.log_out_everywhere(request.user)
    return Reply()


# --- users --------------------------------------------------------------------------------------------------------


async def user_by_id(request: Plain) -> Reply:
    """A user's profile."""
    return _user(request, await request.engine.accounts.user(request.path_id("user_id", UserId)))


async def user_by_email(request: Request[None, requests.UserQuery]) -> Reply:
    """The profile of the user with this address; upper and lower case are the same."""
    return _user(request, await request.engine.accounts.user_by_email(login_name(request.query.email)))


async def set_status(request: Request[requests.SetStatus, None]) -> Reply:
    """Show the caller as online or offline, whatever their connections say."""
    user_id = request.path_id("user_id", UserId)
    if user_id != request.user:
        await request.engine.accounts.user(user_id)
        raise Forbidden("you can only set your own status")
    await request.engine.presence.declare(user_id, model.Presence[request.body.status])
    return Reply()


# --- rooms --------------------------------------------------------------------------------------------------------


async def create_room(request: Request[requests.CreateRoom, None]) -> Reply:
    """A group, whose ADMIN is the caller, or the direct room of the caller and one other."""
    body = request.body
    if body.creator_id is not None and request.body_id("creator_id", body.creator_id, UserId) != request.user:
        raise Invalid("creator_id", "must be your own id")
    member_ids = list(dict.fromkeys(request.body_id("member_ids", text, UserId) for text in body.member_ids))
    if body.is_group:
        room = await request.engine.rooms.create(
            request.user, name=body.name, description=body.description, member_ids=member_ids
        )
        return Reply(wire.room(room))
    others = [user_id for user_id in member_ids if user_id != request.user]
    if len(others) != 1:
        raise Invalid("member_ids", "a direct room needs exactly one other member")
    try:
        return Reply(wire.room(await request.engine.rooms.direct(request.user, others[0])))
    except NotFound as missing:
        raise Invalid("member_ids", f"unknown user {request.ids.encode(others[0])}") from missing


async def create_direct_room(request: Request[requests.CreateDirectRoom, None]) -> Reply:
    """The direct room of the caller and another user; asking again answers with the same room."""
    peer = request.body_id("peer_user_id", request.body.peer_user_id, UserId)
    if peer == request.user:
        raise Invalid("peer_user_id", "must be somebody else's id")
    return Reply(wire.room(await request.engine.rooms.direct(request.user, peer)))


async def rooms(request: Request[None, requests.RoomsQuery]) -> Reply:
    """The caller's rooms, latest activity first."""
    found = await request.engine.rooms.of(request.user, name_contains=request.query.q, limit=request.query.limit)
    return Reply(wire.Rooms(rooms=[wire.room(room) for room in found.rooms]), completeness(found.complete))


async def room(request: Plain) -> Reply:
    """One of the caller's rooms."""
    return Reply(wire.room(await request.engine.rooms.get(request.path_id("room_id", RoomId), request.user)))


async def delete_room(request: Plain) -> Reply:
    """Remove a room with all its messages, for its ADMINs; or leave a direct room."""
    await request.engine.rooms.delete(request.path_id("room_id", RoomId), request.user)
    return Reply()


async def members(request: Plain) -> Reply:
    """Who is in a room, in the order of joining."""
    found = await request.engine.rooms.members(request.path_id("room_id", RoomId), request.user)
    return Reply([wire.member(member) for member in found])


async def add_member(request: Request[requests.AddMember, None]) -> Reply:
    """Add a user to a room. For its ADMINs."""
    room_id = request.path_id("room_id", RoomId)
    user_id = request.body_id("user_id", request.body.user_id, UserId)
    return Reply(
        wire.member(
            await request.engine.rooms.add_member(room_id, request.user, user_id, model.Role[request.body.role])
        )
    )


async def remove_member(request: Plain) -> Reply:
    """Remove a user from a room, and keep them out of it (for its ADMINs), or leave it (for anyone)."""
    room_id = request.path_id("room_id", RoomId)
    await request.engine.rooms.remove_member(room_id, request.user, request.path_id("user_id", UserId))
    return Reply()


# --- messages -----------------------------------------------------------------------------------------------------


async def send_message(request: Request[requests.SendMessage, None]) -> Reply:
    """Store a message, then send it to every member's sockets."""
    posted = await request.engine.messages.post(
        request.path_id("room_id", RoomId),
        request.user,
        text=request.body.content,
        attachments=attachments(request.body.attachments),
        key=message_key(request.headers),
    )
    return _message(request, posted)


async def messages(request: Request[None, requests.MessagesQuery]) -> Reply:
    """A page of a room's messages, newest first; or the window around one message, oldest first."""
    room_id = request.path_id("room_id", RoomId)
    query = request.query
    if query.around_message_id is None:
        skip = (query.page - 1) * query.limit
        page = await request.engine.messages.history(room_id, request.user, skip=skip, limit=query.limit)
        return Reply(wire.messages(page, request.links))
    around = request.body_id("around_message_id", query.around_message_id, MessageId)
    try:
        window = await request.engine.messages.window(room_id, request.user, around=around, limit=query.limit)
    except NotFound as missing:
        raise _invalid_unless_room(missing, "around_message_id") from missing
    return Reply(wire.messages(window, request.links))


async def edit_message(request: Request[requests.EditMessage, None]) -> Reply:
    """Replace the text of one of the caller's own messages."""
    room_id, message_id = request.path_id("room_id", RoomId), request.path_id("message_id", MessageId)
    return _message(
        request, await request.engine.messages.edit(room_id, request.user, message_id, text=request.body.content)
    )


async def delete_message(request: Plain) -> Reply:
    """Remove a message: one's own, or any as the room's ADMIN."""
    room_id, message_id = request.path_id("room_id", RoomId), request.path_id("message_id", MessageId)
    await request.engine.messages.delete(room_id, request.user, message_id)
    return Reply()


async def mark_delivered(request: Plain) -> Reply:
    """This message and all before it reached the caller."""
    room_id = request.path_id("room_id", RoomId)
    try:
        await request.engine.messages.mark_delivered(room_id, request.user, request.path_id("message_id", MessageId))
    except NotFound as missing:
        raise _invalid_unless_room(missing, "message_id") from missing
    return Reply()


async def mark_read(request: Plain) -> Reply:
    """The caller read this message and all before it."""
    room_id = request.path_id("room_id", RoomId)
    try:
        await request.engine.messages.mark_read(room_id, request.user, request.path_id("message_id", MessageId))
    except NotFound as missing:
        raise _invalid_unless_room(missing, "message_id") from missing
    return Reply()


async def search_messages(request: Request[None, requests.SearchQuery]) -> Reply:
    """Messages that contain a text, in any script, in the caller's rooms; newest first."""
    query = request.query
    room_id = None if query.room_id is None else request.body_id("room_id", query.room_id, RoomId)
    found = await request.engine.messages.search(request.user, text=query.q, room_id=room_id, limit=query.limit)
    return Reply(wire.messages(found.messages, request.links), completeness(found.complete))


# --- helpers ------------------------------------------------------------------------------------------------------


def attachments(given: tuple[requests.AttachmentIn, ...]) -> tuple[model.Attachment, ...]:
    """The engine's attachments out of the wire's."""
    return tuple(model.Attachment(url=a.url, mime_type=a.mime_type, size_bytes=a.size_bytes) for a in given)


def _user(request: Request[Any, Any], user: model.User) -> Reply:
    return Reply(wire.user(user, request.engine.presence.of(user)))


def _message(request: Request[Any, Any], viewed: model.ViewedMessage) -> Reply:
    return Reply(wire.message(viewed.message, viewed.status, request.links))


def _token_pair(request: Request[Any, Any], opened: LogIn) -> Reply:
    access_token = request.access_token(opened)
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
