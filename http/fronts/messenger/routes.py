"""The messenger's endpoints. Source of each: the spec's section of the same name; what is beyond it is in README.md."""

from typing import Any

from chinwag.engine.model.errors import Conflict, Forbidden, Invalid, NotFound, TooManyTries, Unauthenticated
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.values import Role, RoomKind
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import Route
from chinwag.http.fronts.messenger import requests, wire
from chinwag.http.fronts.messenger.errors import WrongCredentials
from chinwag.http.kit.fields import login_name
from chinwag.http.kit.idempotency import key_header, message_key

ALL = (1 << 53) - 1
"""More rooms than anybody has: the spec's lists have no pages."""

Plain = Request[None, None]


# --- authentication -----------------------------------------------------------------------------------------------


async def register(request: Request[requests.Register, None]) -> Reply:
    """Create an account and log it in."""
    body = request.body
    accounts = request.engine.accounts
    user = await accounts.register(
        username=body.username, email=body.email, password=body.password, source=request.source
    )
    opened = await accounts.open_log_in(user.id)
    answer = wire.Registered(
        user=wire.new_user(opened.user),
        access_token=request.access_token(opened),
        refresh_token=opened.refresh_token,
    )
    return Reply(answer)


async def log_in(request: Request[requests.LogIn, None]) -> Reply:
    """By username or address. One 401 for whatever was wrong."""
    try:
        opened = await request.engine.accounts.log_in(
            login_name(request.body.username), request.body.password, source=request.source
        )
    except Unauthenticated as refused:
        raise (WrongCredentials() if type(refused) is Unauthenticated else refused) from None
    answer = wire.LoggedIn(
        user=wire.user(opened.user), access_token=request.access_token(opened), refresh_token=opened.refresh_token
    )
    return Reply(answer)


async def refresh(request: Request[requests.Refresh, None]) -> Reply:
    """A new access token. The refresh token stays as it is."""
    opened = await request.engine.accounts.renew(request.body.refresh_token, source=request.source)
    return Reply(wire.Refreshed(access_token=request.access_token(opened)))


async def log_out(request: Plain) -> Reply:
    """End the caller's log-in: both of its tokens are refused from now on, and its sockets closed."""
    await request.engine.accounts.log_out(request.user, request.claims.family_id)
    return Reply(wire.Said(message="Logged out successfully"))


# --- users --------------------------------------------------------------------------------------------------------


async def users(request: Request[None, requests.UsersQuery]) -> Reply:
    """Who can be written to, oneself among them, in the order of their registration."""
    query, accounts = request.query, request.engine.accounts
    after = None if query.after is None else request.body_id("after", query.after, UserId)
    known = {request.user, *await accounts.peers(request.user)}
    found = await accounts.everybody(after=after, limit=query.limit)
    return Reply([wire.contact(user, known=user.id in known) for user in found])


# --- conversations ------------------------------------------------------------------------------------------------


async def conversations(request: Plain) -> Reply:
    """The caller's conversations, latest activity first."""
    found = await request.engine.rooms.overviews(request.user, kind=RoomKind.DIRECT, limit=ALL)
    return Reply(
        wire.Conversations(
            conversations=[wire.conversation(each.room, request.user, each.active_us) for each in found.rooms]
        )
    )


async def open_conversation(request: Request[requests.OpenConversation, None]) -> Reply:
    """The conversation with another user: the one there is, or a new one."""
    room = await request.engine.rooms.direct(request.user, _user_id(request, request.body.peer))
    found = await request.engine.rooms.overview(room.id, request.user)
    return Reply(wire.OneConversation(conversation=wire.conversation(room, request.user, found.active_us)))


async def conversation(request: Plain) -> Reply:
    """One of the caller's conversations."""
    room = await request.engine.rooms.get(request.path_id("id", RoomId), request.user)
    if room.kind is not RoomKind.DIRECT:
        raise NotFound("conversation")
    return Reply(wire.OneConversationDetails(conversation=wire.conversation_details(room, request.user)))


async def conversation_messages(request: Request[None, requests.MessagesQuery]) -> Reply:
    """A page of a conversation's messages, newest first."""
    return await _messages(request, RoomKind.DIRECT)


async def send_to_conversation(request: Request[requests.SendMessage, None]) -> Reply:
    """Store a message, then send it to both users' sockets."""
    return await _send(request, RoomKind.DIRECT)


# --- groups -------------------------------------------------------------------------------------------------------


async def groups(request: Plain) -> Reply:
    """The caller's groups, latest activity first."""
    found = await request.engine.rooms.overviews(request.user, kind=RoomKind.GROUP, limit=ALL)
    return Reply(wire.Groups(groups=[wire.group(each.room, each.member_ids) for each in found.rooms]))


async def create_group(request: Request[requests.CreateGroup, None]) -> Reply:
    """A group with the caller in it, who may add others, and those who are named."""
    member_ids = [request.body_id("members", text, UserId) for text in request.body.members]
    try:
        room = await request.engine.rooms.create(request.user, name=request.body.name, member_ids=member_ids)
    except Invalid as unknown:
        raise (NotFound("user") if unknown.field == "member_ids" else unknown) from unknown
    return Reply(wire.OneGroup(group=wire.group(room, list(dict.fromkeys([request.user, *member_ids])))))


async def group(request: Plain) -> Reply:
    """One of the caller's groups."""
    room = await request.engine.rooms.get(request.path_id("id", RoomId), request.user)
    if room.kind is not RoomKind.GROUP:
        raise NotFound("group")
    members = await request.engine.rooms.members(room.id, request.user)
    return Reply(wire.OneGroup(group=wire.group(room, [member.user_id for member in members])))


async def add_member(request: Request[requests.OneUser, None]) -> Reply:
    """Add a user to a group. For its creator, and whoever else is an admin of it."""
    room_id = await _room(request, RoomKind.GROUP)
    user_id = _user_id(request, request.body.user_id)
    try:
        await request.engine.rooms.add_member(room_id, request.user, user_id, Role.MEMBER)
    except Invalid as unknown:
        raise (NotFound("user") if unknown.field == "user_id" else unknown) from unknown
    return Reply(wire.Said(message="Member added successfully"))


async def remove_member(request: Plain) -> Reply:
    """Remove a user from a group (for its creator and admins), or leave it (for anyone)."""
    room_id = await _room(request, RoomKind.GROUP)
    return await _removed(request, room_id, request.path_id("userId", UserId))


async def remove_member_by_body(request: Request[requests.OneUser, None]) -> Reply:
    """The same, with the user in the body."""
    room_id = await _room(request, RoomKind.GROUP)
    return await _removed(request, room_id, _user_id(request, request.body.user_id))


async def group_messages(request: Request[None, requests.MessagesQuery]) -> Reply:
    """A page of a group's messages, newest first."""
    return await _messages(request, RoomKind.GROUP)


async def send_to_group(request: Request[requests.SendMessage, None]) -> Reply:
    """Store a message, then send it to every member's sockets."""
    return await _send(request, RoomKind.GROUP)


# --- helpers ------------------------------------------------------------------------------------------------------


async def _room(request: Request[Any, Any], kind: RoomKind) -> RoomId:
    """The room in the path. One of the other kind is not found; what else is to be said of it the engine will say."""
    room_id = request.path_id("id", RoomId)
    if await request.engine.rooms.kind(room_id, request.user) is not kind:
        raise NotFound("room")
    return room_id


async def _removed(request: Request[Any, Any], room_id: RoomId, user_id: UserId) -> Reply:
    await request.engine.rooms.remove_member(room_id, request.user, user_id)
    return Reply(wire.Said(message="Member removed successfully"))


async def _messages(request: Request[None, requests.MessagesQuery], kind: RoomKind) -> Reply:
    room_id = await _room(request, kind)
    limit, before_us = request.query.limit, request.query.before_us
    if before_us is None:
        found = await request.engine.messages.history(room_id, request.user, skip=0, limit=limit + 1)
    else:
        found, _total = await request.engine.messages.history_between(
            room_id, request.user, before_us=before_us, limit=limit + 1
        )
    page = [viewed.message for viewed in found[:limit]]
    next_us = page[-1].created_us if len(found) > limit else None
    return Reply(wire.messages(page, kind, next_us, request.links))


async def _send(request: Request[requests.SendMessage, None], kind: RoomKind) -> Reply:
    room_id = await _room(request, kind)
    key = message_key(request.headers, request.body.client_id)
    posted = await request.engine.messages.post(room_id, request.user, text=request.body.content, key=key)
    return Reply(wire.one_message(posted.message, kind, request.links))


def _user_id(request: Request[Any, Any], text: str) -> UserId:
    """The user with an id from the body. A UUID that is not one of ours is nobody's."""
    return request.body_id("user_id", text, UserId)


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/auth/register",
        register,
        body=requests.Register,
        response=wire.Registered,
        errors=(Invalid, Conflict, TooManyTries),
        auth=False,
        summary="Register",
        description="Creates a user and logs them in. 400 when the username or address is taken, whatever its case.",
    ),
    Route(
        "POST",
        "/auth/login",
        log_in,
        body=requests.LogIn,
        response=wire.LoggedIn,
        errors=(Invalid, Unauthenticated, TooManyTries),
        auth=False,
        summary="Log in",
        description="By username or address. 401 does not tell what was wrong; after ten failures tries have to wait.",
    ),
    Route(
        "POST",
        "/auth/refresh",
        refresh,
        body=requests.Refresh,
        response=wire.Refreshed,
        errors=(Invalid, Unauthenticated),
        auth=False,
        summary="Refresh the access token",
        description="The refresh token stays good until it expires, or its log-in ends.",
    ),
    Route(
        "POST",
        "/auth/logout",
        log_out,
        response=wire.Said,
        summary="Log out",
        description="Ends this log-in: its access and refresh tokens are refused from now on, its sockets closed.",
    ),
    Route(
        "GET",
        "/users",
        users,
        query=requests.UsersQuery,
        response=list[wire.Contact],
        errors=(Invalid, NotFound),
        summary="List users",
        description="Everybody who can be written to, and the caller, in the order of their registration; at most "
        "`limit`, from the one after `after` on.",
    ),
    Route("GET", "/conversations", conversations, response=wire.Conversations, summary="List conversations"),
    Route(
        "POST",
        "/conversations",
        open_conversation,
        body=requests.OpenConversation,
        response=wire.OneConversation,
        errors=(Invalid, NotFound),
        summary="Open a conversation",
        description="The conversation with another user: asking again, from either side, returns the same one.",
    ),
    Route(
        "GET",
        "/conversations/{id}",
        conversation,
        response=wire.OneConversationDetails,
        errors=(Forbidden, NotFound),
        summary="Get a conversation",
    ),
    Route(
        "GET",
        "/conversations/{id}/messages",
        conversation_messages,
        query=requests.MessagesQuery,
        response=wire.ConversationMessages,
        errors=(Invalid, Forbidden, NotFound),
        summary="List a conversation's messages",
        description="Newest first. The next page begins at `next_cursor`, which is null at the end.",
    ),
    Route(
        "POST",
        "/conversations/{id}/messages",
        send_to_conversation,
        body=requests.SendMessage,
        status=201,
        response=wire.OneConversationMessage,
        errors=(Invalid, Forbidden, NotFound, Conflict),
        headers=(key_header(),),
        summary="Send a message in a conversation",
    ),
    Route("GET", "/groups", groups, response=wire.Groups, summary="List groups"),
    Route(
        "POST",
        "/groups",
        create_group,
        body=requests.CreateGroup,
        status=201,
        response=wire.OneGroup,
        errors=(Invalid, NotFound),
        summary="Create a group",
        description="With the caller in it, and all of `members`.",
    ),
    Route(
        "GET",
        "/groups/{id}",
        group,
        response=wire.OneGroup,
        errors=(Forbidden, NotFound),
        summary="Get a group",
    ),
    Route(
        "POST",
        "/groups/{id}/members",
        add_member,
        body=requests.OneUser,
        response=wire.Said,
        errors=(Invalid, Forbidden, NotFound, Conflict),
        summary="Add a member",
        description="For the group's creator and admins. 400 when the user is a member already. Who was removed before "
        "is let in again.",
    ),
    Route(
        "DELETE",
        "/groups/{id}/members/{userId}",
        remove_member,
        response=wire.Said,
        errors=(Forbidden, NotFound),
        summary="Remove a member, or leave",
        description="Anyone may remove themselves; the group's creator and admins may remove others. When the creator "
        "leaves, another member takes over.",
    ),
    Route(
        "DELETE",
        "/groups/{id}/members",
        remove_member_by_body,
        body=requests.OneUser,
        response=wire.Said,
        errors=(Invalid, Forbidden, NotFound),
        summary="Remove a member, or leave, by a body",
        description="As `DELETE /groups/{id}/members/{userId}`.",
    ),
    Route(
        "GET",
        "/groups/{id}/messages",
        group_messages,
        query=requests.MessagesQuery,
        response=wire.GroupMessages,
        errors=(Invalid, Forbidden, NotFound),
        summary="List a group's messages",
        description="Newest first. The next page begins at `next_cursor`, which is null at the end.",
    ),
    Route(
        "POST",
        "/groups/{id}/messages",
        send_to_group,
        body=requests.SendMessage,
        status=201,
        response=wire.OneGroupMessage,
        errors=(Invalid, Forbidden, NotFound, Conflict),
        headers=(key_header(),),
        summary="Send a message in a group",
    ),
)
