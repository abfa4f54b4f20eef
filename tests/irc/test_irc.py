"""The IRC front over real sockets: logging in, talking with each other and with other fronts, and clients that are
none."""

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest
import trio
from chinwag_irc import FRONT

from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.errors import Unauthenticated
from chinwag.engine.model.ids import FamilyId
from chinwag.engine.model.values import Role, Room, User
from chinwag.http.testing import FrontServer, open_front
from tests.irc.irc_client import LIMIT_S, PASSWORD, IrcClient, connected, logged_in

_numbers = count()


@pytest.fixture
async def server() -> AsyncIterator[FrontServer]:
    async with open_front(FRONT) as server:
        yield server


@pytest.fixture
def port(server: FrontServer) -> int:
    return server.ports["irc"]


async def user(server: FrontServer, username: str) -> User:
    """Somebody who has registered on another front."""
    return await server.engine.accounts.register(username=username, email=None, password=PASSWORD)


async def room(server: FrontServer, creator: User, name: str, *others: User, private: bool = True) -> Room:
    """A room that was made on another front."""
    member_ids = [other.id for other in others]
    return await server.engine.rooms.create(creator.id, name=name, member_ids=member_ids, private=private)


def said(lines: list[str]) -> list[str]:
    """Lines without the user part of who said them, which is an id."""
    return [
        f"{line.partition('!')[0]} {line.partition(' ')[2]}" if "!" in line.split(" ")[0] else line for line in lines
    ]


# - logging in


async def test_a_new_nick_is_registered_and_logs_in_again(port: int) -> None:
    for _ in range(2):
        async with connected(port) as client:
            await client.send(f"PASS {PASSWORD}", "NICK ann", "USER ann 0 * :Ann")
            assert await client.next() == ":chinwag 001 ann :Welcome to Chinwag, ann"
            lines = await client.fence()
            assert [line.split()[1] for line in lines] == ["002", "003", "004", "005", "422"]
            assert "CASEMAPPING=ascii" in lines[3]
            await client.send("QUIT :gone")
            assert await client.ended() == ["ERROR :Bye"]


async def test_a_username_is_one_account_on_all_fronts_and_the_client_learns_its_spelling(
    server: FrontServer, port: int
) -> None:
    await user(server, "Ann Lee")
    async with connected(port) as client:
        await client.send(f"PASS {PASSWORD}", "NICK ann`20`LEE", "USER a 0 * :a")
        assert await client.next() == ":chinwag 001 Ann`20`Lee :Welcome to Chinwag, Ann`20`Lee"


async def test_another_password_is_no_way_in_and_registers_nobody_else(server: FrontServer, port: int) -> None:
    await user(server, "ann")
    async with connected(port) as client:
        await client.send("PASS wrong-horse", "NICK Ann", "USER a 0 * :a", "NICK ann_", "PRIVMSG ann :hello")
        lines = await client.ended()
        assert lines[0] == ":chinwag 464 * :This is somebody's nick, with another password"
        assert lines[1].startswith("ERROR :")
        assert len(lines) == 2


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["NICK ann", "USER a 0 * :a"], "464"),
        ([f"PASS {PASSWORD}", "NICK a@b", "USER a 0 * :a"], "432"),
        ([f"PASS {PASSWORD}", "NICK a`40`example.org", "USER a 0 * :a"], "432"),
        ([f"PASS {PASSWORD}", "NICK ```", "USER a 0 * :a"], "001"),
        ([f"PASS {PASSWORD}", "NICK :`20`", "USER a 0 * :a"], "432"),
        ([f"PASS {PASSWORD}", "NICK a`d`b", "USER a 0 * :a"], "432"),
        ([f"PASS {PASSWORD}", "NICK x``12", "USER a 0 * :a"], "432"),
        (["PASS :", "NICK ann", "USER a 0 * :a"], "464"),
    ],
)
async def test_what_is_no_account_is_told_by_its_number(port: int, lines: list[str], number: str) -> None:
    async with connected(port) as client:
        await client.send(*lines)
        first = await client.next()
        assert first is not None
        assert first.split()[1] == number
        if number != "001":
            assert (await client.ended())[-1].startswith("ERROR :")


async def test_an_address_finds_nobody(server: FrontServer, port: int) -> None:
    await server.engine.accounts.register(username="ann", email="ann@example.org", password=PASSWORD)
    async with logged_in(port, "bob") as bob:
        await bob.send("PRIVMSG ann`40`example.org :hello", "WHOIS ann`40`example.org")
        assert [line.split()[1] for line in await bob.fence()] == ["401", "401", "318"]


async def test_before_the_log_in_nothing_else_is_done(port: int) -> None:
    async with connected(port) as client:
        await client.send("JOIN #tea", "PRIVMSG ann :hello", "NICK", "USER a", "FOO", "PING :are you there")
        lines = [await client.next() for _ in range(6)]
        assert [(line or "").split()[1] for line in lines] == ["451", "451", "431", "461", "451", "PONG"]
        assert lines[-1] == ":chinwag PONG chinwag :are you there"
        await client.send(f"PASS {PASSWORD}", "USER a 0 * :a", "NICK ann")  # in another order than usual
        await client.until(" 001 ann ")
        await client.send("PASS x", "USER a 0 * :a", "AUTHENTICATE PLAIN", "NICK bob", "NICK ANN")
        assert [line.split()[1] for line in (await client.fence())[-4:]] == ["462", "462", "462", "447"]


async def test_capabilities_are_negotiated_and_hold_the_log_in_up(port: int) -> None:
    async with connected(port) as client:
        await client.send("CAP LS 302", f"PASS {PASSWORD}", "NICK ann", "USER a 0 * :a", "PING x")
        assert [await client.next(), await client.next()] == [":chinwag CAP * LS :sasl", ":chinwag PONG chinwag :x"]
        await client.send("CAP REQ :multi-prefix sasl", "CAP REQ :sasl", "CAP LIST", "CAP NONSENSE", "CAP END")
        lines = [await client.next() for _ in range(4)]
        assert lines == [
            ":chinwag CAP * NAK :multi-prefix sasl",
            ":chinwag CAP * ACK :sasl",
            ":chinwag CAP * LIST :",
            ":chinwag 410 * NONSENSE :Invalid CAP command",
        ]
        await client.until(" 001 ann ")
        await client.send("CAP LS 302", "CAP END")
        assert (await client.fence())[-1] == ":chinwag CAP ann LS :sasl"


def plain(name: str, password: str) -> str:
    return "AUTHENTICATE " + base64.b64encode(f"\0{name}\0{password}".encode()).decode()


async def test_sasl_logs_in_whatever_the_nick_is(server: FrontServer, port: int) -> None:
    await user(server, "ann")
    async with connected(port) as client:
        await client.send("CAP REQ :sasl", "NICK annie", "USER a 0 * :a", "AUTHENTICATE PLAIN")
        await client.until("AUTHENTICATE :+")
        await client.send(plain("ann", PASSWORD), "AUTHENTICATE PLAIN", "CAP END")
        lines = [await client.next() for _ in range(4)]
        assert [(line or "").split()[1] for line in lines] == ["900", "903", "907", "001"]
        assert (lines[3] or "").startswith(":chinwag 001 ann ")


@pytest.mark.parametrize(
    "wrong", [plain("ann", "wrong-horse"), "AUTHENTICATE AAAA", "AUTHENTICATE !", "AUTHENTICATE +"]
)
async def test_sasl_may_fail_only_so_often(server: FrontServer, port: int, wrong: str) -> None:
    await user(server, "ann")
    async with connected(port) as client:
        await client.send("CAP REQ :sasl", "NICK ann", "USER a 0 * :a")
        await client.send("AUTHENTICATE PLAIN", "AUTHENTICATE *", "AUTHENTICATE PLAIN", "AUTHENTICATE " + "A" * 400)
        for _ in range(3):
            await client.send("AUTHENTICATE PLAIN", wrong)
        lines = await client.ended()
        numbers = [line.split()[1] for line in lines if line.startswith(":chinwag 9")]
        assert numbers == ["906", "905", "904", "904", "904"]
        assert lines[-1].startswith("ERROR :")


async def test_two_clients_of_one_person_hear_what_either_says(port: int) -> None:
    async with logged_in(port, "ann", "#tea") as desk, logged_in(port, "ann") as phone, logged_in(port, "bob"):
        await desk.send("PRIVMSG #tea :from the desk", "PRIVMSG bob :psst")
        assert said(await desk.fence()) == []
        assert said(await phone.hear(2)) == [":ann PRIVMSG #tea :from the desk", ":ann PRIVMSG bob :psst"]


# - rooms


async def test_a_channel_is_made_joined_told_of_and_left(port: int) -> None:
    async with logged_in(port, "ann") as ann, logged_in(port, "bob") as bob:
        await ann.send("JOIN #tea")
        assert said(await ann.fence()) == [
            ":ann JOIN :#tea",
            ":chinwag 353 ann = #tea :@ann",
            ":chinwag 366 ann #tea :End of /NAMES list",
        ]
        await bob.send("JOIN #TEA,#tea")
        assert said(await bob.fence())[:2] == [":bob JOIN :#tea", ":chinwag 353 bob = #tea :@ann bob"]
        assert said(await ann.hear(1)) == [":bob JOIN :#tea"]
        await bob.send("PRIVMSG #tea :Shall we?", "PRIVMSG #Tea,#tea :: two  blanks ")
        assert await bob.fence() == []
        assert said(await ann.hear(3)) == [
            ":bob PRIVMSG #tea :Shall we?",
            ":bob PRIVMSG #tea :: two  blanks",
            ":bob PRIVMSG #tea :: two  blanks",
        ]
        await bob.send("PART #tea :bye", "PRIVMSG #tea :still here?", "PART #tea", "NAMES #tea", "MODE #tea")
        lines = said(await bob.fence())
        assert lines[0] == ":bob PART :#tea"
        assert [line.split()[1] for line in lines[1:]] == ["404", "442", "366", "442"]
        assert said(await ann.hear(1)) == [":bob PART :#tea"]


async def test_who_joins_a_new_channel_at_the_same_moment_joins_the_same_one(port: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(logged_in(port, f"racer{number}")) for number in range(8)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.send, "JOIN #race")
        for client in clients:
            await client.until(" 366 ", "#race")
        await clients[0].send("PRIVMSG #race :all here?")
        for client in clients[1:]:
            await client.until("PRIVMSG #race :all here?")


async def test_rooms_of_other_fronts_are_there_and_what_happens_in_them(server: FrontServer, port: int) -> None:
    engine = server.engine
    carl, ann = await user(server, "Carl C."), await user(server, "ann")
    tea = await room(server, carl, "Tea, please", ann)
    mask = f":Carl`20`C`2e`!{carl.id}@chinwag"
    async with connected(port) as client:
        await client.send(f"PASS {PASSWORD}", "NICK ann", "USER a 0 * :a")
        await client.until(" 422 ")
        lines = await client.fence()
        name = "#Tea`2c``20`please"
        assert lines[0].endswith(f" JOIN :{name}")
        assert lines[1] == f":chinwag 353 ann * {name} :@Carl`20`C`2e` ann"
        await engine.messages.post(tea.id, carl.id, text="one\r\nQUIT :two\n\nthree\x01")
        posted = await engine.messages.post(tea.id, carl.id, text="/me waves")
        await engine.messages.edit(tea.id, carl.id, posted.message.id, text="waves back")
        await engine.rooms.update(tea.id, carl.id, description="milk\r\nor lemon")
        await engine.rooms.set_member_role(tea.id, carl.id, ann.id, Role.MODERATOR)
        bob = await user(server, "bob")
        await engine.rooms.add_member(tea.id, carl.id, bob.id, Role.MEMBER)
        await engine.rooms.remove_member(tea.id, carl.id, bob.id)
        await engine.rooms.update(tea.id, carl.id, name="milk")
        assert await client.hear(14) == [
            f"{mask} PRIVMSG {name} :one",
            f"{mask} PRIVMSG {name} :QUIT :two",
            f"{mask} PRIVMSG {name} :three",
            f"{mask} PRIVMSG {name} :\x01ACTION waves\x01",
            f"{mask} PRIVMSG {name} :(edited) waves back",
            f":chinwag TOPIC {name} :milk or lemon",
            f":chinwag MODE {name} +o :ann",
            f":bob!{bob.id}@chinwag JOIN :{name}",
            f":bob!{bob.id}@chinwag PART :{name}",
            f":ann!{ann.id}@chinwag PART {name} :It has another name now",
            f":ann!{ann.id}@chinwag JOIN :#milk",
            ":chinwag 332 ann #milk :milk or lemon",
            ":chinwag 353 ann * #milk :@Carl`20`C`2e` @ann",
            ":chinwag 366 ann #milk :End of /NAMES list",
        ]
        await client.send(
            "PRIVMSG #milk :back\tto you", "PRIVMSG #milk :\x01ACTION nods\x01", "NOTICE #milk :\x01X\x01"
        )
        await client.send("TOPIC #milk", "TOPIC #milk :lemon")
        assert [line.split(" ", 1)[1] for line in await client.fence()] == [
            "332 ann #milk :milk or lemon",
            "TOPIC #milk :lemon",
        ]
        history = await engine.messages.history(tea.id, carl.id, skip=0, limit=2)
        assert [each.message.text for each in history] == ["/me nods", "back\tto you"]
        assert (await engine.rooms.get(tea.id, carl.id)).description == "lemon"
        await engine.rooms.delete(tea.id, carl.id)
        assert said(await client.hear(1)) == [":ann PART :#milk"]


async def test_a_private_room_is_joined_by_nobody_and_a_ban_is_one(server: FrontServer, port: int) -> None:
    engine = server.engine
    carl = await user(server, "carl")
    tea = await room(server, carl, "tea")
    club = await room(server, carl, "club", private=False)
    full = await engine.rooms.create(carl.id, name="full", private=False, max_members=1)
    async with logged_in(port, "ann") as ann:
        me = (await engine.accounts.find("ann")).id
        await engine.bans.add(club.id, carl.id, me)
        await ann.send(
            "JOIN #club", "JOIN #full", f"JOIN #``{tea.id}", "JOIN #``1", "JOIN tea", "JOIN #", "JOIN 0", "JOIN"
        )
        assert [line.split()[1] for line in await ann.fence()] == [
            "474",
            "471",
            "473",
            "403",
            "403",
            "403",
            "400",
            "461",
        ]
        assert full.id not in {each.id for each in (await engine.rooms.of(me, limit=9)).rooms}
        await ann.send("JOIN #tea")  # somebody else's private room has this name too: that is not for strangers to know
        assert said(await ann.fence())[0] == ":ann JOIN :#tea"
        await engine.rooms.add_member(tea.id, carl.id, me, Role.MEMBER)
        assert said(await ann.hear(3))[0] == f":ann JOIN :#tea``{tea.id}"
        await ann.send(f"PRIVMSG #tea``{tea.id} :hello")
        await ann.fence()
        [posted] = await engine.messages.history(tea.id, carl.id, skip=0, limit=9)
        assert posted.message.text == "hello"


async def test_direct_messages_are_the_direct_room(server: FrontServer, port: int) -> None:
    engine = server.engine
    carl = await user(server, "carl")
    async with logged_in(port, "ann") as ann:
        me = await engine.accounts.find("ann")
        await ann.send(
            "PRIVMSG carl :hello", "PRIVMSG Carl :again", "PRIVMSG nobody :x", "PRIVMSG ann :me", "PRIVMSG carl"
        )
        assert [line.split()[1] for line in await ann.fence()] == ["401", "404", "412"]
        direct = await engine.rooms.direct(carl.id, me.id)
        history = await engine.messages.history(direct.id, carl.id, skip=0, limit=9)
        assert [each.message.text for each in history] == ["again", "hello"]
        await engine.messages.post(direct.id, carl.id, text="hello ann")
        await engine.messages.post(direct.id, me.id, text="from another front")
        assert said(await ann.hear(2)) == [":carl PRIVMSG ann :hello ann", ":ann PRIVMSG carl :from another front"]


async def test_long_messages_are_split_in_both_directions_without_loss(server: FrontServer, port: int) -> None:
    carl = await user(server, "carl")
    async with logged_in(port, "ann", "#tea") as ann:
        me = await server.engine.accounts.find("ann")
        [tea] = (await server.engine.rooms.of(me.id, limit=9)).rooms
        await server.engine.rooms.join(tea.id, carl.id)
        text = "".join(f"{number}é🍋" for number in range(300))
        await server.engine.messages.post(tea.id, carl.id, text=text)
        assert " JOIN " in (await ann.hear(1))[0]
        lines: list[str] = []
        while len("".join(lines)) < len(text):
            lines += [line.split(" :", 1)[1] for line in await ann.hear(1)]
        assert len(lines) > 3
        assert "".join(lines) == text
        longest = "é" * ((512 - len("PRIVMSG #tea :\r\n")) // 2)
        await ann.send(f"PRIVMSG #tea :{longest}", f"PRIVMSG #tea :{longest}xx")
        assert [line.split()[1] for line in await ann.fence()] == ["417"]
        [posted] = await server.engine.messages.history(tea.id, carl.id, skip=0, limit=1)
        assert posted.message.text == longest


async def test_what_clients_ask_at_log_in_is_answered(server: FrontServer, port: int) -> None:
    carl = await user(server, "carl")
    async with logged_in(port, "ann", "#tea") as ann:
        me = await server.engine.accounts.find("ann")
        await ann.send(
            "MODE ann +i", "MODE ann", "MODE carl", "MODE #tea", "MODE #tea b", "MODE #tea +b", "MODE #tea +o carl"
        )
        lines = await ann.fence()
        assert [line.split()[1] for line in lines] == ["501", "221", "502", "324", "329", "368", "368", "472"]
        assert lines[3] == ":chinwag 324 ann #tea :+nt"
        await ann.send(
            "WHO #tea", "WHO nobody", "WHOIS carl", "WHOIS x ann", "LIST", "ISON carl ann", "NAMES", "AWAY :x"
        )
        assert await ann.fence() == [
            f":chinwag 352 ann #tea {me.id} chinwag chinwag ann H@ :0 ann",
            ":chinwag 315 ann #tea :End of /WHO list",
            ":chinwag 315 ann nobody :End of /WHO list",
            f":chinwag 311 ann carl {carl.id} chinwag * :carl",
            ":chinwag 312 ann carl chinwag :Chinwag",
            ":chinwag 301 ann carl :is not connected, and will find what you write",
            ":chinwag 318 ann carl :End of /WHOIS list",
            f":chinwag 311 ann ann {me.id} chinwag * :ann",
            ":chinwag 312 ann ann chinwag :Chinwag",
            ":chinwag 318 ann ann :End of /WHOIS list",
            ":chinwag 322 ann #tea 1 :",
            ":chinwag 323 ann :End of /LIST: these are yours",
            ":chinwag 303 ann :ann",
            ":chinwag 366 ann * :End of /NAMES list",
            ":chinwag 421 ann AWAY :Unknown command",
        ]


async def test_a_topic_is_for_operators(port: int) -> None:
    async with logged_in(port, "ann", "#tea") as ann, logged_in(port, "bob", "#tea") as bob:
        await bob.send("TOPIC #tea", "TOPIC #tea :mine", "TOPIC #milk", "TOPIC")
        assert [line.split()[1] for line in await bob.fence()] == ["331", "482", "442", "461"]
        await ann.send("TOPIC #tea :Shall we?")
        assert await bob.hear(1) == [":chinwag TOPIC #tea :Shall we?"]


async def test_only_so_many_targets_are_taken_at_a_time(port: int) -> None:
    async with logged_in(port, "ann") as ann:
        await ann.send("PART #a,#b,#c,#d,#e,#f")
        assert [line.split()[1] for line in await ann.fence()] == ["407", "407", "442", "442", "442", "442"]


# - clients that are none


async def test_a_line_without_an_end_is_not_kept(server: FrontServer, port: int) -> None:
    async with logged_in(port, "ann", "#tea") as ann, connected(port) as stranger:
        for client in (ann, stranger):
            with trio.fail_after(LIMIT_S), pytest.raises(trio.BrokenResourceError):
                while True:  # until the server has had enough
                    await client.stream.send_all(b"PRIVMSG #tea :" + b"x" * 1000)
        assert server.connections["irc"].bad_clients.total == 2


async def test_a_line_of_100_kb_is_no_line(port: int) -> None:
    async with logged_in(port, "ann") as ann:
        await ann.send(b"PRIVMSG ann :" + b"x" * 100_000)
        assert (await ann.ended())[-1:] in ([], ["ERROR :Line too long"])


async def test_nul_and_what_is_no_utf_8_come_as_text_or_not_at_all(server: FrontServer, port: int) -> None:
    async with logged_in(port, "ann", "#tea") as ann, logged_in(port, "bob", "#tea") as bob:
        await ann.hear(1)
        await bob.send(b"PRIVMSG #tea :a\0b\xff\xfec", b"\0", b"\xff", b"PRIVMSG #tea :\0\0", b"PRIVMSG\r#tea :x")
        assert [line.split()[1] for line in await bob.fence()] == ["421", "412", "421"]
        assert said(await ann.hear(1)) == [":bob PRIVMSG #tea :ab\ufffd\ufffdc"]


async def test_nobody_says_a_line_in_anothers_name(port: int) -> None:
    async with logged_in(port, "ann", "#tea") as ann, logged_in(port, "bob", "#tea") as bob:
        await ann.hear(1)
        await bob.send(":ann!1@chinwag PRIVMSG #tea :as ann", "@account=ann PRIVMSG #tea :as ann")
        await bob.send(b"PRIVMSG #tea :one\rQUIT", b"TOPIC #tea :\rX")
        assert said(await ann.hear(3)) == [
            ":bob PRIVMSG #tea :as ann",
            ":bob PRIVMSG #tea :as ann",
            ":bob PRIVMSG #tea :oneQUIT",
        ]


async def test_who_only_says_that_they_are_done_is_let_go(port: int) -> None:
    async with logged_in(port, "ann", "#tea") as ann, connected(port) as stranger:
        await ann.send("PRIVMSG #tea :the last")
        for client in (ann, stranger):
            await client.stream.send_eof()
            assert await client.ended() == []
        async with logged_in(port, "ann") as again:
            await again.send("LIST")
            assert ":chinwag 322 ann #tea 1 :" in await again.fence()


async def test_who_takes_nothing_is_cut_off_and_keeps_nobody_waiting(server: FrontServer) -> None:
    config = EngineConfig(limits=SessionLimits(outbox_bytes=100_000), shutdown_spread_s=0)
    async with open_front(FRONT, config=config) as server:
        port = server.ports["irc"]
        async with logged_in(port, "ann", "#tea") as ann, logged_in(port, "bob", "#tea"):
            me = await server.engine.accounts.find("ann")
            [tea] = (await server.engine.rooms.of(me.id, limit=9)).rooms
            with trio.fail_after(LIMIT_S):
                while not server.engine.connections.stats.slow_consumers:
                    await server.engine.messages.post(tea.id, me.id, text="x" * 50_000, key=f"{next(_numbers)}")
            assert ann is not None


async def test_who_has_not_logged_in_and_connections_are_bounded() -> None:
    config = EngineConfig(limits=SessionLimits(per_user=1), shutdown_spread_s=0)
    hurried = replace(FRONT, listeners=(replace(FRONT.listeners[0], log_in_s=1.0),))
    async with open_front(hurried, config=config) as server:
        port = server.ports["irc"]
        async with logged_in(port, "ann"), connected(port) as second, connected(port) as silent:
            await second.send(f"PASS {PASSWORD}", "NICK ann", "USER a 0 * :a")
            assert await second.ended() == ["ERROR :only 1 connections at a time"]
            assert await silent.ended() == []


async def test_the_end_of_a_log_in_and_of_the_server_is_said() -> None:
    async with (
        open_front(FRONT) as server,
        logged_in(server.ports["irc"], "ann") as ann,
        logged_in(server.ports["irc"], "bob") as bob,
    ):
        await server.engine.accounts.log_out_everywhere((await server.engine.accounts.find("ann")).id)
        assert await ann.ended() == ["ERROR :token expired or revoked"]
        await server.engine.close_sessions()
        assert await bob.ended() == ["ERROR :server is shutting down, come back in a moment"]


async def test_a_connection_leaves_no_log_in_behind(server: FrontServer, port: int) -> None:
    async with logged_in(port, "ann"):
        me = await server.engine.accounts.find("ann")
        [session] = server.engine.connections.of(me.id)
        family = session.family_id
        assert family is not None
        await server.engine.accounts.authenticate(family, me.id)
    with trio.fail_after(LIMIT_S):
        while server.engine.connections.of(me.id):  # noqa: ASYNC110 - the end of a connection is told to nobody
            await trio.sleep(0.01)
        while not await has_ended(server, family, me):  # noqa: ASYNC110
            await trio.sleep(0.01)


async def has_ended(server: FrontServer, family: FamilyId, who: User) -> bool:
    try:
        await server.engine.accounts.authenticate(family, who.id)
    except Unauthenticated:
        return True
    return False


async def test_clients_see_nothing_of_each_others_failures(port: int) -> None:
    async with logged_in(port, "ann", "#tea") as ann:
        for _ in range(5):
            async with connected(port) as rude:
                await rude.send("NICK x", b"\xff" * 300)
        assert await IrcClient.fence(ann) == []
