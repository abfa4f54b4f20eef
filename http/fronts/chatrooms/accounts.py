"""Handlers for log-in and profiles. Source: chatrooms spec, "Authentication Endpoints", "User Management Endpoints"."""

from typing import Any

from chinwag.engine import LogIn
from chinwag.engine.model.errors import AccountInactive, Unauthenticated
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.values import Header
from chinwag.http.fronts.chatrooms import requests, wire
from chinwag.http.fronts.chatrooms.errors import Coded
from chinwag.http.fronts.chatrooms.links import avatar_of
from chinwag.http.kit.fields import login_name


async def register(request: Request[requests.Register, None]) -> Reply:
    """Create an account and log it in."""
    body = request.body
    accounts = request.engine.accounts
    user = await accounts.register(
        username=body.username,
        email=body.email,
        password=body.password,
        display_name=body.display_name,
        public_key=body.public_key,
        source=request.source,
    )
    opened = await accounts.open_log_in(user.id)
    return success(
        wire.Registered(
            user=wire.new_user(opened.user, request.links),
            access_token=request.access_token(opened),
            refresh_token=opened.refresh_token,
            expires_in=_lifetime(request, opened),
        )
    )


async def log_in(request: Request[requests.LogIn, None]) -> Reply:
    """By username or e-mail. One answer for whatever was wrong."""
    try:
        opened = await request.engine.accounts.log_in(
            login_name(request.body.username), request.body.password, source=request.source
        )
    except AccountInactive:
        raise
    except Unauthenticated as error:
        raise Coded(401, "AUTH_INVALID_CREDENTIALS", error.message) from error
    return success(
        wire.LoggedIn(
            user=wire.logged_in_user(opened.user, request.links),
            access_token=request.access_token(opened),
            refresh_token=opened.refresh_token,
            expires_in=_lifetime(request, opened),
        )
    )


async def refresh(request: Request[requests.Refresh, None]) -> Reply:
    """A new access token. The refresh token stays good until it expires or its log-in ends."""
    try:
        renewed = await request.engine.accounts.renew(request.body.refresh_token, source=request.source)
    except AccountInactive:
        raise
    except Unauthenticated as error:
        raise Coded(401, "AUTH_REFRESH_TOKEN_INVALID", error.message) from error
    return success(wire.Refreshed(access_token=request.access_token(renewed), expires_in=_lifetime(request, renewed)))


async def log_out(request: Request[None, None]) -> Reply:
    """End this log-in: its access tokens, its refresh token and its sockets, at once."""
    await request.engine.accounts.log_out(request.user, request.claims.family_id)
    return Reply(wire.Done(message="Logged out successfully"))


async def get_profile(request: Request[None, None]) -> Reply:
    """The caller's own profile."""
    return success(wire.profile(await request.engine.accounts.user(request.user), request.links))


async def update_profile(request: Request[requests.UpdateProfile, None]) -> Reply:
    """Change one's profile; what is left out stays."""
    body = request.body
    avatar = request.links.stored(body.avatar_url) if isinstance(body.avatar_url, str) else body.avatar_url
    user = await request.engine.accounts.update_profile(
        request.user,
        display_name=body.display_name,
        avatar_url=avatar,
        public_key=body.public_key,
        avatar_id=avatar_of(avatar) if isinstance(avatar, str) else None,
    )
    return success(wire.profile(user, request.links), "Profile updated")


def success(data: object, message: str = "OK", *, headers: tuple[Header, ...] = ()) -> Reply:
    """The envelope around what a handler has to tell."""
    return Reply(wire.Success(data=data, message=message), headers)


def _lifetime(request: Request[Any, Any], opened: LogIn) -> int:
    return int(request.tokens.lifetime_until(opened.ends_us))
