"""Secrets of Vault's KV version 2 engine (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2)."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import FieldChoice, Secret
from switchgear.errors import SecretUnavailable
from switchgear_plugins.vault.session import DENIED, OK, VaultSession
from switchgear_plugins.vault.settings import VaultSettings, check_path

_MISSING = 404


class VaultSource(FieldChoice, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="vault"):
    """Where in Vault the secret is: `path` without the mount and without `data/`, at its newest version unless one is named.

    `mount` and `namespace` are those of plugins.toml if left out; `field` and `fields` as in every backend of documents.
    """

    path: Annotated[str, Meta(min_length=1, max_length=1024)]
    version: Annotated[int, Meta(ge=1)] | None = None
    mount: str | None = None
    namespace: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, path in (("path", self.path), ("mount", self.mount), ("namespace", self.namespace)):
            check_path(name, path)


class _Metadata(Struct, frozen=True):
    version: int = 0
    created_time: str = ""
    deletion_time: str = ""
    destroyed: bool = False


class _Kept(Struct, frozen=True):
    data: dict[str, Any] | None = None
    metadata: _Metadata = _Metadata()


class _Read(Struct, frozen=True):
    data: _Kept | None = None
    lease_duration: int = 0


class VaultBackend:
    """Reads secrets through a session."""

    source_type: type[Struct] = VaultSource
    secret_fields: tuple[str, ...] = ()

    def __init__(self, settings: VaultSettings, session: VaultSession, ambient: Ambient) -> None:
        self._settings = settings
        self._session = session
        self._ambient = ambient

    async def fetch(self, credential_id: str, source: VaultSource) -> Secret:
        """Return the chosen members. Raises `SecretUnavailable` saying what Vault lacks or refuses."""
        path = f"{source.mount or self._settings.mount}/data/{source.path}"
        where = f"credential {credential_id}: Vault's `{path}`"
        query = f"?version={source.version}" if source.version is not None else ""
        try:
            answer = await self._session.read(quote(path), query, source.namespace)
        except SecretUnavailable as error:
            raise SecretUnavailable(f"credential {credential_id}: {error}") from error
        if answer.status_code == DENIED:
            raise SecretUnavailable(
                f"{where} may not be read: let a policy of the gateway's token read it; check `mount`, `namespace` and that the "
                "token is still good"
            )
        if answer.status_code not in {OK, _MISSING}:
            raise SecretUnavailable(f"{where} is refused with status {answer.status_code}: check `path` and `mount`")
        try:
            read = msgspec.json.decode(answer.content, type=_Read)
        except msgspec.DecodeError as error:
            raise SecretUnavailable(f"{where} is no secret of a KV version 2 engine: check `mount`") from error
        kept = read.data
        if kept is None or kept.data is None:
            raise SecretUnavailable(f"{where} {_lacks(kept, source)}")
        # A path that was wiped counts its versions from 1 again, so the number alone would not tell two values apart.
        version = f"{kept.metadata.version} of {kept.metadata.created_time}"
        expires_us = self._ambient.now_us() + read.lease_duration * 1_000_000 if read.lease_duration > 0 else None
        return Secret(source.choose(kept.data, where), version, expires_us)


def _lacks(kept: _Kept | None, source: VaultSource) -> str:
    """Say why there is no data: Vault answers 404 with the metadata of a version that was deleted."""
    if kept is None or not kept.metadata.version:
        version = f" of version {source.version}" if source.version is not None else ""
        return f"holds nothing{version}: check `path` (without the mount and `data/`), `mount` and `namespace`"
    fate = "destroyed" if kept.metadata.destroyed else "deleted"
    cure = "write it anew" if kept.metadata.destroyed else "undelete it or write it anew"
    return f"was {fate} in version {kept.metadata.version}: {cure}"
