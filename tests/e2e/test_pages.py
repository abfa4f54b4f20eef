"""The server's pages in a real browser: they show, say nothing to the console, and their forms work."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from chinwag.benchmarks.report import page as report_page
from tests.benchmarks.test_reports import comparison
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


PHONE, DESKTOP = 390, 1280


def docs_of(server: Server) -> list[str]:
    """Where the documentation of each front is: below its prefix, at the prefix itself, at its host name."""
    return [
        f"{server.url}/chatterstack/docs",
        f"{server.url}/chatrooms",
        f"http://messenger.localhost:{server.port}/docs",
    ]


async def sent(page: Page, form: str) -> str:
    """Press a form's button, by the keyboard; what is shown then, once there is something."""
    return str(
        await page.evaluate(
            f"""new Promise(resolve => {{
                const block = document.getElementById("{form}");
                block.open = true;
                const out = block.querySelector("output");
                new MutationObserver(() => {{
                    const text = out.textContent;
                    if (text !== "" && text !== "…") resolve(text);
                }}).observe(out, {{ childList: true, subtree: true, characterData: true }});
                block.querySelector("button").click();
            }})"""
        )
    )


async def test_the_start_page_leads_to_every_front(every_front: Server, page: Page) -> None:
    await page.open(every_front.url)
    links = await page.evaluate("Array.from(document.links, link => link.getAttribute('href'))")
    assert {f"/{front}/docs" for front in FRONTS} <= set(links)
    assert page.problems == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_no_page_is_wider_than_its_screen(every_front: Server, page: Page, width: int) -> None:
    for url in (every_front.url, *docs_of(every_front)):
        await page.open(url, width=width, dark=width == PHONE)
        await page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), url
        assert page.problems == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_no_part_of_a_benchmarks_report_is_cut_off(page: Page, tmp_path: Path, width: int) -> None:
    report = tmp_path / "report.html"
    await trio.Path(report).write_text(report_page.of_comparisons([comparison(lost=1)]))
    await page.open(report.as_uri(), width=width)
    cut_off = "Array.from(document.querySelectorAll('body, .scroll, .plots'), e => e.scrollWidth - e.clientWidth)"
    assert set(await page.evaluate(cut_off)) == {0}
    assert page.problems == []


@pytest.mark.parametrize("at", range(len(FRONTS)), ids=FRONTS)
async def test_the_prefilled_forms_register_log_in_and_ask_with_the_token(
    every_front: Server, page: Page, at: int
) -> None:
    await page.open(docs_of(every_front)[at])
    assert (await sent(page, "register")).startswith(("201 ", "200 "))
    assert (await sent(page, "log_in")).startswith("200 ")
    assert len(await page.evaluate("document.getElementById('token').value")) > 100
    listing = ("rooms", "list_chatrooms", "groups")[at]
    assert (await sent(page, listing)).startswith("200 ")
    assert (await sent(page, "refresh")).startswith("200 ")
    assert page.problems == []


async def test_a_form_shows_what_was_wrong(every_front: Server, page: Page) -> None:
    await page.open(docs_of(every_front)[0])
    await page.evaluate("document.querySelector('#log_in textarea').value = 'no JSON'")
    shown = await sent(page, "log_in")
    assert shown.startswith("400 ") and "well-formed JSON" in shown


async def test_a_page_can_be_used_by_the_keyboard(every_front: Server, page: Page) -> None:
    await page.open(docs_of(every_front)[0])
    focused = "document.activeElement.outerHTML"
    await page.press("Tab")
    assert "Skip to the endpoints" in await page.evaluate(focused)
    await page.press("Enter")
    await page.press("Tab")
    assert (await page.evaluate(focused)).startswith("<summary>")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await page.press("Enter")
    assert await page.evaluate("document.activeElement.parentElement.open")
