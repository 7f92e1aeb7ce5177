"""The resource kinds of the kernel itself: credentials, providers, models.

They are what an attempt needs (a secret, somewhere to send it, a name to ask for); every other kind is a plugin's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import msgspec
from msgspec import Meta, Raw, Struct

from switchgear.contracts.caller import AtLeastOne
from switchgear.contracts.credential import CredentialBackend, SecretHandle
from switchgear.contracts.exchange import Exchange, Plan, Target
from switchgear.contracts.provider import (
    Capability,
    NativeProvider,
    Provider,
    ProviderConfig,
    TargetModel,
)
from switchgear.contracts.resource import Problem, Reference, Resource, ResourceKind, View
from switchgear.contracts.upstream import Connection, ConnectionSettings, Timeouts
from switchgear.credentials import SecretKeeper
from switchgear.errors import ConfigError, EgressDenied
from switchgear.exchange.meters import ExchangeMeters
from switchgear.offer import Offer
from switchgear.upstream.target import ENGINE_HEADERS
from switchgear.wire.members import raw

_TELLING = re.compile(r"auth|key|token|secret|passw|cookie|credential", re.IGNORECASE)
"""Names of headers whose values are secrets."""


class CredentialSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A secret and where it is held. `type` is the provider type it is for; `source.backend` names the credential backend."""

    type: str
    source: dict[str, Any]
    metadata: dict[str, str] = {}


class ProviderSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor's account or a server, reached one way. `type` is one that an enabled plugin offers.

    `headers` go with every request; those whose name tells of a secret are sealed like one. `proxy`, `ca_bundle` and
    `client_cert` (PEM paths) and `max_connections` say how it is reached; `settings` are the type's own.
    """

    type: str
    base_url: str | None = None
    credential_id: str | None = None
    headers: dict[str, str] = {}
    settings: dict[str, Any] = {}
    timeouts: Timeouts | None = None
    proxy: str | None = None
    ca_bundle: str | None = None
    client_cert: str | None = None
    verify_tls: bool | None = None
    max_connections: int | None = None
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Members used where the client set none, by their canonical names."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    reasoning_effort: str | None = None


class ModelSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A name clients may use, and the provider's model behind it.

    `capabilities` says what the model can do where that is not what its provider says of it, `wires` in which of its
    provider's wire formats it is spoken to (all that the provider thinks it has, if left out). `strict` refuses what cannot be
    carried to the provider instead of dropping it. `context_window` and `max_output_tokens` (tokens) are recorded, and
    nothing is refused by them yet.
    """

    provider_id: str
    provider_model: Annotated[str, Meta(min_length=1)]
    config: ModelConfig = ModelConfig()
    context_window: AtLeastOne | None = None
    max_output_tokens: AtLeastOne | None = None
    capabilities: dict[Capability, bool] = {}
    wires: tuple[str, ...] | None = None
    strict: bool = False
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class LiveProvider(Struct, frozen=True, eq=False):
    """A provider come alive."""

    type: str
    enabled: bool
    timeouts: Timeouts
    provider: Provider | None
    native: NativeProvider | None
    connection: Connection | None
    secret: SecretHandle | None
    secret_headers: tuple[str, ...]

    @property
    def translator(self) -> Provider | NativeProvider:
        """What translates for it."""
        made = self.provider or self.native
        assert made is not None
        return made


class LiveModel:
    """A model as a callable name: a plan of one target, made once."""

    __slots__ = ("_plan", "created_us", "enabled", "owned_by", "target")

    def __init__(self, target: Target, *, enabled: bool, created_us: int) -> None:
        self.target = target
        self.enabled = enabled
        self.created_us = created_us
        self.owned_by = target.provider_id
        self._plan = Plan((target,), (f"model {target.model.id} is at provider {target.provider_id}",))

    def plan(self, x: Exchange) -> Plan:  # noqa: ARG002 - a model is always itself
        """Return its one target."""
        return self._plan


class Catalogue:
    """Declares the kernel's kinds over what the enabled plugins offer."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Offer[Any]],
        backends: Mapping[str, CredentialBackend],
        credentials: SecretKeeper,
        connect: Callable[[ConnectionSettings], Connection],
        timeouts: Timeouts,
        verify_tls: bool,
        meters: ExchangeMeters,
    ) -> None:
        self._providers = providers
        self._backends = backends
        self._credentials = credentials
        self._connect = connect
        self._timeouts = timeouts
        self._verify_tls = verify_tls
        self._meters = meters
        self._connections: WeakValueDictionary[tuple[str, ConnectionSettings], Connection] = WeakValueDictionary()

    def kinds(self) -> list[ResourceKind[Any, Any]]:
        """Return the declarations."""
        return [
            ResourceKind(
                name="credentials",
                title="credential",
                spec=CredentialSpec,
                secrets=self._secret_fields,
                validate=self._validate_credential,
                compile=self._compile_credential,
            ),
            ResourceKind(
                name="providers",
                title="provider",
                spec=ProviderSpec,
                references=(Reference("credential_id", "credentials"),),
                secrets=_secret_headers,
                validate=self._validate_provider,
                compile=self._compile_provider,
            ),
            ResourceKind(
                name="models",
                title="model",
                spec=ModelSpec,
                references=(Reference("provider_id", "providers"),),
                callable=True,
                compile=self._compile_model,
            ),
        ]

    def _secret_fields(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        source = body.get("source")
        backend = self._backends.get(str(source.get("backend"))) if isinstance(source, dict) else None
        return tuple(f"source.{path}" for path in backend.secret_fields) if backend else ()

    def _validate_credential(self, spec: CredentialSpec, view: View) -> Sequence[Problem]:  # noqa: ARG002
        problems = list(_one_of("/type", spec.type, self._providers, "provider type"))
        name = spec.source.get("backend")
        if not isinstance(name, str):
            problems.append(Problem("/source/backend", f"Name a credential backend: {_listed(self._backends)}."))
        elif name not in self._backends:
            problems += _one_of("/source/backend", name, self._backends, "credential backend")
        else:
            problems += _fits("/source", spec.source, self._backends[name].source_type)
        return problems

    def _compile_credential(self, resource: Resource[CredentialSpec], view: View) -> SecretHandle:  # noqa: ARG002
        spec = resource.spec
        backend = self._backends[spec.source["backend"]]
        source = msgspec.convert(spec.source, backend.source_type)
        return self._credentials.handle(resource.id, backend, source)

    def _validate_provider(self, spec: ProviderSpec, view: View) -> Sequence[Problem]:  # noqa: ARG002
        problems = list(_one_of("/type", spec.type, self._providers, "provider type"))
        if not problems:
            problems += _fits("/settings", spec.settings, self._providers[spec.type].settings_type)
        problems += _web_address("/base_url", spec.base_url)
        problems += _web_address("/proxy", spec.proxy, ("http",))
        for field in ("ca_bundle", "client_cert"):
            if (file := getattr(spec, field)) is not None:
                problems += self._usable(field, file)
        problems += [
            Problem(
                f"/headers/{name}",
                "A header is a name of letters, digits and hyphens, none that frames the request, and a value on one line.",
            )
            for name, value in spec.headers.items()
            if not _is_header(name, value)
        ]
        if spec.max_connections is not None and spec.max_connections < 1:
            problems.append(Problem("/max_connections", "At least 1, or leave it out for no bound."))
        return problems

    def _usable(self, field: str, file: str) -> list[Problem]:
        try:
            self._connect(msgspec.convert({field: file}, ConnectionSettings))
        except ConfigError as error:
            return [Problem(f"/{field}", str(error))]
        return []

    def _compile_provider(self, resource: Resource[ProviderSpec], view: View) -> LiveProvider:
        spec = resource.spec
        offer = self._providers.get(spec.type)
        if offer is None:
            raise ValueError(f"no enabled plugin offers the provider type {spec.type!r}")
        settings = msgspec.convert(spec.settings, offer.settings_type)
        made = offer.factory(
            ProviderConfig(resource.id, spec.base_url, spec.headers, settings, self._credentials.ambient)
        )
        is_http = hasattr(made, "prepare")
        timeouts = spec.timeouts or self._timeouts
        connection = self._connection(resource.id, spec, timeouts) if is_http else None
        return LiveProvider(
            type=spec.type,
            enabled=spec.enabled,
            timeouts=timeouts,
            provider=made if is_http else None,
            native=None if is_http else made,
            connection=connection,
            secret=None if spec.credential_id is None else view.live("credentials", spec.credential_id),
            secret_headers=tuple(value for name, value in spec.headers.items() if _TELLING.search(name)),
        )

    def _connection(self, id: str, spec: ProviderSpec, timeouts: Timeouts) -> Connection:
        settings = ConnectionSettings(
            proxy=spec.proxy,
            ca_bundle=spec.ca_bundle,
            client_cert=spec.client_cert,
            verify_tls=self._verify_tls if spec.verify_tls is None else spec.verify_tls,
            max_connections=spec.max_connections,
            connect_timeout=timeouts.connect,
        )
        # A provider that changed in other ways goes on over the connections it has, within the bound it has.
        connection = self._connections.get((id, settings))
        if connection is None:
            try:
                connection = self._connections[id, settings] = self._connect(settings)
            except (ConfigError, EgressDenied) as error:
                raise ValueError(str(error)) from error
        return connection

    def _compile_model(self, resource: Resource[ModelSpec], view: View) -> LiveModel:
        spec = resource.spec
        provider: LiveProvider | None = view.live("providers", spec.provider_id)
        if provider is None:
            raise ValueError(f"provider {spec.provider_id!r} cannot be used")
        defaults: dict[str, Any] = msgspec.to_builtins(spec.config)
        traits = provider.translator.traits(spec.provider_model)
        if spec.wires is not None and (unknown := set(spec.wires) - provider.translator.wires):
            raise ValueError(f"{provider.type} does not speak {', '.join(sorted(unknown))}")
        target = Target(
            model=TargetModel(
                id=resource.id,
                name=spec.provider_model,
                name_json=raw(spec.provider_model),
                defaults={name: Raw(raw(value)) for name, value in defaults.items()},
                max_output_tokens=spec.max_output_tokens,
                strict=spec.strict,
            ),
            provider_id=spec.provider_id,
            wires=traits.wires if spec.wires is None else frozenset(spec.wires),
            capabilities=msgspec.structs.replace(traits.capabilities, **spec.capabilities),
            timeouts=provider.timeouts,
            meters=self._meters.of_target(resource.id, spec.provider_id),
            provider=provider.provider,
            native=provider.native,
            connection=provider.connection,
            secret=provider.secret,
            secret_headers=provider.secret_headers,
            headers=(
                (b"x-switchgear-model", resource.id.encode()),
                (b"x-switchgear-provider", spec.provider_id.encode()),
            ),
        )
        return LiveModel(target, enabled=spec.enabled and provider.enabled, created_us=resource.created_us)


def _secret_headers(body: Mapping[str, Any]) -> tuple[str, ...]:
    headers = body.get("headers")
    return tuple(f"headers.{name}" for name in headers if _TELLING.search(name)) if isinstance(headers, dict) else ()


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none is enabled in plugins.toml"


def _one_of(pointer: str, name: str, known: Mapping[str, Any], what: str) -> list[Problem]:
    if name in known:
        return []
    return [Problem(pointer, f"There is no {what} `{name[:50]}`; enabled: {_listed(known)}.")]


def _fits(pointer: str, value: Mapping[str, Any], type: type[Struct]) -> list[Problem]:
    try:
        msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `$")
        return [Problem(pointer + where.rstrip("`").replace(".", "/").replace("[...]", "/*"), f"{detail}.")]
    return []


def _web_address(pointer: str, url: str | None, schemes: tuple[str, ...] = ("http", "https")) -> list[Problem]:
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url or "\\" in url:
        either = " or ".join(f"{scheme}://" for scheme in schemes)
        return [Problem(pointer, f"An {either} address, as {schemes[-1]}://api.example.com/v1.")]
    if parts.username is not None:
        return [Problem(pointer, "No user or password in the address: use a credential.")]
    return []


def _is_header(name: str, value: str) -> bool:
    named = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return named and name.lower() not in ENGINE_HEADERS and value.isprintable()
