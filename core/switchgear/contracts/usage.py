"""What a call consumed, in named units, and what those cost.

A unit is a name of lower-case letters, digits and underscores; anybody may have more of them. Those of one usage are exclusive:
no token is in two of them, and all of one side add up to what the vendor calls its total.

    unit                            what it counts
    input                           tokens read that no other unit names
    cached_input                    read from a cache
    cache_write                     written into a cache; `cache_write_5m`, `cache_write_1h` where it is told for how long
    audio_input, image_input …      read as audio, as images …
    output                          tokens written that no other unit names
    reasoning                       thought, and perhaps not shown
    audio_output, image_output …    written as audio, as images …
    image, request …                things that are no tokens

A unit is a kind of another one, its parent, and is priced like it where it has no price of its own: `cache_write_5m` is a
`cache_write`, which is an `input`; `reasoning` is an `output`; whatever `x` is, `x_input` is an `input`, `x_output` an `output`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Protocol

from msgspec import Meta, Struct

INPUT = "input"
CACHED_INPUT = "cached_input"
CACHE_WRITE = "cache_write"
CACHE_WRITE_5M = "cache_write_5m"
CACHE_WRITE_1H = "cache_write_1h"
OUTPUT = "output"
REASONING = "reasoning"
REQUEST = "request"
"""One for each attempt that may be billed, where it has a price and the provider counts none itself."""

UNITS = frozenset(
    {INPUT, CACHED_INPUT, CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_1H, OUTPUT, REASONING, REQUEST, "image"}
    | {
        said
        for kind in ("audio", "image", "video")
        for said in (f"{kind}_input", f"cached_{kind}_input", f"{kind}_output")
    }
)
"""Units that have a meaning for everybody. A provider that counts others says so (`Traits.units`)."""

Unit = Annotated[str, Meta(pattern="^[a-z0-9_]+$", max_length=64)]
Price = Annotated[int, Meta(ge=0, le=10**15)]
"""Microusd (millionths of a US dollar) for a million of a unit."""

MOST = 2**53
"""Beyond this a number is not one that every reader of JSON has: a sum of money or tokens stops here."""
MOST_TOKENS = 2**40
"""A count beyond this is not one: it is not believed, and cannot spoil the sums that it would become part of."""
_MILLION = 1_000_000


def parent(unit: str) -> str | None:
    """Return the unit that this one is a kind of; None for one that stands for itself."""
    if unit == CACHE_WRITE:
        return INPUT
    if unit == REASONING:
        return OUTPUT
    if unit.startswith("cache_write_"):
        return CACHE_WRITE
    rest = unit.partition("_")[2]
    return rest if rest in (INPUT, OUTPUT) or rest.endswith(("_input", "_output")) else None


def _root(unit: str) -> str:
    while (above := parent(unit)) is not None:
        unit = above
    return unit


_PLAIN = frozenset({INPUT, OUTPUT})
_ROOTS = {it: _root(it) for it in (INPUT, CACHED_INPUT, CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_1H, OUTPUT, REASONING)}


def side(unit: str) -> str:
    """Return the unit at the top: `input` and `output` for tokens read and written, the unit itself for what is neither."""
    return _ROOTS.get(unit) or _root(unit)


def believable(*counts: float) -> bool:
    """Say whether these can be counts of tokens."""
    for count in counts:  # noqa: SIM110 - asked several times a request; all() would make a generator each time
        if not 0 <= count <= MOST_TOKENS:
            return False
    return True


class Usage(Struct, frozen=True, gc=False):
    """What one call consumed: counts by unit, exclusive parts, none of them 0.

    `estimated` is set where the gateway counted, since the provider did not say (a stream that was cut), and where the provider
    said that a part is larger than the whole. `nested` is what calls made within this one used, told by whoever made them: the
    client is told of it, and it is counted and paid where those calls are recorded.
    """

    units: Mapping[str, int] = {}
    estimated: bool = False
    nested: bool = False

    @classmethod
    def plain(cls, input: int = 0, output: int = 0, *, estimated: bool = False) -> "Usage":
        """Make the usage of so many tokens read and written, of which nothing more is known. The counts must be believable."""
        if input and output:
            return cls({INPUT: input, OUTPUT: output}, estimated)
        units = {INPUT: input} if input else {OUTPUT: output} if output else {}
        return cls(units, estimated)

    @classmethod
    def of(
        cls,
        input: int = 0,
        output: int = 0,
        *,
        total: int = 0,
        **parts: int,
    ) -> "Usage | None":
        """Make a usage of a vendor's totals and what it says of their parts; None where the totals cannot be counts.

        `input` and `output` hold the parts of their side, which are taken out of them in the order given: a part gets no more
        than the others left, and one that cannot be a count is left out. `total` is what the vendor says of everything together,
        0 if nothing. Where that is more than both, what is missing is the input's parts, if those cannot be in it, or else part
        of the output: `reasoning`, if the vendor names none.
        """
        if not (0 <= input <= MOST_TOKENS and 0 <= output <= MOST_TOKENS):
            return None
        if input + output < total <= MOST_TOKENS:
            input, output, parts = _with_what_is_missing(total, input, output, parts)
        if not parts:
            return cls.plain(input, output)
        wholes, odd = {INPUT: input, OUTPUT: output}, False
        left = wholes.copy()
        units: dict[str, int] = {}
        for unit, told in parts.items():
            if not 0 < told <= MOST_TOKENS:
                continue
            count = told
            whole = _ROOTS.get(unit) or _root(unit)
            if whole in left:
                count = min(told, left[whole])
                left[whole] -= count
                odd = odd or told > wholes[whole]
            if count:
                units[unit] = count
        units.update((whole, rest) for whole, rest in left.items() if rest)
        return cls(units, odd)

    @property
    def input_tokens(self) -> int:
        """Tokens read, cached or not."""
        units = self.units
        return units.get(INPUT, 0) if _PLAIN.issuperset(units) else self._on(INPUT)

    @property
    def output_tokens(self) -> int:
        """Tokens written, thought ones too."""
        units = self.units
        return units.get(OUTPUT, 0) if _PLAIN.issuperset(units) else self._on(OUTPUT)

    def tokens(self) -> tuple[int, int]:
        """Return `input_tokens` and `output_tokens`."""
        units = self.units
        if _PLAIN.issuperset(units):
            return units.get(INPUT, 0), units.get(OUTPUT, 0)
        return self._on(INPUT), self._on(OUTPUT)

    @property
    def cached_input_tokens(self) -> int:
        """Tokens read from a cache."""
        return sum(count for it, count in self.units.items() if it.startswith("cached_") and side(it) == INPUT)

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written into a cache, for however long."""
        return sum(count for unit, count in self.units.items() if unit.startswith(CACHE_WRITE))

    @property
    def reasoning_tokens(self) -> int:
        """Tokens thought."""
        return self.units.get(REASONING, 0)

    def with_(self, **units: int) -> "Usage":
        """Return it with these counts instead of its own; a count of 0 takes a unit out."""
        return Usage({unit: count for unit, count in {**self.units, **units}.items() if count}, self.estimated)

    def updated(self, later: "Usage") -> "Usage":
        """Return what a stream says with what it says later: the later word on each side, but none that takes it back to 0."""
        if not later.units:
            return self
        sides = {side(unit) for unit in later.units}
        kept = {unit: count for unit, count in self.units.items() if side(unit) not in sides}
        return Usage({**kept, **later.units}, later.estimated) if kept else later

    def __add__(self, other: "Usage") -> "Usage":
        units = dict(self.units)
        for unit, count in other.units.items():
            units[unit] = min(units.get(unit, 0) + count, MOST)
        return Usage(units, self.estimated or other.estimated)

    def _on(self, wanted: str) -> int:
        return sum(count for unit, count in self.units.items() if side(unit) == wanted)


def _with_what_is_missing(
    total: int, read: int, written: int, parts: dict[str, int]
) -> tuple[int, int, dict[str, int]]:
    missing = total - read - written
    told = {unit: count for unit, count in parts.items() if count and believable(count)}
    apart = sum(count for unit, count in told.items() if side(unit) == INPUT)
    if read < apart <= missing != told.get(REASONING):
        read += apart
        missing -= apart
    if missing and REASONING not in told:
        told[REASONING] = missing
    return read, written + missing, told


class Tier(Struct, frozen=True):
    """Prices of calls that read more than `above` tokens: all of such a call costs these; what is not named costs as usual."""

    above: int
    units: Mapping[str, int]


class Pricing(Struct, frozen=True):
    """What units cost, in microusd per million of each.

    version   names where the prices are from; None: the model's resource
    tiers     prices of longer calls, in the order of `above`
    services  prices of calls that ask for another service tier (`priority`, `flex`), by its name
    """

    units: Mapping[str, int]
    version: str | None = None
    tiers: tuple[Tier, ...] = ()
    services: Mapping[str, "Pricing"] = {}

    def price(self, unit: str) -> int | None:
        """Return what a million of a unit costs: its own price, or that of the next one above it; None where none has any."""
        wanted: str | None = unit
        while wanted is not None:
            price = self.units.get(wanted)
            if price is not None:
                return price
            wanted = parent(wanted)
        return None

    def cost(self, usage: Usage) -> int | None:
        """Return what one attempt cost, in microusd, rounded half up once; None (unknown) where a unit of it has no price."""
        if self.tiers and (tier := self._tier(usage.input_tokens)) is not None:
            return tier.cost(usage)
        total = 0
        for unit, count in usage.units.items():
            price = self.units.get(unit)
            if price is None and (price := self.price(unit)) is None:
                return None
            total += count * price
        if REQUEST in self.units and REQUEST not in usage.units:
            total += self.units[REQUEST]
        return min((total + _MILLION // 2) // _MILLION, MOST)

    def dearest(self, unit: str) -> int | None:
        """Return the most that a million of a unit may cost, whatever kind of it, however long the call; None: unknown."""
        own = self.price(unit)
        if own is None:
            return None
        of_kinds = (price for units in self._all_units() for it, price in units.items() if side(it) == unit)
        return max([own, *of_kinds])

    def serving(self, service: str | None) -> "Pricing":
        """Return the prices of a service tier; these, where it has none of its own."""
        return self if service is None else self.services.get(service, self)

    def _tier(self, read: int) -> "Pricing | None":
        found = None
        for tier in self.tiers:
            if read > tier.above:
                found = tier
        return None if found is None else Pricing({**self.units, **found.units}, self.version)

    def _all_units(self) -> Iterator[Mapping[str, int]]:
        yield self.units
        for tier in self.tiers:
            yield tier.units


class PriceBook(Protocol):
    """Knows what models cost. Asked once when a target is compiled, and only where the model's resource has no `pricing`."""

    def price(self, provider_type: str, provider_model: str, at_us: int, host: str | None) -> Pricing | None:
        """Return the prices of a provider's model at a time (wall clock microseconds); None for one it does not know. No I/O.

        `host` is where the provider is, None where that is its type's own place.
        """
        ...
