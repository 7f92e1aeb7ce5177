from switchgear import Offer, Plugin
from switchgear.contracts.counters import Counters
from switchgear.contracts.jobs import JobQueue
from switchgear.contracts.store import Store
from switchgear.counters import MemoryCounters
from switchgear_plugins.memory.settings import MemorySettings

_STORE = "Enable the plugin `sqlite` in its place, or set DATABASE_URL to a PostgreSQL."


class MemoryPlugin(Plugin[MemorySettings]):
    """Counters, and if asked the store, in the memory of one process."""

    api = 1
    settings_type = MemorySettings

    def switchgear_counters(self) -> list[Offer[Counters]]:
        """Offer the counters `memory`."""
        if not self.settings.counters:
            return []
        return [
            Offer(
                "memory",
                lambda: MemoryCounters(self.context.ambient),
                summary="Counters of one process",
                instead="Set REDIS_URL to a Redis, where all of them count together.",
            )
        ]

    def switchgear_stores(self) -> list[Offer[Store]]:
        """Offer the store `memory`."""
        if not self.settings.store:
            return []
        return [Offer("memory", self._make_store, summary="A store that ends with the process", instead=_STORE)]

    def switchgear_job_queues(self) -> list[Offer[JobQueue]]:
        """Offer the job queue `memory`, beside the store."""
        if not self.settings.store:
            return []
        return [Offer("memory", self._make_jobs, summary="Jobs that end with the process", instead=_STORE)]

    def _make_jobs(self) -> JobQueue:
        from switchgear_plugins.memory.jobs import MemoryJobs  # noqa: PLC0415 - as below

        return MemoryJobs(self.context.ambient)

    def _make_store(self) -> Store:
        from switchgear_plugins.memory.store import MemoryStore  # noqa: PLC0415 - most gateways keep their store elsewhere

        return MemoryStore(self.context.ambient)
