"""Notices for everybody, and a receiver that is told of every change to them: in order, at least once, each under its own id.

The change and the event that reports it are written in one transaction (a transactional outbox), so neither is ever there
without the other. Of many replicas the one that holds the lease delivers.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from switchgear import Context, Plugin
from switchgear.contracts.kernel import Migrations, Task

if TYPE_CHECKING:
    import httpx
    from litestar.handlers import HTTPRouteHandler

LEASE = "outbox_notifier.deliver"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.outbox_notifier]. Times are seconds; `url` None keeps events until there is one.

    `timeout` is the receiver's for one event. A lease lives three times as long: so long it takes until another replica goes on
    where the one that delivers dies.
    """

    url: str | None = None
    every: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 5.0


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be said."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class OutboxNotifierPlugin(Plugin[Settings]):
    """The tables, the routes below /admin/v1/notices, and the task that delivers."""

    api = 1
    settings_type = Settings
    requires = ("store",)

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self._holder = context.ambient.new_id()
        self._http: httpx.AsyncClient | None = None

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the routes."""
        from switchgear_outbox_notifier.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self)

    def switchgear_tasks(self) -> list[Task]:
        """Deliver, if there is somebody to deliver to."""
        return [] if self.settings.url is None else [Task("deliver", self.settings.every, self.deliver)]

    async def start(self) -> None:
        """Make the client."""
        self._http = self.context.http(timeout=self.settings.timeout)

    async def stop(self) -> None:
        """Let another replica go on at once."""
        await self.context.store.release(LEASE, self._holder)

    async def put(self, id: str, notice: Notice) -> dict[str, Any]:
        """Change a notice and write down what is to be told of it: both or neither."""
        at_us, event = self.context.ambient.now_us(), self.context.ambient.new_id()
        told = {"type": "notice.changed", "id": event, "at_us": at_us, "notice": {"id": id, "text": notice.text}}
        async with self.context.tables.transaction() as t:
            await t.execute("put", id=id, text=notice.text, at_us=at_us)
            await t.execute("report", id=event, body=msgspec.json.encode(told).decode())
        return {"id": id, "text": notice.text, "at_us": at_us, "event": event}

    async def deliver(self) -> None:
        """Tell what there is to tell, oldest first. What the receiver does not take is tried again with backoff."""
        assert self._http is not None
        assert self.settings.url is not None
        # Renewed before each event, and longer than one can take: whoever lost it has stopped before another begins.
        while await self.context.store.lease(LEASE, self._holder, 3 * self.settings.timeout):
            waiting = await self.context.tables.query("next")
            if not waiting:
                return
            [event] = waiting
            headers = {"content-type": "application/json", "idempotency-key": event["id"]}
            async with asyncio.timeout(self.settings.timeout):  # the client's own is for each step
                answer = await self._http.post(self.settings.url, content=event["body"], headers=headers)
            answer.raise_for_status()
            async with self.context.tables.transaction() as t:
                await t.execute("told", number=event["number"])
