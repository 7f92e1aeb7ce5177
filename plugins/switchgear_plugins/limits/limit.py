"""The limits there are: a row for each, which says what it is called, what it counts in and what headers tell of it."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from switchgear.contracts.counters import Bucket
from switchgear.contracts.exchange import Exchange


class Limit(Struct, frozen=True):
    """One limit that somebody may have.

    field     its name among the limits of a principal
    words     what messages call it
    key       what the keys of its buckets begin with
    sort      the sort of its buckets, of `period_s` where they have one
    header    what its three headers end in (`x-ratelimit-limit-requests`); empty: none tell of it
    burst     the name of the limit that says how much may be taken at once; empty: none does
    amount    what an exchange takes at first, of a limit of so many; None: one
    actual    what it took in the end
    """

    field: str
    words: str
    key: str
    sort: str
    period_s: float = 60.0
    header: str = ""
    burst: str = ""
    amount: Callable[[Exchange, int], int] | None = None
    actual: Callable[[Exchange], int] | None = None


class Held(Struct, frozen=True):
    """A limit that somebody has: `bucket` is what one request takes of it, `name` what operators are told it is called.

    `rule` is the id of the resource that it comes from, empty for a principal's own; `local` says whether this process counts
    its share of it alone while the counters are away.
    """

    limit: Limit
    bucket: Bucket
    rule: str = ""
    local: bool = False

    @property
    def name(self) -> str:
        """What operators call it."""
        return f"{self.rule}/{self.limit.field}" if self.rule else self.limit.field

    def asked(self, x: Exchange) -> Bucket:
        """Return the bucket with what an exchange takes of it."""
        if self.limit.amount is None:
            return self.bucket
        it = self.bucket
        return Bucket(it.key, it.sort, it.limit, self.limit.amount(x, it.limit), it.period_s)

    def share(self, x: Exchange, processes: int) -> Bucket:
        """Return the bucket as one of so many processes may use it alone."""
        it, row = self.bucket, self.limit
        most = it.limit // processes
        burst = None if it.burst is None else it.burst // processes
        return Bucket(it.key, it.sort, most, 1 if row.amount is None else row.amount(x, most), it.period_s, burst)


def held(source: Mapping[str, Any], whose: str, rule: str = "", *, local: bool = False) -> list[Held]:
    """Return the limits that a mapping of them names, those on requests first: they come before it is known what is asked."""
    return [
        Held(
            limit,
            Bucket(f"{limit.key}:{whose}", limit.sort, most, 1, limit.period_s, source.get(limit.burst)),
            rule,
            local,
        )
        for limit in LIMITS
        if (most := source.get(limit.field)) is not None
    ]


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
    Limit("requests_per_second", "requests per second", "rps", "bucket", 1.0, header="requests", burst="burst"),
    Limit("requests_per_minute", "requests per minute", "rpm", "window", header="requests"),
    Limit("requests_per_hour", "requests per hour", "rph", "window", 3600.0, header="requests"),
    Limit("requests_per_day", "requests per day", "rpd", "window", 86_400.0, header="requests"),
    Limit("concurrent_requests", "concurrent requests", "concurrent", "slots"),
    Limit("tokens_per_minute", "tokens per minute", "tpm", "window", header="tokens", amount=_worst, actual=_used),
)
"""In the order in which they are reserved: those on requests first."""
