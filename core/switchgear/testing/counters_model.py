"""Counters so plain that one reads that they are right; `CountersSuite` compares the real ones with them.

A backend may be coarse in time, within what the suite allows: an admission may leave a window a little late, a lease may be
noticed a little late. So the model knows two figures of each bucket: the `least` that is surely counted, and the `most` that
may be.
"""

from collections.abc import Sequence

from switchgear.contracts.counters import Bucket, Decision

_DUST = 0.01
"""Tokens of a token bucket that may be a rounding error."""

_GRACE_US = 60_000_000


class Admission:
    """What one reservation took from one bucket. It leaves a window between `early` and `late`, where time frees it at all."""

    def __init__(self, id: str, bucket: Bucket, at: float, ends: float) -> None:
        self.id = id
        self.bucket = bucket
        self.amount = bucket.amount
        self.early = self.late = at
        self.ends = ends
        self.is_open = True

    def is_of(self, bucket: Bucket) -> bool:
        """Say whether it took from this bucket."""
        mine = self.bucket
        return (mine.key, mine.sort, mine.start_us) == (bucket.key, bucket.sort, bucket.start_us)


class ModelCounters:
    """Every admission ever made, looked through each time, the long way. `window_slack` is a part of the period."""

    def __init__(self, now: float, window_slack: float) -> None:
        self.now = now
        self.window_slack = window_slack
        self.admissions: list[Admission] = []
        self.seeds: dict[tuple[str, str, int | None], tuple[str, Admission]] = {}
        self.missing: dict[str, tuple[float, float, float]] = {}
        """Of a token bucket: how many tokens are missing, when that was, and the rate at which they come."""

    def advance(self, seconds: float) -> None:
        """Let time pass. What is open and past its lease is given back, or kept for good, as its sort says."""
        self.now += seconds
        for one in self.admissions:
            if one.is_open and one.ends <= self.now:
                one.is_open = False
                if one.bucket.sort in {"slots", "period"}:
                    one.amount = 0

    def open(self) -> dict[str, float]:
        """Return the ids that are held and when their leases end."""
        return {one.id: one.ends for one in self.admissions if one.is_open}

    def used(self, bucket: Bucket) -> tuple[float, float]:
        """Return the least and the most that is counted."""
        if bucket.sort == "bucket":
            missing = self._missing(bucket.key)
            return missing - _DUST, missing + _DUST
        found = [one for one in self.admissions if one.is_of(bucket)]
        if bucket.sort == "window":
            until = self.now - bucket.period_s
            late = until - bucket.period_s * self.window_slack
            return sum(it.amount for it in found if it.early > until), sum(it.amount for it in found if it.late > late)
        total = sum(it.amount for it in found)
        return total, total

    def is_shut(self, bucket: Bucket, now_us: int) -> bool:
        """Say whether nothing can be reserved in it, whatever is counted."""
        if bucket.epoch is not None:
            seed = self.seeds.get((bucket.key, bucket.sort, bucket.start_us))
            if seed is None or seed[0] != bucket.epoch:
                return True
        return bucket.start_us is not None and now_us >= bucket.start_us + bucket.period_s * 1e6 + _GRACE_US

    def check(self, buckets: Sequence[Bucket], decision: Decision, now_us: int) -> None:
        """Fail unless the decision is one that this state allows."""
        asked: dict[tuple[str, str, int | None], int] = {}
        for index, bucket in enumerate(buckets):
            name = (bucket.key, bucket.sort, bucket.start_us)
            before = asked[name] = asked.get(name, 0) + bucket.amount
            least, most = self.used(bucket)
            shut = self.is_shut(bucket, now_us)
            if decision.refused is None or index < decision.refused:
                assert not shut, f"{bucket} has no room, whatever is counted"
                assert least + before - 2 * _DUST <= _room(bucket), (
                    f"{bucket}: {least} of it is taken, and it was reserved"
                )
            elif index == decision.refused:
                assert shut or most + before > _room(bucket), f"{bucket}: at most {most} is taken, and it was refused"

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> None:
        """Take from all."""
        for bucket in buckets:
            if bucket.sort == "bucket":
                missing = self._missing(bucket.key) + bucket.amount
                self.missing[bucket.key] = (missing, self.now, bucket.limit / bucket.period_s)
            self.admissions.append(Admission(id, bucket, self.now, self.now + lease_s))

    def settle(self, id: str, actual: Sequence[int] | None) -> None:
        """Give slots back and correct the rest."""
        mine = [one for one in self.admissions if one.is_open and one.id == id]
        for index, one in enumerate(mine):
            used = one.amount if actual is None else actual[index]
            if one.bucket.sort == "slots":
                used = 0
            if one.bucket.sort == "bucket" and one.bucket.key in self.missing:
                _, _, rate = self.missing[one.bucket.key]
                missing = max(0.0, self._missing(one.bucket.key) + used - one.amount)
                self.missing[one.bucket.key] = (missing, self.now, rate)
            one.amount = used
            one.is_open = False

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        """Replace what was counted and is not open."""
        name = (bucket.key, bucket.sort, bucket.start_us)
        seed = self.seeds.get(name)
        if seed is not None and seed[0] == epoch:
            return
        for one in self.admissions:
            if one.is_of(bucket):
                if one.is_open:
                    one.late = self.now
                else:
                    one.amount = 0
        consumed = Admission("seed", bucket, self.now, 0.0)
        consumed.amount = total
        consumed.is_open = False
        self.admissions.append(consumed)
        self.seeds[name] = (epoch, consumed)

    def _missing(self, key: str) -> float:
        missing, at, rate = self.missing.get(key, (0.0, self.now, 0.0))
        return max(0.0, missing - (self.now - at) * rate)


def _room(bucket: Bucket) -> int:
    return bucket.limit if bucket.sort != "bucket" or bucket.burst is None else bucket.burst
