"""Somebody who is logged in, and the channels that their client knows.

That a channel has come or gone may be found by what the client says, and by what is heard: who is first tells the
client, and the other finds it told.
"""

from typing import Final, NamedTuple

import trio

from chinwag.engine import Engine, EngineError, RoomId, UserId
from chinwag.engine.accounts.log_ins import LogIn
from chinwag.engine.model.values import Member, Role, Room
from chinwag_irc import names, numerics
from chinwag_irc.connection import IrcConnection
from chinwag_irc.lines import LINE_BYTES, SERVER, line, packed
from chinwag_irc.texts import plain

MOST_MEMBERS: Final = 1_000
"""Of a channel, that are listed."""
_NAMES_BYTES: Final = LINE_BYTES - 2 - names.CHANNEL_BYTES - names.NICK_BYTES - len(f":{SERVER} 353  =  :")


class Channel(NamedTuple):
    """A room as the client knows it."""

    name: str
    room: Room


class Person:
    """One client after its log-in. Its nick is the username, as IRC can say it."""

    def __init__(self, engine: Engine, connection: IrcConnection, log_in: LogIn) -> None:
        self.engine = engine
        self.connection = connection
        self.id = log_in.user.id
        self.nick = connection.nick = names.nick(self.id, log_in.user.username)
        self.mask = mask(self.id, log_in.user.username)
        self.channels: dict[RoomId, Channel] = {}
        self.by_name: dict[str, RoomId] = {}
        """Of the channels, by `names.folded`."""
        self.direct: dict[UserId, RoomId] = {}
        """The rooms with others that were written to."""
        self.peers: dict[RoomId, str] = {}
        """The nicks at the other end of direct rooms."""
        self._showing = trio.Lock()
        self.own_keys = f"irc-{log_in.family_id}-"
        """What the idempotency keys of this connection's messages begin with: IRC does not tell one what one said."""

    # --- channels ---

    def called(self, name: str) -> Channel | None:
        """The channel of a name, if the client knows it."""
        room_id = self.by_name.get(names.folded(name))
        return None if room_id is None else self.channels[room_id]

    async def channel(self, room_id: RoomId) -> Channel | None:
        """The channel of a group, shown now if it was not; None when it is none of this person's any more."""
        if room_id not in self.channels:
            try:
                await self.show(await self.engine.rooms.get(room_id, self.id))
            except EngineError:
                return None
        return self.channels.get(room_id)

    async def show(self, room: Room) -> None:
        """Let a channel appear, and return when its members have been listed. Again: does nothing."""
        async with self._showing:
            if room.id in self.channels:
                return
            name = names.channel(room.id, room.name)
            if names.folded(name) in self.by_name:
                name = names.channel(room.id, room.name, taken=True)
            channel = self.channels[room.id] = Channel(name, room)
            self.by_name[names.folded(name)] = room.id
            await self.connection.send(line("JOIN", name, source=self.mask))
            if room.description:
                await self.connection.reply(numerics.TOPIC, name, plain(room.description))
            await self.list_names(channel)

    async def hide(self, room_id: RoomId, why: str = "") -> None:
        """Let a channel disappear. Again: does nothing."""
        channel = self.channels.pop(room_id, None)
        if channel is not None:
            del self.by_name[names.folded(channel.name)]
            await self.connection.send(line("PART", channel.name, *([why] if why else []), source=self.mask))

    async def change(self, room: Room) -> None:
        """A channel's settings are others now. A new name is another channel, as far as IRC knows."""
        known = self.channels.get(room.id)
        if known is None:
            return
        if known.room.name != room.name:
            await self.hide(room.id, "It has another name now")
            await self.show(room)
            return
        self.channels[room.id] = Channel(known.name, room)
        if known.room.description != room.description:
            await self.connection.send(line("TOPIC", known.name, plain(room.description)))

    async def members(self, channel: Channel) -> tuple[Member, ...]:
        """Who is there; nobody, when this person is not."""
        try:
            return (await self.engine.rooms.members(channel.room.id, self.id))[:MOST_MEMBERS]
        except EngineError:
            return ()

    async def list_names(self, channel: Channel) -> None:
        """Say who is there."""
        nicks = [
            ("@" if is_operator(each.role) else "") + names.nick(each.user_id, each.username)
            for each in await self.members(channel)
        ]
        for portion in packed(nicks, _NAMES_BYTES):
            await self.connection.reply(numerics.NAMES, "*" if channel.room.private else "=", channel.name, portion)
        await self.connection.reply(numerics.END_OF_NAMES, channel.name, "End of /NAMES list")

    async def peer_in(self, room_id: RoomId) -> str | None:
        """The nick of the other one in a direct room."""
        if room_id not in self.peers:
            try:
                room = await self.engine.rooms.get(room_id, self.id)
                peer = await self.engine.accounts.user(room.peer_of(self.id))
            except EngineError:
                return None
            self.peers[room_id] = names.nick(peer.id, peer.username)
        return self.peers[room_id]


def is_operator(role: Role) -> bool:
    """Whether IRC shows a role as that of an operator: who has it may change the topic."""
    return role >= Role.MODERATOR


def mask(user_id: UserId, username: str) -> str:
    """What the lines of somebody's begin with. The user part is their id, which never changes."""
    return f"{names.nick(user_id, username)}!{user_id}@{SERVER}"
