"""Autobahn|Testsuite, the WebSocket conformance suite, against the lane's protocol code and against hypercorn's.

`make autobahn PYTHON2=/path/to/python2.7` installs the suite and runs this; it takes some minutes and ends with an
error when a case fails. Not a part of `make test`, as few machines have Python 2. Reports are in `FOLDER/reports`.
"""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from chinwag.http.asgi.hypercorn_adapter import HypercornServer
from chinwag.http.echo import serve_echo
from chinwag.http.listener.listener import ListenerConfig, serve
from chinwag.http.operations.logs import configure_logging

CASES: Final = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.1.1"]
"""All but 12 and 13, which are about compression: the first of them shows that there is none."""
GOOD: Final = {"OK", "NON-STRICT", "INFORMATIONAL"}
EXPECTED: Final = {"12.1.1": "UNIMPLEMENTED"}
LARGEST_BYTES: Final = 16 * 1024 * 1024

START: Final = """
import site, sys
site.addsitedir(sys.argv[1])
sys.argv = ["wstest", "--mode", "fuzzingclient", "--spec", sys.argv[2]]
from autobahntestsuite.wstest import run
run()
"""


async def echo(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """The same as `serve_echo`, as an ASGI application."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"], "bytes": event["bytes"]})


async def main(python2: str, folder: Path) -> int:
    """Run the suite; the number of cases that failed."""
    async with trio.open_nursery() as nursery:
        lane = await nursery.start(partial(serve_echo, "127.0.0.1", 0, max_message_bytes=LARGEST_BYTES))
        hypercorn = await trio.open_tcp_listeners(0, host="127.0.0.1")
        config = ListenerConfig(max_message_bytes=LARGEST_BYTES)
        await nursery.start(
            partial(serve, hypercorn, HypercornServer(echo, config), shutdown=trio.Event(), config=config)
        )
        servers = [
            {"agent": name, "url": f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}", "options": {"version": 18}}
            for name, listeners in (("lane", lane), ("hypercorn", hypercorn))
        ]
        spec = folder / "spec.json"
        reports = folder / "reports"
        spec.write_text(json.dumps({"outdir": str(reports), "servers": servers, "cases": CASES, "exclude-cases": []}))
        await trio.run_process([python2, "-c", START, str(folder), str(spec)], stdout=subprocess.DEVNULL)
        nursery.cancel_scope.cancel()
    failed = 0
    for server, cases in json.loads((reports / "index.json").read_text()).items():
        bad = [
            f"{case}: {outcome['behavior']}, closing: {outcome['behaviorClose']}"
            for case, outcome in cases.items()
            if outcome["behavior"] not in GOOD | {EXPECTED.get(case)} or outcome["behaviorClose"] not in GOOD
        ]
        print(f"{server}: {len(cases)} cases, {len(bad)} failed", *bad, sep="\n  ")
        failed += len(bad)
    return failed


if __name__ == "__main__":
    configure_logging("text", "warning")
    sys.exit(1 if trio.run(main, sys.argv[1], Path(sys.argv[2]).resolve()) else 0)
