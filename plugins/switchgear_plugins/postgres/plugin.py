from switchgear import Offer, Plugin
from switchgear.contracts.jobs import JobQueue
from switchgear.contracts.store import Store
from switchgear_plugins.postgres.settings import PostgresSettings


class PostgresPlugin(Plugin[PostgresSettings]):
    """Configuration, records and jobs in PostgreSQL, for any number of gateways."""

    api = 1
    settings_type = PostgresSettings

    def switchgear_stores(self) -> list[Offer[Store]]:
        """Offer the store `postgres`."""
        return [Offer("postgres", self._make, summary="A PostgreSQL database", shared=True)]

    def switchgear_job_queues(self) -> list[Offer[JobQueue]]:
        """Offer the job queue `postgres`, in the store's database."""
        return [Offer("postgres", lambda: self._store.jobs, summary="Jobs in the same database", shared=True)]

    def _make(self) -> Store:
        from switchgear_plugins.postgres.store import PostgresStore  # noqa: PLC0415 - psycopg takes long to import

        self._store = PostgresStore(self.settings, self.context.ambient)
        return self._store
