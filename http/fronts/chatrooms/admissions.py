"""Handlers for who may come into a chatroom: lists of invitations and bans. The spec has neither."""

from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.http.api.requests import Reply, Request
from chinwag.http.fronts.chatrooms import requests, wire, wire_admissions
from chinwag.http.fronts.chatrooms.accounts import success

Plain = Request[None, None]


async def list_invitations(request: Request[None, requests.PageQuery]) -> Reply:
    """The invitations that are good: all for owner and moderators, their own for others."""
    query = request.query
    found = await request.engine.invitations.of_room(
        request.path_id("chatroom_id", RoomId), request.user, skip=query.skip, limit=query.limit
    )
    return success(
        wire_admissions.Invitations(
            invitations=[wire_admissions.listed_invitation(each) for each in found.invitations],
            pagination=wire.pagination(query.page, query.limit, found.total),
        )
    )


async def revoke_invitation(request: Plain) -> Reply:
    """End an invitation's code. Its maker may, owner and moderators."""
    room_id, invitation_id = request.path_id("chatroom_id", RoomId), request.path_id("invitation_id", InvitationId)
    await request.engine.invitations.revoke(room_id, request.user, invitation_id)
    return Reply(wire.Done(message="Invitation revoked"))


async def list_bans(request: Request[None, requests.PageQuery]) -> Reply:
    """Who is kept out of a chatroom. For owner and moderators."""
    query = request.query
    found = await request.engine.bans.of_room(
        request.path_id("chatroom_id", RoomId), request.user, skip=query.skip, limit=query.limit
    )
    return success(
        wire_admissions.Bans(
            bans=[wire_admissions.ban(each) for each in found.bans],
            pagination=wire.pagination(query.page, query.limit, found.total),
        )
    )


async def ban(request: Request[requests.Ban, None]) -> Reply:
    """Keep somebody out of a chatroom; a member is removed by it. For owner and moderators."""
    room_id = request.path_id("chatroom_id", RoomId)
    made = await request.engine.bans.add(
        room_id, request.user, request.body_id("user_id", request.body.user_id, UserId)
    )
    return success(wire_admissions.OneBan(ban=wire_admissions.ban(made)), "Banned")


async def unban(request: Plain) -> Reply:
    """Let somebody come by the ordinary ways again. For owner and moderators."""
    room_id, user_id = request.path_id("chatroom_id", RoomId), request.path_id("user_id", UserId)
    await request.engine.bans.lift(room_id, request.user, user_id)
    return Reply(wire.Done(message="Ban lifted"))
