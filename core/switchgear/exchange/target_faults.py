"""Whose fault it is that an attempt failed. What a provider does outside of its contract is a fault of its target."""

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.provider import CANONICAL, Answer, Call, ProviderFault
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import ApiError, ConnectionBroken, PluginFailed, SecretUnavailable, UpstreamError
from switchgear.exchange.sound import is_object, sound_fault
from switchgear.plugin_faults import Owner, PluginFaults, is_own_doing
from switchgear.telemetry.metrics import Metrics
from switchgear.wire.chat import decode_answer

_OK = 200
_FAULT_BODY = 64 * 1024


OURS = (ApiError, UpstreamError, SecretUnavailable, ProviderFault)
"""What plugins raise to say something; whatever else they raise is a bug of theirs."""


class StreamNotTold(Exception):
    """An event that a provider gave could not be told to the client: `__cause__` is what the dialect's code raised."""


class TargetFaults:
    """Says as what an attempt failed, and tells of plugins that broke it."""

    def __init__(self, faults: PluginFaults | None = None) -> None:
        self._faults = faults or PluginFaults(Metrics())

    def told_as(
        self, x: Exchange, attempt: Attempt, endpoint: InferenceEndpoint, error: BaseException
    ) -> BaseException:
        """Return as what an attempt failed: an error of ours as it is, anything else as `ProviderFault` (`protocol`)."""
        if not is_own_doing(error):
            return error
        if isinstance(error, StreamNotTold):
            self._faults.note(self.owner_of(endpoint), f"a stream at {endpoint.path}", error.__cause__ or error)
            return PluginFailed(FAILED, code="internal_error")
        if isinstance(error, ProviderFault):
            try:
                return sound_fault(error)
            except (TypeError, ValueError, AttributeError) as wrong:
                error = wrong
        if isinstance(error, OURS):
            return error
        target = attempt.target
        what = f"a call at {target.provider_id}"
        self._faults.note(
            target.owner, what, error, secrets=target.secrets(), request_id=x.id, model=target.model.id,
            provider=target.provider_id,
        )  # fmt: skip
        return ProviderFault("protocol", attempt.status or 0, request_id=attempt.request_id)

    def told_by_dialect(
        self, endpoint: InferenceEndpoint, call: Call, answer: Answer | None, error: BaseException
    ) -> None:
        """Raise `PluginFailed` where a dialect cannot say what it is to say; return where that is another's doing.

        What is no canonical answer cannot be translated by any dialect.
        """
        if isinstance(error, OURS) or not is_own_doing(error):
            return
        if answer is not None and not _is_sound(call, answer):
            return
        self._faults.note(self.owner_of(endpoint), f"an answer at {endpoint.path}", error)
        raise PluginFailed(FAILED, code="internal_error") from error

    def owner_of(self, endpoint: InferenceEndpoint) -> Owner:
        """Return whose an endpoint is."""
        return self._faults.owner(getattr(endpoint, "inner", endpoint))


FAILED = "The gateway failed. The log has the details under this request id."


class _Head:
    status = _OK

    def header(self, name: str) -> str | None:  # noqa: ARG002 - the contract's shape
        return None


def _is_sound(call: Call, answer: Answer) -> bool:
    if call.wire != CANONICAL:
        return is_object(answer.body)
    try:
        decode_answer(answer.body, _Head())
    except (ProviderFault, ConnectionBroken):
        return False
    return True


async def read_fault(response: UpstreamResponse) -> bytes:
    """Read as much of an error's body as is looked at; an error that breaks off is still that error."""
    found = b""
    try:
        while len(found) < _FAULT_BODY and (piece := await response.read()) is not None:
            found += piece
    except ConnectionBroken:
        pass
    return found[:_FAULT_BODY]
