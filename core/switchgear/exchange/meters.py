"""What is counted about exchanges. Label values are ids of configured resources and fixed words, never a client's text."""

from switchgear.contracts.exchange import Exchange, TargetMeters
from switchgear.telemetry.metrics import Counter, Family, Gauge, Metrics

_NONE = "none"


class ExchangeMeters:
    """The metric families of the data plane."""

    def __init__(self, metrics: Metrics) -> None:
        labels = ("model", "provider")
        self.active: Gauge = metrics.gauge("active_requests", "Exchanges in flight.").child()
        self._requests: Family[Counter] = metrics.counter(
            "requests", "Exchanges by how they ended.", ("endpoint", "model", "provider", "status", "outcome")
        )
        self._attempts = metrics.counter(
            "upstream_attempts", "Tries at providers by what became of them.", ("model", "provider", "cause")
        )
        self._duration = metrics.histogram("request_duration_seconds", "From first byte in to last byte out.", labels)
        self._ttft = metrics.histogram("ttft_seconds", "From first byte in to first content out.", labels)
        self._tokens = metrics.counter("tokens", "Tokens as the providers count them.", ("model", "provider", "type"))
        self._cost = metrics.counter("cost_microusd", "Cost of attempts, in millionths of a US dollar.", labels)
        self._unpriced = metrics.counter(
            "unpriced_attempts", "Attempts that may be billed and whose cost is unknown.", labels
        )
        self._target_active = metrics.gauge("target_active_requests", "Attempts in flight.", labels)
        self._unknown_duration = self._duration.child(_NONE, _NONE)

    def of_target(self, model: str, provider: str) -> TargetMeters:
        """Return the children of one target."""
        return TargetMeters(
            model=model,
            provider=provider,
            active=self._target_active.child(model, provider),
            duration=self._duration.child(model, provider),
            ttft=self._ttft.child(model, provider),
            input_tokens=self._tokens.child(model, provider, "input"),
            output_tokens=self._tokens.child(model, provider, "output"),
            cost=self._cost.child(model, provider),
            unpriced=self._unpriced.child(model, provider),
        )

    def settled(self, x: Exchange) -> None:
        """Count an exchange that ended."""
        attempts = x.attempts
        if not attempts:
            self._requests.child(x.dialect, _NONE, _NONE, str(x.status), str(x.outcome)).value += 1
            self._unknown_duration.observe(x.ended_s)
            return
        meters = attempts[-1].target.meters
        ending = x.dialect, x.status, x.outcome
        requests = meters.requests.get(ending)
        if requests is None:
            requests = meters.requests[ending] = self._requests.child(
                x.dialect, meters.model, meters.provider, str(x.status), str(x.outcome)
            )
        requests.value += 1
        meters.duration.observe(x.ended_s)
        if x.first_byte_s is not None:
            meters.ttft.observe(x.first_byte_s)
        for attempt in attempts:
            of_target = attempt.target.meters
            usage, cost, cause = attempt.usage, attempt.cost_microusd, attempt.cause
            if usage is not None:
                read, written = usage.tokens()
                of_target.input_tokens.value += read
                of_target.output_tokens.value += written
            if cost is None:
                of_target.unpriced.value += 1
            elif cost:
                of_target.cost.value += cost
            tries = of_target.attempts.get(cause)
            if tries is None:
                tries = self._attempts.child(of_target.model, of_target.provider, cause or "answered")
                of_target.attempts[cause] = tries
            tries.value += 1
