"""What `chinwag serve` says once it is listening: where everything is."""

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from chinwag.http.api.front import Front
from chinwag.http.listener.listener import Ports, shown_address
from chinwag.http.settings import DEFAULT_HOST, Settings


def installed_version() -> str:
    """Of Chinwag."""
    try:
        return version("chinwag")
    except PackageNotFoundError:
        return "(not installed)"


def banner(settings: Settings, fronts: Sequence[Front], ports: Ports) -> Iterator[str]:
    """The lines that tell where everything is."""
    address = shown_address(_reachable(settings.host), ports.http)
    secure = "" if settings.tls_cert is None else "s"
    alone = sum(front.speaks_http for front in fronts) == 1
    yield f"chinwag {installed_version()} is listening on http{secure}://{address}"
    for front in fronts:
        yield f"  {front.title}"
        if front.speaks_http:
            places = [address] if alone else [f"{address}/{front.name}", f"{front.name}.localhost:{ports.http}"]
            yield f"    API        {'  or  '.join(f'http{secure}://{place}{front.base}' for place in places)}"
            if front.socket_path is not None:
                yield f"    WebSocket  {'  or  '.join(f'ws{secure}://{place}{front.socket_path}' for place in places)}"
            yield f"    try it     http{secure}://{places[0]}/docs"
        yield from _own_listeners(front, ports)
    yield f"  data in {settings.data_dir.resolve()}, stop with Ctrl-C"


def _own_listeners(front: Front, ports: Ports) -> Iterator[str]:
    for listener in front.listeners:
        where = [shown_address(_reachable(host), port) for name, host, port in ports.own if name == listener.name]
        closed = f"closed: --listen {listener.name} opens it at {shown_address(DEFAULT_HOST, listener.port)}"
        yield f"    {listener.title:<10} {'  and  '.join(where) or closed}"


def _reachable(host: str) -> str:
    """An address of this machine, for "all of them"."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
