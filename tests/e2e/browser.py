"""A headless Chromium for tests of pages, spoken to by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol

One browser serves many tests; each opens a page of its own. A test that finds no Chromium is skipped.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import trio
import trio_websocket

from tests.e2e.processes import LIMIT_S

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""A screenshot comes in one message."""
_LISTENING: Final = re.compile(r"DevTools listening on (ws://\S+)")


@contextmanager
def chromium(profile: Path) -> Iterator[str]:
    """A browser with an empty profile, as the address of its DevTools. Skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    with subprocess.Popen(
        [program, *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        too_late = threading.Timer(LIMIT_S, process.kill)
        too_late.start()
        try:
            assert process.stderr is not None
            found = next(filter(None, map(_LISTENING.match, process.stderr)), None)
            assert found is not None, "Chromium ended before it was listening"
            too_late.cancel()
            threading.Thread(target=_read_on, args=(process.stderr,), daemon=True).start()
            yield found[1]
        finally:
            too_late.cancel()
            process.kill()


def _read_on(lines: Iterator[str]) -> None:
    """A pipe that nobody reads fills up, and would stop the browser."""
    for _ in lines:
        pass


class Page:
    """One tab. `problems` are the errors and warnings of its console, exceptions, and what its CSP has blocked."""

    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self.problems: list[str] = []
        self._connection = connection
        self._session: str | None = None
        self._sent = 0
        self._events: list[str] = []

    async def attach(self) -> None:
        """Make the tab. Called once, before anything else."""
        target = await self._command("Target.createTarget", url="about:blank")
        attached = await self._command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._command(f"{domain}.enable")

    async def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page and wait until it has loaded."""
        await self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._command("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        answer = await self._command("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        while "Page.loadEventFired" not in self._events:
            await self._receive()

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = await self._command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key: Literal["Tab", "Enter"]) -> None:
        """Press and release a key."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            await self._command("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    async def screenshot(self) -> bytes:
        """The whole page as a PNG, for people to look at."""
        answer = await self._command("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def _command(self, method: str, **parameters: object) -> dict[str, Any]:
        self._sent += 1
        number = self._sent
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._connection.send_message(json.dumps(message))
        while True:
            answer = await self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    async def _receive(self) -> dict[str, Any]:
        """The next message, an event's effect noted."""
        message: dict[str, Any] = json.loads(await self._connection.get_message())
        given = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(given["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(given["args"]))
            case "Log.entryAdded" if given["entry"]["level"] in ("error", "warning"):
                self.problems.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
            case str(name):
                self._events.append(name)
        return message


@asynccontextmanager
async def opened_page(devtools: str) -> AsyncIterator[Page]:
    """A tab of a `chromium`, within the block. Whatever is waited for comes within `LIMIT_S`."""
    with trio.fail_after(LIMIT_S):
        async with trio_websocket.open_websocket_url(devtools, max_message_size=MAX_MESSAGE_BYTES) as connection:
            page = Page(connection)
            await page.attach()
            yield page
