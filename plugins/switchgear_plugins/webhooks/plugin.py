from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from switchgear import Context, Plugin
from switchgear.contracts.event import Event, EventHandler
from switchgear.contracts.kernel import Assets, Migrations, Task, UIPage
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.webhooks.courier import Courier
from switchgear_plugins.webhooks.follower import EXPIRING, KEYS, Follower
from switchgear_plugins.webhooks.listener import Listener
from switchgear_plugins.webhooks.outbox import Outbox
from switchgear_plugins.webhooks.resources import TEST, webhooks
from switchgear_plugins.webhooks.settings import WebhooksSettings

if TYPE_CHECKING:
    import httpx
    from litestar.handlers import HTTPRouteHandler

_DAY_S = 86_400.0
_HOUR_S = 3600.0


class WebhooksPlugin(Plugin[WebhooksSettings]):
    """Events delivered to whoever wants them: signed, tried again until they are taken, and listed."""

    api = 1
    settings_type = WebhooksSettings
    requires = ("store",)
    announces: ClassVar[Mapping[str, str]] = {
        "KIND.created": "a resource was made; data: `id`, `revision`, `version`, `by`. Webhooks alone are told",
        f"{KEYS}.suspended": "a key is refused until it is activated again; data as of `KIND.created`. Webhooks alone are told",
        f"{KEYS}.active": "a suspended key is accepted again; likewise",
        f"{KEYS}.revoked": "a key is refused for good; likewise",
        EXPIRING: "a key ends within `expiring_days`; data: `id`, `name`, `expires_at`. Webhooks alone are told, once",
        TEST: "an operator tries a webhook; data: `webhook`, `by`",
    }

    def __init__(self, settings: WebhooksSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._http: httpx.AsyncClient | None = None

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `webhooks`."""
        return [webhooks(self.context.ambient, lambda: self.context.announced)]

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_event_handlers(self) -> list[EventHandler]:
        """Listen to all events."""
        return [_Late(self)]

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files of its pages."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its pages of the console."""
        return [
            UIPage("edit", "Edit", "edit.js", kind="webhooks", panel=True),
            UIPage("deliveries", "Deliveries", "deliveries.js", kind="webhooks", panel=True),
            UIPage(
                "webhook-deliveries",
                "Webhook deliveries",
                "deliveries.js",
                group="Integrations",
                needs="webhook-deliveries",
            ),
        ]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the deliveries."""
        from switchgear_plugins.webhooks.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context, lambda: self.outbox, lambda: self.courier)

    def switchgear_tasks(self) -> list[Task]:
        """Follow the store, deliver, and forget what is old."""
        return [
            Task("webhooks_follow", 1.0, lambda: self.follower.run()),  # noqa: PLW0108 - there is none yet
            Task("webhooks_deliver", 1.0, lambda: self.courier.run()),  # noqa: PLW0108 - likewise
            Task("webhooks_expiring", _HOUR_S, lambda: self.follower.expiring()),  # noqa: PLW0108 - likewise
            Task("webhooks_purge", _DAY_S, lambda: self.outbox.purge(self.settings.keep_days)),
        ]

    async def stop(self) -> None:
        """Let another replica follow at once."""
        await self.follower.release()

    @cached_property
    def outbox(self) -> Outbox:
        """What is to be told; there is none before the store is open."""
        return Outbox(self.context.tables, self.context.ambient)

    @cached_property
    def courier(self) -> Courier:
        """What delivers it."""
        return Courier(self.context, self.outbox, self.settings, self._client)

    def _client(self) -> "httpx.AsyncClient":
        """Return the client, made for the first delivery: that takes long, and starting the gateway does not need it."""
        if self._http is None:
            self._http = self.context.http(timeout=self.settings.timeout, follow_redirects=False)
        return self._http

    @cached_property
    def follower(self) -> Follower:
        """What reads the store's feed."""
        return Follower(self.context, self.outbox, self.courier, self.settings)

    @cached_property
    def listener(self) -> Listener:
        """What hears of events."""
        return Listener(self.context, self.outbox, self.courier)


class _Late:
    """The listener of a plugin that has started."""

    names: frozenset[str] = frozenset()

    def __init__(self, plugin: WebhooksPlugin) -> None:
        self._plugin = plugin

    async def handle(self, event: Event) -> None:
        """Hand it on."""
        await self._plugin.listener.handle(event)
