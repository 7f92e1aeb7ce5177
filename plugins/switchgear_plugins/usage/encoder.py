"""From a settled exchange to the bytes of its record."""

from typing import Any
from zlib import crc32

import msgspec

from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.record import fit_labels, shorten, without_keys
from switchgear.contracts.usage import CACHE_WRITE, CACHED_INPUT, INPUT, OUTPUT, REASONING, Pricing, Usage
from switchgear_plugins.usage.record import AttemptRecord

MOST_TEXT = 256
"""Characters of a text that a client or a provider chose."""

_MOST_LINES = 16
"""Reasons of a plan, and attempts, that a record tells of: most have fewer, and a record is to stay small."""
_MOST_TEMPLATES = 4096
_LEFT_OPEN = frozenset({"connection", "first_byte_timeout", "idle_timeout", "timeout", "total_timeout", "hedged"})
"""Causes after which it is not known whether the provider did the work."""

_TOKENS = (
    b',"input_tokens":%d,"output_tokens":%d,"cached_input_tokens":%d,"cache_write_tokens":%d,"reasoning_tokens":%d'
)
_PLAIN_TOKENS = _TOKENS.replace(b"%d", b"0").replace(b":0", b":%d", 2)
_PLAIN = frozenset({INPUT, OUTPUT})
_TOLD = frozenset({INPUT, OUTPUT, CACHED_INPUT, CACHE_WRITE, REASONING})
"""Units that have members of their own."""
_encode = msgspec.json.Encoder().encode


class UsageEncoder:
    """Encodes records from templates: what most exchanges of one principal with one target have in common is encoded once.

    What a record says is `UsageRecord`; that this says the same as its encoder is a property test.
    """

    def __init__(self) -> None:
        self._templates: dict[tuple[Any, ...], bytes] = {}
        self._snapshot: object = None

    def encode(self, x: Exchange) -> bytes:
        """Return the record of an exchange that is settled."""
        call = x.call
        attempts = x.attempts
        attempt = attempts[-1] if attempts else None
        operation, model, stream = ("", "", False) if call is None else (call.operation, call.model, call.stream)
        if len(model) > MOST_TEXT:
            model = shorten(model, MOST_TEXT)
        # Targets belong to a snapshot: no longer than it is used may they be held.
        if x.snapshot is not self._snapshot:
            self._templates.clear()
            self._snapshot = x.snapshot
        # An enumeration's own hash is a function in Python; its members are there for ever.
        key = (
            x.principal, None if attempt is None else attempt.target, x.dialect, operation, model, stream, id(x.outcome),
            x.status, x.cause, x.cache,
        )  # fmt: skip
        same = self._templates.get(key)
        if same is None:
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            same = self._templates[key] = _same(x, operation, model, stream=stream)
        own = _encode(x.id)
        parts = (
            b'{"id":%b,"request_id":%b,"at_us":%d,"latency_us":%d,"attempts":%d,' % (
                own, own, x.started_us, int(x.ended_s * 1e6), len(attempts),
            ),
            same,
            b"" if x.usage is None else _tokens(x.usage),
            b"" if x.first_byte_s is None else b',"ttft_us":%d' % int(x.first_byte_s * 1e6),
            b',"unpriced":1' if x.cost_microusd is None else b',"cost_microusd":%d' % x.cost_microusd,
            _rarely(x, attempt),
            b"}",
        )  # fmt: skip
        return b"".join(parts)


def _tokens(usage: Usage) -> bytes:
    """Return what was consumed."""
    units = usage.units
    if _PLAIN.issuperset(units):
        data = _PLAIN_TOKENS % (units.get(INPUT, 0), units.get(OUTPUT, 0))
    else:
        data = _TOKENS % (
            usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens, usage.reasoning_tokens,
        )  # fmt: skip
        if further := {unit: count for unit, count in units.items() if unit not in _TOLD}:
            data += b',"units":' + _encode(further)
    return data + b',"usage_estimated":true' if usage.estimated else data


def _rarely(x: Exchange, attempt: Attempt | None) -> bytes:
    """Return the members that most records do not have."""
    data = b""
    if x.client_request_id is not None:
        data += b',"client_request_id":' + _encode(shorten(x.client_request_id, MOST_TEXT))
    if attempt is not None and attempt.request_id is not None:
        data += b',"upstream_request_id":' + _encode(shorten(attempt.request_id, MOST_TEXT))
    reasons = () if x.plan is None else x.plan.why
    if len(reasons) > 1 or len(x.attempts) > 1 or (attempt is not None and attempt.reason is not None):
        data += _story(reasons, x.attempts)
    if x.labels and (labels := fit_labels(x.labels)):
        data += b',"labels":' + _encode(labels)
    return data


def _same(x: Exchange, operation: str, model: str, *, stream: bool) -> bytes:
    """Return the members that many records share, without the braces."""
    principal, target = x.principal, x.target
    assert principal is not None
    labels = principal.labels
    members: dict[str, Any] = {
        "key_id": labels.get("key", principal.id),
        "team_id": labels.get("team"),
        "user_id": labels.get("user"),
        "tags": principal.tags or None,
        "dialect": x.dialect,
        "operation": operation,
        "model": without_keys(model) if target is None else model,
        "target": None if target is None else target.model.id,
        "provider": None if target is None else target.provider_id,
        "provider_model": None if target is None else target.model.name,
        "stream": stream,
        "outcome": str(x.outcome),
        "status": x.status,
        "cause": x.cause,
        "cache": x.cache,
        "price_version": None if target is None or not x.attempts else price_version(target.pricing),
    }
    return _encode({name: value for name, value in members.items() if value is not None})[1:-1]


def attempt_record(x: Exchange, number: int) -> AttemptRecord:
    """Return the record of one attempt of an exchange that is settled."""
    attempt = x.attempts[number]
    principal, target, usage = x.principal, attempt.target, attempt.usage
    assert principal is not None
    labels = principal.labels
    request_id = attempt.request_id
    return AttemptRecord(
        id=f"{x.id}-{number}",
        request_id=x.id,
        at_us=x.started_us + int(attempt.began_s * 1e6),
        number=number,
        target=target.model.id,
        provider=target.provider_id,
        provider_model=target.model.name,
        latency_us=max(0, int((attempt.ended_s - attempt.began_s) * 1e6)),
        key_id=labels.get("key", principal.id),
        model="" if x.call is None else shorten(x.call.model, MOST_TEXT),
        team_id=labels.get("team"),
        user_id=labels.get("user"),
        status=attempt.status,
        cause=attempt.cause,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        units={} if usage is None else usage.units,
        usage_estimated=usage is not None and usage.estimated,
        cost_microusd=attempt.cost_microusd,
        price_version=price_version(target.pricing),
        upstream_request_id=None if request_id is None else shorten(request_id, MOST_TEXT),
    )


def price_version(pricing: Pricing | None) -> str | None:
    """Say which prices these are: where a book has them from, or `model` and a checksum of what the model's resource says."""
    if pricing is None or pricing.version is not None:
        return None if pricing is None else pricing.version
    return f"model {crc32(_encode(sorted(pricing.units.items()))):08x}"


def _story(reasons: tuple[str, ...], attempts: list[Attempt]) -> bytes:
    """Say why it went where it went; nothing where there was one place to go and one attempt."""
    failed = [attempt for attempt in attempts if attempt.cause is not None]
    why = (*reasons[:_MOST_LINES], *map(_told, failed[:_MOST_LINES]))
    story = b',"why":' + _encode(why) if why else b""
    return story + b',"possible_duplicate":true' if any(map(_may_have_run, attempts[:-1])) else story


def _told(attempt: Attempt) -> str:
    status = "" if attempt.status is None else f" ({attempt.status})"
    took_s = max(attempt.ended_s - attempt.began_s, 0.0)
    target = attempt.target
    reason = "" if attempt.reason is None else f": {attempt.reason}"
    return f"{target.model.id} at {target.provider_id}: {attempt.cause}{status} after {took_s:.2f} s{reason}"


def _may_have_run(attempt: Attempt) -> bool:
    return attempt.asked and attempt.cause in _LEFT_OPEN
