"""Counters in the memory of one process: those of the plugin `memory`, and what is counted with while shared ones are away.

For plugins too: whoever wants something counted that is no business of other processes makes its own.
"""

from switchgear.counters.memory import MemoryCounters

__all__ = ["MemoryCounters"]
