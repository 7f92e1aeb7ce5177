"""The resource kinds of the kernel itself: credentials, providers, models.

They are what an attempt needs (a secret, somewhere to send it, a name to ask for); every other kind is a plugin's.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw

from switchgear.catalogue import bindings, checks
from switchgear.catalogue.live import LiveCredential, LiveModel, LiveProvider
from switchgear.catalogue.querying import Querying
from switchgear.catalogue.shared import SharedModel
from switchgear.catalogue.specs import CredentialInput, CredentialSpec, Entered, ModelSpec, ProviderSpec
from switchgear.catalogue.token_exchange import Nothing, TokenBackend
from switchgear.contracts.capability import CHAT, NEEDED, but
from switchgear.contracts.credential import CredentialBackend
from switchgear.contracts.exchange import Target
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import (
    ProviderConfig,
    TargetModel,
    TokenExchange,
)
from switchgear.contracts.resource import Problem, Reference, Resource, ResourceAction, ResourceKind, Shared, View
from switchgear.contracts.rewriter import Rewriter
from switchgear.contracts.upstream import Connection, ConnectionSettings, Timeouts
from switchgear.contracts.usage import PriceBook, Pricing
from switchgear.credentials import KeptSecret, SecretKeeper
from switchgear.errors import ConfigError, EgressDenied
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.exchange.meters import ExchangeMeters
from switchgear.names import id_rule, is_id
from switchgear.offer import Offer
from switchgear.plugin_faults import PluginFaults
from switchgear.telemetry.metrics import Metrics
from switchgear.tokens import TokenEstimator
from switchgear.wire.members import raw


def token_of(provider_id: str) -> str:
    """Name the token of a provider among the secrets that are kept."""
    return f"token of provider {provider_id}"


class Catalogue:
    """Declares the kernel's kinds over what the enabled plugins offer. `price_books` are asked in order."""

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
        health: HealthRegistry,
        faults: PluginFaults | None = None,
    ) -> None:
        self._providers = providers
        self._faults = faults or PluginFaults(Metrics())
        self._backends = backends
        self._credentials = credentials
        self._connect = connect
        self._timeouts = timeouts
        self._verify_tls = verify_tls
        self._meters = meters
        self._health = health
        self.price_books: Sequence[PriceBook] = ()
        self._connections: WeakValueDictionary[tuple[str, ConnectionSettings], Connection] = WeakValueDictionary()
        self._estimators: WeakValueDictionary[tuple[str, str], TokenEstimator] = WeakValueDictionary()

    def kinds(self) -> list[ResourceKind[Any, Any]]:
        """Return the declarations."""
        return [
            ResourceKind(
                name="credentials",
                title="credential",
                spec=CredentialSpec,
                input=CredentialInput,
                secrets=self._secret_fields,
                prepare=bindings.keep_binding,
                declare=bindings.declare,
                refuse_restore=bindings.refuse_restore,
                validate=self._validate_credential,
                compile=self._compile_credential,
                actions=(
                    ResourceAction(
                        name="enter",
                        summary="Enter the secret again, so that providers may take it to another address",
                        apply=bindings.enter,
                        input=Entered,
                    ),
                ),
            ),
            ResourceKind(
                name="providers",
                title="provider",
                spec=ProviderSpec,
                references=(Reference("credential_id", "credentials"),),
                secrets=checks.secret_headers,
                prepare=bindings.keep_headers,
                validate=self._validate_provider,
                compile=self._compile_provider,
                also=bindings.bind,
                namespace=True,
                shared=Shared(field="model_mapping", merge=self._merge),
            ),
            ResourceKind(
                name="models",
                title="model",
                spec=ModelSpec,
                references=(Reference("provider_id", "providers"),),
                callable=True,
                validate=checks.units,
                compile=self._compile_model,
            ),
        ]

    def _secret_fields(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        source = body.get("source")
        backend = self._backends.get(str(source.get("backend"))) if isinstance(source, dict) else None
        return tuple(f"source.{path}" for path in backend.secret_fields) if backend else ()

    def _validate_credential(self, spec: CredentialSpec, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG002
        problems = list(checks.one_of("/type", spec.type, self._providers, "provider type"))
        name = spec.source.get("backend")
        if not isinstance(name, str):
            names = checks.listed(self._backends)
            problems.append(Problem("/source/backend", f"Name a credential backend: {names}."))
        elif name not in self._backends:
            problems += checks.one_of("/source/backend", name, self._backends, "credential backend")
        else:
            problems += checks.fits("/source", spec.source, self._backends[name].source_type)
        return problems

    def _compile_credential(self, resource: Resource[CredentialSpec], view: View) -> LiveCredential:  # noqa: ARG002
        spec = resource.spec
        backend = self._backends[spec.source["backend"]]
        source = msgspec.convert(spec.source, backend.source_type)
        return LiveCredential(
            spec.type, self._credentials.handle(resource.id, backend, source), spec.hosts, resource.owner
        )

    def _validate_provider(self, spec: ProviderSpec, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG002
        rule = id_rule(slashes=True)
        problems = list(checks.one_of("/type", spec.type, self._providers, "provider type"))
        if not problems:
            problems += checks.fits("/settings", spec.settings, self._providers[spec.type].settings_type)
        addresses = checks.web_address("/base_url", spec.base_url)
        addresses += checks.web_address("/proxy", spec.proxy, ("http",))
        problems += addresses
        credential: LiveCredential | None = view.live("credentials", spec.credential_id or "")
        if credential is not None and not addresses:
            if credential.type != spec.type:
                detail = f"`{spec.credential_id}` is a credential for the type {credential.type}, not {spec.type}."
                problems.append(Problem("/credential_id", detail))
            else:
                problems += bindings.refuse_elsewhere(spec, credential.hosts)
        if spec.auth == "client" and spec.credential_id is not None:
            problems.append(
                Problem("/credential_id", "Leave it out: with `auth` = `client` each client brings its own.")
            )
        for field in ("ca_bundle", "client_cert"):
            if (file := getattr(spec, field)) is not None:
                problems += self._usable(field, file)
        problems += [
            Problem(
                f"/headers/{name}",
                "A header is a name of letters, digits and hyphens, none that frames the request, and a value on one line.",
            )
            for name, value in spec.headers.items()
            if not checks.is_header(name, value)
        ]
        problems += [
            Problem(f"/model_mapping/{name.replace('~', '~0').replace('/', '~1')}", f"Rename it: {rule}.")
            for name in spec.model_mapping
            if not is_id(name, slashes=True)
        ]
        if spec.proxy_auth is not None and (spec.proxy is None or ":" not in spec.proxy_auth):
            problems.append(Problem("/proxy_auth", "It is `user:password`, for the proxy that `proxy` names."))
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
        credential: LiveCredential | None = view.live("credentials", resource.spec.credential_id or "")
        if credential is not None and credential.type != resource.spec.type:
            raise ValueError(f"its credential `{resource.spec.credential_id}` is for the type {credential.type}")
        if credential is not None:
            bindings.refuse_strangers(resource, credential.owner, credential.hosts)
        return self._provider(resource.id, resource.spec, credential, resource.created_us)

    def stand_in(self, credential: LiveCredential) -> LiveProvider:
        """Make a provider at its type's own address, to try a credential with that none uses. Nobody keeps or watches it.

        Raises ValueError where there is no such address.
        """
        spec = ProviderSpec(credential.type)
        if bindings.refuse_elsewhere(spec, credential.hosts):
            raise ValueError(f"its secret is for {', '.join(credential.hosts)}, where no provider takes it now")
        alone = msgspec.structs.replace(credential, handle=credential.handle.apart())
        return self._provider("(its type's own address)", spec, alone, 0, kept=False)

    def _provider(
        self, id: str, spec: ProviderSpec, credential: LiveCredential | None, created_us: int, *, kept: bool = True
    ) -> LiveProvider:
        offer = self._providers.get(spec.type)
        if offer is None:
            raise ValueError(f"no enabled plugin offers the provider type {spec.type!r}")
        owner = self._faults.owner(offer)
        settings = msgspec.convert(spec.settings, offer.settings_type)
        base_url, query = checks.split_query(spec.base_url)
        made = offer.factory(ProviderConfig(id, base_url, spec.headers, settings, self._credentials.ambient))
        timeouts = spec.timeouts or self._timeouts
        connection = self._connection(id, spec, timeouts) if hasattr(made, "prepare") else None
        if connection is not None and query and base_url is not None:
            connection = Querying(connection, base_url, query)
        secret = base = None if credential is None else credential.handle
        if base is not None and connection is not None and isinstance(made, TokenExchange):
            backend = TokenBackend(id, made, connection, base, partial(self._faults.note, owner))
            name = token_of(id)
            keeper = self._credentials
            secret = keeper.handle(name, backend, Nothing()) if kept else KeptSecret(keeper, name, backend, Nothing())

        def model(live: LiveProvider, name: str) -> LiveModel:
            label = f"{id}/{name}" if name in spec.model_mapping.values() else f"{id}/*"
            target = self._target(ModelSpec(id, name), f"{id}/{name}", live, label)
            return LiveModel(target, enabled=live.enabled, created_us=created_us)

        return LiveProvider(
            type=spec.type,
            owner=owner,
            enabled=spec.enabled,
            timeouts=timeouts,
            provider=None if connection is None else made,
            native=made if connection is None else None,
            connection=connection,
            secret=secret,
            credential=base,
            secret_headers=(
                *(value for name, value in spec.headers.items() if checks.is_telling(name)),
                *(spec.proxy_auth or "").split(":", 1)[1:],
            ),
            model=model,
            weight=spec.weight,
            mapping=spec.model_mapping,
            concurrency=spec.concurrency,
            takes_own=spec.auth == "client",
            host=None if base_url is None else urlsplit(base_url).hostname,
        )

    def _merge(self, name: str, providers: Mapping[str, LiveProvider]) -> SharedModel:
        return SharedModel(name, providers, self._credentials.ambient)

    def _connection(self, id: str, spec: ProviderSpec, timeouts: Timeouts) -> Connection:
        settings = ConnectionSettings(
            proxy=_authorised(spec.proxy, spec.proxy_auth),
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
        target = self._target(spec, resource.id, provider, resource.id)
        return LiveModel(target, enabled=spec.enabled and provider.enabled, created_us=resource.created_us)

    def _target(self, spec: ModelSpec, id: str, provider: LiveProvider, label: str) -> Target:
        """Make a target. `label` stands for it in metrics, where names that clients made up are not to be."""
        traits = provider.translator.traits(spec.provider_model)
        known = provider.translator.wires
        if spec.wires is not None and (unknown := set(spec.wires) - known):
            raise ValueError(
                f"a provider of type {provider.type} does not speak {', '.join(sorted(unknown))}; it speaks "
                + ", ".join(sorted(known))
            )
        capabilities = but(traits.capabilities, spec.capabilities)
        wires = _wires(traits.wires, spec, known, capabilities)
        defaults: dict[str, Any] = msgspec.to_builtins(spec.config)
        return Target(
            model=TargetModel(
                id=id,
                name=spec.provider_model,
                name_json=raw(spec.provider_model),
                defaults={name: Raw(raw(value)) for name, value in defaults.items()},
                max_output_tokens=spec.max_output_tokens,
                context_window=spec.context_window,
                strict=spec.strict,
                wires=wires,
            ),
            provider_id=spec.provider_id,
            wires=wires | _rewritten(provider.translator, wires),
            capabilities=capabilities,
            lacks=NEEDED - capabilities,
            estimator=self._estimator(spec.provider_id, spec.provider_model),
            health=self._health.of(spec.provider_id, spec.provider_model, label),
            concurrency=provider.concurrency.get(spec.provider_model, provider.concurrency.get("*")),
            timeouts=provider.timeouts,
            meters=self._meters.of_target(label, spec.provider_id),
            provider=provider.provider,
            native=provider.native,
            connection=provider.connection,
            secret=provider.secret,
            credential=provider.credential,
            secret_headers=provider.secret_headers,
            takes_own=provider.takes_own,
            lines=f"x-switchgear-model: {id}\r\nx-switchgear-provider: {spec.provider_id}\r\n".encode(),
            pricing=self._pricing(spec, provider),
            owner=provider.owner,
        )

    def _pricing(self, spec: ModelSpec, provider: LiveProvider) -> Pricing | None:
        """Return what a model's resource says it costs, else what the first price book says that knows it."""
        if spec.pricing is not None:
            return Pricing(spec.pricing)
        now_us = self._credentials.ambient.now_us()
        for book in self.price_books:
            try:
                pricing = book.price(provider.type, spec.provider_model, now_us, provider.host)
                if pricing is not None and not isinstance(pricing, Pricing):
                    raise TypeError(f"a price book returned {type(pricing).__name__}, no Pricing")  # noqa: TRY301
            except Exception as error:  # noqa: BLE001 - counted and logged under its plugin; it knows no price
                self._faults.note(self._faults.owner(book), f"price of {spec.provider_model}", error)
                continue
            if pricing is not None:
                return pricing
        return None

    def _estimator(self, provider_id: str, model: str) -> TokenEstimator:
        """Return the estimator of a model: what it learnt outlives changes of the configuration."""
        found = self._estimators.get((provider_id, model))
        if found is None:
            found = self._estimators[provider_id, model] = TokenEstimator()
        return found


def _wires(
    usual: frozenset[str], spec: ModelSpec, known: frozenset[str], capabilities: frozenset[str]
) -> frozenset[str]:
    """Say in which formats a model is spoken to: as its resource says, or as usual but for operations it says it has or lacks.

    An operation is called like its canonical format.
    """
    if spec.wires is not None:
        return frozenset(spec.wires)
    wires = but(usual, spec.capabilities) & (usual | known)
    return (
        wires & capabilities if spec.capabilities.get(CHAT) is False else wires
    )  # the other forms of a chat go with it


def _rewritten(translator: object, wires: frozenset[str]) -> frozenset[str]:
    """Return the formats in which a model may be asked besides, since its provider writes them in one that it is spoken to in."""
    rewrites = translator.rewrites if isinstance(translator, Rewriter) else {}
    return frozenset(name for name, other in rewrites.items() if other in wires)


def _authorised(proxy: str | None, auth: str | None) -> str | None:
    """Return a proxy's address with what it wants in it, as connections take it."""
    if proxy is None or auth is None:
        return proxy
    user, _, password = auth.partition(":")
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"
