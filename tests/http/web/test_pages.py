"""The pages: complete, self-contained, and safe against what the texts hold."""

import hashlib
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chinwag.http import registry
from chinwag.http.api.decoding import BodyReader
from chinwag.http.api.front import NOT_RECOVERED, Front
from chinwag.http.api.mounts import Mounts
from chinwag.http.kit.links import Links
from chinwag.http.registry import FRONTS
from chinwag.http.web.docs import docs_page
from chinwag.http.web.html import DOCS_SCRIPT, PAGE_HEADERS, page, text
from chinwag.http.web.start import start_page
from tests.http.service_api import open_api

ALL = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Reads a page, insists that every element is closed, and collects what the tests look at."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.forms: list[dict[str, str | None]] = []
        self.inputs: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.prefilled: dict[tuple[str, str], str] = {}
        """What is in the text areas, by method and path of their forms."""
        self.text = ""
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if attributes.get("id"):
            self.ids.append(str(attributes["id"]))
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append(str(attributes[name]))
        if tag == "form":
            self.forms.append(attributes)
        if tag == "input":
            self.inputs.append(attributes)
        assert not [name for name in attributes if name.startswith("on")], "no inline handlers"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "textarea":
            form = self.forms[-1]
            self.prefilled[str(form["data-method"]), str(form["data-path"])] = data
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data + "\n"


@ALL
def test_every_endpoint_is_there_with_a_form_to_try_it(front: Front) -> None:
    page = Page(docs_page(front))
    tried = {(form["data-method"], form["data-path"]) for form in page.forms}
    assert tried == {(route.method, route.path) for route in front.routes}
    assert all(form["data-base"] == front.base for form in page.forms)
    assert {form["data-path"] for form in page.forms if not form["data-auth"]} == {
        route.path for route in front.routes if not route.auth
    }
    for route in front.routes:
        assert route.summary in page.text
        for header in route.headers:
            assert {"name": header.name, "data-in": "header"}.items() <= max(
                (each for each in page.inputs if each.get("name") == header.name), key=len
            ).items()


@ALL
def test_every_socket_event_is_there(front: Front) -> None:
    html = docs_page(front).decode()
    for event in front.socket_events:
        assert text(event.name) in html
        assert text(event.description) in html


@ALL
def test_page_and_readme_say_what_recovered_does_not_promise(front: Front) -> None:
    assert NOT_RECOVERED in Page(docs_page(front)).text
    readme = Path(registry.__file__).parent / "fronts" / front.name / "README.md"
    assert "`recovered` true is about messages alone" in " ".join(readme.read_text().split())


@ALL
def test_the_page_needs_nothing_from_elsewhere(front: Front) -> None:
    page = Page(docs_page(front, root="/here"))
    for link in page.links:
        assert link.startswith(("#", "/here/", "data:"))
        assert not link.startswith("#") or link[1:] in page.ids
    assert not page.tags & {"img", "iframe", "object", "embed", "video", "audio", "base"}
    assert len(page.ids) == len(set(page.ids))
    assert b"@import" not in docs_page(front)
    assert b"url(" not in docs_page(front)


def test_texts_are_escaped() -> None:
    name = '<b onclick="x">'  # a slash would end the name of a parameter
    evil = '</title></script><script>alert("x")</script><img src=x onerror=y>&amp;'
    [front] = [front for front in FRONTS if front.name == "chatterstack"]
    routes = (replace(front.routes[0], summary=evil, description=evil, path=f"/{evil}/{{{name}}}"),)
    events = (replace(front.socket_events[0], name=evil, description=evil),)
    changed = replace(
        front,
        title=evil,
        description=evil,
        base=f"/{evil}",
        name=evil,
        routes=routes,
        socket_events=events,
        socket_path=f"/{evil}",
        socket_token_parameters=(evil,),
    )
    plain = Page(docs_page(front))
    page = Page(docs_page(changed, root=evil))
    assert page.tags == plain.tags
    assert evil in page.text
    assert name in page.text
    assert "script" not in Page(start_page(Mounts([changed]), Links())).tags


def test_the_start_page_lists_the_fronts() -> None:
    page = Page(start_page(Mounts(FRONTS), Links()))
    for front in FRONTS:
        assert front.title in page.text
        assert {f"/{front.name}/docs", f"/{front.name}/openapi.json"} <= set(page.links)
    alone = Page(start_page(Mounts(FRONTS[:1]), Links()))
    assert {"/docs", "/openapi.json", "/healthz", "/metrics"} <= set(alone.links)


@ALL
def test_what_a_form_is_prefilled_with_is_what_its_endpoint_takes(front: Front) -> None:
    page = Page(docs_page(front))
    for route in front.routes:
        if route.body is not None:
            BodyReader(route.body)(page.prefilled[route.method, route.path])


async def test_the_prefilled_registrations_and_log_ins_of_all_fronts_work_on_one_server() -> None:
    async with open_api(FRONTS) as api:
        for front in FRONTS:
            page = Page(docs_page(front, root=f"/{front.name}"))
            for path in ("/auth/register", "/auth/login"):
                body = page.prefilled["POST", path].encode()
                answer = await api.ask("POST", f"/{front.name}{front.base}{path}", body=body)
                assert answer.status < 300, answer.body


@ALL
def test_code_is_shown_as_code(front: Front) -> None:
    page = Page(docs_page(front))
    assert "`" not in page.text
    assert text("<b> `a<b` and ` alone") == "&lt;b&gt; <code>a&lt;b</code> and ` alone"


def test_the_policy_lets_in_the_style_and_the_script_of_the_pages_and_nothing_else() -> None:
    [policy] = [value for name, value in PAGE_HEADERS.headers if name == "content-security-policy"]
    assert "unsafe" not in policy
    html = page("title", "", script=DOCS_SCRIPT).decode()
    for tag in ("style", "script"):
        [_, source] = html.split(f"<{tag}>")
        digest = b64encode(hashlib.sha256(source.partition(f"</{tag}>")[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert " style=" not in docs_page(FRONTS[0]).decode()


def test_pages_suit_phones_and_both_colour_schemes() -> None:
    for html in (docs_page(FRONTS[0]), start_page(Mounts(FRONTS), Links())):
        assert b'name="viewport"' in html
        assert b"prefers-color-scheme: dark" in html


def test_the_bounds_of_what_may_be_null_are_told_too() -> None:
    [front] = [front for front in FRONTS if front.name == "chatrooms"]
    assert "RSA, as PEM; at most 4096 characters" in Page(docs_page(front)).text
