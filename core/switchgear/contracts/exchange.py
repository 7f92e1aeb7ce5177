"""One inference request in flight, as policies, routes and sinks see it. `switchgear.exchange` drives it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from msgspec import Struct, field

from switchgear.contracts.conversation import Face
from switchgear.contracts.credential import Secret, SecretHandle
from switchgear.contracts.estimate import Estimate, worst
from switchgear.contracts.health import HealthView
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Call, NativeProvider, Provider, TargetModel
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.upstream import Connection, Timeouts
from switchgear.contracts.usage import Pricing, Usage
from switchgear.plugin_faults import UNKNOWN, Owner
from switchgear.telemetry.metrics import Counter, Gauge, Histogram
from switchgear.tokens import TokenEstimator

if TYPE_CHECKING:
    from switchgear.contracts.dialect import InferenceEndpoint
    from switchgear.wire.faces.view import ConversationView


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Outcome(StrEnum):
    """How an exchange ended: chosen once, and shown alike to client, usage record, audit, metrics and breaker."""

    COMPLETE = "complete"
    CLIENT_GONE = "client_gone"
    UPSTREAM_CUT = "upstream_cut"
    UPSTREAM_STALL = "upstream_stall"
    UPSTREAM_ERROR = "upstream_error"
    DEADLINE = "deadline"
    DRAINING = "draining"
    POLICY_STOP = "policy_stop"
    REJECTED = "rejected"
    ERROR = "error"


class Target(Struct, frozen=True, eq=False):
    """One place that can answer: a model at a provider, with everything an attempt needs. Compiled into the snapshot.

    Exactly one of `provider` and `native` is set; `connection` belongs to `provider`. `wires` are the wire formats the model is
    spoken to in, `lacks` the capabilities that a call may need and the model has not. `secret` is what requests are prepared
    with; where that is a token, `credential` is what it was traded for. `concurrency` bounds the attempts in flight. `lines`
    are the header lines by which an answer names it, `secret_headers` the values of those that go with every request
    and are secret. `owner` is the plugin and the provider type. A target that `takes_own` has no credential: it is asked with the
    client's. `preamble` is what the system says there before all else that it says, whatever the wire.
    """

    model: TargetModel
    provider_id: str
    wires: frozenset[str]
    capabilities: frozenset[str]
    timeouts: Timeouts
    meters: "TargetMeters"
    provider: Provider | None = None
    native: NativeProvider | None = None
    connection: Connection | None = None
    secret: SecretHandle | None = None
    credential: SecretHandle | None = None
    lacks: frozenset[str] = frozenset()
    estimator: TokenEstimator = field(default_factory=TokenEstimator)
    health: "TargetHealth | None" = None
    concurrency: int | None = None
    pricing: Pricing | None = None
    lines: bytes = b""
    secret_headers: tuple[str, ...] = ()
    owner: Owner = UNKNOWN
    takes_own: bool = False
    preamble: str | None = None

    def is_available(self) -> bool:
        """Say whether it would be asked now, were there others: it fares well, and its credential was not just refused."""
        if self.health is not None and not self.health.is_available():
            return False
        credential = self.credential
        return credential is None or not credential.in_cooldown()

    def secrets(self) -> tuple[str, ...]:
        """Return what no message about this target may show."""
        handles = (self.secret, self.credential)
        secrets = [secret for handle in handles if handle is not None and (secret := handle.peek()) is not None]
        return (*(value for secret in secrets for value in secret.values()), *self.secret_headers)


class TargetMeters(Struct, frozen=True, eq=False):
    """The metric children of one target, looked up once, and the labels they have: `model` never is a client's own text.

    `requests` are those by (dialect, status, outcome), `attempts` those by cause, as far as there were any.
    """

    model: str
    provider: str
    active: Gauge
    duration: Histogram
    ttft: Histogram
    input_tokens: Counter
    output_tokens: Counter
    cost: Counter
    unpriced: Counter
    requests: dict[tuple[str, int, Any], Counter] = field(default_factory=dict)
    attempts: dict[str | None, Counter] = field(default_factory=dict)


class TargetHealth(Protocol):
    """How a target fares, as strategies see it. One for each model at each provider, whatever names lead there."""

    @property
    def active(self) -> int:
        """Attempts in flight."""
        ...

    @property
    def latency_s(self) -> float | None:
        """Time to the first byte, lately; None while nothing has answered."""
        ...

    def is_available(self) -> bool:
        """Say whether it would be asked now: its breaker is closed or due a probe, and it does not cool down."""
        ...

    def view(self) -> HealthView:
        """Say how it fares, for operators."""
        ...


class Step(Struct, frozen=True, eq=False):
    """One target of a plan and how it is tried.

    retries         further tries of the same target, where trying again may help and its retry budget allows; None: some where
                    it is the last that may answer, none where others wait behind it
    first_token_s   longest wait for the first token, then the next step is tried; None: the target's own timeout
    on              causes that lead on to the next step (see `ProviderFault` and `UpstreamError`); None: all that may pass
    """

    target: Target
    retries: int | None = None
    first_token_s: float | None = None
    on: frozenset[str] | None = None


Recovery: TypeAlias = Literal["error", "buffer", "continue"]
"""What becomes of a stream that breaks after its first byte: an error; with `buffer`, it was held back until it is complete, so
that another target can give the whole answer; with `continue`, another one whose model takes a prefill goes on with it.
"""


class Plan(Struct, frozen=True):
    """Where an exchange will be tried, in order, and why each is there.

    attempts  most attempts in all, hedged ones too; None: as many as the steps say
    seconds   most time until the first token, over all attempts and what is waited for; None: the exchange's own deadline
    recovery  what becomes of a stream that breaks after its first byte
    hedge_s   seconds without a first byte after which the next target is asked as well, and whoever answers first is heard;
              None: never
    """

    steps: tuple[Step, ...]
    why: tuple[str, ...] = ()
    attempts: int | None = None
    seconds: float | None = None
    recovery: Recovery = "error"
    hedge_s: float | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets in order."""
        return tuple(step.target for step in self.steps)

    def is_available(self) -> bool:
        """Say whether any of its targets would be asked now."""
        return any(step.target.is_available() for step in self.steps)


class Callable(Protocol):
    """The live object of a resource whose id a client may write in `model`."""

    enabled: bool
    created_us: int
    owned_by: str

    def plan(self, x: "Exchange") -> Plan:
        """Decide where to try. No I/O. Raises `ApiError` when nothing is eligible."""
        ...


class Attempt:
    """One try at one target. `cause` is None when it answered; times are seconds since the exchange began.

    `asked` says whether it came to asking the provider: a secret may be missing, or the request be one it cannot be asked.
    `reason` is why not, in words for the operator and not for the client.
    `secret` is the one it was asked with. `usage` and `cost_microusd` are final once it is `accounted` for: what its provider
    told or, where it may be billed and nothing was told, an estimate. The cost is None if unknown, 0 if nobody charges.
    """

    __slots__ = (
        "accounted", "asked", "began_s", "cause", "cost_microusd", "ended_s", "reason", "request_id", "secret", "status",
        "target", "usage",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        began_s: float,
        ended_s: float = 0.0,
        status: int | None = None,
        cause: str | None = None,
        *,
        request_id: str | None = None,
        reason: str | None = None,
        asked: bool = False,
        secret: Secret | None = None,
        accounted: bool = False,
        usage: Usage | None = None,
        cost_microusd: int | None = 0,
    ) -> None:
        self.target = target
        self.began_s = began_s
        self.ended_s = ended_s
        self.status = status
        self.cause = cause
        self.request_id = request_id
        self.reason = reason
        self.asked = asked
        self.secret = secret
        self.accounted = accounted
        self.usage = usage
        self.cost_microusd = cost_microusd


class Exchange:
    """The life of one request.

    id, client_request_id   ours, and the client's own if it sent one
    trace                   the client's W3C trace context (`traceparent`), None if it sent none
    dialect                 name of the inbound dialect
    call                    what is asked, once the head was parsed
    committed               whether the client has seen content of an answer: from then on, no other target may answer
    retried                 whether the client says that it has tried this before
    strict                  whether the client wants what cannot be carried to a provider refused
    face                    how the call holds what is said, None if it holds nothing
    endpoint                where the call came in, which writes answers as its client reads them; None at a route
    sent                    the call as the last target got it, in its wire format
    principal               who asks, once authenticated
    own                     what the client has of its own at a provider, if it sent that: for targets that take it alone
    parent                  the exchange that this one is a part of, where it was called from inside; None for a client's own
    right, bounds           what was decided of a request at a route: action, kind and id, and the filter within which that is so;
                            None for a call, which is decided by its model, and where a route asks for nothing
    snapshot                the configuration it lives in from beginning to end
    plan, attempts          where it may go, where it went
    admitted                bit mask of the policies to settle; the policy host's
    policies                the policies that run in it; the policy host's
    attached                the settings of attachments that selected it, by name of their policy
    reservation             what it holds of the counters, None if nothing; the policy host's
    cache                   `bypass`, or what a cache policy found: `hit`, `miss`
    outcome, status, error  how it ended (set once, by the engine)
    cause                   the stable word for how it failed, None if it did not
    usage, cost_microusd    what it consumed and cost, in all attempts that may be billed; final once it settles. Cost None means
                            unknown, never 0; what no provider was asked for costs 0
    stream_bytes, _events   content that went by, for an estimate when a cut stream never said its usage
    started_us              wall clock; `began` is monotonic seconds; *_s are seconds since `began`
    headers                 extra response headers (lower-case bytes), for policies to add to until the answer begins
    lines                   likewise, rendered (`name: value` and CRLF each), for policies that make theirs ahead; not checked
    notes                   a policy keeps its own state here under its own name
    labels                  texts by name that are recorded with its usage (see `switchgear.contracts.record.fit_labels`)
    """

    __slots__ = (
        "_conversation", "_estimate", "admitted", "admitted_s", "attached", "attempts", "authenticated_s", "began",
        "bounds", "cache", "call", "cause", "client_request_id", "committed", "cost_microusd", "dialect", "ended_s",
        "endpoint", "error", "face", "first_byte_s", "headers", "id", "labels", "lines", "notes", "outcome", "own", "parent",
        "plan", "policies", "principal", "reservation", "retried", "right", "sent", "snapshot", "started_us", "status",
        "stream_bytes", "stream_events", "strict", "trace", "usage",
    )  # fmt: skip

    def __init__(self, id: str, dialect: str, snapshot: Snapshot, began: float, started_us: int) -> None:
        self.id = id
        self.dialect = dialect
        self.snapshot = snapshot
        self.began = began
        self.started_us = started_us
        self.client_request_id: str | None = None
        self.trace: str | None = None
        self.call: Call | None = None
        self.committed = False
        self.retried = False
        self.strict = False
        self.sent: Call | None = None
        self.principal: Principal | None = None
        self.own: Secret | None = None
        self.parent: Exchange | None = None
        self.right: tuple[str, str, str | None] | None = None
        self.bounds: Mapping[str, tuple[str, ...]] | None = None
        self.plan: Plan | None = None
        self.admitted = 0
        self.policies: Any = None
        self.attached: Mapping[str, Any] = _NOTHING
        self.reservation: Any = None
        self.cache = "bypass"
        self.outcome: Outcome | None = None
        self.status = 0
        self.error: BaseException | None = None
        self.cause: str | None = None
        self.usage: Usage | None = None
        self.cost_microusd: int | None = None
        self.stream_bytes = 0
        self.stream_events = 0
        self.authenticated_s = 0.0
        self.admitted_s = 0.0
        self.first_byte_s: float | None = None
        self.ended_s = 0.0
        self.face: Face | None = None
        self.endpoint: InferenceEndpoint | None = None
        self._conversation: ConversationView | None = None
        self.lines = b""
        self._estimate: Estimate | None = None
        self.attempts: list[Attempt] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.notes: dict[str, Any] = {}
        self.labels: dict[str, str] = {}

    @property
    def conversation(self) -> "ConversationView":
        """What is said, in one form for every dialect; what was changed is written into `call` when `prepare` is over.

        Raises LookupError where the call holds nothing that is said.
        """
        call = self.call
        if call is None or self.face is None:
            raise LookupError(f"a call of the dialect `{self.dialect}` holds no conversation")
        view = self._conversation
        if view is None or view.call is not call:
            view = self._conversation = self.face.view(call)
        return view

    def forget_conversation(self) -> None:
        """Leave the call as it is, whatever was changed in its conversation."""
        self._conversation = None

    def write_conversation(self) -> None:
        """Write what was changed in the conversation into the call."""
        if self._conversation is not None and self._conversation.call is self.call:
            self._conversation.apply()

    @property
    def target(self) -> Target | None:
        """The target of the last attempt."""
        return self.attempts[-1].target if self.attempts else None

    @property
    def estimate(self) -> Estimate:
        """What one attempt may use and cost at the worst of the plan's targets; made when first asked for, once it is planned."""
        if self._estimate is None:
            assert self.call is not None
            assert self.plan is not None
            self._estimate = worst(self.call, self.plan.targets)
        return self._estimate
