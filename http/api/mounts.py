"""Where the fronts are: which of them answers a host name and a path.

A front alone is at its own paths (fronts that speak no HTTP do not count). Of several, each is at its own paths under
any host named `NAME.*`. Every front is also below the prefix `/NAME`, on any host; where that clashes with a front's
own paths, its own win.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chinwag.http.api.front import Front
from chinwag.http.api.routing import Found, Router


class Mount:
    """A front at one place. `prefix` is "" at its own paths, else "/NAME"."""

    __slots__ = ("front", "prefix", "router")

    def __init__(self, front: Front, prefix: str, router: Router) -> None:
        self.front = front
        self.prefix = prefix
        self.router = router

    def find(self, path: str) -> tuple[str, Found | None]:
        """The resource at a path below the mount, and the path as it is documented, for what is there by another."""
        found = self.router.find(path)
        if found is None:
            for other in self._other_paths(path):
                found = self.router.find(other)
                if found is not None or other == self.front.socket_path:
                    return other, found
        return path, found

    def _other_paths(self, path: str) -> Iterator[str]:
        """How else a path that leads nowhere may be meant."""
        front = self.front
        if front.takes_trailing_slash and len(path) > 1 and path.endswith("/"):
            path = path[:-1]
            yield path
        if front.other_base is not None and path.startswith(f"{front.other_base}/"):
            below = path[len(front.other_base) :]
            yield below if below == front.socket_path else front.base + below


SYSTEM_PATHS = ("/", "/healthz", "/metrics")
"""Where the server itself answers, on any host, when no front has the path."""
PAGES = ("/docs", "/openapi.json")
"""What the server answers below every front."""


class Location(NamedTuple):
    """What a path leads to. `mount` is None outside all fronts; `path` is what remains below the mount."""

    mount: Mount | None
    path: str
    found: Found | None


class Mounts:
    """All fronts of one server. Names are unique."""

    def __init__(self, fronts: Sequence[Front]) -> None:
        self._own: dict[str, Mount] = {}
        self._prefixed: dict[str, Mount] = {}
        self.fronts = tuple(front for front in fronts if front.speaks_http)
        """Those that are somewhere."""
        for front in self.fronts:
            if front.name in self._own:
                raise ValueError(f"two fronts are named {front.name}")
            router = Router(front.routes, base=front.base)
            self._own[front.name] = Mount(front, "", router)
            self._prefixed[front.name] = Mount(front, f"/{front.name}", router)
        self._alone = next(iter(self._own.values())) if len(self.fronts) == 1 else None

    @property
    def alone(self) -> Mount | None:
        """The only front there is, None when there are several."""
        return self._alone

    def locate(self, host: str, path: str) -> Location:
        """The mount and resource for a request. Never fails: what is nowhere has no mount, or nothing found."""
        own = self._alone or self._by_host(host)
        if own is not None:
            meant, found = own.find(path)
            if found is not None or meant != path:
                return Location(own, meant, found)
        prefixed = self._prefixed.get(path[1:].partition("/")[0])
        if prefixed is not None:
            below = path[len(prefixed.prefix) :] or "/"
            return Location(prefixed, *prefixed.find(below))
        return Location(own, path, None)

    def prefix_at(self, front: Front, host: str) -> str:
        """What comes before a front's own paths at a host name: nothing, or its prefix."""
        own = self._alone or self._by_host(host)
        return "" if own is not None and own.front is front else f"/{front.name}"

    def elsewhere(self, where: Location) -> list[str]:
        """Where else there is what was not found at a place: below a prefix, or below the base of an API's paths."""
        if where.mount is not None:
            front = where.mount.front
            path = front.base + where.path
            return [where.mount.prefix + path] if front.base and where.mount.router.find(path) else []
        found: list[str] = []
        for mount in self._prefixed.values():
            front = mount.front
            if where.path in PAGES or where.path == front.socket_path or mount.router.find(where.path):
                found.append(mount.prefix + where.path)
            elif front.base and mount.router.find(front.base + where.path):
                found.append(mount.prefix + front.base + where.path)
        return found

    def _by_host(self, host: str) -> Mount | None:
        name, dot, _ = host.partition(".")
        return self._own.get(name.lower()) if dot else None
