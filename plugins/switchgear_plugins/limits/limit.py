"""The limits there are: a row for each, which says what it is called, what it counts in and what headers tell of it."""

from msgspec import Struct

from switchgear.contracts.counters import Bucket


class Limit(Struct, frozen=True):
    """One limit that a principal may have.

    field     its name among the limits of a principal
    words     what messages call it
    key       what the keys of its buckets begin with
    sort      the sort of its buckets, of `period_s` where they have one
    header    what its three headers end in (`x-ratelimit-limit-requests`); empty: none tell of it
    """

    field: str
    words: str
    key: str
    sort: str
    period_s: float = 60.0
    header: str = ""

    def bucket(self, id: str, limit: int) -> Bucket:
        """Return the bucket of the principal `id`, of which a request takes one."""
        return Bucket(f"{self.key}:{id}", self.sort, limit, period_s=self.period_s)


LIMITS = (
    Limit("requests_per_minute", "requests per minute", "rpm", "window", header="requests"),
    Limit("concurrent_requests", "concurrent requests", "concurrent", "slots"),
)
