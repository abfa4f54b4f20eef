"""Fixtures that the tests of one front share among their files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chinwag.engine.room_crypto import MasterKey, make_key
from tests.http.fronts.chatrooms_api import Chatrooms, open_chatrooms


@pytest.fixture
async def chatrooms(tmp_path: Path) -> AsyncIterator[Chatrooms]:
    """A server with the chatrooms front, without rate limits."""
    async with open_chatrooms(tmp_path, master_key=MasterKey(make_key())) as opened:
        yield opened
