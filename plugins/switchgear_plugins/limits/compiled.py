"""The limits of somebody as they are compiled, and what headers say of them."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from switchgear.contracts.counters import Bucket, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear_plugins.limits.limit import Held, held
from switchgear_plugins.limits.resources import Rule

_MOST_FOUND = 1024
"""Ways of asking whose limits are kept compiled for one principal."""


class Compiled:
    """Limits in the order in which they are reserved, those on requests first (`of_requests`).

    `shown` are the headers of limits that are alone in their unit, `several` those of limits that are not; `measures` tells
    whether one counts something else than requests, `local` whether all of them may be counted in this process alone.
    """

    __slots__ = ("buckets", "held", "local", "measures", "of_requests", "several", "shown")

    def __init__(self, found: Iterable[Held]) -> None:
        self.held = tuple(sorted(found, key=lambda it: it.limit.amount is not None))
        self.buckets = tuple(it.bucket for it in self.held)
        self.measures = any(it.limit.amount for it in self.held)
        self.of_requests = tuple(it.bucket for it in self.held if it.limit.amount is None)
        self.local = all(it.local for it in self.held)
        by_unit: dict[str, list[Shown]] = {}
        for index, it in enumerate(self.held):
            if it.limit.header:
                by_unit.setdefault(it.limit.header, []).append(Shown(index, it.limit.header, it.bucket))
        self.shown = tuple(found[0] for found in by_unit.values() if len(found) == 1)
        self.several = tuple(tuple(found) for found in by_unit.values() if len(found) > 1)

    def lines(self, rooms: Sequence[Room]) -> bytes:
        """Say how the limits stand that share a unit: the one of which least is left tells."""
        least = (
            min(group, key=lambda it: (rooms[it.index].remaining, -rooms[it.index].reset_s)) for group in self.several
        )
        return b"".join(it.lines(rooms[it.index]) for it in least)

    def asked(self, x: Exchange) -> Sequence[Bucket]:
        """Return the buckets with what this exchange takes of each."""
        return tuple(it.asked(x) for it in self.held)

    def used(self, x: Exchange) -> Sequence[int]:
        """Return what it took of each in the end."""
        return [1 if (actual := it.limit.actual) is None else actual(x) for it in self.held]

    def standing(self, rooms: Sequence[Room]) -> Mapping[str, Any]:
        """Say how each limit stands, by its name; `reset_s` is when all of it is there again."""
        return {
            it.name: {
                "limit": it.bucket.limit,
                "remaining": room.remaining,
                **({} if it.bucket.sort == "slots" else {"reset_s": room.reset_s}),
            }
            for it, room in zip(self.held, rooms, strict=True)
        }


class OfPrincipal:
    """The limits of one principal: its own, those of rules that are for it whatever it asks (`always`), and the others."""

    __slots__ = ("_found", "_labels", "_open", "_own", "_rules", "always", "principal")

    def __init__(self, principal: Principal | None) -> None:
        self.principal = principal
        whose = "" if principal is None else f"{principal.kind}:{principal.id}"
        source: Mapping[str, Any] = {} if principal is None else principal.facts.get("limits") or {}
        self._own = held(source, whose, local=source.get("outage") == "local")
        self.always = Compiled(self._own)
        self._rules: Sequence[Rule] = ()
        self._open: Sequence[Rule] = ()
        self._labels: Sequence[str] = ()
        self._found: dict[Any, Compiled] = {}

    def take(self, rules: Sequence[Rule]) -> None:
        """Be under these rules from now on, unless it is."""
        if rules is self._rules:
            return
        self._rules, self._found = rules, {}
        self._open = [rule for rule in rules if not rule.is_settled_by(self.principal)]
        self._labels = sorted({name for rule in self._open for name in (*rule.by_label, *rule.each)})
        closed = [rule for rule in rules if rule.is_settled_by(self.principal)]
        self.always = Compiled([*self._own, *self._of(closed, None, ())])

    def of(self, x: Exchange) -> Compiled:
        """Return the limits of a request."""
        if not self._open or x.call is None:
            return self.always
        models = [x.call.model]
        if x.plan is not None and x.plan.steps:
            models.append(x.plan.steps[0].target.model.id)
        key = (*models, None, *(x.labels.get(name) for name in self._labels))
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            found = self._found[key] = Compiled([*self.always.held, *self._of(self._open, x, models)])
        return found

    def _of(self, rules: Iterable[Rule], x: Exchange | None, models: Sequence[str]) -> list[Held]:
        return [
            it
            for rule in rules
            if (whose := rule.whose(self.principal, x, models)) is not None
            for it in held(rule.limits, whose, rule.id, local=rule.local)
        ]


class Shown:
    """The header lines of one limit, made ahead as far as they are the same for every request."""

    __slots__ = ("_lines", "_period_s", "_whole", "index")

    def __init__(self, index: int, unit: str, bucket: Bucket) -> None:
        self.index = index
        self._period_s = bucket.period_s
        self._lines = (
            f"x-ratelimit-limit-{unit}: {bucket.limit}\r\nx-ratelimit-remaining-{unit}: %d\r\nx-ratelimit-reset-{unit}: %b\r\n"
        ).encode()
        self._whole = self._lines.replace(b"%b", duration(bucket.period_s).encode())

    def lines(self, room: Room) -> bytes:
        """Say how it stands."""
        if room.reset_s == self._period_s:
            return self._whole % room.remaining
        return self._lines % (room.remaining, duration(room.reset_s).encode())


def duration(seconds: float) -> str:
    """Write a duration as OpenAI does: `20ms`, `1s`, `6m0s`, `1h0m0s`; rounded up, so that waiting it out is enough."""
    if seconds <= 0:
        return "0s"
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
