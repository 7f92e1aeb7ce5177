"""Records of the segments being written, as they were handed in, so that the drain need not read them back from the file."""

from switchgear.contracts.store import RecordRow
from switchgear.ledger.frames import Reading


class Recent:
    """What lies in one segment from `start` on, with where each record ends."""

    __slots__ = ("ends", "records", "start")

    def __init__(self) -> None:
        self.start = 0
        self.records: list[tuple[str, RecordRow]] = []
        self.ends: list[int] = []

    def read(self, limit: int) -> Reading:
        """Return up to `limit` records, as if they had been read from the segment at `start`."""
        records = self.records[:limit]
        end = self.ends[len(records) - 1] if records else self.start
        return Reading(records, end, finished=len(records) == len(self.records))

    def forget(self, count: int) -> None:
        """Drop the first `count` records: the store has them."""
        if count:
            self.start = self.ends[count - 1]
            del self.records[:count]
            del self.ends[:count]
