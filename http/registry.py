"""The fronts that this server knows: our own, and those that other packages bring.

A package registers a front under the entry-point group `chinwag.fronts`, by the front's name. The installed packages
are looked through once, for names alone; a package is imported when its front is to be served.

A front that was asked for by name and cannot be served is an error. One that is merely installed is left out, and the
operator is told: somebody else's package must not keep a server from starting. Nor does it take a name of ours.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final, NamedTuple

from chinwag.http.api.front import Front
from chinwag.http.api.listeners import FrontListener
from chinwag.http.checked_fronts import UnusableFront, checked, one_line
from chinwag.http.fronts import chatrooms, chatterstack, messenger
from chinwag.http.settings import ListenAt

FRONTS: tuple[Front, ...] = (chatterstack.FRONT, chatrooms.FRONT, messenger.FRONT)
"""Our own. The only place that lists them."""
GROUP: Final = "chinwag.fronts"

_OURS: Final = frozenset(front.name for front in FRONTS)


class OwnListener(NamedTuple):
    """A listener that a front brings, and where it is to be."""

    listener: FrontListener
    host: str
    port: int


class LoadedFronts(NamedTuple):
    """What can be served, and one line for each front that nobody asked for by name and that cannot be."""

    fronts: tuple[Front, ...]
    left_out: tuple[str, ...]


@cache
def plugged_in() -> tuple[EntryPoint, ...]:
    """What other packages have registered, by name. Nothing of it is imported yet."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _package(entry))))


def front_names() -> tuple[str, ...]:
    """The names that can be asked for: ours first."""
    names = [front.name for front in FRONTS] + [entry.name for entry in plugged_in()]
    return tuple(dict.fromkeys(names))


def load_fronts(names: Collection[str] = (), registered: Sequence[EntryPoint] | None = None) -> LoadedFronts:
    """The fronts of these names, in the registry's order; all of them for no names. `registered` are those of other
    packages; without it, those that are installed.

    Raises `UnusableFront` when one that is named cannot be served.
    """
    entries = plugged_in() if registered is None else registered
    unknown = set(names) - _OURS - {entry.name for entry in entries}
    if unknown:
        raise UnusableFront(f"no such front: {', '.join(sorted(unknown))}")
    fronts = [front for front in FRONTS if not names or front.name in names]
    left_out: list[str] = []
    times = Counter(entry.name for entry in entries)
    for entry in entries:
        if names and entry.name not in names:
            continue
        try:
            if entry.name in _OURS:
                raise UnusableFront("its name is that of one of Chinwag's own")
            if times[entry.name] > 1:
                raise UnusableFront("another package has a front of that name")
            fronts.append(checked(_imported(entry), entry.name, fronts))
        except UnusableFront as problem:
            told = f"the front {entry.name!r} of {_package(entry)} cannot be served: {problem}"
            if entry.name in names and entry.name not in _OURS:
                raise UnusableFront(told) from None
            left_out.append(told)
    return LoadedFronts(tuple(fronts), tuple(left_out))


def listeners_named(fronts: Iterable[Front], wanted: Iterable[ListenAt]) -> tuple[OwnListener, ...]:
    """The listeners of fronts that are to be opened, and where. Raises `UnusableFront` for a name that none has."""
    known = {listener.name: listener for front in fronts for listener in front.listeners}
    found: list[OwnListener] = []
    for each in wanted:
        listener = known.get(each.name)
        if listener is None:
            there = f"there is {', '.join(known)}" if known else "no front that is served has one"
            raise UnusableFront(f"no front has a listener named {each.name!r}: {there}")
        found.append(OwnListener(listener, each.host, listener.port if each.port is None else each.port))
    return tuple(found)


def _package(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _imported(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except KeyboardInterrupt:
        raise  # it is the operator who does not wait
    except BaseException as error:  # it is somebody else's program, and may do anything at its import
        raise UnusableFront(f"{entry.value} cannot be imported: {one_line(error)}") from error
