"""Kinds of resource and of record that are right, and what is wrong with others."""

from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from switchgear.contracts.record import RecordKind
from switchgear.contracts.resource import Prepared, Problem, Reference, ResourceAction, ResourceKind
from switchgear.testing.kind_suite import RecordKindSuite, ResourceKindSuite


class Greeting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    token: str = ""
    model: str | None = None
    team_id: str | None = None
    words: tuple[str, ...] = ()


class Lax(msgspec.Struct, frozen=True):
    text: str
    token: str = ""
    model: str | None = None
    team_id: str | None = None
    words: tuple[str, ...] = ()


def validate(new, view, by):
    return [] if new.text else [Problem("/text", "Say something.")]


def renew(resource, wanted, by):
    return Prepared(msgspec.structs.replace(resource.spec, words=()))


RIGHT: ResourceKind[Any, Any] = ResourceKind(
    name="greetings",
    title="greeting",
    spec=Greeting,
    validate=validate,
    secrets=("token",),
    references=(Reference("model", "callable"),),
    scope=("team_id",),
    keys=lambda spec: [("text", spec.text)],
    compile=lambda resource, view: resource.spec.text.encode(),
    actions=(ResourceAction(name="renew", summary="Renew", apply=renew),),
)


def wrong(name: str, **changes: Any) -> ResourceKind[Any, Any]:
    kind = replace(RIGHT, **changes)
    object.__setattr__(kind, "__name__", name)
    return kind


def shows(new, previous, by):
    return Prepared(new, {"key": "sk-1"})


def keeps(new, previous, by):
    return Prepared(msgspec.structs.replace(new, words=("sk-1",)), {"key": "sk-1"})


class TestRight(ResourceKindSuite):
    kind: ClassVar = RIGHT
    examples: ClassVar = (
        {"text": "hello", "token": "t-canary", "model": "m", "team_id": "red", "words": ["a", "b"]},
        {"text": "goodbye"},
    )
    secret_values: ClassVar = ("t-canary",)
    refused: ClassVar = (({"text": ""}, "/text"),)


class Delivery(msgspec.Struct):
    id: str
    webhook: str
    bytes: int = 0
    seconds: float = 0.0
    labels: dict[str, str] = {}


class Nameless(msgspec.Struct):
    webhook: str


DELIVERIES = RecordKind("deliveries", Delivery, ("webhook", "labels.*"), ("bytes",))


def wrong_records(name: str, **changes: Any) -> RecordKind:
    kind = replace(DELIVERIES, **changes)
    made: Any = type(name, (RecordKind,), {"__slots__": (), "__name__": name})
    return made(kind.name, kind.type, kind.dimensions, kind.measures)


class TestRightRecords(RecordKindSuite):
    kind: ClassVar = DELIVERIES
    bodies: ClassVar = (Delivery("1", "w1", 5, 0.5, {"team": "red"}), Delivery("2", "w2"))


MUTANTS = (
    (
        TestRight,
        "kind",
        (
            wrong("MisspeltSecret", secrets=("tokne",)),
            wrong("NoSecret", secrets=()),
            wrong("MisspeltReference", references=(Reference("modle", "callable"),)),
            wrong("MisspeltScope", scope=("team",)),
            wrong("MisspeltHidden", hidden=("hash",)),
            wrong("TakesAnything", spec=Lax),
            wrong("ShowsUndeclared", prepare=shows),
            wrong("KeepsWhatIsShownOnce", prepare=keeps, once=("key",)),
            wrong("PreparesTheSpecItself", prepare=lambda new, previous, by: new),
            wrong("RefusesNothing", validate=lambda new, view, by: ()),
            wrong(
                "RefusesElsewhere",
                validate=lambda new, view, by: [] if new.text else [Problem("/txt", "Say something.")],
            ),
            wrong("RefusesWithTexts", validate=lambda new, view, by: [] if new.text else ["text"]),
            wrong("BreaksOverOdd", compile=lambda resource, view: resource.spec.words[0]),
            wrong("NeedsWhatItNames", compile=lambda resource, view: view.callable("m").name),
            wrong("KeysOfNone", keys=lambda spec: [("model", spec.model)]),
            wrong("CallableWithoutPlan", callable=True),
            wrong(
                "ActsOnTheSpec",
                actions=(ResourceAction(name="renew", summary="", apply=lambda resource, wanted, by: resource.spec),),
            ),
        ),
    ),
    (
        TestRightRecords,
        "kind",
        (
            wrong_records("Fractions", measures=("seconds",)),
            wrong_records("GroupsByObjects", dimensions=("labels",)),
            wrong_records("NoId", type=Nameless, dimensions=("webhook",), measures=()),
        ),
    ),
)
