"""A secret goes where it was entered to go. Who may change a provider's address, or make another provider, cannot thereby send
somebody's stored secret to a server of his own.

A credential is bound to the first place a provider takes it to. A write that would take it elsewhere is refused until somebody
who knows the secret enters it again and says that it may go there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from switchgear.catalogue.checks import is_telling
from switchgear.catalogue.specs import CredentialInput, CredentialSpec, Entered, ProviderSpec
from switchgear.contracts.credential import MASK
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Prepared, Problem, RelatedWrite, Resource
from switchgear.errors import EgressDenied
from switchgear.upstream.target import parse_target


def place(
    type: str,
    base_url: str | None,
    proxy: str | None,
    settings: Mapping[str, Any],
    *,
    verify_tls: bool | None = None,
) -> str:
    """Name where a provider takes its secret: the origins of its address and of those in its settings (a token may be got
    elsewhere), the proxy it passes, if any, and whether anybody may answer there.
    """
    own = f"{type}'s own address" if base_url is None else _origin(base_url)
    elsewhere = sorted({_origin(leaf) for leaf in _leaves(settings) if _is_web(leaf)})
    through = f" through {_origin(proxy)}" if proxy else ""
    unproven = " without checking certificates" if verify_tls is False else ""
    return " and ".join([own, *elsewhere]) + through + unproven


def _origin(url: str) -> str:
    try:
        scheme, host, port = parse_target(url).origin
    except EgressDenied:
        return url  # nothing can be sent there
    return f"{scheme}://{host}:{port}"


def _is_web(text: str) -> bool:
    # As the parser that requests go by takes it: in any case, after blanks, with any slashes or none.
    return text.strip().lower().startswith(("https:", "http:"))


def refuse_elsewhere(spec: ProviderSpec, hosts: Sequence[str]) -> list[Problem]:
    """Find fault with a provider that would take a secret bound to `hosts` somewhere else."""
    wanted = _where(spec)
    if not hosts or wanted in hosts:
        return []
    named = msgspec.json.encode([*hosts, wanted]).decode()
    detail = (
        f"The secret of `{spec.credential_id}` was entered for {', '.join(hosts)}, not for {wanted}. Use another credential, or "
        f'POST /admin/v1/credentials/{spec.credential_id}/enter with its whole `source` and `"hosts": {named}`.'
    )
    return [Problem("/base_url", detail)]


def bind(spec: Mapping[str, Any]) -> Sequence[RelatedWrite]:
    """Bind the credential a provider names to where it goes, unless it is bound."""
    credential_id = spec.get("credential_id")
    if not isinstance(credential_id, str):
        return ()
    where = _place_of(spec)

    def change(credential: dict[str, Any]) -> dict[str, Any]:
        return credential if credential.get("hosts") else {**credential, "hosts": [where]}

    return (RelatedWrite("credentials", credential_id, change),)


def declare(
    credential: Mapping[str, Any],
    providers: Sequence[Mapping[str, Any]],
    whole: bool,  # noqa: FBT001 - the shape of ResourceKind.declare
) -> Mapping[str, Any]:
    """Bind a credential that files hold to where their providers take it. One whose secret is not in the files but was stored
    before goes on to where it was entered for.
    """
    places = sorted({_place_of(spec) for spec in providers})
    bound = credential.get("hosts")
    return {**credential, "hosts": places} if places and (whole or not bound) else credential


def _place_of(spec: Mapping[str, Any]) -> str:
    type, url, proxy, settings = (spec.get(name) for name in ("type", "base_url", "proxy", "settings"))
    return place(str(type), url, proxy, settings or {}, verify_tls=spec.get("verify_tls"))


def refuse_strangers(provider: Resource[ProviderSpec], credential_owner: str, hosts: Sequence[str]) -> None:
    """Raise ValueError for a provider that would take the secret of a file where none of the file's providers takes it."""
    if not _file(credential_owner):
        return
    if hosts and (where := _where(provider.spec)) not in hosts:
        what = f"which takes its secret to {', '.join(hosts)}, not to {where}"
    elif not hosts and _file(credential_owner) != _file(provider.owner):
        what = "and no provider in the files that it was applied with says where its secret may go"
    else:
        return
    raise ValueError(
        f"its credential `{provider.spec.credential_id}` is defined in the file {credential_owner.removeprefix(_FILE)}, {what}; "
        "write the provider there"
    )


_FILE = "file:"


def _file(owner: str) -> str:
    """Return which file or directory a resource belongs to, empty for the API's."""
    return owner.removeprefix(_FILE).split("/")[0] if owner.startswith(_FILE) else ""


def keep_headers(
    new: ProviderSpec,
    previous: ProviderSpec | None,
    by: Principal,  # noqa: ARG001 - the shape of ResourceKind.prepare
) -> Prepared[ProviderSpec]:
    """Store what was written. Raises ValueError if secret headers that were there would go along to another address."""
    if previous is not None and _where(new) != _where(previous):
        kept = [f"header `{n}`" for n, v in new.headers.items() if is_telling(n) and v in previous.headers.values()]
        if new.proxy_auth is not None and new.proxy_auth == previous.proxy_auth:
            kept.append("`proxy_auth`")
        if kept:
            raise ValueError(
                f"the secret {kept[0]} was entered for {_where(previous)}, not for {_where(new)}; take it out with "
                "this change and enter it again after it"
            )
    return Prepared(new)


def _where(spec: ProviderSpec) -> str:
    return place(spec.type, spec.base_url, spec.proxy, spec.settings, verify_tls=spec.verify_tls)


def keep_binding(
    new: CredentialInput,
    previous: CredentialSpec | None,
    by: Principal,  # noqa: ARG001 - the shape of ResourceKind.prepare
) -> Prepared[CredentialSpec]:
    """Store what was written, bound as it was: a secret that is rotated is for the same address.

    Raises ValueError where a secret would go along to another type: that one has another vendor's address.
    """
    if previous is not None and new.type != previous.type:
        if set(_values(new.source)) & set(_values(previous.source)):
            raise ValueError(
                f"the secret was entered for the type {previous.type}: with the type, write the whole `source` anew, or make "
                "another credential"
            )
        return Prepared(CredentialSpec(new.type, new.source, new.metadata))
    return Prepared(CredentialSpec(new.type, new.source, new.metadata, () if previous is None else previous.hosts))


def enter(
    resource: Resource[CredentialSpec],
    entered: Entered,
    by: Principal,  # noqa: ARG001 - the shape of ResourceAction.apply
) -> Prepared[CredentialSpec]:
    """Replace the source by one written in full, for the addresses that who knows the secret names."""
    if any(MASK in value for value in _leaves(entered.source)):
        raise ValueError("enter the secret in clear; what is masked is not known")
    hosts = entered.hosts or resource.spec.hosts
    return Prepared(msgspec.structs.replace(resource.spec, source=entered.source, hosts=hosts))


def refuse_restore(old: Mapping[str, Any]) -> str | None:
    """Say why an old version cannot come back: where its secret may go was settled only after it."""
    if old.get("hosts"):
        return None
    return (
        "this version is from before its secret was bound to an address; restore a later one, or enter the secret again"
    )


def _values(source: Mapping[str, Any]) -> list[str]:
    return _leaves({name: value for name, value in source.items() if name != "backend"}) or ["(nothing to be entered)"]


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, (list, tuple)):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [] if value is None else [str(value)]
