"""How many records of refused calls one principal may fill the store with: those that nobody was asked for, and nothing cost."""

from switchgear import Context
from switchgear.contracts.exchange import Exchange

MOST_A_MINUTE = 300
_MINUTE_US = 60_000_000
_MOST_PRINCIPALS = 16_384


class Refusals:
    """Counts refused calls by principal and minute. What is not recorded is counted in `usage_refusals_unrecorded_total`."""

    def __init__(self, context: Context) -> None:
        self._unrecorded = context.metrics.counter(
            "usage_refusals_unrecorded",
            "Refused calls without a record, because their principal had many in the same minute.",
        ).child()
        self._minute = 0
        self._seen: dict[str, int] = {}

    def takes(self, x: Exchange) -> bool:
        """Count a refused call, and say whether it is recorded."""
        minute = x.started_us // _MINUTE_US
        if minute != self._minute or len(self._seen) >= _MOST_PRINCIPALS:
            self._minute = minute
            self._seen.clear()
        assert x.principal is not None
        count = self._seen[x.principal.id] = self._seen.get(x.principal.id, 0) + 1
        if count > MOST_A_MINUTE:
            self._unrecorded.value += 1
            return False
        return True
