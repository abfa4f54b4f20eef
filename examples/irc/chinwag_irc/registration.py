"""From the first line to a log-in: NICK and USER, with the password by PASS or SASL PLAIN, and the capabilities.

A nick that nobody has is registered with the password that comes with it. There are no nicks without one: a nick is an
account, and would be anybody's.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from chinwag.engine import Engine, EngineError
from chinwag.engine.accounts.log_ins import LogIn
from chinwag.engine.model.errors import Conflict, Invalid, NotFound, Unauthenticated
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import User
from chinwag_irc import names, numerics
from chinwag_irc.connection import IrcConnection
from chinwag_irc.lines import SERVER, line

MOST_SASL_TRIES: Final = 3
SASL_BYTES: Final = 400
"""Of one AUTHENTICATE line. One of just that length would be continued, and no password is as long."""
CAPABILITIES: Final = "sasl"
LOG_OUT_S: Final = 2.0
"""For the log-out of a connection that has ended: the server may be ending, too."""


async def user_called(engine: Engine, name: str) -> User:
    """The user of a nick. Raises `NotFound`."""
    meant = names.meant_by(name)
    if meant.id is not None:
        return await engine.accounts.user(UserId(meant.id))
    if "@" in meant.text:  # they are found by addresses as well, which are nobody's business here
        raise NotFound("user")
    return await engine.accounts.find(meant.text)


async def log_in(engine: Engine, name: str, password: str, *, source: str) -> LogIn:
    """Log in by a nick, or register it. Raises `EngineError`s."""
    try:
        known = await user_called(engine, name)
    except NotFound:
        pass
    else:
        return await engine.accounts.log_in(known.username, password, source=source)
    username = names.meant_by(name).text
    try:
        new = await engine.accounts.register(username=username, email=None, password=password, source=source)
    except Conflict:  # by somebody else, at this moment
        return await engine.accounts.log_in(username, password, source=source)
    return await engine.accounts.open_log_in(new.id)


class Registration:
    """What a client has said of itself so far."""

    def __init__(self, engine: Engine, connection: IrcConnection) -> None:
        self._engine = engine
        self._connection = connection
        self._nick: str | None = None
        self._password: str | None = None
        self._has_user = False
        self._negotiating = False
        self._sasl: LogIn | None = None
        self._sasl_begun = False
        self._sasl_failures = 0
        self._over = False

    async def run(self) -> LogIn | None:
        """Who the client is; None when it left, or was sent away."""
        opened: LogIn | None = None
        try:
            while not self._over and not self._is_complete:
                said = await self._connection.read()
                if said is None:
                    return None
                handle = _COMMANDS.get(said.command)
                if handle is not None:
                    await handle(self, *said.parameters)
                else:
                    await self._connection.reply(numerics.NOT_REGISTERED, "You have not registered")
            if not self._over:
                opened = self._sasl or await self._with_password()
            return opened
        finally:
            if opened is None and self._sasl is not None:
                await log_out(self._engine, self._sasl)

    @property
    def _is_complete(self) -> bool:
        return self._nick is not None and self._has_user and not self._negotiating

    async def _with_password(self) -> LogIn | None:
        assert self._nick is not None
        if self._password is None:
            await self._refuse(numerics.WRONG_PASSWORD, "A nick is an account: connect with a password")
            return None
        source = self._connection.accepted.source
        try:
            return await log_in(self._engine, self._nick, self._password, source=source)
        except Unauthenticated:
            await self._refuse(numerics.WRONG_PASSWORD, "This is somebody's nick, with another password")
        except Invalid as invalid:
            number = numerics.WRONG_NICK if invalid.field == "username" else numerics.WRONG_PASSWORD
            await self._refuse(number, invalid.message)
        except EngineError as error:
            await self._refuse(numerics.UNKNOWN_ERROR, error.message)
        return None

    async def _refuse(self, number: str, why: str) -> None:
        if number == numerics.WRONG_NICK:
            await self._connection.reply(number, self._nick or "*", why)
        else:
            await self._connection.reply(number, why)
        await self._end(why)

    async def _end(self, why: str) -> None:
        self._over = True
        await self._connection.end(why)

    # --- commands ---

    async def _pass(self, password: str = "", *_: str) -> None:
        self._password = password

    async def _set_nick(self, nick: str = "", *_: str) -> None:
        if not nick:
            await self._connection.reply(numerics.NO_NICK, "No nickname given")
            return
        self._nick = nick

    async def _user(self, *parameters: str) -> None:
        if len(parameters) < 4:
            await self._connection.reply(numerics.NEEDS_MORE, "USER", "Not enough parameters")
            return
        self._has_user = True

    async def _cap(self, *parameters: str) -> None:
        kind = (parameters or ("",))[0].upper()
        if kind in ("LS", "REQ"):
            self._negotiating = True
        elif kind == "END":
            self._negotiating = False
        await answer_cap(self._connection, *parameters)

    async def _authenticate(self, said: str = "", *_: str) -> None:
        reply = self._connection.reply
        if self._sasl is not None:
            await reply(numerics.SASL_ALREADY, "You have already authenticated")
        elif said == "*":
            self._sasl_begun = False
            await reply(numerics.SASL_ABORTED, "SASL authentication aborted")
        elif not self._sasl_begun:
            self._sasl_begun = said.upper() == "PLAIN"
            if self._sasl_begun:
                await self._connection.send(line("AUTHENTICATE", "+", source=None))
            else:
                await self._fail_sasl("Only PLAIN is known")
        elif len(said) >= SASL_BYTES:
            self._sasl_begun = False
            await reply(numerics.SASL_TOO_LONG, "SASL message too long")
        else:
            self._sasl_begun = False
            await self._plain(said)

    async def _plain(self, said: str) -> None:
        try:
            _authorized, name, password = base64.b64decode(said, validate=True).decode().split("\0")
            opened = await log_in(self._engine, name, password, source=self._connection.accepted.source)
        except (binascii.Error, ValueError):
            await self._fail_sasl("This is not PLAIN")
        except EngineError as error:
            await self._fail_sasl(error.message)
        else:
            self._sasl = opened
            nick = names.nick(opened.user.id, opened.user.username)
            mask = f"{nick}!{opened.user.id}@{SERVER}"
            await self._connection.reply(numerics.LOGGED_IN, mask, nick, f"You are now logged in as {nick}")
            await self._connection.reply(numerics.SASL_DONE, "SASL authentication successful")

    async def _fail_sasl(self, why: str) -> None:
        self._sasl_failures += 1
        await self._connection.reply(numerics.SASL_FAILED, why)
        if self._sasl_failures >= MOST_SASL_TRIES:
            await self._end(why)

    async def _ping(self, token: str = "", *_: str) -> None:
        await self._connection.send(line("PONG", SERVER, token))

    async def _nothing(self, *_: str) -> None:
        """What needs no answer."""

    async def _quit(self, *_: str) -> None:
        await self._end("Bye")


async def answer_cap(connection: IrcConnection, kind: str = "", wanted: str = "", *_: str) -> None:
    """Which capabilities there are: before the log-in and after it."""
    match kind.upper():
        case "LS":
            answer, told = "LS", CAPABILITIES
        case "LIST":
            answer, told = "LIST", ""
        case "REQ":
            answer = "ACK" if set(wanted.split()) <= {CAPABILITIES, f"-{CAPABILITIES}"} else "NAK"
            told = wanted
        case "END":
            return
        case _:
            await connection.reply(numerics.INVALID_CAP, kind or "*", "Invalid CAP command")
            return
    await connection.send(line("CAP", connection.nick, answer, told))


async def log_out(engine: Engine, opened: LogIn) -> None:
    """End a log-in with its connection: the next one has its own."""
    with trio.move_on_after(LOG_OUT_S) as scope:
        scope.shield = True
        try:
            await engine.accounts.log_out(opened.user.id, opened.family_id)
        except EngineError:
            return  # the store is away: it ends by itself in time


_COMMANDS: Final[dict[str, Callable[..., Awaitable[None]]]] = {
    "PASS": Registration._pass,
    "NICK": Registration._set_nick,
    "USER": Registration._user,
    "CAP": Registration._cap,
    "AUTHENTICATE": Registration._authenticate,
    "PING": Registration._ping,
    "PONG": Registration._nothing,
    "QUIT": Registration._quit,
}
