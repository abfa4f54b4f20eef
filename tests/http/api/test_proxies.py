"""Whom a proxy speaks for: what a trusted one says counts, and nothing that anybody else says does."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinwag.http.api.proxies import TrustedProxies, node
from chinwag.http.api.rate_limits import address_key
from chinwag.http.api.values import HttpRequest

PROXIES = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"])
PEER = "10.0.0.1"


def seen(**headers: str) -> tuple[str, bool]:
    """The client and whether it came by https, of a request with these headers (`_` for `-`)."""
    return seen_with({name.replace("_", "-"): value for name, value in headers.items()})


def seen_with(sent: dict[str, str], client: str = PEER, *, secure: bool = False) -> tuple[str, bool]:
    request = PROXIES.seen(HttpRequest(method="GET", path="/", headers=sent, client=client, secure=secure))
    assert PROXIES.seen(request) == request
    return request.client, request.secure


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:DB8:0::7]:4711", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ('198.51.100.1, "192.0.2.7"', "192.0.2.7"),
        ('198.51.100.1, "[2001:db8::7]:4711"', "2001:db8::7"),
        ('"198.51.100.1, 192.0.2.7', "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7, 10.1.1.1, 2001:db8:ffff::2", "192.0.2.7"),
        ("192.0.2.7,10.1.1.1,, ", "192.0.2.7"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("192.0.2.7, unknown", PEER),
        ("192.0.2.7, unknown, 10.1.1.1", "10.1.1.1"),
        ("192.0.2.7, _hidden", PEER),
        ("192.0.2.7, 192.0.2.7:99999999", PEER),
        ("192.0.2.7, [2001:db8::7", PEER),
        ('192.0.2.7, "192.0.2.8', PEER),
        ('192.0.2.7, "', PEER),
        ("192.0.2.7, 1.2.3", PEER),
        ("192.0.2.7, " + "9" * 5000, PEER),
        ("", PEER),
        (" , ,", PEER),
    ],
)
def test_x_forwarded_for_is_read_back_to_the_first_address_that_is_no_trusted_proxys(header: str, client: str) -> None:
    assert seen(x_forwarded_for=header) == (client, False)


@pytest.mark.parametrize(
    ("header", "client", "secure"),
    [
        ("for=192.0.2.7", "192.0.2.7", False),
        ("For=192.0.2.7;Proto=HTTPS;by=203.0.113.43", "192.0.2.7", True),
        ('for="192.0.2.7:4711" ; proto=https', "192.0.2.7", True),
        ('for="[2001:db8::7]:4711"', "2001:db8::7", False),
        ('for="\\192.0.2.7"', "192.0.2.7", False),
        ('for="192.0.2.7:_port"', "192.0.2.7", False),
        ("for=198.51.100.1;proto=https, for=192.0.2.7;proto=http", "192.0.2.7", False),
        ("for=192.0.2.7;proto=https, for=10.1.1.1;proto=http", "192.0.2.7", True),
        ('for=192.0.2.7;by="a, \\"b;c", for=10.1.1.1', "192.0.2.7", False),
        ("for=192.0.2.7;;proto=https;", "192.0.2.7", True),
        ("for=192.0.2.7, for=unknown;proto=https", PEER, True),
        ("for=192.0.2.7, for=_SEVKISEK", PEER, False),
        ("proto=https;by=203.0.113.43", PEER, True),
        ("for=192.0.2.7;for=198.51.100.1", PEER, False),
        ("for=192.0.2.7 for=198.51.100.1", PEER, False),
        ("for = 192.0.2.7", PEER, False),
        ("192.0.2.7", PEER, False),
        ("", PEER, False),
        ('for="', PEER, False),
        ('for=", for=192.0.2.7', "192.0.2.7", False),  # a client's open quote swallows nothing of the proxy's
        ('for=198.51.100.1;by=", for="[2001:db8::7]"', "2001:db8::7", False),
        ('for=198.51.100.1;by="\\, for="[2001:db8::7]"', "2001:db8::7", False),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(header: str, client: str, secure: bool) -> None:
    assert seen(forwarded=header) == (client, secure)


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "127.0.0.2", "2001:db8::1", "", "unix:", "@"])
def test_nobody_elses_word_counts(peer: str) -> None:
    for name in ("x-forwarded-for", "forwarded"):
        value = "for=198.51.100.1;proto=https" if name == "forwarded" else "198.51.100.1"
        assert seen_with({"x-forwarded-proto": "https", name: value}, peer) == (peer, False)
    nobody = HttpRequest(method="GET", path="/", headers={"x-forwarded-for": "198.51.100.1"}, client=PEER)
    assert TrustedProxies().seen(nobody) is nobody


def test_a_proxy_is_known_by_its_address_in_any_form() -> None:
    for peer in ("::ffff:10.0.0.1", "::ffff:127.0.0.1", "2001:db8:ffff::1", "2001:db8:ffff::1%eth0"):
        assert seen_with({"x-forwarded-for": "192.0.2.7"}, peer) == ("192.0.2.7", False)


@pytest.mark.parametrize(
    ("clients", "scheme", "secure", "was"),
    [
        ("192.0.2.7", "https", True, False),
        ("192.0.2.7", "wss", True, False),
        ("192.0.2.7", "http", False, True),
        ("192.0.2.7", "gopher", True, True),
        ("192.0.2.7", "", False, False),
        ("192.0.2.7, 10.1.1.1", "https, http", True, False),
        ("198.51.100.1, 192.0.2.7", "https, http", False, False),
        ("192.0.2.7, 10.1.1.1", "https", True, False),
        ("192.0.2.7", "https, http", False, False),  # the client's word, and the proxy's
        ("", "https", True, False),
    ],
)
def test_the_scheme_is_that_of_the_hop_that_is_the_clients(clients: str, scheme: str, secure: bool, was: bool) -> None:
    headers = {"x-forwarded-proto": scheme, **({"x-forwarded-for": clients} if clients else {})}
    assert seen_with(headers, secure=was)[1] is secure


def test_of_both_kinds_of_header_the_x_ones_count() -> None:
    assert seen(x_forwarded_for="192.0.2.7", forwarded="for=198.51.100.1;proto=https") == ("192.0.2.7", False)
    assert seen(x_forwarded_proto="https", forwarded="for=198.51.100.1") == (PEER, True)


def test_what_clients_share_is_told_apart_as_without_a_proxy() -> None:
    def key(header: str) -> str:
        return address_key(seen(x_forwarded_for=header)[0])

    assert key("2001:db8::1") == key("[2001:db8::2]:99") != key("2001:db8:0:1::1")
    assert key("::ffff:192.0.2.7") == key("192.0.2.7:80") != key("192.0.2.8")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0", "example.org", "", "10.0.0.0/8,::1", "[::1]"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        TrustedProxies([text])


def test_a_network_may_be_named_by_any_of_its_addresses() -> None:
    proxies = TrustedProxies(["192.0.2.77/24"])
    asked = HttpRequest(method="GET", path="/", headers={"x-forwarded-for": "198.51.100.1"}, client="192.0.2.1")
    assert proxies.seen(asked).client == "198.51.100.1"


HEADER = st.text(st.characters(max_codepoint=255) | st.sampled_from('",;= \\[]:.for1'), max_size=60)
OTHERS = st.ip_addresses().filter(
    lambda each: (
        not (each in ipaddress.ip_network("10.0.0.0/8") if each.version == 4 else each.ipv4_mapped)
        and str(each) != "127.0.0.1"
        and not str(each).startswith("2001:db8:ffff:")
    )
)


@given(forged=HEADER, client=OTHERS, is_list=st.booleans())
def test_whatever_a_client_sends_itself_it_is_whom_its_proxy_saw(
    forged: str, client: ipaddress.IPv4Address | ipaddress.IPv6Address, is_list: bool
) -> None:
    written = f'for="[{client}]"' if client.version == 6 else f"for={client}"
    name, value = ("x-forwarded-for", str(client)) if is_list else ("forwarded", written)
    assert seen_with({name: f"{forged}, {value}"})[0] == str(client)


@given(HEADER, HEADER)
def test_no_header_does_harm(one: str, other: str) -> None:
    for headers in ({"x-forwarded-for": one, "x-forwarded-proto": other}, {"forwarded": one}):
        client, _ = seen_with(headers)
        assert client == PEER or ipaddress.ip_address(client)
    assert node(one) is None or ipaddress.ip_address(str(node(one)))
