"""What a client is told of what happens, whichever front it came through. What IRC has no word for is left out."""

from chinwag.engine.model.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    MessageEdited,
    MessagePosted,
    RoleChanged,
    RoomDeleted,
    RoomJoined,
    RoomLeft,
    RoomUpdated,
)
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import Message, MessageKind, RoomKind
from chinwag_irc import names
from chinwag_irc.lines import SERVER, line, spread
from chinwag_irc.person import Person, is_operator, mask
from chinwag_irc.texts import action_of, to_irc

_ACTION = ("\x01ACTION ", "\x01")


async def tell(person: Person, event: Event) -> None:
    """Write what a client is to see of an event."""
    match event:
        case MessagePosted(message=message, room_kind=kind):
            if message.key is None or not message.key.startswith(person.own_keys):
                await _message(person, message, kind)
        case MessageEdited(message=message):
            await _edited(person, message)
        case RoomJoined(room=room):
            if room.kind is RoomKind.GROUP:
                await person.show(room)
        case MemberAdded(room_id=room_id, member=member):
            if member.user_id != person.id:
                await _in_channel(person, room_id, "JOIN", source=mask(member.user_id, member.username))
        case MemberRemoved(room_id=room_id, user_id=user_id, username=username):
            if user_id == person.id:
                await person.hide(room_id)
            else:
                await _in_channel(person, room_id, "PART", source=mask(user_id, username))
        case RoomLeft(room_id=room_id) | RoomDeleted(room_id=room_id):
            await person.hide(room_id)
        case RoomUpdated(room=room):
            await person.change(room)
        case RoleChanged(room_id=room_id, user_id=user_id, role=role):
            user = (await person.engine.accounts.users([user_id])).get(user_id)
            if user is not None:
                sign = "+o" if is_operator(role) else "-o"
                await _in_channel(person, room_id, "MODE", sign, names.nick(user_id, user.username), source=SERVER)
        case _:
            pass


async def _in_channel(person: Person, room_id: RoomId, command: str, *more: str, source: str) -> None:
    """Of a channel that the client knows: one that appears later is as it is by then."""
    channel = person.channels.get(room_id)
    if channel is not None:
        await person.connection.send(line(command, channel.name, *more, source=source))


async def _message(person: Person, message: Message, kind: RoomKind) -> None:
    if message.kind is MessageKind.SYSTEM:  # who came and went is told as that
        return
    target = await _target(person, message, kind)
    if target is None:
        return
    lines, around = to_irc(message), ("", "")
    action = action_of(lines)
    if action is not None:
        lines, around = action, _ACTION
    source = mask(message.author_id, message.author_name)
    await person.connection.send(spread("PRIVMSG", target, lines, source=source, around=around))


async def _edited(person: Person, message: Message) -> None:
    """As another message: IRC cannot take anything back."""
    channel = person.channels.get(message.room_id)
    if channel is not None:
        source = mask(message.author_id, message.author_name)
        lines = [f"(edited) {each}" for each in to_irc(message)]
        await person.connection.send(spread("PRIVMSG", channel.name, lines, source=source))


async def _target(person: Person, message: Message, kind: RoomKind) -> str | None:
    """Where a message is shown: in its channel, from somebody to this person, or from this person to somebody."""
    if kind is RoomKind.GROUP:
        channel = await person.channel(message.room_id)
        return None if channel is None else channel.name
    return person.nick if message.author_id != person.id else await person.peer_in(message.room_id)
