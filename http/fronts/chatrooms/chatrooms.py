"""Handlers for chatrooms, members, invitations and keys. Source: chatrooms spec, "Chatroom Management Endpoints"."""

from typing import Any, TypeVar
from urllib.parse import quote

from msgspec import UnsetType

from chinwag.engine.model import values as model
from chinwag.engine.model.errors import NotFound
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.http.api.requests import Reply, Request
from chinwag.http.fronts.chatrooms import requests, wire, wire_admissions, wire_keys
from chinwag.http.fronts.chatrooms.accounts import success
from chinwag.http.kit.search_answers import completeness
from chinwag.http.kit.times import rfc3339

T = TypeVar("T")

Plain = Request[None, None]


async def create_chatroom(request: Request[requests.CreateChatroom, None]) -> Reply:
    """A chatroom that the caller owns."""
    body = request.body
    room = await request.engine.rooms.create(
        request.user,
        name=body.name,
        description=body.description or "",
        private=body.is_private,
        max_members=body.max_members,
        auto_summary=body.auto_summary_enabled,
        summary_threshold=body.summary_threshold,
        custody=model.KeyCustody.SERVER if body.key_custody == "server" else model.KeyCustody.CLIENT,
        announces=True,
    )
    return success(wire.OneChatroom(chatroom=wire.chatroom(room, request.user, 1)), "Chatroom created")


async def list_chatrooms(request: Request[None, requests.ChatroomsQuery]) -> Reply:
    """The caller's chatrooms, latest activity first."""
    query = request.query
    found = await request.engine.rooms.overviews(
        request.user, name_contains=query.search, skip=query.skip, limit=query.limit
    )
    pagination = wire.pagination(query.page, query.limit, found.total)
    return success(
        wire.Chatrooms(chatrooms=[wire.listed_chatroom(each) for each in found.rooms], pagination=pagination),
        headers=completeness(found.complete),
    )


async def get_chatroom(request: Plain) -> Reply:
    """A chatroom and who is in it. For its members."""
    room_id = request.path_id("chatroom_id", RoomId)
    room = await request.engine.rooms.get(room_id, request.user)
    members = await request.engine.rooms.members(room_id, request.user)
    users = await request.engine.accounts.users([member.user_id for member in members])
    shown = [
        wire.member(member, request.links, online=_is_online(request, users.get(member.user_id))) for member in members
    ]
    role = next((member.role for member in members if member.user_id == request.user), model.Role.MEMBER)
    chatroom = wire.chatroom(room, _owner(room, members), len(members))
    return success(wire.ChatroomDetails(chatroom=chatroom, members=shown, user_role=wire.role(role)))


async def update_chatroom(request: Request[requests.UpdateChatroom, None]) -> Reply:
    """Change a chatroom's settings. For its owner and moderators."""
    body = request.body
    room_id = request.path_id("chatroom_id", RoomId)
    room = await request.engine.rooms.update(
        room_id,
        request.user,
        name=_given(body.name),
        description="" if body.description is None else _given(body.description),
        private=_given(body.is_private),
        max_members=_given(body.max_members),
        auto_summary=_given(body.auto_summary_enabled),
        summary_threshold=_given(body.summary_threshold),
    )
    members = await request.engine.rooms.members(room_id, request.user)
    chatroom = wire.chatroom(room, _owner(room, members), len(members))
    return success(wire.OneChatroom(chatroom=chatroom), "Chatroom updated")


async def delete_chatroom(request: Plain) -> Reply:
    """Remove a chatroom with all that is in it. For its owner. A direct room is left, by either of its two."""
    deleted = await request.engine.rooms.delete(
        request.path_id("chatroom_id", RoomId), request.user, least=model.Role.OWNER
    )
    return Reply(wire.Done(message="Chatroom deleted" if deleted else "Left the chatroom"))


async def leave_chatroom(request: Plain) -> Reply:
    """Leave a chatroom. An owner's leaving hands ownership on."""
    await request.engine.rooms.remove_member(request.path_id("chatroom_id", RoomId), request.user, request.user)
    return Reply(wire.Done(message="Left the chatroom"))


async def join_public(request: Plain) -> Reply:
    """Join a chatroom that is not private."""
    room_id = request.path_id("chatroom_id", RoomId)
    member = await request.engine.rooms.join(room_id, request.user)
    return await _joined(request, room_id, member)


# --- members ------------------------------------------------------------------------------------------------------


async def remove_member(request: Plain) -> Reply:
    """Remove somebody from a chatroom, and keep them out of it. Moderators remove members, the owner anybody."""
    room_id, user_id = request.path_id("chatroom_id", RoomId), request.path_id("user_id", UserId)
    await request.engine.rooms.remove_member(room_id, request.user, user_id)
    return Reply(wire.Done(message="Member removed"))


async def set_role(request: Request[requests.SetRole, None]) -> Reply:
    """Give a member another role. For the owner; naming a new owner makes the old one a moderator."""
    room_id, user_id = request.path_id("chatroom_id", RoomId), request.path_id("user_id", UserId)
    member = await request.engine.rooms.set_member_role(room_id, request.user, user_id, wire.ROLE_OF[request.body.role])
    users = await request.engine.accounts.users([user_id])
    return success(
        wire.OneMember(member=wire.member(member, request.links, online=_is_online(request, users.get(user_id))))
    )


# --- invitations --------------------------------------------------------------------------------------------------


async def invite(request: Request[requests.Invite, None]) -> Reply:
    """An invitation code. Any member may invite to a public chatroom, a moderator to a private one."""
    invitation, code = await request.engine.invitations.create(
        request.path_id("chatroom_id", RoomId),
        request.user,
        max_uses=request.body.max_uses,
        lifetime_s=request.body.expires_in_hours * 3600,
    )
    url = request.url(f"/chatrooms/join/{quote(code, safe='')}")
    return success(
        wire_admissions.OneInvitation(invitation=wire_admissions.invitation(invitation, code, url)),
        "Invitation created",
    )


async def preview_invitation(request: Plain) -> Reply:
    """What an invitation is to. For whoever holds the code."""
    room, invitation = await request.engine.invitations.get(request.path_text("invite_code"))
    return success(
        wire_admissions.InvitationPreview(
            chatroom_name=room.name,
            expires_at=rfc3339(invitation.expires_us),
            uses_left=invitation.max_uses - invitation.uses,
        )
    )


async def accept_invitation(request: Plain) -> Reply:
    """Join by an invitation's code."""
    room, member = await request.engine.invitations.accept(request.path_text("invite_code"), request.user)
    return await _joined(request, room.id, member)


# --- keys ---------------------------------------------------------------------------------------------------------


async def keys(request: Request[None, requests.KeysQuery]) -> Reply:
    """The chatroom's keys, sealed for the caller, and its members' public keys."""
    room_id = request.path_id("chatroom_id", RoomId)
    ring = await request.engine.keys.for_member(room_id, request.user, above=request.query.above)
    return success(wire_keys.keys(ring, await request.engine.keys.public_keys(room_id, request.user)))


async def put_keys(request: Request[requests.PutKeys, None]) -> Reply:
    """Store a version of the chatroom's key as the caller sealed it for members (client custody)."""
    room_id = request.path_id("chatroom_id", RoomId)
    sealed: dict[UserId, str] = {}
    for text, key in request.body.sealed.items():
        number = request.ids.decode(text)
        if number is None:
            raise NotFound("member")
        sealed[UserId(number)] = key
    await request.engine.keys.put_member_keys(room_id, request.user, request.body.version, sealed)
    return Reply(wire.Done(message="Keys stored"))


# --- pieces -------------------------------------------------------------------------------------------------------


def _given(value: T | UnsetType) -> T | None:
    """A setting as the engine takes it: None leaves it as it is."""
    return None if isinstance(value, UnsetType) else value


async def _joined(request: Request[Any, Any], room_id: RoomId, member: model.Member) -> Reply:
    room = await request.engine.rooms.get(room_id, request.user)
    count = len(await request.engine.rooms.members(room_id, request.user))
    return success(wire.Joined(chatroom=wire.joined_chatroom(room, member, count)), "Joined the chatroom")


def _is_online(request: Request[Any, Any], user: model.User | None) -> bool:
    return user is not None and request.engine.presence.of(user) is model.Presence.ONLINE


def _owner(room: model.Room, members: tuple[model.Member, ...]) -> UserId:
    """The owner; of a direct room, which has none, who opened it."""
    owners = (member.user_id for member in members if member.role is model.Role.OWNER)
    return next(owners, room.created_by)
