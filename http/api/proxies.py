"""Who asks, and how, when a proxy asks for them. Pure.

A proxy that is trusted says in a header whom it speaks for; each one on the way adds its own word at the end. What a
client has put there itself comes before those words, so they are read from the end, back to the first address that is
no trusted proxy's: that is the client. What cannot be read (`unknown`, a name that hides an address, nonsense) ends the
reading, and the request counts for the last proxy that is known.

`X-Forwarded-For` and `X-Forwarded-Proto` count where there is one of them, else `Forwarded` (RFC 7239). Nearly all
proxies write the former, and of those hardly one removes a `Forwarded` that the client has made up.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from chinwag.http.api.values import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(rf'({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_SEPARATOR: Final = re.compile(r"[ \t]*(?:;[ \t]*)+|\Z")
_PORT: Final = re.compile(r"[0-9]{1,5}|_[0-9A-Za-z._-]+")
_LONGEST_NODE: Final = 100
_SECURE: Final = {"https": True, "wss": True, "http": False, "ws": False}
_ADDRESSES: Final = 4096
"""How many texts are remembered with the addresses that they are."""


class TrustedProxies:
    """The proxies of one deployment. Without any, every request is its peer's."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """`networks` as "192.0.2.0/24", "2001:db8::/32", or a single address. Raises ValueError for anything else."""
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(each, strict=False) for each in networks)

    def seen(self, request: HttpRequest) -> HttpRequest:
        """The request with the client and the scheme that its proxy tells of. Doing it twice changes nothing more."""
        if not self._networks:
            return request
        peer = address(request.client)
        if peer is None or not self._trusts(peer):
            return request
        headers = request.headers
        if "x-forwarded-for" in headers or "x-forwarded-proto" in headers:
            client, scheme = self._by_list(peer, headers)
        elif "forwarded" in headers:
            client, scheme = self._by_standard(peer, headers["forwarded"])
        else:
            return request
        secure = _SECURE.get(scheme.lower(), request.secure)
        return replace(request, client=str(client), secure=secure)

    def unheard(self, request: HttpRequest) -> bool:
        """Whether a request came by a proxy of our own network while none is trusted: an option was forgotten."""
        if self._networks or not ("x-forwarded-for" in request.headers or "forwarded" in request.headers):
            return False
        peer = address(request.client)
        return peer is not None and peer.is_private

    def _trusts(self, peer: Address) -> bool:
        return any(peer in network for network in self._networks)

    def _by_list(self, peer: Address, headers: Mapping[str, str]) -> tuple[Address, str]:
        named = _listed(headers.get("x-forwarded-for", ""))
        schemes = _listed(headers.get("x-forwarded-proto", "")) or [""]
        hops = 0
        for text in reversed(named):
            found = node(_unquoted(text))
            if found is None:
                break
            peer = found
            hops += 1
            if not self._trusts(peer):
                break
        # One scheme per hop, or one that the last proxy says of all of them.
        return peer, schemes[-max(1, hops)] if len(schemes) == len(named) else schemes[-1]

    def _by_standard(self, peer: Address, header: str) -> tuple[Address, str]:
        scheme = ""
        for element in _from_the_end(header):
            pairs = _pairs(element)
            if pairs is None:
                break
            scheme = pairs.get("proto", "")
            found = node(pairs.get("for", ""))
            if found is None:
                break
            peer = found
            if not self._trusts(peer):
                break
        return peer, scheme


@lru_cache(_ADDRESSES)
def address(text: str) -> Address | None:
    """An address as a socket names it, None for anything else. One of IPv4 within IPv6 is the former."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def node(text: str) -> Address | None:
    """An address as proxies write it: with a port or without, IPv6 in brackets or not. None for anything else."""
    if len(text) > _LONGEST_NODE:
        return None
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in host or (port and not (port.startswith(":") and _PORT.fullmatch(port[1:]))):
            return None
        return address(host)
    if text.count(":") == 1:
        text, _, port = text.partition(":")
        if _PORT.fullmatch(port) is None:
            return None
    return address(text)


def _listed(header: str) -> list[str]:
    """The elements of a list of plain words."""
    return [text for each in header.split(",") if (text := each.strip(" \t"))]


def _unquoted(text: str) -> str:
    """An element without the quotes around it, if it has both: some proxies write IPv6 as `Forwarded` wants it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _from_the_end(header: str) -> Iterator[str]:
    """The elements of a list, the last one first. Commas between quotes do not count. A quote that a client left open
    spoils what the client wrote, and nothing after it."""
    end = at = len(header)
    quoted = False
    while at:
        at -= 1
        if header[at] == '"':
            backslashes = at - len(header[:at].rstrip("\\"))
            quoted ^= backslashes % 2 == 0
        elif header[at] == "," and not quoted:
            if element := header[at + 1 : end].strip(" \t"):
                yield element
            end = at
    if element := header[:end].strip(" \t"):
        yield element


def _pairs(element: str) -> dict[str, str] | None:
    """The parameters of one element, None when it is malformed."""
    pairs: dict[str, str] = {}
    at = 0
    while True:
        found = _PAIR.match(element, at)
        if found is None or found[1].lower() in pairs:
            return None
        pairs[found[1].lower()] = found[2] if found[2] is not None else _ESCAPED.sub(r"\1", found[3])
        separator = _SEPARATOR.match(element, found.end())
        if separator is None:
            return None
        at = separator.end()
        if at == len(element):
            return pairs
