"""irssi and weechat, as people use them, in one room with each other and with somebody on ChatterStack's API."""

from pathlib import Path

import pytest

from tests.e2e.client import PASSWORD, api_of
from tests.e2e.processes import serving
from tests.irc.served import port_of_irc, with_irc
from tests.irc.terminal import missing, terminals


@pytest.mark.services
async def test_irssi_and_weechat_talk_with_each_other_and_with_another_front(tmp_path: Path) -> None:
    lacking = missing("irssi", "weechat", "tmux")
    if lacking is not None:
        pytest.skip(lacking)
    fronts = ("chatterstack", "irc")
    env = with_irc(tmp_path / "site")
    with serving(tmp_path / "data", "--listen", "irc=127.0.0.1:0", fronts=fronts, env=env, fresh=True) as server:
        port = port_of_irc(server.banner)
        async with api_of(server) as api:
            ann, bob, carl = await api.person("ann"), await api.person("bob"), await api.person("carl")
            irssi = ["irssi", "--home", str(tmp_path / "irssi"), "-c", "127.0.0.1", "-p", str(port)]
            irssi += ["-w", PASSWORD, "-n", ann.username]
            begin = "/set weechat.look.paste_max_lines -1"  # keys of a test come fast, and are no paste
            begin += f";/server add chinwag 127.0.0.1/{port} -nicks={bob.username} -password={PASSWORD}"
            weechat = ["weechat", "-d", str(tmp_path / "weechat"), "-r", f"{begin};/connect chinwag"]
            with terminals(tmp_path, irssi=irssi, weechat=weechat) as at:
                at_irssi, at_weechat = at["irssi"], at["weechat"]
                await at_irssi.shows(f"Welcome to Chinwag, {ann.username}")
                await at_weechat.shows(f"Welcome to Chinwag, {bob.username}")

                await at_irssi.type("/join #milk")
                await at_irssi.shows(ann.username, "has joined", "#milk")
                await at_weechat.type("/join #milk")
                await at_irssi.shows(bob.username, "has joined", "#milk")
                await at_irssi.type("Shall we? é 世界")
                await at_weechat.shows(ann.username, "Shall we? é 世界")
                await at_weechat.type("Yes, let us!")
                await at_irssi.shows(bob.username, "Yes, let us!")
                await at_weechat.type("/me pours")
                await at_irssi.shows(f"{bob.username} pours")

                # On another front they are taken into a private room, and hear and are heard there.
                room = await api.room(carl, ann, bob, name="tea room")
                await at_weechat.type("/buffer #tea`20`room")
                await at_weechat.shows("#tea`20`room", carl.username)
                await at_irssi.type("/window goto #tea`20`room")
                await api.post(carl, room, "Welcome!\nTea is ready")
                for terminal in (at_irssi, at_weechat):
                    await terminal.shows(carl.username, "Welcome!")
                    await terminal.shows(carl.username, "Tea is ready")
                await at_weechat.type("Thank you")
                await at_irssi.shows(bob.username, "Thank you")
                assert (await api.texts(carl, room))[0] == "Thank you"

                await at_weechat.type(f"/msg {carl.username} psst")
                await at_irssi.type("/topic #milk Milk first")
                await at_weechat.type("/buffer #milk")
                await at_weechat.shows("Milk first")
                await at_weechat.type("/quit")
                await at_irssi.type("/whois " + bob.username)
                await at_irssi.type("/window 1")
                await at_irssi.shows("server", "chinwag [Chinwag]")
                await at_irssi.type("/quit")
            rooms = (await api.ask("GET", "/rooms", as_=carl)).json()["rooms"]
            [direct] = [each for each in rooms if not each["is_group"]]
            assert await api.texts(carl, direct["id"]) == ["psst"]
