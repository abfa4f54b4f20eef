"""Handlers for who may come into a chatroom: lists of invitations and bans. The spec has neither."""

from chinwag.engine.ids import InvitationId, RoomId, UserId
from chinwag.http.calls import Call, Reply
from chinwag.http.fronts.chatrooms import requests, wire, wire_admissions
from chinwag.http.fronts.chatrooms.accounts import success

Plain = Call[None, None]


async def list_invitations(call: Call[None, requests.PageQuery]) -> Reply:
    """The invitations that are good: all for owner and moderators, their own for others."""
    query = call.query
    found = await call.engine.invitations(
        call.path_id("chatroom_id", RoomId), call.user, skip=query.skip, limit=query.limit
    )
    return success(
        wire_admissions.Invitations(
            invitations=[wire_admissions.listed_invitation(each) for each in found.invitations],
            pagination=wire.pagination(query.page, query.limit, found.total),
        )
    )


async def revoke_invitation(call: Plain) -> Reply:
    """End an invitation's code. Its maker may, owner and moderators."""
    room_id, invitation_id = call.path_id("chatroom_id", RoomId), call.path_id("invitation_id", InvitationId)
    await call.engine.revoke_invitation(room_id, call.user, invitation_id)
    return Reply(wire.Done(message="Invitation revoked"))


async def list_bans(call: Call[None, requests.PageQuery]) -> Reply:
    """Who is kept out of a chatroom. For owner and moderators."""
    query = call.query
    found = await call.engine.bans(call.path_id("chatroom_id", RoomId), call.user, skip=query.skip, limit=query.limit)
    return success(
        wire_admissions.Bans(
            bans=[wire_admissions.ban(each) for each in found.bans],
            pagination=wire.pagination(query.page, query.limit, found.total),
        )
    )


async def ban(call: Call[requests.Ban, None]) -> Reply:
    """Keep somebody out of a chatroom; a member is removed by it. For owner and moderators."""
    room_id = call.path_id("chatroom_id", RoomId)
    made = await call.engine.ban_member(room_id, call.user, call.body_id("user_id", call.body.user_id, UserId))
    return success(wire_admissions.OneBan(ban=wire_admissions.ban(made)), "Banned")


async def unban(call: Plain) -> Reply:
    """Let somebody come by the ordinary ways again. For owner and moderators."""
    room_id, user_id = call.path_id("chatroom_id", RoomId), call.path_id("user_id", UserId)
    await call.engine.unban_member(room_id, call.user, user_id)
    return Reply(wire.Done(message="Ban lifted"))
