from switchgear import Offer, Plugin
from switchgear.contracts.jobs import JobQueue
from switchgear.contracts.store import Store
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


class SqlitePlugin(Plugin[SqliteSettings]):
    """Configuration and records in one SQLite file: nothing to install, for one process."""

    api = 1
    settings_type = SqliteSettings

    def switchgear_stores(self) -> list[Offer[Store]]:
        """Offer the store `sqlite`."""
        return [Offer("sqlite", self._make, summary="One SQLite file", shared=True)]

    def switchgear_job_queues(self) -> list[Offer[JobQueue]]:
        """Offer the job queue `sqlite`, in the store's file."""
        return [Offer("sqlite", lambda: self._store.jobs, summary="Jobs in the same file", shared=True)]

    def _make(self) -> Store:
        self._store = SqliteStore(self.settings, self.context.data_dir, self.context.ambient)
        return self._store
