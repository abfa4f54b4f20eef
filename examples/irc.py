"""IRC over Chinwag's rooms, by itself: `python examples/irc.py [DATA_FOLDER] [PORT]`, then point a client at that port.

The data are those of `chinwag serve` (stop that first). To have both at once, install it: `pip install ./examples/irc`,
then `chinwag serve --listen irc`. How it works is in examples/irc/chinwag_irc.
"""

import signal
import sys
from functools import partial
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent / "irc"))

from chinwag_irc import LISTENER

from chinwag.engine import open_engine
from chinwag.http.carriers.lobby import Lobby
from chinwag.http.listener.front_connections import FrontConnections
from chinwag.http.listener.listener import CannotListen, open_listeners, serve
from chinwag.persistence import CannotOpen, open_sqlite_store


async def main(folder: Path, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then end in order."""
    async with open_sqlite_store(folder / "chinwag.db") as store, open_engine(store) as engine:
        listeners = await open_listeners("127.0.0.1", port)
        shutdown = trio.Event()
        async with trio.open_nursery() as nursery:
            lobby = Lobby()
            connections = FrontConnections(LISTENER, engine, lobby)
            await nursery.start(partial(serve, listeners, connections, shutdown=shutdown))
            print(f"IRC on 127.0.0.1:{listeners[0].socket.getsockname()[1]}, data in {folder}", flush=True)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                await anext(aiter(signals))
            shutdown.set()
            lobby.close()
            await engine.close_sessions()


if __name__ == "__main__":
    try:
        trio.run(main, Path((sys.argv[1:] or ["chinwag-data"])[0]), int((sys.argv[2:] or [str(LISTENER.port)])[0]))
    except* (CannotOpen, CannotListen) as errors:
        sys.exit("; ".join(str(error) for error in errors.exceptions))
