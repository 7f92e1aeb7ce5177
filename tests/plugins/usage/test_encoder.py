"""What the templates write is what msgspec's encoder writes of the whole record."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.capability import USUAL
from switchgear.contracts.exchange import Attempt, Exchange, Outcome, Plan, Target
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, Call, TargetModel
from switchgear.contracts.record import fit_labels, shorten
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Pricing, Usage
from switchgear.exchange.meters import ExchangeMeters
from switchgear.telemetry.metrics import Metrics
from switchgear.wire.members import raw
from switchgear_plugins.usage.encoder import UsageEncoder
from switchgear_plugins.usage.record import UsageRecord

METERS = ExchangeMeters(Metrics())
TEXT = st.one_of(
    st.sampled_from(["", "a", 'quo"te', "per%cent %b %d", "line\n\u2028", "é\U0001f600", "\\", "\0"]), st.text()
)
NAMES = st.one_of(TEXT, st.integers(250, 600).map(lambda n: "z" * n))
COUNTS = st.integers(0, 2**40)
SNAPSHOTS: list[Any] = [object(), object()]
ENCODER = UsageEncoder()


def target(name: str) -> Target:
    return Target(
        model=TargetModel(id=name, name=f"{name} v1", name_json=raw(name)),
        provider_id=f"at {name}",
        wires=frozenset({CANONICAL}),
        capabilities=USUAL,
        timeouts=Timeouts(),
        meters=METERS.of_target("m", "p"),
        pricing=None if name == "a" else Pricing({"input": 5}, "book 1"),
    )


TARGETS = [target("a"), target('b"%d')]
PRINCIPALS = [
    Principal("k1", "key"),
    Principal('k"2', "key", labels={"key": 'k"2', "team": "t%b", "user": "é"}, tags=("x", "y")),
    Principal("u", "user", labels={"user": "u"}),
]
UNITS = [
    "input",
    "output",
    "cached_input",
    "cache_write",
    "cache_write_5m",
    "reasoning",
    "audio_input",
    "image",
    "any_unit",
]
USAGES = st.none() | st.builds(
    Usage,
    units=st.dictionaries(st.sampled_from(["input", "output"]) | st.sampled_from(UNITS), COUNTS, max_size=5),
    estimated=st.booleans(),
)
ATTEMPTS = st.builds(
    Attempt,
    target=st.sampled_from(TARGETS),
    began_s=st.just(0.5),
    ended_s=st.floats(0, 9),
    status=st.none() | st.just(503),
    cause=st.none() | st.sampled_from(["timeout", "server", "hedged"]),
    request_id=st.none() | NAMES,
    asked=st.booleans(),
)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    x = Exchange(
        "0123abcd",
        draw(st.sampled_from(["openai", "anthropic"])),
        draw(st.sampled_from(SNAPSHOTS)),
        began=0,
        started_us=7,
    )
    x.principal = draw(st.sampled_from(PRINCIPALS))
    x.call = Call("chat", CANONICAL, {}, model=draw(NAMES), stream=draw(st.booleans()))
    x.attempts = draw(st.lists(ATTEMPTS, max_size=3))
    x.plan = draw(st.none() | st.builds(Plan, st.just(()), why=st.lists(TEXT, max_size=20).map(tuple)))
    x.outcome = draw(st.sampled_from(Outcome))
    x.status = draw(st.sampled_from([200, 404, 503]))
    x.cause = draw(st.none() | st.sampled_from(["timeout", "rate_limit"]))
    x.cache = draw(st.sampled_from(["bypass", "hit"]))
    x.usage = draw(USAGES)
    x.cost_microusd = draw(st.none() | COUNTS)
    x.ended_s = draw(st.floats(0, 1000))
    x.first_byte_s = draw(st.none() | st.floats(0, 1000))
    x.client_request_id = draw(st.none() | TEXT)
    x.labels = draw(st.dictionaries(NAMES, NAMES, max_size=3))
    return x


TOLD = {"input", "output", "cached_input", "cache_write", "reasoning"}


def whole(x: Exchange) -> bytes:
    """Encode the whole record at once."""
    assert x.call is not None
    assert x.principal is not None
    last = x.attempts[-1] if x.attempts else None
    usage = x.usage
    reasons = () if x.plan is None else x.plan.why
    failed = [attempt for attempt in x.attempts if attempt.cause is not None]
    told = tuple(
        f"{it.target.model.id} at {it.target.provider_id}: {it.cause}{'' if it.status is None else ' (503)'}"
        f" after {max(it.ended_s - 0.5, 0.0):.2f} s"
        for it in failed
    )
    open_ended = {"connection", "first_byte_timeout", "idle_timeout", "timeout", "total_timeout", "hedged"}
    return msgspec.json.encode(
        UsageRecord(
            id=x.id,
            request_id=x.id,
            at_us=x.started_us,
            key_id=x.principal.id,
            dialect=x.dialect,
            operation=x.call.operation,
            model=shorten(x.call.model, 256),
            outcome=str(x.outcome),
            status=x.status,
            latency_us=int(x.ended_s * 1e6),
            stream=x.call.stream,
            attempts=len(x.attempts),
            cache=x.cache,
            target=last.target.model.id if last else None,
            provider=last.target.provider_id if last else None,
            provider_model=last.target.model.name if last else None,
            cause=x.cause,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cached_input_tokens=usage.cached_input_tokens if usage else None,
            cache_write_tokens=usage.cache_write_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            units={unit: n for unit, n in usage.units.items() if unit not in TOLD} if usage else {},
            usage_estimated=usage is not None and usage.estimated,
            cost_microusd=x.cost_microusd,
            unpriced=int(x.cost_microusd is None),
            price_version=last.target.pricing.version if last and last.target.pricing else None,
            ttft_us=None if x.first_byte_s is None else int(x.first_byte_s * 1e6),
            team_id=x.principal.labels.get("team"),
            user_id=x.principal.labels.get("user"),
            tags=x.principal.tags,
            client_request_id=x.client_request_id and shorten(x.client_request_id, 256),
            upstream_request_id=last.request_id and shorten(last.request_id, 256) if last else None,
            why=(*reasons[:16], *told) if len(reasons) > 1 or len(x.attempts) > 1 else (),
            possible_duplicate=any(it.asked and it.cause in open_ended for it in x.attempts[:-1]),
            labels=fit_labels(x.labels),
        )
    )


@given(x=exchanges())
def test_templates_write_what_the_encoder_writes(x: Exchange) -> None:
    for _ in range(2):  # with a new template, and with one that is there
        written = ENCODER.encode(x)
        pairs: list[str] = []
        msgspec.json.decode(written, type=UsageRecord)
        assert msgspec.json.decode(whole(x)) == msgspec.json.decode(written)
        msgspec.json.Decoder(dict[str, msgspec.Raw]).decode(written)
        pairs += msgspec.json.decode(written, type=dict[str, msgspec.Raw])
        assert written.count(b'"latency_us":') == 1 or "latency_us" in str(x.labels) + str(x.call)
        assert len(pairs) == len(set(pairs))


def test_a_record_is_small_whatever_a_client_sends() -> None:
    x = Exchange("x" * 32, "openai", SNAPSHOTS[0], began=0, started_us=7)
    x.principal, x.outcome, x.status = PRINCIPALS[0], Outcome.REJECTED, 404
    x.call = Call("chat", CANONICAL, {}, model="m" * 5_000_000)
    x.labels = {f"{n}" * 500: "t" * 100_000 for n in range(100)}
    written = ENCODER.encode(x)
    assert len(written) < 16_000
    record = msgspec.json.decode(written, type=UsageRecord)
    assert ("m" * 243 + "~", 256, 32) == (record.model[:244], len(record.model), len(record.labels))
    x.call.model += "n"
    other = msgspec.json.decode(ENCODER.encode(x), type=UsageRecord)
    assert record.model != other.model


def test_templates_are_not_kept_beyond_their_snapshot_or_without_bound() -> None:
    encoder = UsageEncoder()
    x = Exchange("x", "openai", SNAPSHOTS[0], began=0, started_us=7)
    x.principal, x.outcome = PRINCIPALS[0], Outcome.COMPLETE
    for n in range(5000):
        x.call = Call("chat", CANONICAL, {}, model=str(n))
        encoder.encode(x)
    assert len(encoder._templates) <= 4096
    x.snapshot = SNAPSHOTS[1]
    encoder.encode(x)
    assert len(encoder._templates) == 1
