"""One server for all tests that leave it as they found it, and three people on it. Rooms are made by each test.

There is one such server for each listener, and all tests of one listener run before those of the next. Beside it is
one with all APIs, for tests of the others.
"""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.chatrooms import Chatrooms, chatrooms_of
from tests.e2e.client import Api, Person, api_of, join
from tests.e2e.listeners import HYPERCORN, LANE, PLAIN, Listener, SecureListener
from tests.e2e.messenger import Messenger, messenger_of
from tests.e2e.processes import Server, serving

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what it runs in the background ignore it, and every server that is started here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test over the listeners that its nearest marker names."""
    if "listener" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("listeners")
        names = PLAIN if marker is None else marker.args
        assert marker is None or marker.kwargs["reason"]
        metafunc.parametrize("listener", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def listener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Listener:
    """The way into the servers of a test."""
    if request.param == "tls":
        return SecureListener(tmp_path_factory.mktemp("certificate"))
    return {"lane": LANE, "hypercorn": HYPERCORN}[request.param]


@pytest.fixture(scope="session")
def server(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that no test may end or fill up. Its log must show no traceback at the end."""
    with serving(tmp_path_factory.mktemp("shared") / "data", listener=listener) as shared:
        yield shared


@pytest.fixture(scope="session")
def every_front(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Likewise, with all fronts: each below its own prefix. Nobody asks it too often."""
    data = tmp_path_factory.mktemp("every-front") / "data"
    with serving(data, "--rate-limits", "off", listener=listener, fronts=()) as shared:
        yield shared


@pytest.fixture(scope="session")
def ann(server: Server) -> Person:
    return join(server, "ann")


@pytest.fixture(scope="session")
def bob(server: Server) -> Person:
    return join(server, "bob")


@pytest.fixture(scope="session")
def eve(server: Server) -> Person:
    """A stranger: nobody ever lets her into a room of theirs."""
    return join(server, "eve")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with api_of(server) as client:
        yield client


@pytest.fixture
async def chatrooms(every_front: Server) -> AsyncIterator[Chatrooms]:
    async with chatrooms_of(every_front) as client:
        yield client


@pytest.fixture
async def messenger(every_front: Server) -> AsyncIterator[Messenger]:
    async with messenger_of(every_front) as client:
        yield client
