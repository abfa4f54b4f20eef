"""Callbacks for click's options: texts into values, or one line that says what is wrong."""

import math
from urllib.parse import urlsplit

import click

from chinwag.http.api.cors import canonical_origin
from chinwag.http.api.proxies import TrustedProxies
from chinwag.http.api.rate_limits import RateLimit
from chinwag.http.registry import FRONTS, front_names
from chinwag.http.settings import DEFAULT_HOST, ListenAt

MOST_OF_A_LIMIT = 1_000_000
"""Requests, or seconds, that a limit may be of: each request within it is remembered."""


def host_and_port(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    """HOST:PORT, with brackets around an IPv6 address; a port alone is one of this machine's own address."""
    host, colon, port = value.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (port.isascii() and port.isdecimal()) or int(port[:6]) > 65535 or not {"[", "]"}.isdisjoint(host):
        raise click.BadParameter(f"{value!r} is not HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000")
    if colon and not host:
        raise click.BadParameter(
            f"{value!r} has no host: use HOST:PORT, {DEFAULT_HOST}:{port} for this machine alone or "
            f"0.0.0.0:{port} for everybody who can reach it"
        )
    return host or DEFAULT_HOST, int(port)


def listen_at(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[ListenAt, ...]:
    """NAME, or NAME=HOST:PORT, or NAME=PORT. Whether a front has a listener of that name is seen when it is loaded."""
    found: list[ListenAt] = []
    for value in values:
        name, equals, where = value.partition("=")
        if not name or ":" in name or name.isdecimal():
            raise click.BadParameter(f"{value!r} is not NAME or NAME=HOST:PORT (HTTP listens where --bind says)")
        host, port = host_and_port(_context, _parameter, where) if equals else (DEFAULT_HOST, None)
        found.append(ListenAt(name=name, host=host, port=port))
    return tuple(found)


def origins(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Web origins as browsers send them, or * for any."""
    for value in values:
        if value != "*" and canonical_origin(value) is None:
            raise click.BadParameter(f"{value!r} is not an origin, such as https://chat.example.org")
    return values


def public_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """An http or https URL without a query, in the form that paths are added to."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc or not _is_plain(value):
        raise click.BadParameter(f"{value!r} is not a web address, such as https://chat.example.org")
    return value.rstrip("/")


def rate_limit(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, RateLimit | None]:
    """FRONT=REQUESTS/SECONDS or FRONT=off."""
    limits: dict[str, RateLimit | None] = {}
    for value in values:
        front, equals, limit = value.partition("=")
        requests, slash, seconds = limit.partition("/")
        if front not in front_names() or not equals:
            raise click.BadParameter(f"{value!r} does not begin with the name of an API, such as {FRONTS[0].name}=off")
        if limit == "off":
            limits[front] = None
        elif slash and _is_count(requests) and _is_count(seconds):
            limits[front] = RateLimit(int(requests), float(seconds))
        else:
            raise click.BadParameter(f"{value!r} does not end with REQUESTS/SECONDS, such as 600/60, or off")
    return limits


def endpoint(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The base URL of an HTTP API. A query, a fragment or credentials in it would be lost or logged."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc or not _is_plain(value):
        raise click.BadParameter(f"{value!r} is not the URL of an API, such as http://127.0.0.1:11434/v1")
    return value


def bearer_token(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A token as it can stand in a header. What is wrong with it is said without it."""
    if value is not None and (not value or not _is_plain(value)):
        raise click.BadParameter("it is empty, or holds blanks or characters that no header can have")
    return value


def finite(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """A range lets `nan` through: it is neither below nor above any bound."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number")
    return value


def proxies(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks of proxies."""
    for value in values:
        try:
            TrustedProxies([value])
        except ValueError:
            raise click.BadParameter(f"{value!r} is no address or network, such as 10.0.0.0/8 or ::1") from None
    return values


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text[:10]) <= MOST_OF_A_LIMIT and len(text) < 10


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
