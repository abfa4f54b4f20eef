"""Fixtures that the tests of one front share among their files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chinwag.engine.encryption.room_crypto import MasterKey, make_key
from tests.http.fronts.chatrooms_api import Chatrooms, open_chatrooms
from tests.http.fronts.every_front import World, open_world


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
