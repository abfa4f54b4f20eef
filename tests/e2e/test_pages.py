"""The server's pages in a real browser: they show, say nothing to the console, and their forms work."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.browser import Page, chromium, opened_page
from tests.e2e.processes import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.listeners("lane", reason="what a browser makes of a page is no matter of who sent it"),
]

FRONTS = ("chatterstack", "chatrooms", "messenger")


@pytest.fixture(scope="session")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One browser for all tests."""
    with chromium(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture
async def page(devtools: str) -> AsyncIterator[Page]:
    async with opened_page(devtools) as page:
        yield page


async def test_the_start_page_leads_to_every_front(every_front: Server, page: Page) -> None:
    await page.open(every_front.url)
    links = await page.evaluate("Array.from(document.links, link => link.getAttribute('href'))")
    assert {f"/{front}/docs" for front in FRONTS} <= set(links)
    assert page.problems == []


@pytest.mark.parametrize("front", FRONTS)
async def test_a_documentation_page_loads_without_a_word_to_the_console(
    every_front: Server, page: Page, front: str
) -> None:
    await page.open(f"{every_front.url}/{front}/docs")
    assert await page.evaluate("document.querySelectorAll('form').length") > 5
    assert page.problems == []
