"""A secret goes where it was entered to go. Who may change a provider's address, or make another provider, cannot thereby send
somebody's stored secret to a server of his own.

A credential is bound to the first place a provider takes it to. A write that would take it elsewhere is refused until the
secret is entered again, by somebody who knows it.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from switchgear.catalogue.specs import CredentialInput, CredentialSpec, Entered, ProviderSpec
from switchgear.contracts.credential import MASK
from switchgear.contracts.resource import Also, Prepared, Problem, Resource

_OWN = "the provider type's own address"
_PORTS = {"https": 443, "http": 80}


def place(base_url: str | None, proxy: str | None) -> str:
    """Name where a provider takes its secret: the origin of its address, and the proxy it passes, if any."""
    return _origin(base_url) + (f" through {_origin(proxy)}" if proxy else "")


def _origin(url: str | None) -> str:
    if url is None:
        return _OWN
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def refuse_elsewhere(spec: ProviderSpec, hosts: Sequence[str]) -> list[Problem]:
    """Find fault with a provider that would take a secret bound to `hosts` somewhere else."""
    wanted = place(spec.base_url, spec.proxy)
    if not hosts or wanted in hosts:
        return []
    detail = (
        f"The secret of `{spec.credential_id}` was entered for {', '.join(hosts)}, not for {wanted}. Enter it again with POST "
        f"/admin/v1/credentials/{spec.credential_id}/enter, or use another credential."
    )
    return [Problem("/base_url", detail)]


def bind(spec: Mapping[str, Any]) -> Sequence[Also]:
    """Bind the credential a provider names to where it goes, unless it is bound."""
    credential_id = spec.get("credential_id")
    if not isinstance(credential_id, str):
        return ()
    where = place(spec.get("base_url"), spec.get("proxy"))

    def change(credential: dict[str, Any]) -> dict[str, Any]:
        return credential if credential.get("hosts") else {**credential, "hosts": [where]}

    return (Also("credentials", credential_id, change),)


def keep_binding(new: CredentialInput, previous: CredentialSpec | None) -> Prepared[CredentialSpec]:
    """Store what was written, bound as it was, unless nothing of the old source is left in it."""
    hosts = () if previous is None or not _overlap(new.source, previous.source) else previous.hosts
    return Prepared(CredentialSpec(new.type, new.source, new.metadata, hosts))


def enter(resource: Resource[CredentialSpec], entered: Entered) -> Prepared[CredentialSpec]:
    """Replace the source by one written in full; it is bound anew by the next provider that is written."""
    if any(MASK in value for value in _leaves(entered.source)):
        raise ValueError("enter the secret in clear; what is masked is not known")
    spec = resource.spec
    return Prepared(msgspec.structs.replace(spec, source=entered.source, hosts=()))


def _overlap(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Say whether a source holds anything, but for the backend's name, that the old one held."""
    kept = set(_leaves({name: value for name, value in old.items() if name != "backend"}))
    return bool(kept & set(_leaves({name: value for name, value in new.items() if name != "backend"})))


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, (list, tuple)):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [] if value is None else [str(value)]
