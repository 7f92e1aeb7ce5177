"""What is counted in this process alone while the shared counters are away, for policies that say how (`Policy.uncounted`)."""

from msgspec import Struct

from switchgear.counters import MemoryCounters


class HereAlone(Struct, frozen=True):
    """Counters of this process, and how many processes there are that count so, each its share."""

    counters: MemoryCounters
    processes: int
