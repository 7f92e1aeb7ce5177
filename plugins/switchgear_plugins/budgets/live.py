"""Budgets come alive: whom each is for, found once for a principal and not at each of its calls."""

from collections.abc import Iterable, Mapping
from zlib import crc32

import msgspec

from switchgear.contracts.counters import Bucket
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.contracts.record import shorten
from switchgear.contracts.resource import Reference, Resource, ResourceKind, View
from switchgear_plugins.budgets.periods import ROLLING_S, Calendar
from switchgear_plugins.budgets.spec import KIND, BudgetSpec, OtherModel, problems

UNBOUNDED = 2**53
"""The limit of a bucket that only counts."""
_MOST_TEXT = 200
_RECORDED = {"key": "key_id", "team": "team_id", "user": "user_id", "model": "model"}
"""Labels that usage records have as members of their own."""


class Budget:
    """One budget. `wanted` are the labels that a call must have, each with the values that do; `models` None: any."""

    __slots__ = (
        "amount",
        "calendar",
        "each",
        "epoch",
        "id",
        "is_hard",
        "models",
        "other",
        "rolling_s",
        "spec",
        "wanted",
    )

    def __init__(self, resource: Resource[BudgetSpec]) -> None:
        spec = self.spec = resource.spec
        scope = spec.scope
        self.id = resource.id
        self.amount = spec.amount_microusd
        self.is_hard = spec.mode == "hard"
        self.other = spec.on_exhaust.model if isinstance(spec.on_exhaust, OtherModel) else None
        self.each = scope.each
        self.models = frozenset(scope.models) if scope.models else None
        lists = {"key": scope.keys, "team": scope.teams, "user": scope.users}
        wanted = {name: frozenset(values) for name, values in lists.items() if values}
        for name, value in scope.labels.items():
            wanted[name] = wanted.get(name, frozenset({value})) & {value}
        self.wanted: Mapping[str, frozenset[str]] = wanted
        self.rolling_s = ROLLING_S[spec.period] if spec.rolling else None
        self.calendar = Calendar(spec.period, spec.time_zone, resource.created_us)
        # What is counted changes with whom it is for: then it is counted anew, from the records.
        told = msgspec.json.encode((scope, spec.period, spec.rolling, spec.time_zone), order="deterministic")
        self.epoch = f"{crc32(told):08x}"

    @property
    def names(self) -> Iterable[str]:
        """The labels that it goes by."""
        return (*self.wanted, self.each) if self.each is not None else tuple(self.wanted)

    def bucket(self, whose: str | None, at_us: int, amount: int) -> Bucket:
        """Return what counts it at a moment, for one value of `each`."""
        # No id has a slash: whatever whose it is looks like, no other budget has this key.
        key = f"budget:{self.id}" if whose is None else f"budget:{self.id}/{shorten(whose, _MOST_TEXT)}"
        limit = self.amount if self.is_hard else UNBOUNDED
        if self.rolling_s is not None:
            return Bucket(key, "window", limit, amount, float(self.rolling_s), epoch=self.epoch)
        start_us, end_us = self.calendar.at(at_us)
        length_s = (end_us - start_us) / 1e6
        return Bucket(key, "period", limit, amount, length_s, start_us=start_us, epoch=self.epoch, keeps=self.is_hard)

    def bounds(self, at_us: int) -> tuple[int, int]:
        """Return when the period of a moment began and when it ends; a rolling one's is announced anew after its length."""
        if self.rolling_s is None:
            return self.calendar.at(at_us)
        length_us = self.rolling_s * 1_000_000
        begin_us = at_us // length_us * length_us
        return begin_us, begin_us + length_us

    def since_us(self, at_us: int) -> int:
        """Return when what counts at a moment began."""
        return max(0, at_us - self.rolling_s * 1_000_000) if self.rolling_s is not None else self.calendar.at(at_us)[0]

    def takes(self, x: Exchange) -> bool:
        """Say whether it pays for calls of this model."""
        models = self.models
        if models is None:
            return True
        assert x.call is not None
        assert x.plan is not None
        return x.call.model in models or any(target.model.id in models for target in x.plan.targets)


def labels_of(principal: Principal) -> dict[str, str]:
    """Return what budgets go by of a principal, as its usage records have it."""
    return {**principal.labels, "key": principal.labels.get("key", principal.id)}


class Index:
    """All budgets, found by the labels of a call. `names` are the labels that no record has unless it is told to."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._by: dict[tuple[str, str], list[Budget]] = {}
        self._any: list[Budget] = []
        names: dict[str, None] = {}
        count = 0
        for budget in budgets:
            if not budget.spec.enabled:
                continue
            count += 1
            names.update(dict.fromkeys(name for name in budget.names if name not in _RECORDED))
            if not budget.wanted:
                self._any.append(budget)
                continue
            name, values = min(budget.wanted.items(), key=lambda it: len(it[1]))
            for value in values:
                self._by.setdefault((name, value), []).append(budget)
        self.names = tuple(names)
        self.is_empty = not count

    def find(self, labels: Mapping[str, str]) -> list[tuple[Budget, str | None]]:
        """Return the budgets that calls with these labels are within, each with its value of `each`, in order of their ids."""
        near = [*self._any, *(budget for pair in labels.items() for budget in self._by.get(pair, ()))]
        found = []
        for budget in sorted(near, key=lambda it: it.id):
            if all(labels.get(name) in values for name, values in budget.wanted.items()):
                whose = None if budget.each is None else labels.get(budget.each)
                if budget.each is None or whose is not None:
                    found.append((budget, whose))
        return found


def member_of(label: str) -> str:
    """Return the member of usage records in which a label stands."""
    return _RECORDED.get(label, f"labels.{label}")


def budgets() -> ResourceKind[BudgetSpec, Budget]:
    """Declare the kind."""

    def compile(resource: Resource[BudgetSpec], view: View) -> Budget:  # noqa: ARG001 - the shape of ResourceKind.compile
        return Budget(resource)

    return ResourceKind(
        name=KIND,
        title="budget",
        group="Access",
        spec=BudgetSpec,
        validate=problems,
        references=(Reference("on_exhaust.model", "callable"),),
        compile=compile,
    )
