"""One server for all tests that leave it as they found it, and three people on it. Rooms are made by each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.client import Api, Person, api_of, join
from tests.e2e.processes import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that no test may end or fill up. Its log must show no traceback at the end."""
    with serving(tmp_path_factory.mktemp("shared") / "data") as shared:
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
