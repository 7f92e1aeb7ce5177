"""The resource kind `limits`: limits of whoever they are said to be for, besides those that a key has itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Resource, ResourceKind, View
from switchgear_plugins.limits.limit import LIMITS

KIND = "limits"
MODEL = "model"
"""What `each` calls the name that was asked for, besides labels."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Meta(max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]


class Scope(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose requests are meant: `all`, or those that fit every member that is given.

    Each lists names, of which one must fit; `prefix*` stands for all that begin so, `*` for whoever has any. `keys`, `teams` and
    `users` are the labels `key`, `team` and `user`; `labels` are any others, with one value or several. `models` is the name
    in `model`, or that of the model which it leads to first. `each` names a label (`key`, `team`, `user` …) or `model`, or
    several: each of their values has the limits for itself, from its first request, and what has no such label is not meant.
    """

    all: bool = False
    keys: Names = ()
    teams: Names = ()
    users: Names = ()
    models: Names = ()
    labels: Annotated[dict[Name, Name | Names], Meta(max_length=20)] = {}
    each: Name | Annotated[tuple[Name, ...], Meta(max_length=8)] = ()

    def by_label(self) -> Mapping[str, Sequence[str]]:
        """Return the values that labels must have."""
        named = {"key": self.keys, "team": self.teams, "user": self.users}
        named |= {name: (values,) if isinstance(values, str) else values for name, values in self.labels.items()}
        return {name: values for name, values in named.items() if values}


class LimitSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits that all requests of a scope share.

    burst    requests that may come at once where there are so many per second; default: as many as a second's
    outage   what becomes of requests while shared counters are away: `closed`, they are refused; `local`, each process counts
             its share alone (`[gateway] replicas` says how many there are; without it this is `closed` too)
    """

    scope: Scope
    requests_per_second: Count | None = None
    burst: Count | None = None
    requests_per_minute: Count | None = None
    requests_per_hour: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    outage: Literal["closed", "local"] = "closed"
    enabled: bool = True


class Rule:
    """Limits as requests meet them."""

    __slots__ = ("by_label", "each", "id", "limits", "local", "models")

    def __init__(self, resource: Resource[LimitSpec]) -> None:
        spec = resource.spec
        self.id = resource.id
        self.by_label = spec.scope.by_label()
        self.models = spec.scope.models
        self.each = (spec.scope.each,) if isinstance(spec.scope.each, str) else spec.scope.each
        self.local = spec.outage == "local"
        self.limits: Mapping[str, Any] = asdict(spec) if spec.enabled else {}

    def is_settled_by(self, principal: Principal | None) -> bool:
        """Say whether whoever asks decides alone if it is for them, whatever is asked."""
        labels = {} if principal is None else principal.labels
        return not self.models and all(name in labels for name in (*self.by_label, *self.each))

    def whose(self, principal: Principal | None, x: Exchange | None, models: Sequence[str]) -> str | None:
        """Return whose limits these are for a request, None if they are not for it. `models` are the names that it goes by."""
        if self.models and not any(_fits(model, self.models) for model in models):
            return None
        for name, values in self.by_label.items():
            value = _label(name, principal, x)
            if value is None or not _fits(value, values):
                return None
        found = [self.id]
        for name in self.each:
            value = (models[0] if models else None) if name == MODEL else _label(name, principal, x)
            if value is None:
                return None
            found.append(f"{len(value)}:{value}")  # its length tells where it ends, whatever is in it
        return "limit/" + "/".join(found)  # no id of a limit or of a key has a slash


def limits() -> ResourceKind[LimitSpec, Rule]:
    """Declare the kind."""
    return ResourceKind(name=KIND, title="limit", spec=LimitSpec, validate=_problems, compile=_compile, group="Access")


def _problems(new: LimitSpec, view: View, by: Principal) -> list[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    return [*_wrong(new)]


def _wrong(new: LimitSpec) -> Iterator[Problem]:
    scope = new.scope
    named = bool(scope.models or scope.by_label())
    if named == scope.all:
        yield Problem("/scope", "is either `all`, or names whose requests are meant")
    for name in ("key", "team", "user"):
        if name in scope.labels and getattr(scope, f"{name}s"):
            yield Problem(f"/scope/labels/{name}", f"is what `{name}s` says already")
    if all(getattr(new, limit.field) is None for limit in LIMITS):
        yield Problem("", f"has no limit: write one of {', '.join(limit.field for limit in LIMITS)}")
    if new.burst is not None and new.requests_per_second is None:
        yield Problem("/burst", "goes with `requests_per_second`")


def _compile(resource: Resource[LimitSpec], view: View) -> Rule:  # noqa: ARG001 - the shape of ResourceKind.compile
    return Rule(resource)


def _label(name: str, principal: Principal | None, x: Exchange | None) -> str | None:
    """Return a label of whoever asks, else of the request: nobody says who they are by a label of a request."""
    value = None if principal is None else principal.labels.get(name)
    return x.labels.get(name) if value is None and x is not None else value


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(name.startswith(it[:-1]) if it.endswith("*") else name == it for it in patterns)
