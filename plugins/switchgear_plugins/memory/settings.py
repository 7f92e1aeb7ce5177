from msgspec import Struct


class MemorySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What this process keeps in its own memory.

    `counters`: limits and budgets, for a gateway that is one process. `store`: configuration and records, which then end with
    the process; for trying out, for tests, and for a gateway whose configuration is all in files.
    """

    store: bool = False
    counters: bool = True
