"""What is stored of the kernel's own kinds."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from switchgear.contracts.capability import Capability
from switchgear.contracts.model import ModelConfig, Weight
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Price, Unit

AtLeastOne = Annotated[int, Meta(ge=1)]


class CredentialInput(Struct, frozen=True, forbid_unknown_fields=True):
    """A secret and where it is held. `type` is the provider type it is for; `source.backend` names the credential backend."""

    type: str
    source: dict[str, Any]
    metadata: dict[str, str] = {}


class CredentialSpec(CredentialInput, frozen=True, forbid_unknown_fields=True):
    """A secret, where it is held and where it may be sent. `hosts` are those: where the first provider that named it goes,
    or what was said when it was entered again.
    """

    hosts: tuple[str, ...] = ()


class Entered(Struct, frozen=True, forbid_unknown_fields=True):
    """A source, with its secrets in clear, and where it may be sent from now on (left out: where it may be sent now)."""

    source: dict[str, Any]
    hosts: tuple[str, ...] = ()


class ProviderSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor's account or a server, reached one way. `type` is one that an enabled plugin offers.

    `headers` go with every request; those whose name tells of a secret are sealed like one. `proxy` (with `proxy_auth`,
    `user:password`, sealed), `ca_bundle` and `client_cert` (PEM paths) and `max_connections` say how it is reached; `settings`
    are the type's own. `model_mapping` gives names that clients use to models of its own; where several providers map a name,
    `weight` is each one's part. `concurrency` bounds the attempts in flight at each of its models, by the provider's name for it;
    `*` stands for all others. With `auth` = `client` it has no credential: it is asked with the client's own.
    """

    type: str
    base_url: str | None = None
    credential_id: str | None = None
    auth: Literal["credential", "client"] = "credential"
    headers: dict[str, str] = {}
    settings: dict[str, Any] = {}
    timeouts: Timeouts | None = None
    proxy: str | None = None
    proxy_auth: str | None = None
    ca_bundle: str | None = None
    client_cert: str | None = None
    verify_tls: bool | None = None
    max_connections: int | None = None
    model_mapping: dict[str, Annotated[str, Meta(min_length=1)]] = {}
    weight: Weight = 1.0
    concurrency: dict[str, AtLeastOne] = {}
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class ModelSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A name clients may use, and the provider's model behind it.

    `capabilities` says what the model can do where that is not what its provider says of it (see `contracts.capability`), `wires`
    in which of its provider's wire formats it is spoken to (all that the provider thinks it has, if left out). `strict` refuses
    what cannot be carried to the provider instead of dropping it. `pricing` is what its units cost (see `contracts.usage`); if
    left out, what a price book says. `context_window` (tokens) says where a prompt goes that was too long for another model;
    nothing is refused by it, nor by `max_output_tokens`.
    """

    provider_id: str
    provider_model: Annotated[str, Meta(min_length=1)]
    config: ModelConfig = ModelConfig()
    context_window: AtLeastOne | None = None
    max_output_tokens: AtLeastOne | None = None
    capabilities: dict[Capability, bool] = {}
    wires: tuple[str, ...] | None = None
    pricing: Annotated[dict[Unit, Price], Meta(min_length=1)] | None = None
    strict: bool = False
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
