"""Fronts of other packages: which are served, which are left out, and what is said of them."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from itertools import count
from pathlib import Path

import pytest

from chinwag.http.checked_fronts import UnusableFront
from chinwag.http.registry import FRONTS, GROUP, OwnListener, listeners_named, load_fronts
from chinwag.http.settings import ListenAt
from tests.http.plugins import ECHO, install

FRONT = "from chinwag.http.api.front import Front\nfrom chinwag.http.api.routing import Route\n"
LISTENER = "from chinwag.http.api.listeners import FrontListener as L\n"
ROUTE = "Route('GET', '/here', print)"
_numbers = count()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where packages are installed within a test."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def package(folder: Path, name: str, made: str, *, before: str = "", entry: str | None = None) -> list[EntryPoint]:
    """A package with a front: `made` is the expression for it. `entry` is the name that it is registered by."""
    module = f"package_{next(_numbers)}"
    source = f"{FRONT}{LISTENER}{before}\nFRONT = {made}\n"
    return install(folder, module, source, **{entry or name: f"{module}:FRONT"})


def front(name: str, **more: str) -> str:
    given = "".join(f", {field}={value}" for field, value in more.items())
    return f"Front(name={name!r}, title='A front', description='...'{given})"


def test_ours_come_first_and_those_of_others_are_served_beside_them(folder: Path) -> None:
    registered = package(folder, "more", front("more", routes=f"({ROUTE},)"))
    assert [entry.group for entry in registered] == [GROUP]
    loaded = load_fronts((), registered)
    assert [each.name for each in loaded.fronts] == [*(each.name for each in FRONTS), "more"]
    assert loaded.left_out == ()
    assert [each.name for each in load_fronts(("more",), registered).fronts] == ["more"]
    assert [each.name for each in load_fronts(("messenger", "more"), registered).fronts] == ["messenger", "more"]


def test_what_is_not_asked_for_is_not_imported(folder: Path) -> None:
    registered = package(folder, "more", front("more"), before="raise SystemExit('imported')")
    assert load_fronts(("messenger",), registered).left_out == ()
    assert len(load_fronts((), registered).left_out) == 1


def test_a_front_that_there_is_not_is_no_front(folder: Path) -> None:
    with pytest.raises(UnusableFront, match="no such front: nobody"):
        load_fronts(("nobody", "messenger"), package(folder, "more", front("more")))


BROKEN = {
    "it needs another package": ("0", "import nowhere_at_all", "No module named 'nowhere_at_all'"),
    "it fails when imported": ("0", "raise ValueError('two\\nlines')", "ValueError: two lines"),
    "it ends the program": ("0", "raise SystemExit(3)", "SystemExit: 3"),
    "it has no such name": ("0\ndel FRONT", "", "has no attribute 'FRONT'"),
    "it is something else": ("'broken'", "", "what is registered is no Front, but str"),
    "it has another name": (front("other"), "", "which is 'other'"),
    "two routes": (front("broken", routes=f"({ROUTE}, {ROUTE})"), "", "two routes for GET /here"),
    "no path": (front("broken", routes="(Route('GET', 'here', print),)"), "", "does not start with a slash"),
    "socket and route": (front("broken", routes=f"({ROUTE},)", socket_path="'/here'"), "", "the path of its socket"),
    "no table": (front("broken", routes="None"), "", "its routes cannot be of the type NoneType"),
    "no route": (front("broken", routes="(1,)"), "", "its routes hold what is no Route, but int"),
    "a table that is used up": (front("broken", routes=f"(r for r in [{ROUTE}])"), "", "of the type generator"),
    "a name twice in a path": (
        front("broken", routes="(Route('GET', '/{a}/{a}', print),)"),
        "",
        "a name is twice in the path '/{a}/{a}'",
    ),
    "no handler": (front("broken", routes="(Route('GET', '/here', 7),)"), "", "the handler of /here cannot be called"),
    "no rate group": (
        front("broken", routes="(Route('GET', '/here', print, rate_group='g'),)"),
        "",
        "there is no rate group 'g'",
    ),
    "no rate limit": (front("broken", rate_limit="'5/s'"), "", "its rate_limit cannot be of the type str"),
    "no title": ("Front(name='broken', title=None, description='')", "", "its title cannot be of the type NoneType"),
    "no schema": (
        front("broken", routes="(Route('GET', '/here', print, response=object()),)"),
        "",
        "its documentation cannot be made: TypeError",
    ),
    "no ids": (
        front("broken", routes="(Route('GET', '/here/{id}', print),)", ids="None"),
        "",
        "its documentation cannot be made: AttributeError",
    ),
    "it ends everything": ("0", "class End(BaseException): pass\nraise End('now')", "cannot be imported: End: now"),
    "a socket that is not made": (
        front("broken", socket_path="'/live'", socket="lambda links: 1 / 0"),
        "",
        "its socket cannot be: ZeroDivisionError",
    ),
    "a socket that is none": (
        front("broken", socket_path="'/live'", socket="lambda links: None"),
        "",
        "its socket is no SocketEndpoint: NoneType has no admit",
    ),
    "a socket nowhere": (front("broken", socket="lambda links: None"), "", "its socket has no path"),
    "a socket's path": (front("broken", socket_path="'live'"), "", "'live', does not start with a slash"),
    "no listeners": (front("broken", listeners="None"), "", "its listeners cannot be of the type NoneType"),
    "no listener": (front("broken", listeners="('l',)"), "", "its listeners hold what is no FrontListener, but str"),
    "a listener's port": (
        front("broken", listeners="(L(name='l', title='L', port=65536, serve=print),)"),
        "",
        "65536 is no port for its listener l",
    ),
    "a listener's function": (
        front("broken", listeners="(L(name='l', title='L', port=1, serve=None),)"),
        "",
        "nothing serves its listener l",
    ),
    "a listener's name": (
        front("broken", listeners="(L(name='a b', title='L', port=1, serve=print),)"),
        "",
        "'a b' is no name for a listener",
    ),
    "two listeners": (
        front("broken", listeners="(L(name='l', title='L', port=1, serve=print),) * 2"),
        "",
        "a listener named 'l' already",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_front_is_told_of_in_one_line_and_is_an_error_only_when_asked_for(folder: Path, what: str) -> None:
    made, before, told = BROKEN[what]
    registered = package(folder, "broken", made, before=before)
    loaded = load_fronts((), registered)
    assert loaded.fronts == FRONTS
    [line] = loaded.left_out
    assert told in line
    assert "\n" not in line
    assert line.startswith("the front 'broken' of package-")
    assert " 1.0 cannot be served: " in line
    with pytest.raises(UnusableFront) as refused:
        load_fronts(("broken",), registered)
    assert str(refused.value) == line


@pytest.mark.parametrize("name", ["healthz", "metrics", "docs", "Capital", "with.dot", "1st"])
def test_a_name_has_to_do_as_a_prefix_and_a_host_and_not_to_be_the_servers(folder: Path, name: str) -> None:
    registered = [
        EntryPoint(name, entry.value, entry.group) for entry in package(folder, "any", front(name), entry="any")
    ]
    loaded = load_fronts((), registered)
    assert loaded.fronts == FRONTS
    assert len(loaded.left_out) == 1
    with pytest.raises(UnusableFront):
        load_fronts((name,), registered)


def test_nobody_takes_a_name_of_ours(folder: Path) -> None:
    registered = package(folder, "messenger", front("messenger"))
    for names in ((), ("messenger",)):
        loaded = load_fronts(names, registered)
        assert next(each for each in loaded.fronts if each.name == "messenger") is FRONTS[2]
        assert "Chinwag's own" in loaded.left_out[0]


def test_of_two_packages_with_one_name_neither_is_served(folder: Path) -> None:
    registered = [*package(folder, "more", front("more")), *package(folder, "more", front("more"))]
    loaded = load_fronts((), registered)
    assert loaded.fronts == FRONTS
    assert len(loaded.left_out) == 2
    with pytest.raises(UnusableFront, match="another package has a front of that name"):
        load_fronts(("more",), registered)


def test_a_listener_is_opened_by_its_name_at_its_port_or_another(folder: Path) -> None:
    fronts = load_fronts(("echo",), install(folder, "echo_lines", ECHO, echo="echo_lines:FRONT")).fronts
    listener = fronts[0].listeners[0]
    wanted = [ListenAt(name="echo"), ListenAt(name="echo", host="::1", port=0)]
    assert listeners_named(fronts, wanted) == (
        OwnListener(listener, "127.0.0.1", 7),
        OwnListener(listener, "::1", 0),
    )
    with pytest.raises(UnusableFront, match="no front has a listener named 'irc': there is echo"):
        listeners_named(fronts, [ListenAt(name="irc")])
    with pytest.raises(UnusableFront, match="no front that is served has one"):
        listeners_named(FRONTS, [ListenAt(name="irc")])


def test_a_listener_of_two_fronts_is_the_firsts(folder: Path) -> None:
    listeners = "(L(name='l', title='L', port=1, serve=print),)"
    registered = [
        *package(folder, "one", front("one", listeners=listeners)),
        *package(folder, "two", front("two", listeners=listeners)),
    ]
    loaded = load_fronts((), registered)
    assert [each.name for each in loaded.fronts][-1] == "one"
    assert "a listener named 'l' already" in loaded.left_out[0]
