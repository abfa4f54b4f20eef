"""From the welcome to the end: one task tells the client what happens, one does what the client says."""

from typing import Final

import trio

from chinwag.engine import Engine, EngineError
from chinwag.engine.accounts.log_ins import LogIn
from chinwag.engine.connections.in_process import InProcessClient, open_client
from chinwag.engine.model.values import RoomKind
from chinwag_irc import commands, events, names, numerics
from chinwag_irc.connection import IrcConnection
from chinwag_irc.lines import SERVER
from chinwag_irc.person import Person
from chinwag_irc.registration import log_out

AT_LOG_IN: Final = 50
"""Channels that are shown at the beginning, those with the latest activity. Others appear when something happens in
them."""
_SUPPORTED: Final = (
    "NETWORK=Chinwag",
    "CASEMAPPING=ascii",
    "UTF8ONLY",
    "CHANTYPES=#",
    "PREFIX=(o)@",
    "CHANMODES=b,,,int",
    f"NICKLEN={names.NICK_BYTES}",
    f"CHANNELLEN={names.CHANNEL_BYTES}",
    f"TOPICLEN={commands.TOPIC_CHARACTERS}",
    f"MAXTARGETS={commands.MOST_TARGETS}",
)


async def converse(engine: Engine, connection: IrcConnection, log_in: LogIn) -> None:
    """Serve a client that has logged in, to its end, and that of its log-in."""
    person = Person(engine, connection, log_in)
    source = connection.accepted.source
    try:
        async with open_client(engine, user_id=person.id, family_id=log_in.family_id, source=source) as inbox:
            connection.accepted.logged_in()
            await _welcome(person)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell, person, inbox, nursery.cancel_scope)
                while (said := await connection.read()) is not None and await commands.do(person, said):
                    pass
                nursery.cancel_scope.cancel()
    except EngineError as error:  # it has too many connections, or the server is ending
        await connection.end(error.message)
    finally:
        await log_out(engine, log_in)


async def _tell(person: Person, inbox: InProcessClient, whole: trio.CancelScope) -> None:
    """Tell the client what its person hears, until the engine ends that."""
    async for event in inbox:
        await events.tell(person, event)
    reason = inbox.closed_with
    if reason is not None:
        await person.connection.end(f"{reason.text}, come back in a moment" if reason.reconnect else reason.text)
    whole.cancel()


async def _welcome(person: Person) -> None:
    reply = person.connection.reply
    await reply(numerics.WELCOME, f"Welcome to Chinwag, {person.nick}")
    await reply(numerics.YOUR_HOST, f"Your host is {SERVER}")
    await reply(numerics.CREATED, "Its rooms and people are those of all its other APIs")
    await reply(numerics.MY_INFO, SERVER, "chinwag-irc", "-", "int")
    await reply(numerics.SUPPORTED, *_SUPPORTED, "are supported by this server")
    await reply(numerics.NO_MOTD, "There is no message of the day")
    found = await person.engine.rooms.of(person.id, limit=AT_LOG_IN)
    for room in reversed(found.rooms):  # the busiest last: that is the one that a client leaves in front
        if room.kind is RoomKind.GROUP:
            await person.show(room)
