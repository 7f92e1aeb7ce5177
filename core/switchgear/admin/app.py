"""Litestar, as the admin side has it."""

import sys
from typing import Any

from litestar import Litestar, Request
from litestar.plugins.core import MsgspecDIPlugin

from switchgear.resources.body import parse_json, plain


class AdminRequest(Request[Any, Any, Any]):
    """A request whose body is held to the same bounds where a handler takes it as `data` as where it reads it by itself."""

    async def json(self) -> Any:
        """Return the object that the body is. Raises `ApiError`."""
        return plain(parse_json(await self.body()))


class App(Litestar):
    """Litestar without its description of itself and its logs, and without pydantic where nobody imported that.

    Importing pydantic only to support it takes longer than all the rest of Litestar.
    """

    def __init__(self, route_handlers: Any, **options: Any) -> None:
        super().__init__(
            route_handlers, request_class=AdminRequest, openapi_config=None, logging_config=None, **options
        )

    @staticmethod
    def _get_default_plugins(plugins: list[Any]) -> list[Any]:
        if "pydantic" in sys.modules:
            return Litestar._get_default_plugins(plugins)  # noqa: SLF001 - what is overridden
        return [*plugins, MsgspecDIPlugin()]
