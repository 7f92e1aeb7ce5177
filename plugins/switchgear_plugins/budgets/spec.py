"""What a budget says: whose money, how much, for how long, and what becomes of a call that it cannot pay."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, View

KIND = "budgets"

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Values = Annotated[tuple[Text, ...], Meta(max_length=10_000)]
Label = Annotated[str, Meta(pattern="^[a-z0-9_.-]+$", max_length=64)]


class Scope(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose calls a budget pays for: those that fit every member that is written.

    all      every call
    keys     of these API keys, by id; `teams`, `users` likewise
    models   to these names, as clients write them or as what answered is called
    labels   whose principals, or that themselves, have these labels
    each     a label (`key`, `team`, `user`, `model` or any other): every value of it has a budget of its own, from its first call
    """

    all: bool = False
    keys: Values = ()
    teams: Values = ()
    users: Values = ()
    models: Values = ()
    labels: Annotated[dict[Label, Text], Meta(max_length=8)] = {}
    each: Label | None = None


class OtherModel(Struct, frozen=True, forbid_unknown_fields=True):
    """Where calls go that the budget cannot pay: another name that clients may write in `model`."""

    model: Text


class BudgetSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on what calls cost in a period.

    amount_microusd  millionths of a US dollar
    period           a calendar day, week (from Monday) or month in `time_zone`; `total`: since the budget was made. With
                     `rolling`, the last 24 hours, 7 days or 30 days at any moment
    mode             `hard`: no call begins whose worst case does not fit; `soft`: calls are only counted
    on_exhaust       what becomes of a call that does not fit
    thresholds       percentages whose crossing is announced, once a period
    """

    scope: Scope
    amount_microusd: Annotated[int, Meta(ge=0, le=2**52)]
    period: Literal["day", "week", "month", "total"] = "month"
    time_zone: Annotated[str, Meta(max_length=64)] = "UTC"
    rolling: bool = False
    mode: Literal["hard", "soft"] = "hard"
    on_exhaust: OtherModel | Literal["refuse"] = "refuse"
    thresholds: Annotated[tuple[Annotated[int, Meta(ge=1, le=1000)], ...], Meta(max_length=16)] = (50, 80, 95, 100)
    enabled: bool = True
    name: Annotated[str, Meta(max_length=256)] = ""


def problems(spec: BudgetSpec, view: View, by: Principal) -> list[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    """Find what types cannot say."""
    found = []
    scope = spec.scope
    if scope == Scope():
        found.append(
            Problem("/scope", 'is for nobody: name keys, teams, users, models or labels, or say {"all": true}')
        )
    if scope.all and scope != Scope(all=True, each=scope.each):
        found.append(Problem("/scope/all", "is every call: leave it out, or the other members"))
    try:
        ZoneInfo(spec.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(Problem("/time_zone", "is not known here: write a name like Europe/Berlin"))
    if spec.rolling and spec.period == "total":
        found.append(Problem("/rolling", "has no meaning for a total: leave it out, or take a day, a week or a month"))
    if spec.mode == "soft" and spec.on_exhaust != "refuse":
        found.append(Problem("/on_exhaust", "is for hard budgets: a soft one sends no call elsewhere"))
    return found
