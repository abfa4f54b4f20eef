"""Programs at a terminal: a window of tmux, whose keys a test presses and whose screen it reads."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from tests.e2e.processes import LIMIT_S
from tests.forks import environment


def missing(*programs: str) -> str | None:
    """What to install before these programs can be used, None when all are there."""
    absent = [name for name in programs if shutil.which(name) is None]
    return f"needs {', '.join(absent)} (apt-get install irssi weechat-curses tmux)" if absent else None


class Terminal:
    """One program in a window of its own."""

    def __init__(self, socket: Path, name: str) -> None:
        self._socket = socket
        self._name = name

    async def type(self, line: str) -> None:
        """Type a line, and press Enter."""
        await self._tmux("send-keys", "-t", self._name, "-l", line)
        await self._tmux("send-keys", "-t", self._name, "Enter")

    async def screen(self) -> str:
        """What is on the screen."""
        return await self._tmux("capture-pane", "-p", "-t", self._name)

    async def shows(self, *words: str) -> str:
        """Wait for a line on the screen that has all of these; the line."""
        screen = ""
        with trio.move_on_after(LIMIT_S):
            while True:
                screen = await self.screen()
                for line in screen.splitlines():
                    if all(word in line for word in words):
                        return line
                await trio.sleep(0.1)
        raise AssertionError(f"{self._name} shows nothing of {words}:\n{screen}")

    async def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self._socket), *arguments]
        done = await trio.run_process(command, capture_stdout=True, env=environment())
        return done.stdout.decode()


@contextmanager
def terminals(folder: Path, **programs: list[str]) -> Iterator[dict[str, Terminal]]:
    """Programs by their names, within the block; their home is the folder."""
    socket = folder / "tmux"
    env = environment(HOME=str(folder), TERM="xterm", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    try:
        for name, command in programs.items():
            size = ["-x", "160", "-y", "50"]
            subprocess.run([*tmux, "new-session", "-d", "-s", name, *size, *command], check=True, env=env)
        yield {name: Terminal(socket, name) for name in programs}
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True, env=env)
