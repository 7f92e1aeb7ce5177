"""Which policies run in an exchange: those that always do, those of its wire format, and attachable ones where an attachment
selects the exchange.

A policy that is not selected costs nothing: the phases of an exchange are those of a chain without it. There is one chain for
each set of policies that were ever selected together, and it is looked for by (dialect, wire, model, principal).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from switchgear.contracts.counters import Counters
from switchgear.contracts.dry_run import AttachmentView
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.resource import Snapshot
from switchgear.exchange.outage import HereAlone
from switchgear.exchange.policies import PolicyChain
from switchgear.plugin_faults import PluginFaults
from switchgear.telemetry.metrics import Metrics

KIND = "policy-attachments"
"""The kind of resource that attaches policies; its live objects are `Attachment`s."""
_MOST_FOUND = 16_384
_MOST_CHAINS = 256
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Selector(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which exchanges are meant: those that fit every member that is given. An empty selector means all.

    Each member lists names, of which one must fit; `prefix*` stands for all that begin so. A label lists its values.

    models      the name in `model`, as the client wrote it and, once policies have prepared the call, as it is then
    principals  the id of whoever asks
    labels      a label of whoever asks, by its name
    tags        one of the tags of whoever asks
    dialects    the name of the dialect
    """

    models: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = {}
    tags: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()


class Attachment(Struct, frozen=True, eq=False):
    """A policy, where it runs, and the settings that it has there, of its offer's `settings_type`."""

    id: str
    policy: str
    selector: Selector
    settings: Any
    enabled: bool = True


class Policies:
    """All policies of the gateway. `always` is the chain of an exchange for which nothing more is selected.

    `attachable` are the names of those that only run where they are attached, `wires` the wire formats that some policies are
    for alone: where both say nothing of a call, `attach` is of no use.
    """

    def __init__(
        self,
        policies: Sequence[tuple[str, Policy]],
        metrics: Metrics,
        log: FilteringBoundLogger,
        counters: Counters | None = None,
        faults: PluginFaults | None = None,
        here: HereAlone | None = None,
    ) -> None:
        self._policies = policies
        self.attachable = frozenset(name for name, policy in policies if policy.attachable)
        self._bound = {name: policy.wires for name, policy in policies if policy.wires is not None}
        self.wires: frozenset[str] = frozenset().union(*self._bound.values())

        def make(selected: frozenset[str]) -> PolicyChain:
            always = {name for name, _ in policies} - self.attachable - self._bound.keys()
            chosen = [(name, it) for name, it in policies if name in always or name in selected]
            return PolicyChain(chosen, metrics, log, counters, faults, here)

        self._make = make
        self._chains: dict[frozenset[str], PolicyChain] = {}
        self.always = make(frozenset())
        self._snapshot: Snapshot | None = None
        self._attachments: tuple[Attachment, ...] = ()
        self._found: dict[tuple[str, str, str, Any], tuple[PolicyChain, Mapping[str, Any]]] = {}

    def attach(self, x: Exchange) -> PolicyChain:
        """Choose the chain of an exchange by what is known of it now, as `x.policies`, with the settings in `x.attached`.

        It is asked once the call is parsed, and again where policies that prepared the call have changed its model: those
        that run from then on are the ones attached to what is really called. Whoever prepared it but is no longer selected
        takes no further part.
        """
        if x.snapshot is not self._snapshot:
            self._compile(x.snapshot)
        call = x.call
        assert call is not None
        if not self._attachments and call.wire not in self.wires:
            return self.always
        key = (x.dialect, call.wire, call.model, x.principal)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            found = self._found[key] = self._select(x)
        chain, x.attached = found
        x.policies = chain
        chain.begin(x)
        return chain

    def explain(self, x: Exchange) -> list[AttachmentView]:
        """Say of every attachment whether it selects an exchange, and why not."""
        return [
            AttachmentView(it.id, it.policy, not why, why or "selected")
            for it in x.snapshot.all(KIND).values()
            for why in ("disabled" if not it.enabled else _mismatch(it.selector, x),)
        ]

    def _compile(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._found = {}
        found = snapshot.all(KIND) if self.attachable else {}
        self._attachments = tuple(it for _, it in sorted(found.items()) if it.enabled and it.policy in self.attachable)

    def _select(self, x: Exchange) -> tuple[PolicyChain, Mapping[str, Any]]:
        assert x.call is not None
        wire = x.call.wire
        others = {name for name, wires in self._bound.items() if wire not in wires}
        settings: dict[str, Any] = {}
        for it in self._attachments:
            if it.policy not in settings and it.policy not in others and not _mismatch(it.selector, x):
                settings[it.policy] = it.settings
        names = frozenset(settings) | (self._bound.keys() - self.attachable - others)
        if not names:
            return self.always, _NOTHING
        chain = self._chains.get(names)
        if chain is None:
            if len(self._chains) >= _MOST_CHAINS:
                self._chains.clear()
            chain = self._chains[names] = self._make(names)
        return chain, settings


def _mismatch(selector: Selector, x: Exchange) -> str:
    """Say why a selector does not mean an exchange; empty if it does."""
    principal = x.principal
    if selector.dialects and not _fits(x.dialect, selector.dialects):
        return f"the dialect is `{x.dialect}`"
    if selector.models and not (x.call is not None and _fits(x.call.model, selector.models)):
        return f"the model is `{'' if x.call is None else x.call.model[:80]}`"
    if selector.principals and not (principal is not None and _fits(principal.id, selector.principals)):
        return "nobody asks" if principal is None else f"the principal is `{principal.id}`"
    if selector.tags and not (principal is not None and any(_fits(tag, selector.tags) for tag in principal.tags)):
        return "the principal has none of the tags"
    for name, values in selector.labels.items():
        value = None if principal is None else principal.labels.get(name)
        if value is None or not _fits(value, values):
            return f"the principal has no label `{name}`" if value is None else f"the label `{name}` is `{value}`"
    return ""


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(name.startswith(it[:-1]) if it.endswith("*") else name == it for it in patterns)
