"""Which addresses may be called.

The standard library's `is_global` alone lets multicast, NAT64, 6to4 and some cloud metadata addresses pass, so the
lists here are ours and `is_global` is the second opinion. Sources: the IANA special-purpose address registries
(RFC 6890 and its updates), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 5214 (ISATAP), and the metadata addresses of the
cloud vendors that lie outside the link-local ranges.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from switchgear.errors import ConfigError, EgressDenied

_DENIED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a metadata service lives in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent
        "169.254.0.0/16",  # link local and most metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Everything else in IPv6 is loopback, private, link local, multicast, translated or not handed out.
_UNICAST_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_DENIED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})  # upper half of the interface identifier
_V4_BITS: Final = 0xFFFF_FFFF


class EgressPolicy:
    """Decides whether an address may be connected to: public ones, and the networks of `allow` (CIDR notation)."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        failures = []
        networks: list[IPv4Network | IPv6Network] = []
        for text in allow:
            try:
                networks.append(ip_network(text))
            except ValueError:
                failures.append(f"`allow` has {text!r}, which is no network; write it like 10.1.0.0/16")
        if failures:
            raise ConfigError(*failures)
        self._allow = tuple(networks)

    def check(self, ip: str) -> None:
        """Raise `EgressDenied` unless `ip`, in text form, may be connected to."""
        try:
            address = ip_address(ip)
        except ValueError:
            raise EgressDenied("The host's address cannot be read; check its DNS record.") from None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if self._allowed(address):
            return
        if _denied(address) or any(_denied(inner) and not self._allowed(inner) for inner in _inside(address)):
            raise EgressDenied(
                "The address is not public. If it is yours to call, add its network to [gateway.egress] allow"
                " in plugins.toml."
            )

    def _allowed(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._allow)


def _inside(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 address that a translating IPv6 address leads to."""
    if isinstance(address, IPv6Address):
        bits = int(address)
        if address in _NAT64 or (bits >> 32) & _V4_BITS in _ISATAP:
            yield IPv4Address(bits & _V4_BITS)


def _denied(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not address.is_global or any(address in network for network in _DENIED_V4)
    if address in _NAT64:
        return False  # what it leads to decides
    return (
        address not in _UNICAST_V6
        or address.scope_id is not None
        or not address.is_global
        or any(address in network for network in _DENIED_V6)
    )
