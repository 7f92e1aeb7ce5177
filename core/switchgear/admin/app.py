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
    """The Litestar application: bodies are bounded, it describes and logs nothing by itself, and pydantic is not imported for it.

    Litestar imports pydantic wherever that is installed, which takes longer than the rest of it. `_get_default_plugins` is its
    own affair: without this override a start is slower, and nothing else changes.
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
