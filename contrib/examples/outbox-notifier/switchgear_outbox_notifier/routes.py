"""`/admin/v1/notices`."""

from typing import Any

from litestar import get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from switchgear_outbox_notifier import Notice, OutboxNotifierPlugin


def handlers(plugin: OutboxNotifierPlugin) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get("/admin/v1/notices", opt={"action": "list", "resource": "notices"})
    async def notices() -> dict[str, Any]:
        return {"data": await plugin.context.tables.query("notices")}

    @put("/admin/v1/notices/{id:str}", opt={"action": "update", "resource": "notices", "body": Notice})
    async def change(id: FromPath[str], data: JSONBody[Notice]) -> dict[str, Any]:
        return await plugin.put(id, data)

    return [notices, change]
