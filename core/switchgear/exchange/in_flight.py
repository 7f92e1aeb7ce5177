"""The exchanges being answered, and what ends them before their time."""

from collections.abc import Sequence

from switchgear.contracts.caller import Caller
from switchgear.contracts.exchange import Exchange
from switchgear.errors import ApiError, AuthenticationFailed
from switchgear.exchange.faults import Draining, PolicyStop, model_not_found
from switchgear.upstream.watch import Watch


class InFlight:
    """Every exchange from `enter` to `leave`. One a process; everything here is called on the event loop's thread.

    `revision` moves whenever what callers may do has changed: a caller that was looked up meanwhile must be looked up anew.
    """

    __slots__ = ("_by_key", "count", "revision")

    def __init__(self) -> None:
        self.count = 0
        self.revision = 0
        self._by_key: dict[str, dict[str, tuple[Exchange, Watch]]] = {}

    def enter(self, x: Exchange, watch: Watch) -> None:
        """Count an exchange whose caller is known."""
        assert x.caller is not None
        self.count += 1
        self._by_key.setdefault(x.caller.key_id, {})[x.id] = (x, watch)

    def leave(self, x: Exchange) -> None:
        """Count it no more."""
        assert x.caller is not None
        self.count -= 1
        of_key = self._by_key[x.caller.key_id]
        del of_key[x.id]
        if not of_key:
            del self._by_key[x.caller.key_id]

    def drain(self) -> None:
        """End all of them with the outcome `draining`."""
        for of_key in list(self._by_key.values()):
            for _, watch in list(of_key.values()):
                watch.abort(Draining("The gateway is shutting down.", code="server_draining", retry_after=1))

    def callers_changed(self, key_id: str, now: Sequence[Caller]) -> None:
        """End, with the outcome `policy_stop`, the exchanges of a key that could not begin as the key is `now`."""
        self.revision += 1
        for x, watch in list(self._by_key.get(key_id, {}).values()):
            assert x.caller is not None
            caller = next((one for one in now if one.token_id == x.caller.token_id), None)
            if (reason := _refusal(x, caller)) is not None:
                watch.abort(PolicyStop(reason))
            elif x.plan is None:
                x.caller = caller  # it is yet to be decided what it may do


def _refusal(x: Exchange, caller: Caller | None) -> ApiError | None:
    if caller is None:
        return AuthenticationFailed("This API key is no longer valid.", code="invalid_api_key")
    if x.call is None or caller.may_use_model(x.call.model):
        return None
    return model_not_found(x.call.model)
