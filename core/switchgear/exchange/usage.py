"""What an exchange consumed where its provider did not say, and what estimates learn from providers that do."""

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.provider import COUNT
from switchgear.contracts.usage import Usage
from switchgear.tokens import text_bytes


def may_be_billed(x: Exchange) -> bool:
    """Say whether a provider may charge for an exchange whose usage it never told: it was asked and did not refuse.

    Nobody charges for counting tokens.
    """
    attempt = x.attempts[-1] if x.attempts else None
    if attempt is None or not attempt.asked or attempt.cause in ("connect", "connect_timeout", "egress", "request"):
        return False
    if x.call is None or x.call.operation == COUNT:
        return False
    return attempt.status is None or 200 <= attempt.status < 300  # noqa: PLR2004 - HTTP's classes


def estimate(x: Exchange) -> Usage:
    """Estimate usage the provider never told, from what went out and what went by."""
    assert x.target is not None
    assert x.sent is not None
    estimator = x.target.estimator
    speaks = x.sent.operation == "chat"  # vectors are many bytes and no tokens
    return Usage(
        input_tokens=estimator.input(x.sent.members),
        output_tokens=estimator.output(x.stream_bytes, x.stream_events) if speaks else 0,
        estimated=True,
    )


def learn(x: Exchange) -> None:
    """Let the estimator of the target that answered learn from the usage that its provider said."""
    target, usage = x.target, x.usage
    if target is not None and usage is not None and x.sent is not None and not usage.estimated:
        received = x.stream_bytes if x.call is not None and x.call.stream else 0
        sent = text_bytes(x.sent.members)
        target.estimator.learn(sent, usage.input_tokens, received, usage.output_tokens - usage.reasoning_tokens)
