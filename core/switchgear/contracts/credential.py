"""Secrets: how they are held in memory, where they come from, how they are sealed at rest."""

from collections.abc import Awaitable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct, json

from switchgear.errors import SecretUnavailable
from switchgear.secret import Secret as Secret  # noqa: PLC0414 - here is where plugins take it from

MASK = "••••"


class FieldChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which members of a secret that is kept as a document become fields of the credential; base of a `source_type`.

    `field` names the member that becomes `api_key`; `fields` says it for each (`{"api_key": "openai_key"}`). Without either all
    members are fields under their own names. A member that is no text is taken as its JSON.
    """

    field: str | None = None
    fields: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.field is not None and self.fields:
            raise ValueError("Say `field` or `fields`, not both")

    def choose(self, members: Mapping[str, Any], where: str) -> dict[str, str]:
        """Return the fields. Raises `SecretUnavailable`, `where` first, naming every member that is missing or empty."""
        wanted = {"api_key": self.field} if self.field is not None else self.fields or {name: name for name in members}
        if lacking := [member for member in wanted.values() if members.get(member) in (None, "")]:
            raise SecretUnavailable(f"{where} has no value for {', '.join(lacking)}")
        if not wanted:
            raise SecretUnavailable(f"{where} is empty")
        return {field: _text(members[member]) for field, member in wanted.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()


class CredentialBackend(Protocol):
    """One way to hold secrets, chosen by `source.backend` of a credential.

    `source_type` is the shape of `source` in a credential (a tagged Struct: `tag_field="backend"`, `tag` = the offer's name),
    so that a bad field is named in the 422.
    """

    source_type: type[Struct]
    secret_fields: tuple[str, ...]
    """Dotted paths inside `source` that the resource engine seals and masks (`values.*`); empty if it holds none."""

    async def fetch(self, credential_id: str, source: Any) -> Secret:
        """Return the secret now. `source` arrives unsealed. Raises `SecretUnavailable`.

        The kernel caches, shares one fetch among all who wait, refreshes early and keeps the last good value.
        """
        ...


Status = Literal["unused", "good", "failing", "unavailable", "refused", "forbidden"]
"""How a credential stands (see `CredentialState`)."""


class CredentialState(Struct, frozen=True):
    """How one credential stands, for health. Times are wall clock microseconds.

    `unused`: not asked for yet. `good`. `failing` since `since_us`: the backend fails and the last good value, fetched at
    `fetched_us`, is in use. `unavailable` since `since_us`: it fails and there is no value. `refused` since `since_us`: a
    provider does not take it (401). `forbidden`: a provider refused what was asked with it (403).
    """

    credential_id: str
    status: Status
    fetched_us: int | None = None
    since_us: int | None = None
    why: str | None = None


class SecretHandle(Protocol):
    """A credential as the request path holds it."""

    credential_id: str

    @property
    def state(self) -> CredentialState:
        """How it stands."""
        ...

    def peek(self) -> Secret | None:
        """Return the cached secret, None if it must be fetched first. No I/O."""
        ...

    def get(self) -> Awaitable[Secret]:
        """Fetch it, once however many ask. Raises `SecretUnavailable` when there is no value, not even an old one."""
        ...

    def renew(self, refused: Secret) -> Awaitable[Secret | None]:
        """Fetch it anew because the provider refused this one; return one that differs, None if there is none.

        However many are refused, the backend is asked once, and not again within `renew_s`.
        """
        ...

    def refused(self, by: str, status: int) -> None:
        """A provider refused it (401), or what was asked with it (403), and there is no newer one."""
        ...

    def accepted(self) -> None:
        """A provider took it."""
        ...

    def in_cooldown(self) -> bool:
        """Say whether it was refused a moment ago, so that what needs it is better not asked while there is something else."""
        ...


class LendableSecret(Protocol):
    """A credential as `view.live("credentials", id)` has it for kinds of plugins that name one.

    hosts  where its secret may be sent, as `https://api.example.com:443`. Whoever names a credential refuses to take its secret
           elsewhere, and binds one that is bound to nowhere yet (`ResourceKind.also`), as providers do
    owner  whose the resource is: `api`, `file:NAME`
    """

    @property
    def handle(self) -> SecretHandle: ...  # noqa: D102 - above
    @property
    def hosts(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102


@runtime_checkable
class Sealer(Protocol):
    """Encrypts fields at rest. At most one is active: a credential backend that also has these methods."""

    def seal(self, plaintext: str, *, context: str) -> str:
        """Return an opaque printable form. `context` (kind, id and field) is authenticated: moved elsewhere, it will not open."""
        ...

    def unseal(self, sealed: str, *, context: str) -> str:
        """Return the plaintext. Raises `SecretUnavailable` if key or context are not the ones it was sealed with."""
        ...

    def is_current(self, sealed: str) -> bool:
        """Say whether it was sealed with the newest master key; `secrets rotate` re-seals the others."""
        ...
