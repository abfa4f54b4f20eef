"""What a client can say, as a table. Whatever is refused is told by a number of IRC's, and ends nothing."""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import trio

from chinwag.engine import EngineError, RoomId
from chinwag.engine.model.errors import (
    Banned,
    Forbidden,
    Invalid,
    LimitReached,
    NotAMember,
    NotFound,
    RoleNeeded,
)
from chinwag.engine.model.values import Presence, Room, RoomKind
from chinwag_irc import names, numerics
from chinwag_irc.lines import SERVER, Line, line
from chinwag_irc.person import Channel, Person, is_operator
from chinwag_irc.registration import answer_cap, user_called
from chinwag_irc.texts import from_irc, plain

MOST_TARGETS: Final = 4
"""Of one command, between commas."""
MOST_LISTED: Final = 200
TOPIC_CHARACTERS: Final = 300
_numbers = itertools.count()
_joining: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
"""By the folded names of channels that somebody is joining just now."""


class Command(NamedTuple):
    """What does it, and how many parameters it needs at least."""

    run: Callable[..., Awaitable[None]]
    least: int = 0


async def do(person: Person, said: Line) -> bool:
    """Do what a client says. Returns whether the conversation goes on."""
    if said.command == "QUIT":
        await person.connection.end("Bye")
        return False
    command = _COMMANDS.get(said.command)
    if command is None:
        await person.connection.reply(numerics.UNKNOWN_COMMAND, said.command, "Unknown command")
    elif len(said.parameters) < command.least:
        await person.connection.reply(numerics.NEEDS_MORE, said.command, "Not enough parameters")
    else:
        try:
            await command.run(person, *said.parameters)
        except EngineError as error:
            await person.connection.reply(numerics.UNKNOWN_ERROR, said.command, error.message)
    return True


async def _refuse(
    person: Person, what: str, error: EngineError, numbers: Mapping[type[EngineError], str], otherwise: str
) -> None:
    """Tell why not, by the number for the nearest of an error's classes."""
    number = next((numbers[kind] for kind in type(error).__mro__ if kind in numbers), otherwise)
    await person.connection.reply(number, what, error.message)


# --- channels ---

_JOIN_ERRORS: Final[Mapping[type[EngineError], str]] = {
    Banned: numerics.BANNED,
    LimitReached: numerics.CHANNEL_FULL,
    Forbidden: numerics.INVITE_ONLY,
    NotFound: numerics.NO_SUCH_CHANNEL,
    Invalid: numerics.BAD_CHANNEL,
}


async def _join(person: Person, wanted: str, *_: str) -> None:
    if wanted == "0":  # to leave everything: too much to do by a slip
        await person.connection.reply(numerics.UNKNOWN_ERROR, "JOIN", "Leave channels one by one")
        return
    for name in await _targets(person, wanted):
        if not name.startswith("#") or len(name) == 1:
            await person.connection.reply(numerics.NO_SUCH_CHANNEL, name, "No such channel")
        elif person.called(name) is None:
            try:
                await person.show(await _joined(person, names.meant_by(name[1:])))
            except EngineError as error:
                await _refuse(person, name, error, _JOIN_ERRORS, numerics.UNAVAILABLE)


async def _joined(person: Person, meant: names.Meant) -> Room:
    """The room that was meant, which this person is a member of now: one of their own, an open one, or a new one."""
    rooms = person.engine.rooms
    if meant.id is not None:
        await rooms.join(RoomId(meant.id), person.id)
        return await rooms.get(RoomId(meant.id), person.id)
    # One at a time of each name: who comes at the same moment, as all do after a restart, is to find the first's room.
    async with _joining.setdefault(names.folded(meant.text), trio.Lock()):
        return await _joined_by_name(person, meant.text)


async def _joined_by_name(person: Person, name: str) -> Room:
    rooms = person.engine.rooms
    mine = await rooms.of(person.id, name_contains=name, limit=MOST_LISTED)
    for room in mine.rooms:
        if room.kind is RoomKind.GROUP and names.folded(room.name) == names.folded(name):
            return room
    for room in await rooms.open_named(name):
        await rooms.join(room.id, person.id)
        return room
    return await rooms.create(person.id, name=name, private=False)


async def _part(person: Person, wanted: str, *_: str) -> None:
    for name in await _targets(person, wanted):
        channel = await _known(person, name)
        if channel is not None:
            await person.engine.rooms.remove_member(channel.room.id, person.id, person.id)
            await person.hide(channel.room.id)


async def _names(person: Person, wanted: str = "", *_: str) -> None:
    for name in await _targets(person, wanted) or ["*"]:
        channel = person.called(name)
        if channel is None:
            await person.connection.reply(numerics.END_OF_NAMES, name, "End of /NAMES list")
        else:
            await person.list_names(channel)


async def _topic(person: Person, name: str, topic: str | None = None, *_: str) -> None:
    channel = await _known(person, name)
    if channel is None:
        return
    if topic is None:
        said = plain(channel.room.description)
        if said:
            await person.connection.reply(numerics.TOPIC, channel.name, said)
        else:
            await person.connection.reply(numerics.NO_TOPIC, channel.name, "No topic is set")
        return
    try:
        text = plain(topic)[:TOPIC_CHARACTERS]
        await person.change(await person.engine.rooms.update(channel.room.id, person.id, description=text))
    except EngineError as error:
        numbers = {RoleNeeded: numerics.NOT_OPERATOR, NotAMember: numerics.NOT_ON_CHANNEL}
        await _refuse(person, channel.name, error, numbers, numerics.UNAVAILABLE)


async def _list(person: Person, *_: str) -> None:
    """The channels that this person is in: others are found by who knows their names."""
    found = await person.engine.rooms.overviews(person.id, kind=RoomKind.GROUP, limit=MOST_LISTED)
    for overview in found.rooms:
        known = person.channels.get(overview.room.id)
        name = names.channel(overview.room.id, overview.room.name) if known is None else known.name
        count = str(len(overview.member_ids))
        await person.connection.reply(numerics.LIST, name, count, plain(overview.room.description))
    await person.connection.reply(numerics.END_OF_LIST, "End of /LIST: these are yours")


# --- messages ---

_SEND_ERRORS: Final[Mapping[type[EngineError], str]] = {
    NotFound: numerics.NO_SUCH_NICK,
    NotAMember: numerics.CANNOT_SEND,
}


async def _privmsg(person: Person, wanted: str = "", text: str = "", *_: str) -> None:
    if not wanted:
        await person.connection.reply(numerics.NO_RECIPIENT, "No recipient given")
        return
    said = from_irc(text)
    if said is None:
        return  # a question or an answer to somebody's program, and the others are on other fronts
    if not said.strip():
        await person.connection.reply(numerics.NO_TEXT, "No text to send")
        return
    for name in await _targets(person, wanted):
        try:
            room_id = await _room_of(person, name)
            if room_id is not None:
                key = f"{person.own_keys}{next(_numbers)}"
                await person.engine.messages.post(room_id, person.id, text=said, key=key)
        except EngineError as error:
            await _refuse(person, name, error, _SEND_ERRORS, numerics.CANNOT_SEND)


async def _room_of(person: Person, name: str) -> RoomId | None:
    """Where what is said to a channel or a nick goes. Raises as `Rooms.direct`, and `NotFound`."""
    if name.startswith("#"):
        channel = await _known(person, name, otherwise=numerics.CANNOT_SEND)
        return None if channel is None else channel.room.id
    peer = await user_called(person.engine, name)
    if peer.id not in person.direct:
        room = await person.engine.rooms.direct(person.id, peer.id)
        person.direct[peer.id] = room.id
        person.peers[room.id] = names.nick(peer.id, peer.username)
    return person.direct[peer.id]


# --- people ---


async def _who(person: Person, wanted: str = "*", *_: str) -> None:
    channel = person.called(wanted)
    if channel is not None:
        for each in await person.members(channel):
            here = person.engine.presence.connected(each.user_id) is Presence.ONLINE
            flags = ("H" if here else "G") + ("@" if is_operator(each.role) else "")
            nick = names.nick(each.user_id, each.username)
            real = f"0 {plain(each.display_name or each.username)}"
            await person.connection.reply(
                numerics.WHO, channel.name, str(each.user_id), SERVER, SERVER, nick, flags, real
            )
    await person.connection.reply(numerics.END_OF_WHO, wanted, "End of /WHO list")


async def _whois(person: Person, *wanted: str) -> None:
    name = wanted[-1]
    reply = person.connection.reply
    try:
        user = await user_called(person.engine, name)
    except NotFound:
        await reply(numerics.NO_SUCH_NICK, name, "No such nick")
    else:
        nick = names.nick(user.id, user.username)
        await reply(numerics.WHOIS_USER, nick, str(user.id), SERVER, "*", plain(user.display_name or user.username))
        await reply(numerics.WHOIS_SERVER, nick, SERVER, "Chinwag")
        if person.engine.presence.of(user) is Presence.OFFLINE:
            await reply(numerics.AWAY, nick, "is not connected, and will find what you write")
    await reply(numerics.END_OF_WHOIS, name, "End of /WHOIS list")


async def _ison(person: Person, *wanted: str) -> None:
    there = []
    for name in " ".join(wanted).split()[:MOST_LISTED]:
        try:
            user = await user_called(person.engine, name)
        except NotFound:
            continue
        if person.engine.presence.of(user) is Presence.ONLINE:
            there.append(names.nick(user.id, user.username))
    await person.connection.reply(numerics.ISON, " ".join(there))


async def _nick(person: Person, wanted: str = "", *_: str) -> None:
    if names.folded(wanted) != names.folded(person.nick):
        await person.connection.reply(numerics.NO_NICK_CHANGE, "A nick is the name of an account, and stays")


# --- modes ---


async def _mode(person: Person, name: str, modes: str = "", *parameters: str) -> None:
    reply = person.connection.reply
    if not name.startswith("#"):
        if names.folded(name) != names.folded(person.nick):
            await reply(numerics.OTHERS_MODE, "These are somebody else's modes")
        elif modes:
            await reply(numerics.UNKNOWN_USER_MODE, "There are no user modes here")
        else:
            await reply(numerics.USER_MODES, "+")
        return
    channel = await _known(person, name)
    if channel is None:
        return
    if not modes:
        invite_only = "i" if channel.room.private else ""
        await reply(numerics.CHANNEL_MODES, channel.name, f"+{invite_only}nt")
        await reply(numerics.CREATION_TIME, channel.name, str(channel.room.created_us // 1_000_000))
    elif modes.lstrip("+-") == "b" and not parameters:
        await reply(numerics.END_OF_BANS, channel.name, "End of channel ban list: bans are told by other fronts")
    else:
        await reply(numerics.UNKNOWN_MODE, modes, "Modes are not set here")


# --- the rest ---


async def _ping(person: Person, token: str = "", *_: str) -> None:
    await person.connection.send(line("PONG", SERVER, token))


async def _nothing(*_: object) -> None:
    """What needs no answer."""


async def _cap(person: Person, *parameters: str) -> None:
    await answer_cap(person.connection, *parameters)


async def _registered(person: Person, *_: str) -> None:
    await person.connection.reply(numerics.ALREADY_REGISTERED, "You may not reregister")


async def _targets(person: Person, wanted: str) -> list[str]:
    """The names between commas. Of too many those beyond are refused."""
    found = list(dict.fromkeys(filter(None, wanted.split(","))))
    for name in found[MOST_TARGETS:]:
        await person.connection.reply(numerics.TOO_MANY_TARGETS, name, "Too many targets")
    return found[:MOST_TARGETS]


async def _known(person: Person, name: str, *, otherwise: str = numerics.NOT_ON_CHANNEL) -> Channel | None:
    """The channel of a name; of one that the client does not know, that is told."""
    channel = person.called(name)
    if channel is None:
        await person.connection.reply(otherwise, name, "You're not on that channel")
    return channel


_COMMANDS: Final = {
    "JOIN": Command(_join, 1),
    "PART": Command(_part, 1),
    "NAMES": Command(_names),
    "TOPIC": Command(_topic, 1),
    "LIST": Command(_list),
    "PRIVMSG": Command(_privmsg),
    "NOTICE": Command(_privmsg),
    "WHO": Command(_who),
    "WHOIS": Command(_whois, 1),
    "ISON": Command(_ison, 1),
    "NICK": Command(_nick, 1),
    "MODE": Command(_mode, 1),
    "PING": Command(_ping, 1),
    "PONG": Command(_nothing),
    "CAP": Command(_cap, 1),
    "AUTHENTICATE": Command(_registered),
    "PASS": Command(_registered),
    "USER": Command(_registered),
}
