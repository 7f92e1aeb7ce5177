"""What is noted of an attempt: that it began, what the provider's answer says in its head, why it failed, what it came to."""

from collections.abc import Iterable

from switchgear.contracts.credential import Secret
from switchgear.contracts.exchange import Attempt, Exchange, Target
from switchgear.contracts.provider import Provider, ProviderFault
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.exchange.cost import account
from switchgear.exchange.faults import cause_of, reason_of
from switchgear.telemetry.scrub import SHORTEST


def begin(x: Exchange, attempt: Attempt) -> None:
    """Make an attempt the last one. What the one before it consumed, or showed, is not this one's."""
    x.attempts.append(attempt)
    if x.usage is not None or x.stream_bytes or x.stream_events:
        x.usage = None
        x.stream_bytes = x.stream_events = 0
    attempt.target.meters.active.value += 1


def is_answer(response: UpstreamResponse, attempt: Attempt, provider: Provider) -> bool:
    """Note what an answer's head says, and say whether an answer follows rather than a failure."""
    attempt.status = status = response.status
    if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes
        return False
    attempt.request_id = response.header(provider.request_id_header)
    return True


def note_cause(attempt: Attempt, error: Exception) -> None:
    """Note why it failed."""
    attempt.cause, attempt.reason = cause_of(error), reason_of(error)
    if isinstance(error, ProviderFault):
        attempt.status, attempt.request_id = error.status or None, error.request_id


def end(x: Exchange, attempt: Attempt) -> None:
    """Account for an attempt that has ended."""
    account(x, attempt)
    if attempt.request_id is not None and _gives_away(attempt.request_id, attempt.target, attempt.secret):
        attempt.request_id = None
    attempt.target.meters.active.value -= 1


def _gives_away(text: str, target: Target, secret: Secret | None) -> bool:
    """Return True if a provider sent back, where it is shown and recorded, what it was to keep to itself."""
    if secret is not None and _holds(text, secret.values()):
        return True
    if target.secret_headers and _holds(text, target.secret_headers):
        return True
    if target.credential is None or target.credential is target.secret:
        return False
    traded = target.credential.peek()  # what the token was got for
    return traded is not None and _holds(text, traded.values())


def _holds(text: str, secrets: Iterable[str]) -> bool:
    for value in secrets:  # noqa: SIM110 - asked for every request; any() would make a generator each time
        if value in text and len(value) >= SHORTEST:
            return True
    return False
