from collections.abc import Sequence

from switchgear import NoSettings, Offer, Plugin
from switchgear.ambient import Ambient
from switchgear.contracts.counters import Bucket, Counters, Decision, Room

SOON_S = 1.0


class PluginNameCounters:
    """Counts slots, in memory: how many are held of each key. What is reserved under an id is held until that is settled.

    Other sorts (`window`, `bucket`, `period`): `switchgear.contracts.counters`; the suite checks each that `sorts` names.
    """

    sorts = frozenset({"slots"})

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient
        self._held: dict[
            str, tuple[float, tuple[Bucket, ...], Decision]
        ] = {}  # by id: end of the lease, what, the answer

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        """Take from every bucket or from none."""
        self._check(buckets)
        wanted, now = tuple(buckets), self._ambient.monotonic()
        self._held = {it: held for it, held in self._held.items() if held[0] > now}
        if id in self._held:
            if self._held[id][1] != wanted:
                raise ValueError(f"the id {id} holds a reservation of other buckets: take an id of your own")
            return self._held[id][2]
        taken: dict[str, int] = {}
        for index, bucket in enumerate(wanted):
            taken[bucket.key] = taken.get(bucket.key, 0) + bucket.amount
            if self._in_use(bucket.key) + taken[bucket.key] > bucket.limit:
                return Decision(self.peek(wanted), index, SOON_S)
        self._held[id] = now + lease_s, wanted, Decision(())
        decision = Decision(self.peek(wanted))
        self._held[id] = now + lease_s, wanted, decision
        return decision

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        """Give back."""
        held = self._held.get(id)
        if held is not None and actual is not None and len(actual) != len(held[1]):
            raise ValueError(f"{len(held[1])} buckets were reserved and {len(actual)} amounts given")
        self._held.pop(id, None)

    def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        """Say how the buckets stand."""
        self._check(buckets)
        return tuple(Room(max(0, bucket.limit - self._in_use(bucket.key)), 0.0) for bucket in buckets)

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        """Slots are held by what runs, and by nothing that records know of."""
        raise ValueError(f"a bucket of the sort `{bucket.sort}` cannot be seeded")

    def _in_use(self, key: str) -> int:
        now = self._ambient.monotonic()
        live = (buckets for until, buckets, _ in self._held.values() if until > now)
        return sum(bucket.amount for buckets in live for bucket in buckets if bucket.key == key)

    def _check(self, buckets: Sequence[Bucket]) -> None:
        if strange := [bucket.sort for bucket in buckets if bucket.sort not in self.sorts]:
            raise ValueError(f"no bucket of the sort `{strange[0]}` is known here")


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the counters. One is active: `[gateway] counters = "plugin_name"`."""

    api = 1

    def switchgear_counters(self) -> list[Offer[Counters]]:
        """Offer them."""
        return [Offer("plugin_name", lambda: PluginNameCounters(self.context.ambient))]
