"""Handlers for log-in and profiles. Source: chatrooms spec, "Authentication Endpoints", "User Management Endpoints"."""

from typing import Any

from chinwag.engine.errors import AccountInactive, Unauthenticated
from chinwag.engine.log_ins import LogIn
from chinwag.http.calls import Call, Reply
from chinwag.http.fields import login_name
from chinwag.http.fronts.chatrooms import requests, wire
from chinwag.http.fronts.chatrooms.errors import Coded
from chinwag.http.fronts.chatrooms.links import avatar_of
from chinwag.http.messages import Header


async def register(call: Call[requests.Register, None]) -> Reply:
    """Create an account and log it in."""
    body = call.body
    accounts = call.engine.accounts
    user = await accounts.register(
        username=body.username,
        email=body.email,
        password=body.password,
        display_name=body.display_name,
        public_key=body.public_key,
        source=call.source,
    )
    opened = await accounts.open_log_in(user.id)
    return success(
        wire.Registered(
            user=wire.new_user(opened.user, call.links),
            access_token=call.access_token(opened),
            refresh_token=opened.refresh_token,
            expires_in=_lifetime(call, opened),
        )
    )


async def log_in(call: Call[requests.LogIn, None]) -> Reply:
    """By username or e-mail. One answer for whatever was wrong."""
    try:
        opened = await call.engine.accounts.log_in(
            login_name(call.body.username), call.body.password, source=call.source
        )
    except AccountInactive:
        raise
    except Unauthenticated as error:
        raise Coded(401, "AUTH_INVALID_CREDENTIALS", error.message) from error
    return success(
        wire.LoggedIn(
            user=wire.logged_in_user(opened.user, call.links),
            access_token=call.access_token(opened),
            refresh_token=opened.refresh_token,
            expires_in=_lifetime(call, opened),
        )
    )


async def refresh(call: Call[requests.Refresh, None]) -> Reply:
    """A new access token. The refresh token stays good until it expires or its log-in ends."""
    try:
        renewed = await call.engine.accounts.renew(call.body.refresh_token, source=call.source)
    except AccountInactive:
        raise
    except Unauthenticated as error:
        raise Coded(401, "AUTH_REFRESH_TOKEN_INVALID", error.message) from error
    return success(wire.Refreshed(access_token=call.access_token(renewed), expires_in=_lifetime(call, renewed)))


async def log_out(call: Call[None, None]) -> Reply:
    """End this log-in: its access tokens, its refresh token and its sockets, at once."""
    await call.engine.accounts.log_out(call.user, call.claims.family_id)
    return Reply(wire.Done(message="Logged out successfully"))


async def get_profile(call: Call[None, None]) -> Reply:
    """The caller's own profile."""
    return success(wire.profile(await call.engine.accounts.user(call.user), call.links))


async def update_profile(call: Call[requests.UpdateProfile, None]) -> Reply:
    """Change one's profile; what is left out stays."""
    body = call.body
    avatar = call.links.stored(body.avatar_url) if isinstance(body.avatar_url, str) else body.avatar_url
    user = await call.engine.accounts.update_profile(
        call.user,
        display_name=body.display_name,
        avatar_url=avatar,
        public_key=body.public_key,
        avatar_id=avatar_of(avatar) if isinstance(avatar, str) else None,
    )
    return success(wire.profile(user, call.links), "Profile updated")


def success(data: object, message: str = "OK", *, headers: tuple[Header, ...] = ()) -> Reply:
    """The envelope around what a handler has to tell."""
    return Reply(wire.Success(data=data, message=message), headers)


def _lifetime(call: Call[Any, Any], opened: LogIn) -> int:
    return int(call.tokens.lifetime_until(opened.ends_us))
