"""Exchanges that a plugin broke: they have their record, and an answer with their id, all the same."""

import msgspec

from switchgear.contracts.dialect import Dialect
from switchgear.contracts.exchange import Exchange, Plan
from switchgear.contracts.provider import Call
from switchgear.errors import ApiError, PluginFailed
from switchgear.exchange.faults import to_api_error
from switchgear.exchange.guarded import mend
from switchgear.exchange.reply import Reply, error_lines
from switchgear.exchange.target_faults import FAILED, OURS
from switchgear.plugin_faults import UNKNOWN, Owner, PluginFaults, is_own_doing


class BrokenExchanges:
    """Says whose fault it is. `policies` are those that may have spoilt an exchange, where nothing else tells."""

    def __init__(self, faults: PluginFaults, policies: tuple[str, ...]) -> None:
        self._faults = faults
        self._policies = policies

    def known(self, x: Exchange, dialect: Dialect, error: BaseException) -> BaseException:
        """Return an error that nobody expected as `PluginFailed` where it is a plugin's, which is told of; others as they are."""
        if isinstance(error, OURS) or not is_own_doing(error):
            return error
        owner = self._faults.culprit(error)
        if not owner.plugin and isinstance(error, (AttributeError, TypeError, AssertionError)):
            owner = self._giver(x, dialect)
        wrong = mend(x)
        if not owner.plugin and not wrong and isinstance(error, Exception):
            return error  # the gateway's own
        own = self._faults.owner(dialect)
        if owner.plugin == own.plugin:
            owner = own
        self._note(x, owner, "an exchange", error, wrong)
        failed = PluginFailed(FAILED, code="internal_error")
        failed.__cause__ = error
        return failed

    def _giver(self, x: Exchange, dialect: Dialect) -> Owner:
        """Return who gave what cannot be gone on with, where nobody raised: an endpoint no call, a name no plan."""
        if x.principal is None or x.policies is None:
            return UNKNOWN
        if not isinstance(x.call, Call):
            return self._faults.owner(dialect)
        if not isinstance(x.plan, Plan) and (found := x.snapshot.callable(x.call.model)) is not None:
            return self._faults.owner(found)
        return UNKNOWN

    def mend(self, x: Exchange, error: Exception) -> None:
        """Make an exchange one that can be counted. Raises the error where nothing of it was spoilt."""
        owner = next((it.target.owner for it in x.attempts if it.usage is not None), UNKNOWN)
        wrong = mend(x)
        if not wrong:
            raise error
        self._note(x, owner, "an exchange", error, wrong)

    async def finish(self, x: Exchange, dialect: Dialect, reply: Reply, failure: Exception) -> None:
        """Answer where the answer could not be written, since something of it was spoilt.

        Raises the failure where that is not so, and for a stream that has begun, which is to be cut.
        """
        wrong = mend(x)
        owner = self._faults.culprit(failure)
        if reply.started or not (wrong or owner.plugin):
            raise failure
        self._note(x, owner, "an answer", failure, wrong)
        answer = to_api_error(failure)
        body = error_body(self._faults, dialect, answer, x.id)
        await reply.whole(answer.status, error_lines(x, answer, x.ended_s), body)

    def _note(self, x: Exchange, owner: Owner, what: str, error: BaseException, wrong: list[str]) -> None:
        if wrong:
            self._faults.note(owner, what, error, request_id=x.id, spoilt=wrong, policies=self._policies)
        else:
            self._faults.note(owner, what, error, request_id=x.id)


def error_body(faults: PluginFaults, dialect: Dialect, error: ApiError, request_id: str) -> bytes:
    """Encode an error as a dialect does; as plain JSON where it cannot."""
    try:
        body = dialect.error(error, request_id)
        if not isinstance(body, bytes):
            raise TypeError(f"`error` returned {type(body).__name__}, no bytes")  # noqa: TRY301
    except BaseException as failure:
        if not is_own_doing(failure):
            raise
        faults.note(faults.owner(dialect), "an error", failure, request_id=request_id)
        said = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return msgspec.json.encode({"error": said})
    return body
