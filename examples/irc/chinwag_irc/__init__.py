"""IRC over Chinwag's engine: a front with a listener of its own, and no HTTP at all.

names         what people and rooms are called on IRC, and back
lines         lines out of bytes, and bytes out of lines: what IRC can carry. No I/O
texts         messages as lines of IRC, and back
numerics      the replies that have numbers
connection    a client's lines, read at a bearable pace, and written
registration  from the first line to a log-in: CAP, PASS, NICK, USER, SASL
conversation  from the welcome to the end
person        somebody who is logged in: their channels
commands      what they say
events        what they hear
"""

from chinwag.engine import Engine
from chinwag.http.api.front import Front
from chinwag.http.api.listeners import FrontConnection, FrontListener
from chinwag_irc.connection import IrcConnection
from chinwag_irc.conversation import converse
from chinwag_irc.registration import Registration


async def serve(engine: Engine, accepted: FrontConnection) -> None:
    """One connection, from its first line to its last."""
    connection = IrcConnection(accepted)
    log_in = await Registration(engine, connection).run()
    if log_in is not None:
        await converse(engine, connection, log_in)


LISTENER = FrontListener(name="irc", title="IRC", port=6667, serve=serve)
FRONT = Front(
    name="irc",
    title="IRC",
    description="The same rooms for IRC clients: a nick is a username, a channel is a room.",
    listeners=(LISTENER,),
)
