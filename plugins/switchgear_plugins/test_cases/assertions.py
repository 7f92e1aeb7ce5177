"""What a test case says of an answer. Patterns are RE2, paths RFC 9535, schemas JSON Schema: what a stranger wrote there takes
bounded time, since it is looked at by a process of its own (`judge`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Text = Annotated[str, Meta(max_length=20_000)]
Pattern = Annotated[str, Meta(min_length=1, max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=10**12)]


class Contains(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="contains"):
    """The answer has this text in it."""

    value: Annotated[Text, Meta(min_length=1)]
    ignore_case: bool = False


class NotContains(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="not_contains"):
    """The answer does not have this text in it."""

    value: Annotated[Text, Meta(min_length=1)]
    ignore_case: bool = False


class Equals(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="equals"):
    """The answer is this text, but for white space around it."""

    value: Text
    ignore_case: bool = False


class Regex(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="regex"):
    """An RE2 pattern is found in the answer."""

    pattern: Pattern


class JsonPath(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_path"):
    """A path (RFC 9535) leads to something in the answer, which is JSON: to `equals`, where that is said."""

    path: Pattern
    equals: Any = UNSET


class Length(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="length"):
    """The answer has so many characters, or words."""

    min: Count = 0
    max: Count | None = None
    unit: Literal["characters", "words"] = "characters"


class JsonSchema(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_schema"):
    """The answer is JSON that this schema is satisfied by. Schemas elsewhere are not fetched."""

    schema: dict[str, Any]


class Latency(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="latency"):
    """The whole answer took no longer."""

    max_ms: Count


class Cost(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="cost"):
    """It cost no more. A cost that is not known is too much."""

    max_microusd: Count


Assertion: TypeAlias = Contains | NotContains | Equals | Regex | JsonPath | Length | JsonSchema | Latency | Cost
JUDGED: dict[type, str] = {Regex: "re2", JsonPath: "jsonpath", JsonSchema: "jsonschema_rs"}
"""Those that need more than Python has, and the module of the extra that does it."""


class Measured(Struct, frozen=True):
    """What assertions are about."""

    text: str
    latency_ms: int
    cost_microusd: int | None


class Verdict(Struct, frozen=True):
    """Whether an assertion holds, and why not."""

    type: str
    passed: bool
    detail: str = ""


def type_of(assertion: Assertion) -> str:
    """Return the word for an assertion's type."""
    return str(assertion.__struct_config__.tag)


def plain_verdict(assertion: Assertion, found: Measured) -> Verdict:
    """Look at an assertion that takes no library."""
    wrong = _wrong(assertion, found)
    return Verdict(type_of(assertion), not wrong, wrong)


def _wrong(assertion: Assertion, found: Measured) -> str:
    """Say what is wrong; nothing where it holds."""
    match assertion:
        case Contains(value, ignore_case):
            return "" if _has(found.text, value, ignore_case) else f"{_short(value)} is not in it"
        case NotContains(value, ignore_case):
            return f"{_short(value)} is in it" if _has(found.text, value, ignore_case) else ""
        case Equals(value, ignore_case):
            same = _folded(found.text.strip(), ignore_case) == _folded(value.strip(), ignore_case)
            return "" if same else f"it is not {_short(value)}"
        case Length(least, most, unit):
            size = len(found.text) if unit == "characters" else len(found.text.split())
            if size < least:
                return f"it has {size} {unit}, and {least} are the fewest"
            return "" if most is None or size <= most else f"it has {size} {unit}, and {most} are the most"
        case Latency(most):
            return "" if found.latency_ms <= most else f"it took {found.latency_ms} ms, and {most} are the most"
        case Cost(most):
            cost = found.cost_microusd
            if cost is None:
                return "its cost is not known: the model has no price"
            return "" if cost <= most else f"it cost {cost} microusd, and {most} are the most"
    raise TypeError(f"{type_of(assertion)} is judged elsewhere")


def _has(text: str, value: str, ignore_case: bool) -> bool:  # noqa: FBT001 - as the assertion has it
    return _folded(value, ignore_case) in _folded(text, ignore_case)


def _folded(text: str, ignore_case: bool) -> str:  # noqa: FBT001 - likewise
    return text.casefold() if ignore_case else text


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")  # noqa: PLR2004 - a line's length


def as_task(assertion: Assertion) -> Mapping[str, Any]:
    """Write an assertion for the judge."""
    match assertion:
        case Regex(pattern):
            return {"type": "regex", "pattern": pattern}
        case JsonPath(path, equals):
            return {"type": "json_path", "path": path, **({} if isinstance(equals, UnsetType) else {"equals": equals})}
        case JsonSchema(schema):
            return {"type": "json_schema", "schema": schema}
    raise TypeError(f"{type_of(assertion)} takes no judge")


def needs_judge(assertions: Sequence[Assertion]) -> bool:
    """Say whether any of these is looked at by a process of its own."""
    return any(type(it) in JUDGED for it in assertions)
