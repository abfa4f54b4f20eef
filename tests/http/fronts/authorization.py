"""Who may do what over each route of each front, as data: `test_authorization.py` tries all of it.

A front's table has one `Probe` per route. A route that is in no table fails a test, so a new one comes with its line
here.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from chinwag.engine.model.values import Role
from tests.http.service_api import Part


class Actor(StrEnum):
    """How somebody stands to the room that a request is about."""

    ANONYMOUS = "anonymous"
    """Sends no token."""
    STRANGER = "stranger"
    EX_MEMBER = "ex-member"
    """Left."""
    BANNED = "banned"
    """Was removed by a moderator."""
    MEMBER = "member"
    MODERATOR = "moderator"
    ADMIN = "admin"
    OWNER = "owner"


ROLES: Final[Mapping[Actor, Role]] = {
    Actor.MEMBER: Role.MEMBER,
    Actor.MODERATOR: Role.MODERATOR,
    Actor.ADMIN: Role.ADMIN,
    Actor.OWNER: Role.OWNER,
}
OUTSIDE: Final = (Actor.STRANGER, Actor.EX_MEMBER, Actor.BANNED)
LOGGED_IN: Final = (*OUTSIDE, *ROLES)

Rule = Callable[[Actor], int | None]
"""The status that somebody gets, None for that of success."""


def anybody(_: Actor) -> int | None:
    """No token is needed."""
    return None


def users(actor: Actor) -> int | None:
    """Everybody who is logged in."""
    return 401 if actor is Actor.ANONYMOUS else None


def members(actor: Actor) -> int | None:
    """Those who are in the room."""
    return at_least(Role.MEMBER)(actor)


def at_least(role: Role) -> Rule:
    """Those in the room with this role or a higher one."""

    def rule(actor: Actor) -> int | None:
        if actor is Actor.ANONYMOUS:
            return 401
        return None if actor in ROLES and ROLES[actor] >= role else 403

    return rule


def only(allowed: Actor, otherwise: int) -> Rule:
    """One of them; the others who are logged in get a status."""

    def rule(actor: Actor) -> int | None:
        if actor is Actor.ANONYMOUS:
            return 401
        return None if actor is allowed else otherwise

    return rule


def but(rule: Rule, **statuses: int | None) -> Rule:
    """A rule with exceptions, by the name of an actor (`ex_member=404`)."""
    named = {Actor[name.upper()]: status for name, status in statuses.items()}
    return lambda actor: named[actor] if actor in named else rule(actor)


@dataclass(frozen=True, slots=True)
class Scene:
    """A room that one actor asks about, in a front's own ids. `target` is a plain member beside the actor."""

    actor: str
    """The actor's user id; the owner's for who is anonymous."""
    username: str
    """The actor's, likewise."""
    unused: str
    """A name that nobody has."""
    room: str
    direct: str
    """The direct room of actor and target; of owner and target for who is no member."""
    target: str
    outsider: str
    """A user who is in no room."""
    message: str
    """Of the target."""
    own_message: str
    """Of the actor, from before they left or were removed. Of the target for who was never there."""
    file: str
    code: str
    """An invitation's code, made by the owner after all that."""
    invitation: str
    """Its id."""
    banned: str
    """Who was removed by a moderator."""
    refresh_token: str
    """The actor's; the target's for who is anonymous."""


Body = Callable[[Scene], Any]


@dataclass(frozen=True, slots=True)
class Probe:
    """A request to one route, and who may make it.

    `path` fills the names in the route's path (fields of `Scene` as a rule), `missing` names those that are tried with
    an id that nobody has, and what the answer is. `success` overrides the route's own status.
    """

    rule: Rule
    _: KW_ONLY
    path: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    query: Callable[[Scene], Mapping[str, object]] | None = None
    parts: Callable[[Scene], list[Part]] | None = None
    missing: Mapping[str, int] = field(default_factory=dict)
    success: int | None = None


PASSWORD: Final = "correct-horse"
PIXEL: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
"""A PNG of one red pixel."""
REACTION: Final = "\N{TEACUP WITHOUT HANDLE}"

_ROOM = {"room_id": "room"}
_CHATTERSTACK_MESSAGE = {"room_id": "room", "message_id": "message"}
_NO_ROOM = {"room_id": 404}

CHATTERSTACK: Final[Mapping[str, Probe]] = {
    "POST /auth/register": Probe(
        anybody,
        body=lambda s: {"username": s.unused, "email": f"{s.unused}@example.org", "password": PASSWORD},
    ),
    "POST /auth/login": Probe(anybody, body=lambda s: {"email": s.username, "password": PASSWORD}),
    "POST /auth/refresh": Probe(anybody, body=lambda s: {"refresh_token": s.refresh_token}),
    "POST /auth/logout": Probe(users, body=lambda s: {"user_id": s.actor}),
    "GET /users/{user_id}": Probe(users, path={"user_id": "target"}, missing={"user_id": 404}),
    "GET /users": Probe(users, query=lambda s: {"email": f"{s.username}@example.org"}),
    "PATCH /users/{user_id}/status": Probe(
        users, path={"user_id": "actor"}, body=lambda _: {"status": "ONLINE"}, missing={"user_id": 404}
    ),
    "POST /rooms": Probe(users, body=lambda s: {"name": "another", "is_group": True, "member_ids": [s.target]}),
    "POST /rooms/direct": Probe(users, body=lambda s: {"peer_user_id": s.outsider}),
    "GET /rooms": Probe(users),
    "GET /rooms/{room_id}": Probe(members, path=_ROOM, missing=_NO_ROOM),
    "DELETE /rooms/{room_id}": Probe(at_least(Role.ADMIN), path=_ROOM, missing=_NO_ROOM),
    "GET /rooms/{room_id}/members": Probe(members, path=_ROOM, missing=_NO_ROOM),
    "POST /rooms/{room_id}/members": Probe(
        at_least(Role.ADMIN), path=_ROOM, body=lambda s: {"user_id": s.outsider}, missing=_NO_ROOM
    ),
    "DELETE /rooms/{room_id}/members/{user_id}": Probe(
        at_least(Role.MODERATOR), path={**_ROOM, "user_id": "target"}, missing={"room_id": 404, "user_id": 404}
    ),
    "POST /rooms/{room_id}/messages": Probe(members, path=_ROOM, body=lambda _: {"content": "hello"}, missing=_NO_ROOM),
    "GET /rooms/{room_id}/messages": Probe(members, path=_ROOM, missing=_NO_ROOM),
    "PATCH /rooms/{room_id}/messages/{message_id}": Probe(
        but(members, stranger=403),
        path={**_ROOM, "message_id": "own_message"},
        body=lambda _: {"content": "better"},
        missing={"room_id": 404, "message_id": 404},
    ),
    "DELETE /rooms/{room_id}/messages/{message_id}": Probe(
        at_least(Role.MODERATOR), path=_CHATTERSTACK_MESSAGE, missing={"room_id": 404, "message_id": 404}
    ),
    "POST /rooms/{room_id}/messages/{message_id}/deliver": Probe(
        members, path=_CHATTERSTACK_MESSAGE, missing={"room_id": 404, "message_id": 400}
    ),
    "POST /rooms/{room_id}/messages/{message_id}/read": Probe(
        members, path=_CHATTERSTACK_MESSAGE, missing={"room_id": 404, "message_id": 400}
    ),
    "GET /messages/search": Probe(members, query=lambda s: {"q": "hello", "room_id": s.room}),
}

_CHATROOM = {"chatroom_id": "room"}
_CHATROOM_MESSAGE = {"chatroom_id": "room", "message_id": "message"}
_NO_CHATROOM = {"chatroom_id": 404}
_NO_MESSAGE = {"chatroom_id": 404, "message_id": 404}
_TEXT: Body = lambda _: {"content": {"encrypted_data": "hello"}}  # noqa: E731

CHATROOMS: Final[Mapping[str, Probe]] = {
    "POST /auth/register": Probe(
        anybody,
        body=lambda s: {
            "username": s.unused,
            "email": f"{s.unused}@example.org",
            "password": PASSWORD,
            "display_name": "New",
        },
    ),
    "POST /auth/login": Probe(anybody, body=lambda s: {"username": s.username, "password": PASSWORD}),
    "POST /auth/refresh": Probe(anybody, body=lambda s: {"refresh_token": s.refresh_token}),
    "POST /auth/logout": Probe(users),
    "GET /users/me": Probe(users),
    "PUT /users/me": Probe(users, body=lambda _: {"display_name": "Somebody"}),
    "POST /users/me/avatar": Probe(users, parts=lambda _: [Part("file", PIXEL, "me.png")]),
    "GET /chatrooms": Probe(users),
    "POST /chatrooms": Probe(users, body=lambda _: {"name": "another", "is_private": True}),
    "GET /chatrooms/{chatroom_id}": Probe(members, path=_CHATROOM, missing=_NO_CHATROOM),
    "PUT /chatrooms/{chatroom_id}": Probe(
        at_least(Role.MODERATOR), path=_CHATROOM, body=lambda _: {"name": "renamed"}, missing=_NO_CHATROOM
    ),
    "DELETE /chatrooms/{chatroom_id}": Probe(at_least(Role.OWNER), path=_CHATROOM, missing=_NO_CHATROOM),
    "POST /chatrooms/{chatroom_id}/invite": Probe(
        at_least(Role.MODERATOR), path=_CHATROOM, body=lambda _: {}, missing=_NO_CHATROOM
    ),
    "GET /chatrooms/join/{invite_code}": Probe(anybody, path={"invite_code": "code"}, missing={"invite_code": 404}),
    "POST /chatrooms/join/{invite_code}": Probe(users, path={"invite_code": "code"}, missing={"invite_code": 404}),
    "POST /chatrooms/{chatroom_id}/join": Probe(
        at_least(Role.MEMBER), path=_CHATROOM, missing=_NO_CHATROOM
    ),  # the room is private: only who is in it already has joined
    "POST /chatrooms/{chatroom_id}/leave": Probe(members, path=_CHATROOM, missing=_NO_CHATROOM),
    "DELETE /chatrooms/{chatroom_id}/members/{user_id}": Probe(
        at_least(Role.MODERATOR),
        path={**_CHATROOM, "user_id": "target"},
        missing={"chatroom_id": 404, "user_id": 404},
    ),
    "GET /chatrooms/{chatroom_id}/invitations": Probe(members, path=_CHATROOM, missing=_NO_CHATROOM),
    "DELETE /chatrooms/{chatroom_id}/invitations/{invitation_id}": Probe(
        at_least(Role.MODERATOR),
        path={**_CHATROOM, "invitation_id": "invitation"},
        missing={"chatroom_id": 404, "invitation_id": 404},
    ),
    "GET /chatrooms/{chatroom_id}/bans": Probe(at_least(Role.MODERATOR), path=_CHATROOM, missing=_NO_CHATROOM),
    "POST /chatrooms/{chatroom_id}/bans": Probe(
        at_least(Role.MODERATOR), path=_CHATROOM, body=lambda s: {"user_id": s.target}, missing=_NO_CHATROOM
    ),
    "DELETE /chatrooms/{chatroom_id}/bans/{user_id}": Probe(
        at_least(Role.MODERATOR),
        path={**_CHATROOM, "user_id": "banned"},
        missing={"chatroom_id": 404, "user_id": 404},
    ),
    "PUT /chatrooms/{chatroom_id}/members/{user_id}": Probe(
        at_least(Role.OWNER),
        path={**_CHATROOM, "user_id": "target"},
        body=lambda _: {"role": "moderator"},
        missing={"chatroom_id": 404, "user_id": 404},
    ),
    "GET /chatrooms/{chatroom_id}/keys": Probe(members, path=_CHATROOM, missing=_NO_CHATROOM),
    "POST /chatrooms/{chatroom_id}/keys": Probe(
        members,
        path=_CHATROOM,
        body=lambda s: {"version": 1, "sealed": {s.target: "c2VhbGVk"}},
        missing=_NO_CHATROOM,
    ),
    "GET /chatrooms/{chatroom_id}/messages": Probe(members, path=_CHATROOM, missing=_NO_CHATROOM),
    "POST /chatrooms/{chatroom_id}/messages": Probe(members, path=_CHATROOM, body=_TEXT, missing=_NO_CHATROOM),
    "GET /chatrooms/{chatroom_id}/messages/{message_id}": Probe(members, path=_CHATROOM_MESSAGE, missing=_NO_MESSAGE),
    "PUT /chatrooms/{chatroom_id}/messages/{message_id}": Probe(
        members, path={**_CHATROOM, "message_id": "own_message"}, body=_TEXT, missing=_NO_MESSAGE
    ),
    "DELETE /chatrooms/{chatroom_id}/messages/{message_id}": Probe(
        at_least(Role.MODERATOR), path=_CHATROOM_MESSAGE, missing=_NO_MESSAGE
    ),
    "POST /chatrooms/{chatroom_id}/messages/{message_id}/read": Probe(
        members, path=_CHATROOM_MESSAGE, missing=_NO_MESSAGE
    ),
    "POST /chatrooms/{chatroom_id}/messages/{message_id}/reactions": Probe(
        members, path=_CHATROOM_MESSAGE, body=lambda _: {"emoji": "\N{LEMON}"}, missing=_NO_MESSAGE
    ),
    "DELETE /chatrooms/{chatroom_id}/messages/{message_id}/reactions/{emoji}": Probe(
        members, path={**_CHATROOM_MESSAGE, "emoji": quote(REACTION)}, missing=_NO_MESSAGE
    ),
    "POST /chatrooms/{chatroom_id}/search": Probe(
        members, path=_CHATROOM, body=lambda _: {"query": "hello"}, missing=_NO_CHATROOM
    ),
    "GET /chatrooms/{chatroom_id}/summary": Probe(members, path=_CHATROOM, missing=_NO_CHATROOM, success=404),
    "POST /chatrooms/{chatroom_id}/summary": Probe(members, path=_CHATROOM, body=lambda _: {}, missing=_NO_CHATROOM),
    "POST /upload/file": Probe(
        members, parts=lambda s: [Part("chatroom_id", s.room), Part("file", b"hello", "notes.txt")]
    ),
    "GET /files/{file_id}": Probe(
        lambda actor: {Actor.ANONYMOUS: 401}.get(actor, 404 if actor in OUTSIDE else None),
        path={"file_id": "file"},
        missing={"file_id": 404},
    ),
    "GET /files/{file_id}/thumbnail": Probe(
        lambda actor: {Actor.ANONYMOUS: 401}.get(actor, 404 if actor in OUTSIDE else None),
        path={"file_id": "file"},
        missing={"file_id": 404},
    ),
    "GET /avatars/{file_id}": Probe(lambda _: 401, path={"file_id": "file"}),  # without its signature
    "GET /health": Probe(anybody),
}

_GROUP = {"id": "room"}
_CONVERSATION = {"id": "direct"}
_NO_ID = {"id": 404}

MESSENGER: Final[Mapping[str, Probe]] = {
    "POST /auth/register": Probe(
        anybody,
        body=lambda s: {"username": s.unused, "email": f"{s.unused}@example.org", "password": PASSWORD},
    ),
    "POST /auth/login": Probe(anybody, body=lambda s: {"username": s.username, "password": PASSWORD}),
    "POST /auth/refresh": Probe(anybody, body=lambda s: {"refresh_token": s.refresh_token}),
    "POST /auth/logout": Probe(users),
    "GET /users": Probe(users),
    "GET /conversations": Probe(users),
    "POST /conversations": Probe(users, body=lambda s: {"user_id": s.outsider}),
    "GET /conversations/{id}": Probe(members, path=_CONVERSATION, missing=_NO_ID),
    "GET /conversations/{id}/messages": Probe(members, path=_CONVERSATION, missing=_NO_ID),
    "POST /conversations/{id}/messages": Probe(
        members, path=_CONVERSATION, body=lambda _: {"content": "hello"}, missing=_NO_ID
    ),
    "GET /groups": Probe(users),
    "POST /groups": Probe(users, body=lambda s: {"name": "another", "members": [s.outsider]}),
    "GET /groups/{id}": Probe(members, path=_GROUP, missing=_NO_ID),
    "POST /groups/{id}/members": Probe(
        at_least(Role.ADMIN), path=_GROUP, body=lambda s: {"user_id": s.outsider}, missing=_NO_ID
    ),
    "DELETE /groups/{id}/members/{userId}": Probe(
        at_least(Role.MODERATOR), path={**_GROUP, "userId": "target"}, missing={"id": 404, "userId": 404}
    ),
    "DELETE /groups/{id}/members": Probe(
        at_least(Role.MODERATOR), path=_GROUP, body=lambda s: {"user_id": s.target}, missing=_NO_ID
    ),
    "GET /groups/{id}/messages": Probe(members, path=_GROUP, missing=_NO_ID),
    "POST /groups/{id}/messages": Probe(members, path=_GROUP, body=lambda _: {"content": "hello"}, missing=_NO_ID),
}

TABLES: Final[Mapping[str, Mapping[str, Probe]]] = {
    "chatterstack": CHATTERSTACK,
    "chatrooms": CHATROOMS,
    "messenger": MESSENGER,
}
