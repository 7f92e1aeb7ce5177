"""The limits there are: a row for each, which says what it is called, what it counts in and what headers tell of it."""

from collections.abc import Callable

from msgspec import Struct

from switchgear.contracts.counters import Bucket
from switchgear.contracts.exchange import Exchange


class Limit(Struct, frozen=True):
    """One limit that a principal may have.

    field     its name among the limits of a principal
    words     what messages call it
    key       what the keys of its buckets begin with
    sort      the sort of its buckets, of `period_s` where they have one
    header    what its three headers end in (`x-ratelimit-limit-requests`); empty: none tell of it
    amount    what an exchange takes at first, of a limit of so many; None: one
    actual    what it took in the end
    """

    field: str
    words: str
    key: str
    sort: str
    period_s: float = 60.0
    header: str = ""
    amount: Callable[[Exchange, int], int] | None = None
    actual: Callable[[Exchange], int] | None = None

    def bucket(self, whose: str, limit: int, amount: int = 1) -> Bucket:
        """Return the bucket of somebody."""
        return Bucket(f"{self.key}:{whose}", self.sort, limit, amount, self.period_s)


def _worst(x: Exchange, limit: int) -> int:
    """Return the most tokens an exchange may take, as far as that is known: what it sends, and the longest answer.

    That is often much more than it will be. So one that may take more than the whole limit takes all of it, and is refused for
    good only if what it sends is more than that already.
    """
    estimate = x.estimate
    return min(estimate.input_tokens + (estimate.max_output_tokens or 0), max(limit, estimate.input_tokens))


def _used(x: Exchange) -> int:
    return 0 if x.usage is None else x.usage.input_tokens + x.usage.output_tokens


LIMITS = (
    Limit("requests_per_minute", "requests per minute", "rpm", "window", header="requests"),
    Limit("tokens_per_minute", "tokens per minute", "tpm", "window", header="tokens", amount=_worst, actual=_used),
    Limit("concurrent_requests", "concurrent requests", "concurrent", "slots"),
)
