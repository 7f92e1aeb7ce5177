from switchgear import Offer, Plugin
from switchgear.contracts.store import Store
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


class SqlitePlugin(Plugin[SqliteSettings]):
    """Configuration and records in one SQLite file: nothing to install, for one process."""

    api = 1
    settings_type = SqliteSettings

    def switchgear_stores(self) -> list[Offer[Store]]:
        """Offer the store `sqlite`."""
        return [Offer("sqlite", self._make, summary="One SQLite file")]

    def _make(self) -> Store:
        return SqliteStore(self.settings, self.context.data_dir, self.context.ambient)
