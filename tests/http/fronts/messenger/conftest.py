"""Three people at the messenger."""

from collections.abc import AsyncIterator

import pytest

from chinwag.http.fronts import chatterstack
from tests.http.fronts.messenger_api import FRONT, Messenger
from tests.http.service_api import Person, open_api


@pytest.fixture
async def m() -> AsyncIterator[Messenger]:
    async with open_api((chatterstack.FRONT, FRONT), checked=True) as api:
        yield Messenger(api)


@pytest.fixture
async def ann(m: Messenger) -> Person:
    return await m.person("ann")


@pytest.fixture
async def bob(m: Messenger) -> Person:
    return await m.person("bob")


@pytest.fixture
async def eve(m: Messenger) -> Person:
    return await m.person("eve")
