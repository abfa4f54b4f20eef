"""The IRC front in a server with all others, and by itself: the same people, rooms and messages."""

import signal
import sys
from pathlib import Path

import trio

from tests.e2e.client import PASSWORD, api_of
from tests.e2e.processes import LIMIT_S, ROOT, serving
from tests.forks import environment
from tests.irc.irc_client import connected, logged_in
from tests.irc.served import port_of_irc, with_irc


async def test_irc_is_one_more_way_into_the_rooms_of_a_server_and_ends_in_order(tmp_path: Path) -> None:
    env = with_irc(tmp_path / "site")
    fronts = ("chatterstack", "irc")
    with serving(tmp_path / "data", "--listen", "irc=127.0.0.1:0", fronts=fronts, env=env, fresh=True) as server:
        port = port_of_irc(server.banner)
        async with api_of(server) as api:
            ann, bob = await api.person("ann"), await api.person("bob")
            room = await api.room(ann, bob)
            async with logged_in(port, bob.username, password=PASSWORD) as at_irc, api.socket(ann, room) as at_http:
                await at_irc.send("PRIVMSG #tea :hello from IRC")
                [heard] = await at_http.messages(1)
                assert (heard["content"], heard["sender_id"]) == ("hello from IRC", bob.id)
                await at_http.send("send_message", room_id=room, content="hello\nfrom ChatterStack", client_id="1")
                await at_irc.until(f":{ann.username}!", "PRIVMSG #tea :hello")
                await at_irc.until(f":{ann.username}!", "PRIVMSG #tea :from ChatterStack")
                async with connected(port) as stranger:
                    await stranger.send("NICK nobody")
                    server.terminate()
                    assert await at_irc.ended() == ["ERROR :server is shutting down, come back in a moment"]
                    assert await stranger.ended() == []
            assert await server.ended() == 0


async def test_the_program_serves_the_data_of_a_server_that_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        async with api_of(server) as api:
            ann = await api.person("ann")
            await api.room(ann)
    command = [sys.executable, str(ROOT / "examples" / "irc.py"), str(tmp_path / "data"), "0"]
    process = await trio.lowlevel.open_process(command, stdout=-1, stderr=-1, env=environment())
    try:
        assert process.stdout is not None
        with trio.fail_after(LIMIT_S):
            banner = (await process.stdout.receive_some()).decode()
        assert banner.startswith("IRC on 127.0.0.1:")
        port = int(banner.split(",")[0].rpartition(":")[2])
        async with logged_in(port, ann.username, password=PASSWORD) as at_irc:
            await at_irc.send("LIST")
            assert any(" 322 " in line and " #tea 1 " in line for line in await at_irc.fence())
            process.send_signal(signal.SIGTERM)
            assert (await at_irc.ended())[-1].startswith("ERROR :server is shutting down")
        with trio.fail_after(LIMIT_S):
            assert await process.wait() == 0
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def test_the_program_says_in_one_line_why_it_cannot_serve(tmp_path: Path) -> None:
    with serving(tmp_path / "data"):
        command = [sys.executable, str(ROOT / "examples" / "irc.py"), str(tmp_path / "data"), "0"]
        done = await trio.run_process(command, capture_stderr=True, capture_stdout=True, check=False, env=environment())
    assert done.returncode == 1
    assert len(done.stderr.decode().splitlines()) == 1
