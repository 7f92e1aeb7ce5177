"""A price book: what models cost, by provider, with the dates from which it is so."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from switchgear.contracts.usage import Price, Pricing, Tier, Unit

PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "vertex": "google", "bedrock": "aws", "azure_openai": "azure",
}  # fmt: skip
"""The book's names of providers, by type."""

_MOST_KEPT = 4096
Text = Annotated[str, Meta(min_length=1, max_length=300)]
Units = Annotated[dict[Unit, Price], Meta(min_length=1)]


class BookTier(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Prices of calls that read more than `above` tokens."""

    above: Annotated[int, Meta(gt=0)]
    units: Units


class Service(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Prices of another service tier; what it does not name costs as usual."""

    units: Units
    tiers: tuple[BookTier, ...] = ()


class Dated(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Prices in microusd for a million of each unit, from a date on (UTC); None: from the beginning."""

    units: Units
    tiers: tuple[BookTier, ...] = ()
    services: dict[str, Service] = {}
    since: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None


class Clause(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which names are meant: one member says how."""

    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: Annotated[str, Meta(max_length=300)] | None = None
    any: "tuple[Clause, ...]" = msgspec.field(default=(), name="or")
    all: "tuple[Clause, ...]" = msgspec.field(default=(), name="and")

    def fits(self, name: str) -> bool:
        """Say whether this is such a name, in lower case."""
        if self.any:
            return any(one.fits(name) for one in self.any)
        if self.all:
            return all(one.fits(name) for one in self.all)
        if self.equals is not None:
            return name == self.equals.lower()
        if self.starts_with is not None:
            return name.startswith(self.starts_with.lower())
        if self.ends_with is not None:
            return name.endswith(self.ends_with.lower())
        if self.regex is not None:
            try:
                return re.search(self.regex, name) is not None
            except re.error:
                return False
        return self.contains is not None and self.contains.lower() in name


class Model(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model: names that are it (its id where there are none), other ways to know it, and its prices, oldest first."""

    id: Text
    prices: Annotated[tuple[Dated, ...], Meta(min_length=1)]
    names: tuple[Text, ...] = ()
    match: tuple[Clause, ...] = ()

    def is_called(self, name: str) -> bool:
        """Say whether a name is exactly its."""
        return name in self.names if self.names else name == self.id.lower()


class Vendor(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A provider: the hosts by which it is known, whose models it also has at their prices, its models."""

    models: tuple[Model, ...]
    hosts: tuple[Text, ...] = ()
    fallback: tuple[Text, ...] = ()


class Head(Struct, frozen=True, forbid_unknown_fields=True):
    """The book as a file; providers are decoded when they are asked for."""

    source: Text
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    providers: dict[Text, Raw]
    notice: str = ""


class Whole(Struct, frozen=True, forbid_unknown_fields=True):
    """The book as a file, all of it."""

    source: Text
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    providers: dict[Text, Vendor]
    notice: str = ""


_vendor = msgspec.json.Decoder(Vendor)


class Book:
    """The `PriceBook` over the bytes of such a file. Raises `msgspec.ValidationError` for one that is none."""

    def __init__(self, data: bytes) -> None:
        head = self._head = msgspec.json.decode(data, type=Head)
        self.version = f"{head.source} {head.date}"
        self._last: tuple[str, Vendor] | None = None
        self._hosts: Mapping[str, str] | None = None
        self._found: dict[tuple[str, str], Model | None] = {}

    @property
    def notice(self) -> str:
        """Whose prices these are."""
        return self._head.notice

    @property
    def providers(self) -> Sequence[str]:
        """Names of providers."""
        return tuple(self._head.providers)

    def price(self, provider_type: str, provider_model: str, at_us: int, host: str | None) -> Pricing | None:
        """Return the prices of a provider's model at a time; None for one that is not in the book."""
        provider = PROVIDERS.get(provider_type)
        if host is not None and provider in (None, "openai", "anthropic"):
            provider = self._at(host)  # whoever speaks another's language is not therefore that other
        if provider is None or not provider_model:
            return None
        model = self.model(provider, provider_model)
        return None if model is None else self._pricing(model, at_us)

    def model(self, provider: str, name: str) -> Model | None:
        """Return a model by a name that a provider has for it."""
        key = provider, name.lower()
        if key not in self._found:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            self._found[key] = self._find(*key)
        return self._found[key]

    def vendor(self, name: str) -> Vendor | None:
        """Return a provider."""
        if self._last is None or self._last[0] != name:
            raw = self._head.providers.get(name)
            if raw is None:
                return None
            self._last = name, _vendor.decode(raw)
        return self._last[1]

    def _find(self, provider: str, name: str) -> Model | None:
        vendor = self.vendor(provider)
        if vendor is None:
            return None
        found = _in(vendor, name)
        for other in () if found is not None else vendor.fallback:
            if (elsewhere := self.vendor(other)) is not None and (found := _in(elsewhere, name)) is not None:
                break
        return found

    def _at(self, host: str) -> str | None:
        if self._hosts is None:
            hosts = {}
            for name in self._head.providers:
                vendor = self.vendor(name)
                hosts.update(dict.fromkeys(() if vendor is None else vendor.hosts, name))
            self._hosts = hosts
        return self._hosts.get(host.lower())

    def _pricing(self, model: Model, at_us: int) -> Pricing | None:
        day = datetime.fromtimestamp(at_us // 1_000_000, UTC).date().isoformat()
        now = [one for one in model.prices if one.since is None or one.since <= day]
        if not now:
            return None
        one = now[-1]
        services = {
            name: Pricing({**one.units, **it.units}, self.version, _tiers(it.tiers or one.tiers))
            for name, it in one.services.items()
        }
        return Pricing(one.units, self.version, _tiers(one.tiers), services)


def _in(vendor: Vendor, name: str) -> Model | None:
    called = next((model for model in vendor.models if model.is_called(name)), None)
    if called is not None:
        return called
    return next((model for model in vendor.models if any(clause.fits(name) for clause in model.match)), None)


def _tiers(tiers: Sequence[BookTier]) -> tuple[Tier, ...]:
    return tuple(Tier(it.above, it.units) for it in sorted(tiers, key=lambda it: it.above))


def counts(book: Whole) -> dict[str, int]:
    """Return how many models each provider has."""
    return {name: len(vendor.models) for name, vendor in book.providers.items()}


def encode(book: Whole) -> bytes:
    """Write a book as a file."""
    return msgspec.json.encode(book)


def decode(data: bytes) -> Whole:
    """Read and check all of a book. Raises `msgspec.ValidationError`."""
    whole: Any = msgspec.json.decode(data, type=Whole)
    assert isinstance(whole, Whole)
    return whole
