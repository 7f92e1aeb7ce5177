"""Metrics: plain numbers counted on the hot path, put into Prometheus' form only when somebody scrapes.

A child is looked up once, when a target or policy is made, and incremented by attribute access after that. Label values
come from known resources only, never from a request.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any, Generic, TypeVar

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from switchgear.errors import PluginError
from switchgear.own import METRICS

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bucket bounds for durations of model calls."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Counter:
    """A number that goes up."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        """Add."""
        self.value += amount


class Gauge(Counter):
    """A number that goes up and down."""

    __slots__ = ()

    def set(self, value: int) -> None:
        """Replace."""
        self.value = value


class Histogram:
    """Observations sorted into buckets; `bounds` are upper limits, the last bucket is open."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


ChildT = TypeVar("ChildT", Counter, Gauge, Histogram)


class Family(Generic[ChildT]):
    """The children of one metric, by label values."""

    __slots__ = ("children", "documentation", "kind", "labels", "make", "name", "owner")

    def __init__(
        self, name: str, documentation: str, labels: tuple[str, ...], make: Callable[[], ChildT], kind: str, owner: str
    ) -> None:
        self.kind = kind
        self.owner = owner
        self.name = name
        self.documentation = documentation
        self.labels = labels
        self.children: dict[tuple[str, ...], ChildT] = {}
        self.make: Callable[[], ChildT] = make

    def child(self, *values: str) -> ChildT:
        """Return the child for these label values, in the order of `labels`; made on first use."""
        found = self.children.get(values)
        if found is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} takes the labels {self.labels}, got {values}")
            found = self.children[values] = self.make()
        return found


class Metrics(Collector):
    """Every metric of one process. `prefix` comes before each name."""

    def __init__(self, prefix: str = "switchgear") -> None:
        self.prefix = prefix
        self.registry = CollectorRegistry(auto_describe=False)
        self._families: dict[str, Family[Any]] = {}
        self._callbacks: dict[str, tuple[str, str, Callable[[], float]]] = {}
        self._owner = ""
        self.registry.register(self)

    def owned_by(self, plugin: str) -> "Metrics":
        """Return the same metrics as one plugin declares them: a name that is somebody else's is refused."""
        view = copy(self)
        view._owner = plugin  # noqa: SLF001 - of its own kind
        return view

    def counter(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Family[Counter]:
        """Declare a counter; `_total` is added to its name when exposed. Declaring it again returns the same one."""
        return self._declare(name, documentation, labels, Counter, "counter")

    def gauge(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Family[Gauge]:
        """Declare a gauge."""
        return self._declare(name, documentation, labels, Gauge, "gauge")

    def histogram(
        self, name: str, documentation: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = SECONDS
    ) -> Family[Histogram]:
        """Declare a histogram with upper bucket bounds."""
        return self._declare(name, documentation, labels, lambda: Histogram(bounds), "histogram")

    def observe_with(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Declare a gauge whose value is read when scraped. Declaring it again reads that instead."""
        self._refuse_strangers(name)
        self._callbacks[name] = (self._owner, documentation, read)

    def expose(self) -> bytes:
        """Return the Prometheus text exposition."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every family in Prometheus' own terms."""
        for family in self._families.values():
            yield _expose(f"{self.prefix}_{family.name}", family)
        for name, (_, documentation, read) in self._callbacks.items():
            yield GaugeMetricFamily(f"{self.prefix}_{name}", documentation, value=read())

    def _declare(
        self, name: str, documentation: str, labels: tuple[str, ...], make: Callable[[], ChildT], kind: str
    ) -> Family[ChildT]:
        self._refuse_strangers(name)
        family = self._families.get(name)
        if family is None:
            if wrong := [word for word in (name, *labels) if _NAME.fullmatch(word) is None]:
                raise ValueError(f"metric {name}: {wrong[0]!r} is no name: letters, digits and `_`, a letter first")
            family = self._families[name] = Family(name, documentation, labels, make, kind, self._owner)
        elif family.kind != kind:
            raise ValueError(f"metric {name} is a {family.kind} already, and cannot be a {kind}")
        elif family.labels != labels:
            raise ValueError(f"metric {name} is declared with the labels {family.labels}, not {labels}")
        return family

    def _refuse_strangers(self, name: str) -> None:
        """Raise `PluginError` for a name that is the gateway's own or another plugin's."""
        if self._owner and name in METRICS:
            raise PluginError(
                f"plugin `{self._owner}` declares the metric `{name}`, which is the gateway's own. Rename it."
            )
        family, callback = self._families.get(name), self._callbacks.get(name)
        owners = {self._owner, *([family.owner] if family else ()), *([callback[0]] if callback else ())}
        if len(owners) > 1:
            one, two = sorted(f"plugin `{it}`" if it else "the gateway itself" for it in owners)[:2]
            raise PluginError(
                f"{one} and {two} both declare the metric `{name}`. Rename it in one, or disable one of them."
            )


def _expose(name: str, family: Family[Any]) -> Metric:
    children: Iterable[tuple[tuple[str, ...], Any]] = family.children.items()
    make: Any = family.make
    if make is Counter:
        counter = CounterMetricFamily(name, family.documentation, labels=family.labels)
        for values, child in children:
            counter.add_metric(values, child.value)
        return counter
    if make is Gauge:
        gauge = GaugeMetricFamily(name, family.documentation, labels=family.labels)
        for values, child in children:
            gauge.add_metric(values, child.value)
        return gauge
    histogram = HistogramMetricFamily(name, family.documentation, labels=family.labels)
    for values, child in children:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*child.bounds, float("inf")), child.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), total))
        histogram.add_metric(values, buckets, child.total)
    return histogram
