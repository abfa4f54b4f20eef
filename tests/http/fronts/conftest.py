"""Fixtures that the tests of one front share among their files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chinwag.engine.encryption.room_crypto import MasterKey, make_key
from tests.http.fronts.chatrooms_api import Chatrooms, open_chatrooms
from tests.http.fronts.every_front import World, open_world
from tests.http.service_api import Api, Person, open_api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A server with ChatterStack alone."""
    async with open_api(checked=True) as opened:
        yield opened


@pytest.fixture
async def ann(api: Api) -> Person:
    return await api.person("ann")


@pytest.fixture
async def bob(api: Api) -> Person:
    return await api.person("bob")


@pytest.fixture
async def eve(api: Api) -> Person:
    """A stranger to every room in these tests."""
    return await api.person("eve")


@pytest.fixture
async def chatrooms(tmp_path: Path) -> AsyncIterator[Chatrooms]:
    """A server with the chatrooms front, without rate limits."""
    async with open_chatrooms(tmp_path, master_key=MasterKey(make_key())) as opened:
        yield opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """All fronts over one engine, and a room that each of them knows."""
    async with open_world(tmp_path) as opened:
        yield opened
