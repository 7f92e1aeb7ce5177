"""Principals of client certificates that a trusted proxy has verified."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import EVERYTHING, USE, Credentials, Grant, Principal, bounded
from switchgear.wire.claims import first_claimed, holds
from switchgear_plugins.client_certificates.certificate import facts_of, read_certificate
from switchgear_plugins.client_certificates.settings import ClientCertificatesSettings, RuleSettings

KIND = "certificate"
TEAMS, USERS = "teams", "users"
_MOST_KNOWN = 4096
_MOST_PEERS = 1024
_OWN_PAGES = (None, b"same-origin", b"none")
"""What browsers say of requests that no page of somebody else's makes."""


class _Seen(Struct, eq=False):
    """Who has a certificate, from when on, and what they are within the bounds of those they belong to."""

    principal: Principal | None
    from_us: int = 0
    bounds: tuple[Any, ...] = ()
    bounded: Principal | None = None


class CertificateAuthenticator:
    """Reads the header of proxies that are believed, where a request has nothing else to say who sent it.

    `live` returns the live object of a resource: a team or a user that is one here bounds who belongs to it.
    """

    def __init__(
        self, settings: ClientCertificatesSettings, ambient: Ambient, live: Callable[[str, str], Any | None]
    ) -> None:
        self._settings = settings
        self._header = settings.header.encode()
        self._networks = tuple(ip_network(it) for it in settings.proxies)
        self._now_us = ambient.now_us
        self._live = live
        self._peers: dict[str, bool] = {}
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()

    def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return whose certificate it is."""
        headers = credentials.headers
        if self._header not in headers or credentials.token is not None or not self._is_believed(credentials.peer):
            return None
        if headers.get(b"sec-fetch-site") not in _OWN_PAGES:
            return None  # a browser has a certificate along with whatever page it is on
        value = headers[self._header]
        digest = hashlib.sha256(value).digest()
        seen = self._seen.get(digest)
        if seen is None:
            seen = self._seen[digest] = self._read(value.decode("latin-1"), digest)
            if len(self._seen) > _MOST_KNOWN:
                self._seen.popitem(last=False)
        return self._now(seen)

    def now(self, principal: Principal) -> Principal | None:
        """Return what a principal in flight is now that those it belongs to have changed, None if it is no longer good."""
        return bounded(principal, self._bounds(principal))

    def _is_believed(self, peer: str | None) -> bool:
        if peer is None:
            return False
        known = self._peers.get(peer)
        if known is None:
            if len(self._peers) >= _MOST_PEERS:
                self._peers.clear()
            known = self._peers[peer] = self._is_proxy(peer)
        return known

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _read(self, text: str, digest: bytes) -> _Seen:
        certificate = read_certificate(text)
        if certificate is None:
            return _Seen(None)
        facts = facts_of(certificate)
        rule = next((it for it in self._settings.rules if holds(facts, it.when)), None)
        id = first_claimed(facts, self._settings.id)
        if rule is None or id is None:
            return _Seen(None)
        labels = {"team": rule.team, "user": rule.user}
        principal = Principal(
            f"{KIND}:{id}",
            KIND,
            name=id,
            labels={name: text for name, text in labels.items() if text is not None},
            tags=rule.tags,
            grants=_grants(rule),
            session=digest.hex()[:16],
            expires_us=round(certificate.not_valid_after_utc.timestamp() * 1e6),
        )
        seen = _Seen(principal, round(certificate.not_valid_before_utc.timestamp() * 1e6), self._bounds(principal))
        seen.bounded = bounded(principal, seen.bounds)
        return seen

    def _now(self, seen: _Seen) -> Principal | None:
        principal, now_us = seen.principal, self._now_us()
        if principal is None or not seen.from_us <= now_us < (principal.expires_us or 0):
            return None
        bounds = self._bounds(principal)
        if any(one is not other for one, other in zip(bounds, seen.bounds, strict=True)):
            seen.bounds, seen.bounded = bounds, bounded(principal, bounds)
        return seen.bounded

    def _bounds(self, principal: Principal) -> tuple[Any, ...]:
        belongs = ((TEAMS, principal.labels.get("team")), (USERS, principal.labels.get("user")))
        return tuple([None if id is None else self._live(kind, id) for kind, id in belongs])


def _grants(rule: RuleSettings) -> tuple[Grant, ...]:
    grants = (Grant(USE, "models", rule.models),) if rule.models else ()
    return (*grants, EVERYTHING) if rule.admin else grants
