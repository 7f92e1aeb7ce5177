from functools import cached_property
from pathlib import Path

from switchgear import Offer, Plugin
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.kernel import Migrations, Task
from switchgear.contracts.policy import Policy
from switchgear_plugins.stored_responses.dialect import StoredResponsesDialect
from switchgear_plugins.stored_responses.policy import StoredResponsesPolicy
from switchgear_plugins.stored_responses.settings import StoredResponsesSettings
from switchgear_plugins.stored_responses.shelf import Shelf

_PURGE_S = 3600


class StoredResponsesPlugin(Plugin[StoredResponsesSettings]):
    """Responses that are kept for whoever got them: gone on with (`previous_response_id`), read and deleted by their ids."""

    api = 1
    settings_type = StoredResponsesSettings
    requires = ("store",)

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy that keeps them and goes on from them."""
        return [
            Offer(
                "stored_responses",
                lambda: StoredResponsesPolicy(self.shelf, self.settings, self.context.log),
                summary="Keeps responses, and goes on from them",
            )
        ]

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer their paths."""
        return [
            Offer(
                "stored_responses",
                lambda: StoredResponsesDialect(self.shelf, self.context),
                summary="Responses read and deleted by their ids",
            )
        ]

    def switchgear_tasks(self) -> list[Task]:
        """Forget old ones."""
        return [Task("purge", _PURGE_S, self._purge)]

    async def _purge(self) -> None:
        await self.shelf.purge()

    @cached_property
    def shelf(self) -> Shelf:
        """What keeps them; there is none before the store is open."""
        return Shelf(self.context.tables, self.settings, self.context.ambient)
